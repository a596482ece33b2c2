"""Whether a session's messages can be read, and how they are addressed. Archives depend on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.api.decode import value_at
from reconciler.contract import SESSION_NAMES, Operation
from reconciler.doctor.candidates import names_in_path
from reconciler.doctor.context import ProbeContext, SurveyContext, count_of, describe_answer, ok_if
from reconciler.values import as_number

_CONTENT: Final = "A message of reconciler doctor."

_NO_ARCHIVE: Final = "deletes are refused, because the messages could not be archived first"


def survey_messages(context: SurveyContext, rows: Sequence[Any]) -> None:
    """Whether the messages of a session can be listed. Only their number is read."""
    listing = context.contract.operations.get("list_messages")
    if listing is None or listing.method != "GET" or not listing.named_by or not rows:
        why = "the contract has no read-only call for them" if rows else "there is no session to ask about"
        context.report("messages", "unknown", why)
        return
    shape = context.contract.session
    session = {
        "session_id": value_at(rows[0], shape.session_id),
        "session_token": value_at(rows[0], shape.session_token),
    }
    asked = {**session, "page": 1, "size": 1}
    reply = context.get(listing, asked)
    if count_of(reply) is not None:
        context.report("messages", "ok", f"can be listed by {listing.named_by[0]}")
        return
    other = "session_token" if "session_id" in listing.fields else "session_id"
    operation = replace(_addressed(listing, other, other), known="learned")
    if session[other] is not None and count_of(context.get(operation, asked)) is not None:
        context.learned.learn_operation("list_messages", operation)
        context.report("messages", "differs", f"can be listed by {other}, not as the contract says")
        return
    context.report("messages", "differs", f"can't be listed: {describe_answer(reply)}", _NO_ARCHIVE)


def probe_messages(context: ProbeContext) -> None:
    """Add a message to the session, and read it back by the session's id, or else by its token."""
    contract = context.learned.contract
    listing, creating = contract.operations.get("list_messages"), contract.operations.get("create_message")
    if listing is None or creating is None:
        context.report("messages", "unknown", "the contract has no calls for them")
        return
    context.progress("messages")
    context.session.require_listed()
    if not context.session.can_address(creating):
        seen = "the contract's create_message names a session by nothing that the list shows"
        context.report("messages", "unknown", seen, "add session_id to its fields, and run the probe again")
        return
    added = context.session.write(creating, {"category": "tip", "content": _CONTENT})
    if added.error is not None:
        seen = f"none can be added: {describe_answer(added)}"
        context.report("messages", "differs", seen, "a restore can't bring messages back")
    expected = [_CONTENT] if added.error is None else []
    why = "the list does not show the session's token"
    content = creating.fields.get("content", "message_content")
    in_path = names_in_path(listing)
    for name in in_path or SESSION_NAMES:
        if name not in context.session.address:
            continue
        wire = listing.fields.get(name) or creating.fields.get(name) or name
        operation = listing if in_path else _addressed(listing, name, wire)
        asked = {**context.session.address, "page": 1, "size": operation.page_size}
        reply = context.client.call(operation, asked)
        why = describe_answer(reply)
        if reply.error is None and _contents(reply.body, content) == expected:
            context.learned.learn_operation("list_messages", replace(operation, known="learned"))
            context.report("messages", ok_if(name in listing.named_by), f"are addressed by {name}")
            return
    context.report("messages", "differs", f"can't be read: {why}", _NO_ARCHIVE)


def _addressed(listing: Operation, name: str, wire: str) -> Operation:
    """The call with this field, and no other, to name the session."""
    others = {ours: theirs for ours, theirs in listing.fields.items() if ours not in SESSION_NAMES}
    return replace(listing, fields={name: wire, **others})


def _contents(body: Any, name: str) -> list[Any] | None:
    """The contents of all messages, None if the answer does not hold all of them."""
    if not isinstance(body, dict) or not isinstance(body.get("results"), list):
        return None
    rows = [row for row in body["results"] if isinstance(row, Mapping)]
    if as_number(body.get("count")) != len(rows):
        return None
    return [row.get(name) for row in rows]
