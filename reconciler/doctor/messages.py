"""How a session's messages are added and read: by what they are addressed, how they are paged, and what is counted.

Archives depend on it. A list counts as read only if :mod:`reconciler.api.messages` says that it is whole; and a way to
name a session counts only if the service does not ignore it: asked for a session that does not exist, such a service
gives the messages of the whole account.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

from reconciler.api.addressing import Address, address, names
from reconciler.api.client import Reply
from reconciler.api.decode import value_at
from reconciler.api.errors import ApiError
from reconciler.api.messages import list_messages, page_query
from reconciler.contract import SESSION_NAMES, Contract, Operation
from reconciler.doctor.candidates import has_body, names_in_path
from reconciler.doctor.context import (
    ProbeContext,
    SurveyContext,
    count_of,
    describe_answer,
    describe_answers,
    describe_call,
    ok_if,
    rows_of,
)
from reconciler.doctor.listing import TRIES
from reconciler.domain import LiveSession
from reconciler.values import as_number, same

_Pages: TypeAlias = Literal["before", "page", "none"]

#: What the counts of two pages of one row each mean, of three rows in all.
_COUNTS: Final[Mapping[tuple[int | None, ...], tuple[Literal["all", "page", "none"], str]]] = {
    (3, 3): ("all", "is of all messages"),
    (3, 2): ("all", "is of those that the cursor leaves"),
    (1, 1): ("page", "is of the messages on the page"),
    (None, None): ("none", "is missing"),
}
_PAGES: Final[Mapping[_Pages, str]] = {
    "before": "by a cursor, the id of the oldest message so far",
    "page": "by number",
    "none": "there are none: one response has all messages, or they can't be read",
}

#: What the probe's messages carry besides their text.
_META: Final[Mapping[str, Any]] = {"probe": ["message", 1, None, {"爱": True}]}

_NO_ARCHIVE: Final = "deletes are refused, because the messages could not be archived first"

#: A session that does not exist: the highest id that many databases can store, and a token drawn at random.
_NO_ID: Final = 2**31 - 1


def survey_messages(context: SurveyContext, rows: Sequence[Any]) -> None:
    """Whether the messages of a session can be listed, and by what. Of the messages, only whose they are is read.

    If the session was deleted meanwhile, another one is used.
    """
    listing = context.contract.operations.get("list_messages")
    if listing is None or listing.method != "GET" or not listing.named_by or not rows:
        why = "the contract has no read-only call for them" if rows else "there is no session to ask about"
        context.report("messages", "unknown", why)
        return
    for _ in range(TRIES):
        live = _address_of(context.contract, rows[0])
        operation, failures = _try_listing(context, listing, live)
        if operation is not None:
            break
        rows = [row for row in rows_of(context.list()) or () if type(row) is dict]
        if not rows or any(_address_of(context.contract, row) == live for row in rows):
            break
    if operation is None:
        context.report("messages", "differs", f"can't be listed {'; '.join(failures)}", _NO_ARCHIVE)
    elif operation.named_by == listing.named_by:
        context.report("messages", "ok", f"can be listed by {_by(operation)}")
    else:
        context.learned.learn_operation("list_messages", replace(operation, known="learned"))
        seen = f"can be listed by {_by(operation)}, not as the contract says ({'; '.join(failures)})"
        context.report("messages", "differs", seen)


def _address_of(contract: Contract, row: Any) -> Address:
    number, token = value_at(row, contract.session.session_id), value_at(row, contract.session.session_token)
    return Address(int(as_number(number) or 0), token if type(token) is str else None)


def _try_listing(
    context: SurveyContext, listing: Operation, live: Address
) -> tuple[Operation | None, Sequence[str]]:
    """The first way to list the messages of a session that works, None if there is none; and why others do not."""
    failures = []
    for operation in _addressings(context.contract, listing, live):
        by = _by(operation)
        reply = context.get(operation, _first_page(operation, live))
        found = rows_of(reply)
        if found is None:
            failures.append(f"by {by}: {describe_answer(reply)}")
        elif _is_ignored(context.get(operation, _first_page(operation, _nobody()))):
            failures.append(f"by {by}: it is ignored, and the messages of other sessions are returned")
        elif not all(_is_of(context.contract, row, live) for row in found):
            failures.append(f"by {by}: the messages of other sessions are returned")
        else:
            return operation, failures
    return None, failures


def probe_messages(context: ProbeContext) -> None:
    """Add three messages to the session, and read them back one a page."""
    contract = context.learned.contract
    listing, creating = contract.operations.get("list_messages"), contract.operations.get("create_message")
    if listing is None or creating is None:
        context.report("messages", "unknown", "the contract has no calls for them")
        return
    context.progress("messages")
    live = context.session.require_listed()
    added = _add(context, creating)
    if not added:
        context.unknown.append("list_messages")
        context.report("messages", "unknown", "without a message of its own, how they are read is not known")
        return
    failures: dict[str, None] = {}
    for operation in _addressings(contract, listing, live):
        by = _by(operation)
        if _is_ignored(context.client.call(operation, _first_page(operation, _nobody()))):
            failures[f"by {by}: it is ignored, and the messages of other sessions are returned"] = None
            continue
        for pages in dict.fromkeys((listing.pages, *_PAGES)):
            paged = _paged(operation, pages)
            rows = _read(context, paged, live)
            if isinstance(rows, str):
                failures[f"by {by}: {rows}"] = None
                continue
            texts = [str(value_at(row, contract.message.content)) for row in rows]
            found = list(dict.fromkeys(texts))  # one whose response was lost was sent twice
            if found == added:
                _learn(context, paged, live)
                _report_meta(context, rows)
                return
            failures[f"by {by}: {len(found)} of {len(added)} came"] = None
    context.unknown.append("list_messages")
    context.report("messages", "differs", f"can't be read {'; '.join(failures)}", _NO_ARCHIVE)


def _add(context: ProbeContext, creating: Operation) -> list[str]:
    """Add three messages. Returns their texts; none if no message can be added."""
    texts = [f"Message {number} of 3 of reconciler doctor." for number in (1, 2, 3)]
    refused: list[tuple[Operation, Reply]] = []
    for operation in _creates(context, creating):
        reply = context.session.write(operation, {"category": "tip", "content": texts[0], "meta": _META})
        if not context.session.maybe_applied:
            refused.append((operation, reply))
            continue
        for text in texts[1:]:
            reply = context.session.write(operation, {"category": "tip", "content": text, "meta": _META})
        if reply.error is not None:
            refused.append((operation, reply))
            break
        verdict = context.learned.learn_operation("create_message", replace(operation, known="learned"))
        context.report("a new message", verdict, describe_call(operation))
        return texts
    seen = f"none can be added: {describe_answers(refused)}"
    if not refused:
        seen = "the contract's create_message names a session by nothing that the list shows"
    context.report("a new message", "differs", seen, "a restore can't bring messages back")
    return []


def _creates(context: ProbeContext, creating: Operation) -> Iterator[Operation]:
    """The contract's call, then by other names of the session, and in the encoding that the update reads."""
    update = context.update
    encodings = [creating.encoding, *([update.encoding] if update is not None and has_body(update) else [])]
    for encoding in dict.fromkeys(encodings):
        for one in _addressings(context.learned.contract, creating, context.session.address):
            operation = replace(one, encoding=encoding)
            if context.session.can_address(operation):
                yield operation


