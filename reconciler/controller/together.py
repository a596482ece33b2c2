"""Several catalogs of one account, written at the same time: a look at the account serves all of them.

Each of them needs a list that was read after it took its lock, and one that was read after its last write. So whoever
needs a look waits until all the others need one, too, or have ended. What each gets was read after it asked.

As many are written at a time as :func:`write_together` is told. The look that verifies them is the first one of those
that are next: they take their locks before it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from reconciler.api.account_list import AccountList
from reconciler.api.listing import OnRows, whole
from reconciler.domain import Keep, Snapshot

#: Looks at the account. The second argument says whether to read every page.
Look: TypeAlias = Callable[[Keep, bool], Snapshot]

#: What is to be done for a catalog. Returns whether a run was made.
Work: TypeAlias = "Callable[[Member], bool]"

#: How old a list may be that was just read (seconds).
_JUST_READ: Final = 3600.0


def write_together(lister: AccountList, look: Look, works: Sequence[Work], most: int) -> bool:
    """Do this work, for at most so many catalogs at a time. ``look`` is called by one of them at a time.

    Returns whether a run was made.

    Raises:
        Exception: what one of them raised. None was begun after that.
    """
    together = Together(lister, look, len(works), most)
    if len(works) == 1:
        return together.run(together.members[0], works[0])
    with ThreadPoolExecutor(min(len(works), 2 * most), "write") as pool:
        runs = [pool.submit(together.run, *each) for each in zip(together.members, works, strict=True)]
    results = [run.result() for run in runs]
    return any(results)


class Together:
    """Catalogs that share looks, one :class:`Member` each."""

    def __init__(self, lister: AccountList, look: Look, count: int, most: int) -> None:
        self.lister = lister
        self.members = [Member(self) for _ in range(count)]
        self._look = look
        self._most = most
        self._next = deque(self.members)
        self._there: set[Member] = set()
        self._waiting: set[Member] = set()
        self._turn = threading.Condition()
        self._full = False  # somebody who waits needs every page
        self._looks = 0
        self._failed: tuple[int, BaseException] | None = None
        self._ended = False
        self._admit()

    def run(self, member: Member, work: Work) -> bool:
        """Do the work of a member when it is its turn. None begins after one has failed."""
        member.admitted.wait()
        try:
            return not self._ended and work(member)
        except BaseException:
            self._ended = True
            raise
        finally:
            self.leave(member)

    def _may_admit(self) -> bool:
        """Whether all who are there need just the look that verifies what they wrote. There is a thread for as many
        again."""
        return bool(self._next) and len(self._there) <= self._most and all(one.looked for one in self._there)

    def _admit(self) -> None:
        """Let the next ones begin."""
        for _ in range(min(self._most, len(self._next))):
            member = self._next.popleft()
            self._there.add(member)
            member.admitted.set()

    def sessions(self, member: Member, keep: Keep, *, full: bool) -> Snapshot:
        """All sessions, as they are now."""
        with self._turn:
            self.lister.expect(keep)
            self._waiting.add(member)
            self._full |= full
            mine = self._looks + 1
            while self._looks < mine:
                if self._waiting != self._there:
                    self._turn.wait()
                elif self._may_admit():
                    self._admit()
                else:
                    self._look_now(keep)
            if self._failed is not None and self._failed[0] == mine:
                raise self._failed[1]
            return self.lister.sessions(keep=keep, recent=_JUST_READ)

    def leave(self, member: Member) -> None:
        """A catalog needs no further looks."""
        with self._turn:
            self._there.discard(member)
            self._waiting.discard(member)
            if not self._there:
                self._admit()
            self._turn.notify_all()

    def _look_now(self, keep: Keep) -> None:
        try:
            self._look(keep, self._full)
        except BaseException as error:  # Interrupted, too: it is for all who wait
            self._failed = self._looks + 1, error
        self._looks += 1
        self._full = False
        for one in self._waiting:
            one.looked = True
        self._waiting.clear()
        self._turn.notify_all()


class Member:
    """A :class:`reconciler.api.lister.Lister` for one of the catalogs. Safe to use from many threads.

    ``admitted`` is set when it is its turn, and ``looked`` says whether it had its first look.
    """

    def __init__(self, together: Together) -> None:
        self.admitted = threading.Event()
        self.looked = False
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
