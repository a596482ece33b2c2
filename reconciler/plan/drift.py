"""What was changed outside git: the drift in a plan, and the document that tells of it.

A plan leads from the live value to the one in git, because that is what an apply does. A document about drift is no
plan. It leads from the value in git to the live one, because that is what somebody did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from reconciler.domain import Snapshot
from reconciler.plan.chats import ARCHIVED
from reconciler.plan.document import plan_to_document
from reconciler.plan.moves import DONE
from reconciler.plan.types import KINDS, Action, Detail, FieldChange, Plan

Side = TypeVar("Side", FieldChange, Detail)


def drifted(plan: Plan) -> Plan:
    """The plan reduced to what was changed outside git: fields, and sessions that were deleted, doubled or untagged."""
    actions = tuple(
        replace(action, fields=fields)
        for action in plan.actions
        if (fields := tuple(change for change in action.fields if change.cause in ("drift", "conflict")))
        or action.outside is not None
    )
    # What an apply tries first, overwrites or could restore is nothing that was changed outside git.
    notes = tuple(
        note for note in plan.notes if note.kind not in ("canary", "not-in-journal", ARCHIVED, DONE)
    )
    return replace(plan, actions=actions, notes=notes, refusals=(), about="drift")


def drift_to_document(plan: Plan, snapshot: Snapshot) -> dict[str, Any]:
    """The public form (``schemas/plan.schema.json``) of a plan that :func:`drifted` returned.

    ``snapshot`` is the one that the plan was made from; it knows when a session was last updated.
    """
    document = plan_to_document(replace(plan, actions=tuple(_as_done(action) for action in plan.actions)))
    document["summary"] |= dict.fromkeys(KINDS, 0)
    updated = {live.session_id: live.row.get("updated_at") for live in snapshot}
    for action, shown in zip(plan.actions, document["actions"], strict=True):
        shown["action"] = action.outside or "changed"
        shown.pop("unchanged", None)
        shown.pop("from", None)
        if action.outside is None:
            shown["reason"] = "changed outside git"
        elif action.outside == "double":
            shown["reason"] = f"live beside #{action.keeper}, with the same identity"
        at = updated.get(action.session_id or 0)
        if isinstance(at, str) and at:
            shown["updated_at"] = at
    return document


def _as_done(action: Action) -> Action:
    """The action with each value in the direction in which somebody changed it."""
    return replace(
        action,
        fields=tuple(
            replace(_turned(change), detail=tuple(map(_turned, change.detail))) for change in action.fields
        ),
    )


def _turned(change: Side) -> Side:
    return replace(change, before=change.after, after=change.before)
