"""The drift in a plan: what was changed outside git, field by field, and what happened to sessions as a whole."""

from __future__ import annotations

from dataclasses import replace

from reconciler.plan.chats import ARCHIVED
from reconciler.plan.types import Plan


def drifted(plan: Plan) -> Plan:
    """The plan reduced to what was changed outside git: fields, and sessions that were deleted, doubled or untagged."""
    actions = tuple(
        replace(action, fields=fields)
        for action in plan.actions
        if (fields := tuple(change for change in action.fields if change.cause in ("drift", "conflict")))
        or action.outside is not None
    )
    # What an apply tries first, and what it could restore, is nothing that was changed outside git.
    notes = tuple(note for note in plan.notes if note.kind not in ("canary", ARCHIVED))
    return replace(plan, actions=actions, notes=notes, refusals=(), about="drift")
