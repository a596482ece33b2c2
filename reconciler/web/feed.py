"""The last events, for those who follow them over HTTP."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, TypeAlias

from reconciler.controller.events import Event

#: How many events are kept for followers that come later, or are slow.
KEPT: Final = 256

#: An event with its number, which counts from 1.
Numbered: TypeAlias = tuple[int, Event]


class Feed:
    """Keeps the last events, and wakes those who wait for one. It is an ``OnEvent``: call it from any thread.

    A follower that is too slow misses events, and holds up nobody. ``mark`` is new with each process, so that a number
    from an earlier process is not taken for one of this.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.mark = secrets.token_hex(4)
        self._events: deque[Numbered] = deque(maxlen=kept)
        self._last = 0
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._last += 1
            self._events.append((self._last, event))
            waiting = list(self._waiting.items())
        for wake, loop in waiting:
            with suppress(RuntimeError):  # its loop has just ended
                loop.call_soon_threadsafe(wake.set)

    def number_of(self, event_id: str) -> int:
        """The number in the id of the last event that a follower saw. Of another process: 0, which is before all."""
        mark, _, number = event_id.partition("-")
        known = mark == self.mark and number.isascii() and number.isdecimal() and len(number) < 16
        return int(number) if known else 0

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self._last

    async def after(self, number: int, pause: float) -> AsyncIterator[list[Numbered]]:
        """The events after a number, as they come. An empty list after each ``pause`` (seconds) without any."""
        wake = asyncio.Event()
        with self._lock:
            self._waiting[wake] = asyncio.get_running_loop()
        try:
            while True:
                wake.clear()
                with self._lock:
                    found = [one for one in self._events if one[0] > number]
                if found:
                    number = found[-1][0]
                    yield found
                    continue
                try:
                    async with asyncio.timeout(pause):
                        await wake.wait()
                except TimeoutError:
                    yield []
        finally:
            with self._lock:
                del self._waiting[wake]
