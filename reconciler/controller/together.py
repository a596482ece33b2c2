"""Several catalogs of one account, written at the same time: a look at the account serves all of them.

Each of them needs a list that was read after it took its lock, and one that was read after its last write. So whoever
needs a look waits until all the others need one, too, or have ended. What each gets was read after it asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeAlias

from reconciler.api.account_list import AccountList
from reconciler.api.listing import OnRows, whole
from reconciler.domain import Keep, Snapshot

#: Looks at the account. The second argument says whether to read every page.
Look: TypeAlias = Callable[[Keep, bool], Snapshot]

#: How old a list may be that was just read (seconds).
_JUST_READ: Final = 3600.0


class Together:
    """Catalogs that share looks, one :class:`Member` each. Only one of them looks at a time."""

    def __init__(self, lister: AccountList, look: Look, count: int) -> None:
        self.lister = lister
        self.members = [Member(self) for _ in range(count)]
        self._look = look
        self._there = set(self.members)
        self._waiting: set[Member] = set()
        self._turn = threading.Condition()
        self._full = False  # somebody who waits needs every page
        self._looks = 0
        self._failed: tuple[int, BaseException] | None = None

    def sessions(self, member: Member, keep: Keep, *, full: bool) -> Snapshot:
        """All sessions, as they are now."""
        with self._turn:
            self.lister.expect(keep)
            self._waiting.add(member)
            self._full |= full
            mine = self._looks + 1
            while self._looks < mine:
                if self._waiting == self._there:
                    self._look_now(keep)
                else:
                    self._turn.wait()
            if self._failed is not None and self._failed[0] == mine:
                raise self._failed[1]
            return self.lister.sessions(keep=keep, recent=_JUST_READ)

    def leave(self, member: Member) -> None:
        """A catalog needs no further looks."""
        with self._turn:
            self._there.discard(member)
            self._waiting.discard(member)
            self._turn.notify_all()

    def _look_now(self, keep: Keep) -> None:
        try:
            self._look(keep, self._full)
        except BaseException as error:  # Interrupted, too: it is for all who wait
            self._failed = self._looks + 1, error
        self._looks += 1
        self._full = False
        self._waiting.clear()
        self._turn.notify_all()


class Member:
    """A :class:`reconciler.api.lister.Lister` for one of the catalogs. Safe to use from many threads."""

    def __init__(self, together: Together) -> None:
        self._together = together

    def sessions(self, *, keep: Keep = whole, on_rows: OnRows | None = None, full: bool = False) -> Snapshot:
        """All sessions; see :class:`Together`."""
        return self._together.sessions(self, keep, full=full)

    def named(self, name: str, *, keep: Keep = whole) -> Snapshot:
        """The sessions of a name. No other catalog asks for them."""
        return self._together.lister.named(name, keep=keep)

    def calls(self, sessions: int) -> int:
        """About how many calls a look takes."""
        return self._together.lister.calls(sessions)
