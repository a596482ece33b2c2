"""What is wrong with a text that is not valid strict YAML.

libyaml reports errors in terms of its own parser. Here they become messages and hints for the author of the text.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import yaml

from reconciler.text.truncate import truncate

#: The deepest nesting of mappings and lists, with aliases expanded.
MAX_DEPTH: Final = 100
#: After this many faults, the rest of a text is not read.
MAX_FAULTS: Final = 1000


class Fault(NamedTuple):
    """A fault in a text. ``at`` is the index of a character, a byte order mark not counted."""

    at: int
    message: str
    hint: str = ""
    #: Whether the fault is a duplicate key.
    repeated: bool = False


TOO_DEEP: Final = (f"this is nested more than {MAX_DEPTH} levels deep", "flatten the structure")
TAG_HINT: Final = "remove the tag; put the value in quotes if it is a string"


# What libyaml would accept, or could not reject safely.
_DIRECTIVE = re.compile(r"^%(?!YAML[ \t]+1\.2[ \t]*$).*", re.MULTILINE)
_SEPARATORS: Final = ("\x85", "\u2028", "\u2029")
# What it rejects without saying where.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


def find_forbidden(data: bytes, text: str) -> Fault | None:
    # libyaml compares every %TAG with all before it: half a million of them keep it busy for minutes.
    if data.startswith((b"%", b"\xef\xbb\xbf%")) or b"\n%" in data or b"\r%" in data:
        found = _DIRECTIVE.search(text.replace("\r", "\n"))
        if found:
            directive = truncate(found.group().split()[0])
            return Fault(
                found.start(),
                f"a line that starts with `%` is a directive, and `{directive}` is not supported",
                "remove the line, or indent it if it belongs to a string",
            )
    for separator in _SEPARATORS:
        if separator in text:
            return Fault(
                text.index(separator),
                f"this is U+{ord(separator):04X}, which some YAML parsers treat as a line break",
                f"replace it, write it as `\\u{ord(separator):04x}` in double quotes,"
                " or move the prompt to a file",
            )
    return None


# By libyaml's message (scanner.c and parser.c): our message, the hint, and whether to point to the start of the
# construct instead of the place where parsing failed.
_TAB: Final = ("this line is indented with a tab", "indent with spaces", False)
_NAMELESS: Final = (
    "`&` and `*` start an anchor or an alias, but no valid name of letters and digits follows",
    "put the value in quotes if it is a string",
    True,
)
_SYNTAX: Final[dict[str, tuple[str, str, bool]]] = {
    # Newer releases of libyaml stop at a depth of their own, before they hand out the first event of it.
    "exceeded maximum nesting depth": (*TOO_DEEP, False),
    "could not find expected ':'": (
        "this line is neither `key: value` nor part of the string above it",
        "put `: ` after the key, or indent the line if it belongs to a string",
        True,
    ),
    "mapping values are not allowed in this context": (
        "`: ` is not allowed here",
        "put the string in quotes if it contains `: `; otherwise check the indentation",
        False,
    ),
    "mapping keys are not allowed in this context": (
        "a key is not allowed here",
        "put it on its own line, indented like its sibling keys",
        False,
    ),
    "block sequence entries are not allowed in this context": (
        "a list can't start here",
        "put each `- ` on its own line, or the value in quotes if it is a string",
        False,
    ),
    "did not find expected key": (
        "expected a key here",
        "indent the line like its sibling keys, or put the whole value in quotes",
        False,
    ),
    "did not find expected '-' indicator": (
        "expected a list item, starting with `- `",
        "check the indentation of this line",
        False,
    ),
    "did not find expected ',' or ']'": (
        "expected `,` or `]` here",
        "put a string in quotes if it contains `,`, `[`, `]`, `{`, `}` or a quote",
        False,
    ),
    "did not find expected ',' or '}'": (
        "expected `,` or `}` here",
        "put a string in quotes if it contains `,`, `[`, `]`, `{`, `}` or a quote",
        False,
    ),
    "did not find expected node content": (
        "expected a value here",
        "write one, or put the string in quotes if this is part of it",
        False,
    ),
    "found unexpected document indicator": (
        "this quoted string runs into a line that starts with `---` or `...`",
        "close the quote before it, or indent the line",
        True,
    ),
    "found unexpected ':'": ("`:` is not allowed here", "put the string in quotes if it contains `:`", False),
    "did not find expected comment or line break": (
        "the text must start on the line after `|` or `>`",
        "move it there and indent it",
        True,
    ),
    "found an indentation indicator equal to 0": (
        "the number after `|` or `>` is the indentation of the text; it can't be 0",
        "remove the number",
        True,
    ),
    "found a tab character where an indentation space is expected": _TAB,
    "found a tab character that violates indentation": _TAB,
    "did not find expected alphabetic or numeric character": _NAMELESS,
    "did not find expected <document start>": (
        "the document ended before this",
        "look for an extra bracket, a line that is not indented enough, or a line with `...`",
        False,
    ),
}


def syntax_fault(error: Any, text: str) -> Fault:
    """A syntax error of libyaml as a fault."""
    if isinstance(error, yaml.reader.ReaderError):
        return _control_fault(text)
    began, at = error.context_mark, error.problem_mark.index
    slip = _slip(text, at)
    if slip is not None:
        return slip
    if error.problem == "found character that cannot start any token":
        return _bad_start(text, at)
    if error.problem in _ESCAPES:
        return _escape_fault(text, at)
    if at >= len(text.rstrip()) and error.problem in _UNCLOSED:
        opening = text[began.index]
        return Fault(began.index, f"this `{opening}` is never closed", _UNCLOSED[error.problem])
    if error.problem == "found unexpected end of stream":
        within = '`\\"`' if text[began.index] == '"' else "`''`"
        return Fault(
            began.index,
            "this quote is never closed",
            f"close it; write a quote inside the string as {within}",
        )
    if text[:at].rstrip(" ")[-1:] in ("'", '"') and error.problem == "did not find expected key":
        return Fault(
            at,
            "the quoted string ended before this",
            "write a quote inside it as `''` in single quotes, or as `\\\"` in double quotes",
        )
    if at >= len(text.rstrip()) and error.problem == "did not find expected node content":
        last = len(text.rstrip()) - 1
        return Fault(
            last,
            "the file ends after this, where a value was expected",
            "write the value, and close open brackets",
        )
    if error.context in ("while scanning a tag", "while parsing a tag", "while parsing a node"):
        return Fault(began.index, "`!` starts a tag, and tags are not supported", TAG_HINT)
    message, hint, from_the_start = _SYNTAX.get(
        error.problem, (f"this is not valid YAML: {error.problem}", *_UNFORESEEN)
    )
    return Fault(began.index if from_the_start and began else at, message, hint)


_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?=[ \r\n]|\Z)", re.MULTILINE)
_FULL_WIDTH = re.compile(r"^[ \t]*(?:- +)?[A-Za-z][A-Za-z0-9._-]*(：)", re.MULTILINE)


def _slip(text: str, at: int) -> Fault | None:
    """What most likely led to a syntax error at this place, if it is a slip that libyaml knows nothing of."""
    line = text.rfind("\n", 0, at) + 1
    above = text.rfind("\n", 0, max(line - 1, 0)) + 1
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    found = _CONFLICT.search(text, above, end)
    if found:
        return Fault(
            found.start(),
            "this is left over from a merge conflict",
            "resolve the conflict, and remove its markers",
        )
    found = _FULL_WIDTH.search(text, above, end)
    if found:
        return Fault(
            found.start(1), "this colon is full-width (`：`)", "write `: `, with a plain colon and a space"
        )
    return None


_UNFORESEEN: Final = ("check the quotes, the brackets and the indentation around it", False)
_UNCLOSED: Final = {
    "did not find expected ',' or ']'": "add `]`, or put the value in quotes if it is a string",
    "did not find expected ',' or '}'": "add `}`, or put the value in quotes if it is a string",
}


def _control_fault(text: str) -> Fault:
    found = _CONTROL.search(text)
    assert found is not None  # libyaml rejects no other character of valid UTF-8
    code = ord(found.group())
    if code == 0:
        return Fault(
            found.start(),
            "this is a NUL character",
            "remove it; if the file is UTF-16, save it as UTF-8",
        )
    escape = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return Fault(
        found.start(),
        f"this is a control character (U+{code:04X})",
        f"remove it, or write it as `{escape}` in double quotes",
    )


def _bad_start(text: str, at: int) -> Fault:
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
            f"`{text[start : start + 2]}` is not an escape sequence",
            "write a backslash as `\\\\`, or use single quotes",
        )
    if 0xD800 <= int(code.group(1) or code.group(2), 16) <= 0xDFFF:
        return Fault(
            start,
            f"`{code.group()}` is a lone surrogate, half of a character",
            "write the character itself, or its full code point, like `\\U0001f600`",
        )
    return Fault(start, f"`{code.group()}` is not a Unicode character", "write the character itself")
