"""Applying a plan: check that it is still true, write over a pool of workers, read the list again.

Every write is on record before it goes out (journal), what it destroys is on disk before it is destroyed
(archive), and what became of it is said (report). One action that fails does not keep the others from being tried.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.api.rate_limit import backoff
from reconciler.apply import archive as archives
from reconciler.apply import journal as journals
from reconciler.apply.archive import Archive
from reconciler.apply.circuit_breaker import CircuitBreaker
from reconciler.apply.journal import Journal
from reconciler.apply.payload import rewritten_payload
from reconciler.apply.report import Report, Result, Rewrite, Verification
from reconciler.apply.stale import refuse_if_stale
from reconciler.apply.verify import Findings, doubles, look_again, verify
from reconciler.apply.write import Writer
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import Problem, ReconcilerError, Refused
from reconciler.plan.capabilities import refuse_if_unable
from reconciler.plan.keep import keep_for_plan
from reconciler.plan.types import Action, ActionKind, Plan

#: What is done first: what keeps a session or makes one comes before what ends one.
ORDER: tuple[ActionKind, ...] = ("move", "adopt", "forget", "create", "update", "delete")

#: What one action takes in the journal, and around the session in the archive, in bytes.
_NOTED = 1000


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How to apply.

    ``state`` is the folder for journal and archive; ``archive`` another one for the archive. ``settle`` is how
    long (seconds) a list may lag behind a write. ``recheck`` reads the list again before the first write and
    refuses a plan that is not true any more. ``who`` goes into the journal as it is, and ``run``
    names the run in it. ``holding`` says before each
    write whether the run still holds its lock.
    """

    state: Path
    archive: Path | None = None
    parallelism: int = 8
    settle: float = 10.0
    recheck: bool = True
    who: Mapping[str, str] = field(default_factory=dict)
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    holding: Callable[[], bool] = lambda: True


