"""Asking a run to stop, and saying why."""

from __future__ import annotations

import threading


class Interrupted(BaseException):
    """The run was asked to stop while it was waiting. Like KeyboardInterrupt, nothing that handles errors sees it."""


class Cancellation:
    """Set once, from any thread; the first reason counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = ""

    def set(self, reason: str) -> None:
        """Ask the run to stop: no new writes, those under way finish."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than until the run is asked to stop.

        Raises:
            Interrupted: it was.
        """
        if self._event.wait(max(0.0, seconds)):
            raise Interrupted
