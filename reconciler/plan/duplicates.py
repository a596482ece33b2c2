"""Sessions of one identity, which no tag tells apart: which of them stays.

Two runs at once make them, or a list that lags; or somebody copies a session that has had no update yet. One with
messages is never deleted while one without stays; of equals, the one whose tag says that it was written on this very
session stays, and then the oldest, which has the lowest id. Where it is not known how many messages each has, all stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.domain import LiveSession
from reconciler.plan.types import UNDECIDED, Note


@dataclass(frozen=True, slots=True)
class Resolved:
    """Which of some sessions stays. None stands for "not known yet": then none may be deleted."""

    keeper: LiveSession | None
    note: Note


def resolve(key: str, lives: Sequence[LiveSession], messages: Mapping[int, int]) -> Resolved:
    """Choose the session that stays. ``messages`` says by session_id how many each has, as far as that is known."""
    what = f"{len(lives)} live sessions have this identity"
    if any(live.session_id not in messages for live in lives):
        told = ", ".join(f"#{live.session_id}" for live in lives)
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
