"""Apply a plan: check that it is current, write with a pool of workers, verify against a fresh list.

- The journal records each write before it is sent.
- The archive stores what a write destroys before it is destroyed.
- The report gives the outcome of each action. A failed action does not stop the others.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.client import Client
from reconciler.api.lister import ClientLister, Lister
from reconciler.api.listing import whole
from reconciler.apply import archive as archives
from reconciler.apply import journal as journals
from reconciler.apply.archive import Archive
from reconciler.apply.canary import Canaries, tries_changes
from reconciler.apply.circuit_breaker import CircuitBreaker
from reconciler.apply.journal import Journal, new_run
from reconciler.apply.report import Canary, Report, Result
from reconciler.apply.stale import refuse_if_stale
from reconciler.apply.verify import Verified, verify
from reconciler.apply.write import Writer
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import Problem, ReconcilerError, Refused
from reconciler.ownership.account import Account, account_to_json
from reconciler.plan.capabilities import refuse_if_unable
from reconciler.plan.keep import keep_for_plan
from reconciler.plan.types import Action, ActionKind, Plan
from reconciler.state import ON_DISK
from reconciler.text.timestamps import write_timestamp

#: The order of actions: those that keep or create a session come before those that end one.
ORDER: tuple[ActionKind, ...] = ("move", "adopt", "forget", "create", "update", "delete")

#: Bytes that one action takes: its journal entries, and its archive entry without the session.
_NOTED = 1000


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How to apply.

    - ``state``: the folder of the journal and the archive; ``archive`` is another folder for the archive.
    - ``settle``: how long (seconds) the list may lag behind a write.
    - ``recheck``: read the list again before the first write, and refuse a stale plan.
    - ``who``: facts for the journal, recorded as they are; ``run`` names the run there.
    - ``holding``: called before each write; returns whether the run still holds its lock.
    - ``account``: the mark of the account for journal and archive. None: take it from the list.
    - ``listed_at``: when the snapshot was listed, by the limiter's clock, if that was after the lock was taken and the
      plan was made from it: the list need not be read again before the first write.
    - ``save``: where journal and archive outlive this machine: :meth:`reconciler.state.Store.save`.
    """

    state: Path
    archive: Path | None = None
    parallelism: int = 8
    settle: float = 10.0
    recheck: bool = True
    who: Mapping[str, str | bool] = field(default_factory=dict)
    run: str = field(default_factory=new_run)
    holding: Callable[[], bool] = lambda: True
    account: Account | None = None
    listed_at: float | None = None
    save: Callable[[Path], None] = ON_DISK.save


