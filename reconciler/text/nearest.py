"""Suggests a known word for an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

#: Bounds on the search, since a catalog may have thousands of problems and of names: characters of a word, names that
#: are looked at, and names that are compared letter by letter.
LONGEST: Final = 100
LOOKED_AT: Final = 5_000
COMPARED: Final = 100


def nearest(word: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """The known word most similar to ``word``; None if none is. ``least`` is the required similarity, 0 to 1.

    Of many known words, those that begin like ``word`` are compared first. Those beyond the bounds are not looked at.
    """
    if len(word) > LONGEST:
        return None
    from difflib import get_close_matches

    names = [name for name in islice(known, LOOKED_AT) if len(name) <= LONGEST]
    if len(names) > COMPARED:
        names = sorted(names, key=lambda name: _alike(word, name), reverse=True)[:COMPARED]
    found = get_close_matches(word, names, 1, least)
    return found[0] if found else None


def _alike(word: str, name: str) -> int:
    """How many characters two words share at their ends, less the difference of their lengths."""
    shared = 0
    for ends in (zip(word, name, strict=False), zip(reversed(word), reversed(name), strict=False)):
        for one, other in ends:
            if one != other:
                break
            shared += 1
    return shared - abs(len(word) - len(name))
