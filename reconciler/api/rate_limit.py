"""Limits the rate of requests to what the server allows.

There is no limit until the server throttles (429, 503). Then the rate is halved (multiplicative decrease), and grows
with every success (additive increase, by about one request per second each second). So the pool finds the server's
limit and stays just below it. A ``Retry-After`` pauses every caller, and callers that waited for a turn during the
pause get a new one.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from reconciler.api.cancellation import Cancellation


class RateLimiter:
    """Shared by all workers of a run. All times are in seconds of :meth:`now`.

    Tests override :meth:`now` and :meth:`sleep` to replace the clock.
    """

    _SLOWEST = 0.5  # requests a second
    _LEAST = 4.0  # the assumed rate of a server that throttles the first request

    def __init__(self, stop: Cancellation | None = None) -> None:
        self._lock = threading.Lock()
        self.stop = stop or Cancellation()
        self._rate: float | None = None  # requests a second; None while there is no limit
        self._next = 0.0  # when the next request may start
        self._held = 0.0  # no request starts before that: a Retry-After
        self._round = 0  # turns of earlier rounds are void
        self._slowed = 0.0  # when the rate was last halved
        self._successes: deque[float] = deque()  # when the successful requests of the last second ended

    def wait(self) -> float:
        """Wait for this caller's turn. Returns the start of the request, to be passed to the methods below.

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
        """Note a successful request."""
        with self._lock:
            now = self.now()
            self._successes.append(now)
            if self._rate is not None:
                # The server can do what it did in the last second, so half of that is never too fast.
                self._rate = max(self._rate + 1 / self._rate, self._observed(now) / 2)

    def throttled(self, started: float, retry_after: float | None) -> None:
        """Note that the server throttled a request that started then."""
        with self._lock:
            now = self.now()
            # A limit per second needs a second to recover: earlier requests, and those right after, tell nothing new.
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
        """How many requests succeeded in the last second."""
        while self._successes and now - self._successes[0] >= 1.0:
            self._successes.popleft()
        return float(len(self._successes))

    def uncancellable(self) -> RateLimiter:
        """A limiter for calls that continue after the run was asked to stop. It starts without a limit."""
        return RateLimiter()

    def now(self) -> float:
        """The time of the monotonic clock, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, until the run is asked to stop at the latest.

        Raises:
            Interrupted: the run was asked to stop.
        """
        self.stop.sleep(seconds)
