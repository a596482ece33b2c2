"""The clock that a controller reads and sleeps by."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from reconciler.api.cancellation import Cancellation
from reconciler.api.rate_limit import RateLimiter


class Clock(Protocol):
    """Tells the time, and passes it."""

    def now(self) -> datetime:
        """The time of day, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never set."""

    def sleep(self, seconds: float, stop: Cancellation) -> None:
        """Wait, until ``stop`` is set at the latest.

        Raises:
            Interrupted: it was set.
        """


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, stop: Cancellation) -> None:
        stop.sleep(seconds)


class ClockLimiter(RateLimiter):
    """A rate limiter that goes by a given clock."""

    def __init__(self, clock: Clock, stop: Cancellation) -> None:
        super().__init__(stop)
        self._clock = clock

    def now(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds, self.stop)
