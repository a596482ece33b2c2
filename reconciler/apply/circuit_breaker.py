"""Whether the service still takes writes. A run against one that does not ends, in place of trying for hours."""

from __future__ import annotations

import threading

from reconciler.api.answers import LONGEST_PAUSE
from reconciler.api.cancellation import Cancellation
from reconciler.api.errors import ApiError
from reconciler.errors import ReconcilerError


class CircuitBreaker:
    """Stops a run whose actions fail for want of a service. Safe to use from many threads.

    What fails because of the session itself (a value that is refused, a 404) does not count. ``most`` is how many
    actions in a row may fail for trouble that should have passed, each after all its tries.
    """

    def __init__(self, stop: Cancellation, most: int) -> None:
        self._stop = stop
        self._most = most
        self._lock = threading.Lock()
        self._in_a_row = 0
        self.writes = 0  # how many came through so far

    def wrote(self) -> None:
        """A write came through."""
        with self._lock:
            self.writes += 1
            self._in_a_row = 0

    def failed(self, error: ReconcilerError, since: int) -> None:
        """An action failed for good. ``since`` is what ``writes`` was when it began."""
        if not isinstance(error, ApiError):
            return
        if error.out_of_points:
            self._stop.set("the account is out of points")
            return
        if error.retry_after is not None and error.retry_after > LONGEST_PAUSE:
            self._stop.set(f"the service asks for a pause of {error.retry_after:g} s")
            return
        if not error.passing:
            return
        with self._lock:
            self._in_a_row += 1
            # Who is throttled has waited long enough to tell: nobody else got through either.
            if self._in_a_row >= self._most or (error.throttled and self.writes == since):
                self._stop.set(f"the service takes no writes: {error.what}")
