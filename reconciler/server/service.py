"""What each call of the API does: the fields of a request in, status and document out. No HTTP here.

What a call is named on the wire is the contract's affair: a row is shaped by it, arguments are read by it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.contract import Contract, Operation, Status
from reconciler.server.quirks import Quirks
from reconciler.server.store import (
    DEFAULT_PARAMETERS,
    ORDERINGS,
    MessageRow,
    SessionRow,
    Store,
)
from reconciler.values import JSON

#: Rows on a page where the request does not say.
PAGE_SIZE = 20

#: The kinds of message.
CATEGORIES = ("user", "assistant", "tip")

#: Always on the list of models, whatever the sessions name.
MODELS = ("deepseek-chat", "deepseek-reasoner")

#: Statuses whose answers have no body (RFC 9110, 15.3.5, 15.3.6, 15.4.5).
_BODILESS = (204, 205, 304)

_WHOLE = ("max_tokens", "history_length")

#: Documented, but never called by this program, so a contract need not have it.
_CLEAR_MESSAGES = Operation(
    name="clear_messages",
    method="POST",
    path="/v1/message/clear/",
    encoding="json",
    known="documented",
    fields={"session_id": "session_id", "session_token": "session_token"},
)


@dataclass(frozen=True, slots=True)
class Call:
    """The fields of one request: of its path by our names, of query and body by wire names."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a document; ``None`` means no body at all."""

    status: int
    document: JSON


