"""The part of a plan that is drift: what was changed outside git, field by field."""

from __future__ import annotations

from dataclasses import replace

from reconciler.plan.types import Plan


def drifted(plan: Plan) -> Plan:
    """Only the sessions with fields that were changed outside git, and of them only these fields."""
    actions = tuple(
        replace(action, fields=fields)
        for action in plan.actions
        if (fields := tuple(change for change in action.fields if change.cause in ("drift", "conflict")))
    )
    return replace(plan, actions=actions, refusals=(), about="drift")
