"""The difference between two environments of a catalog, as a plan. Nothing in it is live."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from reconciler.domain import Catalog, Session
from reconciler.plan.compare import explain
from reconciler.plan.types import KINDS, PROTECTION, Action, Counts, FieldChange, Note, Plan
from reconciler.values import MISSING, same

#: The prefix and the suffix of the names in an environment.
Affixes: TypeAlias = tuple[str, str]


def diff_environments(one: Catalog, other: Catalog, affixes: tuple[Affixes, Affixes] | None = None) -> Plan:
    """The actions that turn the sessions of ``one`` into those of ``other``, by key. Can't be applied.

    ``affixes`` are those of the two environments: names are compared without them, since they differ as declared. None
    compares the whole names.
    """
    actions = []
    notes = []
    if affixes is not None and affixes[0] != affixes[1]:
        one, other = _bare(one, affixes[0]), _bare(other, affixes[1])
        message = "names are compared without `name_prefix` and `name_suffix` (--all shows them)"
        notes.append(Note("bare-names", message))
    for key, left in one.sessions.items():
        right = other.sessions.get(key)
        if right is None:
            fields = tuple(FieldChange(path, value, MISSING) for path, value in left.fields().items())
            actions.append(
                Action("delete", other.identity(key), None, left.name, f"not in {other.environment}", fields)
            )
        elif changes := _changes(left, right):
            reason = f"differs in {other.environment}"
            managed = tuple(right.fields())
            actions.append(Action("update", other.identity(key), None, right.name, reason, changes, managed))
    for key, right in other.sessions.items():
        if key not in one.sessions:
            fields = tuple(FieldChange(path, MISSING, value) for path, value in right.fields().items())
            actions.append(
                Action("create", other.identity(key), None, right.name, f"not in {one.environment}", fields)
            )
    actions.sort(key=lambda action: (KINDS.index(action.kind), action.key))
    equal = len(one.sessions.keys() & other.sessions.keys()) - sum(one.kind == "update" for one in actions)
    return Plan(
        catalog=other.name,
        environment=other.environment,
        endpoint=one.environment or "",
        actions=tuple(actions),
        counts=Counts(no_op=equal),
        notes=tuple(notes),
        about="environments",
    )


def _bare(catalog: Catalog, affixes: Affixes) -> Catalog:
    """The catalog with the names that its sessions have without these affixes."""
    prefix, suffix = affixes
    sessions = {
        key: replace(session, name=session.name.removeprefix(prefix).removesuffix(suffix))
        for key, session in catalog.sessions.items()
    }
    return replace(catalog, sessions=sessions)


def _changes(left: Session, right: Session) -> tuple[FieldChange, ...]:
    before, after = left.fields(), right.fields()
    before[PROTECTION], after[PROTECTION] = left.lifecycle.prevent_destroy, right.lifecycle.prevent_destroy
    changes = []
    for path in {**before, **after}:
        old, new = before.get(path, MISSING), after.get(path, MISSING)
        if old is MISSING or new is MISSING or not same(old, new):
            changes.append(FieldChange(path, old, new, None, explain(old, new)))
    return tuple(changes)
