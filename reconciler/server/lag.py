"""Writes that the list of sessions shows late, or not for long."""

from __future__ import annotations

import time

from reconciler.server.quirks import Quirks
from reconciler.server.rows import SessionRow


class Lag:
    """What the list does not show yet. Not thread-safe."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        #: When a session is listed: at a moment, and after a number of lists.
        self._late: dict[int, tuple[float, int]] = {}
        #: The previous states of a session, each with the moment at which it ceases to be listed.
        self._previous: dict[int, list[tuple[float, SessionRow]]] = {}
        #: Deleted sessions that come back, each after a number of lists.
        self._deleted: list[tuple[int, SessionRow]] = []
        self._lists = 0

    def created(self, session_id: int) -> None:
        """Note a new session."""
        quirks = self._quirks
        if quirks.late_seconds or quirks.late_calls:
            self._late[session_id] = (time.monotonic() + quirks.late_seconds, self._lists + quirks.late_calls)

    def changes(self, row: SessionRow) -> None:
        """Note the state of a session that is about to be updated or deleted."""
        if self._quirks.late_changes:
            until = time.monotonic() + self._quirks.late_changes
            self._previous.setdefault(row.session_id, []).append((until, row))

    def deleted(self, row: SessionRow) -> None:
        """Note a session that was deleted."""
        if self._quirks.deletes_undone:
            self._deleted.append((self._lists + self._quirks.deletes_undone, row))

    def undone(self) -> list[SessionRow]:
        """The deleted sessions that come back before the next list."""
        back = [row for lists, row in self._deleted if lists <= self._lists]
        self._deleted = [one for one in self._deleted if one[0] > self._lists]
        return back

    def listed(self) -> tuple[list[int], dict[int, SessionRow]]:
        """Count a list: the sessions that it does not have yet, and those that it has in a previous state."""
        now = time.monotonic()
        if self._late:
            late = self._late.items()
            self._late = {
                one: (moment, lists) for one, (moment, lists) in late if moment > now or lists > self._lists
            }
        self._lists += 1
        for session_id in list(self._previous):
            self._previous[session_id] = [one for one in self._previous[session_id] if one[0] > now]
            if not self._previous[session_id]:
                del self._previous[session_id]
        return list(self._late), {session_id: rows[0][1] for session_id, rows in self._previous.items()}
