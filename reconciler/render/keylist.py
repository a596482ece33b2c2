"""Thousands of keys in little room: the shortest of three ways of writing them that fits.

1. all keys, parted by blanks;
2. keys that share a beginning, in braces: ``guide-{anna,ben,carl}``;
3. numbers in a row as a range, too: ``guide-{1..300,412}``, as shells write it.

Where not even the third fits, as many keys as do, and how many are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from reconciler.text.escape import guard, quoted

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HEAD = re.compile(r"(.*[._-])?(.*)")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")

#: Characters after which a row of the list ends.
ROW = 100


def key_list(keys: Sequence[str], room: int) -> tuple[str, int]:
    """The keys in rows, in at most so many bytes of UTF-8, and how many of them are not in it.

    What is no key by the rules stands in quotes, so that a blank or a brace in it can't be taken for ours.
    """
    shown = [key if _KEY.fullmatch(key) else guard(quoted(key)) for key in keys]
    for items in (shown, list(_braces(shown, ranges=False)), list(_braces(shown, ranges=True))):
        text = _rows(items)
        if len(text.encode()) <= room:
            return text, 0
    plain = sorted(shown, key=len)
    return _as_many_as_fit(plain, room)


def _as_many_as_fit(keys: Sequence[str], room: int) -> tuple[str, int]:
    """The short keys first, so that most are named."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_rows(list(_braces(keys[:middle], ranges=True))).encode()) <= room:
            low = middle
        else:
            high = middle - 1
    return _rows(list(_braces(keys[:low], ranges=True))), len(keys) - low


def _rows(items: Sequence[str]) -> str:
    parts: list[str] = []
    used = 0
    for item in items:
        if parts:
            parts.append("\n" if used > ROW else " ")
        used = len(item) if not parts or parts[-1] == "\n" else used + len(item) + 1
        parts.append(item)
    return "".join(parts)


def _braces(keys: Sequence[str], *, ranges: bool) -> Iterator[str]:
    def head(key: str) -> str:
        return str(_HEAD.fullmatch(key)[1] or "")  # type: ignore[index]  # it matches every key

    regular = sorted((k for k in keys if _KEY.fullmatch(k)), key=lambda k: (head(k), k))
    for start, group in groupby(regular, head):
        tails = [key[len(start) :] for key in group]
        if len(tails) == 1:
            yield start + tails[0]
        else:
            yield f"{start}{{{','.join(_ranges(tails) if ranges else tails)}}}"
    yield from (k for k in keys if not _KEY.fullmatch(k))


def _ranges(tails: Sequence[str]) -> Iterator[str]:
    numbers = sorted(int(t) for t in tails if _NUMBER.fullmatch(t))
    first = last = -1
    for number in [*numbers, -1]:
        if first >= 0 and number != last + 1:
            yield str(first) if first == last else f"{first}..{last}"
            first = number
        elif first < 0:
            first = number
        last = number
    yield from (t for t in tails if not _NUMBER.fullmatch(t))
