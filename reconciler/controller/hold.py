"""What keeps the plan of a watched catalog from being written, and what lets it be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.controller.clock import Clock
from reconciler.controller.states import State
from reconciler.controller.window import Window
from reconciler.text.timestamps import write_timestamp

#: When to ask again whether something else still forbids a write (seconds).
ASK_AGAIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody approved the plan with this digest."""

    digest: str
    by: str


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps a plan from being written, and until when at least (by the monotonic clock, seconds)."""

    state: State
    waits_for: str
    until: float | None = None


def outside_window(window: Window | None, clock: Clock) -> Hold | None:
    """What keeps a plan from being written outside of its window; None if the window is open, or there is none."""
    moment = clock.now()
    if window is None or window.open_at(moment):
        return None
    opens = window.next_open(moment)
    until = clock.monotonic() + (opens - moment).total_seconds()
    return Hold("PlanPending", f"the window {window.text}, from {write_timestamp(opens)}", until)
