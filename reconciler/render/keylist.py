"""Shorten a list of keys: the first ones, and the number of the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from reconciler.text.escape import guard, quoted

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

#: Characters after which a row of the list ends.
ROW: Final = 100

#: Bytes that the last row takes at most.
_MORE: Final = len("\n…and 1,000,000,000 more".encode())


def key_list(keys: Sequence[str], room: int) -> tuple[str, int]:
    """The keys in rows, in at most ``room`` bytes of UTF-8, and how many of them are not listed.

    An invalid key is quoted, so that a blank in it does not look like its end.
    """
    shown = [key if _KEY.fullmatch(key) else guard(quoted(key)) for key in keys]
    text = _rows(shown)
    if len(text.encode()) <= room:
        return text, 0
    listed = 0
    left = room - _MORE
    for key in shown:
        left -= len(key.encode()) + 1
        if left < 0:
            break
        listed += 1
    if not listed:
        return "", len(keys)
    missing = len(keys) - listed
    return f"{_rows(shown[:listed])}\n…and {missing:,} more", missing


def _rows(items: Sequence[str]) -> str:
    parts: list[str] = []
    used = 0
    for item in items:
        if parts:
            parts.append("\n" if used > ROW else " ")
        used = len(item) if not parts or parts[-1] == "\n" else used + len(item) + 1
        parts.append(item)
    return "".join(parts)