def apply_plan(
    plan: Plan,
    client: Client,
    options: ApplyOptions,
    *,
    snapshot: Snapshot | None = None,
    lister: Lister | None = None,
    stop: Cancellation | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Carry out a plan.

    ``snapshot`` is the one that the plan was made from. Without it, or with ``recheck``, the list is read again.
    ``lister`` is what lists the sessions for that, and for the verification; None: read every page, each time.
    ``stop`` ends the run early: no new write starts, and writes in flight finish. ``on_result`` is called with each
    result, from any thread, one call at a time.

    Raises:
        Refused: a guard refuses the plan, or the plan is stale. Nothing was written.
        ReconcilerError: journal or archive can't be written, or the list can't be read. Nothing was written.
    """
    if plan.refusals:
        raise Refused([Problem(one.message, f"{one.allow} would allow it") for one in plan.refusals])
    stop, lister = stop or client.limiter.stop, lister or ClientLister(client)
    archive, run = _archive(options, client.endpoint.name, stop), options.run
    if not plan.actions:
        return _report(run, plan, Verified([], "verified"), [], stop)
    archive.prepare()
    with Journal(options.state / journals.FILE, archive.save) as journal:
        seen = client.limiter.now() if options.listed_at is None else options.listed_at
        fresh = options.listed_at is not None and not tries_changes(plan, client)
        anew = options.recheck or snapshot is None or _is_cheaper(plan, lister, snapshot)
        if snapshot is None or (anew and not fresh):
            snapshot, seen = _checked_anew(plan, client, lister), client.limiter.now()
        refuse_if_unable(plan, snapshot)
        archive = replace(archive, account=options.account or snapshot.account)
        lives = {live.session_id: live for live in snapshot}
        archive.make_sure(_room_for(plan.actions, lives))
        journal.record(run, "start", _opening(plan, archive, options))
        writer = Writer(
            client,
            lister,
            archive,
            journal,
            options.settle,
            look_first=not (anew or fresh),
            seen=seen,
            calls=_calls_to_look(client, snapshot.total),
            permit=_permit(options.holding, stop),
            tagged=plan.tagged,
            breaker=CircuitBreaker(stop, 2 * max(options.parallelism, 4)),
        )
        canaries = Canaries(plan, writer, stop, lives, before=lives if _is_whole(snapshot) else None)
        results = _carry_out(plan.actions, lives, canaries, options, on_result)
        verified = verify(plan, results, writer, stop, canaries.remember, pages=lister.calls(snapshot.total))
        report = _report(run, plan, verified, canaries.done, stop)
        with suppress(ReconcilerError):  # the writes are done, and the report lists them
            journal.record(run, "end", _counts(report) | _seen_account(verified, archive))
    return report


def _archive(options: ApplyOptions, endpoint: str, stop: Cancellation) -> Archive:
    folder = options.archive or options.state / archives.FOLDER
    started = write_timestamp(datetime.now(UTC), "milliseconds")
    return Archive(folder, options.run, started, endpoint, save=_or_stop(options.save, stop))


def _or_stop(save: Callable[[Path], None], stop: Cancellation) -> Callable[[Path], None]:
    """``save``, which ends the run if it fails: the next action would have to wait as long, and fail, too."""

    def saving(path: Path) -> None:
        try:
            save(path)
        except ReconcilerError as error:
            stop.set(str(error))
            raise

    return saving


def _checked_anew(plan: Plan, client: Client, lister: Lister) -> Snapshot:
    """The sessions now.

    Raises:
        Refused: the plan is stale.
    """
    if tries_changes(plan, client):
        # The first write of a kind is judged by lists that assume nothing about the service, and so nothing about it.
        snapshot = ClientLister(client).sessions(keep=whole)
    else:
        snapshot = lister.sessions(keep=keep_for_plan(plan), full=plan.count("delete") > 0)
    refuse_if_stale(plan, snapshot)
    return snapshot


def _opening(plan: Plan, archive: Archive, options: ApplyOptions) -> dict[str, Any]:
    """The journal entry for the start of a run. It has the copies, which nothing tells once the original is gone."""
    copies = sorted(plan.copies)
    return {
        "catalog": plan.catalog,
        "environment": plan.environment,
        "endpoint": archive.endpoint,
        "account": account_to_json(archive.account),
        "actions": len(plan.actions),
        **({"copies": copies} if copies else {}),
        **options.who,
    }


def _seen_account(verified: Verified, archive: Archive) -> dict[str, Any]:
    """The account, if only the created sessions show its number: an empty list shows none."""
    if archive.account.numbers or not verified.account.numbers:
        return {}
    return {"account": account_to_json(replace(verified.account, key=archive.account.key))}


def _is_whole(snapshot: Snapshot) -> bool:
    """Whether a snapshot holds all sessions, each with all of its fields."""
    return snapshot.total == len(snapshot) and all(live.row for live in snapshot)


def _is_cheaper(plan: Plan, lister: Lister, snapshot: Snapshot) -> bool:
    """Whether one more list takes fewer calls than a lookup before each create."""
    return plan.count("create") > lister.calls(snapshot.total)


def _counts(report: Report) -> dict[str, Any]:
    return {
        "verification": report.verification,
        "applied": report.count("applied"),
        "failed": report.count("failed"),
        "unknown": report.count("unknown"),
        "not_tried": report.count("not tried"),
    }


def _calls_to_look(client: Client, sessions: int) -> int:
    """How many calls it takes to look up one session: in a list filtered by its name, or in the whole list."""
    listing, filtered = client.contract.operation("list_sessions"), client.contract.service.name_filter
    return 1 if "name" in listing.fields and filtered != "none" else 2 + sessions // listing.page_size


def _permit(holding: Callable[[], bool], stop: Cancellation) -> Callable[[], None]:
    """A function that raises Interrupted if no further write may start."""

    def permit() -> None:
        if not holding():
            stop.set("the lock was lost")
        if stop.is_set():
            raise Interrupted

    return permit


def _room_for(actions: Sequence[Action], lives: Mapping[int, LiveSession]) -> int:
    """An estimate of the bytes that archive and journal will take, without messages."""
    touched = (lives.get(action.session_id) for action in actions if action.session_id is not None)
    return _NOTED * (1 + len(actions)) + sum(len(json.dumps(live.row)) for live in touched if live)


def _carry_out(
    actions: Sequence[Action],
    lives: Mapping[int, LiveSession],
    canaries: Canaries,
    options: ApplyOptions,
    on_result: Callable[[Result], None] | None,
) -> list[Result]:
    """Carry out all actions in order with a pool of workers. A canary runs alone."""
    telling = threading.Lock()

    def carry_out(action: Action, by: Writer | Canaries = canaries.writer) -> Result:
        live = None if action.session_id is None else lives.get(action.session_id)
        result = by.carry_out(action, live)
        if on_result:
            with telling:
                on_result(result)
        return result

    ordered = sorted(actions, key=lambda action: ORDER.index(action.kind))
    results: list[Result] = []
    together: list[Action] = []
    with ThreadPoolExecutor(max(1, min(options.parallelism, len(ordered))), "apply") as pool:

        def finish() -> None:
            done = list(pool.map(carry_out, together))
            canaries.wrote(done)
            results.extend(done)
            together.clear()

        for action in ordered:
            if canaries.due(action):
                finish()
                results.append(carry_out(action, canaries))
            else:
                together.append(action)
        finish()
    return results


def _report(
    run: str, plan: Plan, verified: Verified, canaries: Sequence[Canary], stop: Cancellation
) -> Report:
    stopped = verified.stopped or (stop.reason if any(one.outcome != "passed" for one in canaries) else "")
    return Report(
        run=run,
        catalog=plan.catalog,
        environment=plan.environment,
        endpoint=plan.endpoint,
        results=tuple(verified.results),
        verification=verified.verification,
        differences=tuple(verified.differences),
        rewrites=tuple(verified.rewrites),
        stopped=stopped,
        canaries=tuple(canaries),
        not_looked_at=plan.counts.not_looked_at,
    )
