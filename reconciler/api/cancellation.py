"""Cancels a run, with a reason."""

from __future__ import annotations

import threading
from weakref import WeakSet


class Interrupted(BaseException):
    """The run was asked to stop while it was waiting. Like KeyboardInterrupt, it is not an :class:`Exception`."""


class Cancellation:
    """A request to stop. It can be set from any thread; the first reason counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._parts: WeakSet[Cancellation] = WeakSet()
        self._lock = threading.RLock()  # a signal handler may interrupt the thread that holds it
        self.reason = ""

    def set(self, reason: str) -> None:
        """Ask the run to stop: no further write starts, and those in flight finish."""
        with self._lock:
            if self._event.is_set():
                return
            self.reason = reason
            self._event.set()
            parts = list(self._parts)
        for part in parts:
            part.set(reason)

    def part(self) -> Cancellation:
        """A request to stop for a part of the work. It is set with this one; setting it does not set this one."""
        found = Cancellation()
        with self._lock:
            self._parts.add(found)
            if self._event.is_set():
                found.set(self.reason)
        return found

    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait, until the run is asked to stop at the latest.

        Raises:
            Interrupted: the run was asked to stop.
        """
        if self._event.wait(max(0.0, seconds)):
            raise Interrupted
