"""Suggests a known word for an unknown one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """The known word most similar to ``word``; None if none is. ``least`` is the required similarity, 0 to 1."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), 1, least)
    return found[0] if found else None
