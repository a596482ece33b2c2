"""Listing: reads every session from a server that returns pages and promises nothing, while others write.

A missed session would be created a second time. So a listing proves from the answers that it contains every session
that existed from the first request to the last, and none twice. Concurrent creates, updates and deletes by others
neither spoil the proof nor delay it for ever.

The proofs rest on three facts:

- *Ids grow.* A session that was created after the listing began has a higher id than those that existed before. How far
  this is relied on, and how it is checked, is said below.
- *An answer is a snapshot.* Its rows, and the count of all sessions, come from one state of the list.
- *The list is ordered.* The rows of a page have the requested order. This is checked on every page. A page that has
  another order is the server's fault, whatever others do.

**The first page.** Each reading of the list begins with the newest page (``ordering=-session_id``). If that page has as
many rows as the server counts, it is the whole list, from one moment, and the listing is complete. Otherwise let *edge*
be the lowest id on it, and *below* the count minus its rows: exactly this many sessions have an id below the edge, and
the others are on the page. Only the former remain to be read, oldest first. New sessions come last in that order, so
creates shift no page of it. The edge is a page below the newest id. So an id that becomes visible late (assigned before
the newest, committed after it) does not disturb the count either.

**The fast pass** reads these pages in parallel. It is complete when exactly *below* different ids below the edge came.
Proof: since ids grow, no session appears below the edge, so the rows are a subset of those that existed at the first
page; a subset of the same size is the whole. The order of the answers, and which row was on which page, do not matter.
If rows are missing, a delete shifted them over the edge of a page before they were read. A second and a third pass are
united with the first. By the same argument, each first page holds for all rows that were read after it. So the listing
is complete as soon as the rows since one of the three first pages are as many as that page says. A row that was deleted
before any pass saw it makes its first page unreachable; the first page of the next pass does not count it.

**The sweep** reads the pages below the edge from the last to the first, one after the other, oldest first. Proof: let
pages have *n* rows, and let the position of a session be the number of sessions with lower ids. Positions never rise,
since no session appears below the edge. Before page *p* is read, every session that existed throughout and was not seen
has a position below *p·n*; for the last page, this follows from the choice of *p*. When page *p* is read, such a
session either has a position of at least *(p-1)·n*, and is on the page, or a lower one, where it stays, and will be
seen on a page read later. After page 1, none is left. The sweep does not need an unchanged count, and it takes as many
calls as there are pages, whatever others do. It needs pages of one size, which is checked on each of them.

Reading several pages of a sweep at once is not safe: a session that moves from page *p* to *p-1* after *p-1* was read
and before *p* was is on neither.

**At the end** the newest page is read again, and further ones down to the edge, so that the result contains a session
of ours that was created meanwhile. These pages also tell how many of the sessions of the first page's moment still
exist. This distinguishes "others deleted some" from "the server does not list what it counts": if rows are missing
although the newest page and the count are unchanged, or if a sweep saw fewer sessions than are left, the server is at
fault, and that is an error.

**A listing by name** nearly always has one page, and is then from one moment. If it has several, a session that is
renamed into the filter appears below the edge. The check at the end finds it by a higher count, and the pass does not
count as complete. If one session is renamed into the filter and another out of it in the same pass, that is not
noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias

from reconciler.api.client import Client
from reconciler.api.decode import decode_session, value_at
from reconciler.api.errors import ApiError, UnreliableListError
from reconciler.api.prefetch import prefetched
from reconciler.api.seen import Row, Seen
from reconciler.bulk import no_garbage_collection
from reconciler.domain import Keep, LeftOut, Listing, LiveSession, Others, Snapshot, Way
from reconciler.ownership.account import make_account
from reconciler.values import as_number

#: The most fast passes, and the most sweeps.
PASSES = 3
SWEEPS = 2

#: If a pass misses more than this, about as many were deleted meanwhile, and another pass has little chance.
FEW_MISSING = 8

#: More pages than this are taken for an error of the server.
MOST_PAGES = 100_000

#: How often a first page is read that does not match its count.
_FIRST_TRIES = 3

#: How many pages are prefetched for each connection.
_AHEAD = 2

#: Called after each page with the number of rows so far, and the number of all.
OnRows = Callable[[int, int], None]

Ordering: TypeAlias = Literal["session_id", "-session_id"]


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: the count of all sessions, and the ids and rows of this page in the order of the answer."""

    count: int
    ids: list[int]
    rows: list[Row]


