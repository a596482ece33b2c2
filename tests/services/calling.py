"""A plain HTTP client for the second service, which knows its variant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.services.drf.running import Service
from tests.services.drf.variant import Variant

SESSIONS = "/v1/session/"
MESSAGES = "/v1/message/"
ALICE: Mapping[str, Any] = {
    "session_name": "Alice",
    "session_remark": '{"team":"books"}',
    "config_data": {"shelf": 3},
    "model": "deepseek-chat",
    "prompt": "Be kind.\nBe brief.",
    "temperature": 0.2,
    "max_tokens": 1000,
    "history_length": 8,
}
REQUIRED = ["该字段是必填项。"]


def of(*names: str) -> pytest.MarkDecorator:
    """Runs with these variants. Tests of one variant share a process."""
    return pytest.mark.parametrize("world", names, indirect=True)


@dataclass
class Api:
    """Calls the service with the first key, or another one, over one connection."""

    service: Service
    variant: Variant
    http: requests.Session

    def __call__(
        self, method: str, path: str, *, key: str | None = None, **options: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {key or self.service.key}", **options.pop("headers", {})}
        return self.http.request(method, self.service.url + path, headers=headers, timeout=30, **options)

    def get(self, path: str, **query: Any) -> requests.Response:
        return self("GET", path, params=query)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self("POST", path, **options)

    def created(self, **fields: Any) -> dict[str, Any]:
        """A new session: Alice, but for these fields. The row that the list has of it."""
        answer = self.create({**ALICE, **fields})
        assert answer.status_code in (200, 201), answer.text
        token = answer.json()["data"]["session_token"]
        rows: list[dict[str, Any]] = self.get(SESSIONS, size=100).json()["results"]
        return next(row for row in rows if row["session_token"] == token)

    def create(self, sent: Mapping[str, Any]) -> requests.Response:
        """A create in the first encoding that the variant reads."""
        if self.variant.data_field != "config_data":
            sent = {self.variant.data_field if name == "config_data" else name: sent[name] for name in sent}
        return self.post(SESSIONS, **encoded(self.variant.create[0], sent))

    def update(self, row: Mapping[str, Any], sent: Mapping[str, Any]) -> requests.Response:
        """An update as the variant wants it."""
        if self.variant.data_field != "config_data":
            sent = {self.variant.data_field if name == "config_data" else name: sent[name] for name in sent}
        path, ids = self.address(row)
        below = "update/" if self.variant.paths == "verbs" else ""
        return self.post(SESSIONS + path + below, **encoded(self.variant.write[0], {**ids, **sent}))

    def delete(self, row: Mapping[str, Any]) -> requests.Response:
        """A delete as the variant wants it."""
        path, ids = self.address(row)
        if self.variant.delete == "http":
            return self("DELETE", SESSIONS + path)
        body = encoded(self.variant.write[0], ids) if ids else {}
        return self.post(SESSIONS + path + self.variant.delete + "/", **body)

    def address(self, row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """What stands in the path, and what in the body."""
        if self.variant.paths == "verbs":
            return "", ids_of(row, self.variant.body_ids)
        return f"{row['session_id' if self.variant.paths == 'id' else 'session_token']}/", {}

    def say(self, row: Mapping[str, Any], text: str) -> requests.Response:
        """Add a message."""
        ids = ids_of(row, self.variant.message_ids)
        sent = {**ids, "message_category": "user", "message_content": text, "meta_data": {"n": 1}}
        return self.post(MESSAGES, **encoded(self.variant.write[0], sent))

    def messages(self, row: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        """One answer of the list of messages."""
        filters = {name: row[name] for name in self.variant.message_filters}
        document: dict[str, Any] = self.get(MESSAGES, **filters, **query).json()
        return document


def encoded(encoding: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as ``requests`` wants them, objects as JSON texts where there is no other way."""
    if encoding == "json":
        return {"json": sent}
    texts = {name: json.dumps(it) if isinstance(it, dict) else str(it) for name, it in sent.items()}
    if encoding == "multipart":
        return {"files": {name: (None, text) for name, text in texts.items()}}
    return {"data" if encoding == "form" else "params": texts}


def ids_of(row: Mapping[str, Any], by: str) -> dict[str, Any]:
    names = {"token": ("session_token",), "id": ("session_id",), "both": ("session_id", "session_token")}
    return {name: row[name] for name in names.get(by, ("session_token",))}


def contents(document: Mapping[str, Any]) -> list[str]:
    return [row["message_content"] for row in document["results"]]
