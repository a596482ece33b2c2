"""What keeps the plan of a watched catalog from being written, and what lets it be written."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.controller.states import State


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
