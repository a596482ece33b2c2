"""Segments: several sweeps of one list at once, and when they are one.

Pages are read oldest first and have *n* rows. The position of a session is the number of sessions with lower ids. No
session appears below the edge (:mod:`reconciler.api.listing`), so the position of a session below it never rises.

**One segment** is a run of adjacent pages. They are read from the highest, *b*, to the lowest, *a*, and each is
requested after the one before was answered. Let *high* be the highest id on page *b*, or infinite if that page was
not full, since the list ended there; let *low* be the lowest id on page *a*, or minus infinite if that is page 1.

A segment has seen every session from *low* to *high* that existed throughout. Proof: when page *b* was read, the
position of such a session was below *b·n*, since its id is at most *high*. Suppose that its position is below *p·n*
when page *p* is read. Then it is on the page and is seen, or its position is below *(p-1)·n*, and still is when page
*p-1* is read. So a session that is on none of the pages has a position below *(a-1)·n* when page *a* is read. But
then its id is below *low*.

**Segments together** have seen everything that existed throughout up to the *high* of the last one, if the first one
has read page 1, and if no integer lies between the *high* of each and the *low* of the next. Deletions open such a
gap: while the upper segment is on its way down, rows from its lowest page fall to the highest page of the segment
below, which was read first of all. Then the upper segment goes on downwards until the gap is closed, at the latest
when it has read page 1. A gap is as wide as the sessions that were deleted meanwhile, so mostly one more page closes
it.

This needs pages of one size, which is checked on each of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(slots=True)
class Segment:
    """A run of adjacent pages, from the highest to the lowest. ``next`` is the page to be read next."""

    highest: int
    lowest: int
    next: int
    low: float = math.inf
    high: float = -math.inf

    def add(self, ids: Sequence[int], size: int) -> None:
        """Add the next page. A page past the end is empty."""
        if self.next == self.highest:
            self.high = ids[-1] if len(ids) == size else math.inf
        if self.next == 1:
            self.low = -math.inf
        else:
            self.low = ids[0] if ids else math.inf
        self.next -= 1


def split(pages: int, most: int) -> list[Segment]:
    """Pages 1 to ``pages`` in at most so many segments. The first one ends with page 1."""
    count = min(pages, most)
    ends = [pages * number // count for number in range(count + 1)]
    return [Segment(high, low + 1, high) for low, high in pairwise(ends)]


def in_turn(segments: Sequence[Segment]) -> list[tuple[Segment, int]]:
    """All pages of the segments, in the order in which they are to be requested.

    Between two pages of a segment, a page of each other one is read. So if as many pages are in flight as there are
    segments, each page is requested after the page before it in its segment was answered. The longest come first: then
    this holds for the last round, too, in which some have no page left.
    """
    longest = sorted(segments, key=lambda segment: (segment.lowest - segment.highest, -segment.highest))
    rounds = range(longest[0].highest - longest[0].lowest + 1)
    return [
        (segment, segment.highest - number)
        for number in rounds
        for segment in longest
        if segment.highest - number >= segment.lowest
    ]


def with_gap(segments: Sequence[Segment]) -> list[Segment]:
    """Those that have to go on downwards, since there may be a session between them and the segment below."""
    return [upper for lower, upper in pairwise(segments) if upper.low > lower.high + 1]
