"""A server with quirks, and shortcuts to call it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from reconciler.contract import Contract
from reconciler.server import RunningServer, running_server
from reconciler.server.quirks import parse_quirks

NEW = {"session_name": "a", "model": "m"}


class Service:
    """A server with quirks, and what a test asks of it."""

    def __init__(self, server: RunningServer, http: requests.Session) -> None:
        self.server = server
        self.http = http

    def listing_answer(self, **query: object) -> requests.Response:
        return self.http.get(self.server.url + "/v1/session/", params={k: str(v) for k, v in query.items()})

    def listing(self, **query: object) -> dict[str, Any]:
        document: dict[str, Any] = self.listing_answer(**query).json()
        return document

    def names(self, **query: object) -> list[str]:
        return [row["session_name"] for row in self.listing(**query)["results"]]

    def create(self, **fields: object) -> requests.Response:
        return self.http.post(self.server.url + "/v1/session/", json={**NEW, **fields})

    def update(self, session_id: object = 1, **fields: object) -> requests.Response:
        return self.http.post(f"{self.server.url}/v1/session/{session_id}/", json=fields)

    def delete(self, session_id: object = 1) -> requests.Response:
        return self.http.post(f"{self.server.url}/v1/session/{session_id}/del/")

    def messages(self, **query: object) -> requests.Response:
        return self.http.get(self.server.url + "/v1/message/", params={k: str(v) for k, v in query.items()})


@contextmanager
def service(*quirks: str, contract: Contract | None = None) -> Iterator[Service]:
    """A service with these quirks, as on the command line, that plays this contract or the built-in one."""
    with (
        running_server(None, contract=contract, quirks=parse_quirks(quirks)) as server,
        requests.Session() as http,
    ):
        yield Service(server, http)
