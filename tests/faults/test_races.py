"""Several concurrent applies of one catalog, and a third party that creates and deletes sessions meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.ownership.remark import parse_remark
from reconciler.server import LoggedRequest, RunningServer
from tests.faults.conftest import FLAGS
from tests.faults.tally import Tally
from tests.faults.world import WANTED, WRITES, Run, World, open_world, write_catalog
from tests.support import session_of

ROUNDS = 50
FEW = 2


class ThirdParty(threading.Thread):
    """Makes sessions of its own, some of them namesakes of ours, and deletes half of them again.

    Busy for a moment, then quiet for one: no list could be read else on a machine that is slow enough.
    """

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self._world = world
        self._over = threading.Event()

    def run(self) -> None:
        store = self._world.store
        number = 0
        while not self._over.wait(0.03 if number % 12 else 1.5):
            number += 1
            session_id = store.insert_session(
                name=f"New{number % 9}", prompt=f"theirs {number}", remark="不是你的"
            )
            if number % 2:
                store.delete_session(session_id)
            else:
                row = store.session(session_id)
                assert row is not None
                self._world.bystanders[session_id] = row

    def end(self) -> None:
        self._over.set()
        self.join()


class Watch:
    """Which run writes when: that of the first server, of the second, and so on; writes to locks aside."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.order: list[int] = []

    def over(self, server: RunningServer, run: int) -> None:
        writing: set[int] = set()

        def begins(entry: LoggedRequest) -> None:
            if entry.operation in WRITES and not self._is_lock(entry):
                writing.add(entry.number)
                self.order.append(run)

        def ends(entry: LoggedRequest) -> None:
            if entry.number in writing:
                self.order.append(run)

        server.before.append(begins)
        server.done.append(ends)

    def _is_lock(self, entry: LoggedRequest) -> bool:
        body, number = entry.body or {}, session_of(entry)
        row = None if number is None else self._world.store.session(number)
        remarks = (body.get("session_remark"), row.remark if row else None)
        return any(parse_remark(text if isinstance(text, str) else None).lock is not None for text in remarks)

    def interleaved(self) -> bool:
        """Whether a run wrote between two writes of another."""
        turns = [run for number, run in enumerate(self.order) if number == 0 or self.order[number - 1] != run]
        return len(turns) != len(set(turns))


@contextmanager
def race(folder: Path, tally: Tally, processes: int) -> Iterator[tuple[World, list[RunningServer], Watch]]:
    """A world with a server for each process, all of them over the same rows."""
    with open_world(folder, tally, flags=FLAGS, db=folder / "live.db") as world, ExitStack() as stack:
        world.seed()
        servers = [stack.enter_context(world.other_server()) for _ in range(processes)]
        watch = Watch(world)
        for run, server in enumerate(servers):
            watch.over(server, run)
        yield world, servers, watch


def all_at_once(world: World, commands: list[list[str]]) -> list[Run]:
    runs = []
    with ExitStack() as stack:
        processes = [stack.enter_context(world.start(*command)) for command in commands]
        for process in processes:
            out, err = process.communicate(timeout=120)
            runs.append(Run(process.returncode, out, err, []))
    return runs


def rounds() -> list[object]:
    return [
        pytest.param(number, marks=() if number < FEW else (pytest.mark.full,)) for number in range(ROUNDS)
    ]


@pytest.mark.parametrize("number", rounds())
@pytest.mark.parametrize("processes", [2, 5])
def test_without_a_lock_the_next_apply_converges(
    tmp_path: Path, tally: Tally, processes: int, number: int
) -> None:
    with race(tmp_path, tally, processes) as (world, servers, _):
        third = ThirdParty(world)
        third.start()
        commands = [
            world.applying("--state-dir", str(tmp_path / f"machine{run}/.reconciler"), server=server)
            for run, server in enumerate(servers)
        ]
        for run in all_at_once(world, commands):
            world.check(run, 0, 1, 3, 4, converged=lambda: True)
        third.end()
        # Each of them may have made everything: the extra ones go under the delete guards, which are asked to let them.
        world.close(world.apply("--max-deletes", "1000"))


@pytest.mark.parametrize("number", rounds())
@pytest.mark.parametrize("processes", [2, 5])
def test_with_the_lock_one_writes_after_the_other(
    tmp_path: Path, tally: Tally, processes: int, number: int
) -> None:
    """Each of another version of the catalog, so that each has something to write."""
    with race(tmp_path, tally, processes) as (world, servers, watch):
        third = ThirdParty(world)
        third.start()
        commands = []
        for run, server in enumerate(servers):
            folder = tmp_path / f"version{run}"
            write_catalog(folder, [replace(one, prompt=f"{one.prompt} ({run})") for one in WANTED])
            commands.append(world.applying("--lock", "--lock-timeout", "100", what=folder, server=server))
        runs = all_at_once(world, commands)
        third.end()
        for run in runs:
            world.check(run, 0, 1, 4, converged=lambda: True)
        assert watch.order and not watch.interleaved(), watch.order
        assert not world.duplicates()
        assert not [row for row in world.store.sessions() if row.name.startswith("reconciler lock: shop")]
        world.close(world.apply("--lock"))
