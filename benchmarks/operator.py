"""``make bench-operator``: hundreds of catalogs over a few accounts, kept by the operator on a real control plane.

It prints each figure with its goal. Calls are counted in the log of the service, writes of a status by the API server,
CPU time and memory by the kernel. The exit code is 1 if a goal is missed. It needs the control plane of the tests
(``KUBEBUILDER_ASSETS``, see ``CONTRIBUTING.md``).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.operator_world import Catalog, World, world
from tests.operator.plane import missing


@dataclass
class Figures:
    """Prints figures beside their goals, and notes whether one was missed."""

    missed: bool = False

    def show(self, title: str, value: float, unit: str, most: float) -> None:
        ok = value <= most
        self.missed |= not ok
        print(f"{title:<58}{value:>9,.2f} {unit:<9} ≤ {most:<7g}{'' if ok else 'MISSED'}", flush=True)

    def note(self, title: str, text: str) -> None:
        print(f"{title:<58}{text}", flush=True)


@dataclass
class Bench:
    """The phases, in their order."""

    world: World
    figures: Figures = field(default_factory=Figures)
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def first_sync(self) -> None:
        """All resources are created while the operator runs, as ``kubectl apply`` does it."""
        it = self.world
        for account in it.accounts:
            it.secret(account.name, account, account.key)
        began, cpu = time.monotonic(), it.operator.cpu()
        for one in it.catalogs:
            it.add(one, one.account.name)
        created = time.monotonic() - began

        def synced() -> bool:
            reasons = it.reasons("Synced")
            return all(reasons.get(one.name) == "InSync" for one in it.catalogs)

        took = created + it.wait("all are in sync", synced, seconds=600, every=1.0)
        calls, sessions = it.calls(), sum(len(one.made) for one in it.catalogs)
        self.figures.show("first sync of all", took, "s", 60)
        self.figures.show("calls to the service for each session", calls.total() / sessions, "calls", 1.3)
        self._tell(calls)
        self.figures.note("  CPU time of the operator", f"{it.operator.cpu() - cpu:9,.2f} s")
        self.figures.note("  its memory at the peak", f"{it.operator.memory('VmHWM'):9,.0f} MB")

    def _tell(self, calls: Counter[str]) -> None:
        told = ", ".join(f"{count:,} {name}" for name, count in calls.most_common())
        self.figures.note("  by operation", told)

    def steady(self, intervals: int) -> None:
        """Nothing changes."""
        it = self.world
        time.sleep(2 * it.interval)  # what the first sync left to do is done with the next looks
        calls, cpu, writes, began = it.calls(), it.operator.cpu(), it.status_writes(), time.monotonic()
        most, ends = 0.0, began + intervals * it.interval - 1.5  # no look of a further interval fits in
        while time.monotonic() < ends:
            time.sleep(1)
            most = max(most, it.operator.memory())
        took = time.monotonic() - began
        new, used = it.calls() - calls, it.operator.cpu() - cpu
        per = new.total() / len(it.accounts) / intervals
        show = self.figures.show
        show("nothing changes: calls for each account and interval", per, "calls", 2)
        self._tell(new)
        show("nothing changes: CPU", 100 * used / took, "% a core", 5)
        show("nothing changes: resident memory", most, "MB", 250)
        writes = it.status_writes() - writes
        show(
            "nothing changes: status writes for each catalog and hour",
            writes / len(it.catalogs) * 3600 / took,
            "",
            1,
        )

    def edits(self, count: int, gap: float) -> None:
        """Catalogs are edited, one after the other, without waiting for the one before."""
        for where, kind in ((False, "a folder"), (True, "a ConfigMap")):
            chosen = self._chosen(count if not where else count // 4, [where])
            took = self._timed(chosen, gap, lambda one: one.write(f"Edited: {one.name}."), seconds=60)
            title = f"edit of {kind} to written, p95 of {len(took)}"
            self.figures.show(title, quantile(took, 0.95), "s", 3)
            self.figures.note("  the median", f"{quantile(took, 0.5):9,.2f} s")

    def drift(self, count: int, gap: float) -> None:
        """Sessions are changed in a console."""
        most = self.world.interval + 3
        took = self._timed(self._chosen(count, [False, True]), gap, Catalog.drift, seconds=most * 2)
        self.figures.show(f"drift to repaired, the longest of {count}", max(took), "s", most)

    def _chosen(self, count: int, in_config_maps: Sequence[bool]) -> list[Catalog]:
        some = [one for one in self.world.catalogs if (one.plane is not None) in in_config_maps]
        return self.dice.sample(some, min(count, len(some)))

    def _timed(
        self, chosen: Sequence[Catalog], gap: float, do: Callable[[Catalog], None], *, seconds: float
    ) -> list[float]:
        """Do something to catalogs at random moments, ``gap`` seconds apart on average. Returns how long it takes each
        time until the session is what its catalog says (seconds)."""
        at = time.monotonic()
        due = [(at := at + self.dice.uniform(0, 2 * gap), one) for one in chosen]
        began: dict[str, float] = {}
        took: dict[str, float] = {}
        while len(took) < len(chosen) and time.monotonic() < at + seconds:
            while due and due[0][0] <= time.monotonic():
                _, one = due.pop(0)
                do(one)
                began[one.name] = time.monotonic()
            for one in chosen:
                if one.name in began and one.name not in took and one.live == one.prompt:
                    took[one.name] = time.monotonic() - began[one.name]
            time.sleep(0.02)
        return [took.get(one.name, float("inf")) for one in chosen]

    def mended(self) -> None:
        """A Secret with a wrong key is corrected."""
        it, one = self.world, self.world.extra
        it.secret("mended", one.account, "sk-wrong")
        it.add(one, "mended")
        it.wait("the key is refused", lambda: it.reasons("Ready")[one.name] == "Unauthorized", seconds=60)
        time.sleep(3)
        it.secret("mended", one.account, one.account.key)
        took = it.wait(
            "the key works", lambda: it.reasons("Ready")[one.name] == "Succeeded", seconds=60, every=0.2
        )
        self.figures.show("a mended Secret", took, "s", 5)


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that so many of the values are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operator", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--catalogs", type=int, default=300)
    parser.add_argument("--sessions", type=int, default=20, help="of each catalog")
    parser.add_argument("--accounts", type=int, default=3)
    parser.add_argument("--interval", type=int, default=30, metavar="SECONDS", help="of each catalog")
    parser.add_argument("--intervals", type=int, default=3, help="how many are watched while nothing changes")
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--drifts", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="30 catalogs, 10 edits, in two minutes")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep the operator's log")
    asked = parser.parse_args()
    if why := missing():
        print(why, file=sys.stderr)
        return 2
    if asked.quick:
        asked.catalogs, asked.interval, asked.intervals, asked.edits, asked.drifts = 30, 10, 3, 10, 5
    with (
        tempfile.TemporaryDirectory(prefix="reconciler-bench-") as folder,
        world(
            Path(folder),
            count=asked.catalogs,
            size=asked.sessions,
            accounts=asked.accounts,
            interval=asked.interval,
        ) as it,
    ):
        bench = Bench(it)
        try:
            print(
                f"{asked.catalogs} catalogs of {asked.sessions} sessions over {asked.accounts} accounts, "
                f"interval {asked.interval} s"
            )
            bench.first_sync()
            bench.steady(asked.intervals)
            bench.edits(asked.edits, 1.0)
            bench.drift(asked.drifts, 1.0)
            bench.mended()
        finally:
            if asked.log is not None:
                asked.log.write_bytes(it.operator.log.read_bytes())
    return 1 if bench.figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
