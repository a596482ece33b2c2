"""Making the session, with as much in it as the service takes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.contract import Operation
from reconciler.doctor.candidates import candidates, learned
from reconciler.doctor.context import FIRST, PART, Bench, Look, call, verdict
from reconciler.doctor.listing import NO_NAME, fields
from reconciler.doctor.session import ProbeStopped
from reconciler.domain import LiveSession, Snapshot
from reconciler.ownership.remark import remark_size

#: A model that the service's documented example names, for an account with no sessions.
_DOCUMENTED_MODEL = "deepseek-chat"

#: Limits (bytes) of a remark that services are known to have, from the longest that is tried at a create.
_LIMITS = (256, 255, 250, 200, 191, 150, 128, 127, 120, 100, 80, 64, 63, 60, 50, 40)

#: The remarks that are tried at a create which also refuses another field.
_FEW = (256, 128)


def usual_model(snapshot: Snapshot) -> str:
    """The model that most sessions have: one that the service is known to take."""
    models = Counter(live.model for live in snapshot if live.model)
    return models.most_common(1)[0][0] if models else _DOCUMENTED_MODEL


def make(bench: Bench) -> None:
    """Make the session and wait until it is listed.

    Raises:
        ProbeStopped: no session can be made, or it does not show.
    """
    bench.tell("making a session")
    operation, sent = _first_that_works(bench)
    waited = bench.subject.appear()
    if waited is None:
        raise ProbeStopped(
            f"a session was made, and the list does not show it within {bench.subject.settle:g} s",
            "if this service is that slow, give the list longer: --settle SECONDS",
        )
    live = bench.subject.see()
    ignores = bench.not_taken(sent, live) | (bench.optional(operation) - sent.keys())
    if sent["prompt"] not in live.prompt:
        ignores.add("prompt")
    remark = live.raw_remark or ""
    if remark and sent.get("remark", "").startswith(remark):
        bench.create_keeps, bench.create_cut = remark_size(remark), remark != sent["remark"]
    stated = bench.lessons.call("create_session", replace(learned(operation), ignores=frozenset(ignores)))
    bench.say("create", stated, call(operation))
    _say_listed(bench, waited)
    if not bench.subject.before:
        _say_fields(bench, live)
    _say_numbers(bench, sent, live)


def _first_that_works(bench: Bench) -> tuple[Operation, dict[str, Any]]:
    """Make the session by the first call that is not refused, with as much in it as that takes.

    A create that is refused makes nothing. So what is refused is tried again with less, and the first success is
    the last that is tried: there is one session.
    """
    last: ApiError | None = None
    for operation in candidates(bench.client.contract, "create_session"):
        refused: list[dict[str, Any]] = []
        for sent in _ladder(bench, operation):
            last = bench.subject.create(operation, sent).error
            if last is None:
                break
            if last.outcome == "unknown":
                # It may have been done all the same. A second one is not made before that is clear.
                if bench.subject.appear() is None:
                    raise ProbeStopped(last.problems)
                break
            if last.status in (404, 405, 415):
                break  # not this call, whatever it carries
            refused.append(sent)
        if last is None or last.outcome == "unknown":
            bench.create_refused = _refused_remark(refused, sent)
            return operation, sent
    raise ProbeStopped(
        f"no session can be made: {last.problems[0].message if last else 'there is no call for it'}",
        "describe the create call in a contract file, and run the probe with --contract FILE",
    )


def _ladder(bench: Bench, operation: Operation) -> list[dict[str, Any]]:
    """What to send, from all fields down to the least, for services that refuse some.

    A remark goes last: without one, and without an update, nothing can be managed. It gets shorter by the limits that
    services have, each with its neighbour, so that the limit is known by what is refused and what is not.
    """
    plain = bench.plain()
    optional = {name: value for name, value in FIRST.items() if name in bench.optional(operation)}
    fewer = [
        {name: value for name, value in optional.items() if name not in dropped}
        for dropped in (("data",), ("max_tokens",), ("data", "max_tokens"), tuple(optional))
    ]
    tried: list[dict[str, Any]] = []

    def attempt(fields: dict[str, Any], size: int | None = None) -> None:
        sent = {**plain, **fields}
        if size is not None:
            sent["remark"] = bench.subject.remark(size)
        if sent not in tried:
            tried.append(sent)

    if "remark" in operation.fields:
        mark = remark_size(bench.subject.remark())
        longest, *shorter = [*_sizes(mark), mark]
        for fields in (optional, *fewer):
            attempt(fields, longest)
        for size in shorter:
            attempt(optional, size)
        for fields in fewer:
            for size in (*_FEW, mark):
                attempt(fields, size)
    for fields in (optional, *fewer):
        attempt(fields)
    return tried


def _sizes(least: int) -> list[int]:
    """The usual limits and their neighbours, downwards to this one."""
    sizes = {*_LIMITS, *(limit + 1 for limit in _LIMITS)}
    return sorted((size for size in sizes if least < size <= _LIMITS[0]), reverse=True)


def _refused_remark(refused: list[dict[str, Any]], made: dict[str, Any]) -> int | None:
    """The shortest remark that was refused beside the same other fields: so it was refused for its length."""
    sizes = [
        remark_size(sent["remark"])
        for sent in refused
        if sent.keys() == made.keys() and "remark" in sent and sent["remark"] != made["remark"]
    ]
    return min(sizes, default=None)


def _say_listed(bench: Bench, waited: float) -> None:
    if not waited:
        bench.lessons.behaves(late_seconds=0.0)
        bench.say("listed", "ok", "a new session is listed at once")
        return
    bench.lessons.behaves(late_seconds=math.ceil(waited * 10) / 10)
    wait = bench.lessons.contract.settle
    follows = f"an apply with the contract that is learned waits up to {wait:g} s for what it made"
    bench.say("listed", "ok", f"a new session is listed after {waited:.1f} s", follows)


def _say_fields(bench: Bench, live: LiveSession) -> None:
    """The fields of the one row, on an account that had none to look at before."""
    look = Look(bench.client, bench.lessons)
    look.part = PART
    fields(look, [live.row])
    bench.checks += look.checks


def _say_numbers(bench: Bench, sent: dict[str, Any], live: LiveSession) -> None:
    shape = bench.client.contract.session.parameters
    kinds = {
        type(bench.raw(live, *shape[name])) for name in sent if name in shape and name in live.parameters
    }
    if not kinds:
        bench.say("numbers", "unknown", "none came back")
    elif str in kinds:
        bench.say(
            "numbers", bench.lessons.behaves(numbers="text"), "come back as texts", "they are read as numbers"
        )
    else:
        bench.say("numbers", bench.lessons.behaves(numbers="number"), "come back as numbers")


def find_by_name(bench: Bench) -> None:
    """Whether the list can be narrowed to a name, and to a part of one."""
    operation = bench.lessons.operation("list_sessions")
    if "name" not in operation.fields:
        bench.lessons.behaves(name_filter="none")
        bench.say(
            "name filter", "ok", "the contract has none", "look-ups read the whole list, which takes longer"
        )
        return
    if not bench.subject.filtered:
        bench.lessons.behaves(name_filter="none")
        fields = {ours: wire for ours, wire in operation.fields.items() if ours != "name"}
        bench.lessons.call("list_sessions", replace(operation, known="learned", fields=fields))
        bench.say(
            "name filter",
            "differs",
            "the session is not found by its name",
            "look-ups read the whole list, which takes longer",
        )
        return
    if _is_found(bench, NO_NAME):
        stated = bench.lessons.behaves(name_filter="none")
        seen = "does not narrow the list"
        bench.say("name filter", stated, seen, "it is narrowed here, which takes longer")
        return
    part = bench.subject.name[len("reconciler ") : -len(": safe to delete")]
    partial = _is_found(bench, part)
    stated = bench.lessons.behaves(name_filter="partial" if partial else "exact")
    bench.say("name filter", stated, f"finds {'a part of a name, too' if partial else 'whole names alone'}")


def _is_found(bench: Bench, name: str) -> bool:
    return any(live.session_id == bench.subject.id for live in list_sessions(bench.client, name=name))


def say_create_takes(bench: Bench) -> None:
    """What a create takes, once it is known of the remark, too."""
    ignores = bench.lessons.operation("create_session").ignores
    stated = verdict(ignores == bench.lessons.stated.operation("create_session").ignores)
    if not ignores:
        bench.say("create takes", stated, "all fields")
        return
    follows = (
        "what it leaves out is set by an update right after"
        if bench.update
        else "plans that need them are refused"
    )
    bench.say("create takes", stated, f"all but {', '.join(sorted(ignores))}", follows)