def apply_plan(
    plan: Plan,
    client: Client,
    options: ApplyOptions,
    *,
    snapshot: Snapshot | None = None,
    stop: Cancellation | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Make the live list what the plan says.

    ``snapshot`` is the one that the plan was made from; without it, or with ``recheck``, the list is read again.
    ``stop`` ends the run early: no new write starts, those under way finish. ``on_result`` is called for each action
    that ended, from any thread, one at a time.

    Raises:
        Refused: a guard says no to the plan, or it is not true any more. Nothing was written.
        ReconcilerError: journal or archive can't be written, or the list can't be read. Nothing was written.
    """
    if plan.refusals:
        raise Refused([Problem(one.message, f"{one.allow} would allow it") for one in plan.refusals])
    run = options.run
    stop = stop or client.limiter.stop
    archive = Archive(options.archive or options.state / archives.FOLDER, run, _now(), client.endpoint.name)
    if not plan.actions:
        return _report(run, plan, [], "verified")
    archive.prepare()
    seen = time.monotonic()
    with Journal(options.state / journals.FILE) as journal:
        creates = plan.count("create")
        pages = (
            0 if snapshot is None else snapshot.total // client.contract.operation("list_sessions").page_size
        )
        full = options.recheck or snapshot is None or creates > pages + 1
        if full:
            snapshot, seen = list_sessions(client, keep=keep_for_plan(plan)), time.monotonic()
            refuse_if_stale(plan, snapshot)
        assert snapshot is not None
        refuse_if_unable(plan, snapshot)
        lives = {live.session_id: live for live in snapshot}
        archive.make_sure(_room_for(plan.actions, lives))
        journal.append(
            {
                "run": run,
                "at": _now(),
                "event": "start",
                "catalog": plan.catalog,
                "environment": plan.environment,
                "endpoint": client.endpoint.name,
                "actions": len(plan.actions),
                **options.who,
            }
        )
        writer = Writer(
            client,
            archive,
            journal,
            options.settle,
            look_first=not full,
            seen=seen,
            calls=_calls_to_look(client, snapshot.total),
            permit=_permit(options.holding, stop),
            now=_now,
            breaker=CircuitBreaker(stop, 2 * max(options.parallelism, 4)),
        )
        results = _perform(plan.actions, lives, writer, options, on_result)
        report = _check(run, plan, results, writer, stop)
        with suppress(ReconcilerError):  # what is done is done, and the report says it
            journal.append(
                {
                    "run": run,
                    "at": _now(),
                    "event": "end",
                    "verification": report.verification,
                    "applied": report.count("applied"),
                    "failed": report.count("failed"),
                    "unknown": report.count("unknown"),
                    "not_tried": report.count("not tried"),
                }
            )
    return report


def _calls_to_look(client: Client, sessions: int) -> int:
    """How many calls it takes to look at one session: the list is narrowed to its name, or read whole."""
    listing, filtered = client.contract.operation("list_sessions"), client.contract.service.name_filter
    return 1 if "name" in listing.fields and filtered != "none" else 2 + sessions // listing.page_size


def _permit(holding: Callable[[], bool], stop: Cancellation) -> Callable[[], None]:
    """A function that raises Interrupted where no write may start any more."""

    def permit() -> None:
        if not holding():
            stop.set("the lock was lost")
        if stop.is_set():
            raise Interrupted

    return permit


def _room_for(actions: Sequence[Action], lives: Mapping[int, LiveSession]) -> int:
    """About how many bytes archive and journal will take, messages aside."""
    touched = (lives.get(action.session_id) for action in actions if action.session_id is not None)
    return _NOTED * (1 + len(actions)) + sum(len(json.dumps(live.row)) for live in touched if live)


def _perform(
    actions: Sequence[Action],
    lives: Mapping[int, LiveSession],
    writer: Writer,
    options: ApplyOptions,
    on_result: Callable[[Result], None] | None,
) -> list[Result]:
    telling = threading.Lock()

    def perform(action: Action) -> Result:
        live = None if action.session_id is None else lives.get(action.session_id)
        result = writer.perform(action, live)
        if on_result:
            with telling:
                on_result(result)
        return result

    ordered = sorted(actions, key=lambda action: ORDER.index(action.kind))
    with ThreadPoolExecutor(max(1, min(options.parallelism, len(ordered))), "apply") as pool:
        return list(pool.map(perform, ordered))


def _check(run: str, plan: Plan, results: list[Result], writer: Writer, stop: Cancellation) -> Report:
    """Read the list again, and let the tags remember what the server stored differently."""
    if stop.is_set() or not any(result.outcome in ("applied", "unknown") for result in results):
        return _report(run, plan, results, "skipped", stopped=stop.reason)
    try:
        findings, now = _findings(results, writer)
        results = [writer.settled(result, look_again(result, now)) for result in results]
        twice = doubles(now, plan.catalog, plan.environment)
        if findings.rewrites:
            findings = _settle(results, findings.rewrites, now, writer)
        findings.differences += twice
    except Interrupted:
        return _report(run, plan, results, "skipped", stopped=stop.reason)
    except ReconcilerError as error:
        return _report(run, plan, results, "failed", [p.message for p in error.problems])
    verification: Verification = "differs" if findings.differences else "verified"
    return _report(run, plan, results, verification, findings.differences, findings.rewrites)


def _findings(results: list[Result], writer: Writer) -> tuple[Findings, Snapshot]:
    """Compare with the live list, giving it time to show what was just made."""
    until = time.monotonic() + writer.settle
    attempt = 1
    while True:
        now = list_sessions(writer.client)
        findings = verify([look_again(result, now) for result in results], now)
        left = until - time.monotonic()
        if not findings.differences or left <= 0:
            return findings, now
        writer.client.limiter.sleep(min(left, backoff(attempt, base=0.2, cap=2.0)))
        attempt += 1


def _settle(results: list[Result], rewrites: Sequence[Rewrite], now: Snapshot, writer: Writer) -> Findings:
    """Let the tags remember what the server made of these fields, and look again.

    A field that is not as it was sent may as well have been changed by somebody else in the meantime. So it is sent
    again, with the tag: what comes out the same way again is the server's form of it.
    """
    failed = _remember(results, rewrites, rewrites, now, writer)
    findings, now = _findings(results, writer)
    kept = [one for one in rewrites if one in findings.rewrites]
    if len(kept) < len(rewrites):
        failed += _remember(results, rewrites, kept, now, writer)
        findings, now = _findings(results, writer)
    for one in [one for one in findings.rewrites if one not in kept]:
        findings.rewrites.remove(one)
        findings.differences.append(
            f"{one.key} (#{one.session_id}): {one.path} comes back in another form each time, or others write it too"
        )
    bases = {live.session_id: live.remark.tag.base for live in now if live.remark.tag}
    for one in list(findings.rewrites):
        base = bases.get(one.session_id)
        if base is None or not base.settled(one.path, one.sent, one.stored):
            findings.rewrites.remove(one)
            if not failed:
                findings.differences.append(
                    f"{one.key} (#{one.session_id}): {one.path} was sent twice, and it and the tag are as they were: "
                    "the update call may not do anything"
                )
    findings.differences += failed
    return findings


def _remember(
    results: list[Result], rewrites: Sequence[Rewrite], kept: Sequence[Rewrite], now: Snapshot, writer: Writer
) -> list[str]:
    """Send fields again, with tags that tell of the ``kept`` ones in which form the server keeps them.

    Gives what could not be done, a sentence each.
    """
    sent: dict[int, dict[str, Any]] = {}
    stored: dict[int, dict[str, Any]] = {}
    for one in rewrites:
        sent.setdefault(one.session_id, {})[one.path] = one.sent
    for one in kept:
        stored.setdefault(one.session_id, {})[one.path] = one.stored
    # A delete of a second session with this identity has nothing to say of the one that stays.
    actions = {result.action.identity: result.action for result in results if result.action.kind != "delete"}
    failed = []
    operation = writer.client.contract.operations.get("update_session")
    for live in now:
        if live.session_id not in sent or live.remark.tag is None:
            continue
        action = actions[live.remark.tag.identity]
        again, form = sent[live.session_id], stored.get(live.session_id, {})
        if operation is None:
            reason = "there is no update call"
        elif (payload := rewritten_payload(action, live, again, form, operation)) is None:
            reason = "the remark has no room for it"
        else:
            result = writer.remember(action, live, payload)
            if result.outcome == "applied":
                continue
            reason = result.message
        failed.append(
            f"{action.key} (#{live.session_id}): what the server made of it is not remembered: {reason}"
        )
    return failed


def _report(
    run: str,
    plan: Plan,
    results: Sequence[Result],
    verification: Verification,
    differences: Sequence[str] = (),
    rewrites: Sequence[Rewrite] = (),
    *,
    stopped: str = "",
) -> Report:
    return Report(
        run=run,
        catalog=plan.catalog,
        environment=plan.environment,
        endpoint=plan.endpoint,
        results=tuple(results),
        verification=verification,
        differences=tuple(differences),
        rewrites=tuple(rewrites),
        stopped=stopped,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
