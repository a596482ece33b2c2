from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.api.rate_limit import RateLimiter
from reconciler.server import lag
from tests.faults.tally import Tally
from tests.faults.world import World, open_world

#: Short waits: what these tests are about does not depend on how long anybody is patient.
FLAGS = ("--settle", "0.3", "--retries", "2", "--connect-timeout", "5", "--read-timeout", "20")


class Clock:
    """The clock of this process and of its server. Nobody waits for it: a pause moves it on, and is over."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return time.monotonic() + self._skipped

    def skip(self, seconds: float) -> None:
        with self._lock:
            self._skipped += max(0.0, seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock put into every rate limiter of this process, and into its server where that is late.

    For commands that run in this process (:meth:`World.here`). Renewals of a lock keep to the real clock.
    """
    clock = Clock()

    def sleep(limiter: RateLimiter, seconds: float) -> None:
        clock.skip(seconds)
        limiter.stop.sleep(0)

    monkeypatch.setattr(RateLimiter, "now", lambda _: clock.now())
    monkeypatch.setattr(RateLimiter, "sleep", sleep)
    monkeypatch.setattr(lag, "time", SimpleNamespace(monotonic=clock.now))
    return clock


@pytest.fixture
def world(tmp_path: Path, tally: Tally) -> Iterator[World]:
    """A service in which an apply has six sessions to create, six to update and six to delete."""
    with open_world(tmp_path, tally, flags=FLAGS) as opened:
        opened.seed()
        yield opened
