"""Near-duplicate texts, found in time linear in their number and length.

A text is split into tokens (a word, or a Chinese or kana character); every four consecutive tokens are a shingle. The
smallest hashes of the shingles are kept: texts that share most shingles share most of these, so the share of common
hashes estimates the similarity of the texts (bottom-k sketches: Broder, "On the resemblance and containment of
documents", 1997). Texts are compared only where they share one of their very smallest hashes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Final, NamedTuple
from zlib import crc32

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)
_SHINGLE: Final = 4
#: How many hashes of a text are kept. The error of a share is about 1/sqrt(128), 9 points, and smaller near 100 %.
_KEPT: Final = 128
#: How many of the smallest hashes are looked up, and with how many other texts of the same hash a text is compared.
_LOOKED_UP: Final = 6
_COMPARED: Final = 8
#: Only this many characters of a text are compared.
MAX_TEXT: Final = 200_000


class Pair(NamedTuple):
    """Two texts by name, and the share of them that is the same, from 0 to 1. ``other`` comes first in the catalog."""

    one: str
    other: str
    share: float


def similar(texts: Mapping[str, str], share: float) -> list[Pair]:
    """For each text, the most similar text before it, if at least this share of them is the same."""
    found: list[Pair] = []
    sketches: dict[str, list[int]] = {}
    known: dict[int, list[str]] = defaultdict(list)
    for name, text in texts.items():
        sketch = _sketch(text)
        best: Pair | None = None
        others = {other for one in sketch[:_LOOKED_UP] for other in known[one]}
        for other in sorted(others):
            estimate = _share(sketch, sketches[other])
            if estimate >= share and (best is None or estimate > best.share):
                best = Pair(name, other, estimate)
        if best is not None:
            found.append(best)
        sketches[name] = sketch
        for one in sketch[:_LOOKED_UP]:
            if len(known[one]) < _COMPARED:
                known[one].append(name)
    return found


def _sketch(text: str) -> list[int]:
    tokens = _TOKEN.findall(text[:MAX_TEXT].lower())
    hashes = {
        crc32(" ".join(tokens[at : at + _SHINGLE]).encode("utf-8", "surrogatepass"))
        for at in range(max(len(tokens) - _SHINGLE + 1, 0))
    }
    return sorted(hashes)[:_KEPT]


def _share(one: list[int], other: list[int]) -> float:
    both = sorted([*one, *other])[: _KEPT * 2]
    shared = [a for a, b in pairwise(both) if a == b]
    smallest = sorted({*one, *other})[:_KEPT]
    if not smallest:
        return 0.0
    limit = smallest[-1]
    return sum(value <= limit for value in shared) / len(smallest)
