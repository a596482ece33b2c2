"""What the journal says about earlier restores of one archived session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RestoredBefore:
    """Earlier restores of an archived session.

    ``made`` are the ids of the sessions that they created, ``filled`` those of the successors that they added messages
    to. ``open`` has an entry for each create with an unknown outcome: the newest id that was live before it.
    """

    made: frozenset[int]
    filled: frozenset[int]
    open: tuple[int, ...]


def restored_before(entries: Iterable[Mapping[str, Any]], archive_id: str) -> RestoredBefore:
    """The earlier restores of this archived session, from the journal's entries."""
    made: set[int] = set()
    filled: set[int] = set()
    pending: dict[Any, int] = {}
    for entry in entries:
        if entry.get("restores") != archive_id:
            continue
        run, event, number = entry.get("run"), entry.get("event"), entry.get("session_id")
        if entry.get("action") == "fill" and event == "intent" and type(number) is int:
            filled.add(number)
        elif entry.get("action") != "create":
            continue
        elif event == "intent" and type(newest := entry.get("newest")) is int:
            pending[run] = newest
        elif event in ("applied", "failed"):
            pending.pop(run, None)
            if type(number) is int:
                made.add(number)
    return RestoredBefore(frozenset(made), frozenset(filled), tuple(pending.values()))
