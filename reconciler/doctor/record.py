"""A recorded run: every request and its answer, a file each, that a user can attach to a bug report.

What is nobody's business is left out: the API key wherever it stands, tokens, and every text of a session but its
model and its times. Of such a text only the length is told. Names are kept where they are this program's own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.api.client import Client, Reply
from reconciler.contract import Contract, Operation
from reconciler.errors import ReconcilerError
from reconciler.state import write_durably

#: Headers of an answer that tell something and nothing personal.
_HEADERS = ("Content-Type", "Content-Length", "Date", "Retry-After", "Server", "Allow", "Location")

#: Keys whose texts are kept, at any depth outside of what is free form.
_KEPT = frozenset(
    ("message", "status", "created_at", "updated_at", "object", "owned_by", "id", "message_category")
)

_OURS = "reconciler "
_LONGEST = 300  # characters of a text that is kept


class Recorder:
    """Writes a file for each call of a client, as its observer.

    It never gets in the way of a call: ``failed`` says afterwards why some were not written, empty where all were.

    Raises:
        ReconcilerError: the folder is not empty, or can't be made.
    """

    def __init__(self, folder: Path, client: Client) -> None:
        self.folder = folder
        self.failed = ""
        self._contract = client.contract
        self._key = client.endpoint.api_key
        self._lock = threading.Lock()
        self._count = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken = any(folder.iterdir())
        except OSError as error:
            raise ReconcilerError(f"{folder} can't be written to: {error.strerror}") from None
        if taken:
            raise ReconcilerError(f"{folder} is not empty", "name a new folder for --record")

    def __call__(self, operation: Operation, fields: Mapping[str, Any], reply: Reply) -> None:
        """Write one call down."""
        with self._lock:
            self._count += 1
            number = self._count
        document = {
            "number": number,
            "operation": operation.name,
            "request": _request(operation, fields, self._contract),
            "answer": _answer(reply, self._contract),
        }
        text = json.dumps(document, indent=1) + "\n"
        if self._key:
            text = text.replace(json.dumps(self._key)[1:-1], "[key]")
        try:
            write_durably(self.folder / f"{number:04}-{operation.name}.json", text)
        except OSError as error:
            self.failed = f"{self.folder} can't be written to: {error.strerror}"


def _request(operation: Operation, fields: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    wire = {operation.fields[name]: value for name, value in fields.items() if name in operation.fields}
    return {
        "method": operation.method,
        "path": operation.path.replace("{session_id}", str(fields.get("session_id", ""))),
        "encoding": operation.encoding,
        "query" if operation.encoding == "none" else "fields": redact(wire, contract),
    }


def _answer(reply: Reply, contract: Contract) -> dict[str, Any]:
    response = reply.response
    if response is None:
        return {"error": reply.error.what if reply.error else "no answer"}
    document: dict[str, Any] = {
        "status": response.status_code,
        "headers": {name: response.headers[name] for name in _HEADERS if name in response.headers},
        "milliseconds": round(response.elapsed.total_seconds() * 1000),
    }
    try:
        document["body"] = redact(json.loads(response.content), contract)
    except (ValueError, RecursionError):
        document["text"] = response.content[:_LONGEST].decode("utf-8", "replace")
    return document


def redact(value: Any, contract: Contract) -> Any:
    """A document of the wire without what is nobody's business."""
    shape = contract.session
    free = {shape.data[-1], "meta_data"}
    kept = _KEPT | {shape.model[-1], *(path[-1] for path in shape.parameters.values()), "ordering"}
    prompts = {shape.prompt[-1]}

    def walk(value: Any, key: str) -> Any:
        if key in free and value not in (None, "", {}):
            return f"[{type(value).__name__} of {len(json.dumps(value, ensure_ascii=False))} characters]"
        if isinstance(value, dict):
            return {name: walk(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [walk(one, key) for one in value]
        if not isinstance(value, str) or not value:
            return value
        ours = value.startswith((_OURS, f'{{"{_OURS.strip()}"')) and "probe" in value
        if (key in kept or ours) and key not in prompts and len(value) <= _LONGEST:
            return value
        return f"[text of {len(value)} characters]"

    return walk(value, "")
