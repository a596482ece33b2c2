"""A plan as its public JSON (``schemas/plan.schema.json``), the only form that renderers see."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reconciler import __version__
from reconciler.behaviour.results import tests_to_document
from reconciler.plan.types import About, Action, Detail, FieldChange, Note, Plan, Refusal
from reconciler.values import MISSING

FORMAT_VERSION = "1.2"


def plan_to_document(plan: Plan) -> dict[str, Any]:
    """The plan's public form."""
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "reconciler_version": __version__,
        "catalog": plan.catalog,
        "environment": plan.environment,
        "endpoint": plan.endpoint,
        "summary": _summary(plan),
        "actions": [_action(action, plan.about) for action in plan.actions],
        "notes": [_note(note) for note in plan.notes],
        "refusals": [_refusal(one) for one in plan.refusals],
    }
    if plan.about is not None:
        document["about"] = plan.about
    if plan.tests is not None:
        document["tests"] = tests_to_document(plan.tests)
    if plan.listing is not None:
        document["listing"] = asdict(plan.listing)
    return document


def _summary(plan: Plan) -> dict[str, int]:
    counts = plan.counts
    summary = {
        "create": plan.count("create"),
        "update": plan.count("update"),
        "delete": plan.count("delete"),
        "adopt": plan.count("adopt"),
        "move": plan.count("move"),
        "forget": plan.count("forget"),
        "no_op": counts.no_op,
        "drift": sum(action.caused("drift") or action.outside is not None for action in plan.actions)
        + sum(note.drift for note in plan.notes),
        "conflict": sum(action.caused("conflict") for action in plan.actions),
        "managed": counts.managed,
        "unmanaged": counts.unmanaged,
        "foreign": counts.foreign,
        "unreadable": counts.unreadable,
        "copies": counts.copies,
        "own_doubles": sum(action.own_double for action in plan.actions),
        "rewritten": counts.rewritten,
    }
    if counts.other_environments:
        summary["other_environments"] = counts.other_environments
    if counts.not_looked_at:
        summary["not_looked_at"] = counts.not_looked_at
    return summary


def _action(action: Action, about: About | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "action": action.kind,
        "key": action.key,
        "session_id": action.session_id,
        "name": action.name,
        "reason": action.reason,
        "fields": [_field(change) for change in action.fields],
    }
    if action.caused("drift") or action.caused("conflict") or action.outside is not None:
        document["drift"] = True
    if action.outside is not None:
        document["outside"] = action.outside
    if action.kind not in ("create", "delete"):
        document["unchanged"] = action.unchanged
    if action.kind == "delete" and about != "environments":
        document["messages"] = action.messages
    if action.own_double:
        document["own_double"] = True
    if action.moved_from is not None:
        document["from"] = str(action.moved_from)
    return document


def _note(note: Note) -> dict[str, Any]:
    document: dict[str, Any] = {
        "kind": note.kind,
        "message": note.message,
        "key": note.key,
        "session_id": note.session_id,
    }
    if note.drift:
        document["drift"] = True
    return document


def _refusal(refusal: Refusal) -> dict[str, Any]:
    document = {"guard": refusal.guard, "message": refusal.message, "allow": refusal.allow}
    if refusal.key is not None:
        document["key"] = refusal.key
    return document


def _field(change: FieldChange) -> dict[str, Any]:
    document = _sides(change)
    if change.cause is not None:
        document["cause"] = change.cause
    if change.detail:
        document["detail"] = [_sides(detail) for detail in change.detail]
    return document


def _sides(change: FieldChange | Detail) -> dict[str, Any]:
    document: dict[str, Any] = {"path": change.path}
    if change.before is not MISSING:
        document["before"] = change.before
    if change.after is not MISSING:
        document["after"] = change.after
    return document
