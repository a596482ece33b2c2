"""Changes: finds out what is different from a list that is known, with calls in proportion to that, not to the list.

The service stamps a session with the time of its last change (``updated_at``) and can list the latest change first. So
a list that was read once can be kept up to date. As with a listing (:mod:`reconciler.api.listing`), the responses
prove that nothing is missed, whatever others do meanwhile.

The proofs rest on these facts. ``reconciler doctor --probe`` learns the second and the third. What goes wrong if one of
them does not hold is found by the next complete listing (:mod:`reconciler.api.account_list`).

- *A response is a snapshot.* Its rows, and the count of all sessions, come from one state of the list.
- *Every create and update sets the stamp* to the time of the server's clock, truncated to a *resolution*. It can be
  seen at most a *lag* later. No clock is set back.
- *The order is honoured.* Sessions with the same stamp may come in any order, and in another one each time.
- *Ids grow, and a deleted session does not come back.*

**Closed stamps.** Let the *margin* be more than lag, differences of clocks, and resolution together. A stamp is
*closed* if no change can appear any more that has this stamp or a lower one, and everything up to it was read since.
What is kept of sessions with closed stamps is final. A pass (below) closes all stamps up to the higher one of two:

- The one that another response showed at least a margin before the pass began. The server's clock was there then, so
  whatever appears after the pass began has a higher stamp.
- A margin before the stamp at the top of the first response of the pass, for the same reason. So on a busy account
  nobody has to wait.

**The probe** takes two calls of one row: the newest id, and the latest change. The list is unchanged if both responses
count as many sessions as are kept, and show the same newest id and the same latest stamp, and if this stamp is closed.
For a session that was created or changed since would have a higher stamp than the closed ones, and would be on top. So
all that are live are kept, unchanged, and as many are live as are kept. Without the last condition this would be wrong:
two changes within one second have one stamp.

**The pass** reads the latest changes from the top until a stamp is closed. If one page gets there, it is from one
moment: whatever is not on it is final. Otherwise the pages overlap: each begins above all sessions that share the last
stamp of the page before. A session that nobody changes meanwhile keeps its stamp, and so is on the page that covers its
stamp, however pages shift and however equal stamps are ordered. At the end the first page is read once more. If it
reaches down to a margin below the stamp that was on top at the beginning, whatever was changed during the pass is on
it. If more sessions share a stamp than fit on a page, or changes come too fast, the list is read as a whole.

**Deleted sessions.** After the pass, every live session is known, for those created meanwhile are on the last page. So
if more are known than that page counts, the difference is the number of deleted ones. They are searched by id, oldest
first, an order in which creates shift nothing: if the session at a rank is the one that is known for this rank, none
below it is gone. Such a bisection only says where to look. What proves a deletion is a single response: known ids
between two neighbours of its rows are gone, for ever. At the end the newest page is read. If it counts as many old
sessions as are left, none was deleted that was not found, and otherwise the search goes on.

All this takes at most a tenth of the calls of a complete listing (a little more of a short one), and is then given up.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, Protocol, TypeAlias

from reconciler.domain import LiveSession

#: The time of a session's last change by the service's clock, in microseconds.
Stamp: TypeAlias = int

Ordering: TypeAlias = Literal["session_id", "-session_id", "-updated_at"]

#: How often a look is repeated whose responses do not fit together.
TRIES: Final = 3

#: A short list may take as many calls as this before it is read as a whole, but no more than that takes.
_FEW: Final = 24


@dataclass(frozen=True, slots=True)
class Slice:
    """One response: the count of all sessions, and the ids, stamps and sessions of this page in its order."""

    count: int
    ids: Sequence[int]
    stamps: Sequence[Stamp]
    rows: Sequence[LiveSession]


class Slices(Protocol):
    """The source of pages. ``most`` is the number of rows on a page of the usual size."""

    @property
    def most(self) -> int: ...

    def read(self, ordering: Ordering, number: int, size: int) -> Slice | None:
        """The page of this number if pages have so many rows; None if it is past the end.

        Raises:
            NotProvedError: the rows have no stamps.
            ApiError: the page could not be read.
        """


class NotProvedError(Exception):
    """The list must be read as a whole. ``distrust``: what the proofs rest on does not hold."""

    def __init__(self, why: str, *, distrust: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.distrust = distrust


class _InconsistentError(Exception):
    """The responses do not fit together. Another look may go better."""


@dataclass(slots=True)
class Closing:
    """Which stamps are closed. ``margin`` is in microseconds; times are in seconds of any clock that never jumps."""

    margin: int
    closed: Stamp | None = None
    _shown: list[tuple[float, Stamp]] = field(
        default_factory=list
    )  # when a response showed which stamp, growing

    def show(self, stamp: Stamp, now: float) -> None:
        """A response showed this stamp."""
        if len(self._shown) < 64 and (not self._shown or stamp > self._shown[-1][1]):
            self._shown.append((now, stamp))

    def due(self, now: float) -> Stamp | None:
        """The stamp that a pass will close that begins now."""
        old = [stamp for at, stamp in self._shown if (now - at) * 1e6 >= self.margin]
        return max(old, default=None)

    def closes(self, due: Stamp | None, top: Stamp | None) -> Stamp | None:
        """The highest stamp that is closed when such a pass has ended."""
        ends = [self.closed, due, None if top is None else top - self.margin - 1]
        return max((one for one in ends if one is not None), default=None)

    def passed(self, due: Stamp | None, top: Stamp | None) -> None:
        """A pass ended. ``due`` is what :meth:`due` said when it began, ``top`` the stamp on top at its beginning."""
        self.closed = self.closes(due, top)
        self._shown = [one for one in self._shown if self.closed is None or one[1] > self.closed]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the list: the ids, growing; the latest stamp, and the highest one that is closed.

    ``top`` is None if the session on top may be one that is known to be deleted. Any change since is above the closed
    stamps all the same.

    ``margin`` is in microseconds.
    """

    ids: array[int]
    top: Stamp | None
    closed: Stamp | None
    margin: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look found: the ids that are live now, and the sessions that may have changed, as they are now.

    ``gone`` are the deleted ids. ``top`` is the latest stamp now, ``first`` that of the beginning.
    """

    ids: array[int]
    changed: Mapping[int, LiveSession]
    gone: Sequence[int]
    top: Stamp
    first: Stamp
    calls: int


def calls_of_listing(count: int, most: int) -> int:
    """How many calls it takes to read so many sessions as a whole."""
    return 1 if count <= most else 1 + -(-count // most)


def find_changes(slices: Slices, known: Known) -> Changes:
    """What has changed since the list was known.

    Raises:
        NotProvedError: that can't be proved with few calls. The list must be read as a whole.
        ApiError: a page could not be read.
    """
    full = calls_of_listing(len(known.ids), slices.most)
    looking = _Looking(slices, known, max(full // 10 - 2, min(full, _FEW)))
    for _ in range(TRIES):
        try:
            return looking.look()
        except _InconsistentError as error:
            why = str(error)
    raise NotProvedError(why)


@dataclass(slots=True)
class _Looking:
    slices: Slices
    known: Known
    budget: int
    calls: int = 0

    def look(self) -> Changes:
        known = self.known
        newest = self._read("-session_id", 1, 1)
        settled = known.top is not None and known.closed is not None and known.closed >= known.top
        first = self._latest(1, 1 if settled else self.slices.most)
        if newest is None or first is None or not newest.ids or not first.ids:
            raise NotProvedError("the list is empty")
        if len(first.ids) < self.slices.most and not self._closes(first):
            first = self._latest(1, self.slices.most) or first
        changed, last = self._pass(first)
        ids = _merged(known.ids, changed)
        if not _holds(ids, newest.ids[0]):
            raise _InconsistentError(f"#{newest.ids[0]} is new, but not among the latest changes")
        gone = self._gone(ids, last.count)
        as_known = (newest.count, newest.ids[0]) == (last.count, ids[-1])
        as_known &= known.top in (None, last.stamps[0])
        if not changed and not gone and not as_known:
            raise _InconsistentError(
                "nothing has changed, but the newest session or the latest change is another"
            )
        if gone:
            dead = set(gone)
            ids = array("q", (one for one in ids if one not in dead))
        return Changes(ids, changed, gone, last.stamps[0], first.stamps[0], self.calls)

    def _read(self, ordering: Ordering, number: int, size: int) -> Slice | None:
        self.calls += 1
        if self.calls > self.budget:
            raise NotProvedError("too much has changed")
        return self.slices.read(ordering, number, size)

    def _latest(self, number: int, size: int) -> Slice | None:
        """A page of the latest changes."""
        page = self._read("-updated_at", number, size)
        for one, other in pairwise(page.stamps if page else ()):
            if one < other:
                raise NotProvedError("the service does not order by updated_at", distrust=True)
        return page

    def _closes(self, page: Slice) -> bool:
        """Whether everything below this page of the latest changes is closed."""
        return self.known.closed is not None and page.stamps[-1] <= self.known.closed

    def _pass(self, first: Slice) -> tuple[dict[int, LiveSession], Slice]:
        """The sessions that are not closed, and the page that is from the moment of which all are known."""
        changed: dict[int, LiveSession] = {}
        page, start = first, 0
        while True:
            self._add(page, changed)
            if self._closes(page):
                break
            low = page.stamps[-1]
            place = start + page.stamps.index(low)  # where those with this stamp begin; they may go on below
            number, size = _from(max(0, place - 1 - self.slices.most // 16), self.slices.most)
            if place == start or number * size <= start + len(page.ids):
                raise NotProvedError("too many sessions share one updated_at")
            following, start = self._latest(number, size), (number - 1) * size
            if following is None or not following.ids or following.stamps[0] <= low:
                raise _InconsistentError("sessions were deleted while the latest changes were read")
            page = following
        if page is first:
            return changed, first
        last = self._latest(1, self.slices.most)
        if last is None or not last.ids:
            raise _InconsistentError("the list became empty")
        self._add(last, changed)
        # What was changed during the pass has a stamp of that time.
        if not self._closes(last) and last.stamps[-1] >= first.stamps[0] - self.known.margin:
            raise NotProvedError("too much is changing")
        return changed, last

    def _add(self, page: Slice, changed: dict[int, LiveSession]) -> None:
        closed = self.known.closed
        rows = zip(page.ids, page.stamps, page.rows, strict=True)
        changed.update((number, row) for number, stamp, row in rows if closed is None or stamp > closed)

    def _gone(self, ids: array[int], live: int) -> list[int]:
        """Those of the known ids that are deleted. As many as ``live`` are left."""
        gone: list[int] = []
        if len(ids) == live:
            return gone
        steps = len(bin(len(ids) // self.slices.most))
        if (len(ids) - live) * steps > self.budget - self.calls:
            raise NotProvedError(f"{len(ids) - live} sessions were deleted")
        newest, left = ids[-1], array("q", ids)
        while True:
            if live > len(left):
                raise _InconsistentError(f"the service counts {live}, and {len(left)} are known")
            while len(left) > live:
                found = self._some_gone(left)
                gone += found
                for one in found:
                    del left[bisect_left(left, one)]
            page = self._read("-session_id", 1, self.slices.most)
            new = sum(one > newest for one in page.ids) if page else 0
            if page is None or (page.ids and new == len(page.ids)):
                raise _InconsistentError("too many sessions are new")
            live = page.count - new
            if live == len(left):
                return gone

    def _some_gone(self, left: array[int]) -> list[int]:
        """Some of these ids that are deleted."""
        same, other = (
            0,
            len(left),
        )  # a rank whose session is the one that is known for it, and one where it is not
        while (where := _straddling(same, other, self.slices.most)) is None and other - same > 1:
            rank = (same + other) // 2
            page = self._read("session_id", rank, 1)
            if page is not None and page.ids and page.ids[0] < left[rank - 1]:
                raise _InconsistentError(f"#{page.ids[0]} is not known")
            if page is not None and page.ids and page.ids[0] == left[rank - 1]:
                same = rank
            else:
                other = rank
        page = None if where is None else self._read("session_id", *where)
        if where is None or page is None or not page.ids:
            raise _InconsistentError("sessions were deleted while the deleted ones were searched")
        number, size = where
        before = (number - 1) * size
        if len(page.ids) != min(size, page.count - before) or any(a >= b for a, b in pairwise(page.ids)):
            raise NotProvedError("the service does not return the requested rows", distrust=True)
        start = 0 if number == 1 else bisect_left(left, page.ids[0])
        end = len(left) if before + len(page.ids) == page.count else bisect_left(left, page.ids[-1])
        found = sorted(set(left[start:end]).difference(page.ids))
        if not found:
            raise _InconsistentError("sessions were deleted while the deleted ones were searched")
        return found


def _merged(ids: array[int], changed: Mapping[int, LiveSession]) -> array[int]:
    """The growing ids of both."""
    fresh = sorted(one for one in changed if not _holds(ids, one))
    if not fresh:
        return ids
    if not ids or fresh[0] > ids[-1]:
        return ids + array("q", fresh)
    return array("q", sorted([*ids, *fresh]))


def _holds(ids: array[int], session_id: int) -> bool:
    place = bisect_left(ids, session_id)
    return place < len(ids) and ids[place] == session_id


def _from(place: int, most: int) -> tuple[int, int]:
    """The page that has this place (counted from 0) and reaches furthest. Pages have up to ``most`` rows."""
    size = max(range(most // 2 + 1, most + 1), key=lambda size: (place // size + 1) * size)
    return place // size + 1, size


def _straddling(low: int, high: int, most: int) -> tuple[int, int] | None:
    """A page that has both ranks (counted from 1). Pages have up to ``most`` rows."""
    start = max(low - 1, 0)
    for size in range(most, 0, -1):
        if (start // size + 1) * size >= high:
            return start // size + 1, size
    return None
