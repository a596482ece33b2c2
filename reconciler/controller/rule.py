"""What may keep a controller from writing, apart from its catalogs: another process, or another catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.controller.status import WatchedStatus


@dataclass(frozen=True, slots=True)
class Rule:
    """Asked before writes, from any thread.

    - ``holding``: whether this process may still write. It is asked before each write.
    - ``forbids``: what a catalog waits for before it may be written, as a noun phrase; empty if it may. It is asked
      before each run.
    - ``holder``: this process, for those who wait for a lock that it holds; empty: the CI job or the user.
    - ``dead``: whether the holder of a lock is a process that is known to write no more.
    - ``since``: when this process began to be the one that writes (monotonic clock, seconds); None if no other one
      wrote before. Until the list shows what another one created, nothing is written.
    """

    holding: Callable[[], bool] = lambda: True
    forbids: Callable[[WatchedStatus], str] = lambda status: ""
    since: float | None = None
    holder: str = ""
    dead: Callable[[str], bool] = lambda holder: False


#: No other process and no other catalog is in the way.
ALONE: Final = Rule()
