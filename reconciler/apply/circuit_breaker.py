"""Stops a run when the service accepts no writes, instead of retrying for hours."""

from __future__ import annotations

import threading

from reconciler.api.answers import LONGEST_PAUSE
from reconciler.api.cancellation import Cancellation
from reconciler.api.errors import ApiError
from reconciler.errors import ReconcilerError


class CircuitBreaker:
    """Stops a run whose actions fail because of the service. Safe to use from many threads.

    Errors of one session (a rejected value, a 404) do not count. ``most`` is how many actions in a row may fail with
    a temporary error, each after all of its tries.
    """

    def __init__(self, stop: Cancellation, most: int) -> None:
        self._stop = stop
        self._most = most
        self._lock = threading.Lock()
        self._in_a_row = 0
        self.writes = 0  # how many have succeeded so far

    def wrote(self) -> None:
        """Note a successful write."""
        with self._lock:
            self.writes += 1
            self._in_a_row = 0

    def failed(self, error: ReconcilerError, since: int) -> None:
        """Note an action that failed permanently. ``since`` is the value of ``writes`` when it began."""
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
            # A throttled action has waited long enough: if no other write succeeded meanwhile, none will.
            if self._in_a_row >= self._most or (error.throttled and self.writes == since):
                self._stop.set(f"the service accepts no writes: {error.what}")
