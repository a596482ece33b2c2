"""Finds and names characters that a reader can't see or mistakes for others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.text.escape import has_hidden, hidden

#: How many different characters are named in one difference; the rest are only counted.
NAMED = 6

# Letters of other alphabets that look like Latin ones. They are reported only in words that have Latin letters, too.
_LOOK_ALIKE = (
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03b1\u03bd\u03bf\u03c1"
    "\u0405\u0406\u0408\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0430\u0435\u043e\u0440"
    "\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501\u051b\u051d\u0261\u1d0f"
)
_SUSPECT = re.compile(f"[{_LOOK_ALIKE}]")
_MIXED = re.compile(f"(?<=[A-Za-z])[{_LOOK_ALIKE}]+|[{_LOOK_ALIKE}]+(?=[A-Za-z])")

_CONTROLS = {
    "\x00": "NULL",
    "\x07": "BELL",
    "\x08": "BACKSPACE",
    "\x0b": "LINE TABULATION",
    "\x0c": "FORM FEED",
    "\r": "CARRIAGE RETURN",
    "\x1b": "ESCAPE",
    "\x7f": "DELETE",
    "\x85": "NEXT LINE",
    "\x9b": "CONTROL SEQUENCE INTRODUCER",
    "\x9d": "OPERATING SYSTEM COMMAND",
}
_KINDS = {"Cc": "CONTROL CHARACTER", "Cs": "LONE SURROGATE", "Co": "PRIVATE USE CHARACTER"}


def character_name(char: str) -> str:
    """``U+200B ZERO WIDTH SPACE``."""
    import unicodedata

    name = _CONTROLS.get(char) or unicodedata.name(char, "")
    return f"U+{ord(char):04X} {name or _KINDS.get(unicodedata.category(char), 'UNASSIGNED CHARACTER')}"


@dataclass(slots=True)
class Occurrences:
    line: int
    count: int = 0
    looks_latin: bool = False


def text_remarks(text: str) -> list[str]:
    """The hidden and look-alike characters of a new text, as sentence parts."""
    if not may_mislead(text):
        return []
    return list(describe("has", find_misleading(enumerate(text.split("\n"), start=1))))


def may_mislead(text: str) -> bool:
    # CR and the like are ASCII too, but in most texts LF and tabs are the only controls.
    return has_hidden(text.replace("\n", "").replace("\t", "")) or (
        not text.isascii() and _SUSPECT.search(text) is not None
    )


def find_misleading(lines: Iterable[tuple[int, str]]) -> dict[str, Occurrences]:
    found: dict[str, Occurrences] = {}
    for number, text in lines:
        for char in hidden(text):
            found.setdefault(char, Occurrences(number)).count += 1
        if not text.isascii() and _SUSPECT.search(text):
            for match in _MIXED.finditer(text):
                for char in match.group():
                    found.setdefault(char, Occurrences(number, looks_latin=True)).count += 1
    return found


def describe(verb: str, found: dict[str, Occurrences]) -> Iterator[str]:
    for char, what in list(found.items())[:NAMED]:
        times = "" if what.count == 1 else f" {what.count:,} times"
        where = f" in line {what.line}" if what.count == 1 else f", first in line {what.line}"
        like = ", which looks like a Latin letter," if what.looks_latin else ""
        yield f"{verb} {character_name(char)}{like}{times}{where}"
    if len(found) > NAMED:
        yield f"{verb} {len(found) - NAMED} more kinds of invisible characters"
