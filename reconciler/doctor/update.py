"""Finding the update call, and what it does to the fields that it is given and to those that it is not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from operator import ne
from typing import Literal

from reconciler.contract import Operation
from reconciler.doctor.candidates import candidates, learned
from reconciler.doctor.context import FIRST, SECOND, Bench, answer, call, status_of, verdict
from reconciler.doctor.session import ProbeStopped
from reconciler.domain import LiveSession
from reconciler.values import same


def find_update(bench: Bench) -> None:
    """Try the candidates until the list shows that one did its work; the others are not tried then.

    Each writes a prompt of its own: a list that shows changes late tells by that which one it was, when all were tried.
    """
    calls = candidates(bench.lessons.contract, "update_session")
    subject = bench.subject
    tried: dict[str, tuple[Operation, float]] = {}
    possible: list[Operation] = []
    answers = []

    def shown(live: LiveSession | None) -> bool:
        return live is not None and live.prompt in tried

    for operation in calls:
        bench.tell(f"trying {call(operation)}")
        step = bench.step()
        tried[step] = operation, time.monotonic()
        reply = subject.write(operation, bench.plain(step))
        live = subject.wait(shown) if subject.open else subject.look()
        if subject.open:
            possible.append(operation)
            answers.append(f"{call(operation)} is answered {answer(reply)}")
            subject.check_others()
        if live is None:
            raise ProbeStopped(f"the probe's session went with {call(operation)}")
        if shown(live):
            break
    else:
        if answers:
            bench.tell("waiting for the list to show a change")
            live = subject.there(subject.wait(shown, subject.settle))
    if live is not None and shown(live):
        operation, since = tried[live.prompt]
        late = f"; the list shows it after {time.monotonic() - since:.1f} s" if subject.late else ""
        if late:
            before = list(takewhile(partial(ne, operation), possible))
            operation = _first_that_works(bench, before) or operation
        bench.update = replace(learned(operation), left_out="kept", ignores=frozenset())
        bench.say("update", bench.lessons.call("update_session", bench.update), call(operation) + late)
    elif answers:
        bench.unclear = True
        bench.say(
            "update",
            "unknown",
            f"{len(answers)} of {len(calls)} calls may change a session, and the list shows no change within "
            f"{subject.settle:g} s: {'; '.join(answers)}",
            "run the probe again; where the list is slower than that, with --settle SECONDS",
        )
    else:
        bench.say(
            "update",
            bench.lessons.call("update_session", None),
            f"none of {len(calls)} calls changes a session",
            "a plan that changes a live session is refused; creates and deletes work",
        )


def _first_that_works(bench: Bench, calls: Sequence[Operation]) -> Operation | None:
    """The first of some calls that changes the session, now that it is known how late the list shows that."""
    for operation in calls:
        step = bench.step()
        bench.subject.write(operation, bench.plain(step))
        live = bench.subject.wait(partial(_has, step))
        if bench.subject.there(live).prompt == step:
            return operation
    return None


def _has(prompt: str, live: LiveSession | None) -> bool:
    return live is not None and live.prompt == prompt


def update_takes(bench: Bench) -> None:
    """Which of the optional fields an update changes."""
    if bench.update is None:
        return
    bench.tell("what an update takes")
    wanted = {name: SECOND[name] for name in bench.optional(bench.update)}
    reply, live = bench.put(wanted)
    lost = bench.not_taken(wanted, live)
    if reply.error is not None:  # one of them is refused, and the others with it
        lost = set()
        for name, value in wanted.items():
            lost |= bench.not_taken({name: value}, bench.put({name: value})[1])
    bench.update = replace(bench.update, ignores=frozenset(lost))
    bench.lessons.call("update_session", bench.update)
    stated = bench.lessons.stated.operations.get("update_session")
    holds = verdict(lost == (stated.ignores if stated else frozenset()))
    if lost:
        follows = "plans that change these in a live session are refused"
        bench.say("update takes", holds, f"all but {', '.join(sorted(lost))}", follows)
    else:
        bench.say("update takes", holds, "all fields")


def left_out(bench: Bench) -> None:
    """Whether an update keeps the fields that it leaves out."""
    if bench.update is None:
        return
    bench.tell("what an update leaves alone")
    fields = {name: SECOND[name] for name in bench.optional(bench.update)}
    reply, before = bench.put({**fields, "remark": bench.subject.remark()})
    if reply.error is not None:  # the service may keep no remark of that length
        _, before = bench.put(fields)
    _, after = bench.put({})
    reset = _changed(before, after) or _without(bench, after, "prompt")
    # For a session that its remark marks: it may lose its name.
    if reset == [] and after.remark.probe == bench.subject.probe:
        reset = _without(bench, after, "name", "model")
    if reset is None:
        bench.unclear = True
        bench.say("fields left out of an update", "unknown", "the answers do not tell", "run the probe again")
        return
    what: Literal["kept", "reset"] = "reset" if reset else "kept"
    bench.update = replace(bench.update, left_out=what)
    bench.lessons.call("update_session", bench.update)
    stated = bench.lessons.stated.operations.get("update_session")
    holds = verdict(stated is None or stated.left_out == what)
    if reset:
        seen = f"are reset: {', '.join(sorted(reset))}"
        bench.say("fields left out of an update", holds, seen, "every update carries all fields")
    else:
        bench.say("fields left out of an update", holds, "keep their values")


def _changed(before: LiveSession, after: LiveSession) -> list[str]:
    was = {**before.parameters, "data": dict(before.data), "session_remark": before.raw_remark or ""}
    now = {**after.parameters, "data": dict(after.data), "session_remark": after.raw_remark or ""}
    return [name for name, value in was.items() if not same(value, now.get(name))]


def _without(bench: Bench, before: LiveSession, *names: str) -> list[str] | None:
    """The same for what every other update carries: those of these fields that one without them resets.

    None where that can't be told: the answer is no success, and the list shows no change.
    """
    assert bench.update is not None
    fields = {name: value for name, value in bench.plain(bench.step()).items() if name not in names}
    others = {name: FIRST[name] for name in bench.optional(bench.update)}

    def shown(live: LiveSession | None) -> bool:
        if live is None or ("prompt" in fields and live.prompt != fields["prompt"]):
            return False
        return not bench.not_taken(others, live)

    reply = bench.subject.write(bench.update, {**fields, **others})
    after = bench.subject.there(bench.subject.after(reply, shown))
    reset = [name for name in names if getattr(before, name) != getattr(after, name)]
    if not reset and not shown(after):
        if bench.subject.open:
            return None
        reset = [f"{' or '.join(names)} (the update is refused without)"]
    if reset:
        bench.put({})  # what it was again
    return reset


def bad_request(bench: Bench) -> None:
    """What an update is answered that makes no sense."""
    operation = bench.update
    if operation is None or "temperature" not in operation.fields:
        return
    reply = bench.subject.write(operation, {**bench.plain(), "temperature": "warm"})
    status = status_of(reply)
    if status is None or reply.error is None:
        bench.say("a bad request", "unknown", f"a temperature of 'warm' is answered: {answer(reply)}")
        return
    known = bench.lessons.stated.service.bad_request is not None
    stated = bench.lessons.behaves(bad_request=status)
    plain = status.http in (400, 422) or status.body in (400, 422)
    bench.say(
        "a bad request",
        stated if plain or known else "differs",
        answer(reply),
        ""
        if plain
        else "such an answer may also mean trouble that passes: these calls are sent again before giving up",
    )
