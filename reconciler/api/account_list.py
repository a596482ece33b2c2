"""The list of an account, read once and kept up to date for days, for all who plan for that account.

A look takes two calls while nothing changes (:mod:`reconciler.api.changes`). The list is read as a whole now and then,
and before any delete. That finds what a look can't see, because something that it assumes of the service does not hold:
an update that does not move ``updated_at``, a clock that was set back, a deleted session that came back. Then all
further looks read the whole list.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

from reconciler.api.account_rows import AccountRows, Keeps, View, is_known
from reconciler.api.changes import (
    Closing,
    Known,
    NotProvedError,
    Ordering,
    Slice,
    Stamp,
    calls_of_listing,
    find_changes,
)
from reconciler.api.client import Client, Reply
from reconciler.api.decode import read_stamp, value_at
from reconciler.api.errors import ApiError
from reconciler.api.list_page import read_page
from reconciler.api.lister import ClientLister
from reconciler.api.listing import OnRows, list_anew, list_collecting, whole
from reconciler.api.seen import Row
from reconciler.contract import Operation
from reconciler.domain import Keep, Listing, LiveSession, Snapshot
from reconciler.ownership.account import make_account

#: How a look was made: nothing had changed, the changes were read, or the whole list was.
How: TypeAlias = Literal["same", "delta", "full"]

#: Whether looks read the changes alone. ``off``: something that they assume of the service does not hold.
Deltas: TypeAlias = Literal["on", "off", "not learned"]

#: How long (seconds) a list is kept up to date before it is read as a whole.
FULL_INTERVAL: Final = 3600.0

#: What nobody asked for during so many of these intervals is no longer kept.
_FORGOTTEN: Final = 2

#: How often the order may seem not to be by the latest change, because the session on top was just deleted.
_DOUBTS: Final = 3

#: How many calls reading the changes takes beside their pages: the newest session, and the first page again.
_CALLS_BESIDE: Final = 2

#: How many calls a look takes after some writes.
_A_LOOK: Final = 4

_UNSTAMPED: Final = "the list does not show when a session was changed"
_LEARN: Final = "`reconciler doctor --probe --write=contract.yaml` learns it"


class AccountList:
    """A :class:`reconciler.api.lister.Lister` that keeps its list. Safe to use from many threads; looks take turns.

    ``clock`` returns seconds, and never jumps. ``full_interval`` (seconds) is how often the whole list is read.

    Attributes:
        full_interval: as above; it may be changed.
        looks: how many looks were made, by how.
        mismatches: how many complete listings found a change that looks had missed.
        deltas: whether looks read the changes alone; ``why`` says why they do not.
    """

    def __init__(
        self, client: Client, *, clock: Callable[[], float], full_interval: float = FULL_INTERVAL
    ) -> None:
        self.looks: Counter[How] = Counter()
        self.mismatches = 0
        self.deltas: Deltas = "on"
        self.why = ""
        self._client = client
        self._clock = clock
        self.full_interval = full_interval
        self._lock = threading.RLock()
        self._expected: list[Keep] = []
        self._rows: AccountRows | None = None
        self._numbers: set[int | str] = set()
        self._top: Stamp | None = None
        self._looked_at = self._full_at = 0.0
        self._listing: Listing | None = None
        self._version = 0  # of the list: another number after every change
        self._open = 0  # how many sessions have stamps that are not closed, as far as the last look showed
        self._deleted: deque[int] = deque()  # by this program, since the last look
        self._excused: dict[int, float] = {}  # what was deleted lately, and when: it may still be listed
        self._slices = _ClientSlices(client)
        self._ordered = False  # whether it was seen that the service orders by the latest change
        self._doubts = 0
        margin = client.contract.stamp_margin
        self._closing = Closing(round((margin or 0.0) * 1e6))
        if margin is None:
            self.deltas = "not learned"
            self.why = f"the contract does not say that updated_at tells what has changed; {_LEARN}"

    def expect(self, keep: Keep) -> None:
        """Say that somebody is going to ask for this. If the list is read before, it is read once for all of them."""
        with self._lock:
            view = self._rows.view(keep) if self._rows else None
            if view is not None:
                view.asked = self._clock()
            elif keep not in self._expected:
                self._expected.append(keep)

    def sessions(
        self,
        *,
        keep: Keep = whole,
        on_rows: OnRows | None = None,
        full: bool = False,
        recent: float = 0.0,
    ) -> Snapshot:
        """All sessions, as they are now, or were at most ``recent`` seconds ago.

        It is the same object as the last time if nothing has changed. ``full``: read every page.

        Raises:
            UnreliableListError: the server does not list what it counts, or not in order.
            ApiError: a page could not be read.
        """
        with self._lock:
            now = self._clock()
            view = self._rows.view(keep) if self._rows else None
            if view is None or full or not (recent > 0 and now <= self._looked_at + recent):
                if view is None and keep not in self._expected:
                    self._expected.append(keep)
                self._look(on_rows, full or view is None or now >= self._full_at + self.full_interval)
            assert self._rows is not None
            view = self._rows.view(keep)
            assert view is not None
            view.asked = now
            return self._snapshot(view)

    def named(self, name: str, *, keep: Keep = whole) -> Snapshot:
        """The sessions that the server finds for a name; see :class:`reconciler.api.lister.Lister`."""
        return list_collecting(self._client, name=name, keep=keep)

    def called(self, operation: Operation, fields: Mapping[str, Any], reply: Reply) -> None:
        """Take note of what this program deletes itself, so that no look has to search for it. It is an
        :data:`reconciler.api.client.Observer`."""
        number = fields.get("session_id")
        if operation.name == "delete_session" and reply.error is None and isinstance(number, int):
            self._deleted.append(number)

    def calls(self, sessions: int) -> int:
        """About how many calls a look takes: few, if it reads the changes alone."""
        pages = ClientLister(self._client).calls(sessions)
        return min(pages, _A_LOOK) if self.deltas == "on" and self._closing.closed is not None else pages

    def _look(self, on_rows: OnRows | None, full: bool) -> None:
        rows, closing = self._rows, self._closing
        self._forget_deleted()
        # A short list is read in one call.
        cheap = self.deltas == "on" and closing.closed is not None and not full
        if rows is None or not cheap or self._is_short(rows) or self._would_take_longer(rows):
            self._read_all(on_rows, full=full)
            return
        due = closing.due(self._clock())
        try:
            changes = find_changes(
                self._slices, Known(rows.seen.ids, self._top, closing.closed, closing.margin)
            )
        except NotProvedError as error:
            if error.distrust:
                self._switch_off(error.why)
            self._read_all(on_rows, full=full)
            return
        for live in changes.changed.values():
            note_account(self._client, live, self._numbers)
        differs = rows.update(changes.changed, changes.gone)
        closing.passed(due, changes.first)
        self._open = sum(self._is_open(live) for live in changes.changed.values())
        self._took("delta" if differs else "same", changes.top, Listing(changes.calls, 1, "changes"))

    def _read_all(self, on_rows: OnRows | None, *, full: bool) -> None:
        """Read the whole list, and compare it with what is kept. ``full``: no look would do."""
        before = self._rows
        began = self._clock()
        due, closed = self._closing.due(began), self._closing.closed
        # In a burst of writes, most lists close no stamp.
        closes = self.deltas == "on" and (full or closed is None or (due is not None and due > closed))
        first = self._latest(1) if closes and not (before and self._is_short(before)) else None
        ends = closed if first is None else self._closing.closes(due, first.stamps[0])
        reading = _Reading(self._client, self._keeps(began), before, closed, ends, self._excused)
        found = list_anew(self._client, reading.keep, on_rows)
        if self.deltas == "on" and reading.unstamped:
            self._switch_off(_UNSTAMPED)
        if self.deltas == "on" and reading.missed:
            self.mismatches += 1
            self._switch_off(f"a look missed a change: {reading.missed}")
        long = len(found.seen.ids) > self._slices.most
        ordered = self.deltas == "on" and first is not None and long and self._is_ordered(reading.top)
        # All calls are made: from here on, nothing fails.
        if ordered and first is not None:
            self._closing.passed(due, first.stamps[0])
        self._open = reading.open
        self._numbers |= reading.numbers
        rows = self._rows = AccountRows(found.seen, reading.keeps.all, before)
        for view in rows.views:
            view.asked = view.asked or began
        self._expected = []
        self._full_at = began
        self._took("full", reading.top, found.listing)

    def _took(self, how: How, top: Stamp | None, listing: Listing) -> None:
        """Note how a look went."""
        now = self._clock()
        if how != "same":
            self._version += 1
        if top is not None:
            self._closing.show(top, now)
        self._top, self._listing, self._looked_at = top, listing, now
        self.looks[how] += 1

    def _is_ordered(self, top: Stamp | None) -> bool:
        """Whether the list is ordered by the latest change if that is asked for, as far as this account shows it."""
        page = self._latest(self._slices.most)
        if page is None or top is None:
            return False
        in_order = all(one >= other for one, other in pairwise(page.stamps))
        if in_order and page.stamps[0] >= top:
            self._ordered, self._doubts = True, 0
            return True
        self._closing.closed = None
        self._doubts += 1
        if not in_order or self._doubts == _DOUBTS:
            self.mismatches += self._ordered
            self._switch_off("the service does not order by updated_at")
        return False

    def _latest(self, size: int) -> Slice | None:
        """The latest changes; None if there are no sessions, or none that shows when it was changed."""
        try:
            page = self._slices.read("-updated_at", 1, size)
        except NotProvedError as error:
            self._switch_off(error.why)
            return None
        return page if page and page.ids else None

    def _is_short(self, rows: AccountRows) -> bool:
        return len(rows.seen.ids) <= self._slices.most

    def _forget_deleted(self) -> None:
        """Remove what this program has deleted since the last look. If it is still there, the count tells."""
        now, gone = self._clock(), []
        while self._deleted:
            gone.append(self._deleted.popleft())
        self._excused = {
            one: at for one, at in self._excused.items() if (now - at) * 1e6 <= self._closing.margin
        }
        self._excused |= dict.fromkeys(gone, now)
        if gone and self._rows is not None and self._rows.update({}, gone):
            self._version += 1
            self._top = None

    def _would_take_longer(self, rows: AccountRows) -> bool:
        """Whether so many sessions have to be read again that the whole list takes no more calls."""
        pages = 1 + self._open // self._slices.most
        return pages + _CALLS_BESIDE >= calls_of_listing(len(rows.seen.ids), self._slices.most)

    def _is_open(self, live: LiveSession) -> bool:
        """Whether a later change could have the same stamp, or was listed late."""
        stamp, closed = read_stamp(live.row, self._client.contract.session), self._closing.closed
        return stamp is None or closed is None or stamp > closed

    def _keeps(self, now: float) -> list[Keep]:
        """What the next list is to be kept for: what was asked for lately, and what is going to be."""
        views = self._rows.views if self._rows else []
        lately = [view for view in views if now <= view.asked + _FORGOTTEN * self.full_interval]
        wanted = [*self._expected, *(view.keep for view in sorted(lately, key=lambda one: -one.asked))]
        # Of another catalog's sessions, none keeps enough for this one's.
        keeps: dict[object, list[Keep]] = {}
        for keep in wanted:
            others = keeps.setdefault(keep.scope if is_known(keep) else None, [])
            if keep not in others and not any(_is_covered(keep, other) for other in others):
                others.append(keep)
        return [keep for some in keeps.values() for keep in some]

    def _switch_off(self, why: str) -> None:
        self.deltas, self.why = "off", f"{why}; {_LEARN}"

    def _snapshot(self, view: View) -> Snapshot:
        """The snapshot of a plan. The one that it got before, if that is the same."""
        if view.snapshot is not None and view.version == self._version:
            return view.snapshot
        assert self._rows is not None
        sessions = view.sessions()
        made = Snapshot(
            sessions,
            self._client.endpoint.name,
            self._client.contract,
            left_out=self._rows.left_out(view),
            listing=self._listing,
            account=make_account(self._numbers, (live.session_id for live in sessions if live.remark.tag)),
            newest=self._rows.seen.newest,
        )
        if view.snapshot is None or replace(made, listing=view.snapshot.listing) != view.snapshot:
            view.snapshot = made
        view.version = self._version
        return view.snapshot


class _Reading:
    """A complete listing: what is kept of each session, and whether looks had missed something.

    ``top`` is the latest stamp, and ``unstamped`` says whether a session has none. ``missed`` says what was missed;
    empty if nothing was. ``open`` counts the sessions with stamps that this listing does not close.
    """

    def __init__(
        self,
        client: Client,
        keeps: list[Keep],
        before: AccountRows | None,
        closed: Stamp | None,
        closes: Stamp | None,
        excused: Collection[int],
    ) -> None:
        self._excused = excused
        self.open = 0
        self.keeps = Keeps(keeps)
        self.top: Stamp | None = None
        self.numbers: set[int | str] = set()
        self.missed = ""
        self.unstamped = False
        self._client = client
        self._before = before if closed is not None else None
        self._closed = closed or 0
        self._closes = closes
        self._old_keeps = Keeps(before.keeps if before else [])
        self._lock = threading.Lock()

    def keep(self, live: LiveSession) -> Row:
        """What is kept of a session. Called from many threads."""
        row = self.keeps.smallest(live)
        stamp = read_stamp(live.row, self._client.contract.session)
        self.unstamped |= stamp is None
        note_account(self._client, live, self.numbers)
        if stamp is not None:
            with self._lock:
                self.top = stamp if self.top is None else max(self.top, stamp)
                self.open += self._closes is None or stamp > self._closes
            if self._before is not None and stamp <= self._closed:
                self._compare(live, row)
        return row

    def _compare(self, live: LiveSession, row: Row) -> None:
        """Compare a session that cannot have changed since."""
        assert self._before is not None
        old = self._before.seen.row(live.session_id)
        if old is None and live.session_id in self._excused:
            return
        if old is None:
            self.missed = f"#{live.session_id} is listed, and its updated_at says that it was there before"
        elif _face(old) != _face(row) and _face(old) != _face(self._old_keeps.smallest(live)):
            self.missed = f"#{live.session_id} has changed, and its updated_at does not say so"


class _ClientSlices:
    """The pages of the service."""

    def __init__(self, client: Client) -> None:
        self._client = client
        listing = client.contract.operation("list_sessions")
        self.most = min(listing.page_size, client.contract.service.largest_page or listing.page_size)

    def read(self, ordering: Ordering, number: int, size: int) -> Slice | None:
        try:
            page = read_page(self._client, {"ordering": ordering, "page": number, "size": size})
        except ApiError as error:
            if ordering == "-updated_at" and error.status == 400:
                raise NotProvedError("the service does not order by updated_at", distrust=True) from None
            raise
        if page is None:
            return None
        count, lives = page
        stamps = (
            [read_stamp(live.row, self._client.contract.session) for live in lives]
            if ordering == "-updated_at"
            else []
        )
        known = [one for one in stamps if one is not None]
        if len(known) < len(stamps):
            raise NotProvedError(_UNSTAMPED, distrust=True)
        return Slice(count, [live.session_id for live in lives], known, lives)


def note_account(client: Client, live: LiveSession, numbers: set[int | str]) -> None:
    """Note the number of the account that a session belongs to."""
    number = value_at(live.row, client.contract.session.account)
    if type(number) in (int, str):
        numbers.add(number)


def _is_covered(keep: Keep, other: Keep) -> bool:
    """Whether what the other one keeps is enough, whatever sessions there are."""
    return is_known(keep) and keep.beyond(other) == frozenset()


def _face(row: Row) -> object:
    """What a plan sees of a session. Its row may also hold what changes without an update, such as counts of uses."""
    return row if isinstance(row, str) else replace(row, row={}, config={})
