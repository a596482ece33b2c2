"""What may go wrong around the operator: it is suspended, restarted, lacks rights, or meets an error nobody expected."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.controller.events import Event
from reconciler.controller.rule import Rule
from reconciler.operator import runner as runners
from reconciler.operator.inputs import Inputs
from reconciler.operator.resource import Account, read_resource
from reconciler.operator.runner import Runner, Surroundings
from reconciler.operator.unexpected import survived
from reconciler.server import LoggedRequest, RunningServer
from tests.faults.tally import Tally
from tests.faults.world import WRITES
from tests.operator.conftest import NUMBERS, Operator, World, documents, eventually, follow, start
from tests.operator.plane import Plane, free_port
from tests.operator.replicas import Stage, stage
from tests.support import API_KEY

# A process that is suspended


class Suspender:
    """Suspends a process when the nth request of an operation arrives. The request is answered nevertheless."""

    def __init__(self, server: RunningServer, operation: str, nth: int, pid: int) -> None:
        self.struck = threading.Event()
        self._operation, self._left, self._pid = operation, nth, pid
        server.before.append(self._see)

    def _see(self, entry: LoggedRequest) -> None:
        self._left -= entry.operation == self._operation
        if not self._left and not self.struck.is_set():
            os.kill(self._pid, signal.SIGSTOP)
            self.struck.set()


#: Each request of an apply that may be the last one before the suspension: operation and how often it has come.
_POINTS = [("create_session", 1), ("create_session", 2), ("list_messages", 1), ("update_session", 2)]
_OTHERS = [("create_session", 3), ("delete_session", 1), ("delete_session", 2), ("list_messages", 3)]
_OTHERS += [("update_session", number) for number in (1, 3, 4)]
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
        before = len(here.writes(first))
        os.kill(first.process.pid, signal.SIGCONT)
        assert first.process.wait(30) == 1
        assert first.said("the lease was lost: another process may write now")
        here.is_done()
        assert here.writes(first)[before:] == []
        assert second.end() == 0
        assert "Traceback" not in here.logs()
        here.judge()
