"""The state of a session before an update or delete: archived before the write, and checked again right before it.

The service has no compare-and-set, so another client may always change a session between the last read and the write.
Because an apply may take an hour, and a server may ask for a pause of minutes, a session that was read too long ago is
read again. That keeps the window short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.api.messages import list_messages
from reconciler.apply.archive import Archive
from reconciler.apply.stale import moved
from reconciler.domain import LiveSession
from reconciler.errors import ReconcilerError
from reconciler.plan.types import Action

#: A session that was read longer ago than this (seconds) is read again, if that takes one call.
FRESH = 5.0


class HeldBackError(ReconcilerError):
    """The write must not be sent: the session has changed since the plan, or that is unknown."""


@dataclass(slots=True)
class Preimage:
    """A live session that an action is about to write to.

    ``seen`` is when it was last read (by the limiter's clock), ``calls`` how many calls it takes to read it again.
    """

    client: Client
    archive: Archive
    action: Action
    live: LiveSession
    label: str
    seen: float
    calls: int
    archived: str = ""
    _messages: list[Mapping[str, Any]] | None = None

    def keep(self) -> None:
        """Archive the session, and before a delete its messages. A second call archives only if these have changed.

        Raises:
            ReconcilerError: it is not on disk. Then the write must not happen.
        """
        deleting = self.action.kind == "delete"
        messages = list_messages(self.client, self.live, self.label) if deleting else None
        if messages and self.action.keeper is not None and self.action.messages == 0:
            raise HeldBackError(
                f"it had no messages when the plan was made, and has {len(messages)} now", "plan again"
            )
        if not self.archived or messages != self._messages:
            before = "delete" if deleting else "update"
            self.archived = self.archive.put(before, self.action.identity, self.live, messages)
            self._messages = messages

    def check(self) -> None:
        """Read the session again if it was read too long ago, and archive it again if there are new messages.

        Raises:
            HeldBackError: it has changed, or can't be read, or its new messages can't be archived.
        """
        if self.client.limiter.now() - self.seen <= FRESH * self.calls:
            return
        try:
            found = self._look()
            self.seen = self.client.limiter.now()
            # If the session is gone, the response to the write says so.
            differences = moved(self.action, found) if found else []
            if found and not differences and self.archived and self.action.kind == "delete":
                self.keep()
        except ReconcilerError as error:
            raise HeldBackError(error.problems) from None
        if differences:
            raise HeldBackError(f"it changed after the plan was made: {'; '.join(differences)}", "plan again")

    def _look(self) -> LiveSession | None:
        """The session as it is now, found by its name, or in the whole list if it was renamed."""
        for name in (self.live.name, None):
            for live in list_sessions(self.client, name=name):
                if live.session_id == self.live.session_id:
                    return live
        return None
