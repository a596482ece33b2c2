"""A recorded run: every request and its answer, a file each, that a user can attach to a bug report.

What is nobody's business is left out (:mod:`reconciler.doctor.record`), and the API key wherever it stands. Of an
answer that is no JSON only the length is told: what it holds, nobody can know.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from reconciler.api.client import Client, Reply
from reconciler.api.decode import value_at
from reconciler.contract import Contract, Operation
from reconciler.disk import write_durably
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import is_probe_name, is_probe_remark
from reconciler.values import as_number

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


_Path: TypeAlias = tuple[str, ...]

#: Where an envelope holds sessions, messages or models.
_ROWS = ("results", "data")

#: Texts of the envelope that are the server's own, and of a row beside the contract's fields.
_SAID = ("message", "status")
_TIMES = ("created_at", "updated_at")
_MODEL = ("id", "object", "owned_by")

#: Numbers that are kept beside those of the contract's fields.
_COUNTS = ("count", "max_pages", "current_page", "status")
_NUMBERS = ("session_id", "message_id", "api_id", "api_use_count", "created", "status")

#: Fields of a request, by this program's names, that hold nothing of a session but its model.
_ASKED = frozenset(("ordering", "page", "size", "model", "session_id", "category"))

_LONGEST = 300  # characters of a text that is kept


@dataclass(frozen=True, slots=True)
class _Rules:
    """What of a row is kept, by where it stands. In ``objects`` the keys are kept, too."""

    texts: frozenset[_Path]
    numbers: frozenset[_Path]  # as texts, too
    names: frozenset[_Path] = frozenset()
    remarks: frozenset[_Path] = frozenset()
    objects: frozenset[_Path] = frozenset(((),))

    def walk(self, value: Any, path: _Path = ()) -> Any:
        """The value at a path, without what is to go."""
        if value in (None, "", {}, []) or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            if path not in self.objects:
                return _length(value)
            return {name: self.walk(one, (*path, name)) for name, one in value.items()}
        if isinstance(value, int | float):
            return value if path in self.numbers else f"[{type(value).__name__}]"
        return value if isinstance(value, str) and self._stays(value, path) else _length(value)

    def _stays(self, text: str, path: _Path) -> bool:
        if len(text) > _LONGEST:
            return False
        return (
            path in self.texts
            or (path in self.numbers and not isinstance(as_number(text), str))
            or (path in self.names and is_probe_name(text))
            or (path in self.remarks and is_probe_remark(text))
        )


def redact_request(operation: Operation, fields: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """The fields of a request, by their names on the wire."""
    kept = _ASKED | contract.session.parameters.keys()
    rules = _Rules(
        texts=_tops(*kept),
        numbers=_tops(*kept),
        names=_tops("name"),
        remarks=_tops("remark"),
    )
    return {
        operation.fields[name]: rules.walk(value, (name,))
        for name, value in fields.items()
        if name in operation.fields
    }


def redact_answer(operation: Operation, fields: Mapping[str, Any], body: Any, contract: Contract) -> Any:
    """An answer's document, to a request with these fields."""
    rules = _rules(operation, contract)
    if not isinstance(body, dict) or value_at(body, contract.session.session_id) is not None:
        return _rows(body, rules)  # no envelope
    document = {}
    for name, value in body.items():
        if name in _ROWS:
            document[name] = _rows(value, rules)
        elif name in _SAID and isinstance(value, str):
            document[name] = _said(value, fields)
        elif name in _COUNTS and isinstance(value, int | float):
            document[name] = value
        else:
            document[name] = rules.walk(value, (name,))
    return document


def _rows(value: Any, rules: _Rules) -> Any:
    return [rules.walk(one) for one in value] if isinstance(value, list) else rules.walk(value)


def _said(text: str, fields: Mapping[str, Any]) -> str:
    """What the server says, which may repeat what it was asked for."""
    for name in ("name", "session_token"):
        asked = fields.get(name)
        if isinstance(asked, str) and asked and not is_probe_name(asked):
            text = text.replace(asked, _length(asked))
    return text if len(text) <= _LONGEST else _length(text)


def _rules(operation: Operation, contract: Contract) -> _Rules:
    if operation.name == "list_models":
        return _Rules(texts=_tops(*_MODEL), numbers=_tops(*_NUMBERS))
    if "message" in operation.name:
        create = contract.operations.get("create_message", operation).fields
        category = create.get("category", "message_category")
        number = create.get("session_id", "session_id")
        return _Rules(texts=_tops(category, *_TIMES), numbers=_tops(number, *_NUMBERS))
    shape = contract.session
    private = (shape.name, shape.prompt, shape.data, shape.remark, shape.session_token)
    known = (shape.session_id, shape.model, *private, *shape.parameters.values())
    return _Rules(
        texts=(_tops(*_TIMES) | {shape.model}) - {*private},
        numbers=(_tops(*_NUMBERS) | {shape.session_id, *shape.parameters.values()}) - {*private},
        names=frozenset((shape.name,)),
        remarks=frozenset((shape.remark,)),
        # Never inside of what is free in form.
        objects=frozenset(
            path[:length]
            for path in (*known, (*shape.config, ""))
            for length in range(len(path))
            if not any(path[:length][: len(one)] == one for one in private)
        ),
    )


def _tops(*names: str) -> frozenset[_Path]:
    return frozenset((name,) for name in names)


def _length(value: Any) -> str:
    if isinstance(value, str):
        return f"[text of {len(value)} characters]"
    return f"[{type(value).__name__} of {len(json.dumps(value, ensure_ascii=False))} characters]"
