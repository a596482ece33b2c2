"""Creating the probe's session, with as many fields as the service accepts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any, Final

from reconciler.api.client import Reply
from reconciler.api.decode import answered
from reconciler.api.listing import list_sessions
from reconciler.api.transport import query_of
from reconciler.contract import SAFE_QUERY, Operation
from reconciler.doctor.candidates import as_learned, candidates
from reconciler.doctor.context import (
    FIRST_VALUES,
    PROBE_PART,
    ProbeContext,
    SurveyContext,
    describe_answers,
    describe_call,
    named_fields,
    ok_if,
)
from reconciler.doctor.listing import UNUSED_NAME, fields
from reconciler.doctor.session import ProbeStopped
from reconciler.doctor.times import zone
from reconciler.domain import LiveSession, Snapshot
from reconciler.ownership.remark import remark_size
from reconciler.values import same

#: A model that the service's documented example names, for an account without sessions.
_DOCUMENTED_MODEL: Final = "deepseek-chat"

#: Limits (bytes) of a remark that services are known to have; the first is the longest remark tried at a create.
_LIMITS: Final = (256, 255, 250, 200, 191, 150, 128, 127, 120, 100, 80, 64, 63, 60, 50, 40)

#: The known names of data in a request, each with the other one and our name for that.
_DATA_NAMES: Final = {"config_data": "data", "data": "config_data"}
_OTHER_DATA: Final = "data under its other name"
_OTHER_VALUE: Final = {"probe": ["third", False]}

#: The longest query (bytes) that is tried.
LONGEST_QUERY: Final = 16_384

#: The remarks that are tried at a create that refuses another field, too.
_FEW_LIMITS: Final = (256, 128)


def most_used_model(snapshot: Snapshot) -> str:
    """The model that most sessions have, since the service is known to accept it."""
    models = Counter(live.model for live in snapshot if live.model)
    return models.most_common(1)[0][0] if models else _DOCUMENTED_MODEL


def create_session(context: ProbeContext) -> None:
    """Create the session and wait until it is listed.

    Raises:
        ProbeStopped: no session can be created, or it does not appear in the list.
    """
    context.progress("creating a session")
    operation, sent, reply = _create(context)
    waited = context.session.wait_until_listed()
    if waited is None:
        raise ProbeStopped(
            f"a session was created, but the list did not show it within {context.session.settle:g} s",
            "if the service is that slow, wait longer: --settle=SECONDS",
        )
    live = context.session.require_listed()
    operation, renamed = _data_field(operation, sent, live)
    ignores = context.not_stored(sent, live) | (context.optional_fields(operation) - sent.keys())
    if renamed:
        ignores.discard("data")
    if sent["prompt"] not in live.prompt:
        ignores.add("prompt")
    remark = live.raw_remark or ""
    if remark and sent.get("remark", "").startswith(remark):
        context.create_remark_kept, context.create_remark_cut = remark_size(remark), remark != sent["remark"]
    if renamed:
        _rename_in_update(context, operation.fields["data"])
    answer_in, told = _answered(context, operation, reply)
    learned = replace(as_learned(operation), ignores=frozenset(ignores), answer_in=answer_in)
    if learned.encoding == "query":
        learned = replace(learned, longest_query=_longest_query(context))
    context.report(
        "create",
        context.learned.learn_operation("create_session", learned),
        describe_call(operation) + (f"; data is sent as {operation.fields['data']}" if renamed else ""),
    )
    context.report("the answer to a create", "ok", *told)
    if learned.longest_query is not None:
        seen = f"{learned.longest_query:,} bytes are accepted"
        context.report("longest query", "ok", seen, "an update adds what does not fit into a create")
    _report_delay(context, waited)
    if not context.session.others:
        _report_fields(context, live)
    _report_numbers(context, sent, live)
    context.times.append(str(live.row.get("updated_at") or ""))
    context.note_stamp(live)
    zone(context, live)


def _create(context: ProbeContext) -> tuple[Operation, dict[str, Any], Reply]:
    """Create the session with the first call that is not refused. Returns the call, its fields, and its response.

    A refused create has no effect, so it is tried again with fewer fields. The first success is the last create that
    is sent, so there is one session.
    """
    refusals: list[tuple[Operation, Reply]] = []
    for stated in candidates(context.client.contract, "create_session"):
        operation = _with_other_name(stated)
        refused: list[dict[str, Any]] = []
        for sent in _payloads(context, operation):
            reply = context.session.create(operation, sent)
            error = reply.error
            if error is not None and error.outcome == "unknown":
                # It may have worked nevertheless. No second create is sent before that is certain.
                if context.session.wait_until_listed() is None:
                    raise ProbeStopped(error.problems)
                error = None
            if error is None:
                context.create_remark_refused = _refused_remark(refused, sent)
                return operation, sent, reply
            if not refused:
                refusals.append((operation, reply))
            # The call does not exist, or it does not read this encoding. Other fields would not help.
            if error.status in (404, 405, 415) or "name" in named_fields(operation, reply):
                break
            refused.append(sent)
    raise ProbeStopped(
        f"no session can be created: {describe_answers(refusals)}",
        "describe the create call in a contract file, and run the probe with --contract=FILE",
    )


def _with_other_name(operation: Operation) -> Operation:
    """The call with one more field: data under the other name that it is known to have."""
    other = _DATA_NAMES.get(operation.fields.get("data", ""))
    if other is None or other in operation.fields.values():
        return operation
    return replace(operation, fields={**operation.fields, _OTHER_DATA: other})


def _data_field(operation: Operation, sent: dict[str, Any], live: LiveSession) -> tuple[Operation, bool]:
    """The call with the name of data that the service stored, and whether that is the other one."""
    other = operation.fields.get(_OTHER_DATA)
    fields = {ours: wire for ours, wire in operation.fields.items() if ours != _OTHER_DATA}
    renamed = other is not None and _OTHER_DATA in sent and same(dict(live.data), sent[_OTHER_DATA])
    if renamed and other is not None:
        fields["data"] = other
    return replace(operation, fields=fields), renamed


def _rename_in_update(context: ProbeContext, name: str) -> None:
    """Let the update try the name of data that the create was found to store, if it had the same as the create."""
    update = context.learned.contract.operations.get("update_session")
    stated = context.learned.in_use.operation("create_session").fields["data"]
    if update is not None and update.fields.get("data") == stated:
        context.learned.learn_operation(
            "update_session", replace(update, fields={**update.fields, "data": name})
        )


def _answered(context: ProbeContext, operation: Operation, reply: Reply) -> tuple[tuple[str, ...], list[str]]:
    """Where a create's response has the session, and what that means for the user."""
    session, shape = context.session, context.client.contract.session
    for path in dict.fromkeys((operation.answer_in, ("data",), ())):
        number, token = answered(reply.body, replace(operation, answer_in=path), shape)
        if number is not None and number == session.id:
            return path, ["has the session's id"]
        if token is not None and token == session.token:
            return path, ["has the session's token and no id", "the list shows the id"]
    return operation.answer_in, ["has neither id nor token of the session", "the list is searched for it"]


