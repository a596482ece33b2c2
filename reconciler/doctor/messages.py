"""Whether a session's messages can be read, and by what they are addressed. An archive depends on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.api.decode import value_at
from reconciler.contract import Operation
from reconciler.doctor.context import Bench, Look, answer, count_of, verdict
from reconciler.values import as_number

_CONTENT = "A message of reconciler doctor."


def listed(look: Look, rows: Sequence[Any]) -> None:
    """Whether the messages of a session can be had. Only how many there are is looked at."""
    listing = look.contract.operations.get("list_messages")
    if listing is None or listing.method != "GET" or not rows:
        why = "the contract has no call that only looks" if rows else "there is no session to ask for"
        look.say("messages", "unknown", why)
        return
    shape = look.contract.session
    number, token = value_at(rows[0], shape.session_id), value_at(rows[0], shape.session_token)
    asked = {"session_id": number, "session_token": token, "page": 1, "size": 1}
    reply = look.get(listing, asked)
    if count_of(reply) is not None:
        by_id = "session_id" in listing.fields or "{session_id}" in listing.path
        look.say("messages", "ok", f"can be listed by {'session_id' if by_id else 'session_token'}")
        return
    other = "session_token" if "session_id" in listing.fields else "session_id"
    others = {
        ours: wire for ours, wire in listing.fields.items() if ours not in ("session_id", "session_token")
    }
    operation = replace(listing, known="learned", fields={other: other, **others})
    if asked[other] is not None and count_of(look.get(operation, asked)) is not None:
        look.lessons.call("list_messages", operation)
        look.say("messages", "differs", f"can be listed by {other}, and not as the contract says")
        return
    look.say(
        "messages",
        "differs",
        f"can't be listed: {answer(reply)}",
        "deletes are refused, since what they destroy could not be archived first",
    )


def messages(bench: Bench) -> None:
    """Add a message to the session, and read it back by the session's id, or else by its token."""
    contract = bench.lessons.contract
    listing, creating = contract.operations.get("list_messages"), contract.operations.get("create_message")
    if listing is None or creating is None:
        bench.say("messages", "unknown", "the contract has no calls for them")
        return
    bench.tell("messages")
    live = bench.subject.see()
    if not bench.subject.names(creating):
        seen = "the contract's create_message does not say by what a session is meant that the list shows"
        bench.say("messages", "unknown", seen, "name session_id among its fields, and run the probe again")
        return
    token = {} if live.session_token is None else {"session_token": live.session_token}
    added = bench.subject.write(creating, {"category": "tip", "content": _CONTENT})
    if added.error is not None:
        bench.say(
            "messages",
            "differs",
            f"none can be added: {answer(added)}",
            "a restore can't bring messages back",
        )
    expected = [_CONTENT] if added.error is None else []
    name = creating.fields.get("content", "message_content")
    for way in ("session_id", "session_token"):
        operation = _addressed(bench, listing, way)
        if way == "session_token" and not token:
            break
        reply = bench.client.call(
            operation, {"session_id": live.session_id, **token, "page": 1, "size": operation.page_size}
        )
        if reply.error is None and _contents(reply.body, name) == expected:
            bench.lessons.call("list_messages", replace(operation, known="learned"))
            bench.say(
                "messages", verdict(way in listing.fields or _in_path(listing)), f"are addressed by {way}"
            )
            return
    bench.say(
        "messages",
        "differs",
        f"can't be read: {answer(reply)}",
        "deletes are refused, since what they destroy could not be archived first",
    )


def _addressed(bench: Bench, listing: Operation, way: str) -> Operation:
    """The call, naming the session in this way alone."""
    if _in_path(listing):
        return listing
    stated = bench.lessons.contract.operation("create_message").fields
    others = {
        ours: wire for ours, wire in listing.fields.items() if ours not in ("session_id", "session_token")
    }
    return replace(listing, fields={way: listing.fields.get(way) or stated.get(way) or way, **others})


def _in_path(operation: Operation) -> bool:
    return "{session_id}" in operation.path


def _contents(body: Any, name: str) -> list[Any] | None:
    """The contents of all messages, None where they are not all there."""
    if not isinstance(body, dict) or not isinstance(body.get("results"), list):
        return None
    rows = [row for row in body["results"] if isinstance(row, Mapping)]
    if as_number(body.get("count")) != len(rows):
        return None
    return [row.get(name) for row in rows]
