"""Which writes are tried on one session before they are done to others.

A contract says of each call how it is known. What was seen in a client's code, or is assumed by analogy, may do
something else than it should: change another session, or several, or none. So an apply sends the first write of each
such call alone and looks at what it did (:mod:`reconciler.apply.canary`). The embedded server plays the contract, so
there is nothing to try on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from reconciler.contract import Contract
from reconciler.domain import LOCAL
from reconciler.plan.types import Action, ActionKind, Note, Plan

#: The call that carries out an action.
CALLS: Final[dict[ActionKind, str]] = {
    "create": "create_session",
    "update": "update_session",
    "adopt": "update_session",
    "move": "update_session",
    "forget": "update_session",
    "delete": "delete_session",
}

_WORDS: Final = {"create_session": "create", "update_session": "update", "delete_session": "delete"}


def canaries_due(contract: Contract, policy: int | None, endpoint: str) -> dict[str, int]:
    """How many writes of each call are to be sent alone first; calls without any are left out.

    ``policy`` is :attr:`reconciler.domain.Policy.canary`. It can't lower the number for a call that is not proven.
    """
    due: dict[str, int] = {}
    for name in _WORDS:
        operation = contract.operations.get(name)
        if operation is not None:
            needed = 0 if operation.proven or endpoint == LOCAL else 1
            due[name] = max(policy or 0, needed)
    return {name: count for name, count in due.items() if count}


def canary_notes(
    actions: Sequence[Action], contract: Contract | None, policy: int | None, endpoint: str
) -> list[Note]:
    """A note on what an apply of these actions tries first because the contract does not prove it."""
    if contract is None:
        return []
    due = canaries_due(contract, policy, endpoint)
    used = {CALLS[action.kind] for action in actions}
    words = [
        word
        for name, word in _WORDS.items()
        if name in used and name in due and not contract.operation(name).proven
    ]
    if not words:
        return []
    *most, last = words
    which = f"{', '.join(most)} and {last}" if most else last
    are, first = ("calls are", "of each ") if most else ("call is", "")
    return [
        Note(
            "canary",
            f"the contract's {which} {are} not proven: the first {first}is tried on one session, and the apply "
            "stops if the list shows anything else than it should. `reconciler doctor --probe --write=contract.yaml` "
            "proves them",
        )
    ]


def without_blame(plan: Plan, doubted: Collection[int]) -> Plan:
    """The plan without drift on sessions (by id) that an earlier canary may have left otherwise than their tags say.

    What such a write lost was not changed by anybody, so the cause of these differences is unknown.
    """
    if not doubted:
        return plan
    actions = []
    for action in plan.actions:
        if action.session_id in doubted and action.caused("drift"):
            fields = [replace(one, cause="unknown") if one.cause == "drift" else one for one in action.fields]
            action = replace(action, fields=tuple(fields))
        actions.append(action)
    return replace(plan, actions=tuple(actions))
