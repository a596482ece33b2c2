"""Listing: every session, as one consistent snapshot, from a server that gives pages and promises nothing.

Rows shift between pages while others write. A missed row would be created a second time; so a listing proves
that it missed none, or is made again, or fails.

Pages are asked for newest first (``ordering=-session_id``): the first page, then the rest over a pool of
threads, then once more the newest row. The listing holds when

1. count and number of pages are the same on every page,
2. the ids strictly fall over all pages, so that none repeats,
3. there are as many rows as the count says, and
4. after the last page, the count and the newest id are still what the first page said.

Why that proves it. Ids only grow, so a session that was made after the first page was read has the highest id for as
long as it is there. By (4) none of those is left at the end; with an unchanged count, none of the sessions of the
first page's moment is gone either. So all of them were there all the time, and a session that came and went would have
raised the count of every page read meanwhile, which (1) excludes. Every page was cut from the same rows.

Oldest first, the same checks would not do: a deletion on an early page and a creation on the last one cancel out in
every count, and the row that slipped over a page's edge in between is missed unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

from reconciler.api.client import Client
from reconciler.api.decode import decode_session
from reconciler.api.errors import ApiError, ListingUnsettledError
from reconciler.api.prefetch import prefetched
from reconciler.api.rate_limit import backoff
from reconciler.bulk import no_garbage_collection
from reconciler.domain import LiveSession, Snapshot
from reconciler.values import as_number

#: How often a listing is made before it counts as one that will not settle.
LISTING_TRIES = 6

#: More pages than this are taken for a mistake of the server.
MOST_PAGES = 100_000

#: How many pages are fetched before they are looked at, for each connection.
_AHEAD = 2

#: Called after each page with how many rows came so far, and how many there are.
OnRows = Callable[[int, int], None]


class _UnsettledError(Exception):
    """A check did not hold. The text says which."""


@dataclass(frozen=True, slots=True)
class _Page:
    count: int
    max_pages: int
    rows: list[Any]


def list_sessions(client: Client, *, name: str | None = None, on_rows: OnRows | None = None) -> Snapshot:
    """All sessions, or those that the server finds for a name (filter again: how it matches is not promised).

    Raises:
        ListingUnsettledError: the list kept changing while it was read.
        ApiError: a page could not be had.
    """
    reason = ""
    for attempt in range(1, LISTING_TRIES + 1):
        try:
            rows = _one_pass(client, name, on_rows)
        except _UnsettledError as error:
            reason = str(error)
            if attempt < LISTING_TRIES:
                client.limiter.sleep(backoff(attempt, base=0.05, cap=2.0))
            continue
        rows.reverse()
        return Snapshot(tuple(rows), client.endpoint.name, client.contract)
    raise ListingUnsettledError(
        f"the list of sessions would not settle in {LISTING_TRIES} tries: {reason}",
        "others write while it is read, or the server does not order by session_id: run the command again later",
    )


def _one_pass(client: Client, name: str | None, on_rows: OnRows | None) -> list[LiveSession]:
    first = _page(client, name, 1)
    shape = client.contract.session
    rows: list[LiveSession] = []
    with no_garbage_collection():
        for page in chain([first], _further_pages(client, name, first)):
            rows += [decode_session(row, shape) for row in page.rows]
            if on_rows:
                on_rows(len(rows), first.count)
    _check_rows(rows, first.count)
    if len(rows) > len(first.rows):
        newest = _page(client, name, 1, size=1)
        newest_id = decode_session(newest.rows[0], shape).session_id if newest.rows else None
        if newest.count != first.count or newest_id != rows[0].session_id:
            raise _UnsettledError("sessions were made or deleted while it was read")
    return rows


def _further_pages(client: Client, name: str | None, first: _Page) -> Iterator[_Page]:
    if len(first.rows) >= first.count:
        return
    if not first.rows:
        raise _UnsettledError(f"the first page is empty, and the server counts {first.count}")
    # The server may give fewer rows than asked for and still count its pages by what was asked.
    pages = max(first.max_pages, -(-first.count // len(first.rows)))
    if pages > MOST_PAGES:
        raise ApiError(
            "list_sessions",
            f"the answer does not fit the contract: {first.count} sessions on {pages} pages",
            hint="is the address that of the session API?",
        )
    found = prefetched(
        lambda number: _page(client, name, number),
        range(2, pages + 1),
        workers=client.connections,
        ahead=_AHEAD * client.connections,
    )
    with closing(found):
        for number, page in enumerate(found, start=2):
            if (page.count, page.max_pages) != (first.count, first.max_pages):
                raise _UnsettledError(
                    f"page {number} counts {page.count} sessions on {page.max_pages} pages, "
                    f"and page 1 {first.count} on {first.max_pages}"
                )
            yield page


def _check_rows(rows: list[LiveSession], count: int) -> None:
    if len(rows) != count:
        raise _UnsettledError(f"the server counts {count}, and {len(rows)} rows came")
    last: int | None = None
    for row in rows:
        if last is not None and row.session_id >= last:
            raise _UnsettledError(
                f"#{row.session_id} came after #{last}, so pages overlap or are not in order"
            )
        last = row.session_id


def _page(client: Client, name: str | None, number: int, size: int | None = None) -> _Page:
    operation = client.contract.operation("list_sessions")
    query: dict[str, Any] = {"ordering": "-session_id", "page": number, "size": size or operation.page_size}
    if name is not None:
        query["name"] = name
    try:
        body = client.read("list_sessions", query)
    except ApiError as error:
        if error.status == 404 and number > 1:
            raise _UnsettledError(f"page {number} is not there any more") from None
        raise
    count, max_pages = as_number(body.get("count")), as_number(body.get("max_pages"))
    results = body.get("results")
    if type(count) is not int or type(max_pages) is not int or type(results) is not list:
        raise ApiError(
            "list_sessions",
            "the answer does not fit the contract: count, max_pages and results are not all there",
            hint="is the address that of the session API?",
        )
    return _Page(count, max_pages, results)
