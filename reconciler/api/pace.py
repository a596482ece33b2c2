"""How fast to go: as fast as the server allows.

Until the server objects there is no limit but the number of workers. When it does (429, 503), the rate is halved
(multiplicative decrease); with every success it grows a little (additive increase, about one request a second each
second), so that the pool finds the server's limit and stays just under it. A ``Retry-After`` holds everybody back.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque

from reconciler.api.stop import Stop


class Pace:
    """Shared by all workers of a run. All times are in seconds of the monotonic clock."""

    _SLOWEST = 0.5  # requests a second

    def __init__(self, stop: Stop | None = None) -> None:
        self._lock = threading.Lock()
        self._stop = stop or Stop()
        self._rate: float | None = None  # requests a second; None while there is no limit
        self._next = 0.0  # when the next request may start
        self._slowed = 0.0  # when the rate was last halved
        self._successes: deque[float] = deque(maxlen=64)

    def wait(self) -> float:
        """Wait for this caller's turn. Returns when the request started, to be given back to the calls below.

        Raises:
            Interrupted: the run was asked to stop.
        """
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            if self._rate is not None:
                self._next = start + 1 / self._rate
        self.sleep(start - now)
        return time.monotonic()

    def succeeded(self) -> None:
        """A request came through."""
        with self._lock:
            self._successes.append(time.monotonic())
            if self._rate is not None:
                self._rate += 1 / self._rate

    def throttled(self, started: float, retry_after: float | None) -> None:
        """The server asked to slow down, answering a request that started then."""
        with self._lock:
            now = time.monotonic()
            if retry_after:
                self._next = max(self._next, now + retry_after)
            if started < self._slowed:
                return  # it was sent before the pool slowed down: no news
            self._slowed = now
            current = self._rate if self._rate is not None else self._observed(now)
            self._rate = max(self._SLOWEST, current / 2)
            self._next = max(self._next, now + 1 / self._rate)

    def _observed(self, now: float) -> float:
        recent = [when for when in self._successes if now - when < 1.0]
        return max(4.0, float(len(recent)))

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than until the run is asked to stop.

        Raises:
            Interrupted: it was.
        """
        self._stop.sleep(seconds)


def pause_before(attempt: int, base: float = 0.25, cap: float = 8.0) -> float:
    """How long to wait before the given attempt (from 1 on): growing, and never the same for two callers."""
    longest = min(cap, base * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
