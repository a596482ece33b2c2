"""Finding the update call, and what it does to the fields that it is given and to those that it is not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from reconciler.doctor.bench import SECOND, Bench, answer, call, status_of, verdict
from reconciler.doctor.candidates import candidates, learned
from reconciler.doctor.subject import ProbeStopped
from reconciler.model import LiveSession
from reconciler.values import same


def find_update(bench: Bench) -> None:
    """Try the candidates until the list shows that one did its work; the others are not tried then."""
    calls = candidates(bench.lessons.contract, "update_session")
    for number, operation in enumerate(calls, start=1):
        bench.tell(f"trying {call(operation)}")
        prompt = bench.subject.prompt(f" Step {number}.")
        refused = bench.subject.write(operation, bench.plain(prompt)).error
        if refused is not None and refused.outcome == "not done":
            live = bench.subject.look()
        else:
            live = bench.subject.wait(partial(_has, prompt))
            bench.subject.check_others()
        if live is None:
            raise ProbeStopped(f"the probe's session went with {call(operation)}")
        if live.prompt == prompt:
            stated = bench.lessons.call("update_session", replace(learned(operation), left_out="kept"))
            bench.say("update", stated, call(operation))
            return
    bench.say(
        "update",
        bench.lessons.call("update_session", None),
        f"none of {len(calls)} calls changes a session",
        "a plan that changes a live session is refused; creates and deletes work",
    )


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
    if lost:
        bench.say(
            "update takes",
            "differs",
            f"all but {', '.join(sorted(lost))}",
            "leave these out of the catalog, or name them under lifecycle.ignore_changes",
        )
    else:
        bench.say("update takes", "ok", "all fields")


def left_out(bench: Bench) -> None:
    """Whether an update keeps the fields that it leaves out."""
    operation = bench.update
    if operation is None:
        return
    bench.tell("what an update leaves alone")
    fields = {name: SECOND[name] for name in bench.optional(operation)}
    reply, before = bench.put({**fields, "remark": bench.subject.remark()})
    if reply.error is not None:  # the service may keep no remark of that length
        _, before = bench.put(fields)
    _, after = bench.put({})
    reset = _changed(before, after) or _without(bench, after, "prompt")
    # For a session that its remark marks: it may lose its name.
    if not reset and after.remark.probe == bench.subject.probe:
        reset = _without(bench, after, "name", "model")
    what: Literal["kept", "reset"] = "reset" if reset else "kept"
    bench.lessons.call("update_session", replace(operation, left_out=what))
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


def _without(bench: Bench, before: LiveSession, *names: str) -> list[str]:
    """The same for what every other update carries: those of these fields that one without them resets."""
    assert bench.update is not None
    fields = {name: value for name, value in bench.plain().items() if name not in names}
    if "prompt" in fields:
        fields["prompt"] = bench.subject.prompt(f" Without {names[0]}.")
    reply = bench.subject.write(bench.update, fields)
    after = bench.subject.see()
    reset = [name for name in names if getattr(before, name) != getattr(after, name)]
    if reply.error is not None and not reset:
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
    stated = bench.lessons.behaves(bad_request=status)
    plain = status.http in (400, 422) or status.body in (400, 422)
    bench.say(
        "a bad request",
        stated if plain or bench.lessons.stated.service.bad_request else "differs",
        answer(reply),
        ""
        if plain
        else "such an answer may also mean trouble that passes: these calls are sent again before giving up",
    )