class Pages(Protocol):
    """The source of pages. A page past the end is None."""

    def one(self, ordering: Ordering, number: int) -> Page | None:
        """One page. Page 1 always exists."""

    def several(self, ordering: Ordering, numbers: range) -> Generator[Page | None]:
        """Pages in the order of their numbers. They may be read in any order."""


@dataclass(frozen=True, slots=True)
class Found:
    """A complete list: the kept sessions by id, how many others are only counted, and how it was read."""

    sessions: tuple[LiveSession, ...]
    left_out: LeftOut
    listing: Listing


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
    numbers: set[Any] = set()
    place = client.contract.session.account

    def noting(live: LiveSession) -> LiveSession | Others:
        number = value_at(live.row, place)
        if type(number) in (int, str):
            numbers.add(number)
        return keep(live)

    with no_garbage_collection():
        found = read_list(
            _ClientPages(client, name, noting), filtered=_filters(client, name), on_rows=on_rows
        )
    return Snapshot(
        found.sessions,
        client.endpoint.name,
        client.contract,
        left_out=found.left_out,
        listing=found.listing,
        account=make_account(numbers, (live.session_id for live in found.sessions if live.remark.tag)),
    )


def read_list(pages: Pages, *, filtered: bool = False, on_rows: OnRows | None = None) -> Found:
    """The complete list from these pages. ``filtered`` says that sessions may be renamed into it.

    It takes at most ``PASSES + SWEEPS`` readings. Each takes one call for the first page, and one for every page that
    exists when it begins. After each sweep and each complete pass, at most as many calls again find what is new.

    Raises:
        UnreliableListError: the server does not list what it counts, or not in order.
        ApiError: a page could not be read.
    """
    return _Reading(pages, filtered, on_rows or (lambda done, total: None)).read()