def _learn(context: ProbeContext, found: Operation, live: LiveSession) -> None:
    stated = context.learned.in_use.operation("list_messages")
    counts, seen = _count(context, found, live)
    operation = replace(found, known="learned", counts=counts)
    context.learned.learn_operation("list_messages", operation)
    by = _by(operation)
    context.report("messages", ok_if(found.named_by == stated.named_by), f"are addressed by {by}")
    context.report("pages of messages", ok_if(found.pages == stated.pages), _PAGES[found.pages])
    context.report("count of messages", ok_if(stated.counts in (None, counts)), seen)


def _report_meta(context: ProbeContext, rows: Sequence[dict[str, Any]]) -> None:
    """Whether what a message carries besides its text is returned as it was sent."""
    contract = context.learned.contract
    if "meta" not in contract.operation("create_message").fields:
        return
    lost = "archives, and what is restored from them, do not have it in its original form"
    returned = [value_at(row, contract.message.meta) for row in rows]
    if all(same(one, _META) for one in returned):
        context.report("meta of messages", "ok", "is returned as it was sent")
    elif any(returned):
        context.report("meta of messages", "differs", "is returned, but not as it was sent", lost)
    else:
        context.report("meta of messages", "differs", "is not returned", lost)


def _count(
    context: ProbeContext, found: Operation, live: LiveSession
) -> tuple[Literal["all", "page", "none"] | None, str]:
    """What ``count`` in the list of messages counts."""
    if found.pages == "none":
        return "all", "is of all messages"
    one = replace(found, page_size=1)
    first = context.client.call(one, page_query(one, live, 1, None))
    ids = [as_number(value_at(row, context.client.contract.message.id)) for row in rows_of(first) or []]
    oldest = ids[0] if ids and type(ids[0]) is int else None
    second = context.client.call(one, page_query(one, live, 2, oldest))
    counts = (count_of(first), count_of(second))
    return _COUNTS.get(
        counts, (None, f"is {counts[0]} on the first of three pages, {counts[1]} on the second")
    )


