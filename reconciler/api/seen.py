"""The sessions that a listing has seen. A session that is only counted takes nine bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from reconciler.domain import LeftOut, LiveSession, Others

#: What is kept of a row: the session, or who owns it if it is only counted.
Row: TypeAlias = LiveSession | Others

_KINDS: Final[dict[Others, int]] = {"unmanaged": 1, "foreign": 2}
_NAMES: Final[dict[int, Others]] = {number: name for name, number in _KINDS.items()}


class Seen:
    """Sessions by id."""

    def __init__(self) -> None:
        self._ids = array("q")  # growing
        self._kinds = bytearray()  # one for each id, 0 for a session that is kept
        self._kept: dict[int, LiveSession] = {}

    def add(self, ids: Sequence[int], rows: Sequence[Row]) -> int | None:
        """Add rows with growing ids. Returns the first id that was seen before, if any."""
        if not ids:
            return None
        kinds = bytearray(len(ids))
        for number, row in enumerate(rows):
            if isinstance(row, str):
                kinds[number] = _KINDS[row]
                self._kept.pop(ids[number], None)
            else:
                self._kept[ids[number]] = row
        start, end = bisect_left(self._ids, ids[0]), bisect_right(self._ids, ids[-1])
        if start == end:  # nearly always: no id in the range of the page is known yet
            self._ids[start:start] = array("q", ids)
            self._kinds[start:start] = kinds
            return None
        twice = None
        for session_id, kind in zip(ids, kinds, strict=True):
            place = bisect_left(self._ids, session_id)
            if place < len(self._ids) and self._ids[place] == session_id:
                twice = session_id if twice is None else twice
                self._kinds[place] = kind
            else:
                self._ids.insert(place, session_id)
                self._kinds.insert(place, kind)
        return twice

    def remove(self, session_id: int) -> None:
        """Forget a session that was seen."""
        place = bisect_left(self._ids, session_id)
        del self._ids[place], self._kinds[place]
        self._kept.pop(session_id, None)

    def row(self, session_id: int) -> Row | None:
        """What was seen of a session; None if it was not seen."""
        place = bisect_left(self._ids, session_id)
        if place == len(self._ids) or self._ids[place] != session_id:
            return None
        kind = self._kinds[place]
        return _NAMES[kind] if kind else self._kept[session_id]

    @property
    def ids(self) -> array[int]:
        """All ids, growing. Not to be changed."""
        return self._ids

    @property
    def kept(self) -> Mapping[int, LiveSession]:
        """The kept sessions by id, in any order."""
        return self._kept

    def count(self, below: int) -> int:
        """How many lower ids were seen."""
        return bisect_left(self._ids, below)

    @property
    def newest(self) -> int:
        """The highest id; 0 if there is none."""
        return self._ids[-1] if self._ids else 0

    def sessions(self) -> tuple[LiveSession, ...]:
        """The kept sessions, by id."""
        return tuple(
            self._kept[session_id]
            for session_id, kind in zip(self._ids, self._kinds, strict=True)
            if not kind
        )

    def differing(self, before: Seen) -> list[tuple[int, Row | None, Row | None]]:
        """What differs from what was seen before: the id, and what was and is kept of the session, if anything."""
        found = []
        for session_id in sorted({*self._ids, *before._ids}):
            was, row = before.row(session_id), self.row(session_id)
            if was is not row and was != row:
                found.append((session_id, was, row))
        return found

    def left_out(self) -> LeftOut:
        """How many sessions are only counted."""
        return LeftOut(**{name: self._kinds.count(number) for name, number in _KINDS.items()})
