"""The status of a ``PersonaCatalog``: conditions, counts and revisions. ``docs/operator.md`` has the table of reasons,
and a test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.controller.status import PendingPlan, WatchedStatus
from reconciler.operator.kept import PLACE, place_after, place_before
from reconciler.operator.resource import FORCE_ORPHAN, Resource
from reconciler.operator.wording import hinted, refused, shown
from reconciler.text.timestamps import write_timestamp

#: The reasons of each condition, and when they hold.
REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Ready": {
        "Succeeded": "True: the last look succeeded, and nothing but the mode, the window or an approval is waited for",
        "Progressing": "Unknown: it was not looked at yet, or its spec has just changed",
        "Suspended": "Unknown: `suspend` is true, so nothing is looked at",
        "Removing": "Unknown: it is being deleted, and its sessions are removed before",
        "Refused": "False: a guard refuses the plan, and it stays pending",
        "Failing": "False: the catalog is invalid or missing, or the service, the git remote or the disk fails",
        "Unauthorized": "False: the service refuses the key of the account, or the account has no points left",
        "AccountMissing": "False: there is no Secret of that name with an `endpoint`",
        "InvalidAccount": "False: the endpoint or the contract of the Secret can't be used",
        "InvalidSpec": "False: the spec can't be used although it fits the schema",
        "Conflict": "False: an older resource has the same catalog, environment and account",
    },
    "Synced": {
        "InSync": "True: the live sessions match the catalog",
        "PlanPending": "False: there are changes that were not written",
        "Refused": "False: a guard refuses the changes",
        "Unknown": "Unknown: the last look did not get that far",
    },
    "Drifted": {
        "DriftFound": "True: sessions were changed outside git",
        "NoDrift": "False: no session was changed outside git",
        "Unknown": "Unknown: the last look did not get that far",
    },
}

_SESSIONS: Final = {"in_sync": "inSync", "drifted": "drifted", "pending": "pending", "missing": "missing"}

#: The longest message of a removal that waits; how to let it go follows.
_TOLD: Final = 600

_NOT_COMPARED: Final = "the last look did not compare catalog and live sessions"


def counted(counts: Mapping[str, int]) -> str:
    """The counts of a plan in words: ``2 to create, 1 to update``."""
    return ", ".join(f"{count} to {kind}" for kind, count in sorted(counts.items())) or "nothing to write"


def without_looking(
    resource: Resource, reason: str, message: str, *, catalog: str | None = None
) -> dict[str, Any]:
    """The status of a resource that is not looked at, and why. Its revisions stay, and its ``catalog`` if that is not
    known better."""
    kept = {
        name: resource.status[name]
        for name in (*PLACE, "lastAppliedRevision", "lastAttemptedRevision")
        if name in resource.status
    }
    if catalog is not None:
        kept["catalog"] = catalog
    unknown = reason in ("Progressing", "Suspended")
    conditions = (
        ("Ready", "Unknown" if unknown else "False", reason, message),
        ("Synced", "Unknown", "Unknown", message),
        ("Drifted", "Unknown", "Unknown", message),
    )
    return {**_head(resource), **kept, "conditions": [_condition(*one) for one in conditions]}


def of_removal(resource: Resource, status: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a resource whose sessions are removed before it is gone: what that waits for, and how to let the
    resource go without it."""
    ready, synced, drifted = status["conditions"]
    if ready["status"] != "False":
        ready = {**ready, "status": "Unknown", "reason": "Removing"}
        pending = synced["reason"] == "PlanPending"
        ready["message"] = (
            f"its sessions are removed before it is gone{': ' + synced['message'] if pending else ''}"
        )
    command = (
        f"kubectl -n {resource.namespace} annotate personacatalog {resource.short_name} {FORCE_ORPHAN}=true"
    )
    ready["message"] = f"{shown(ready['message'], _TOLD)}. To let it go and leave its sessions: {command}"
    found = {**status, "conditions": [ready, synced, drifted]}
    if not (before := place_before(resource)):
        return found
    return {name: value for name, value in found.items() if name not in PLACE} | before


