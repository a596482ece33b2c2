"""A session's messages: read whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.model import LiveSession

_TRIES = 4


def list_messages(client: Client, live: LiveSession, label: str) -> list[Mapping[str, Any]]:
    """All messages of a session as the server gave them, in its order.

    Raises:
        ApiError: they could not be had, or pages and count did not fit together.
    """
    for _ in range(_TRIES):
        rows, count = _one_pass(client, live, label)
        if len(rows) == count:
            return rows
    raise ApiError(
        "list_messages",
        f"the server counts {count}, and {len(rows)} came",
        session=label,
        hint="somebody may be chatting in it: run the command again",
    )


def _one_pass(client: Client, live: LiveSession, label: str) -> tuple[list[Mapping[str, Any]], int]:
    operation = client.contract.operation("list_messages")
    rows: list[Mapping[str, Any]] = []
    page = 1
    while True:
        query = {
            "session_id": live.session_id,
            "session_token": live.session_token,
            "page": page,
            "size": operation.page_size,
        }
        body = client.read("list_messages", query, session=label)
        count, results = body.get("count"), body.get("results")
        if type(count) is not int or type(results) is not list:
            raise ApiError(
                "list_messages",
                "the answer does not fit the contract: count and results are not there",
                session=label,
            )
        rows += results
        if len(rows) >= count or not results:
            return rows, count
        page += 1
