"""Rules about characters that a reader can't see, or mistakes for others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.lint.read import Document, File, Mark, Spot
from reconciler.lint.subject import Hit, Subject
from reconciler.text.truncate import truncate


def spot_in(subject: Subject, file: File, index: int) -> Spot:
    """A character of a file, with the keys that lead to it."""
    if isinstance(file, Document):
        return file.spot_at(index)
    return Spot(Mark(file, index), subject.written.covers(file))


def invisible_character(subject: Subject, options: Mapping[str, Any]) -> Iterator[Hit]:
    from reconciler.text.characters import character_name
    from reconciler.text.escape import hidden_at

    allowed = {chr(int(name[2:], 16)) for name in options["allow"]}
    for file in subject.written.files():
        if file.text.isascii() and file.text.replace("\n", "").replace("\t", "").isprintable():
            continue
        first: dict[tuple[Mark | int, str], list[int]] = {}
        for index, char in hidden_at(file.text):
            if char == "\r" or char in allowed or _joins(file.text, index) or _in_flag(file.text, index):
                continue
            covers = spot_in(subject, file, index).covers
            first.setdefault((covers[-1] if covers else file.line(index), char), []).append(index)
        for (_, char), places in first.items():
            more = "" if len(places) == 1 else f", and {len(places) - 1:,} more below"
            yield Hit(
                spot_in(subject, file, places[0]),
                f"there is an invisible character here: {character_name(char)}{more}",
                "remove it, or write it as `\\u…` in double quotes, where everyone can see it",
            )


def _joins(text: str, index: int) -> bool:
    """Whether this is a joiner in a script whose spelling uses joiners: Arabic, or a script of India."""
    before = text[index - 1 : index]
    return text[index] in "\u200c\u200d" and (
        "\u0600" <= before <= "\u08ff" or "\u0900" <= before <= "\u0dff"
    )


#: The flag of a part of a country: a black flag, the letters of its code as tags, and the tag that ends it.
_FLAG: Final = re.compile(
    "\U0001f3f4[\U000e0061-\U000e007a]{2}[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,3}\U000e007f"
)


def _in_flag(text: str, index: int) -> bool:
    if not "\U000e0030" <= text[index] <= "\U000e007f":
        return False
    start = text.rfind("\U0001f3f4", max(0, index - 6), index)
    flag = _FLAG.match(text, start) if start >= 0 else None
    return flag is not None and index < flag.end()


#: Units of measure with a Greek letter, which belongs there: μm, kΩ.
_UNIT: Final = re.compile("[μ][A-Za-z]{1,3}|[kKMGmnp]Ω")
_ALIKE: Final = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
_WORD = re.compile(r"[^\W\d_]+")


def mixed_scripts(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for text in subject.texts("name"):
        for word in () if text.value.isascii() else _WORD.finditer(text.value):
            if _UNIT.fullmatch(word.group()):
                continue
            scripts = [unicodedata.name(char, "?").split(" ")[0] for char in word.group()]
            known = [script for script in scripts if script in _ALIKE]
            if len(set(known)) < 2:
                continue
            most = max(sorted(set(known)), key=known.count)
            odd = next(at for at, script in enumerate(scripts) if script in _ALIKE and script != most)
            char = word.group()[odd]
            yield Hit(
                text.spot(word.start() + odd),
                f"`{char}` in `{truncate(word.group())}` is {unicodedata.name(char)}, and the letters around it"
                f" are {most.capitalize()}: they look alike",
                f"write the word in {most.capitalize()} letters only",
            )
