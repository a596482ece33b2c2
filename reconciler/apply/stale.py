"""Is a plan still true? Compare what it was made against with what is live now."""

from __future__ import annotations

import json
from typing import Any

from reconciler.errors import Problem, Refused
from reconciler.model import LiveSession, Snapshot
from reconciler.plan.fingerprint import WHOLE_REMARK, fingerprint, observed
from reconciler.plan.model import MISSING, Action, Plan
from reconciler.values import same

_SHOWN = 80  # characters of a value in a message


def refuse_if_stale(plan: Plan, now: Snapshot) -> None:
    """Compare every session that the plan touches with the live one; others may have changed freely.

    Raises:
        Refused: a session moved. Names the session and field, what was planned against, and what was found.
    """
    by_id = {live.session_id: live for live in now}
    by_identity = {live.remark.tag.identity: live for live in now if live.remark.tag}
    problems: list[Problem] = []
    for action in plan.actions:
        if action.session_id is None:
            live = by_identity.get(action.identity)
            if live is not None:
                problems.append(
                    Problem(f"{action.key}: planned to be created, found live as #{live.session_id}")
                )
            continue
        live = by_id.get(action.session_id)
        if live is None:
            problems.append(
                Problem(f"{action.key} (#{action.session_id}): planned to {action.kind}, found gone")
            )
        else:
            problems += _moved(action, live)
    if problems:
        hint = "nothing was written: plan again, and review what has changed"
        raise Refused(
            [*problems, Problem("the plan is stale: what it was made against is not live any more", hint)]
        )


def _moved(action: Action, live: LiveSession) -> list[Problem]:
    seen = observed(live)
    if fingerprint(seen) == action.fingerprint:
        return []
    against = action.against
    paths = [
        path
        for path in {**against, **seen}
        if not _alike(against.get(path, MISSING), seen.get(path, MISSING))
    ]
    # The whole remark, with our tag in it, is named only where nothing else tells what moved.
    if len(paths) > 1 and WHOLE_REMARK in paths:
        paths.remove(WHOLE_REMARK)
    return [
        Problem(
            f"{action.key} (#{action.session_id}): {path} was {_short(against.get(path, MISSING))} "
            f"when planned, found {_short(seen.get(path, MISSING))}"
        )
        for path in paths
    ]


def _alike(left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING:
        return left is right
    return same(left, right)


def _short(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
