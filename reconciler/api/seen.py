"""The sessions that a listing has seen. A session that is only counted takes nine bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, TypeAlias

from reconciler.domain import LeftOut, LiveSession, Others

#: What is kept of a row: the session, or who owns it if it is only counted.
Row: TypeAlias = LiveSession | Others

_KINDS: Final[dict[str, int]] = {"unmanaged": 1, "foreign": 2, "sibling": 3}
_KIND: Final = (
    3  # the bits of a mark that hold the kind, 0 for a session that is kept; the others hold the reading
)


class Seen:
    """Sessions by id, each with the number of the reading that saw it last (up to 63)."""

    def __init__(self) -> None:
        self._ids = array("q")  # growing
        self._marks = bytearray()  # one for each id
        self._kept: dict[int, LiveSession] = {}
        self._first = 0  # the lowest number of a reading

    def add(self, ids: Sequence[int], rows: Sequence[Row], reading: int) -> int | None:
        """Add rows with growing ids. Returns the first id that the same reading has seen before, if any."""
        if not ids:
            return None
        self._first = self._first or reading
        marks = bytearray(len(ids))
        for number, row in enumerate(rows):
            if isinstance(row, str):
                marks[number] = _KINDS[row] | reading << 2
            else:
                marks[number] = reading << 2
                self._kept[ids[number]] = row
        start, end = bisect_left(self._ids, ids[0]), bisect_right(self._ids, ids[-1])
        if start == end:  # nearly always: no id in the range of the page is known yet
            self._ids[start:start] = array("q", ids)
            self._marks[start:start] = marks
            return None
        twice = None
        for session_id, mark in zip(ids, marks, strict=True):
            place = bisect_left(self._ids, session_id)
            if place < len(self._ids) and self._ids[place] == session_id:
                twice = session_id if twice is None and self._marks[place] >> 2 == reading else twice
                self._marks[place] = mark
            else:
                self._ids.insert(place, session_id)
                self._marks.insert(place, mark)
        return twice

    def count(self, since: int, below: int) -> int:
        """How many lower ids were seen by this reading or a later one."""
        end = bisect_left(self._ids, below)
        if since <= self._first:
            return end
        return sum(mark >> 2 >= since for mark in self._marks[:end])

    def sessions(self, since: int) -> tuple[LiveSession, ...]:
        """The kept sessions that this reading or a later one saw, by id."""
        return tuple(
            self._kept[session_id]
            for session_id, mark in zip(self._ids, self._marks, strict=True)
            if not mark & _KIND and mark >> 2 >= since
        )

    def left_out(self, since: int) -> LeftOut:
        """How many sessions that this reading or a later one saw are only counted."""
        kinds = bytes(mark & _KIND for mark in self._marks if mark >> 2 >= since)
        return LeftOut(*(kinds.count(_KINDS[kind]) for kind in ("unmanaged", "foreign", "sibling")))
