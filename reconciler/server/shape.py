"""Rows as the API returns them, by the contract's names."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from reconciler.contract import Contract
from reconciler.server.quirks import Quirks
from reconciler.server.rows import MessageRow, SessionRow
from reconciler.values import JSON

_TIME = "%Y-%m-%d %H:%M:%S"
_TRUNCATED = {"second": _TIME, "minute": "%Y-%m-%d %H:%M:00", "day": "%Y-%m-%d 00:00:00"}


class Shapes:
    """How a service of this contract and with these quirks returns its rows."""

    def __init__(self, contract: Contract, quirks: Quirks) -> None:
        self._session = contract.session
        self._message = contract.message
        self._quirks = quirks

    def session(self, row: SessionRow) -> dict[str, JSON]:
        """A session, as the list shows it."""
        shape = self._session
        document = self.names(row.session_id, row.session_token)
        document["api_id"] = row.api_id
        document["device_id"] = row.device_id
        put(document, shape.name, row.name)
        put(document, shape.config, dict(row.extra))
        put(document, shape.data, row.data)
        put(document, shape.model, row.model)
        put(document, shape.prompt, row.prompt)
        for name, value in row.parameters.items():
            path = shape.parameters.get(name, (*shape.config, name))
            put(document, path, self._number(value))
        put(document, shape.remark, row.remark)
        document["created_at"] = self._time(row.created_at)
        document["updated_at"] = self._time(row.updated_at)
        return document

    def names(self, session_id: int | None, session_token: str | None) -> dict[str, JSON]:
        """The names of a session, without those that are ``None``."""
        document: dict[str, JSON] = {}
        if session_id is not None:
            put(document, self._session.session_id, session_id)
        if session_token is not None:
            put(document, self._session.session_token, session_token)
        return document

    def created(self, row: SessionRow) -> dict[str, JSON]:
        """What a create says of the new session."""
        match self._quirks.create_answer:
            case "row":
                return self.session(row)
            case "both":
                return self.names(row.session_id, row.session_token)
            case "token":
                return self.names(None, row.session_token)
            case "none":
                return {}

    def message(self, row: MessageRow) -> dict[str, JSON]:
        """A message, as the list shows it."""
        shape = self._message
        document: dict[str, JSON] = {}
        put(document, shape.id, row.message_id)
        put(document, shape.session_id, row.session_id)
        put(document, shape.session_token, row.session_token)
        put(document, shape.category, row.category)
        put(document, shape.content, row.content)
        put(document, shape.meta, row.meta)
        document["created_at"] = self._time(row.created_at)
        return document

    def _number(self, value: JSON) -> JSON:
        text = self._quirks.numbers_as_text and isinstance(value, int | float)
        return json.dumps(value) if text else value

    def _time(self, text: str) -> str:
        quirks = self._quirks
        if not quirks.utc_offset and quirks.time_resolution == "second":
            return text
        try:
            moment = datetime.strptime(text, _TIME)
        except ValueError:  # a test may store any text
            return text
        return (moment + timedelta(hours=quirks.utc_offset)).strftime(_TRUNCATED[quirks.time_resolution])


def put(document: dict[str, JSON], path: tuple[str, ...], value: JSON) -> None:
    """Set the value at a path of keys."""
    *outer, last = path
    for step in outer:
        document = document.setdefault(step, {})
    document[last] = value


def at(path: tuple[str, ...], value: JSON) -> dict[str, JSON]:
    """A document with the value at a path of keys."""
    document: dict[str, JSON] = {}
    put(document, path, value)
    return document
