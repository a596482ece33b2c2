"""What a session is before it is overwritten or deleted: on disk before the write, and still so when that goes out.

The service has no compare-and-set, so between a look and a write somebody may always come. But a plan of an hour's
writes, or a pause of minutes that a server asks for, is no reason to write over what came meanwhile: what was seen too
long ago is looked at again.
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

#: What was seen longer ago than this (seconds) is looked at again, where one call does it.
FRESH = 5.0


class HeldBackError(ReconcilerError):
    """The write must not go out: the session is not what the action was made against, or that can't be told."""


@dataclass(slots=True)
class Preimage:
    """A live session that an action is about to write to.

    ``seen`` is when it was last seen as it is (by the limiter's clock), ``calls`` how many calls it takes to look at
    it again.
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
        """Archive it, before a delete with all its messages; again only where there are others by now.

        Raises:
            ReconcilerError: it is not on disk. The write must not happen then.
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
        """Look at it again if it was seen too long ago, and keep what has come to be said in it since.

        Raises:
            HeldBackError: it is something else by now, or that can't be told, or what was said can't be kept.
        """
        if self.client.limiter.now() - self.seen <= FRESH * self.calls:
            return
        try:
            found = self._look()
            self.seen = self.client.limiter.now()
            # Where it is gone, the write itself is told so.
            differences = moved(self.action, found) if found else []
            if found and not differences and self.archived and self.action.kind == "delete":
                self.keep()
        except ReconcilerError as error:
            raise HeldBackError(error.problems) from None
        if differences:
            raise HeldBackError(f"it changed after the plan was made: {'; '.join(differences)}", "plan again")

    def _look(self) -> LiveSession | None:
        """It as it is now, under its name or, where it was given another, in the whole list."""
        for name in (self.live.name, None):
            for live in list_sessions(self.client, name=name):
                if live.session_id == self.live.session_id:
                    return live
        return None
