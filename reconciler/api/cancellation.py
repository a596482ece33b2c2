"""Cancels a run, with a reason."""

from __future__ import annotations

import threading


class Interrupted(BaseException):
    """The run was asked to stop while it was waiting. Like KeyboardInterrupt, it is not an :class:`Exception`."""


class Cancellation:
    """A request to stop. It can be set from any thread; the first reason counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = ""

    def set(self, reason: str) -> None:
        """Ask the run to stop: no further write starts, and those in flight finish."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

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
