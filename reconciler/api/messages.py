"""Reads the messages of a session: all of them, or none.

The messages are archived before the session is deleted, which removes them from the service. So they count as read only
if the responses prove that the list is complete and belongs to this session:

- No message occurs twice, and each names this session. A service that does not know the filter may ignore it, and list
  the messages of the whole account.
- Pages are read until one is empty or does not exist. A short page proves nothing, since a service may return fewer
  rows than requested.
- With a cursor, each page is older than all before it, newest first. A service that ignores the ordering would skip
  rows.
- ``count`` and ``max_pages``, if present, match the rows.
- A list of more than one page is checked again at the end. New messages shift pages, so some could be missing.

If one of these fails, the messages are unreadable, and the caller must not delete the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Any, Protocol

from reconciler.api.addressing import address
from reconciler.api.client import Client
from reconciler.api.decode import value_at
from reconciler.api.errors import ApiError
from reconciler.contract import Contract, MessageShape, Operation
from reconciler.domain import LiveSession
from reconciler.errors import ReconcilerError
from reconciler.values import as_number

Row = Mapping[str, Any]

_TRIES = 4

#: A list of more pages than this is taken for endless.
MOST_PAGES = 100_000

#: How many calls a plan may send to count messages.
MOST_CALLS = 400

_PROBE = "`reconciler doctor --probe` finds out how messages are addressed, paged and counted on this account"
_AGAIN = (
    "somebody may be chatting in it: run the command again; if it says the same, "
    "`reconciler doctor --probe` finds out why"
)


class _DoubtError(Exception):
    """The answers do not prove that the list is complete. ``passing``: reading it again may help."""

    def __init__(self, what: str, *, passing: bool = False) -> None:
        super().__init__(what)
        self.passing = passing


def list_messages(client: _Reader, live: LiveSession, label: str) -> list[Row]:
    """All messages of a session as the service returned them, the oldest (lowest id) first.

    Raises:
        ApiError: they could not be read, or the responses do not prove that they are complete and of this session.
    """
    operation = client.contract.operation("list_messages")
    doubt = _DoubtError("")
    for _ in range(_TRIES):
        try:
            reading = _read(client, operation, live, label)
            if reading.pages > 1 and not _unchanged(client, operation, live, label, reading):
                raise _DoubtError("they changed while they were read", passing=True)
            return [reading.rows[number] for number in sorted(reading.rows)]
        except _DoubtError as error:
            doubt = error
            if not error.passing:
                break
    raise ApiError("list_messages", str(doubt), session=label, hint=_AGAIN if doubt.passing else _PROBE)


def count_messages(
    client: Client, lives: Sequence[LiveSession], *, calls: int = MOST_CALLS
) -> dict[int, int]:
    """How many messages each session has, by session_id.

    A session that can't be counted in so many calls (retries aside) is not among them.
    """
    if "list_messages" not in client.contract.operations or not lives:
        return {}
    reader = _LimitedReader(client, calls)

    def count(live: LiveSession) -> tuple[int, int] | None:
        with suppress(ReconcilerError):
            return live.session_id, len(list_messages(reader, live, f"#{live.session_id}"))
        return None

    with ThreadPoolExecutor(max(1, min(client.connections, len(lives))), "messages") as pool:
        return dict(found for found in pool.map(count, lives) if found)


class _Reader(Protocol):
    """What reading messages needs of a client."""

    @property
    def contract(self) -> Contract: ...

    def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any: ...


class _LimitedReader:
    """A client that reads so many times and no more. Safe to use from many threads."""

    def __init__(self, client: Client, calls: int) -> None:
        self.contract = client.contract
        self._client = client
        self._left = calls
        self._lock = Lock()

    def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any:
        with self._lock:
            if not self._left:
                raise ReconcilerError("there are more messages than a plan counts")
            self._left -= 1
        return self._client.read(name, fields, session=session)


def message_id(row: Row, shape: MessageShape) -> int | None:
    """The id of a listed message; None if it has none."""
    number = as_number(value_at(row, shape.id))
    return number if type(number) is int and number > 0 else None


@dataclass(slots=True)
class Reading:
    """One reading of a list of messages, which is given its responses one by one. No I/O.

    ``rows`` holds the messages by id. ``pages`` counts the pages that were not empty.
    """

    operation: Operation
    shape: MessageShape
    live: LiveSession
    rows: dict[int, Row] = field(default_factory=dict)
    pages: int = 0
    _told: list[_Told] = field(default_factory=list)

    def take(self, body: Any) -> bool:
        """Add one response. Returns whether there may be more.

        Raises:
            _DoubtError: it can't be part of a complete list of this session's messages.
        """
        results = body.get("results") if isinstance(body, Mapping) else None
        if type(results) is not list:
            raise _DoubtError("the answer does not fit the contract: there are no results")
        ids = [self._check(row) for row in results]
        self._told.append(_Told(len(self.rows), len(ids), _whole(body, "count"), _whole(body, "max_pages")))
        if self.operation.pages == "before":
            bounds = [*([min(self.rows)] if self.rows else []), *ids]
            if any(after >= before for before, after in pairwise(bounds)):
                raise _DoubtError("they do not come newest first, so some may be missing")
        for number, row in zip(ids, results, strict=True):
            if number in self.rows:
                # Newest first, a new message pushes the last one of a page onto the next.
                raise _DoubtError(
                    f"message {number} came twice, so others may be missing",
                    passing=self.operation.pages == "page" and self.pages > 0,
                )
            self.rows[number] = row
        self.pages += bool(ids)
        return bool(ids) and self.operation.pages != "none"

    def finish(self) -> None:
        """Check the rows against the numbers in the responses.

        Raises:
            _DoubtError: they do not match.
        """
        total = len(self.rows)
        told = self._told
        counts, given = self.operation.counts, [one.count for one in told if one.count is not None]
        if counts in ("all", "page") and len(given) < len(told):
            raise _DoubtError("the response does not fit the contract: it has no count")
        by_page = counts != "all" and all(one.count in (None, one.rows) for one in told)
        of_all = counts != "page" and all(one.count in (None, total) for one in told)
        # If the cursor is a filter, only the messages before it are counted.
        of_rest = counts != "page" and all(one.count in (None, total - one.before) for one in told)
        if self.operation.pages != "before":
            of_rest = False
        if given and not (by_page or of_all or of_rest):
            raise _DoubtError(f"the service counts {max(given)} messages, and {total} came", passing=True)
        if self.operation.pages == "none" and total and counts != "all":
            paged = any(one.max_pages is not None and one.max_pages > 1 for one in told)
            if paged or total <= self.operation.page_size:
                raise _DoubtError(f"{total} messages came in one answer, and nothing says that these are all")
        for one in told:
            if one.max_pages is not None and not self._pages_agree(one, total, by_page):
                raise _DoubtError(
                    f"the service speaks of {one.max_pages} pages, and {self.pages} came", passing=True
                )

    def _pages_agree(self, one: _Told, total: int, by_page: bool) -> bool:
        """Whether a number of pages is right, by the requested size or by the rows of the first page."""
        sizes = {self.operation.page_size, max((told.rows for told in self._told), default=0)}
        lengths = {total, total - one.before, *([one.rows] if by_page else [])}
        fitting = {max(1, -(-length // size)) for length in lengths for size in sizes if size}
        return one.max_pages in fitting | {self.pages} or (one.max_pages == 0 and not one.rows)

    def _check(self, row: Any) -> int:
        number = message_id(row, self.shape) if type(row) is dict else None
        if number is None:
            raise _DoubtError(
                f"the answer does not fit the contract: a message has no whole number above 0 at "
                f"{'.'.join(self.shape.id)}"
            )
        whose = as_number(value_at(row, self.shape.session_id))
        token = value_at(row, self.shape.session_token)
        if whose is not None and whose != self.live.session_id:
            raise _DoubtError(
                f"message {number} is of #{whose}: the service ignores which session is asked for"
            )
        if token is not None and self.live.session_token is not None:
            if str(token).lower() != self.live.session_token.lower():
                raise _DoubtError(
                    f"message {number} is of another session: the service ignores which session is asked for"
                )
        elif whose is None:
            raise _DoubtError(f"message {number} does not say of which session it is")
        return number


@dataclass(frozen=True, slots=True)
class _Told:
    """What one response says about the list: the rows before it, its own rows, and its two numbers."""

    before: int
    rows: int
    count: int | None
    max_pages: int | None


def _read(client: _Reader, operation: Operation, live: LiveSession, label: str) -> Reading:
    reading = Reading(operation, client.contract.message, live)
    for page in range(1, MOST_PAGES + 1):
        query = page_query(operation, live, page, min(reading.rows, default=None))
        try:
            body = client.read("list_messages", query, session=label)
        except ApiError as error:
            if error.status == 404 and page > 1 and operation.pages == "page":
                break  # a page past the end does not exist
            raise
        if not reading.take(body):
            break
    else:
        raise _DoubtError(f"they do not end after {MOST_PAGES:,} pages")
    reading.finish()
    return reading


def _unchanged(
    client: _Reader, operation: Operation, live: LiveSession, label: str, reading: Reading
) -> bool:
    """Whether the list is still as it was read. With a cursor its first page tells, else it is read again."""
    if operation.pages != "before":
        return _read(client, operation, live, label).rows == reading.rows
    again = Reading(operation, client.contract.message, live)
    again.take(client.read("list_messages", page_query(operation, live, 1, None), session=label))
    return max(again.rows, default=0) == max(reading.rows, default=0)


def page_query(operation: Operation, live: LiveSession, page: int, oldest: int | None) -> dict[str, Any]:
    """The fields, by our names, that ask for one page; with a cursor, ``oldest`` is the lowest id so far."""
    query: dict[str, Any] = {**address(operation, live), "size": operation.page_size}
    if operation.pages == "before":
        query["ordering"] = "-message_id"
        if oldest is not None:
            query["before"] = oldest
    else:
        query["ordering"] = "message_id"
        query["page"] = page
    return query


def _whole(body: Mapping[str, Any], name: str) -> int | None:
    number = as_number(body.get(name))
    return number if type(number) is int else None
