"""Whether the sessions of others are as they were before a probe."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.domain import Snapshot

#: What a chat moves in a session without anybody writing to it.
_MOVES: Final = frozenset(("api_use_count", "updated_at"))

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two lists, compared by row: how many sessions there were, and what became of them.

    ``changed`` holds the fields in which a session changed; those that were ``used`` alone are not in it.
    """

    count: int
    gone: Collection[int]
    changed: Mapping[int, Collection[str]]
    used: int

    @property
    def untouched(self) -> bool:
        """Whether all are as they were."""
        return not self.gone and not self.changed

    def __str__(self) -> str:
        if self.untouched:
            count = self.count
            others = f"all {count} are as they were, field by field" if count else "there were no others"
            return others + (f"; {self.used} were used meanwhile" if self.used else "")
        words = []
        if self.gone:
            words.append(f"{_numbers(self.gone)} went")
        if self.changed:
            where = sorted({name for names in self.changed.values() for name in names})
            words.append(f"{_numbers(self.changed)} changed in {', '.join(where)}")
        return "; ".join(words)


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """What became of the sessions of the first list. Those that the second one has beside them do not matter."""
    now = {live.session_id: live.row for live in after}
    moved = {
        live.session_id: names
        for live in before
        if live.session_id in now and (names := _differing(live.row, now[live.session_id]))
    }
    changed = {number: names for number, names in moved.items() if not names <= _MOVES}
    gone = [live.session_id for live in before if live.session_id not in now]
    return Comparison(len(before), gone, changed, used=len(moved) - len(changed))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def _numbers(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(f"#{number}" for number in found[:_SHOWN]) + more
