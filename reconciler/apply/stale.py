"""Checks that a plan is not stale: compares the sessions that it was made against with those that are live now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import Problem, Refused
from reconciler.ownership.tag import Identity
from reconciler.plan.fingerprint import WHOLE_REMARK, fingerprint, observed
from reconciler.plan.types import Action, Plan
from reconciler.values import MISSING, same

_SHOWN = 80  # characters of a value in a message


def refuse_if_applied(digest: str, entries: Iterable[Mapping[str, Any]]) -> None:
    """See in the journal that no run has written anything for the saved plan with this digest.

    Raises:
        Refused: one has. The message names the run, and says how far it came.
    """
    runs: dict[Any, str] = {}  # the runs of this plan, and when they began
    wrote: set[Any] = set()
    left: dict[Any, Any] = {}  # by run that ended: how many actions were not applied
    for entry in entries:
        run, event = entry.get("run"), entry.get("event")
        if event == "start" and entry.get("plan") == digest:
            runs[run] = str(entry.get("at"))[:16].replace("T", " ")
        elif run in runs and event == "intent":
            wrote.add(run)
        elif run in runs and event == "end":
            left[run] = any(entry.get(name) for name in ("failed", "unknown", "not_tried"))
    for run in wrote:
        part = "" if left.get(run) is False else " in part"
        raise Refused(
            f"the plan was already applied{part} in run {run}, on {runs[run]} UTC: it is stale",
            "plan again; `reconciler history` shows what that run did",
        )


def refuse_if_stale(plan: Plan, now: Snapshot) -> None:
    """Compare every session of the plan's actions with the live one. Other sessions may have changed.

    Raises:
        Refused: a session has changed. The problems name the session and field, the planned value, and the live one.
    """
    by_id = {live.session_id: live for live in now}
    by_identity: dict[Identity, list[int]] = {}
    for live, tag in plan.tagged(now):
        by_identity.setdefault(tag.identity, []).append(live.session_id)
    leaving = {action.session_id for action in plan.actions if action.kind in ("move", "forget", "delete")}
    problems: list[Problem] = []
    for action in plan.actions:
        staying = [one for one in by_identity.get(action.identity, []) if one not in leaving]
        problems += _taken(action, staying)
        if action.session_id is None:
            continue
        found = by_id.get(action.session_id)
        if found is None:
            problems.append(
                Problem(f"{action.key} (#{action.session_id}): planned to {action.kind}, found gone")
            )
        else:
            label = f"{action.key} (#{action.session_id})"
            problems += [Problem(f"{label}: {one}") for one in moved(action, found)]
    if problems:
        hint = "nothing was written: plan again and review what changed"
        raise Refused(
            [*problems, Problem("the plan is stale: sessions have changed since it was made", hint)]
        )


def _taken(action: Action, staying: Sequence[int]) -> list[Problem]:
    """The problems with the identity of an action: no other session may have the identity that the action gives, and
    the session that keeps it when another is deleted must still exist."""
    others = [number for number in staying if number != action.session_id]
    if action.kind == "create" and others:
        return [Problem(f"{action.key}: planned to be created, found live as #{others[0]}")]
    if action.kind in ("adopt", "move") and others:
        what = f"{action.key} (#{action.session_id}): planned to {action.kind}"
        return [Problem(f"{what}, found {action.identity} live as #{others[0]}")]
    if action.keeper is not None and action.keeper not in others:
        what = f"{action.key} (#{action.session_id}): planned to delete while #{action.keeper} stays"
        return [Problem(f"{what}, found that one gone")]
    return []


def moved(action: Action, live: LiveSession) -> list[str]:
    """The fields of a session that have changed since the plan, each with its planned and its live value."""
    seen = observed(live)
    if fingerprint(seen) == action.fingerprint:
        return []
    against = action.against
    paths = [
        path
        for path in {**against, **seen}
        if not _alike(against.get(path, MISSING), seen.get(path, MISSING))
    ]
    # The whole remark, which contains our tag, is named only if no other field explains the difference.
    if len(paths) > 1 and WHOLE_REMARK in paths:
        paths.remove(WHOLE_REMARK)
    return [
        f"{path} was {_short(against.get(path, MISSING))} when planned, found {_short(seen.get(path, MISSING))}"
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
