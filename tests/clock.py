"""A clock to put in where waiting is not what a test is about."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from reconciler.api.rate_limit import RateLimiter
from reconciler.server import lag


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


def put_in(patch: pytest.MonkeyPatch) -> Clock:
    """Put a clock into every rate limiter of this process, and into its server where that is late.

    Renewals of a lock keep to the real clock.
    """
    clock = Clock()

    def sleep(limiter: RateLimiter, seconds: float) -> None:
        clock.skip(seconds)
        limiter.stop.sleep(0)

    patch.setattr(RateLimiter, "now", lambda _: clock.now())
    patch.setattr(RateLimiter, "sleep", sleep)
    patch.setattr(lag, "time", SimpleNamespace(monotonic=clock.now))
    return clock
