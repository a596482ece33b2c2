"""A recorded run: one file for each request and its response, to attach to a bug report.

Private data is left out, and so is the API key, wherever it occurs. Of a session, strings are replaced by their
length, except the model and the times; so are free-form values, including their keys. Whether a value is kept depends
on where it is, never on a key that users may have chosen. The names of a session's own fields are kept, since a report
is about them, and so are a name and a remark if they are exactly a probe's. Of a response that is not JSON only the
length is recorded.
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
from reconciler.doctor.candidates import has_body
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import is_probe_name, is_probe_remark
from reconciler.values import as_number

#: Headers of a response that are useful and not personal.
_HEADERS = ("Content-Type", "Content-Length", "Date", "Retry-After", "Server", "Allow", "Location")


class Recorder:
    """Writes a file for each call of a client, as its observer.

    It never makes a call fail: ``failed`` says afterwards why some files were not written; it is empty if all were.

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
        """Write one call to a file."""
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
        "fields" if has_body(operation) else "query": redact_request(operation, fields, contract),
    }


def _answer(
    operation: Operation, fields: Mapping[str, Any], reply: Reply, contract: Contract
) -> dict[str, Any]:
    response = reply.response
    if response is None:
        return {"error": reply.error.what if reply.error else "no answer"}
    headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
    if "Location" in headers:  # it may repeat the query of the request
        headers["Location"] = re.split("[?#]", headers["Location"])[0]
    document: dict[str, Any] = {
        "status": response.status_code,
        "headers": headers,
        "milliseconds": round(response.elapsed.total_seconds() * 1000),
    }
    try:
        document["body"] = redact_answer(operation, fields, json.loads(response.content), contract)
    except (ValueError, RecursionError):
        document["text"] = f"[not JSON, {len(response.content)} bytes]"
    return document


_Path: TypeAlias = tuple[str, ...]

#: The members of an envelope that hold sessions, messages or models.
_ROWS = ("results", "data")

#: Strings that are the server's own: in the envelope, and in a row besides the contract's fields.
_SERVER_TEXTS = ("message", "status")
_TIMES = ("created_at", "updated_at")
_MODEL = ("id", "object", "owned_by")

#: Numbers that are kept besides those of the contract's fields.
_COUNTS = ("count", "max_pages", "current_page", "status")
_NUMBERS = ("session_id", "message_id", "api_id", "api_use_count", "created", "status")

#: Fields of a request, by this program's names, that contain nothing private.
_PUBLIC_FIELDS = frozenset(("ordering", "page", "size", "model", "session_id", "category"))

_LONGEST = 300  # characters of a string that is kept


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is kept of a row, by path. Of ``objects`` the keys are kept, too."""

    texts: frozenset[_Path]
    numbers: frozenset[_Path]  # as strings, too
    names: frozenset[_Path] = frozenset()
    remarks: frozenset[_Path] = frozenset()
    objects: frozenset[_Path] = frozenset(((),))

    def walk(self, value: Any, path: _Path = ()) -> Any:
        """The value at a path, with private parts replaced."""
        if value in (None, "", {}, []) or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            if path not in self.objects:
                return _placeholder(value)
            return {name: self.walk(one, (*path, name)) for name, one in value.items()}
        if isinstance(value, int | float):
            return value if path in self.numbers else "[number]"
        return value if isinstance(value, str) and self._is_kept(value, path) else _placeholder(value)

    def _is_kept(self, text: str, path: _Path) -> bool:
        if len(text) > _LONGEST:
            return False
        return (
            path in self.texts
            or (path in self.numbers and not isinstance(as_number(text), str))
            or (path in self.names and is_probe_name(text))
            or (path in self.remarks and is_probe_remark(text))
        )


def redact_request(operation: Operation, fields: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """The fields of a request, under their wire names, without private values."""
    kept = _PUBLIC_FIELDS | contract.session.parameters.keys()
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
    """The document of a response to a request with these fields, without private values."""
    rules = _rules(operation, contract)
    if not isinstance(body, dict) or value_at(body, contract.session.session_id) is not None:
        return _rows(body, rules)  # there is no envelope
    document = {}
    for name, value in body.items():
        if name in _ROWS:
            document[name] = _rows(value, rules)
        elif name in _SERVER_TEXTS and isinstance(value, str):
            document[name] = _without_names(value, fields)
        elif name in _COUNTS and isinstance(value, int | float):
            document[name] = value
        else:
            document[name] = rules.walk(value, (name,))
    return document


def _rows(value: Any, rules: _Rules) -> Any:
    return [rules.walk(one) for one in value] if isinstance(value, list) else rules.walk(value)


def _without_names(text: str, fields: Mapping[str, Any]) -> str:
    """The server's message, which may repeat values of the request."""
    for name in ("name", "session_token"):
        asked = fields.get(name)
        if isinstance(asked, str) and asked and not is_probe_name(asked):
            text = text.replace(asked, _placeholder(asked))
    return text if len(text) <= _LONGEST else _placeholder(text)


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
        # Never inside a free-form value.
        objects=frozenset(
            path[:length]
            for path in (*known, (*shape.config, ""))
            for length in range(len(path))
            if not any(path[:length][: len(one)] == one for one in private)
        ),
    )


def _tops(*names: str) -> frozenset[_Path]:
    return frozenset((name,) for name in names)


def _placeholder(value: Any) -> str:
    if isinstance(value, str):
        return f"[string of {len(value)} characters]"
    kind = "object" if isinstance(value, dict) else "array"
    return f"[{kind} of {len(json.dumps(value, ensure_ascii=False))} characters]"