class Refusal(Exception):  # noqa: N818 - an answer like any other
    """The request can't be done. ``status`` is HTTP's, and the message is what the caller reads.

    ``body`` is the status in the body, 0 for none.
    """

    def __init__(self, status: int, message: str, body: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.body = status if body is None else body

    @property
    def answer(self) -> Answer:
        """The answer that says so."""
        if self.status in _BODILESS:
            return Answer(self.status, None)
        document = envelope(self.body, self.message)
        if not self.body:
            del document["status"]
        return Answer(self.status, document)


class NoSession(Refusal):
    """The call is about a session that is not there."""

    def __init__(self) -> None:
        super().__init__(404, "会话不存在")


class Nonsense(Refusal):
    """The call makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


def envelope(status: int, message: str = "", **more: JSON) -> dict[str, JSON]:
    """The frame around every answer."""
    return {"message": message, "status": status, **more}


class Service:
    """The calls of one contract over one store. Not thread-safe: one event loop works all requests."""

    def __init__(self, store: Store, contract: Contract, quirks: Quirks) -> None:
        self.store = store
        self.contract = contract
        self.quirks = quirks
        self.operations: dict[str, Operation] = {_CLEAR_MESSAGES.name: _CLEAR_MESSAGES, **contract.operations}
        if quirks.no_update:
            self.operations.pop("update_session", None)
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
        self._late: dict[int, tuple[float, int]] = {}  # session → when it shows: a moment, a number of lists
        self._former: dict[
            int, list[tuple[float, SessionRow]]
        ] = {}  # session → what it was, and shown until when
        self._lists = 0

    def work(self, operation: str, call: Call) -> Answer:
        """Do one call.

        Raises:
            Refusal: it can't be done.
        """
        facts = self.operations[operation]
        try:
            return self._work[operation](facts, _arguments(facts, call))
        except NoSession as refusal:
            raise _as_played(refusal, self.quirks.not_found) from None
        except Nonsense as refusal:
            raise _as_played(refusal, self.quirks.bad_request) from None

    # Sessions

    def _list_sessions(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        ordering = given.get("ordering") or "session_id"
        if ordering.removeprefix("-") not in ORDERINGS:
            raise Nonsense(f"不支持的排序字段：{ordering}")
        if self.quirks.ordering_ignored:
            ordering = "-updated_at"
        page, size = _paging(facts, given)
        size = min(size, self.quirks.max_page_size or size)
        hidden = self._hidden()
        self._lists += 1
        name = None if self.quirks.name_filter == "none" else given.get("name") or None
        former = self._shown_as_before()
        if former:
            count, rows = self._list_as_it_was(former, name, ordering, page, size)
        else:
            count, rows = self.store.list_sessions(
                page=page,
                size=size,
                ordering=ordering,
                name=name,
                partial=self.quirks.name_filter == "partial",
                hidden=hidden,
            )
        return _listing(count, page, size, [self._shape(row) for row in rows])

    def _create_session(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        for name in sorted(self.quirks.create_refuses.intersection(given)):
            raise Refusal(400, f"不支持的参数：{facts.fields.get(name, name)}")
        given = {name: value for name, value in given.items() if name not in self.quirks.create_ignores}
        limit = self.quirks.create_remark_limit
        if limit is not None and len(str(given.get("remark") or "").encode()) > limit:
            raise _too_long(facts, limit)
        for name in ("name", "model"):
            if given.get(name) in (None, ""):
                raise Nonsense(f"缺少参数：{facts.fields.get(name, name)}")
        fields = self._fields(facts, given)
        fields["parameters"] = {**self._defaults(), **fields.get("parameters", {})}
        session_id = self.store.insert_session(**fields)
        if self.quirks.late_seconds or self.quirks.late_calls:
            self._late[session_id] = (
                time.monotonic() + self.quirks.late_seconds,
                self._lists + self.quirks.late_calls,
            )
        row = self.store.session(session_id)
        # Another process may have deleted it already; the creator is told what was made all the same.
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
            raise NoSession
        return Answer(200, envelope(200, data=self._shape(changed)))

    def _delete_session(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        row = self._session(facts, given)
        session_id = row.session_id
        if not self.store.delete_session(session_id):
            raise NoSession
        self._remember(row)
        if self.quirks.delete_204:
            return Answer(204, None)
        return Answer(200, envelope(200, data={facts.fields.get("session_id", "session_id"): session_id}))

    # Messages

    def _list_messages(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        session = self._session(facts, given, message=True)
        page, size = _paging(facts, given)
        size = min(size, self.quirks.max_page_size or size)
        count, rows = self.store.list_messages(session.session_id, page=page, size=size)
        return _listing(count, page, size, [self._shape_message(row, session) for row in rows])

    def _create_message(self, facts: Operation, given: Mapping[str, JSON]) -> Answer:
        session = self._session(facts, given, message=True)
        category = given.get("category")
        if category not in CATEGORIES:
            raise _malformed(facts, "category")
        content = given.get("content")
        if not isinstance(content, str):
            raise _malformed(facts, "content")
        meta = _object(facts, "meta", given.get("meta"))
        try:
            message_id = self.store.insert_message(
                session.session_id, category=category, content=content, meta=meta
            )
        except KeyError:
            raise NoSession from None
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
        """The session that a call is about, by id, by token, or by both where they agree."""
        token = given.get("session_token") or None
        number = given.get("session_id")
        if message and self.quirks.messages_by_token:
            number = None
            if token is None:
                raise Nonsense("缺少参数：session_token")
        if number in (None, "") and token is None:
            raise Nonsense(f"缺少参数：{facts.fields.get('session_id', 'session_id')}")
        row = None
        if number not in (None, ""):
            row = self.store.session(int(_number(facts, "session_id", number, whole=True)))
        if token is not None:
            named = self.store.session_by_token(str(token))
            row = named if row is None and number in (None, "") else row if row == named else None
        if row is None:
            raise NoSession
        return row

    def _fields(self, facts: Operation, given: Mapping[str, JSON]) -> dict[str, Any]:
        """The columns that a create or an update sets. ``parameters`` are the given ones alone."""
        found: dict[str, Any] = {}
        for name in ("name", "model", "prompt"):
            if name in given:
                if not isinstance(given[name], str):
                    raise _malformed(facts, name)
                found[name] = given[name]
        if "prompt" in found:
            limit = self.quirks.prompt_limit
            if limit is not None and len(found["prompt"]) > limit:
                raise Refusal(400, f"{facts.fields['prompt']} 过长，最多 {limit} 字符")
            found["prompt"] = self._as_kept(found["prompt"])
        if "remark" in given:
            found["remark"] = self._remark(facts, given["remark"])
        if "data" in given:
            found["data"] = _object(facts, "data", given["data"])
        parameters = {
            name: _number(facts, name, given[name], whole=name in _WHOLE)
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
            raise _malformed(facts, "remark")
        limit = self.quirks.remark_limit
        if limit is None or len(remark.encode()) <= limit:
            return remark
        if self.quirks.remark_over == "refuse":
            raise _too_long(facts, limit)
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
        """Keep what a session is before a write, for a list that shows it late."""
        if self.quirks.late_changes:
            until = time.monotonic() + self.quirks.late_changes
            self._former.setdefault(row.session_id, []).append((until, row))

    def _shown_as_before(self) -> dict[int, SessionRow]:
        """The sessions whose last writes a list does not show yet, as it still shows them."""
        now = time.monotonic()
        for session in list(self._former):
            self._former[session] = [one for one in self._former[session] if one[0] > now]
            if not self._former[session]:
                del self._former[session]
        return {session: rows[0][1] for session, rows in self._former.items()}

    def _list_as_it_was(
        self, former: dict[int, SessionRow], name: str | None, ordering: str, page: int, size: int
    ) -> tuple[int, list[SessionRow]]:
        """As the store lists them, but for these."""
        hidden = self._hidden()
        rows = [
            row
            for row in ({one.session_id: one for one in self.store.sessions()} | former).values()
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
        facts = self.operations.get("create_message") or self.operations["list_messages"]
        return {
            "message_id": row.message_id,
            facts.fields.get("session_id", "session_id"): row.session_id,
            facts.fields.get("session_token", "session_token"): session.session_token,
            facts.fields.get("category", "message_category"): row.category,
            facts.fields.get("content", "message_content"): row.content,
            facts.fields.get("meta", "meta_data"): row.meta,
            "created_at": row.created_at,
        }


def _arguments(facts: Operation, call: Call) -> dict[str, JSON]:
    """The fields of a call by our names. A session may always be named by its token, as was seen."""
    source: Mapping[str, JSON] = call.query if facts.method == "GET" else {**call.query, **call.body}
    found = {ours: source[wire] for ours, wire in facts.fields.items() if wire in source}
    if "session_token" in source:
        found.setdefault("session_token", source["session_token"])
    found.update(call.path)
    return found


def _listing(count: int, page: int, size: int, rows: list[dict[str, JSON]]) -> Answer:
    pages = max(1, math.ceil(count / size))
    if page > pages:
        raise Refusal(404, "页码超出范围")
    return Answer(200, envelope(200, count=count, max_pages=pages, current_page=page, results=rows))


def _paging(facts: Operation, given: Mapping[str, JSON]) -> tuple[int, int]:
    found = []
    for name, default in (("page", 1), ("size", PAGE_SIZE)):
        value = given.get(name)
        number = default if value in (None, "") else _number(facts, name, value, whole=True)
        if not 0 < number < 2**31:
            raise _malformed(facts, name)
        found.append(int(number))
    return found[0], found[1]


def _number(facts: Operation, name: str, value: JSON, *, whole: bool = False) -> int | float:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _malformed(facts, name) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _malformed(facts, name)
    if isinstance(value, float) and not (math.isfinite(value) and (value.is_integer() or not whole)):
        raise _malformed(facts, name)
    return int(value) if whole else value


def _object(facts: Operation, name: str, value: JSON) -> dict[str, JSON]:
    """An object, which in a form is a JSON text."""
    if value in (None, ""):
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            raise _malformed(facts, name) from None
    if not isinstance(value, dict):
        raise _malformed(facts, name)
    return value


def _malformed(facts: Operation, name: str) -> Refusal:
    return Nonsense(f"参数格式错误：{facts.fields.get(name, name)}")


def _too_long(facts: Operation, limit: int) -> Refusal:
    return Refusal(400, f"{facts.fields['remark']} 过长，最多 {limit} 字节")


def _as_played(refusal: Refusal, status: Status) -> Refusal:
    return Refusal(status.http, refusal.message, status.body)


def _put(document: dict[str, JSON], path: tuple[str, ...], value: JSON) -> None:
    *outer, last = path
    for step in outer:
        document = document.setdefault(step, {})
    document[last] = value