def of_look(
    resource: Resource, watched: WatchedStatus, *, key_refused: bool, compares: bool, address: str = ""
) -> dict[str, Any]:
    """The status of a resource that is looked at, after a look at this ``address``. If it ``compares``, sessions were
    compared with the newest valid revision, even if a newer one is invalid."""
    watched = _with_stale_approval(resource, watched)
    revisions = {
        **place_after(resource, watched.catalog, address, compares=compares),
        "lastAppliedRevision": watched.revision.applied,
        "lastAttemptedRevision": watched.revision.attempted,
    }
    found: dict[str, Any] = {name: value for name, value in revisions.items() if value}
    if watched.sessions:
        found["sessions"] = {_SESSIONS[name]: count for name, count in watched.sessions.items()}
    if watched.plan is not None:
        found["plan"] = _plan(watched.plan)
    conditions = (
        _ready(watched, key_refused=key_refused),
        _synced(watched, compares=compares),
        _drifted(watched, compares=compares),
    )
    return {**_head(resource), **found, "conditions": [_condition(*one) for one in conditions]}


def _with_stale_approval(resource: Resource, watched: WatchedStatus) -> WatchedStatus:
    """The status, which tells if the approval of the spec is of another plan: else whoever set it would never know."""
    plan = watched.plan
    waits = plan is not None and plan.waits_for.startswith("an approval")
    if plan is None or not waits or not resource.spec.get("approve") or resource.approves(plan.digest):
        return watched
    told = f"{plan.waits_for}; the digest that is there now is of another plan"
    return replace(watched, plan=replace(plan, waits_for=told))


def timed(status: Mapping[str, Any], before: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The status with the time of each condition's last transition, which stays as long as its status does."""
    known = {one["type"]: one for one in before.get("conditions") or []}
    conditions = []
    for one in status["conditions"]:
        old = known.get(one["type"], {})
        same = old.get("status") == one["status"]
        since = old.get("lastTransitionTime", now) if same else now
        conditions.append({**one, "lastTransitionTime": since})
    return {**status, "conditions": conditions}


def _head(resource: Resource) -> dict[str, Any]:
    handled = {"lastHandledReconcileAt": resource.requested} if resource.requested else {}
    return {"observedGeneration": resource.generation, **handled}


def _condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    assert reason in REASONS[kind]
    return {"type": kind, "status": status, "reason": reason, "message": shown(message) or reason}


def _plan(plan: PendingPlan) -> dict[str, Any]:
    return {
        "digest": f"sha256:{plan.digest}",
        "counts": dict(plan.counts),
        "since": write_timestamp(plan.since),
        "approved": plan.approved,
    }


def _ready(watched: WatchedStatus, *, key_refused: bool) -> tuple[str, str, str, str]:
    failure = watched.failure
    if failure is not None:
        reason = "Unauthorized" if key_refused else "Failing"
        return "Ready", "False", reason, hinted(failure.message, failure.hint)
    if watched.state == "Refused":
        return "Ready", "False", "Refused", _refusals(watched)
    if watched.last_look is None:
        return "Ready", "Unknown", "Progressing", "it was not looked at yet"
    return "Ready", "True", "Succeeded", _synced(watched, compares=True)[-1]


def _synced(watched: WatchedStatus, *, compares: bool) -> tuple[str, str, str, str]:
    if not _compared(watched, compares=compares):
        return "Synced", "Unknown", "Unknown", _NOT_COMPARED
    if watched.plan is None:
        if watched.failure is not None:
            newest = "the newest revision was not compared with the live sessions"
            return "Synced", "Unknown", "Unknown", newest
        return "Synced", "True", "InSync", "the live sessions match the catalog"
    if watched.plan.refusals:
        return "Synced", "False", "Refused", _refusals(watched)
    said = f"; waits for {watched.plan.waits_for}" if watched.plan.waits_for else ""
    return "Synced", "False", "PlanPending", f"{counted(watched.plan.counts)}{said}"


def _drifted(watched: WatchedStatus, *, compares: bool) -> tuple[str, str, str, str]:
    if not _compared(watched, compares=compares):
        return "Drifted", "Unknown", "Unknown", _NOT_COMPARED
    count = watched.sessions.get("drifted", 0)
    if not count:
        return "Drifted", "False", "NoDrift", "no session was changed outside git"
    keys = watched.plan.drifted if watched.plan else ()
    named = f": {', '.join(key for key in keys[:10] if key)}" if any(keys[:10]) else ""
    return "Drifted", "True", "DriftFound", f"{count} changed outside git{named}"


def _compared(watched: WatchedStatus, *, compares: bool) -> bool:
    return watched.last_look is not None and (watched.failure is None or compares)


def _refusals(watched: WatchedStatus) -> str:
    refusals = () if watched.plan is None else watched.plan.refusals
    return "; ".join(refused(one, watched.environment) for one in refusals) or watched.reason
