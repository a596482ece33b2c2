"""Listing: reads every session from a server that returns pages and promises nothing, while others write.

A missed session would be created a second time. So a listing proves from the responses that it contains every session
that existed from the first request to the last, and none twice. Concurrent creates, updates and deletes by others
neither spoil the proof nor delay it for ever.

The proofs rest on three facts:

- *Ids grow.* A session that was created after the listing began has a higher id than those that existed before.
- *A response is a snapshot.* Its rows, and the count of all sessions, come from one state of the list.
- *The list is ordered.* The rows of a page have the requested order. This is checked on every page. A page that has
  another order is the server's fault, whatever others do.

**The first page.** Each reading of the list begins with the newest page (``ordering=-session_id``). If that page has
as many rows as the server counts, it is the whole list, from one moment, and the listing is complete. Otherwise let
*edge* be the lowest id on it, and *below* the count minus its rows: exactly this many sessions have an id below the
edge, and the others are on the page. Only the former remain to be read, oldest first. New sessions come last in that
order, so creates shift no page of it. The edge is a page below the newest id. So an id that becomes visible late
(assigned before the newest, committed after it) does not disturb the count either.

**The pass** reads these pages in several segments at once, each of them from its highest page to its lowest
(:mod:`reconciler.api.segments`). There are two proofs that it missed nothing:

- *By count*: exactly *below* different ids below the edge came. Since ids grow, no session appears below the edge, so
  the rows are a subset of those that existed at the first page; a subset of the same size is the whole. The order of
  the responses, and which row was on which page, do not matter. On an account where nobody deletes, this is nearly
  always so.
- *By sweep*: the segments leave no gap between them, and reach the edge. After deletions, a segment mostly has to
  read one page more for that. If deletions are so frequent that the gaps take as many calls as the pass itself, the
  list is read in a single segment, one page after the other. That has no gaps, and it takes as many calls as there
  are pages, whatever others do.

**At the end** the newest page is read again, and further ones down to the edge, so that the result contains a session
of ours that was created meanwhile. These pages also tell how many of the sessions of the first page's moment still
exist. If a sweep saw fewer, the server does not list what it counts. It is read again, and if that does not help, it
is an error.

**A listing by name** nearly always has one page, and is then from one moment. If it has several, sessions may be
renamed into the filter and out of it. Positions rise and fall then, and a count proves nothing. What still holds is
that a response contains every session between its first and its last row. So the pages are read, and others of another
size, each of which has its middle at the edge between two pages. The listing is complete if these ranges, together
with the first page, contain every id. If they don't after a few tries, all sessions are read instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias

from reconciler.api.client import Client
from reconciler.api.decode import value_at
from reconciler.api.errors import ApiError, UnreliableListError
from reconciler.api.list_page import read_page
from reconciler.api.prefetch import prefetched
from reconciler.api.seen import Row, Seen
from reconciler.api.segments import Segment, in_turn, split, with_gap
from reconciler.bulk import no_garbage_collection
from reconciler.domain import Keep, LeftOut, Listing, LiveSession, Others, Snapshot, Way
from reconciler.ownership.account import make_account

#: How often a list is read that does not contain what the server counts.
TRIES = 3

#: More pages than this are taken for an error of the server.
MOST_PAGES = 100_000

#: How often a first page is read that does not match its count.
_FIRST_TRIES = 3

#: How many pages are prefetched for each connection.
_AHEAD = 2

#: Called after each page with the number of rows so far, and the number of all.
OnRows = Callable[[int, int], None]

Ordering: TypeAlias = Literal["session_id", "-session_id"]

#: The number of a page, and how many rows pages have; 0 for as many as usual.
Wanted: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Page:
    """One response: the count of all sessions, and the ids and rows of this page in the order of the response."""

    count: int
    ids: list[int]
    rows: list[Row]


class Pages(Protocol):
    """The source of pages. A page past the end is None.

    ``ahead`` is how many are best in flight. ``filtered`` says whether sessions may be renamed into the list.
    """

    @property
    def ahead(self) -> int: ...

    @property
    def filtered(self) -> bool: ...

    def one(self, ordering: Ordering, number: int) -> Page | None:
        """One page. Page 1 always exists."""

    def several(self, wanted: Sequence[Wanted], most: int) -> Generator[Page | None]:
        """Pages of the list, oldest first, in the order in which they are wanted.

        No page is requested before the one ``most`` places ahead of it was answered.
        """


@dataclass(frozen=True, slots=True)
class Found:
    """A complete list, and how it was read."""

    seen: Seen
    listing: Listing

    @property
    def sessions(self) -> tuple[LiveSession, ...]:
        """The kept sessions, by id."""
        return self.seen.sessions()


def whole(live: LiveSession) -> LiveSession:
    """Keep a session unchanged."""
    return live


def list_sessions(
    client: Client, *, name: str | None = None, keep: Keep = whole, on_rows: OnRows | None = None
) -> Snapshot:
    """All sessions, or those that the server finds for a name. Filter these again: how it matches is not promised.

    ``keep`` decides what is kept of each session, or returns who owns it if it is only counted.

    Raises:
        UnreliableListError: the server does not list what it counts, or not in order.
        ApiError: a page could not be read.
    """
    with no_garbage_collection():
        return list_collecting(client, name=name, keep=keep, on_rows=on_rows)


def list_collecting(
    client: Client, *, name: str | None = None, keep: Keep = whole, on_rows: OnRows | None = None
) -> Snapshot:
    """As :func:`list_sessions`. The garbage collector stays on, for processes that list all day."""
    numbers: set[Any] = set()
    place = client.contract.session.account

    def noting(live: LiveSession) -> LiveSession | Others:
        number = value_at(live.row, place)
        if type(number) in (int, str):
            numbers.add(number)
        return keep(live)

    pages = _ClientPages(client, name, noting, _AHEAD * client.connections, _filters(client, name))
    if not pages.filtered:
        found = read_list(pages, on_rows=on_rows)
    elif (some := read_filtered(pages)) is not None:
        found = some
    else:
        every = list_collecting(client, keep=lambda live: keep(live) if live.name == name else "unmanaged")
        return replace(every, left_out=LeftOut())
    sessions = found.sessions
    return Snapshot(
        sessions,
        client.endpoint.name,
        client.contract,
        left_out=found.seen.left_out(),
        listing=found.listing,
        account=make_account(numbers, (live.session_id for live in sessions if live.remark.tag)),
        newest=found.seen.newest,
    )


def list_anew(client: Client, keep: Keep, on_rows: OnRows | None = None) -> Found:
    """All sessions, as in :func:`list_collecting`, with those that are only counted."""
    return read_list(_ClientPages(client, None, keep, _AHEAD * client.connections, False), on_rows=on_rows)


def read_list(pages: Pages, *, on_rows: OnRows | None = None) -> Found:
    """The complete list from these pages.

    It takes one call for each page that exists when it begins, one for the first page, and one for each page of what is
    new at the end. If others delete sessions, it takes a few more, and at most three times as many. If the responses do
    not fit together, it starts again, twice at most.

    Raises:
        UnreliableListError: the server does not list what it counts, or not in order.
        ApiError: a page could not be read.
    """
    return _Reading(pages, on_rows or (lambda done, total: None)).read()


def read_filtered(pages: Pages) -> Found | None:
    """The complete list from pages that sessions may be renamed into and out of. None if that can't be proved.

    Raises:
        UnreliableListError: the server does not list in order.
        ApiError: a page could not be read.
    """
    return _Reading(pages, lambda done, total: None).read_ranges()


@dataclass(frozen=True, slots=True)
class _Start:
    """The facts from the first page of a reading.

    ``size`` is the number of rows on a full page. ``below`` is how many sessions have an id below the ``edge``.
    """

    count: int
    newest: int
    edge: int
    size: int

    @property
    def below(self) -> int:
        return self.count - self.size

    @property
    def pages(self) -> int:
        """The pages up to the one that reaches the edge, even if the count was a little too low."""
        return self.below // self.size + 1


@dataclass(slots=True)
class _Reading:
    """A list that is being read."""

    pages: Pages
    on_rows: OnRows
    calls: int = 0
    seen: Seen = field(default_factory=Seen)
    twice: int | None = None  # an id that a pass saw on two pages
    steady: bool = True  # whether all pages had one size

    def read(self) -> Found:
        first = self._first()
        for number in range(1, TRIES + 1):
            if _is_whole(first):
                return self._whole(first, number)
            start = self._start(first)
            segments = self._pass(start, self.pages.ahead)
            counted = self.seen.count(start.edge) == start.below and _reaches(segments, start)
            problem = None if counted else self._sweep(start, segments)
            first = self._first()
            deleted = self._see_new(start, first)
            if not counted and deleted is not None and self._old(start) < start.count - deleted:
                problem = problem if problem and deleted else self._miscounted(start)
            if problem is None:
                return self._found(number, "fast" if counted else "sweep")
        assert problem is not None
        raise problem

    def read_ranges(self) -> Found | None:
        """The list, if the ranges of its pages and of those between them prove that nothing is missing."""
        ranges: list[tuple[float, float]] = []
        for number in range(1, TRIES + 1):
            first = self._first()
            if _is_whole(first):
                return self._whole(first, number)
            if not self.pages.filtered:
                return self.read()
            start = self._start(first, self.seen)
            ranges.append((start.edge, math.inf))
            wanted = [(one, start.size) for one in range(1, start.pages + 1)]
            wanted += [_across(one * start.size, start.size) for one in range(1, start.pages)]
            for (one, size), page in zip(wanted, self._several(wanted, self.pages.ahead), strict=True):
                if page is not None and page.ids:
                    self._add(page)
                    ranges.append(_range(one, size, page))
            if _without_gap(ranges):
                return self._found(number, "sweep")
        return None

    def _whole(self, page: Page, number: int) -> Found:
        """The list, if it is all on one page."""
        self.seen = Seen()
        self._add(page)
        self.on_rows(page.count, page.count)
        return self._found(number, "fast")

    def _start(self, first: Page, seen: Seen | None = None) -> _Start:
        self.seen, self.twice, self.steady = seen or Seen(), None, True
        self._add(first)
        start = _Start(first.count, first.ids[-1], first.ids[0], len(first.ids))
        pages = -(-start.count // start.size)
        if pages > MOST_PAGES:
            raise ApiError(
                "list_sessions",
                f"the answer does not fit the contract: {start.count} sessions on {pages} pages",
                hint="is the address that of the session API?",
            )
        self.on_rows(start.size, start.count)
        return start

    def _pass(self, start: _Start, most: int) -> list[Segment]:
        """Read all pages below the edge once, in at most so many segments."""
        done = start.size
        segments = split(start.pages, most)
        for ids in self._read(start, in_turn(segments), len(segments)):
            done = min(done + len(ids), start.count)
            self.on_rows(done, start.count)
        return segments

    def _read(self, start: _Start, wanted: Sequence[tuple[Segment, int]], most: int) -> Generator[list[int]]:
        """Read these pages of segments."""
        pages = self._several([(number, 0) for _, number in wanted], most)
        for (segment, number), page in zip(wanted, pages, strict=True):
            ids = [] if page is None else page.ids
            if page is not None:
                before = (number - 1) * start.size
                self.steady &= len(ids) == max(0, min(start.size, page.count - before))
                self._add(page, start.edge)
            segment.add(ids, start.size)
            yield ids

    def _several(self, wanted: Sequence[Wanted], most: int) -> Generator[Page | None]:
        self.calls += len(wanted)
        with closing(self.pages.several(wanted, most)) as found:
            for page in found:
                if page is not None:  # after deletes by others, it may be past the end
                    _check_order(page, "session_id")
                yield page

    def _sweep(self, start: _Start, segments: list[Segment]) -> UnreliableListError | None:
        """Close the gaps between the segments. If that takes too long, read the list in one segment."""
        left = start.pages
        while self.steady and (upper := with_gap(segments)):
            left -= len(upper)
            if left < 0:
                segments = self._pass(start, 1)
                continue
            for _ in self._read(start, [(segment, segment.next) for segment in upper], len(upper)):
                pass
        if not self.steady:
            return _unreliable("the server changes the number of rows on a page while it is read")
        if not _reaches(segments, start):
            return _unreliable(f"the server counts {start.count}, and lists more")
        return None

    def _first(self) -> Page:
        """The newest page, read again if it does not match its count, which some servers update a moment earlier."""
        for attempt in range(1, _FIRST_TRIES + 1):
            page = self._newest(1)
            if len(page.ids) <= page.count and bool(page.ids) == bool(page.count):
                break
            if attempt == _FIRST_TRIES:
                raise _unreliable(f"the server counts {page.count}, and {len(page.ids)} rows came")
        return page

    def _newest(self, number: int) -> Page:
        """A page of the newest sessions, reversed: the oldest of them first."""
        self.calls += 1
        page = self.pages.one("-session_id", number) or Page(0, [], [])
        _check_order(page, "-session_id")
        return Page(page.count, page.ids[::-1], page.rows[::-1])

    def _see_new(self, start: _Start, first: Page) -> int | None:
        """Add the sessions that are newer than the start. Returns what :func:`_deleted` does."""
        self._add(first)
        page, number = first, 1
        last = -(-first.count // max(1, len(first.ids)))
        while page.ids and page.ids[0] > start.edge and number < last:
            number += 1
            page = self._newest(number)
            self._add(page)
        return _deleted(start, page, number) if number == 1 or len(first.ids) == start.size else None

    def _old(self, start: _Start) -> int:
        """How many sessions were seen that existed at the start."""
        return self.seen.count(start.newest + 1)

    def _add(self, page: Page, edge: int = 0) -> None:
        twice = self.seen.add(page.ids, page.rows)
        if twice is not None and twice < edge:
            self.twice = twice

    def _found(self, passes: int, way: Way) -> Found:
        listing = Listing(self.calls, passes, way)
        return Found(self.seen, listing)

    def _miscounted(self, start: _Start) -> UnreliableListError:
        if self.twice is not None:
            return _unreliable(f"#{self.twice} is on two pages, and others of {start.count} on none")
        return _unreliable(
            f"the server counts {start.count}, and {self._old(start)} came, though others did not delete the rest"
        )


def _filters(client: Client, name: str | None) -> bool:
    named = name is not None and "name" in client.contract.operation("list_sessions").fields
    return named and client.contract.service.name_filter != "none"


def _is_whole(first: Page) -> bool:
    """Whether the newest page is the whole list."""
    return len(first.ids) == first.count


def _reaches(segments: Sequence[Segment], start: _Start) -> bool:
    """Whether no session lies between the last segment and the first page."""
    return segments[-1].high >= start.edge - 1


def _across(place: int, most: int) -> Wanted:
    """A page with this place as near to its middle as may be. It has at most so many rows."""
    size = max(range(most, most // 2, -1), key=lambda size: min(place % size, size - place % size))
    return place // size + 1, size


def _range(number: int, size: int, page: Page) -> tuple[float, float]:
    """The ids of which this page contains every session that existed when it was read."""
    last = len(page.ids) < size and (number - 1) * size + len(page.ids) >= page.count
    return (-math.inf if number == 1 else page.ids[0], math.inf if last else page.ids[-1])


def _without_gap(ranges: Iterable[tuple[float, float]]) -> bool:
    """Whether every integer is in one of these ranges."""
    end = -math.inf
    for low, high in sorted(ranges):
        if low > end + 1:
            return False
        end = max(end, high)
    return end == math.inf


def _deleted(start: _Start, page: Page, number: int) -> int | None:
    """How many of the sessions that existed at the start are gone; None if this page of the newest can't tell.

    Negative if sessions appeared that are not newer.
    """
    if number > 1 and not page.ids:
        return None
    if number * start.size < page.count and page.ids[0] > start.newest:
        return None
    newer = (number - 1) * start.size + sum(session_id > start.newest for session_id in page.ids)
    return start.count - (page.count - newer)


def _check_order(page: Page, ordering: Ordering) -> None:
    ids = page.ids if ordering == "session_id" else page.ids[::-1]
    for one, other in pairwise(ids):
        if one >= other:
            first, second = (one, other) if ordering == "session_id" else (other, one)
            raise _unreliable(f"#{second} came after #{first}, where ordering={ordering} was asked for")


def _unreliable(what: str) -> UnreliableListError:
    return UnreliableListError(
        f"the list of sessions can't be relied on: {what}",
        "the server does not order by session_id, or lists a session twice or not at all: "
        "run the command again, and `reconciler doctor` if it says the same",
    )


@dataclass(slots=True)
class _ClientPages:
    """The pages of the service. A session with another name shows that it does not filter by name."""

    client: Client
    name: str | None
    keep: Keep
    ahead: int
    filtered: bool

    def one(self, ordering: Ordering, number: int, size: int = 0) -> Page | None:
        operation = self.client.contract.operation("list_sessions")
        query: dict[str, Any] = {"ordering": ordering, "page": number, "size": size or operation.page_size}
        if self.name is not None:
            query["name"] = self.name
        page = read_page(self.client, query)
        if page is None:
            return None
        count, lives = page
        if self.name is not None:
            self.filtered &= all(self.name.casefold() in live.name.casefold() for live in lives)
        return Page(count, [live.session_id for live in lives], [self.keep(live) for live in lives])

    def several(self, wanted: Sequence[Wanted], most: int) -> Generator[Page | None]:
        return prefetched(
            lambda page: self.one("session_id", *page),
            wanted,
            workers=min(self.client.connections, most),
            ahead=most,
        )
