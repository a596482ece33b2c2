"""What happened outside git to whole sessions: they were deleted, or their tags were removed or altered.

A plan only sees that a key is not live. The journal knows whether it was applied before, and comes in as data
(:class:`LastWrite`). A key that the journal does not know is new, which is no drift.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from reconciler.domain import LiveSession, Snapshot
from reconciler.ownership.account import Account, other_account
from reconciler.ownership.reserved import reserved_kind
from reconciler.plan.types import GONE, Action, Note, Outside, Plan, Refusal
from reconciler.text.paste import command

#: The kinds of notes on sessions that are live twice.
_DOUBLES: Final = ("duplicate-identity", "undecided-duplicate")

#: The kinds of notes on sessions that lost their tags, and can be taken over again.
_LOST: Final = ("tag-removed", "tag-altered")

#: How many sessions a message names.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class LastWrite:
    """The last apply of a key: the session (None if no response gave its id) and the day (``2026-11-26``)."""

    session_id: int | None
    day: str


def with_history(plan: Plan, snapshot: Snapshot, written: Mapping[str, LastWrite]) -> Plan:
    """The plan with the reason of each action whose session was applied before (``written``, by key).

    The snapshot has to hold the sessions that were written, whoever they belong to now.
    """
    lives = {live.session_id: live for live in snapshot}
    copies = {note.key: note.session_id for note in plan.notes if note.kind == "copy"}
    actions = [_explained(action, written.get(action.key), lives, copies) for action in plan.actions]
    shown = {(action.outside, action.key) for action in actions}
    ours = {one.session_id for one in written.values()}
    altered = {one.session_id for key, one in written.items() if ("tag-altered", key) in shown}

    def is_drift(note: Note) -> bool:
        if note.kind == "unreadable-tag" and note.session_id not in altered:
            live = lives.get(note.session_id or 0)
            return note.session_id in ours or _names_catalog(live, plan.catalog)
        if note.kind == GONE:
            return note.key is not None and note.key in written
        return note.kind == "copy" or (note.kind in _DOUBLES and ("double", note.key) not in shown)

    untagged = {key for outside, key in shown if outside == "tag-removed"}
    notes = [
        replace(note, drift=True) if is_drift(note) else note
        for note in plan.notes
        if note.kind != "same-name" or note.key not in untagged  # the way back is said of the very session
    ]
    copied = {
        number for note in plan.notes if note.kind == "copy" and (number := note.session_id) is not None
    }
    notes += [
        note for action in actions if (note := _way_back(action, written.get(action.key), lives, copied))
    ]
    return replace(plan, actions=tuple(actions), notes=tuple(notes))


def refuse_second_ones(plan: Plan) -> Plan:
    """The plan, refused if it would create keys a second time, beside sessions that were applied from here under these
    keys and lost their tags."""
    refused = {one.key for one in plan.refusals}
    again = [note for note in plan.notes if note.kind in _LOST and note.key not in refused]
    if not again:
        return plan
    keys = ", ".join(f"{note.key}" for note in again[:_NAMED])
    numbers = ", ".join(f"#{note.session_id}" for note in again[:_NAMED])
    more = f" and {len(again) - _NAMED} more" if len(again) > _NAMED else ""
    adopt = command(
        "adopt", *(f"{note.key}={note.session_id}" for note in again[:_NAMED]), environment=plan.environment
    )
    kinds = {note.kind for note in again}
    if len(again) == 1:
        they, them = f"which was applied as {keys}, is live", "it"
        how = {"tag-removed": "without its tag", "tag-altered": "with the tag of another session"}
    else:
        they, them = "which were applied from here, are live", "them"
        how = {"tag-removed": "without their tags", "tag-altered": "with the tags of other sessions"}
    refusal = Refusal(
        "allow_recreate",
        f"it would create {keys}{more} a second time: {numbers}{more}, {they} "
        f"{' or '.join(how[kind] for kind in _LOST if kind in kinds)}. To take {them} over again: {adopt}{more}",
        "--allow-recreate",
        again[0].key if len(again) == 1 else None,
    )
    return replace(plan, refusals=(*plan.refusals, refusal))


def _explained(
    action: Action,
    written: LastWrite | None,
    lives: Mapping[int, LiveSession],
    copies: Mapping[str | None, int | None],
) -> Action:
    """The action with what happened outside git. ``copies`` are copies of sessions, by the key in their tags."""
    if action.keeper is not None:
        return replace(action, outside="double")
    if action.kind == "create" and written is None and action.key in copies:
        reason = f"deleted outside git: #{copies[action.key]} is a copy of it, so it was live"
        return replace(action, reason=reason, outside="deleted")
    if written is None or action.kind not in ("create", "adopt"):
        return action
    number = written.session_id
    live = None if number is None else lives.get(number)
    on = f"applied on {written.day}"
    if action.kind == "adopt":
        if action.session_id != number:
            return action
        return replace(action, reason=f"its tag was removed outside git ({on})", outside="tag-removed")
    outside: Outside
    if live is None:
        was = f"it was #{number}, {on}" if number is not None else on
        outside, reason = "deleted", f"deleted outside git: {was}"
    elif live.remark.unreadable:
        outside, reason = "tag-altered", f"the tag of #{number} was altered outside git ({on})"
    elif live.remark.tag is not None:
        outside = "tag-altered"
        reason = f"the tag of #{number} was altered outside git: it says {live.remark.tag.identity} ({on})"
    elif reserved_kind(live) is not None:
        return action
    else:
        outside, reason = "tag-removed", f"the tag of #{number} was removed outside git ({on})"
    return replace(action, reason=reason, outside=outside)


def _way_back(
    action: Action, written: LastWrite | None, lives: Mapping[int, LiveSession], copied: Collection[int]
) -> Note | None:
    """How to adopt a session that lost its tag or has that of another one, before an apply creates a second one.
    ``copied`` are the ids of copies."""
    if action.kind != "create" or written is None or written.session_id is None:
        return None
    number = written.session_id
    if action.outside == "tag-removed":
        how = "without its tag"
    elif action.outside == "tag-altered" and number in copied:
        how = "with the tag of another session"
    else:
        return None
    adopt = command("adopt", f"{action.key}={number}", environment=action.identity.environment)
    message = f"it is live {how}, so apply would create a second one: {adopt} takes it over again, with its messages"
    return Note(action.outside, message, action.key, number)


def _names_catalog(live: LiveSession | None, catalog: str) -> bool:
    """Whether what is left of an unreadable tag names this catalog."""
    text = "" if live is None else (live.raw_remark or "").replace(": ", ":")
    return f'"catalog":{json.dumps(catalog)}' in text


def other_account_note(plan: Plan, expected: Account, snapshot: Snapshot) -> Plan:
    """The plan with a note if the listed account is not that of the last apply (``expected``)."""
    live = {one.session_id for one in snapshot}
    whole = f"{plan.catalog}@{plan.environment}" if plan.environment else plan.catalog
    made = f"the last apply of {whole} from here was"
    sentence = other_account(made, expected, snapshot.account, live)
    if not sentence:
        return plan
    note = Note("other-account", f"{sentence}. Apply asks before it writes there")
    return replace(plan, notes=(note, *plan.notes))