def _read(context: ProbeContext, operation: Operation, live: LiveSession) -> list[dict[str, Any]] | str:
    """The session's messages in order, read one a page; or why they can't be read."""
    contract = context.learned.contract
    size = operation.page_size if operation.pages == "none" else 1
    operations = {**contract.operations, "list_messages": replace(operation, page_size=size)}
    client = context.client.with_contract(replace(contract, operations=operations))
    try:
        return [dict(row) for row in list_messages(client, live, "")]
    except ApiError as error:
        return error.problems[0].message


def _addressings(contract: Contract, operation: Operation, live: LiveSession | Address) -> list[Operation]:
    """The call as it is, and with other fields to name the session, as far as these are known."""
    if names_in_path(operation):
        found = [operation]
    else:
        ways = (operation.named_by, ("session_token",), ("session_id",), SESSION_NAMES)
        found = [_addressed(contract, operation, way) for way in dict.fromkeys(ways)]
    token = live.session_token is not None
    return [one for one in found if names(one, live) and (token or "session_token" not in one.named_by)]


def _addressed(contract: Contract, operation: Operation, way: Sequence[str]) -> Operation:
    """The call with these fields, and no others, to name the session."""
    others = {ours: wire for ours, wire in operation.fields.items() if ours not in SESSION_NAMES}
    own = {name: operation.fields.get(name) or getattr(contract.message, name)[-1] for name in way}
    return replace(operation, fields={**own, **others})


def _paged(operation: Operation, pages: _Pages) -> Operation:
    """The call with the fields for this way to get the next messages."""
    wire = {"before": ("before", "before_message_id"), "page": ("page", "page")}.get(pages)
    fields = {ours: theirs for ours, theirs in operation.fields.items() if ours not in ("before", "page")}
    if wire is not None:
        fields[wire[0]] = operation.fields.get(*wire)
    if pages == "before":
        fields.setdefault("ordering", "ordering")
    # One response can be known to have all messages only where it counts them.
    return replace(operation, pages=pages, fields=fields, counts="all" if pages == "none" else None)


def _first_page(operation: Operation, live: LiveSession | Address) -> dict[str, Any]:
    return {**address(operation, live), "page": 1, "size": 1, "ordering": "-message_id"}


def _nobody() -> Address:
    return Address(_NO_ID, str(uuid.uuid4()))


def _is_ignored(reply: Reply) -> bool:
    """Whether the response about a session that does not exist shows that the service ignores what it was asked."""
    return reply.error is None and rows_of(reply) != []


def _is_of(contract: Contract, row: Any, live: Address) -> bool:
    if type(row) is not dict:
        return False
    number = as_number(value_at(row, contract.message.session_id))
    token = value_at(row, contract.message.session_token)
    return number in (None, live.session_id) and (token is None or token == live.session_token)


def _by(operation: Operation) -> str:
    return " and ".join(operation.named_by)
