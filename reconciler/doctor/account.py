"""What is on the account: the models, and how the sessions are managed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.api.decode import value_at
from reconciler.api.listing import list_sessions
from reconciler.api.lock import SKEW
from reconciler.doctor.context import SurveyContext, describe_answer, ok_if, session_numbers
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import reserved_kind
from reconciler.ownership.tag import Identity
from reconciler.text.timestamps import read_timestamp

_SHOWN: Final = 5  # duplicates and models named in the report
_RATE_ROWS: Final = 10  # sessions that tell how many are created a minute
_SCOPES: Final = 20  # catalogs named in the report


def models(context: SurveyContext, rows: Sequence[Any]) -> None:
    """Whether the models can be listed, and whether those of the sessions are among them."""
    operation = context.contract.operations.get("list_models")
    if operation is None or operation.method != "GET":
        context.report("models", "unknown", "the contract has no call that lists them")
        return
    reply = context.get(operation, {})
    data = reply.body.get("data") if isinstance(reply.body, dict) else None
    if type(data) is not list:
        if reply.error is not None and reply.error.status in (404, 405):
            context.learned.learn_operation("list_models", None)
        follows = "only the check of model names needs them"
        context.report("models", "differs", f"can't be listed: {describe_answer(reply)}", follows)
        return
    context.learned.learn_operation("list_models", replace(operation, known="learned"))
    listed = {one.get("id") for one in data if isinstance(one, dict)}
    used = {value_at(row, context.contract.session.model) for row in rows}
    missing = sorted(one for one in used if type(one) is str and one and one not in listed)
    also = f"; not among them, but used by sessions: {', '.join(missing[:_SHOWN])}" if missing else ""
    context.report("models", "ok", f"{len(data)} are listed{also}")


def all_sessions(context: SurveyContext) -> Snapshot | None:
    """Read the whole list, and say how its sessions are managed. Returns None if it can't be read."""
    try:
        snapshot = list_sessions(context.client)
    except ReconcilerError as error:
        problem = error.problems[0]
        context.report("sessions", "differs", problem.message, problem.hint)
        return None
    tags = [live.remark.tag for live in snapshot if live.remark.tag]
    kinds = Counter(reserved_kind(live) for live in snapshot)
    unreadable = [live for live in snapshot if live.remark.unreadable and reserved_kind(live) is None]
    unmanaged = kinds[None] - len(tags) - len(unreadable)
    scopes = sorted(Counter(_scope(tag.identity) for tag in tags).items())
    owners = ", ".join(f"{count} by {scope}" for scope, count in scopes[:_SCOPES])
    managed = f"{len(tags)} managed" + (f" ({owners})" if owners else "")
    seen = f"{len(snapshot)} in all: {managed}, {unmanaged} unmanaged"
    context.report("sessions", "ok", seen, _what_a_plan_takes(snapshot))
    if unreadable:
        seen = f"can't be read: {session_numbers(unreadable)}"
        context.report(
            "tags",
            "differs",
            seen,
            "these sessions are left alone; clear or repair the remark, then adopt them",
        )
    else:
        context.report("tags", "ok", "all can be read")
    _duplicates(context, snapshot)
    _locks(context, snapshot)
    _half_made(context, snapshot)
    return snapshot


def _what_a_plan_takes(snapshot: Snapshot) -> str:
    listing = snapshot.listing
    if listing is None or listing.calls == 1:
        return ""
    again = (
        f", {listing.passes} times over, because the responses did not fit together"
        if listing.passes > 1
        else ""
    )
    return f"a plan reads the list in {listing.calls} calls{again}"


def traffic(context: SurveyContext, rows: Sequence[Any], snapshot: Snapshot) -> None:
    """How many new sessions others make: by the times of the newest ones, and while the survey looked.

    ``rows`` are the newest sessions of the first look, ``snapshot`` is the last one.
    """
    seen_first = {value_at(row, context.contract.session.session_id) for row in rows}
    newest = max((one for one in seen_first if type(one) is int), default=0)
    new = sum(live.session_id > newest for live in snapshot)
    meanwhile = f"; {new} appeared during this look" if new else ""
    moments = sorted(moment for row in rows if (moment := _created(row)) is not None)
    if len(moments) < _RATE_ROWS:
        context.report("new sessions", "ok", f"too few to tell how many there are a minute{meanwhile}")
        return
    minutes = max((moments[-1] - moments[0]).total_seconds() / 60, 1 / 60)
    rate = (len(moments) - 1) / minutes
    shown = f"{rate:.2g}" if rate < 10 else f"{rate:,.0f}"
    seen = f"about {shown} a minute, by the newest {len(moments)}{meanwhile}"
    context.report("new sessions", "ok", seen)


def _created(row: Any) -> datetime | None:
    try:
        return read_timestamp(str(row.get("created_at")))
    except ValueError:
        return None


def _scope(identity: Identity) -> str:
    return f"{identity.catalog}@{identity.environment}" if identity.environment else identity.catalog


def _duplicates(context: SurveyContext, snapshot: Snapshot) -> None:
    held: dict[Identity, list[LiveSession]] = {}
    for live in snapshot:
        if live.remark.tag and not live.is_copy:
            held.setdefault(live.remark.tag.identity, []).append(live)
    twice = [(identity, lives) for identity, lives in held.items() if len(lives) > 1]
    for identity, lives in twice[:_SHOWN]:
        kept = f"one with messages, or #{lives[0].session_id}"
        follows = f"the next apply of {_scope(identity)} keeps {kept}, and deletes the rest"
        context.report("duplicates", "differs", f"{session_numbers(lives)} are all {identity}", follows)
    if not twice:
        context.report("duplicates", "ok", "no identity is live twice")


def _locks(context: SurveyContext, snapshot: Snapshot) -> None:
    now = datetime.now(UTC)
    for live in snapshot:
        lock = live.remark.lock
        if lock is None:
            continue
        dead = _expired(lock, now)
        scope = str(lock.get("catalog")) + (f"@{lock['environment']}" if lock.get("environment") else "")
        ends = f"expired at {lock.get('expires')}" if dead else f"is valid until {lock.get('expires')}"
        context.report(
            "lock",
            ok_if(not dead),
            f"#{live.session_id} locks {scope} for {lock.get('holder')}, and {ends}",
            "its run is dead: `reconciler unlock` removes it, and so does the next apply with --lock"
            if dead
            else "an apply is running",
        )


def _expired(lock: Mapping[str, Any], now: datetime) -> bool:
    try:
        expires = read_timestamp(str(lock.get("expires")))
    except ValueError:
        return True
    return (now - expires).total_seconds() > SKEW


def _half_made(context: SurveyContext, snapshot: Snapshot) -> None:
    found = [live for live in snapshot if reserved_kind(live) == "half-made"]
    if found:
        context.report(
            "half-made",
            "differs",
            f"{session_numbers(found)}: an apply ended while it was creating them",
            "the next apply completes those that its catalog still has; delete the others in the console",
        )
