"""What a plan means for messages: how many a delete takes away, and how many a create could get back.

Both come in as data: the counts from the service (``api/messages.py``), the archive from this machine's disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from reconciler.plan.types import Note, Plan

#: The kind of the note on a session that would be created although its earlier messages are in the archive.
ARCHIVED: Final = "archived"


@dataclass(frozen=True, slots=True)
class ArchivedChat:
    """A deleted session in the archive: the day of its delete (``2026-11-26``), the run that deleted it, how many
    messages it had, and the command that restores it."""

    day: str
    run: str
    messages: int
    restore: str


def uncounted(plan: Plan) -> list[int]:
    """The sessions to delete, by id, of which the plan does not know how many messages they have."""
    return [
        action.session_id
        for action in plan.actions
        if action.kind == "delete" and action.messages is None and action.session_id is not None
    ]


def with_counts(plan: Plan, counts: Mapping[int, int]) -> Plan:
    """The plan, with how many messages each delete takes away. ``counts`` are by session_id."""
    asked = set(uncounted(plan))
    actions = tuple(
        replace(action, messages=counts.get(action.session_id)) if action.session_id in asked else action
        for action in plan.actions
    )
    return replace(plan, actions=actions)


def with_archived(plan: Plan, archived: Mapping[str, ArchivedChat]) -> Plan:
    """The plan, with a note on each session to create that has messages in the archive (``archived``, by key)."""
    notes = [
        Note(ARCHIVED, _comes_back(found), action.key)
        for action in plan.actions
        if action.kind == "create" and (found := archived.get(action.key))
    ]
    return replace(plan, notes=(*plan.notes, *notes))


def _comes_back(found: ArchivedChat) -> str:
    messages = "1 message" if found.messages == 1 else f"{found.messages:,} messages"
    them = "it" if found.messages == 1 else "them"
    return (
        f"apply would create an empty session. Deleted on {found.day} by run {found.run}, {messages}: "
        f"{found.restore} brings {them} back"
    )
