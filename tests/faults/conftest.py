from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clock import Clock, put_in
from tests.faults.tally import Tally
from tests.faults.world import World, open_world

#: Short waits: what these tests are about does not depend on how long anybody is patient.
FLAGS = ("--settle", "0.3", "--retries", "2", "--connect-timeout", "5", "--read-timeout", "20")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock put in for commands that run in this process (:meth:`World.here`)."""
    return put_in(monkeypatch)


@pytest.fixture
def world(tmp_path: Path, tally: Tally) -> Iterator[World]:
    """A service in which an apply has six sessions to create, six to update and six to delete."""
    with open_world(tmp_path, tally, flags=FLAGS) as opened:
        opened.seed()
        yield opened
