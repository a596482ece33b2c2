"""Patience diff: which items two sequences have in common, in order.

Common prefixes and suffixes are removed; items that occur exactly once on both sides are anchors; the stretches between
anchors are compared in the same way. A stretch without anchors is compared item by item if it is small, or searched for
a few edits; otherwise it counts as replaced. :mod:`difflib` would find a little more there, and take minutes
for long repetitive texts; here time grows with the length, whatever is in it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence

#: A stretch without anchors is compared item by item up to this many pairs of items …
CELLS = 4_096
#: … and this many for all stretches of one comparison together.
BUDGET = 200_000
#: How deep anchors are looked for between anchors.
DEPTH = 16
#: Up to this many edits are looked for in a longer stretch without anchors.
EDITS = 100


def matches(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int, int]]:
    """The runs ``(start in a, start in b, length)`` that both have in common, in order, none touching."""
    runs: list[tuple[int, int, int]] = []
    for i, j, size in _Comparison(a, b).runs(0, len(a), 0, len(b), DEPTH):
        if runs and runs[-1][0] + runs[-1][2] == i and runs[-1][1] + runs[-1][2] == j:
            runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + size)
        else:
            runs.append((i, j, size))
    return runs


class _Comparison:
    def __init__(self, a: Sequence[Hashable], b: Sequence[Hashable]) -> None:
        self.a, self.b = a, b
        self.budget = BUDGET

    def runs(self, i: int, i_end: int, j: int, j_end: int, depth: int) -> Iterator[tuple[int, int, int]]:
        a, b = self.a, self.b
        start = i
        while i < i_end and j < j_end and a[i] == b[j]:
            i, j = i + 1, j + 1
        if i > start:
            yield start, j - (i - start), i - start
        tail = 0
        while i < i_end - tail and j < j_end - tail and a[i_end - 1 - tail] == b[j_end - 1 - tail]:
            tail += 1
        i_end, j_end = i_end - tail, j_end - tail
        if i < i_end and j < j_end:
            yield from self._between(i, i_end, j, j_end, depth)
        if tail:
            yield i_end, j_end, tail

    def _between(self, i: int, i_end: int, j: int, j_end: int, depth: int) -> Iterator[tuple[int, int, int]]:
        anchors = self._anchors(i, i_end, j, j_end) if depth else []
        if anchors:
            for x, y in anchors:
                if x < i or y < j:
                    continue  # lies in a run that was found on the way
                yield from self.runs(i, x, j, y, depth - 1)
                size = 1
                while x + size < i_end and y + size < j_end and self.a[x + size] == self.b[y + size]:
                    size += 1
                yield x, y, size
                i, j = x + size, y + size
            yield from self.runs(i, i_end, j, j_end, depth - 1)
            return
        cells = (i_end - i) * (j_end - j)
        if cells <= CELLS and cells <= self.budget:
            self.budget -= cells
            yield from self._by_item(i, i_end, j, j_end)
        else:
            yield from self._by_edits(i, i_end, j, j_end)

    def _anchors(self, i: int, i_end: int, j: int, j_end: int) -> list[tuple[int, int]]:
        """The longest increasing chain of items that occur exactly once in both stretches."""
        in_a = _once(self.a, i, i_end)
        in_b = _once(self.b, j, j_end)
        pairs = [(x, in_b[item]) for item, x in in_a.items() if item in in_b]
        pairs.sort()
        ends: list[int] = []  # the smallest end of a chain of each length …
        chain: list[int] = []  # … and which pair it is
        before: list[int] = []
        for at, (_, y) in enumerate(pairs):
            length = bisect_left(ends, y)
            before.append(chain[length - 1] if length else -1)
            if length == len(ends):
                ends.append(y)
                chain.append(at)
            else:
                ends[length], chain[length] = y, at
        found: list[tuple[int, int]] = []
        at = chain[-1] if chain else -1
        while at >= 0:
            found.append(pairs[at])
            at = before[at]
        return found[::-1]

    def _by_item(self, i: int, i_end: int, j: int, j_end: int) -> Iterator[tuple[int, int, int]]:
        """The longest common subsequence, by dynamic programming."""
        a, b = self.a[i:i_end], self.b[j:j_end]
        width = len(b) + 1
        table = [[0] * width for _ in range(len(a) + 1)]
        for x in range(len(a) - 1, -1, -1):
            row, below, item = table[x], table[x + 1], a[x]
            for y in range(len(b) - 1, -1, -1):
                row[y] = below[y + 1] + 1 if item == b[y] else max(below[y], row[y + 1])
        x = y = 0
        while x < len(a) and y < len(b):
            if a[x] == b[y]:
                yield i + x, j + y, 1
                x, y = x + 1, y + 1
            elif table[x + 1][y] >= table[x][y + 1]:
                x += 1
            else:
                y += 1

    def _by_edits(self, i: int, i_end: int, j: int, j_end: int) -> Iterator[tuple[int, int, int]]:
        """A longest common subsequence if few edits lead from one stretch to the other, else nothing.

        Myers' greedy algorithm (An O(ND) Difference Algorithm, 1986): for each number of edits, how far each diagonal
        gets. It needs no item that occurs once, so a few changes in a repetitive text are found wherever they are.
        """
        a, b, n, m = self.a, self.b, i_end - i, j_end - j
        reached = {1: 0}
        trace: list[dict[int, int]] = []
        for edits in range(EDITS + 1):
            trace.append(dict(reached))
            for k in range(-edits, edits + 1, 2):
                down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
                x = reached[k + 1] if down else reached[k - 1] + 1
                while x < n and x - k < m and a[i + x] == b[j + x - k]:
                    x += 1
                reached[k] = x
                if x >= n and x - k >= m:
                    yield from ((i + s, j + s - d, size) for s, d, size in _path(trace, k, n))
                    return
            self.budget -= edits
            if abs(n - m) > EDITS or self.budget < 0:
                return


def _path(trace: Sequence[dict[int, int]], k: int, x: int) -> list[tuple[int, int, int]]:
    """The runs of a traced comparison: start in the first stretch, diagonal, length."""
    runs: list[tuple[int, int, int]] = []
    for edits in range(len(trace) - 1, -1, -1):
        reached = trace[edits]
        down = k == -edits or (k != edits and reached[k - 1] < reached[k + 1])
        start = 0 if not edits else (reached[k + 1] if down else reached[k - 1] + 1)
        if x > start:
            runs.append((start, k, x - start))
        if edits:
            k, x = (k + 1, reached[k + 1]) if down else (k - 1, reached[k - 1])
    return runs[::-1]


def _once(items: Sequence[Hashable], start: int, end: int) -> dict[Hashable, int]:
    """The positions of the items that occur exactly once in a stretch."""
    found: dict[Hashable, int] = {}
    for at in range(start, end):
        item = items[at]
        found[item] = -1 if item in found else at
    return {item: at for item, at in found.items() if at >= 0}
