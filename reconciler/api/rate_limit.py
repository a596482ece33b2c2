"""How fast to go: as fast as the server allows.

Until the server objects there is no limit but the number of workers. When it does (429, 503), the rate is halved
(multiplicative decrease); with every success it grows a little (additive increase, about one request a second each
second), so that the pool finds the server's limit and stays just under it. A ``Retry-After`` holds everybody back, and
whoever was waiting for a turn that falls into it gets another.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque

from reconciler.api.cancellation import Cancellation


class RateLimiter:
    """Shared by all workers of a run. All times are in seconds of :meth:`now`.

    A test overrides :meth:`now` and :meth:`sleep` to put in another clock.
    """

    _SLOWEST = 0.5  # requests a second
    _LEAST = 4.0  # what a server is thought to do that objects to the first of them

    def __init__(self, stop: Cancellation | None = None) -> None:
        self._lock = threading.Lock()
        self.stop = stop or Cancellation()
        self._rate: float | None = None  # requests a second; None while there is no limit
        self._next = 0.0  # when the next request may start
        self._held = 0.0  # no request starts before that: a Retry-After
        self._round = 0  # turns that were given in an earlier round are void
        self._slowed = 0.0  # when the rate was last halved
        self._successes: deque[float] = deque()  # when requests of the last second came through

    def wait(self) -> float:
        """Wait for this caller's turn. Returns when the request started, to be given back to the calls below.

        Raises:
            Interrupted: the run was asked to stop.
        """
        while True:
            with self._lock:
                now = self.now()
                start = max(now, self._next)
                if self._rate is not None:
                    self._next = start + 1 / self._rate
                given = self._round
            self.sleep(start - now)
            with self._lock:
                if given == self._round:
                    return self.now()

    def succeeded(self) -> None:
        """A request came through."""
        with self._lock:
            now = self.now()
            self._successes.append(now)
            if self._rate is not None:
                # What came through in the last second, the server can do: half of it is never too fast.
                self._rate = max(self._rate + 1 / self._rate, self._observed(now) / 2)

    def throttled(self, started: float, retry_after: float | None) -> None:
        """The server asked to slow down, answering a request that started then."""
        with self._lock:
            now = self.now()
            # A limit of so many a second takes a second to forget: what was sent before, or sooner, is no news.
            news = self._rate is None or started >= self._slowed + 1.0
            if news:
                self._slowed = now
                current = self._rate if self._rate is not None else max(self._LEAST, self._observed(now))
                self._rate = max(self._SLOWEST, current / 2)
            until = now + (retry_after or 0.0)
            if news or until > self._held:
                self._held = max(self._held, until)
                self._next = max(self._held, now + 1 / (self._rate or self._SLOWEST))
                self._round += 1

    def _observed(self, now: float) -> float:
        """How many requests came through in the last second."""
        while self._successes and now - self._successes[0] >= 1.0:
            self._successes.popleft()
        return float(len(self._successes))

    def uncancellable(self) -> RateLimiter:
        """A limiter for calls that go on when this one's run is asked to stop. It starts without a limit."""
        return RateLimiter()

    def now(self) -> float:
        """The time in seconds. Only differences mean anything: it is the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than until the run is asked to stop.

        Raises:
            Interrupted: it was.
        """
        self.stop.sleep(seconds)


def backoff(attempt: int, base: float = 0.25, cap: float = 8.0) -> float:
    """How long to wait before the given attempt (from 1 on): growing, and never the same for two callers."""
    longest = min(cap, base * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
