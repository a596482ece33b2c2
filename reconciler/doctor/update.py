"""Finding the update call, and what it does to the fields that it carries and to those that it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from operator import ne
from typing import Literal

from reconciler.api.client import Reply
from reconciler.contract import Operation
from reconciler.doctor.candidates import as_learned, candidates
from reconciler.doctor.context import (
    FIRST_VALUES,
    SECOND_VALUES,
    ProbeContext,
    describe_answer,
    describe_answers,
    describe_call,
    named_fields,
    ok_if,
    status_of,
)
from reconciler.doctor.session import ProbeStopped
from reconciler.domain import LiveSession
from reconciler.values import same

_OMITTED = "fields left out of an update"


def find_update(context: ProbeContext) -> None:
    """Try the candidates until the list shows that one worked. The rest of them are not tried.

    Each call writes a prompt of its own, so that a list that shows changes late still tells which call it was.
    """
    session, limiter = context.session, context.client.limiter
    calls = candidates(context.learned.contract, "update_session")
    calls = [one for one in calls if session.can_address(one)]
    tried: dict[str, tuple[Operation, float]] = {}
    possible: list[Operation] = []
    refused: list[tuple[Operation, Reply]] = []
    possible_answers: list[tuple[Operation, Reply]] = []

    def changed(live: LiveSession | None) -> bool:
        return live is not None and live.prompt in tried

    live = None
    session.note_others(only_created=True)
    for operation in calls:
        context.progress(f"trying {describe_call(operation)}")
        prompt = context.next_prompt()
        tried[prompt] = operation, limiter.now()
        reply = _write_all(context, operation, prompt)
        live = session.wait_until(changed) if session.maybe_applied else session.current()
        if session.maybe_applied:
            possible.append(operation)
            possible_answers.append((operation, reply))
            session.check_other_sessions()
        else:
            refused.append((operation, reply))
        if live is None:
            raise ProbeStopped(f"the probe's session disappeared after {describe_call(operation)}")
        if changed(live):
            break
    else:
        if possible:
            context.progress("waiting for the list to show a change")
            live = session.require(session.wait_until(changed, session.settle))
    if live is None or not changed(live):
        _report_not_found(context, len(calls), possible_answers, refused)
        return
    operation, since = tried[live.prompt]
    late = f"; the list shows it after {limiter.now() - since:.1f} s" if session.was_late else ""
    earlier = list(takewhile(partial(ne, operation), possible))
    if earlier:
        # The list may have shown a later call's change only because it lags, at the most since the first of them.
        first = min(started for one, started in tried.values() if one in earlier)
        session.lag = max(session.lag, limiter.now() - first)
        operation = _first_that_works(context, earlier) or operation
    context.update = replace(as_learned(operation), left_out="kept", ignores=frozenset())
    verdict = context.learned.learn_operation("update_session", context.update)
    context.report("update", verdict, describe_call(operation) + late)


def _write_all(context: ProbeContext, operation: Operation, prompt: str) -> Reply:
    """An update with every field, for services that want them all; with the fewest if that is refused."""
    base = context.base_fields(prompt)
    everything = {**base, **context.all_fields(operation)}
    reply = context.session.write(operation, everything)
    error = reply.error
    if context.session.maybe_applied or everything == base or (error and error.status in (404, 405, 415)):
        return reply
    if "name" in named_fields(operation, reply):
        return reply  # it does not read this encoding
    fewest = context.session.write(operation, base)
    return fewest if context.session.maybe_applied else reply


def _report_not_found(
    context: ProbeContext,
    calls: int,
    possible: Sequence[tuple[Operation, Reply]],
    refused: Sequence[tuple[Operation, Reply]],
) -> None:
    if not possible:
        context.report(
            "update",
            context.learned.learn_operation("update_session", None),
            f"none of {calls} calls changes a session: {describe_answers(refused)}",
            "a plan that changes a live session is refused; creates and deletes work",
        )
        return
    context.unknown.append("update_session")
    context.report(
        "update",
        "unknown",
        f"{len(possible)} of {calls} calls may change a session, but the list shows no change within "
        f"{context.session.settle:g} s: {describe_answers(possible)}",
        "run the probe again; if the list is slower than that, with --settle=SECONDS",
    )


def _first_that_works(context: ProbeContext, calls: Sequence[Operation]) -> Operation | None:
    """The first of some calls that changes the session, now that the delay of the list is known."""
    for operation in calls:
        prompt = context.next_prompt()
        _write_all(context, operation, prompt)
        live = context.session.wait_until(partial(_has_prompt, prompt))
        if context.session.require(live).prompt == prompt:
            return operation
    return None


def _has_prompt(prompt: str, live: LiveSession | None) -> bool:
    return live is not None and live.prompt == prompt


def updated_fields(context: ProbeContext) -> None:
    """Which of the optional fields an update stores."""
    if context.update is None:
        return
    context.progress("which fields an update stores")
    wanted = {name: SECOND_VALUES[name] for name in context.optional_fields(context.update)}
    reply, live = context.apply_update({**wanted, **context.all_fields(context.update)})
    if reply.error is not None:  # the service may keep no remark of that length
        reply, live = context.apply_update(wanted)
    lost = context.not_stored(wanted, live)
    if reply.error is not None:  # one of them is refused, and the others with it
        lost = set()
        for name, value in wanted.items():
            lost |= context.not_stored({name: value}, context.apply_update({name: value})[1])
    context.update = replace(context.update, ignores=frozenset(lost))
    context.learned.learn_operation("update_session", context.update)
    stated = context.learned.in_use.operations.get("update_session")
    verdict = ok_if(lost == (stated.ignores if stated else frozenset()))
    if lost:
        follows = "plans that change these in a live session are refused"
        context.report("update stores", verdict, f"all but {', '.join(sorted(lost))}", follows)
    else:
        context.report("update stores", verdict, "all fields")


def omitted_fields(context: ProbeContext) -> None:
    """Whether an update keeps the fields that it leaves out, resets them, or is refused without them."""
    if context.update is None:
        return
    context.progress("what an update does to the fields that it leaves out")
    everything = context.all_fields(context.update)
    reply, before = context.apply_update(everything)
    if reply.error is not None:  # the service may not keep a remark of that length
        everything.pop("remark", None)
        reply, before = context.apply_update(everything)
    fewer, after = context.apply_update({})
    if reply.error is None and fewer.error is not None and fewer.error.outcome == "not done" and everything:
        seen = f"are missed: {describe_answer(fewer)}"
        _learn_omitted(context, "refused", seen, "every update carries all fields")
        return
    reset = _changed(before, after) or _reset_without(context, after, "prompt")
    # Only for a session that its remark identifies, since it may lose its name.
    if reset == [] and after.remark.probe == context.session.probe:
        reset = _reset_without(context, after, "name", "model")
    if reset is None:
        context.unknown.append("left_out of update_session")
        context.report(_OMITTED, "unknown", "the answers are not conclusive", "run the probe again")
    elif reset:
        seen = f"are reset: {', '.join(sorted(reset))}"
        _learn_omitted(context, "reset", seen, "every update carries all fields")
    else:
        _learn_omitted(context, "kept", "keep their values", "")


def _learn_omitted(
    context: ProbeContext, effect: Literal["kept", "reset", "refused"], seen: str, follows: str
) -> None:
    assert context.update is not None
    context.update = replace(context.update, left_out=effect)
    context.learned.learn_operation("update_session", context.update)
    stated = context.learned.in_use.operations.get("update_session")
    context.report(_OMITTED, ok_if(stated is None or stated.left_out == effect), seen, follows)


def _changed(before: LiveSession, after: LiveSession) -> list[str]:
    was = {**before.parameters, "data": dict(before.data), "session_remark": before.raw_remark or ""}
    now = {**after.parameters, "data": dict(after.data), "session_remark": after.raw_remark or ""}
    return [name for name, value in was.items() if not same(value, now.get(name))]


def _reset_without(context: ProbeContext, before: LiveSession, *names: str) -> list[str] | None:
    """Those of these fields, which every other update carries, that an update without them resets.

    None if that is uncertain: the response is not a success, and the list shows no change.
    """
    assert context.update is not None
    base = context.base_fields(context.next_prompt())
    fields = {name: value for name, value in base.items() if name not in names}
    others = {name: FIRST_VALUES[name] for name in context.optional_fields(context.update)}

    def applied(live: LiveSession | None) -> bool:
        if live is None or ("prompt" in fields and live.prompt != fields["prompt"]):
            return False
        return not context.not_stored(others, live)

    reply = context.session.write(context.update, {**fields, **others})
    after = context.session.require(context.session.after_write(reply, applied))
    reset = [name for name in names if getattr(before, name) != getattr(after, name)]
    if not reset and not applied(after):
        if context.session.maybe_applied:
            return None
        reset = [f"{' or '.join(names)} (an update that leaves it out is refused)"]
    if reset:
        context.apply_update({})  # restore them
    return reset


def bad_request(context: ProbeContext) -> None:
    """What an update with an invalid value is answered."""
    operation = context.update
    if operation is None or "temperature" not in operation.fields:
        return
    others = context.all_fields(operation)
    reply = context.session.write(operation, {**context.base_fields(), **others, "temperature": "warm"})
    status = status_of(reply)
    if status is None or reply.error is None:
        seen = f"a temperature of 'warm' is answered: {describe_answer(reply)}"
        context.report("a bad request", "unknown", seen)
        return
    known = context.learned.in_use.service.bad_request is not None
    verdict = context.learned.learn_service(bad_request=status)
    usual = status.http in (400, 422) or status.body in (400, 422)
    context.report(
        "a bad request",
        verdict if known else ok_if(usual),
        describe_answer(reply),
        ""
        if usual
        else "such a response may also mean a temporary problem: these calls are retried before giving up",
    )
