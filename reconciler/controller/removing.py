"""Removal: all sessions of a watched catalog are archived and deleted, since whatever asked for them is deleted itself.

The plan is that of the catalog without its sessions. What git forgets or hands over goes where git says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reconciler.apply.journal_facts import JournalFacts
from reconciler.domain import Catalog, Snapshot, Written
from reconciler.plan.build import make_plan
from reconciler.plan.types import Plan, Refusal

_REASON: Final = "all sessions of the catalog are removed"


@dataclass(frozen=True, slots=True)
class Removed:
    """A finished removal: no session of the catalog is live. ``keys`` are those of the sessions that runs from this
    state folder deleted for it, one for each session. ``left_alone`` says which others have tags, if there are any."""

    catalog: str
    environment: str | None
    keys: tuple[str, ...]
    left_alone: str = ""


def without_sessions(catalog: Catalog) -> Catalog:
    """The catalog as if all of its sessions were taken out of git."""
    return replace(catalog, sessions={}, adopt={}, tests={}, generated=frozenset())


def removal_plan(catalog: Catalog, snapshot: Snapshot, written: Written | None) -> Plan:
    """The plan that removes all sessions of a catalog. A session is protected if the catalog says so, or if it is not
    in the catalog and its tag says so: there is no flag that could allow a removal."""
    protects = {key: one.lifecycle.prevent_destroy for key, one in catalog.sessions.items()}
    plan = make_plan(without_sessions(catalog), snapshot, allow_empty=True, written=written)
    actions = [replace(one, reason=_REASON) if one.kind == "delete" else one for one in plan.actions]
    refusals = [one for one in plan.refusals if one.guard != "prevent_destroy"]
    refusals += [
        Refusal(
            "prevent_destroy",
            f"{action.key} (#{action.session_id}) is protected by lifecycle.prevent_destroy",
            "set it to false in git",
            action.key,
        )
        for action in actions
        if action.kind == "delete" and protects.get(action.key, action.protected)
    ]
    return replace(plan, actions=tuple(actions), refusals=tuple(refusals))


def removed(plan: Plan, facts: JournalFacts, asked_by: str) -> Removed:
    """What a removal did, by its last plan, which has nothing to do. ``asked_by`` is its mark in the journal."""
    runs = {
        entry.get("run")
        for entry in facts.entries
        if entry.get("event") == "start" and entry.get("removal") == asked_by
    }
    # None is live any more: what was begun has been done, whether or not its answer came.
    deleted = {
        entry.get("session_id"): str(entry.get("key"))
        for entry in facts.entries
        if entry.get("event") == "intent" and entry.get("action") == "delete" and entry.get("run") in runs
    }
    copies = sum(note.kind == "copy" for note in plan.notes)
    unreadable = sum(note.kind == "unreadable-tag" for note in plan.notes)
    told = [
        f"{copies} made outside git as {'a copy' if copies == 1 else 'copies'}" if copies else "",
        f"{unreadable} with a tag that can't be read" if unreadable else "",
    ]
    left = " and ".join(one for one in told if one)
    return Removed(plan.catalog, plan.environment, tuple(sorted(deleted.values())), left)
