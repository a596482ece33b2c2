"""What the journal knows about a difference that a tag does not: the write that caused it was a canary."""

from __future__ import annotations

from pathlib import Path

from reconciler.apply import journal as journals
from reconciler.apply.journal import failed_canaries, read_journal
from reconciler.plan.canaries import without_blame
from reconciler.plan.types import Plan


def without_own_damage(plan: Plan, state: Path) -> Plan:
    """The plan, where what a canary of this machine's lost is not called drift. ``state`` is the state folder."""
    if not any(action.caused("drift") for action in plan.actions):
        return plan
    return without_blame(plan, failed_canaries(read_journal(state / journals.FILE), plan.endpoint))
