"""What may keep a controller from writing, apart from its catalogs: another process, or another catalog."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reconciler.controller.status import WatchedStatus

#: How many ended runs are remembered: far more than there are while a list lags.
_REMEMBERED: Final = 1000


class EndedRuns:
    """The holders of locks whose runs have ended in this process. A list that lags may show their locks for a while.

    For any thread.
    """

    def __init__(self) -> None:
        self._holders: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, holder: str) -> None:
        """A run has ended, and writes no more."""
        with self._lock:
            self._holders[holder] = None
            if len(self._holders) > _REMEMBERED:
                del self._holders[next(iter(self._holders))]

    def __contains__(self, holder: str) -> bool:
        with self._lock:
            return holder in self._holders


@dataclass(frozen=True, slots=True)
class Rule:
    """Asked before writes, from any thread.

    - ``holding``: whether this process may still write. It is asked before each write.
    - ``forbids``: what a catalog waits for before it may be written, as a noun phrase; empty if it may. It is asked
      before each run.
    - ``holder``: this process, for those who wait for a lock that it holds; empty: the CI job or the user.
    - ``dead``: whether the holder of a lock is a process that is known to write no more; ``ended`` are the runs of this
      process that do not.
    - ``since``: when this process began to be the one that writes (monotonic clock, seconds); None if no other one
      wrote before. Until the list shows what another one created, nothing is written.
    """

    holding: Callable[[], bool] = lambda: True
    forbids: Callable[[WatchedStatus], str] = lambda status: ""
    since: float | None = None
    holder: str = ""
    dead: Callable[[str], bool] = lambda holder: False
    ended: EndedRuns = field(default_factory=EndedRuns)

    def over(self, holder: str) -> bool:
        """Whether the holder of a lock is known to write no more."""
        return holder in self.ended or self.dead(holder)


#: No other process and no other catalog is in the way.
ALONE: Final = Rule()
