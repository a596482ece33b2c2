"""A process that is suspended, and wakes when another one leads."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from reconciler.server import LoggedRequest, RunningServer
from tests.faults.tally import Tally
from tests.operator.conftest import documents, eventually
from tests.operator.plane import Plane
from tests.operator.replicas import Replica, Stage, never_both, stage


class Suspender:
    """Suspends a process when the nth request of an operation arrives. The request is answered nevertheless."""

    def __init__(self, server: RunningServer, operation: str, nth: int, pid: int) -> None:
        self.struck = threading.Event()
        self.at = 0.0  # as in the log of the service
        self._operation, self._left, self._pid = operation, nth, pid
        server.before.append(self._see)

    def _see(self, entry: LoggedRequest) -> None:
        self._left -= entry.operation == self._operation
        if not self._left and not self.struck.is_set():
            os.kill(self._pid, signal.SIGSTOP)
            self.at = time.time()
            self.struck.set()


#: Requests of an apply that may be the last ones before the suspension: operation and how often it has come.
_POINTS = [("create_session", 2), ("list_messages", 1)]
_OTHERS = [("create_session", 1), ("create_session", 3), ("delete_session", 1), ("delete_session", 2)]
_OTHERS += [("list_messages", 3)]
_OTHERS += [("update_session", number) for number in range(1, 4)]
_OTHERS += [("list_sessions", number) for number in range(1, 12)]


@pytest.mark.parametrize(
    ("operation", "nth"), [*_POINTS, *(pytest.param(*one, marks=pytest.mark.full) for one in _OTHERS)]
)
def test_a_suspended_process_writes_nothing_after_another_one_took_over(
    cluster: Plane, tmp_path: Path, tally: Tally, operation: str, nth: int
) -> None:
    with stage(cluster, tmp_path, tally) as here:
        first = here.start("first")
        first.says("leading")
        second = here.start("second")
        second.says("standing by")
        suspender = Suspender(here.world.server, operation, nth, first.process.pid)
        here.add()
        assert suspender.struck.wait(20), here.logs()
        second.says("leading")
        wakes_and_writes_nothing(here, first)
        eventually(lambda: here.requests(second) != [])  # nothing may be left for it to write
        never_both(here, first, second, until=suspender.at + 0.5)  # what was sent by then was on its way
        assert second.end() == 0
        assert "Traceback" not in here.logs()
        here.judge()


def wakes_and_writes_nothing(here: Stage, replica: Replica) -> None:
    """It continues, and ends without a write. Another one does all that is to be done."""
    before = len(here.writes(replica))
    os.kill(replica.process.pid, signal.SIGCONT)
    assert replica.process.wait(30) == 1
    assert replica.said("the lease was lost")
    here.is_done()
    assert here.writes(replica)[before:] == []


def test_a_suspended_process_of_another_number_of_shards_writes_nothing_when_it_wakes(
    cluster: Plane, tmp_path: Path, tally: Tally
) -> None:
    """Nobody took its lease: the others have leases of other names."""
    with stage(cluster, tmp_path, tally) as here:
        for document in documents("options/shards/role.yaml"):
            cluster.create(document, here.namespace)
        old = here.start("old")
        old.says("leading")
        new = [here.start(f"new-{index}", f"new-{index}", f"--shard={index}/2") for index in range(2)]
        for one in new:
            one.says("reconciler-operator: 1 shard, and here are 2")
        suspender = Suspender(here.world.server, "create_session", 2, old.process.pid)
        here.add()
        assert suspender.struck.wait(20), here.logs()
        for one in new:
            one.says("leading")
        wakes_and_writes_nothing(here, old)
        assert old.said("it was not renewed in time")
        assert sorted(len(here.requests(one)) > 0 for one in new) == [False, True]
        assert [one.end() for one in new] == [0, 0]
        assert "Traceback" not in here.logs()
        here.judge()
