"""After an apply: is the live list what was written?

Pure: takes the results and a fresh snapshot. A field that the server stored in another form than it was sent is a
*rewrite*, which the tag is then made to remember; anything else that is not as written is a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.apply.report import Result, Rewrite
from reconciler.domain import LiveSession, Snapshot
from reconciler.ownership.tag import Identity
from reconciler.plan.types import PROTECTION, Action
from reconciler.values import MISSING, same


@dataclass(slots=True)
class Findings:
    """``late`` are sessions that were made and do not show in the list (yet)."""

    rewrites: list[Rewrite] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    late: list[Result] = field(default_factory=list)


def verify(results: Iterable[Result], now: Snapshot) -> Findings:
    """Compare what was applied with what is live."""
    findings = Findings()
    by_id = {live.session_id: live for live in now}
    by_identity = {live.remark.tag.identity: live for live in now if live.remark.tag}
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
                findings.differences.append(f"{label} was deleted, and is still listed")
        elif live is None:
            findings.late.append(result)
            findings.differences.append(f"{label} was written, and is not listed")
        elif action.kind == "forget":
            if live.remark.tag is not None and live.remark.tag.identity == action.identity:
                findings.differences.append(f"{label} was released, and still has our tag")
        else:
            _compare(action, live, label, findings)
    return findings


def doubles(now: Snapshot, catalog: str, environment: str | None) -> list[str]:
    """Identities of a catalog that are live more than once: another run made them too, or a list lagged too long."""
    held: dict[Identity, list[int]] = {}
    for live in now:
        tag = live.remark.tag
        if tag and (tag.identity.catalog, tag.identity.environment) == (catalog, environment):
            held.setdefault(tag.identity, []).append(live.session_id)
    return [
        f"{identity.key} is live {len(numbers)} times: {', '.join(f'#{one}' for one in numbers)}; "
        f"the next apply keeps #{numbers[0]}"
        for identity, numbers in held.items()
        if len(numbers) > 1
    ]


def look_again(result: Result, now: Snapshot) -> Result:
    """What the list says of a write that nobody could tell of. One that does not show stays unknown."""
    action = result.action
    if result.outcome != "unknown":
        return result
    if action.kind == "create":
        found = [live for live in now if live.remark.tag and live.remark.tag.identity == action.identity]
        return Result(action, "applied", found[0].session_id) if found else result
    live = next((one for one in now if one.session_id == action.session_id), None)
    gone = action.kind == "delete"
    done = live is None if gone else live is not None and _arrived(action, live)
    return Result(action, "applied", action.session_id) if done else result


def _arrived(action: Action, live: LiveSession) -> bool:
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
    for change in action.fields:
        if change.path == PROTECTION or change.cause == "released":
            continue
        stored = found.get(change.path, MISSING)
        if stored is MISSING:
            findings.differences.append(f"{label}: {change.path} was sent, and is not there")
        elif same(stored, change.after):
            continue
        elif tag.base and not tag.base.wrote(change.path, change.after):
            findings.differences.append(f"{label}: {change.path} was written by another run since")
        else:
            findings.rewrites.append(Rewrite(action.key, live.session_id, change.path, change.after, stored))