def _longest_query(context: ProbeContext) -> int | None:
    """How many bytes a query may have, measured with a GET of the list; None if not even a short one works."""
    survey = SurveyContext(context.client, context.learned)
    name = survey.listing.fields.get("name")
    if name is None:
        return None

    def accepted(size: int) -> bool:
        fields = {"ordering": "-session_id", "page": 1, "size": 1, "name": ""}
        room = size - len(query_of(survey.listing, fields))
        reply = survey.get(survey.listing, {**fields, "name": "x" * room})
        return reply.error is None

    if not accepted(SAFE_QUERY):
        return None
    good, bad = SAFE_QUERY, LONGEST_QUERY + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        context.progress(f"a query of {middle} bytes")
        good, bad = (middle, bad) if accepted(middle) else (good, middle)
    return good


def _payloads(context: ProbeContext, operation: Operation) -> list[dict[str, Any]]:
    """What to send, from all fields down to the fewest, for services that refuse some.

    The remark is dropped last: without it, and without an update, nothing can be managed. It gets shorter along the
    limits that services are known to have, each with its neighbour, so that the responses show the exact limit.
    """
    base = context.base_fields()
    optional = {
        name: value for name, value in FIRST_VALUES.items() if name in context.optional_fields(operation)
    }
    both = {_OTHER_DATA: _OTHER_VALUE} if _OTHER_DATA in operation.fields else {}
    fewer = [
        {name: value for name, value in optional.items() if name not in dropped}
        for dropped in (("data",), ("max_tokens",), ("data", "max_tokens"), tuple(optional))
    ]
    payloads: list[dict[str, Any]] = []

    def add(fields: dict[str, Any], size: int | None = None) -> None:
        sent = {**base, **fields}
        if size is not None:
            sent["remark"] = context.session.remark(size)
        if sent not in payloads:
            payloads.append(sent)

    if "remark" in operation.fields:
        mark = remark_size(context.session.remark())
        longest, *shorter = [*_sizes(mark), mark]
        if both:
            add({**optional, **both}, longest)
        for fields in (optional, *fewer):
            add(fields, longest)
        for size in shorter:
            add(optional, size)
        for fields in fewer:
            for size in (*_FEW_LIMITS, mark):
                add(fields, size)
    for fields in (optional, *fewer):
        add(fields)
    return payloads


