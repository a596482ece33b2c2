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
from copy import copy
from dataclasses import dataclass, field

from reconciler.api.cancellation import Cancellation


@dataclass(slots=True)
class _Pace:
    """What is known of the server's limit, for all who share it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    rate: float | None = None  # requests a second; None while there is no limit
    next: float = 0.0  # when the next request may start
    held: float = 0.0  # no request starts before that: a Retry-After
    round: int = 0  # turns of earlier rounds are void
    slowed: float = 0.0  # when the rate was last halved
    successes: deque[float] = field(default_factory=deque)  # when those of the last second ended


class RateLimiter:
    """Shared by all workers of a run. All times are in seconds of :meth:`now`.

    Tests override :meth:`now` and :meth:`sleep` to replace the clock.
    """

    _SLOWEST = 0.5  # requests a second
    _LEAST = 4.0  # the assumed rate of a server that throttles the first request

    def __init__(self, stop: Cancellation | None = None) -> None:
        self.stop = stop or Cancellation()
        self._pace = _Pace()

    def wait(self) -> float:
        """Wait for this caller's turn. Returns the start of the request, to be passed to the methods below.

        Raises:
            Interrupted: the run was asked to stop.
        """
        while True:
            with self._pace.lock:
                now = self.now()
                start = max(now, self._pace.next)
                if self._pace.rate is not None:
                    self._pace.next = start + 1 / self._pace.rate
                given = self._pace.round
            self.sleep(start - now)
            with self._pace.lock:
                if given == self._pace.round:
                    return self.now()

    def succeeded(self) -> None:
        """Note a successful request."""
        with self._pace.lock:
            now = self.now()
            self._pace.successes.append(now)
            if self._pace.rate is not None:
                # The server can do what it did in the last second, so half of that is never too fast.
                self._pace.rate = max(self._pace.rate + 1 / self._pace.rate, self._observed(now) / 2)

    def throttled(self, started: float, retry_after: float | None) -> None:
        """Note that the server throttled a request that started then."""
        with self._pace.lock:
            now = self.now()
            # A limit per second needs a second to recover: earlier requests, and those right after, tell nothing new.
            news = self._pace.rate is None or started >= self._pace.slowed + 1.0
            if news:
                self._pace.slowed = now
                current = (
                    self._pace.rate if self._pace.rate is not None else max(self._LEAST, self._observed(now))
                )
                self._pace.rate = max(self._SLOWEST, current / 2)
            until = now + (retry_after or 0.0)
            if news or until > self._pace.held:
                self._pace.held = max(self._pace.held, until)
                self._pace.next = max(self._pace.held, now + 1 / (self._pace.rate or self._SLOWEST))
                self._pace.round += 1

    def _observed(self, now: float) -> float:
        """How many requests succeeded in the last second."""
        while self._pace.successes and now - self._pace.successes[0] >= 1.0:
            self._pace.successes.popleft()
        return float(len(self._pace.successes))

    def uncancellable(self) -> RateLimiter:
        """A limiter for calls that continue after the run was asked to stop. It starts without a limit."""
        return RateLimiter()

    def stopped_by(self, stop: Cancellation) -> RateLimiter:
        """A limiter with the same pace and another request to stop."""
        other = copy(self)
        other.stop = stop
        return other

    def now(self) -> float:
        """The time of the monotonic clock, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, until the run is asked to stop at the latest.

        Raises:
            Interrupted: the run was asked to stop.
        """
        self.stop.sleep(seconds)
