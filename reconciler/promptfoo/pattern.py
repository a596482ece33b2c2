"""Patterns in the syntax of RE2, translated for the engine of JavaScript (with its flag ``u``).

The two differ in what ``.``, ``^``, ``$`` and ``\\s`` mean, and in how flags, names and classes are written. What has
no counterpart is not translated.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Translated(NamedTuple):
    """A regular expression of JavaScript: its source and its flags."""

    source: str
    flags: str


_FLAGS: Final = re.compile(r"\(\?([ims]+)\)")
_REPEAT: Final = re.compile(r"\{\d+(,\d*)?\}")
_GROUP: Final = re.compile(r"\(\?(?::|P?<([A-Za-z_]\w*)>)", re.ASCII)
_CODE: Final = re.compile(r"\\x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_PROPERTY: Final = re.compile(r"\\([pP])(?:([A-Z])|\{([A-Za-z_]+)\})")
_NAMED: Final = re.compile(r"\[:(\^?[a-z]+):\]")

#: Of RE2 (https://github.com/google/re2/wiki/Syntax): what the names of its classes in ASCII stand for.
_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\\x00-\\x7f",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-\\/:-@\\[-`\\{-~",
    "space": "\\t\\n\\v\\f\\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
#: The same in both, in a class and outside of one. ``\\a`` is not a JavaScript escape.
_SAME: Final = "dDwWnrtfv"
_SPACE: Final = "\\t\\n\\f\\r "
#: What JavaScript requires to be escaped where it stands for itself.
_SPECIAL: Final = "^$\\.*+?()[]{}|/"
_ASSERTIONS: Final = ("^", "$", "\\b")
_QUANTIFIERS: Final = ("*", "+", "?", "{")


def translate(pattern: str) -> Translated | None:
    """The same pattern for JavaScript; None if it has something without a counterpart."""
    flags = _FLAGS.match(pattern)
    found = "" if flags is None else flags[1]
    try:
        source = _translate(pattern[flags.end() if flags else 0 :], "s" in found, "m" in found)
    except _NoCounterpartError:
        return None
    return Translated(source, "iu" if "i" in found else "u")


class _NoCounterpartError(Exception):
    pass


def _translate(text: str, dot_is_all: bool, lines: bool) -> str:
    meanings = {
        ".": "[^]" if dot_is_all else "[^\\n]",
        "^": "(?:^|(?<=\\n))" if lines else "^",
        "$": "(?:$|(?=\\n))" if lines else "$",
    }
    found: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            part, at = _escape(text, at, in_class=False)
        elif char == "[":
            part, at = _class(text, at)
        elif char == "(":
            part, at = _group(text, at)
        elif char == "{":
            repeat = _REPEAT.match(text, at)
            part, at = (repeat[0], repeat.end()) if repeat else ("\\{", at + 1)
        else:
            part, at = meanings.get(char, f"\\{char}" if char in "]}/" else char), at + 1
        # JavaScript lets no quantifier follow an assertion.
        found.append(f"(?:{part})" if part in _ASSERTIONS and text[at : at + 1] in _QUANTIFIERS else part)
    return "".join(found)


def _group(text: str, at: int) -> tuple[str, int]:
    if not text.startswith("(?", at):
        return "(", at + 1
    named = _GROUP.match(text, at)
    if named is None:
        raise _NoCounterpartError
    return f"(?<{named[1]}>" if named[1] else "(?:", named.end()


def _escape(text: str, at: int, *, in_class: bool) -> tuple[str, int]:
    char = text[at + 1 : at + 2]
    code, about = _CODE.match(text, at), _PROPERTY.match(text, at)
    if code is not None:
        return f"\\u{{{code[1] or code[2]}}}", code.end()
    if about is not None:
        return f"\\{about[1]}{{{_property(about[2] or about[3])}}}", about.end()
    if char in _SAME and char:
        return f"\\{char}", at + 2
    if char == "a":
        return "\\x07", at + 2
    if char == "s" or (char == "S" and not in_class):
        inside = _SPACE if char == "s" else f"^{_SPACE}"
        return inside if in_class else f"[{inside}]", at + 2
    outside = {"A": "^", "z": "$", "b": "\\b"}
    if char in outside and not in_class:
        return outside[char], at + 2
    if not char or not char.isascii() or char.isalnum():
        raise _NoCounterpartError
    return f"\\{char}" if char in _SPECIAL or (in_class and char == "-") else char, at + 2


def _property(name: str) -> str:
    return name if len(name) <= 2 or name == "Any" else f"Script={name}"


def _class(text: str, at: int) -> tuple[str, int]:
    found = ["["]
    at += 1
    if text.startswith("^", at):
        found.append("^")
        at += 1
    first = True
    while first or not text.startswith("]", at):
        if at >= len(text):
            raise _NoCounterpartError
        named = _NAMED.match(text, at)
        if named is not None:
            if named[1] not in _CLASSES:
                raise _NoCounterpartError
            part, at = _CLASSES[named[1]], named.end()
        elif text[at] == "\\":
            part, at = _escape(text, at, in_class=True)
        else:
            part, at = f"\\{text[at]}" if text[at] in "[]{}()/|^" else text[at], at + 1
        found.append(part)
        first = False
    return "".join((*found, "]")), at + 1
