"""What is done to texts: to prompts before they are compared or written, to others before they are shown."""

from __future__ import annotations

from collections.abc import Iterable


def normalise_prompt(text: str) -> str:
    """A prompt as it is compared and written: line endings are LF, and the white space at its end is gone.

    Nothing else is touched: neither leading white space, nor what stands at the end of a line within.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.rstrip()


def shortened(text: str, length: int = 60) -> str:
    """A text for a message: the start of it, with ``…`` at the end, if it has more characters than that."""
    return text if len(text) <= length else text[: length - 1] + "…"


def nearest(word: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """The known word that somebody most likely meant, if one is near enough; ``least`` is from 0 to 1, for the same."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), 1, least)
    return found[0] if found else None
