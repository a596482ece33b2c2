"""Canaries: the first writes of a kind are sent alone, and the run continues only if they did what they should.

A write is a canary if the contract does not prove its call, or if the policy asks for it. It is sent while no other
write is in flight, and the list is read before and after it. :mod:`reconciler.apply.judge` compares the two. Because
a list may lag, the second look is repeated for that long. If it still does not show exactly what was requested, no
further write of any kind is sent.

- A create is looked up by its name, which takes one call.
- An update or a delete may hit any session, so it takes two whole lists: the one that the apply reads anyway, and one
  more afterwards.

Other sessions that the write may have changed or deleted are archived as they were before it. The messages of a
deleted one are lost, because they would have had to be read before the write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.client import Client
from reconciler.api.decode import answered
from reconciler.api.listing import list_sessions
from reconciler.api.polling import poll
from reconciler.apply.judge import (
    Lives,
    Verdict,
    judge_created,
    judge_deleted,
    judge_updated,
    target_problems,
)
from reconciler.apply.payload import create_payload, not_carried
from reconciler.apply.report import Canary, Result
from reconciler.apply.verify import arrived
from reconciler.apply.write import Call, Writer
from reconciler.contract import Operation
from reconciler.domain import LiveSession
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import reserved_kind
from reconciler.ownership.tag import Identity
from reconciler.plan.canaries import CALLS, canaries_due
from reconciler.plan.types import Action, Plan

#: Statuses that mean that the service lacks the call, or expects another form of it. Other sessions would fail, too.
_NO_SUCH_CALL: Final = (404, 405, 415, 501)

#: How many refusals in a row end the run. Fewer may be due to the sessions.
_REFUSALS: Final = 3

_PROBE: Final = "`reconciler doctor --probe --write=contract.yaml`"
ASSUMED_HINT: Final = (
    f"the contract only assumes this call: {_PROBE} finds out which one the service has; "
    "then plan again and apply with --contract=contract.yaml"
)
_PROVEN_HINT: Final = (
    f"the service no longer does what the contract says: {_PROBE} learns it again; "
    "then plan again and apply with --contract=contract.yaml"
)


def tries_changes(plan: Plan, client: Client) -> bool:
    """Whether an apply has an update or a delete as a canary, and so needs the whole list beforehand."""
    due = canaries_due(client.contract, plan.canary, client.endpoint.name)
    return any(CALLS[action.kind] in due for action in plan.actions if action.kind != "create")


@dataclass(slots=True)
class Canaries:
    """The canaries of a run, and their outcomes. Not safe to use from several threads.

    ``known`` are the sessions that the plan was checked against. ``before`` are all sessions, with all fields, before
    the next write; None if the list must be read for that. ``left`` is the number of canaries that each call still
    needs. ``done`` are the canaries so far.
    """

    plan: Plan
    writer: Writer
    stop: Cancellation
    known: Lives
    before: Lives | None
    left: dict[str, int] = field(init=False)
    done: list[Canary] = field(default_factory=list)
    _written: dict[int, Action] = field(default_factory=dict)
    _refused: int = 0

    def __post_init__(self) -> None:
        client = self.writer.client
        self.left = canaries_due(client.contract, self.plan.canary, client.endpoint.name)

    def due(self, action: Action) -> bool:
        """Whether an action is a canary."""
        return any(self.left.get(name) for name in self._calls_of(action))

    def carry_out(self, action: Action, live: LiveSession | None) -> Result:
        """Carry out one action alone, and judge its effect. Errors do not raise; they become the result."""
        return self._try(action, self._calls_of(action), lambda writer: writer.carry_out(action, live))

    def remember(self, action: Action, live: LiveSession, payload: Mapping[str, Any]) -> Result:
        """As :meth:`Writer.remember`. A canary if no update has passed yet."""
        if not self.left.get("update_session"):
            return self.writer.remember(action, live, payload)
        # The form of its fields is known. Only the tag is judged.
        retag = replace(action, kind="update", session_id=live.session_id, fields=())
        return self._try(
            retag, ["update_session"], lambda writer: writer.remember(action, live, payload), anew=True
        )

    def wrote(self, results: Sequence[Result]) -> None:
        """Take note of the writes that were no canaries."""
        for result in results:
            if result.outcome in ("applied", "unknown") and result.session_id is not None:
                self._written[result.session_id] = result.action
        if results:
            self.before = None

    def _calls_of(self, action: Action) -> list[str]:
        """The calls that an action takes. A create that does not carry all fields needs an update, too."""
        calls = [CALLS[action.kind]]
        operations = self.writer.client.contract.operations
        create = operations.get("create_session")
        if action.kind == "create" and create and (create.ignores or create.encoding == "query"):
            with suppress(ReconcilerError):
                if not_carried(create, create_payload(action, create)):
                    calls.append("update_session")
        return [name for name in calls if name in operations]

    def _try(
        self, action: Action, names: Sequence[str], send: Callable[[Writer], Result], *, anew: bool = False
    ) -> Result:
        calls: list[Call] = []
        whole = names != ["create_session"]
        try:
            if whole and (self.before is None or anew):
                self.before = self._list()
        except Interrupted:
            return Result(action, "not tried", action.session_id, "the run was stopped before")
        except ReconcilerError as failure:
            self.stop.set("the list could not be read before the first write of a kind")
            return Result(action, "failed", action.session_id, failure.problems[0].message)
        result = send(replace(self.writer, heard=calls.append))
        if not calls or result.outcome == "not tried":
            return result  # nothing was sent, or the run is being stopped
        error = calls[-1].sent.error
        if result.outcome == "failed" and error is not None:
            if error.problems[0].message in result.message and not (error.passing or error.out_of_points):
                return self._refusal(action, calls[-1], result)
            return result
        try:
            verdict = self._look(action, result, calls, whole=whole)
        except Interrupted:
            return result
        except ReconcilerError as failure:
            verdict = Verdict((f"the list could not be read afterwards: {failure.problems[0].message}",))
        if result.outcome == "unknown" and verdict.nothing:
            return result  # the request may have been lost on the way: that proves nothing
        return self._judged(action, result, calls, verdict)

    # Looking

    def _others(self, lives: Mapping[int, LiveSession]) -> list[LiveSession]:
        """The sessions that are no copies: those have the tag of another one."""
        copies = self.plan.copies
        return [live for number, live in lives.items() if number not in copies]

    def _list(self, **narrowed: Any) -> dict[int, LiveSession]:
        return {live.session_id: live for live in list_sessions(self.writer.client, **narrowed)}

    def _look(self, action: Action, result: Result, calls: Sequence[Call], *, whole: bool) -> Verdict:
        if action.kind == "create":
            return self._look_created(action, result, calls[-1], whole=whole)
        return self._look_changed(action, calls[-1])

    def _look_created(self, action: Action, result: Result, call: Call, *, whole: bool) -> Verdict:
        there = self.known if self.before is None else {**self.known, **self.before}
        # A killed run may have left the session half-made, and this run may just have completed it.
        known = {number: live for number, live in there.items() if reserved_kind(live) != "half-made"}
        for _ in poll(self.writer.client.limiter, self.writer.settle):
            lives = self._list(name=action.name)
            verdict = judge_created(action, call.payload, self._others(lives), known, result.session_id)
            if verdict.proof or not verdict.problems:
                break
        else:  # the service may have given it another name
            lives = self._list()
            verdict = judge_created(action, call.payload, self._others(lives), known, result.session_id)
        if whole and not verdict.problems and verdict.found is not None and self.before is not None:
            # An update filled it in, which may have hit other sessions.
            after = self._list()
            filled = replace(action, session_id=verdict.found.session_id, fields=())
            verdict = judge_updated(filled, call.payload, self.before, after, self._explained)
            self.before = after
        elif self.before is not None and verdict.found is not None:
            self.before = {**self.before, verdict.found.session_id: verdict.found}
        return verdict

    def _look_changed(self, action: Action, call: Call) -> Verdict:
        client, settle = self.writer.client, self.writer.settle
        before = self.before or {}
        if len(before) > client.contract.operation("list_sessions").page_size:
            settle = settle if self._shows_by_name(action, call, before) else 0.0
        strangers: frozenset[int] | None = None
        restless = False
        for _ in poll(client.limiter, settle):
            after = self._list()
            if action.kind == "delete":
                verdict = judge_deleted(action, before, after, self._explained, restless=restless)
                if strangers is not None and verdict.found is None and verdict.strangers - strangers:
                    restless = True
                    verdict = judge_deleted(action, before, after, self._explained, restless=True)
                elif verdict.found is None:
                    strangers = verdict.strangers
            else:
                verdict = judge_updated(action, call.payload, before, after, self._explained)
            if verdict.proof or not verdict.problems:
                break
        if strangers and verdict.problems and not restless:
            # Reading the list may have taken longer than a list may lag. One more look shows whether sessions of
            # others vanish while nothing is sent: on an account in use they do.
            after = self._list()
            verdict = judge_deleted(action, before, after, self._explained, restless=False)
            if verdict.found is None and verdict.strangers - strangers:
                verdict = judge_deleted(action, before, after, self._explained, restless=True)
        self.before = after
        return verdict

    def _shows_by_name(self, action: Action, call: Call, before: Lives) -> bool:
        """Wait until the list shows a write, with one call a look. Returns whether it does."""
        number = action.session_id or 0
        names = [name for name in (action.name, before[number].name) if name] if number in before else []
        for _ in poll(self.writer.client.limiter, self.writer.settle):
            live = self.writer.by_id(number, *names)
            if action.kind == "delete":
                if live is None:
                    return True
            elif live is not None and not target_problems(action, call.payload, before, {number: live}):
                return True
        return False

    def _explained(self, was: LiveSession, now: LiveSession | None) -> bool:
        """Whether an earlier write of this run explains a change that the list showed late."""
        action = self._written.get(was.session_id)
        if action is None:
            return False
        return action.kind == "delete" if now is None else arrived(action, now)

    # What follows

    def _judged(self, action: Action, result: Result, calls: Sequence[Call], verdict: Verdict) -> Result:
        found = verdict.found
        if result.session_id is None and found is not None:
            result = replace(result, session_id=found.session_id)
        if verdict.problems:
            return self._fail(action, result, calls[-1], verdict)
        self._refused = 0
        for name in {call.operation for call in calls}:
            if name in self.left:
                self.left[name] = max(0, self.left[name] - 1)
        if result.session_id is not None:
            self._written[result.session_id] = action
        self._record(action, result, calls[-1], "passed")
        if result.outcome == "unknown":
            done = replace(result, outcome="applied", message="", hint="")
            return self.writer.confirm(result, done)
        return result

    def _fail(self, action: Action, result: Result, call: Call, verdict: Verdict) -> Result:
        seen = "; ".join(verdict.problems)
        archived = []
        touched = [live.session_id for live in verdict.touched]
        for live in verdict.touched:
            try:
                archived.append(self._archive(action, live, gone=self._gone(live)))
            except ReconcilerError as error:
                seen += f"; #{live.session_id} could not be archived as it was: {error.problems[0].message}"
        self._record(action, result, call, "failed", seen, archived, touched)
        self.stop.set(f"the first {_word(call)} did not do what it should")
        return replace(result, outcome="failed", message=seen, hint=self._hint(call))

    def _gone(self, live: LiveSession) -> bool:
        return self.before is not None and live.session_id not in self.before

    def _archive(self, action: Action, live: LiveSession, *, gone: bool) -> str:
        """Archive a session as it was. A deleted one can be created again, without its messages."""
        tag = live.remark.tag
        mine = action.identity
        identity = (
            tag.identity if tag else Identity(mine.catalog, mine.environment, f"session-{live.session_id}")
        )
        return self.writer.archive.put("canary", identity, live, [] if gone else None)

    def _refusal(self, action: Action, call: Call, result: Result) -> Result:
        """Record a write that the service refused. The run ends if the cause is not the one session."""
        error = call.sent.error
        assert error is not None
        self._refused += 1
        self._record(action, result, call, "refused", result.message)
        if error.status in _NO_SUCH_CALL or self._refused >= _REFUSALS:
            self.stop.set(f"the first {_word(call)} was refused")
            return replace(result, hint=self._hint(call))
        proven = self.writer.client.contract.operation(call.operation).proven
        return result if proven or result.hint else replace(result, hint=self._hint(call))

    def _hint(self, call: Call) -> str:
        return _PROVEN_HINT if self.writer.client.contract.operation(call.operation).proven else ASSUMED_HINT

    def _record(
        self,
        action: Action,
        result: Result,
        call: Call,
        outcome: Literal["passed", "refused", "failed"],
        message: str = "",
        archived: Sequence[str] = (),
        touched: Sequence[int] = (),
    ) -> None:
        operation = self.writer.client.contract.operation(call.operation)
        canary = Canary(
            action.kind,
            action.key,
            result.session_id,
            call.operation,
            outcome,
            _sent(operation, call),
            self._answered(operation, call),
            message,
            tuple(archived),
        )
        self.done.append(canary)
        facts = {
            "tried": canary.kind,
            "key": canary.key,
            "session_id": canary.session_id,
            "operation": canary.operation,
            "outcome": canary.outcome,
        }
        more = (
            {"message": message, "archive": list(archived), "touched": list(touched)}
            if outcome != "passed"
            else {}
        )
        with suppress(ReconcilerError):  # the next intent finds the journal broken, and is not carried out
            self.writer.journal.record(self.writer.archive.run, "canary", {**facts, **more})

    def _answered(self, operation: Operation, call: Call) -> str:
        """The response to a call, described. Fields of sessions are left out: they may be long, or secret."""
        if call.sent.error is not None:
            return call.sent.error.what
        body = call.sent.body
        if not isinstance(body, dict):
            return "no body" if call.sent.state == "done" else "nothing certain"
        said = [f"status {body['status']}"] if body.get("status") is not None else []
        if body.get("message"):
            said.append(f"message {json.dumps(body['message'], ensure_ascii=False)[:100]}")
        number, _ = answered(body, operation, self.writer.client.contract.session)
        said += [f"session {number}"] if number is not None else []
        return ", ".join(said) or "an object without a status"


def _word(call: Call) -> str:
    return call.operation.partition("_")[0]


def _sent(operation: Operation, call: Call) -> str:
    """A call, described: the method, the path with the session id, and the names of the fields."""
    path = operation.path.replace("{session_id}", str(call.payload.get("session_id", "{session_id}")))
    fields = [operation.fields[name] for name in call.payload if name in operation.fields]
    return f"{operation.method} {path}" + (f" with {', '.join(fields)}" if fields else "")
