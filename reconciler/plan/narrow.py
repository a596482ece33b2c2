"""A part of a plan: for commands that do one thing to sessions that are named."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from reconciler.plan.types import ActionKind, Plan


def narrow(plan: Plan, kind: ActionKind, keys: Collection[str]) -> Plan:
    """Only the actions of this kind for these keys, with the refusals and notes that concern them."""
    return replace(
        plan,
        actions=tuple(action for action in plan.actions if action.kind == kind and action.key in keys),
        notes=tuple(note for note in plan.notes if note.key in keys),
        refusals=tuple(
            one
            for one in plan.refusals
            if one.guard in ("identity", "adopt") and any(one.message.startswith(f"{key} ") for key in keys)
        ),
        about="part",
    )
