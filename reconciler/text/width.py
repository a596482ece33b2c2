"""Measures the width of text in a terminal, and breaks it into rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache


def cells(text: str, *, wide_signs: bool = False) -> int:
    """How many terminal cells a visible text takes: wide characters take two.

    With ``wide_signs``, so do those of ambiguous width (``…``, ``→``, ``·``: East Asian Width A in UAX #11).
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text) + (sum(map(_is_ambiguous, text)) if wide_signs else 0)


@cache
def _is_ambiguous(char: str) -> bool:
    from unicodedata import east_asian_width

    from rich.cells import get_character_cell_size

    return east_asian_width(char) == "A" and get_character_cell_size(char) == 1


def breaks(
    text: str, first: int, rest: int, whole: Sequence[tuple[int, int]] = (), *, wide_signs: bool = False
) -> Iterator[int]:
    """Where to break a text into rows of this many cells: after a space if one is near, else anywhere.

    A character is never separated from its combining marks, and no emoji sequence is split. A Chinese or Japanese row
    starts with none of the signs that close a phrase, and ends with none that opens one (as in JIS X 4051).

    ``whole`` are stretches, each as its start and its end, that are not broken: one that does not fit starts a row,
    and may be too long for it.
    """
    at, room = 0, first
    while at < len(text):
        end = _fitting(text, at, room, wide_signs)
        if end < len(text):
            blank = text.rfind(" ", at + (end - at) // 2, end + 1)
            # A wide character may end a row, as Chinese text is set.
            if blank >= 0 and text[end].isascii() and text[end - 1].isascii():
                end = min(blank + 1, end + 1)
            else:
                end = _allowed(text, at, end)
        end = _not_within(text, at, end, whole)
        yield end
        at, room = end, rest


def _not_within(text: str, at: int, end: int, whole: Sequence[tuple[int, int]]) -> int:
    """The end of a row, moved before the stretch that it breaks or, if the row starts there, behind it."""
    for start, stop in whole:
        if start < end < stop:
            if start > at:
                # A word that it follows directly goes with it, unless half of the row would be empty.
                before = text.rfind(" ", at + (start - at) // 2, start) + 1
                in_word = text[start - 1].isascii() and text[start - 1].isalnum()
                apart = before and not any(one < before < end for one, end in whole)
                return before if in_word and apart else start
            while stop < len(text) and text[stop] in _CLOSING:
                stop += 1
            return stop + (text[stop : stop + 1] == " ")
    return end


def _fitting(text: str, at: int, room: int, wide_signs: bool) -> int:
    """The end of the longest stretch from here that fits, of at least one character."""
    if text[at : at + room + 1].isascii():
        return min(at + room, len(text))
    from rich.cells import get_character_cell_size

    end, used = at, 0
    while end < len(text):
        used += 1 if text[end] == "\ufe0f" else get_character_cell_size(text[end])
        used += wide_signs and _is_ambiguous(text[end])
        if used > room and end > at:
            break
        end += 1
    whole = end
    while at < whole < len(text) and _joins(text, whole):
        whole -= 1
    return whole if whole > at else end


_CLOSING = "，。、；：！？）」』》〉】〕”’…—·～,.;:!?)]}"
_OPENING = "（「『《〈【〔“‘([{"


def _allowed(text: str, start: int, end: int) -> int:
    """The nearest earlier position where a row of Chinese may break, at most four characters back."""
    for at in range(end, max(start, end - 4), -1):
        if text[at] not in _CLOSING and text[at - 1] not in _OPENING and not _joins(text, at):
            return at
    return end


def _joins(text: str, at: int) -> bool:
    return text[at] in "\u200d\ufe0e\ufe0f" or text[at - 1] == "\u200d" or cells(text[at]) == 0
