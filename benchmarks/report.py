"""The results as one JSON document, and that document as Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import tags
from benchmarks.catalogs import LENGTH
from benchmarks.measure import HERE, Run
from benchmarks.table import Command, Figure, Row, figure, rows

_PACKAGES = ("click", "PyYAML", "requests", "urllib3", "jsonschema-rs", "jsonschema")


def document(
    wanted: list[Command],
    runs: dict[str, list[Run]],
    failed: dict[str, str],
    tools: dict[str, str],
    *,
    quick: bool,
) -> dict[str, Any]:
    """All measurements, and the machine and the versions that they were taken with."""
    counts = {one.name: one.workload.count for one in wanted if one.workload is not None}
    return {
        "quick": quick,
        "commit": _commit(),
        "machine": _machine(),
        "versions": {"python": platform.python_version(), **_versions(), **tools},
        "rows": [
            _row(row, figure(row, runs, counts, LENGTH), runs, failed)
            for row in rows(quick)
            if row.ours in runs or row.ours in failed
        ]
        + [tags.row()],
        "commands": [
            {
                "name": one.name,
                "sessions": counts.get(one.name),
                "latency_ms": one.latency if one.workload is not None else None,
                "runs": [
                    {"wall": round(run.wall, 4), "cpu": round(run.cpu, 4), "peak": run.peak}
                    | ({} if run.writes is None else {"writes": round(run.writes, 4)})
                    for run in runs.get(one.name, ())
                ],
                "failed": failed.get(one.name),
            }
            for one in wanted
        ],
    }


def _row(
    row: Row, found: Figure | None, runs: dict[str, list[Run]], failed: dict[str, str]
) -> dict[str, Any]:
    sides = [
        median(run.wall for run in runs[name]) if runs.get(name) else None for name in (row.ours, row.theirs)
    ]
    return {
        "title": row.title,
        "against": row.against,
        "goal": row.goal,
        "how": row.how,
        "bound": row.bound,
        "figure": None if found is None else round(found.value, 3),
        "low": None if found is None else round(found.low, 3),
        "high": None if found is None else round(found.high, 3),
        "cpu": None if found is None or found.cpu is None else round(found.cpu, 3),
        "miss": "" if found is None else found.miss,
        "seconds": _writing(runs[row.ours])
        if row.how == "writes of a time" and row.ours in runs
        else sides[0],
        "against_seconds": row.seconds or sides[1],
        "peak": max((run.peak for run in runs.get(row.ours, ())), default=None),
        "missing": failed.get(row.theirs) or failed.get(row.ours),
    }


def _writing(runs: list[Run]) -> float:
    return median(run.writes or run.wall for run in runs)


def markdown(document: dict[str, Any]) -> str:
    """The document as Markdown."""
    machine, versions = document["machine"], document["versions"]
    lines = [
        "# Results",
        "",
        f"Made by `make bench{'-quick' if document['quick'] else ''}` at commit {document['commit']}, "
        f"in {document['took'] // 60} min {document['took'] % 60} s.",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}. "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + ".",
        "",
        "| measured | against | goal | figure | least – most | in CPU | ours | other | |",
        "|---|---|---|--:|--:|--:|--:|--:|---|",
    ]
    lines += [_line(row) for row in document["rows"]]
    lines += [
        "",
        "Figures are medians of ratios, each of two runs next to each other; times are medians of whole processes.",
        "",
        "| command | sessions | latency | runs | wall | least – most | CPU | peak |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for command in document["commands"]:
        runs = command["runs"]
        if not runs:
            continue
        walls = [run["wall"] for run in runs]
        sessions = "" if command["sessions"] is None else f"{command['sessions']:,}"
        latency = "" if command["latency_ms"] is None else f"{command['latency_ms']} ms"
        lines.append(
            f"| {command['name']} | {sessions} | {latency} | {len(runs)} | {_seconds(median(walls))} "
            f"| {_seconds(min(walls))} – {_seconds(max(walls))} | {_seconds(median(run['cpu'] for run in runs))} "
            f"| {median(run['peak'] for run in runs) / 2**20:.0f} MiB |"
        )
    if not document["quick"]:
        lines += ["", "![Sessions against time and memory](growth.svg)"]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    start = f"| {row['title']} | {row['against']} | {row['goal']} "
    ours, other = _seconds(row["seconds"]), _seconds(row["against_seconds"])
    if row["figure"] is None:
        return f"{start}| – | | | {ours} | {other} | {row['missing'] or 'not run'} |"
    if row["how"] == "alone":
        return f"{start}| {row['peak'] / 2**30:.2f} GiB | | | {ours} | | |"
    verdict = f"misses by {row['miss']}" if row["miss"] else "met" if row["bound"] is not None else ""
    if row["how"] == "bytes":
        return f"{start}| **{row['figure']}** | {row['low']} – {row['high']} | | | | {verdict} |"
    cpu = "" if row["cpu"] is None else f"{row['cpu']:.2f}"
    spread = f"{row['low']:.2f} – {row['high']:.2f}"
    return f"{start}| **{row['figure']:.2f}** | {spread} | {cpu} | {ours} | {other} | {verdict} |"


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    import yaml

    found["libyaml"] = yaml.__with_libyaml__ and yaml._yaml.get_version_string()  # type: ignore[attr-defined]
    return found


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or sys.platform


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
