"""A session's messages: read whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.api.addressing import address
from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.domain import LiveSession
from reconciler.values import as_number

_TRIES = 4


def list_messages(client: Client, live: LiveSession, label: str) -> list[Mapping[str, Any]]:
    """All messages of a session as the server gave them, in its order.

    What takes more than one page is read twice, and has to be the same both times: a message that goes while they
    are read pulls the next one over a page's edge, where it is missed; but then the first reading holds one that the
    second does not.

    Raises:
        ApiError: they could not be had, or would not settle.
    """
    before: list[Mapping[str, Any]] | None = None
    for _ in range(_TRIES):
        rows, count, pages = _one_pass(client, live, label)
        if len(rows) == count and (pages == 1 or rows == before):
            return rows
        before = rows
    raise ApiError(
        "list_messages",
        f"they changed while they were read; the server counts {count}, and {len(rows)} came",
        session=label,
        hint="somebody may be chatting in it: run the command again",
    )


def _one_pass(client: Client, live: LiveSession, label: str) -> tuple[list[Mapping[str, Any]], int, int]:
    """The rows, how many the server counted last, and how many pages they took."""
    operation = client.contract.operation("list_messages")
    rows: list[Mapping[str, Any]] = []
    page, count = 1, 0
    names_it = address(operation, live)
    while True:
        query = {**names_it, "page": page, "size": operation.page_size}
        try:
            body = client.read("list_messages", query, session=label)
        except ApiError as error:
            if error.status == 404 and page > 1:
                return rows, count, page  # fewer than a moment ago
            raise
        count, results = as_number(body.get("count")), body.get("results")
        if type(count) is not int or type(results) is not list:
            raise ApiError(
                "list_messages",
                "the answer does not fit the contract: count and results are not there",
                session=label,
            )
        rows += results
        if len(rows) >= count or not results:
            return rows, count, page
        page += 1
