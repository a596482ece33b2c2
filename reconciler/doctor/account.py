"""What is on the account: messages, models, and what the sessions are to this program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from reconciler.api.decode import value_at
from reconciler.api.listing import list_sessions
from reconciler.api.lock import SKEW
from reconciler.doctor.context import Look, answer, sessions, verdict
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import reserved_kind
from reconciler.ownership.tag import Identity
from reconciler.text.timestamps import read_timestamp

_SHOWN = 5
_SCOPES = 20  # catalogs that are named


def models(look: Look, rows: Sequence[Any]) -> None:
    """Whether the models are listed, and those that sessions have among them."""
    operation = look.contract.operations.get("list_models")
    if operation is None or operation.method != "GET":
        look.say("models", "unknown", "the contract has no call that lists them")
        return
    reply = look.get(operation, {})
    data = reply.body.get("data") if isinstance(reply.body, dict) else None
    if type(data) is not list:
        if reply.error is not None and reply.error.status in (404, 405):
            look.lessons.call("list_models", None)
        follows = "nothing but a check of model names needs it"
        look.say("models", "differs", f"can't be listed: {answer(reply)}", follows)
        return
    look.lessons.call("list_models", replace(operation, known="learned"))
    listed = {one.get("id") for one in data if isinstance(one, dict)}
    used = {value_at(row, look.contract.session.model) for row in rows}
    missing = sorted(one for one in used if type(one) is str and one and one not in listed)
    also = f"; sessions use {', '.join(missing[:_SHOWN])}, not among them" if missing else ""
    look.say("models", "ok", f"{len(data)} are listed{also}")


def all_sessions(look: Look) -> Snapshot | None:
    """List everything, and say what it is to this program."""
    try:
        snapshot = list_sessions(look.client)
    except ReconcilerError as error:
        problem = error.problems[0]
        look.say("sessions", "differs", problem.message, problem.hint)
        return None
    tags = [live.remark.tag for live in snapshot if live.remark.tag]
    kinds = Counter(reserved_kind(live) for live in snapshot)
    unreadable = [live for live in snapshot if live.remark.unreadable and reserved_kind(live) is None]
    unmanaged = kinds[None] - len(tags) - len(unreadable)
    scopes = sorted(Counter(_scope(tag.identity) for tag in tags).items())
    owners = ", ".join(f"{count} by {scope}" for scope, count in scopes[:_SCOPES])
    managed = f"{len(tags)} managed" + (f" ({owners})" if owners else "")
    look.say("sessions", "ok", f"{len(snapshot)} in all: {managed}, {unmanaged} unmanaged")
    if unreadable:
        seen = f"can't be read: {sessions(unreadable)}"
        look.say("tags", "differs", seen, "they are left alone; empty or mend the remark, then adopt them")
    else:
        look.say("tags", "ok", "every one can be read")
    _duplicates(look, snapshot)
    _locks(look, snapshot)
    _half_made(look, snapshot)
    return snapshot


def _scope(identity: Identity) -> str:
    return f"{identity.catalog}@{identity.environment}" if identity.environment else identity.catalog


def _duplicates(look: Look, snapshot: Snapshot) -> None:
    held: dict[Identity, list[LiveSession]] = {}
    for live in snapshot:
        if live.remark.tag:
            held.setdefault(live.remark.tag.identity, []).append(live)
    twice = [(identity, lives) for identity, lives in held.items() if len(lives) > 1]
    for identity, lives in twice[:_SHOWN]:
        follows = f"the next apply of {_scope(identity)} keeps #{lives[0].session_id} and deletes the rest"
        look.say("duplicates", "differs", f"{sessions(lives)} are all {identity}", follows)
    if not twice:
        look.say("duplicates", "ok", "no identity is live twice")


def _locks(look: Look, snapshot: Snapshot) -> None:
    now = datetime.now(UTC)
    for live in snapshot:
        lock = live.remark.lock
        if lock is None:
            continue
        dead = _expired(lock, now)
        scope = str(lock.get("catalog")) + (f"@{lock['environment']}" if lock.get("environment") else "")
        ends = f"ran out at {lock.get('expires')}" if dead else f"is good until {lock.get('expires')}"
        look.say(
            "lock",
            verdict(not dead),
            f"#{live.session_id} locks {scope} for {lock.get('holder')}, and {ends}",
            "its run is dead: reconciler unlock removes it, as does the next apply with --lock"
            if dead
            else "an apply is under way",
        )


def _expired(lock: Mapping[str, Any], now: datetime) -> bool:
    try:
        expires = read_timestamp(str(lock.get("expires")))
    except ValueError:
        return True
    return (now - expires).total_seconds() > SKEW


def _half_made(look: Look, snapshot: Snapshot) -> None:
    found = [live for live in snapshot if reserved_kind(live) == "half-made"]
    if found:
        look.say(
            "half-made",
            "differs",
            f"{sessions(found)}: an apply ended while it made them",
            "the next apply goes on with them where its catalog still has them; else delete them in the console",
        )
