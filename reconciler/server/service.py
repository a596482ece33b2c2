"""What each call of the API does: from the fields of a request to a status and a document, without HTTP.

Wire names come from the contract: arguments are read and rows are formatted by it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.contract import Contract, Operation, Status
from reconciler.server.answers import Answer, BadRequest, Refusal, SessionNotFound, envelope, listing
from reconciler.server.arguments import (
    Call,
    malformed,
    read_arguments,
    read_number,
    read_object,
    read_paging,
    too_long,
)
from reconciler.server.quirks import Quirks
from reconciler.server.store import (
    DEFAULT_PARAMETERS,
    ORDERINGS,
    MessageRow,
    SessionRow,
    Store,
)
from reconciler.values import JSON

#: The categories of messages.
CATEGORIES = ("user", "assistant", "tip")

#: Models that are always listed, besides those that sessions use.
MODELS = ("deepseek-chat", "deepseek-reasoner")

_WHOLE = ("max_tokens", "history_length")

#: Served even if the contract does not have it, since it is documented.
_CLEAR_MESSAGES = Operation(
    name="clear_messages",
    method="POST",
    path="/v1/message/clear/",
    encoding="json",
    known="documented",
    fields={"session_id": "session_id", "session_token": "session_token"},
)


def served_operations(contract: Contract, quirks: Quirks) -> dict[str, Operation]:
    """The calls that a server of this contract answers, by name."""
    operations = {_CLEAR_MESSAGES.name: _CLEAR_MESSAGES, **contract.operations}
    if quirks.no_update:
        operations.pop("update_session", None)
    return operations


class Service:
    """The calls of one contract over one store. Not thread-safe: one event loop handles all requests."""

    def __init__(self, store: Store, contract: Contract, quirks: Quirks) -> None:
        self.store = store
        self.contract = contract
        self.quirks = quirks
        self.operations = served_operations(contract, quirks)
        self._work: dict[str, Callable[[Operation, Mapping[str, JSON]], Answer]] = {
            "list_sessions": self._list_sessions,
            "create_session": self._create_session,
            "update_session": self._update_session,
            "delete_session": self._delete_session,
            "list_messages": self._list_messages,
            "create_message": self._create_message,
            "clear_messages": self._clear_messages,
            "list_models": self._list_models,
        }
        self._late: dict[
            int, tuple[float, int]
        ] = {}  # session → when it is listed: a moment, a number of lists
        self._previous: dict[
            int, list[tuple[float, SessionRow]]
        ] = {}  # session → its previous states, each with when it ceases to be listed
        self._lists = 0

    def work(self, operation: str, call: Call) -> Answer:
        """Carry out one call.

        Raises:
            Refusal: it is rejected.
        """
        facts = self.operations[operation]
        try:
            return self._work[operation](facts, read_arguments(facts, call))
        except SessionNotFound as refusal:
            raise _as_played(refusal, self.quirks.not_found) from None
        except BadRequest as refusal:
            raise _as_played(refusal, self.quirks.bad_request) from None

    # Sessions

    def _list_sessions(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        ordering = given.get("ordering") or "session_id"
        if ordering.removeprefix("-") not in ORDERINGS:
            raise BadRequest(f"不支持的排序字段：{ordering}")
        if self.quirks.ordering_ignored:
            ordering = "-updated_at"
        page, size = read_paging(facts, given)
        size = min(size, self.quirks.max_page_size or size)
        hidden = self._hidden()
        self._lists += 1
        name = None if self.quirks.name_filter == "none" else given.get("name") or None
        previous = self._shown_as_before()
        if previous:
            count, rows = self._list_as_it_was(previous, name, ordering, page, size)
        else:
            count, rows = self.store.list_sessions(
                page=page,
                size=size,
                ordering=ordering,
                name=name,
                partial=self.quirks.name_filter == "partial",
                hidden=hidden,
            )
        return listing(count, page, size, [self._shape(row) for row in rows])

    def _create_session(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        for name in sorted(self.quirks.create_refuses.intersection(given)):
            raise Refusal(400, f"不支持的参数：{facts.fields.get(name, name)}")
        given = {name: value for name, value in given.items() if name not in self.quirks.create_ignores}
        limit = self.quirks.create_remark_limit
        if limit is not None and len(str(given.get("remark") or "").encode()) > limit:
            raise too_long(facts, limit)
        for name in ("name", "model"):
            if given.get(name) in (None, ""):
                raise BadRequest(f"缺少参数：{facts.fields.get(name, name)}")
        fields = self._fields(facts, given)
        fields["parameters"] = {**self._defaults(), **fields.get("parameters", {})}
        session_id = self.store.insert_session(**fields)
        if self.quirks.late_seconds or self.quirks.late_calls:
            self._late[session_id] = (
                time.monotonic() + self.quirks.late_seconds,
                self._lists + self.quirks.late_calls,
            )
        row = self.store.session(session_id)
        # Another process may have deleted it already; the client still gets the id of what was created.
        return Answer(201, envelope(201, data=self._shape(row) if row else {"session_id": session_id}))

    def _update_session(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        session_id = self._session(facts, given).session_id
        given = {name: value for name, value in given.items() if name not in self.quirks.update_ignores}
        fields = {**dict.fromkeys(self.quirks.update_empties, ""), **self._fields(facts, given)}
        resets = self.quirks.update_resets or facts.left_out == "reset"

        def change(row: SessionRow) -> SessionRow:
            self._remember(row)
            kept = self._defaults() if resets else row.parameters
            fields["parameters"] = {**kept, **fields.get("parameters", {})}
            if resets:
                row = replace(row, prompt="", data={}, remark="")
            return replace(row, **fields)

        changed = self.store.change_session(session_id, change)
        if changed is None:
            raise SessionNotFound
        return Answer(200, envelope(200, data=self._shape(changed)))

    def _delete_session(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        row = self._session(facts, given)
        session_id = row.session_id
        if not self.store.delete_session(session_id):
            raise SessionNotFound
        self._remember(row)
        if self.quirks.delete_204:
            return Answer(204, None)
        return Answer(200, envelope(200, data={facts.fields.get("session_id", "session_id"): session_id}))

    # Messages

    def _list_messages(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        session = self._session(facts, given, message=True)
        page, size = read_paging(facts, given)
        size = min(size, self.quirks.max_page_size or size)
        before = given.get("before")
        count, rows = self.store.list_messages(
            session.session_id,
            page=page,
            size=size,
            newest_first=str(given.get("ordering") or "").startswith("-"),
            before=None if before in (None, "") else int(read_number(facts, "before", before, whole=True)),
        )
        answer = listing(count, page, size, [self._shape_message(row, session) for row in rows])
        if facts.pages == "before":
            for name in ("count", "current_page"):  # whether a list by cursor counts is not known
                answer.document.pop(name)
        return answer

    def _create_message(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        session = self._session(facts, given, message=True)
        category = given.get("category")
        if category not in CATEGORIES:
            raise malformed(facts, "category")
        content = given.get("content")
        if not isinstance(content, str):
            raise malformed(facts, "content")
        meta = read_object(facts, "meta", given.get("meta"))
        try:
            message_id = self.store.insert_message(
                session.session_id, category=category, content=content, meta=meta
            )
        except KeyError:
            raise SessionNotFound from None
        row = next((m for m in self.store.messages(session.session_id) if m.message_id == message_id), None)
        document = self._shape_message(row, session) if row else {"message_id": message_id}
        return Answer(201, envelope(201, data=document))

    def _clear_messages(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        self.store.clear_messages(self._session(facts, given, message=True).session_id)
        return Answer(200, envelope(200))

    def _list_models(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        names = sorted({*MODELS, *self.store.models()})
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "reconciler"} for name in names]
        return Answer(200, {"object": "list", "data": models})

    # Reading

    def _session(self, facts: Operation, given: Mapping[str, JSON], *, message: bool = False) -> SessionRow:
        """The session that a call names: by id, by token, or by both if they agree."""
        token = given.get("session_token") or None
        number = given.get("session_id")
        if message and self.quirks.messages_by_token:
            number = None
            if token is None:
                raise BadRequest("缺少参数：session_token")
        if number in (None, "") and token is None:
            raise BadRequest(f"缺少参数：{facts.fields.get('session_id', 'session_id')}")
        row = None
        if number not in (None, ""):
            row = self.store.session(int(read_number(facts, "session_id", number, whole=True)))
        if token is not None:
            named = self.store.session_by_token(str(token))
            row = named if row is None and number in (None, "") else row if row == named else None
        if row is None:
            raise SessionNotFound
        return row

    def _fields(self, facts: Operation, given: Mapping[str, JSON]) -> dict[str, Any]:
        """The columns that a create or an update sets. ``parameters`` holds only the given ones."""
        found: dict[str, Any] = {}
        for name in ("name", "model", "prompt"):
            if name in given:
                if not isinstance(given[name], str):
                    raise malformed(facts, name)
                found[name] = given[name]
        if "prompt" in found:
            limit = self.quirks.prompt_limit
            if limit is not None and len(found["prompt"]) > limit:
                raise Refusal(400, f"{facts.fields['prompt']} 过长，最多 {limit} 字符")
            found["prompt"] = self._as_kept(found["prompt"])
        if "remark" in given:
            found["remark"] = self._remark(facts, given["remark"])
        if "data" in given:
            found["data"] = read_object(facts, "data", given["data"])
        parameters = {
            name: read_number(facts, name, given[name], whole=name in _WHOLE)
            for name in self.contract.session.parameters
            if name in given
        }
        if parameters:
            found["parameters"] = parameters
        return found

    def _remark(self, facts: Operation, remark: JSON) -> str | None:
        if remark is None:
            return None
        if not isinstance(remark, str):
            raise malformed(facts, "remark")
        limit = self.quirks.remark_limit
        if limit is None or len(remark.encode()) <= limit:
            return remark
        if self.quirks.remark_over == "refuse":
            raise too_long(facts, limit)
        return remark.encode()[:limit].decode(errors="ignore")

    def _as_kept(self, prompt: str) -> str:
        if self.quirks.trim_prompts:
            prompt = prompt.strip()
        if self.quirks.trim_end:
            prompt = prompt.rstrip()
        if self.quirks.line_endings != "kept":
            prompt = prompt.replace("\r\n", "\n").replace("\r", "\n")
            if self.quirks.line_endings == "crlf":
                prompt = prompt.replace("\n", "\r\n")
        return prompt

    def _defaults(self) -> dict[str, JSON]:
        return {k: v for k, v in DEFAULT_PARAMETERS.items() if k in self.contract.session.parameters}

    def _hidden(self) -> list[int]:
        if not self._late:
            return []
        now = time.monotonic()
        self._late = {
            session: (moment, lists)
            for session, (moment, lists) in self._late.items()
            if moment > now or lists > self._lists
        }
        return list(self._late)

    def _remember(self, row: SessionRow) -> None:
        """Keep the state of a session before a write, for a list that shows changes late."""
        if self.quirks.late_changes:
            until = time.monotonic() + self.quirks.late_changes
            self._previous.setdefault(row.session_id, []).append((until, row))

    def _shown_as_before(self) -> dict[int, SessionRow]:
        """The sessions whose last writes are not listed yet, in the state that is still listed."""
        now = time.monotonic()
        for session in list(self._previous):
            self._previous[session] = [one for one in self._previous[session] if one[0] > now]
            if not self._previous[session]:
                del self._previous[session]
        return {session: rows[0][1] for session, rows in self._previous.items()}

    def _list_as_it_was(
        self, previous: dict[int, SessionRow], name: str | None, ordering: str, page: int, size: int
    ) -> tuple[int, list[SessionRow]]:
        """A listing like the store's, with these sessions in their previous state."""
        hidden = self._hidden()
        rows = [
            row
            for row in ({one.session_id: one for one in self.store.sessions()} | previous).values()
            if row.session_id not in hidden
            and (
                name is None
                or row.name == name
                or (self.quirks.name_filter == "partial" and name in row.name)
            )
        ]
        column = ordering.removeprefix("-")
        rows.sort(key=lambda row: (getattr(row, column), row.session_id), reverse=ordering.startswith("-"))
        return len(rows), rows[(page - 1) * size : page * size]

    # Shaping

    def _shape(self, row: SessionRow) -> dict[str, JSON]:
        shape = self.contract.session
        document: dict[str, JSON] = {}
        _put(document, shape.session_id, row.session_id)
        _put(document, shape.session_token, row.session_token)
        document["api_id"] = row.api_id
        document["device_id"] = row.device_id
        _put(document, shape.name, row.name)
        _put(document, shape.config, dict(row.extra))
        _put(document, shape.data, row.data)
        _put(document, shape.model, row.model)
        _put(document, shape.prompt, row.prompt)
        for name, value in row.parameters.items():
            path = shape.parameters.get(name, (*shape.config, name))
            _put(document, path, self._as_given(value))
        _put(document, shape.remark, row.remark)
        document["created_at"] = row.created_at
        document["updated_at"] = row.updated_at
        return document

    def _as_given(self, value: JSON) -> JSON:
        text = self.quirks.numbers_as_text and isinstance(value, int | float)
        return json.dumps(value) if text else value

    def _shape_message(self, row: MessageRow, session: SessionRow) -> dict[str, JSON]:
        shape = self.contract.message
        document: dict[str, JSON] = {}
        _put(document, shape.id, row.message_id)
        _put(document, shape.session_id, row.session_id)
        _put(document, shape.session_token, session.session_token)
        _put(document, shape.category, row.category)
        _put(document, shape.content, row.content)
        _put(document, shape.meta, row.meta)
        document["created_at"] = row.created_at
        return document


def _as_played(refusal: Refusal, status: Status) -> Refusal:
    return Refusal(status.http, refusal.message, status.body)


def _put(document: dict[str, JSON], path: tuple[str, ...], value: JSON) -> None:
    *outer, last = path
    for step in outer:
        document = document.setdefault(step, {})
    document[last] = value
