"""What this package knows of a controller."""

from __future__ import annotations

from typing import Any, Protocol

from reconciler.controller.status import Status


class Controlled(Protocol):
    """A controller. Its methods are called from several threads, and none of them may block for long."""

    def status(self) -> Status:
        """Its status at this moment."""

    def plan_document(self, name: str) -> dict[str, Any] | None:
        """The public JSON of the pending plan of a watched catalog; None if there is none."""

    def reconcile(self, name: str | None = None) -> None:
        """Look at a watched catalog soon, or at all of them.

        Raises:
            ReconcilerError: no watched catalog has this name.
        """

    def approve(self, digest: str, by: str = "") -> object:
        """Approve exactly the pending plan with this digest. ``by`` is noted in the journal of the run.

        Raises:
            ReconcilerError: no pending plan has it.
        """
