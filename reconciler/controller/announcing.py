"""What a watched catalog announces: each thing that begins or ends, once."""

from __future__ import annotations

from typing import Any, Final, Protocol

from reconciler.controller.comparing import Comparison, drift_told, told_of
from reconciler.controller.events import Kind
from reconciler.controller.trouble import Trouble

#: How many drifted keys an event names.
_NAMED: Final = 50


class Say(Protocol):
    """Tells an event of the catalog."""

    def __call__(self, kind: Kind, message: str = "", **facts: Any) -> None: ...


class Announcer:
    """Remembers what was announced and still holds."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._plan: tuple[Kind, str] | None = None  # and its digest
        self._failing = False
        self._drifted: frozenset[str] = frozenset()

    def plan(self, pending: Comparison | None, reason: str) -> None:
        """A look has ended with this pending plan, or none. ``reason`` says what it waits for."""
        if pending is None:
            self._plan = None
            return
        kind: Kind = "refused" if pending.plan.refusals else "plan_pending"
        if self._plan != (kind, pending.digest):
            self._say(kind, told_of(pending, reason), digest=pending.digest, counts=pending.counts())
        self._plan = kind, pending.digest

    def trouble(self, trouble: Trouble | None, of_account: Trouble | None) -> None:
        """A look has ended with this trouble, or none. What troubles the whole account is announced by its loop."""
        own = None if trouble is of_account else trouble
        if own is not None and not self._failing:
            self._say("failing", own.message, hint=own.hint)
        elif trouble is None and self._failing:
            self._say("recovered", "the last look succeeded")
        self._failing = own is not None or (trouble is not None and self._failing)

    def drift(self, found: Comparison) -> None:
        """The live sessions were compared. Only drift that is new is announced."""
        before, self._drifted = self._drifted, frozenset(found.drifted)
        if self._drifted - before:
            self._say("drift_found", drift_told(found), sessions=sorted(self._drifted)[:_NAMED])
