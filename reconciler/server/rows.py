"""Rows of the embedded server's database, and what makes values of them: a file may hold anything in any column."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

from reconciler.values import JSON, parse_json

#: The columns that :func:`session_row` and :func:`message_row` take.
SESSION = (
    "session_id, session_token, api_id, device_id, name, model, prompt, parameters, data, extra, remark, "
    "api_use_count, created_at, updated_at"
)
MESSAGE = "message_id, session_id, category, content, meta, message.created_at, session_token"


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. ``extra`` holds further keys of its config; times are UTC, ``YYYY-MM-DD hh:mm:ss``."""

    session_id: int
    session_token: str
    api_id: int
    device_id: str | None
    name: str
    model: str
    prompt: str
    parameters: Mapping[str, JSON]
    data: JSON
    extra: Mapping[str, JSON]
    remark: str | None
    api_use_count: int
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a session. ``category`` is ``user``, ``assistant`` or ``tip``."""

    message_id: int
    session_id: int
    category: str
    content: str
    meta: JSON
    created_at: str
    session_token: str


#: The types of a row as they are in the file: SQLite keeps any value in any column.
_TYPES: Final = frozenset(
    (int, str, int, device, str, str, str, str, str, str, remark, int, str, str)
    for device in (str, NoneType)
    for remark in (str, NoneType)
)


def session_row(row: tuple[Any, ...]) -> SessionRow:
    """The session in a row of :data:`SESSION`.

    Raises:
        sqlite3.DataError: this program did not write that row.
    """
    if tuple(map(type, row)) not in _TYPES:
        raise sqlite3.DataError(f"the row of session {row[0]!r} holds values of the wrong type")
    values = dict(zip(SESSION.split(", "), row, strict=True))
    for column in ("parameters", "data", "extra"):
        values[column] = found = _load(values[column], f"{column} of session {row[0]}")
        if type(found) is not dict and column != "data":
            raise sqlite3.DataError(f"{column} of session {row[0]} is not a JSON object")
    return SessionRow(**values)


def message_row(row: tuple[Any, ...]) -> MessageRow:
    """The message in a row of :data:`MESSAGE`.

    Raises:
        sqlite3.DataError: this program did not write that row.
    """
    message_id, session_id, category, content, meta, created_at, session_token = row
    if tuple(map(type, row)) != (int, int, str, str, str, str, str):
        raise sqlite3.DataError(f"the row of message {message_id!r} holds values of the wrong type")
    found = _load(meta, f"meta of message {message_id}")
    return MessageRow(message_id, session_id, category, content, found, created_at, session_token)


def _load(text: str, what: str) -> JSON:
    try:
        return parse_json(text)
    except ValueError as error:
        raise sqlite3.DataError(f"{what} can't be read: {error}") from None