def _sizes(least: int) -> list[int]:
    """The known limits and their neighbours, in descending order, down to this one."""
    sizes = {*_LIMITS, *(limit + 1 for limit in _LIMITS)}
    return sorted((size for size in sizes if least < size <= _LIMITS[0]), reverse=True)


def _refused_remark(refused: list[dict[str, Any]], accepted: dict[str, Any]) -> int | None:
    """The shortest remark that was refused although the other fields were accepted: only its length was the reason."""
    sizes = [
        remark_size(sent["remark"])
        for sent in refused
        if sent.keys() == accepted.keys() and "remark" in sent and sent["remark"] != accepted["remark"]
    ]
    return min(sizes, default=None)


def _report_delay(context: ProbeContext, waited: float) -> None:
    if not waited:
        context.learned.learn_service(late_seconds=0.0)
        context.report("listed", "ok", "a new session is listed at once")
        return
    context.learned.learn_service(late_seconds=math.ceil(waited * 10) / 10)
    settle = context.learned.contract.settle
    follows = f"an apply with the learned contract waits up to {settle:g} s for a new session"
    context.report("listed", "ok", f"a new session is listed after {waited:.1f} s", follows)


def _report_fields(context: ProbeContext, live: LiveSession) -> None:
    """The fields of the only row, on an account that had none to survey."""
    survey = SurveyContext(context.client, context.learned)
    survey.part = PROBE_PART
    fields(survey, [live.row])
    context.checks += survey.checks


def _report_numbers(context: ProbeContext, sent: dict[str, Any], live: LiveSession) -> None:
    paths = context.client.contract.session.parameters
    kinds = {
        type(context.raw_value(live, *paths[name]))
        for name in sent
        if name in paths and name in live.parameters
    }
    if not kinds:
        context.report("numbers", "unknown", "none were returned")
    elif str in kinds:
        verdict = context.learned.learn_service(numbers="text")
        context.report("numbers", verdict, "are returned as strings", "they are read as numbers")
    else:
        context.report("numbers", context.learned.learn_service(numbers="number"), "are returned as numbers")


def find_by_name(context: ProbeContext) -> None:
    """Whether the list can be filtered by a name, and by part of one."""
    operation = context.learned.operation("list_sessions")
    slower = "lookups read the whole list, which takes longer"
    if "name" not in operation.fields:
        context.learned.learn_service(name_filter="none")
        context.report("name filter", "ok", "the contract has none", slower)
        return
    if not context.session.filter_works:
        context.learned.learn_service(name_filter="none")
        fields = {ours: wire for ours, wire in operation.fields.items() if ours != "name"}
        context.learned.learn_operation("list_sessions", replace(operation, known="learned", fields=fields))
        context.report("name filter", "differs", "the session is not found by its name", slower)
        return
    if _is_found(context, UNUSED_NAME):
        verdict = context.learned.learn_service(name_filter="none")
        follows = "names are filtered here, which takes longer"
        context.report("name filter", verdict, "has no effect", follows)
        return
    part = context.session.name[len("reconciler ") : -len(": safe to delete")]
    partial = _is_found(context, part)
    verdict = context.learned.learn_service(name_filter="partial" if partial else "exact")
    seen = "also matches part of a name" if partial else "matches only whole names"
    context.report("name filter", verdict, seen)


def _is_found(context: ProbeContext, name: str) -> bool:
    return any(live.session_id == context.session.id for live in list_sessions(context.client, name=name))


def report_created_fields(context: ProbeContext) -> None:
    """Which fields a create stores, once that is known of the remark, too."""
    ignores = context.learned.operation("create_session").ignores
    verdict = ok_if(ignores == context.learned.in_use.operation("create_session").ignores)
    if not ignores:
        context.report("create stores", verdict, "all fields")
        return
    follows = (
        "an update right after the create sets the others"
        if context.update
        else "plans that need the others are refused"
    )
    context.report("create stores", verdict, f"all but {', '.join(sorted(ignores))}", follows)