@dataclass(frozen=True, slots=True)
class _Start:
    """The facts from the first page of a reading. ``number`` is that of the reading.

    ``size`` is the number of rows on a full page. ``below`` is how many sessions have an id below the ``edge``.
    """

    number: int
    page: Page
    count: int
    newest: int
    edge: int
    size: int

    @property
    def below(self) -> int:
        return self.count - self.size

    @property
    def pages(self) -> int:
        return -(-self.below // self.size)

    def unchanged(self, first: Page) -> bool:
        """Whether nobody created or deleted a session since, by the first page now."""
        return (first.count, first.ids) == (self.count, self.page.ids)


@dataclass(slots=True)
class _Reading:
    """A list that is being read."""

    pages: Pages
    filtered: bool
    on_rows: OnRows
    calls: int = 0
    number: int = 0  # of the current reading
    seen: Seen = field(default_factory=Seen)
    twice: int | None = None  # an id that a pass saw on two pages

    def read(self) -> Found:
        first = self._first()
        starts: list[_Start] = []
        inexplicable = 0
        while len(starts) < PASSES and not _is_whole(first):
            start = self._start(first, len(starts) + 1)
            starts.append(start)
            self._pass(start)
            first = self._first()
            reached = self._complete(starts)
            if reached is not None:
                deleted = self._see_new(reached, first)
                # A session that was renamed into the filter may make up for one that was missed.
                if not self.filtered or (deleted is not None and deleted >= 0):
                    way: Way = "fast" if reached is start else "united"
                    return self._found(reached.number, start.number, way)
            inexplicable += start.unchanged(first)
            if start.below - self._count(start) > FEW_MISSING:
                break
        if _is_whole(first):
            return self._whole(first, len(starts) + 1, "fast")
        if inexplicable == len(starts):
            raise self._miscounted(starts[-1])
        return self._swept(first, len(starts))

    def _swept(self, first: Page, passes: int) -> Found:
        problem = None
        for number in range(passes + 1, passes + 1 + SWEEPS):
            self.seen = Seen()
            if _is_whole(first):
                return self._whole(first, number, "sweep")
            start = self._start(first, number)
            steady = self._sweep(start)
            first = self._first()
            deleted = self._see_new(start, first)
            seen = self.seen.count(number, start.newest + 1)
            if not steady:
                problem = _unreliable("the server changes the number of rows on a page while it is read")
            elif deleted is not None and seen < start.count - deleted:
                problem = self._miscounted(start)
            else:
                return self._found(number, number, "sweep")
        assert problem is not None
        raise problem

    def _whole(self, page: Page, number: int, way: Way) -> Found:
        """The list, if it is all on one page."""
        self.seen = Seen()
        self.number = number
        self._add(page)
        self.on_rows(page.count, page.count)
        return self._found(number, number, way)

    def _start(self, first: Page, number: int) -> _Start:
        self.number, self.twice = number, None
        self._add(first)
        start = _Start(number, first, first.count, first.ids[-1], first.ids[0], len(first.ids))
        if start.pages > MOST_PAGES:
            raise ApiError(
                "list_sessions",
                f"the answer does not fit the contract: {start.count} sessions on {start.pages + 1} pages",
                hint="is the address that of the session API?",
            )
        self.on_rows(start.size, start.count)
        return start

    def _pass(self, start: _Start) -> None:
        done = start.size
        self.calls += start.pages
        with closing(self.pages.several("session_id", range(1, start.pages + 1))) as found:
            for page in found:
                if page is None:  # after deletes by others, it is past the end
                    continue
                _check_order(page, "session_id")
                self._add(page, start.edge)
                done = min(done + len(page.ids), start.count)
                self.on_rows(done, start.count)

    def _sweep(self, start: _Start) -> bool:
        """Read from the last page to the first. Returns false if the pages were not of one size."""
        done = start.size
        for number in range(start.pages, 0, -1):
            self.calls += 1
            page = self.pages.one("session_id", number)
            if page is None:
                continue
            _check_order(page, "session_id")
            before = (number - 1) * start.size
            if len(page.ids) != max(0, min(start.size, page.count - before)):
                return False
            self._add(page)
            done = min(done + len(page.ids), start.count)
            self.on_rows(done, start.count)
        return True

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

    def _complete(self, starts: list[_Start]) -> _Start | None:
        """The last start since which all sessions that it counts were seen."""
        return next((start for start in reversed(starts) if self._count(start) == start.below), None)

    def _count(self, start: _Start) -> int:
        """How many sessions below the edge of this start were seen since."""
        return self.seen.count(start.number, start.edge)

    def _add(self, page: Page, edge: int = 0) -> None:
        twice = self.seen.add(page.ids, page.rows, self.number)
        if twice is not None and twice < edge:
            self.twice = twice

    def _found(self, since: int, passes: int, way: Way) -> Found:
        listing = Listing(self.calls, passes, way)
        return Found(self.seen.sessions(since), self.seen.left_out(since), listing)

    def _miscounted(self, start: _Start) -> UnreliableListError:
        if self.twice is not None:
            return _unreliable(f"#{self.twice} is on two pages, and others of {start.count} on none")
        seen = self.seen.count(start.number, start.newest + 1)
        return _unreliable(
            f"the server counts {start.count}, and {seen} came, though nobody deleted any meanwhile"
        )


def _filters(client: Client, name: str | None) -> bool:
    named = name is not None and "name" in client.contract.operation("list_sessions").fields
    return named and client.contract.service.name_filter != "none"


def _is_whole(first: Page) -> bool:
    """Whether the newest page is the whole list."""
    return len(first.ids) == first.count


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


@dataclass(frozen=True, slots=True)
class _ClientPages:
    """The pages of the service."""

    client: Client
    name: str | None
    keep: Keep

    def one(self, ordering: Ordering, number: int) -> Page | None:
        operation = self.client.contract.operation("list_sessions")
        query: dict[str, Any] = {"ordering": ordering, "page": number, "size": operation.page_size}
        if self.name is not None:
            query["name"] = self.name
        try:
            body = self.client.read("list_sessions", query)
        except ApiError as error:
            if error.status == 404 and number > 1:
                return None
            raise
        count, results = as_number(body.get("count")), body.get("results")
        if type(count) is not int or type(results) is not list:
            raise ApiError(
                "list_sessions",
                "the answer does not fit the contract: count and results are not both there",
                hint="is the address that of the session API?",
            )
        lives = [decode_session(row, self.client.contract.session) for row in results]
        return Page(count, [live.session_id for live in lives], [self.keep(live) for live in lives])

    def several(self, ordering: Ordering, numbers: range) -> Generator[Page | None]:
        connections = self.client.connections
        return prefetched(
            lambda number: self.one(ordering, number),
            numbers,
            workers=connections,
            ahead=_AHEAD * connections,
        )
