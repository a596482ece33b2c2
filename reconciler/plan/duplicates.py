"""Choose which of several sessions with one identity stays, if no tag distinguishes them.

Concurrent runs or a lagging list create such sessions, or somebody copies a session that was never updated. The choice:

- One with messages stays before one without.
- Of equals, the one whose tag names this very session stays, and else the oldest, which has the lowest id.
- If the number of messages is unknown, all stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.domain import LiveSession
from reconciler.plan.types import UNDECIDED, Note

#: Of how many such sessions a run counts the messages: each takes a call or more. A single group may have more.
MOST_COUNTED: Final = 40


def to_count(groups: Iterable[Sequence[LiveSession]]) -> tuple[list[LiveSession], frozenset[int]]:
    """The sessions to count the messages of, and the numbers of those that come after them.

    Only whole groups are of use. The smallest come first, and the first is counted however large it is, so that each
    run settles at least one.
    """
    counted: list[LiveSession] = []
    beyond: set[int] = set()
    for group in sorted(groups, key=len):
        if counted and len(counted) + len(group) > MOST_COUNTED:
            beyond.update(live.session_id for live in group)
        else:
            counted += group
    return counted, frozenset(beyond)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The session that stays. None stands for "not known yet": then none may be deleted."""

    keeper: LiveSession | None
    note: Note


def resolve(
    key: str, lives: Sequence[LiveSession], messages: Mapping[int, int], uncounted: Collection[int] = ()
) -> Resolved:
    """Choose the session that stays. ``messages`` says by session_id how many each has, as far as that is known;
    ``uncounted`` are those beyond :data:`MOST_COUNTED`."""
    what = f"{len(lives)} live sessions have this identity"
    if any(live.session_id not in messages for live in lives):
        told = ", ".join(f"#{live.session_id}" for live in lives)
        if any(live.session_id in uncounted for live in lives):
            message = (
                f"{what}: {told}. A run counts the messages of {MOST_COUNTED} such sessions at most, and these come "
                "after them, so all are left alone: the next run goes on with them once the others are settled"
            )
            return Resolved(None, Note(UNDECIDED, message, key))
        message = (
            f"{what}: {told}. It is not known how many messages each of them has, so all are left alone: "
            "plan again against the live list, or delete the ones that are not wanted"
        )
        return Resolved(None, Note(UNDECIDED, message, key))
    keeper = min(lives, key=lambda live: (not messages[live.session_id], not _is_sure(live), live.session_id))
    told = ", ".join(f"#{live.session_id} ({_count(messages[live.session_id])})" for live in lives)
    return Resolved(keeper, Note("duplicate-identity", f"{what}: {told}; #{keeper.session_id} stays", key))


def _is_sure(live: LiveSession) -> bool:
    return live.remark.tag is not None and live.remark.tag.session_id == live.session_id


def _count(messages: int) -> str:
    if not messages:
        return "no messages"
    return "1 message" if messages == 1 else f"{messages} messages"
