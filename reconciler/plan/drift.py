"""The drift in a plan: what was changed outside git, field by field."""

from __future__ import annotations

from dataclasses import replace

from reconciler.plan.types import Plan


def drifted(plan: Plan) -> Plan:
    """The plan reduced to the fields that were changed outside git, and to the sessions that have such fields."""
    actions = tuple(
        replace(action, fields=fields)
        for action in plan.actions
        if (fields := tuple(change for change in action.fields if change.cause in ("drift", "conflict")))
    )
    # What an apply tries first is nothing that was changed outside git.
    notes = tuple(note for note in plan.notes if note.kind != "canary")
    return replace(plan, actions=actions, notes=notes, refusals=(), about="drift")
