"""Guards: the limits on what a plan may do unless a flag allows more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.domain import Limit, Policy
from reconciler.plan.types import Action, Refusal
from reconciler.text.paste import flag


def refusals(
    actions: Sequence[Action],
    policy: Policy,
    *,
    managed: int,
    wanted: int,
    allow_empty: bool,
    allow_destroy: frozenset[str],
) -> tuple[Refusal, ...]:
    """The guards that refuse these actions, each with the exact flag that would allow them.

    ``managed`` is the number of managed live sessions, ``wanted`` the number of sessions in the catalog.
    """
    # A double that a run of our own made a moment ago, and that nobody spoke to, is no loss: it does not count.
    actions = [action for action in actions if not action.own_double]
    deletes = [action for action in actions if action.kind == "delete"]
    updates = [action for action in actions if action.kind in ("update", "adopt", "move", "forget")]
    found = []
    if deletes and not wanted and managed and not allow_empty:
        found.append(
            Refusal(
                "allow_empty",
                f"the catalog is empty, and all of its live sessions ({managed}) would be deleted",
                "--allow-empty",
            )
        )
    found += _over("max_deletes", policy.max_deletes, len(deletes), "delete", managed)
    found += _over("max_updates", policy.max_updates, len(updates), "update", managed)
    found += _over("max_changes", policy.max_changes, len(actions), "change", managed)
    found += [
        Refusal(
            "prevent_destroy",
            f"{action.key} (#{action.session_id}) is protected by lifecycle.prevent_destroy",
            flag("allow-destroy", action.key),
            action.key,
        )
        for action in deletes
        if action.protected and action.key not in allow_destroy
    ]
    if policy.on_conflict == "fail":
        found += _conflicts(actions)
    return tuple(found)


def _over(guard: str, limit: Limit | None, count: int, verb: str, managed: int) -> list[Refusal]:
    if limit is None or count <= limit.of(managed):
        return []
    bound = f"{limit} of {managed} managed" if limit.percent is not None else str(limit)
    allow = "--" + guard.replace("_", "-")
    return [
        Refusal(
            guard, f"it would {verb} {_sessions(count)}, and the policy allows {bound}", f"{allow}={count}"
        )
    ]


def _conflicts(actions: Iterable[Action]) -> list[Refusal]:
    return [
        Refusal(
            "on_conflict",
            f"{action.key} (#{action.session_id}): {change.path} was changed in git and outside of it",
            "--on-conflict=overwrite",
            action.key,
        )
        for action in actions
        for change in action.fields
        if change.cause == "conflict"
    ]


def _sessions(count: int) -> str:
    return f"{count} session" if count == 1 else f"{count} sessions"
