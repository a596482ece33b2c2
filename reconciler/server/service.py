"""What each call of the API does: from the fields of a request to a status and a document, without HTTP.

Wire names come from the contract: arguments are read and rows are formatted by it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from reconciler.contract import SESSION_NAMES, Contract, Operation, Status
from reconciler.server.answers import Answer, BadRequest, Refusal, SessionNotFound, envelope
from reconciler.server.arguments import (
    Arguments,
    Call,
    find_session,
    missing,
    read_arguments,
    read_paging,
    too_long,
)
from reconciler.server.chat import Chat, Rule
from reconciler.server.lag import Lag
from reconciler.server.message_calls import MessageCalls
from reconciler.server.operations import served_operations
from reconciler.server.quirks import IGNORABLE, Quirks
from reconciler.server.rows import SessionRow
from reconciler.server.shape import Shapes, at
from reconciler.server.store import FIRST_ACCOUNT, ORDERINGS, Store, now
from reconciler.server.stored import Columns

#: Models that are always listed, besides those that sessions use.
MODELS = ("deepseek-chat", "deepseek-reasoner")


class Service:
    """The calls of one contract over one store. Not thread-safe: one event loop handles all requests."""

    def __init__(self, store: Store, contract: Contract, quirks: Quirks, script: Sequence[Rule] = ()) -> None:
        self.store = store
        self.contract = contract
        self.quirks = quirks
        self.operations = served_operations(contract, quirks)
        self._shapes = Shapes(contract, quirks)
        self._columns = Columns(contract.session, quirks)
        self._lag = Lag(quirks)
        self._strict = quirks.strict_encoding or quirks.unread_encoding
        self._stamps = 0  # how many writes were stamped
        self._paid: Counter[int | None] = Counter()  # writes by account
        self.chat = Chat(script, streams=quirks.chat_streams)
        messages = MessageCalls(store, self._shapes, quirks)
        self._work: dict[str, Callable[[Arguments], Answer]] = {
            "list_sessions": self._list_sessions,
            "create_session": self._create_session,
            "update_session": self._update_session,
            "delete_session": self._delete_session,
            "get_session": self._get_session,
            "list_messages": messages.list,
            "create_message": messages.create,
            "clear_messages": messages.clear,
            "list_models": self._list_models,
            "chat": self.chat.complete,
        }

    def work(self, operation: str, call: Call) -> Answer:
        """Carry out one call.

        Raises:
            Refusal: it is rejected.
        """
        facts = self.operations[operation]
        self._pay(facts, call.api_id)
        try:
            return self._work[operation](read_arguments(facts, call, strict=self._strict))
        except SessionNotFound as refusal:
            raise _as_played(refusal, self.quirks.not_found) from None
        except BadRequest as refusal:
            raise _as_played(refusal, self.quirks.bad_request) from None

    def _pay(self, facts: Operation, api_id: int | None) -> None:
        if self.quirks.points is None or facts.method == "GET":
            return
        if self._paid[api_id] >= self.quirks.points:
            status = self.quirks.out_of_points
            raise Refusal(status.http, "积分不足", status.body)
        self._paid[api_id] += 1

    def _list_sessions(self, call: Arguments) -> Answer:
        given = call.given
        ordering = given.get("ordering") or "session_id"
        if ordering.removeprefix("-") not in ORDERINGS:
            raise BadRequest(f"不支持的排序字段：{ordering}")
        if self.quirks.ordering_ignored:
            ordering = "-updated_at"
        elif self.quirks.change_order_ignored and ordering.endswith("updated_at"):
            ordering = "-session_id"
        page, size = read_paging(call.facts, given)
        size = min(size, self.quirks.max_page_size or size)
        name = None if self.quirks.name_filter == "none" else given.get("name") or None
        for row in self._lag.undone():
            self.store.put_back(row)
        hidden, previous = self._lag.listed()
        if previous:
            count, rows = self._list_as_it_was(call, hidden, previous, name, ordering, page, size)
        else:
            count, rows = self.store.list_sessions(
                page=page,
                size=size,
                ordering=ordering,
                name=name,
                partial=self.quirks.name_filter == "partial",
                hidden=hidden,
                api_id=call.api_id,
            )
        pages = max(1, math.ceil(count / size))
        if page > pages:
            raise Refusal(404, "页码超出范围")
        results = [self._shapes.session(row) for row in rows]
        return Answer(200, envelope(200, count=count, max_pages=pages, current_page=page, results=results))

    def _list_as_it_was(
        self,
        call: Arguments,
        hidden: list[int],
        previous: Mapping[int, SessionRow],
        name: str | None,
        ordering: str,
        page: int,
        size: int,
    ) -> tuple[int, list[SessionRow]]:
        """A listing like the store's, with these sessions in their previous state."""
        rows = [
            row
            for row in {**{one.session_id: one for one in self.store.sessions()}, **previous}.values()
            if row.session_id not in hidden
            and call.api_id in (None, row.api_id)
            and (
                name is None
                or row.name == name
                or (self.quirks.name_filter == "partial" and name in row.name)
            )
        ]
        column = ordering.removeprefix("-")
        rows.sort(key=lambda row: (getattr(row, column), row.session_id), reverse=ordering.startswith("-"))
        return len(rows), rows[(page - 1) * size : page * size]

    def _create_session(self, call: Arguments) -> Answer:
        facts, given = call.facts, call.given
        for name in sorted(self.quirks.create_refuses.intersection(given)):
            raise Refusal(400, f"不支持的参数：{facts.fields.get(name, name)}")
        given = {name: value for name, value in given.items() if name not in self.quirks.create_ignores}
        limit = self.quirks.create_remark_limit
        if limit is not None and len(str(given.get("remark") or "").encode()) > limit:
            raise too_long(facts, "remark", limit, "字节")
        absent = [name for name in ("name", "model") if given.get(name) in (None, "")]
        if absent:
            raise missing(facts, absent)
        columns = self._columns.read(facts, given)
        columns["parameters"] = {**self._columns.defaults, **columns.get("parameters", {})}
        session_id = self.store.insert_session(
            **columns,
            api_id=FIRST_ACCOUNT if call.api_id is None else call.api_id,
            created_at=now(self._behind()),
        )
        self._lag.created(session_id)
        row = self.store.session(session_id)
        # Another process may have deleted it already; the client still gets the id of what was created.
        created = self._shapes.created(row) if row else self._shapes.names(session_id, None)
        return _answer(facts, 201, created)

    def _update_session(self, call: Arguments) -> Answer:
        facts, quirks = call.facts, self.quirks
        session = find_session(self.store, call, both_names=quirks.both_names)
        if quirks.update_wants_all or facts.left_out == "refused":
            absent = [name for name in facts.fields if name not in (*SESSION_NAMES, *call.given)]
            if absent:
                raise missing(facts, absent)
        given = {name: value for name, value in call.given.items() if name not in quirks.update_ignores}
        columns = {**dict.fromkeys(quirks.update_empties, ""), **self._columns.read(facts, given)}
        resets = quirks.update_resets or facts.left_out == "reset"

        def change(row: SessionRow) -> SessionRow:
            kept = self._columns.defaults if resets else row.parameters
            if resets:
                row = replace(row, prompt="", data={}, remark="")
            return replace(row, **{**columns, "parameters": {**kept, **columns.get("parameters", {})}})

        shown = change(session)
        touch = None if self._is_unstamped(session, shown) else self._behind()
        for row in self._hit(session, quirks.update_hits, call.api_id):
            self._lag.changes(row)
            changed = self.store.change_session(row.session_id, change, touch=touch)
            if row.session_id == session.session_id:
                if changed is None:
                    raise SessionNotFound
                shown = changed
        return _answer(facts, 200, self._shapes.session(shown))

    def _behind(self) -> float:
        """How many seconds the clock is behind that stamps this write."""
        self._stamps += 1
        return 0.0 if self._stamps % 2 else self.quirks.second_clock

    def _is_unstamped(self, before: SessionRow, after: SessionRow) -> bool:
        """Whether this update leaves ``updated_at`` as it was."""
        changed = {name for name, old in _fields(before).items() if _fields(after).get(name) != old}
        return self.quirks.updated_at == "never" or (bool(changed) and changed <= self.quirks.unstamped)

    def _delete_session(self, call: Arguments) -> Answer:
        session = find_session(self.store, call, both_names=self.quirks.both_names)
        for row in self._hit(session, self.quirks.delete_hits, call.api_id):
            if not self.store.delete_session(row.session_id) and row.session_id == session.session_id:
                raise SessionNotFound
            self._lag.changes(row)
            self._lag.deleted(row)
        if self.quirks.delete_204:
            return Answer(204, None)
        name = call.facts.fields.get("session_id", "session_id")
        return _answer(call.facts, 200, {name: session.session_id})

    def _get_session(self, call: Arguments) -> Answer:
        session = find_session(self.store, call, both_names=self.quirks.both_names)
        return _answer(call.facts, 200, self._shapes.session(session))

    def _list_models(self, call: Arguments) -> Answer:
        names = sorted({*MODELS, *self.store.models()})
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "reconciler"} for name in names]
        return Answer(200, {"object": "list", "data": models})

    def _hit(
        self, session: SessionRow, hits: Literal["named", "other", "both", "none"], api_id: int | None
    ) -> list[SessionRow]:
        """The sessions that a write about this session changes."""
        neighbour = (
            self.store.neighbour(session.session_id, api_id=api_id) if hits in ("other", "both") else None
        )
        others = [] if neighbour is None else [neighbour]
        return [session, *others] if hits in ("named", "both") else others


def _answer(facts: Operation, status: int, document: dict[str, Any]) -> Answer:
    """The response of a call about one session, with the document where the contract says."""
    if facts.answer == "empty":
        return Answer(204, None)
    if not facts.answer_in:
        return Answer(status, document)
    return Answer(status, envelope(status, **at(facts.answer_in, document)))


def _fields(row: SessionRow) -> dict[str, Any]:
    """What an update can change, by the contract's names."""
    fields = {name: getattr(row, name) for name in ("name", "model", "prompt", "remark", "data")}
    return {**fields, **dict.fromkeys(IGNORABLE), **row.parameters, **fields}


def _as_played(refusal: Refusal, status: Status) -> Refusal:
    return Refusal(status.http, refusal.message, status.body, refusal.fields)
