"""The calls about messages: from the arguments of a call to its response."""

from __future__ import annotations

import math
from dataclasses import replace

from reconciler.server.answers import Answer, Refusal, SessionNotFound, envelope
from reconciler.server.arguments import (
    Arguments,
    find_session,
    malformed,
    missing,
    read_number,
    read_object,
    read_paging,
)
from reconciler.server.quirks import Quirks
from reconciler.server.rows import SessionRow
from reconciler.server.shape import Shapes
from reconciler.server.store import MessagePage, Store
from reconciler.values import JSON

#: The categories of messages.
CATEGORIES = ("user", "assistant", "tip")


class MessageCalls:
    """The calls about the messages of sessions."""

    def __init__(self, store: Store, shapes: Shapes, quirks: Quirks) -> None:
        self._store = store
        self._shapes = shapes
        self._quirks = quirks

    def list(self, call: Arguments) -> Answer:
        """One page of the messages of a session."""
        facts, quirks = call.facts, self._quirks
        page, size = read_paging(facts, call.given)
        size = min(size, quirks.max_page_size or size)
        if facts.pages == "none" and quirks.message_pages != "first":
            page, size = 1, -1
        before = call.given.get("before")
        cursor = None if before in (None, "") else int(read_number(facts, "before", before, whole=True))
        try:
            session = self._filtered_by(call)
        except SessionNotFound:
            if quirks.message_filters is None:
                raise
            found = MessagePage(0, 0, [])  # a filter that nothing matches
        else:
            found = self._store.list_messages(
                None if session is None else session.session_id,
                page=page,
                size=size,
                newest_first=self._newest_first(call),
                before=cursor,
                api_id=call.api_id,
            )
        return self._page(call, found, page, size)

    def create(self, call: Arguments) -> Answer:
        """Add a message to a session."""
        session = self._session(call)
        category = call.given.get("category")
        if category not in CATEGORIES:
            raise malformed(call.facts, "category")
        content = call.given.get("content")
        if not isinstance(content, str):
            raise malformed(call.facts, "content")
        meta = read_object(call.facts, "meta", call.given.get("meta"))
        try:
            message_id = self._store.insert_message(
                session.session_id, category=category, content=content, meta=meta
            )
        except KeyError:
            raise SessionNotFound from None
        if self._quirks.updated_at == "messages":
            self._store.touch_session(session.session_id)
        last = self._store.list_messages(
            session.session_id, before=message_id + 1, newest_first=True, size=1
        ).rows
        # Another process may have deleted it already; the client still gets the id of what was created.
        created = bool(last) and last[0].message_id == message_id
        return Answer(
            201,
            envelope(201, data=self._shapes.message(last[0]) if created else {"message_id": message_id}),
        )

    def clear(self, call: Arguments) -> Answer:
        """Remove the messages of a session."""
        self._store.clear_messages(self._session(call).session_id)
        return Answer(200, envelope(200))

    def _session(self, call: Arguments) -> SessionRow:
        if self._quirks.messages_by_token:
            if call.given.get("session_token") in (None, ""):
                raise missing(call.facts, ["session_token"])
            given = {name: value for name, value in call.given.items() if name != "session_id"}
            call = replace(call, given=given)
        return find_session(self._store, call, both_names=self._quirks.both_names)

    def _filtered_by(self, call: Arguments) -> SessionRow | None:
        """The session that the list is filtered by; ``None`` for the messages of the whole account."""
        if self._quirks.message_filters is None:
            return self._session(call)
        if all(call.given.get(name) in (None, "") for name in ("session_id", "session_token")):
            return None
        return find_session(self._store, call)

    def _newest_first(self, call: Arguments) -> bool:
        if self._quirks.message_order != "asked":
            return self._quirks.message_order == "newest"
        return str(call.given.get("ordering") or "").startswith("-")

    def _page(self, call: Arguments, found: MessagePage, page: int, size: int) -> Answer:
        facts, quirks = call.facts, self._quirks
        numbers = {"all": found.total, "left": found.left, "page": len(found.rows)}
        counts = quirks.message_counts or facts.counts or ("none" if facts.pages == "before" else "all")
        pages = {
            name: max(1, math.ceil(number / size)) if size > 0 else 1 for name, number in numbers.items()
        }
        if page > pages["left"]:
            raise Refusal(404, "页码超出范围")
        more: dict[str, JSON] = {}
        if counts != "none":
            more["count"] = numbers[counts]
        if quirks.message_max_pages != "none":
            more["max_pages"] = pages[quirks.message_max_pages]
        if facts.pages == "page":
            more["current_page"] = page
        return Answer(200, envelope(200, **more, results=[self._shapes.message(row) for row in found.rows]))
