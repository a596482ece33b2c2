"""What is wrong with a text that is not YAML, or not the strict kind, in words of our own.

libyaml says what it could not read in the terms of its own parser; here that becomes what is wrong and what to do.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import yaml

from reconciler.text.truncate import truncate

#: The deepest nesting of mappings and lists, with aliases expanded.
MAX_DEPTH: Final = 100


class Fault(NamedTuple):
    """One thing that is wrong with a text. ``at`` counts characters, without a byte order mark."""

    at: int
    message: str
    hint: str = ""
    #: Whether the fault is a key that stands in its mapping a second time.
    repeated: bool = False


TOO_DEEP: Final = (f"this is nested more than {MAX_DEPTH} levels deep", "flatten it")
TAG_HINT: Final = "take the tag out, and put the value in quotes if it is a text"


# What libyaml would not, or not safely, refuse by itself.
_DIRECTIVE = re.compile(r"^%(?!YAML[ \t]+1\.2[ \t]*$).*", re.MULTILINE)
_SEPARATORS: Final = ("\x85", "\u2028", "\u2029")
# What it refuses, though without saying where.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


def find_forbidden(data: bytes, text: str) -> Fault | None:
    # libyaml compares every %TAG with all before it: half a million of them keep it busy for minutes.
    if data.startswith((b"%", b"\xef\xbb\xbf%")) or b"\n%" in data or b"\r%" in data:
        found = _DIRECTIVE.search(text.replace("\r", "\n"))
        if found:
            directive = truncate(found.group().split()[0])
            return Fault(
                found.start(),
                f"a line that starts with `%` is a directive, and `{directive}` is not followed here",
                "take the line out, or indent it if it is part of a text",
            )
    for separator in _SEPARATORS:
        if separator in text:
            return Fault(
                text.index(separator),
                f"there is a U+{ord(separator):04X} here, which some readers of YAML take for a line end",
                f"replace it, write it as `\\u{ord(separator):04x}` in double quotes,"
                " or keep the prompt in a file of its own",
            )
    return None


# libyaml's words for what is wrong (its scanner.c and parser.c): ours, what to do, and whether the better place
# is where the thing began.
_TAB: Final = ("a tab is used for indentation here", "indent with spaces", False)
_NAMELESS: Final = (
    "`&` and `*` start an anchor or an alias, and its name, of letters and digits, is missing or goes on oddly",
    "put the text in quotes if it is one",
    True,
)
_SYNTAX: Final[dict[str, tuple[str, str, bool]]] = {
    # Newer releases of libyaml stop at a depth of their own, before they hand out the first event of it.
    "exceeded maximum nesting depth": (*TOO_DEEP, False),
    "could not find expected ':'": (
        "this line is neither `key: value` nor part of the text above it",
        "put a `: ` after the key, or indent the line if it belongs to a text",
        True,
    ),
    "mapping values are not allowed in this context": (
        "a `: ` can't stand here",
        "put the text in quotes if it holds a `: `; else look at the indentation",
        False,
    ),
    "mapping keys are not allowed in this context": (
        "a key can't stand here",
        "put it on a line of its own, indented like the keys beside it",
        False,
    ),
    "block sequence entries are not allowed in this context": (
        "a list can't start here",
        "put each `- ` on a line of its own, or the text in quotes if it is one",
        False,
    ),
    "did not find expected key": (
        "this does not fit in here: a key was expected",
        "indent it like the keys beside it, or put the whole value in quotes",
        False,
    ),
    "did not find expected '-' indicator": (
        "this does not fit in here: an entry of a list, with its `- `, was expected",
        "indent it like what it belongs to",
        False,
    ),
    "did not find expected ',' or ']'": (
        "a `,` or `]` was expected here",
        "put a text in quotes if it holds `,`, `[`, `]`, `{`, `}` or a quote",
        False,
    ),
    "did not find expected ',' or '}'": (
        "a `,` or `}` was expected here",
        "put a text in quotes if it holds `,`, `[`, `]`, `{`, `}` or a quote",
        False,
    ),
    "did not find expected node content": (
        "a value was expected here",
        "write one, or put the text in quotes if this is part of it",
        False,
    ),
    "found unexpected document indicator": (
        "this quoted text runs into a line that starts with `---` or `...`",
        "close the quote before it, or indent the line",
        True,
    ),
    "found unexpected ':'": ("a `:` can't stand here", "put the text in quotes if it holds one", False),
    "did not find expected comment or line break": (
        "the text has to start on the line after `|` or `>`",
        "move it there, and indent it",
        True,
    ),
    "found an indentation indicator equal to 0": (
        "the number after `|` or `>` says how far the text is indented, and can't be 0",
        "leave the number out",
        True,
    ),
    "found a tab character where an indentation space is expected": _TAB,
    "found a tab character that violates indentation": _TAB,
    "did not find expected alphabetic or numeric character": _NAMELESS,
    "did not find expected <document start>": (
        "the document has ended before this",
        "look for a bracket too many, a line that is not indented enough, or a line with `...`",
        False,
    ),
}


def syntax_fault(error: Any, text: str) -> Fault:
    """What libyaml could not get over, in our words."""
    if isinstance(error, yaml.reader.ReaderError):
        return _control_fault(text)
    began, at = error.context_mark, error.problem_mark.index
    if error.problem == "found character that cannot start any token":
        return _odd_start(text, at)
    if error.problem in _ESCAPES:
        return _escape_fault(text, at)
    if at >= len(text.rstrip()) and error.problem in _UNCLOSED:
        opening = text[began.index]
        return Fault(began.index, f"this `{opening}` is never closed", _UNCLOSED[error.problem])
    if error.problem == "found unexpected end of stream":
        within = '`\\"`' if text[began.index] == '"' else "`''`"
        return Fault(
            began.index, "this quote is never closed", f"close it; a quote within is written as {within}"
        )
    if text[:at].rstrip(" ")[-1:] in ("'", '"') and error.problem == "did not find expected key":
        return Fault(
            at,
            "the quotes ended before this",
            "a quote within is written as `''` in single quotes, as `\\\"` in double ones",
        )
    if at >= len(text.rstrip()) and error.problem == "did not find expected node content":
        last = len(text.rstrip()) - 1
        return Fault(
            last, "the file ends after this, where a value was expected", "write it, and close what is open"
        )
    if error.context in ("while scanning a tag", "while parsing a tag", "while parsing a node"):
        return Fault(began.index, "`!` starts a tag, and tags are not followed here", TAG_HINT)
    message, hint, from_the_start = _SYNTAX.get(
        error.problem, (f"this is not YAML: {error.problem}", *_UNFORESEEN)
    )
    return Fault(began.index if from_the_start and began else at, message, hint)


_UNFORESEEN: Final = ("look at the quotes, the brackets and the indentation around it", False)
_UNCLOSED: Final = {
    "did not find expected ',' or ']'": "add the `]`, or put the text in quotes if it is one",
    "did not find expected ',' or '}'": "add the `}`, or put the text in quotes if it is one",
}


def _control_fault(text: str) -> Fault:
    found = _CONTROL.search(text)
    assert found is not None  # it is UTF-8, so nothing else is left that libyaml refuses
    code = ord(found.group())
    if code == 0:
        return Fault(
            found.start(),
            "there is a NUL character here",
            "take it out; save the file as UTF-8 if it is UTF-16",
        )
    escape = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return Fault(
        found.start(),
        f"there is a control character (U+{code:04X}) here",
        f"take it out, or write it as `{escape}` in double quotes",
    )


def _odd_start(text: str, at: int) -> Fault:
    if text[at] == "\t":
        message, hint, _ = _TAB
        return Fault(at, message, hint)
    return Fault(at, f'a value can\'t start with "{text[at]}"', "put it in quotes")


_ESCAPES: Final = frozenset(
    {
        "found unknown escape character",
        "did not find expected hexdecimal number",
        "found invalid Unicode character escape code",
    }
)


def _escape_fault(text: str, at: int) -> Fault:
    start = text.rindex("\\", 0, at + 1)
    code = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))").match(text, start)
    if code is None:
        return Fault(
            start,
            f"`{text[start : start + 2]}` does not start an escape of double quotes",
            "write a backslash as `\\\\`, or use single quotes",
        )
    if 0xD800 <= int(code.group(1) or code.group(2), 16) <= 0xDFFF:
        return Fault(
            start,
            f"`{code.group()}` is half a character (a lone surrogate)",
            "write the character itself, or its number in full, like `\\U0001f600`",
        )
    return Fault(start, f"`{code.group()}` is no character of Unicode", "write the character itself")
