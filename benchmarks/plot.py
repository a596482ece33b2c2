"""Draws how time and memory grow with the number of sessions, from ``results.json``. Needs matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "reconciler"  # the same plot for the same results
from matplotlib import pyplot as plt  # noqa: E402

#: What is drawn: how the commands' names begin, the label, the colour and the marker.
SERIES = (
    ("plan ", "reconciler plan", "#0b6e4f", "o"),
    ("floor ", "the floor: parse, list, compare", "#8a8a8a", "s"),
    ("octoDNS ", "octoDNS", "#c8553d", "^"),
)


def main(results: Path, target: Path) -> None:
    document = json.loads(results.read_text())
    figure, (time, memory) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for start, label, color, marker in SERIES:
        points = sorted(
            (command["sessions"], command["runs"])
            for command in document["commands"]
            if command["name"].startswith(start)
            and command["name"].endswith("no latency")
            and command["sessions"]
            and command["runs"]
        )
        style: dict[str, Any] = {"label": label, "color": color, "marker": marker, "markersize": 4}
        sessions = [count for count, _ in points]
        time.plot(sessions, [median(run["wall"] for run in runs) for _, runs in points], **style)
        memory.plot(sessions, [median(run["peak"] for run in runs) / 2**20 for _, runs in points], **style)
    for axes, title, unit in ((time, "time", "seconds"), (memory, "peak memory", "MiB")):
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="sessions",
            ylabel=unit,
            title=f"A plan with no changes: {title}",
        )
        axes.grid(visible=True, which="major", linewidth=0.4, color="#dddddd")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
