"""Reads one page of the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.api.client import Client
from reconciler.api.decode import decode_session
from reconciler.api.errors import ApiError
from reconciler.domain import LiveSession
from reconciler.values import as_number


def read_page(client: Client, query: Mapping[str, Any]) -> tuple[int, list[LiveSession]] | None:
    """One page of the list, as the count of all sessions and the rows; None if it is past the end.

    Raises:
        ApiError: it could not be read, or has another form than the contract says.
    """
    try:
        body = client.read("list_sessions", query)
    except ApiError as error:
        if error.status == 404 and query["page"] > 1:
            return None
        raise
    count, results = as_number(body.get("count")), body.get("results")
    if type(count) is not int or type(results) is not list:
        raise ApiError(
            "list_sessions",
            "the answer does not fit the contract: count and results are not both there",
            hint="is the address that of the session API?",
        )
    return count, [decode_session(row, client.contract.session) for row in results]
