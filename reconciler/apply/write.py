"""Send one action's write, and find out whether it was done.

The service has no idempotency keys. If a response is lost, the write may or may not have been done:

- A create is looked up by its name and tag. It is not sent again in the same run, unless the server said that it did
  nothing.
- An update or a delete is looked up, and sent again if it was not done. Doing it twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from reconciler.api.addressing import Address, Addressable, address, names
from reconciler.api.cancellation import Interrupted
from reconciler.api.client import Client
from reconciler.api.decode import answered
from reconciler.api.errors import ApiError
from reconciler.api.lister import ClientLister, Lister
from reconciler.api.polling import poll
from reconciler.api.send import Found, Sent, send_until_certain
from reconciler.apply.archive import Archive
from reconciler.apply.circuit_breaker import CircuitBreaker
from reconciler.apply.journal import Journal
from reconciler.apply.payload import (
    create_payload,
    first_payload,
    making_payload,
    not_carried,
    release_payload,
    update_payload,
)
from reconciler.apply.preimage import HeldBackError, Preimage
from reconciler.apply.report import Outcome, Result
from reconciler.domain import LiveSession
from reconciler.errors import Problem, ReconcilerError
from reconciler.ownership.reserved import half_made_name, reserved_kind
from reconciler.ownership.tag import Tag
from reconciler.plan.types import Action
from reconciler.values import same

_PLAN_AGAIN = "its outcome is unknown: plan again to see what is live"


@dataclass(frozen=True, slots=True)
class Call:
    """A write that was sent: the operation, its fields by our names, and the outcome."""

    operation: str
    payload: Mapping[str, Any]
    sent: Sent


def _nobody(_: Call) -> None:
    """The default of ``heard``: ignore the call."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Carries out single actions. Safe to use from many threads.

    - ``settle``: how long (seconds) to wait until the list shows a create.
    - ``look_first``: look up each session before creating it.
    - ``seen``: when the sessions were listed, by the limiter's clock.
    - ``calls``: how many calls it takes to look up one session.
    - ``permit``: called before each call that writes; raises Interrupted if the run must end.
    - ``heard``: called with each write that was sent, and its outcome.
    - ``lister``: what the sessions are looked up with.
    - ``tagged``: the sessions that have a tag of their own (:meth:`reconciler.plan.types.Plan.tagged`).
    """

    client: Client
    lister: Lister
    archive: Archive
    journal: Journal
    settle: float
    look_first: bool
    seen: float
    calls: int
    permit: Callable[[], None]
    breaker: CircuitBreaker
    tagged: Callable[[Iterable[LiveSession]], Iterable[tuple[LiveSession, Tag]]]
    heard: Callable[[Call], None] = _nobody

    def carry_out(self, action: Action, live: LiveSession | None) -> Result:
        """Carry out one action. Errors do not raise; they become the result."""
        since = self.breaker.writes
        try:
            self.permit()
            if action.kind == "create":
                result = self._create(action)
            elif live is None:
                result = Result(action, "failed", action.session_id, "it is gone", "the next plan creates it")
            else:
                result = self._change(action, live)
        except Interrupted:
            return Result(action, "not tried", action.session_id, "the run was stopped before")
        except ReconcilerError as error:
            self.breaker.failed(error, since)
            return _failed(action, "failed", error)
        return result

    def _create(self, action: Action) -> Result:
        if self.look_first:
            already = self._by_tag(action)
            if already is not None:
                return Result(
                    action,
                    "failed",
                    already.session_id,
                    f"it is already live as #{already.session_id}: somebody created it after the plan",
                    "plan again",
                )
        create = self.client.contract.operation("create_session")
        payload = create_payload(action, create)
        missing = not_carried(create, payload)
        if missing and "update_session" not in self.client.contract.operations:
            what = f"a create does not carry {', '.join(sorted(missing))}, and the service has no update call"
            return Result(action, "failed", None, what, "shorten it, or leave the session out of the catalog")
        if missing:
            return self._create_and_fill(action, payload, missing)
        return self._write(
            action, "create_session", payload, lambda: self._find(lambda: self._by_tag(action))
        )

    def _create_and_fill(self, action: Action, payload: Mapping[str, Any], missing: frozenset[str]) -> Result:
        """Create a session with two calls, because a create does not carry the ``missing`` fields.

        If a create carries no remark, and so no tag, the session's temporary name holds its identity. If this run is
        killed between the two calls, the next run finds the session by that name and completes it.
        """
        create = self.client.contract.operation("create_session")
        untagged = "remark" in missing
        find = partial(self._half_made if untagged else self._by_tag, action)
        made: Addressable | None = find() if untagged else None
        if made is None:
            first = (
                making_payload(payload, action.identity)
                if untagged
                else first_payload(action, create, missing)
            )
            result = self._write(action, "create_session", first, lambda: self._find(find))
            if result.outcome != "applied":
                return result
            made = self._address(result.session_id, find)
            if made is None:
                what = "it was created, but is not listed"
                return Result(action, "unknown", result.session_id, what, _PLAN_AGAIN)
        session_id = made.session_id
        operation = self.client.contract.operation("update_session")
        payload = create_payload(action, operation, made=session_id)
        # A run that is stopped now still finishes this action.
        client = self.client.uncancellable()
        filled = replace(self, client=client, lister=ClientLister(client), permit=lambda: None)._write(
            replace(action, kind="update", session_id=session_id),
            "update_session",
            {**address(operation, made), **payload},
            lambda: self._filled(session_id, action, payload),
        )
        if filled.outcome == "applied":
            return replace(filled, action=action)
        message = f"it was created as #{session_id}, but not filled in: {filled.message}"
        return Result(action, filled.outcome, session_id, message, "apply again to resume")

    def _address(self, session_id: int | None, find: Callable[[], LiveSession | None]) -> Addressable | None:
        """The address of a new session: its id, if the update call takes that, or else its entry in the list."""
        update = self.client.contract.operation("update_session")
        if session_id is not None and names(update, known := Address(session_id)):
            return known
        try:
            return self._wait_until_listed(find)
        except ReconcilerError:
            return None

    def _half_made(self, action: Action) -> LiveSession | None:
        name = half_made_name(action.identity)
        for live in self.lister.named(name):
            if live.name == name and reserved_kind(live) == "half-made":
                return live
        return None

    def _filled(self, session_id: int, action: Action, payload: Mapping[str, Any]) -> Found:
        try:
            found = self.by_id(session_id, action.name, half_made_name(action.identity))
        except ReconcilerError:
            return Found("unknown")
        done = found is not None and found.raw_remark == payload["remark"] and found.name == action.name
        return Found("done" if done else "not done", session_id)

    def _change(self, action: Action, live: LiveSession) -> Result:
        preimage = Preimage(self.client, self.archive, action, live, _label(action), self.seen, self.calls)
        preimage.check()
        preimage.keep()
        if action.kind == "delete":
            gone = address(self.client.contract.operation("delete_session"), live)
            return self._write(action, "delete_session", gone, lambda: self._deleted(live), preimage)
        operation = self.client.contract.operation("update_session")
        if action.kind == "forget":
            payload = release_payload(live, operation)
        else:
            payload = update_payload(action, live, operation)
        return self._write(
            action, "update_session", payload, lambda: self._updated(action, live, payload), preimage
        )

    def _write(
        self,
        action: Action,
        operation: str,
        payload: Mapping[str, Any],
        look_up: Callable[[], Found],
        preimage: Preimage | None = None,
        archived: str = "",
    ) -> Result:
        """Send a write until it is done, has failed, or stays unknown. The journal gets the intent and the outcome."""
        self._note(action, "intent", archive=preimage.archived if preimage else archived)
        try:
            result = self._send(action, operation, payload, look_up, preimage)
        except Interrupted:
            result = Result(action, "not tried", action.session_id, "the run was stopped before")
        try:
            self._note(action, result.outcome, session_id=result.session_id, message=result.message)
        except ReconcilerError as error:
            # The write is done. The next intent can't be recorded either, so no further write is sent.
            result = replace(result, message=result.message or f"done, but not on record: {error}")
        return result

    def _send(
        self,
        action: Action,
        operation: str,
        payload: Mapping[str, Any],
        look_up: Callable[[], Found],
        preimage: Preimage | None,
    ) -> Result:
        since = self.breaker.writes
        doubtful = False  # whether a response left open what was done

        def check() -> None:
            self.permit()
            if preimage is not None:
                preimage.check()
                self.permit()  # again: to look may take long

        def look(_: ApiError | None = None) -> Found:
            nonlocal doubtful
            doubtful = True
            try:
                return look_up()
            except Interrupted:
                return Found("unknown")

        try:
            sent = send_until_certain(
                self.client,
                lambda: self.client.write(operation, payload, session=_label(action), check=check),
                look,
                repeatable=action.kind != "create",
            )
        except HeldBackError as error:
            if doubtful:
                self.heard(Call(operation, payload, Sent("unknown")))
            # An earlier try of ours may have been done after all, and be the change that was seen.
            found = look() if doubtful else Found("not done")
            if found.state == "done":
                return Result(action, "applied", found.session_id or action.session_id)
            return _failed(action, "failed", error)
        self.heard(Call(operation, payload, sent))
        if sent.error is None:
            self.breaker.wrote()
            session_id, token = answered(
                sent.body, self.client.contract.operation(operation), self.client.contract.session
            )
            session_id = session_id or sent.session_id or action.session_id
            return Result(action, "applied", session_id, session_token=token)
        if sent.error.status == 404 and action.kind != "create":
            result = self._gone(action, sent.error, look())
        else:
            result = _failed(action, "unknown" if sent.state == "unknown" else "failed", sent.error)
        if result.outcome != "applied":
            self.breaker.failed(sent.error, since)
        return result

    def _gone(self, action: Action, error: ApiError, found: Found) -> Result:
        """The result for a 404: the session is gone. If it is still listed, the service lacks the call."""
        if action.kind == "delete" and found.state == "done":
            return Result(action, "applied", action.session_id)
        if action.kind != "delete" and found == Found("not done"):
            return Result(action, "failed", action.session_id, "it is gone", "the next plan creates it")
        return _failed(action, "failed", error)

    def _find(self, find: Callable[[], LiveSession | None]) -> Found:
        """Look for the session of a create whose response was lost, for as long as the list may lag."""
        try:
            found = self._wait_until_listed(find)
        except ReconcilerError:
            return Found("unknown")
        return Found("not done") if found is None else Found("done", found.session_id)

    def _wait_until_listed(self, find: Callable[[], LiveSession | None]) -> LiveSession | None:
        for _ in poll(self.client.limiter, self.settle):
            found = find()
            if found is not None:
                return found
        return None

    def _updated(self, action: Action, live: LiveSession, payload: Mapping[str, Any]) -> Found:
        try:
            found = self.by_id(live.session_id, payload.get("name", live.name), live.name)
        except ReconcilerError:
            return Found("unknown")
        if found is None:
            return Found("not done")  # the next try gets a 404
        if found.raw_remark == payload["remark"] != live.raw_remark:
            return Found("done", found.session_id)
        now = found.fields()
        arrived = all(change.path in now and same(now[change.path], change.after) for change in action.fields)
        ours = found.remark.tag is not None and found.remark.tag.identity == action.identity
        done = arrived and ours and action.kind != "forget"
        return Found("done" if done else "not done", found.session_id)

    def _deleted(self, live: LiveSession) -> Found:
        try:
            found = self.by_id(live.session_id, live.name)
        except ReconcilerError:
            return Found("unknown")
        return Found("not done" if found else "done", live.session_id)

    def confirm(self, before: Result, after: Result) -> Result:
        """Record the outcome of a write that was unknown before."""
        if after is not before:
            with suppress(ReconcilerError):
                self._note(after.action, after.outcome, session_id=after.session_id)
        return after

    def remember(self, action: Action, live: LiveSession, payload: Mapping[str, Any]) -> Result:
        """Update a session that was just written, so that its tag records the form that the server stored."""
        action = replace(action, kind="update", session_id=live.session_id)
        try:
            archived = self.archive.put("retag", action.identity, live, None)
            done = partial(self._updated, action, live, payload)
            return self._write(action, "update_session", payload, done, archived=archived)
        except ReconcilerError as error:
            return _failed(action, "failed", error)

    def _by_tag(self, action: Action) -> LiveSession | None:
        for live, tag in self.tagged(self.lister.named(action.name)):
            if tag.identity == action.identity and tag.catalog_id == action.catalog_id:
                return live
        return None

    def by_id(self, session_id: int, *names: str) -> LiveSession | None:
        """The session with this id, listed under one of these names; None if it is not listed."""
        for name in dict.fromkeys(names):
            for live in self.lister.named(name):
                if live.session_id == session_id:
                    return live
        return None

    def _note(self, action: Action, event: str, **facts: Any) -> None:
        self.journal.record(
            self.archive.run,
            event,
            {
                "action": action.kind,
                "key": action.key,
                "session_id": action.session_id,
                **({"identity": str(action.identity)} if action.moved_from is not None else {}),
                **{name: fact for name, fact in facts.items() if fact},
            },
        )


def _label(action: Action) -> str:
    return action.key if action.session_id is None else f"{action.key} (#{action.session_id})"


def _failed(action: Action, outcome: Outcome, error: ReconcilerError) -> Result:
    problem = error.problems[0] if error.problems else Problem(str(error))
    hint = problem.hint
    if outcome == "unknown":
        hint = _PLAN_AGAIN
    return Result(action, outcome, action.session_id, problem.message, hint)
