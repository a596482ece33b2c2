"""What composition costs: 5,000 sessions on five layers of templates, beside the same catalog written out flat.

``python -m benchmarks.layers`` prints the median CPU time of loading each, in turn, and their ratio.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

from reconciler.catalog import load_catalog

SESSIONS, FILES, RUNS = 5_000, 10, 7
_WORDS = [
    "a",
    "persona",
    "that",
    "answers",
    "kindly",
    "and",
    "briefly",
    "with",
    "care",
    "about",
    "books",
    "and",
    "people",
]


def write(root: Path, *, layered: bool) -> None:
    """A catalog in a folder; the same one either way."""
    chance = random.Random(1)
    (root / "sessions").mkdir(parents=True)
    head = "version: 1\ncatalog: layers\n"
    if layered:
        head += "templates:\n  t0: {model: m, parameters: {temperature: 0.1}, data: {a: 1}}\n"
        for layer in range(1, 5):
            head += (
                f"  t{layer}: {{extends: t{layer - 1}, parameters: {{max_tokens: {layer}00}}, "
                f"data: {{b: {layer}}}, remark: {{k{layer}: v}}}}\n"
            )
    (root / "catalog.yaml").write_text(head, encoding="utf-8")
    for file in range(FILES):
        text = "sessions:\n"
        for number in range(file * SESSIONS // FILES, (file + 1) * SESSIONS // FILES):
            prompt = " ".join(chance.choices(_WORDS, k=100))
            text += f"  s{number}:\n    name: S {number}\n    prompt: |\n      {prompt}\n"
            text += (
                "    extends: t4\n"
                if layered
                else "    model: m\n    parameters: {temperature: 0.1, max_tokens: 400}\n"
                "    data: {a: 1, b: 4}\n    remark: {k1: v, k2: v, k3: v, k4: v}\n"
            )
        (root / "sessions" / f"{file}.yaml").write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        roots = {"flat": Path(folder, "flat"), "layered": Path(folder, "layered")}
        times: dict[str, list[float]] = {kind: [] for kind in roots}
        for kind, root in roots.items():
            write(root, layered=kind == "layered")
        assert load_catalog(roots["flat"]).sessions == load_catalog(roots["layered"]).sessions
        for _ in range(RUNS):
            for kind, root in roots.items():
                start = time.process_time()
                load_catalog(root)
                times[kind].append(time.process_time() - start)
        flat, layered = (statistics.median(times[kind]) for kind in ("flat", "layered"))
        print(f"{SESSIONS:,} sessions, flat: {flat * 1000:.0f} ms; on five layers: {layered * 1000:.0f} ms")
        print(f"ratio {layered / flat:.2f} (goal: at most 1.5)")


if __name__ == "__main__":
    main()
