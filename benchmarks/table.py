"""The commands to measure, and the rows of the table that compare them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias

from benchmarks.measure import HERE, Run

#: How often a command is run: in a whole benchmark, and with --quick.
Times: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Workload:
    """A generated catalog and its live sessions."""

    count: int
    changed: int = 0
    empty: bool = False

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.count}{f'-changed-{self.changed}' if self.changed else ''}{'-empty' if self.empty else ''}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is timed.

    ``arguments`` may name ``{folder}`` (the workload's), ``{url}``, ``{scratch}`` (an empty folder, new at each run)
    and ``{tools}``. ``expect`` is in the output of a successful run. A command that ``writes`` gets a new server for
    each run, as does one during which others create ``creates`` sessions a second. ``needs`` is the package that it
    requires.
    """

    name: str
    arguments: tuple[str, ...]
    expect: str
    times: Times
    workload: Workload | None = None
    latency: int = 0
    writes: bool = False
    creates: int = 0
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``how`` says how the figure is computed.

    If there is a goal, ``bound`` is the maximum of the figure, and ``within`` the maximum of our time in seconds.
    ``seconds`` is the time that "of a time" compares with.
    """

    title: str
    against: str
    goal: str
    ours: str
    theirs: str = ""
    how: Literal["ratio", "per session", "memory", "of a time", "writes of a time", "alone"] = "ratio"
    bound: float | None = None
    within: float | None = None
    seconds: float = 0.0


def reconciler(*arguments: str) -> tuple[str, ...]:
    return (str(Path(sys.executable).with_name("reconciler")), *arguments)


def script(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(HERE / name), *arguments)


def plan(name: str, workload: Workload, times: Times, latency: int = 0, creates: int = 0) -> Command:
    expect = f"{workload.count * workload.changed // 100} to update" if workload.changed else "No changes."
    arguments = reconciler("plan", "{folder}/catalog", "--endpoint", "{url}")
    return Command(name, arguments, expect, times, workload, latency, creates=creates)


def floor(name: str, workload: Workload, times: Times, latency: int = 0) -> Command:
    changed = workload.count * workload.changed // 100
    expect = f"{workload.count} wanted, {changed} changed, 0 more are live"
    return Command(name, script("floor.py", "{folder}/catalog", "{url}"), expect, times, workload, latency)


def octodns(name: str, workload: Workload, times: Times, latency: int = 0) -> Command:
    arguments = ("{tools}/bin/octodns-sync", "--config-file", "{scratch}/octodns.yaml")
    return Command(name, arguments, "No changes were planned", times, workload, latency, needs="octodns")


def apply(name: str, workload: Workload, times: Times, *flags: str) -> Command:
    arguments = reconciler(
        "apply",
        "{folder}/catalog",
        "--endpoint",
        "{url}",
        "--auto-approve",
        "--state-dir",
        "{scratch}",
        *flags,
    )
    return Command(name, arguments, f"{workload.count} applied", times, workload, 20, writes=True)


def ansible(name: str, workload: Workload, times: Times) -> Command:
    arguments = ("{tools}/bin/ansible-playbook", "-i", "localhost,", str(HERE / "peers" / "uri.yml"))
    arguments += ("-e", "url={url}", "-e", "sessions_file={folder}/calls.yml")
    return Command(name, arguments, "failed=0", times, workload, 20, writes=True, needs="ansible-core")


def commands(quick: bool) -> list[Command]:
    """All of them, in the order of a round."""
    small, usual = Workload(500), Workload(5_000)
    large = Workload(10_000 if quick else 50_000)
    huge = Workload(20_000 if quick else 200_000)
    changed = Workload(5_000, changed=10)
    creates = Workload(200 if quick else 1_000, empty=True)
    tasks = Workload(10 if quick else 500, empty=True)
    found = [
        Command("click", (sys.executable, "-c", "import click"), "", (15, 5)),
        Command("version", reconciler("--version"), "reconciler", (15, 5)),
        Command("help", reconciler("--help"), "Usage", (15, 5)),
        Command("validate", reconciler("validate", "{folder}/catalog"), "all valid", (9, 5), usual),
        Command("libyaml", script("yaml_load.py", "{folder}/catalog"), "", (9, 5), usual),
        plan("plan 500", small, (9, 3), 20),
        floor("floor 500", small, (9, 3), 20),
        plan("plan 5000, busy", usual, (9, 3), 20, creates=50),
        plan("plan 5000", usual, (9, 3), 20),
        floor("floor 5000", usual, (9, 3), 20),
        octodns("octoDNS 5000", usual, (3, 1), 20),
        plan("plan changed", changed, (9, 3), 20),
        floor("floor changed", changed, (9, 3), 20),
        plan("plan large", large, (5, 1), 20),
        floor("floor large", large, (5, 1), 20),
        plan("plan nothing, no latency", Workload(0), (5, 3)),
        plan("plan 500, no latency", small, (5, 1)),
        floor("floor 500, no latency", small, (3, 1)),
        octodns("octoDNS 500, no latency", small, (3, 1)),
        plan("plan 5000, no latency", usual, (5, 3)),
        floor("floor 5000, no latency", usual, (3, 1)),
        octodns("octoDNS 5000, no latency", usual, (3, 1)),
        plan("plan large, no latency", large, (3, 1)),
        floor("floor large, no latency", large, (3, 1)),
        plan("plan huge, no latency", huge, (3, 1)),
        floor("floor huge, no latency", huge, (1, 1)),
        apply("apply creates", creates, (5, 1), "--parallelism", "16"),
        Command(
            "floor creates",
            script("creates_floor.py", str(creates.count), "{url}"),
            f"{creates.count} made",
            (5, 1),
            creates,
            20,
            writes=True,
        ),
        apply("apply tasks", tasks, (3, 1)),
        ansible("ansible tasks", tasks, (1, 1)),
    ]
    if not quick:
        found.append(octodns("octoDNS large, no latency", large, (1, 0)))
        found.append(plan("plan million, no latency", Workload(1_000_000), (1, 0)))
    return found


def rows(quick: bool) -> list[Row]:
    """The table."""
    large = "10,000" if quick else "50,000"
    huge = "20,000" if quick else "200,000"
    creates = 200 if quick else 1_000
    tasks = 10 if quick else 500
    found = [
        Row(
            "`plan`, nothing changed, 5,000 sessions, 20 ms",
            "floor",
            "≤ 1.25",
            "plan 5000",
            "floor 5000",
            bound=1.25,
        ),
        Row(
            "the same while others create 50 sessions a second",
            "the same, quiet",
            "≤ 1.3",
            "plan 5000, busy",
            "plan 5000",
            bound=1.3,
        ),
        Row("the same, quiet", "octoDNS", "≤ 0.2", "plan 5000", "octoDNS 5000", bound=0.2),
        Row(f"the same, {large} sessions", "floor", "≤ 1.25", "plan large", "floor large", bound=1.25),
        Row(
            "`plan`, 10 % changed prompts, 5,000 sessions, 20 ms",
            "floor",
            "≤ 1.5",
            "plan changed",
            "floor changed",
            bound=1.5,
        ),
        Row(
            "`plan`, 500 sessions, 20 ms",
            "floor",
            "≤ 2, and under 0.5 s",
            "plan 500",
            "floor 500",
            bound=2,
            within=0.5,
        ),
        Row(
            f"time per session, {huge} against 5,000, no latency",
            "itself",
            "≤ 1.15",
            "plan huge, no latency",
            "plan 5000, no latency",
            "per session",
            1.15,
        ),
        Row(
            f"peak memory per session at {huge}, above the start-up size",
            "4 KiB and twice its text",
            "≤ 1",
            "plan huge, no latency",
            "plan nothing, no latency",
            "memory",
            1,
        ),
        Row(
            f"`apply`, {creates:,} creates, 20 ms, parallelism 16",
            f"{creates:,} × 20 ms / 16",
            "≤ 1.25",
            "apply creates",
            how="of a time",
            bound=1.25,
            seconds=creates * 0.02 / 16,
        ),
        Row(
            "the same, from its first write to its last",
            f"{creates:,} × 20 ms / 16",
            "≤ 1.25",
            "apply creates",
            how="writes of a time",
            bound=1.25,
            seconds=creates * 0.02 / 16,
        ),
        Row(
            "the same, beside bare connections to the same server",
            "floor",
            "–",
            "apply creates",
            "floor creates",
        ),
        Row(
            f"`apply`, {tasks} tasks, 20 ms",
            "Ansible `uri` in a loop",
            "≤ 0.1",
            "apply tasks",
            "ansible tasks",
            bound=0.1,
        ),
        Row(
            "`validate`, 5,000 sessions in 10 files",
            "libyaml load",
            "≤ 1.3",
            "validate",
            "libyaml",
            bound=1.3,
        ),
        Row("`--version`", '`python -c "import click"`', "≤ 1.5", "version", "click", bound=1.5),
        Row("`--help`", '`python -c "import click"`', "≤ 1.5", "help", "click", bound=1.5),
    ]
    if not quick:
        found.append(
            Row(
                "`plan`, 1,000,000 sessions, no latency",
                "–",
                "finishes",
                "plan million, no latency",
                how="alone",
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Figure:
    """A row's figure, with the least and the most that single pairs of runs gave.

    ``cpu`` is the same in computing time, where it is a ratio. ``miss`` says by how much it misses its goal.
    """

    value: float
    low: float
    high: float
    cpu: float | None = None
    miss: str = ""


def figure(row: Row, runs: dict[str, list[Run]], counts: dict[str, int], text: int) -> Figure | None:
    """The figure of a row, or None where something was not run. ``text`` is how many bytes a session's text has."""
    ours, theirs = runs.get(row.ours, []), runs.get(row.theirs, [])
    if not ours or (row.theirs and not theirs):
        return None
    pairs = list(zip(ours, theirs, strict=False))
    cpu = None
    if row.how == "alone":
        values = [run.wall for run in ours]
    elif row.how == "ratio":
        values = [ours.wall / theirs.wall for ours, theirs in pairs]
        cpu = median(ours.cpu / theirs.cpu for ours, theirs in pairs)
    elif row.how == "of a time":
        values = [run.wall / row.seconds for run in ours]
    elif row.how == "writes of a time":
        values = [(run.writes or run.wall) / row.seconds for run in ours]
    elif row.how == "per session":
        values = [
            (ours.wall / counts[row.ours]) / (theirs.wall / counts[row.theirs]) for ours, theirs in pairs
        ]
    else:
        least = median(run.peak for run in theirs)
        values = [(run.peak - least) / counts[row.ours] / (4096 + 2 * text) for run in ours]
    value = median(values)
    miss = ""
    if row.bound is not None and value > row.bound:
        miss = f"{value - row.bound:.2f}"
    if row.within is not None and (over := median(run.wall for run in ours) - row.within) > 0:
        miss = f"{over * 1000:.0f} ms"
    return Figure(value, min(values), max(values), cpu, miss)
