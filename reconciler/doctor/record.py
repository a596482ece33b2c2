"""A recorded run: every request and its answer, a file each, that a user can attach to a bug report.

What is nobody's business is left out (:mod:`reconciler.doctor.redact`), and the API key wherever it stands. Of an
answer that is no JSON only the length is told: what it holds, nobody can know.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.api.client import Client, Reply
from reconciler.contract import Contract, Operation
from reconciler.disk import write_durably
from reconciler.doctor.redact import redact_answer, redact_request
from reconciler.errors import ReconcilerError

#: Headers of an answer that tell something and nothing personal.
_HEADERS = ("Content-Type", "Content-Length", "Date", "Retry-After", "Server", "Allow", "Location")


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
            "answer": _answer(operation, fields, reply, self._contract),
        }
        text = json.dumps(document, indent=1) + "\n"
        if self._key:
            text = text.replace(json.dumps(self._key)[1:-1], "[key]")
        try:
            write_durably(self.folder / f"{number:04}-{operation.name}.json", text)
        except OSError as error:
            self.failed = f"{self.folder} can't be written to: {error.strerror}"


def _request(operation: Operation, fields: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    return {
        "method": operation.method,
        "path": operation.path.replace("{session_id}", str(fields.get("session_id", ""))),
        "encoding": operation.encoding,
        "query" if operation.encoding == "none" else "fields": redact_request(operation, fields, contract),
    }


def _answer(
    operation: Operation, fields: Mapping[str, Any], reply: Reply, contract: Contract
) -> dict[str, Any]:
    response = reply.response
    if response is None:
        return {"error": reply.error.what if reply.error else "no answer"}
    headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
    if "Location" in headers:  # where a request is sent back to, its query may be, too
        headers["Location"] = re.split("[?#]", headers["Location"])[0]
    document: dict[str, Any] = {
        "status": response.status_code,
        "headers": headers,
        "milliseconds": round(response.elapsed.total_seconds() * 1000),
    }
    try:
        document["body"] = redact_answer(operation, fields, json.loads(response.content), contract)
    except (ValueError, RecursionError):
        document["text"] = f"[no JSON, {len(response.content)} bytes]"
    return document
