"""Verify an apply: compare the live list with what was sent.

A field that the server stored in another form is a *rewrite*. The tag records it, so the next plan is empty. Any
other deviation is a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.polling import poll
from reconciler.apply.payload import rewritten_payload
from reconciler.apply.report import Result, Rewrite, Verification
from reconciler.apply.write import Writer
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.account import UNKNOWN, Account
from reconciler.ownership.tag import Identity
from reconciler.plan.keep import keep_for_plan
from reconciler.plan.types import PROTECTION, Action, Plan
from reconciler.values import MISSING, key_as_kept, same


@dataclass(slots=True)
class Findings:
    """How a list deviates from what was sent: fields stored in another form, and other differences as sentences.

    ``key_forms`` are fields of which only the key has another form. Tags do not record those.
    """

    rewrites: list[Rewrite] = field(default_factory=list)
    key_forms: list[Rewrite] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verified:
    """The results, corrected by the list, and what the verification found.

    ``stopped`` is the reason why the run ended early. ``account`` is the account of the list.
    """

    results: Sequence[Result]
    verification: Verification
    differences: Sequence[str] = ()
    rewrites: Sequence[Rewrite] = ()
    stopped: str = ""
    account: Account = UNKNOWN


#: Updates a session once more, so that its tag records the form that the server stored (:meth:`Writer.remember`).
Remember: TypeAlias = Callable[[Action, LiveSession, Mapping[str, Any]], Result]


def verify(
    plan: Plan, results: list[Result], writer: Writer, stop: Cancellation, remember: Remember, *, pages: int
) -> Verified:
    """Verify what was written, and record in the tags what the server stored in another form. Never raises.

    ``pages`` is how many calls it takes to read the whole list. If the service can filter by name and that takes
    fewer calls, only the names that were written are listed. That finds a duplicate by another run, which has the
    same name.
    """
    if stop.is_set() or not any(result.outcome in ("applied", "unknown") for result in results):
        return Verified(results, "skipped", stopped=stop.reason)
    try:
        seen = _by_names(plan, results, writer, pages)
        if seen is None:
            seen = _wait_until_listed(plan, results, writer)
        findings, now = seen
        results = [
            writer.confirm(before, after)
            for before, after in zip(results, look_again(plan, results, now), strict=True)
        ]
        twice = doubles(now, plan)
        if findings.rewrites:
            findings = _confirm_rewrites(plan, results, findings.rewrites, now, writer, remember)
        findings.differences += twice
    except Interrupted:
        return Verified(results, "skipped", stopped=stop.reason)
    except ReconcilerError as error:
        return Verified(results, "failed", [problem.message for problem in error.problems])
    return Verified(
        results,
        "differs" if findings.differences else "verified",
        findings.differences,
        [*findings.rewrites, *findings.key_forms],
        account=now.account,
    )


def _by_names(
    plan: Plan, results: list[Result], writer: Writer, pages: int
) -> tuple[Findings, Snapshot] | None:
    """Compare with lists filtered by the names that were written. None if the whole list is needed.

    The whole list is needed if it takes fewer calls, if the service is not known to filter by name, if the outcome of
    a write is unknown, or if anything differs from what was sent: the difference may be in the name.
    """
    contract = writer.client.contract
    filtered = "name" in contract.operation("list_sessions").fields and (
        contract.service.name_filter in ("exact", "partial")
    )
    names = sorted({result.action.name for result in results if result.outcome == "applied"})
    if not filtered or len(names) >= pages or any(result.outcome == "unknown" for result in results):
        return None
    lives: dict[int, LiveSession] = {}
    calls = 0
    for name in names:
        found = writer.lister.named(name)
        lives |= {live.session_id: live for live in found}
        calls += found.listing.calls if found.listing else 1
        if calls > pages:  # others gave the same name to hundreds of sessions
            return None
    now = Snapshot(tuple(lives[number] for number in sorted(lives)), writer.client.endpoint.name, contract)
    findings = compare(plan, results, now)
    return None if findings.differences or findings.rewrites else (findings, now)


def _wait_until_listed(plan: Plan, results: list[Result], writer: Writer) -> tuple[Findings, Snapshot]:
    """Poll the live list until it shows what was written, for as long as it may lag."""
    made = [result.session_id for result in results if result.session_id is not None]
    keep = keep_for_plan(plan, ids=made)
    for _ in poll(writer.client.limiter, writer.settle):
        now = writer.lister.sessions(keep=keep)
        findings = compare(plan, look_again(plan, results, now), now)
        if not findings.differences:
            break
    return findings, now


def _confirm_rewrites(
    plan: Plan,
    results: list[Result],
    rewrites: Sequence[Rewrite],
    now: Snapshot,
    writer: Writer,
    remember: Remember,
) -> Findings:
    """Record rewrites in the tags, and verify that.

    A rewrite may also be somebody else's edit. So the field is sent again, together with the tag. If the same form
    comes back, it is the server's.
    """
    failed = _send_again(results, rewrites, rewrites, now, remember, writer)
    findings, now = _wait_until_listed(plan, results, writer)
    kept = [one for one in rewrites if one in findings.rewrites]
    if len(kept) < len(rewrites):
        failed += _send_again(results, rewrites, kept, now, remember, writer)
        findings, now = _wait_until_listed(plan, results, writer)
    for one in [one for one in findings.rewrites if one not in kept]:
        findings.rewrites.remove(one)
        findings.differences.append(
            f"{one.key} (#{one.session_id}): {one.path} is stored in another form each time, or others write it, too"
        )
    bases = {live.session_id: live.remark.tag.base for live in now if live.remark.tag}
    for one in list(findings.rewrites):
        base = bases.get(one.session_id)
        if base is None or not base.known_rewrite(one.path, one.sent, one.stored):
            findings.rewrites.remove(one)
            if not failed:
                findings.differences.append(
                    f"{one.key} (#{one.session_id}): {one.path} was sent twice, but neither it nor the tag changed: "
                    "the update call may have no effect"
                )
    findings.differences += failed
    return findings


def _send_again(
    results: list[Result],
    rewrites: Sequence[Rewrite],
    kept: Sequence[Rewrite],
    now: Snapshot,
    remember: Remember,
    writer: Writer,
) -> list[str]:
    """Send rewritten fields again, with tags that record the server's form of the ``kept`` ones.

    Returns one sentence for each session where that failed.
    """
    sent: dict[int, dict[str, Any]] = {}
    stored: dict[int, dict[str, Any]] = {}
    for one in rewrites:
        sent.setdefault(one.session_id, {})[one.path] = one.sent
    for one in kept:
        stored.setdefault(one.session_id, {})[one.path] = one.stored
    # An identity may have a delete of its duplicate, too. The action of the session that stays is meant.
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
            result = remember(action, live, payload)
            if result.outcome == "applied":
                continue
            reason = result.message
        failed.append(
            f"{action.key} (#{live.session_id}): the tag does not record the form that the server stored: {reason}"
        )
    return failed


def compare(plan: Plan, results: Iterable[Result], now: Snapshot) -> Findings:
    """Compare the applied actions with the live list. No I/O."""
    findings = Findings()
    by_id = {live.session_id: live for live in now}
    by_identity = {tag.identity: live for live, tag in plan.tagged(now)}
    for result in results:
        if result.outcome != "applied":
            continue
        action = result.action
        live = by_id.get(result.session_id) if result.session_id is not None else None
        if live is None and action.kind == "create":
            live = by_identity.get(action.identity)
        label = f"{action.key} (#{result.session_id})" if result.session_id else action.key
        if action.kind == "delete":
            if live is not None:
                findings.differences.append(f"{label} was deleted, but is still listed")
        elif live is None:
            findings.differences.append(f"{label} was written, but is not listed")
        elif action.kind == "forget":
            if live.remark.tag is not None and live.remark.tag.identity == action.identity:
                findings.differences.append(f"{label} was forgotten, but still has our tag")
        else:
            _compare(action, live, label, findings)
    return findings


def doubles(now: Snapshot, plan: Plan) -> list[str]:
    """Identities of the plan's catalog that are live more than once: another run created them, too, or the list
    lagged. What the plan calls a copy does not count, nor does a key that a plan of a part is not about."""
    keys = {action.key for action in plan.actions} if plan.about else None
    held: dict[Identity, list[int]] = {}
    for live, tag in plan.tagged(now):
        ours = (tag.identity.catalog, tag.identity.environment) == (plan.catalog, plan.environment)
        if ours and (keys is None or tag.identity.key in keys):
            held.setdefault(tag.identity, []).append(live.session_id)
    return [
        f"{identity.key} is live {len(numbers)} times: {', '.join(f'#{one}' for one in numbers)}; "
        "the next plan says which of them stays"
        for identity, numbers in held.items()
        if len(numbers) > 1
    ]


def look_again(plan: Plan, results: Sequence[Result], now: Snapshot) -> list[Result]:
    """The results, with unknown outcomes and ids that no response gave filled in from the list.

    A write that the list does not show stays unknown.
    """
    if all(one.outcome != "unknown" and (one.outcome != "applied" or one.session_id) for one in results):
        return list(results)
    by_token = {live.session_token: live for live in now if live.session_token}
    by_identity: dict[Identity, LiveSession] = {}
    for live, tag in plan.tagged(now):
        by_identity.setdefault(tag.identity, live)
    by_id = {live.session_id: live for live in now}

    def again(result: Result) -> Result:
        action = result.action
        if action.kind == "create":
            if result.outcome not in ("unknown", "applied") or result.session_id:
                return result
            found = by_token.get(result.session_token or "") or by_identity.get(action.identity)
            return (
                replace(result, outcome="applied", session_id=found.session_id, message="")
                if found
                else result
            )
        if result.outcome != "unknown":
            return result
        live = by_id.get(action.session_id or 0)
        gone = action.kind == "delete"
        done = live is None if gone else live is not None and arrived(action, live)
        return Result(action, "applied", action.session_id) if done else result

    return [again(result) for result in results]


def arrived(action: Action, live: LiveSession) -> bool:
    """Whether a live session shows all that an action sent."""
    tag = live.remark.tag
    if action.kind == "forget":
        return tag is None and not live.remark.unreadable
    found = live.fields()
    return (
        tag is not None
        and tag.identity == action.identity
        and tag.protected is action.protected
        and all(
            same(found.get(change.path, MISSING), change.after)
            for change in action.fields
            if change.path != PROTECTION
        )
    )


def _compare(action: Action, live: LiveSession, label: str, findings: Findings) -> None:
    tag = live.remark.tag
    if tag is None or tag.identity != action.identity:
        why = f" ({live.remark.unreadable})" if live.remark.unreadable else ""
        findings.differences.append(f"{label}: the tag did not come back as written{why}")
        return
    found = live.fields()
    wanted = {*action.managed, *action.held}
    for change in action.fields:
        if change.path == PROTECTION or change.cause == "released":
            continue
        path = change.path if change.path in found else key_as_kept(change.path, found, wanted)
        stored = MISSING if path is None else found[path]
        if stored is MISSING and not (tag.base and change.path.startswith(("data.", "remark."))):
            findings.differences.append(f"{label}: {change.path} was sent, but is missing")
        elif same(stored, change.after):
            if path != change.path:
                findings.key_forms.append(
                    Rewrite(action.key, live.session_id, change.path, change.after, stored, path)
                )
        elif tag.base and not tag.base.wrote(change.path, change.after):
            findings.differences.append(f"{label}: {change.path} was written by another run since")
        else:
            findings.rewrites.append(Rewrite(action.key, live.session_id, change.path, change.after, stored))
