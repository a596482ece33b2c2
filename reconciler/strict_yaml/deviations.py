"""What libyaml accepts but reads otherwise than YAML 1.2 says, or what YAML 1.2 does not allow.

Another parser would read another value, so such a text is refused, with the place. One thing is allowed although the
specification forbids it, because it is common and no parser reads it as anything else: the last closing bracket of a
value in the column of its key.

libyaml's tokens tell strings and comments from the rest, but scanning a text once more for them costs more than reading
it. So a text is first searched for what every deviation contains; few texts have any of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from yaml import (
    AliasToken,
    AnchorToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    KeyToken,
    ScalarToken,
    StreamEndToken,
    ValueToken,
)
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # missing from the stubs

from reconciler.strict_yaml.faults import MAX_FAULTS, Fault

# Comments, as far as they are looked at: each pattern below takes a time that is linear in the length of the text.
_COMMENTS: Final = r"\s*+(?:#[^\r\n]{0,200}+[\r\n]\s*+){0,20}+"
# What each check below needs to find anything; it may also occur in strings and comments. Several patterns with a rare
# first character are four times as fast as one pattern.
_SUSPICIOUS: Final = tuple(
    re.compile(pattern).search
    for pattern in (
        r"[&*][0-9A-Za-z_-]+[^\s,\[\]{}0-9A-Za-z_-]",  # a name that goes on
        r"[?:](?<=[\[{,:?\s][?:])(?![ \t\r\n])",  # a string that starts like a key or a value
        r"-(?<=[\s\[{,:?]-)[,\[\]{}]",  # a string that starts like an item of a list
        r"#(?<=[\"'\[\]{},:?]#)",  # a comment without a space
        # … or a block that starts with blank lines.
        r"[|>][-+0-9]*+(?:#|[ \t]*+(?:#[^\r\n]{200}|(?:#[^\r\n]*+)?[\r\n][ \r\n]*[ ][\r\n]))",
        "\ufeff",  # a byte order mark that is none
        # A value that starts below its key or dash, or after an anchor.
        rf"[:?-][ \t]*+(?=[\r\n#]){_COMMENTS}"
        r"(?:[\"'\[{#]|[&*][0-9A-Za-z_-]|[|>][-+0-9]*+[ \t]*+[\r\n#])",
        rf"&[\w-]+(?=\s){_COMMENTS}[\"'\[{{|>#]",
        # A string or a collection that goes on in the next line.
        r'"(?<=\s")(?:[^"\\\r\n]++|\\.)*+\\?[\r\n]',
        r"'(?<=\s')(?:[^'\r\n]++|'')*+[\r\n]",
        r"[\[{](?:(?<=[-:?]\s[\[{])|(?<=\s\s[\[{]))"
        r"(?![^\[\]{}\r\n]*+(?:[\[{][^\[\]{}\r\n]*+[\]}][^\[\]{}\r\n]*+)*+[\]}])",
    )
)

_OPENING: Final = (FlowSequenceStartToken, FlowMappingStartToken)
_CLOSING: Final = (FlowSequenceEndToken, FlowMappingEndToken)
_NESTING: Final = frozenset(
    {BlockMappingStartToken, BlockSequenceStartToken, BlockEndToken, *_OPENING, *_CLOSING}
)
_INDICATED: Final = frozenset({AnchorToken, AliasToken, KeyToken, ValueToken})
_NO_GAP: Final = ("", " ")
_CONTENT: Final = (ScalarToken, AliasToken, AnchorToken, *_OPENING)
# The start of a line that is not blank: its spaces, and what else is before its text.
_LINE_START: Final = re.compile(r"[\r\n]( *+)[ \t]*+(?![ \t\r\n])")
_LAST_BLANKS: Final = re.compile(r"[\r\n]([ \t]+)\Z")
_HEADER: Final = re.compile(r"[|>][-+0-9]*")


def find_deviations(data: bytes, text: str) -> list[Fault]:
    """What is read otherwise than YAML 1.2 says, in the order of the text. libyaml must have accepted the text."""
    if not text.endswith((" ", "\t")) and not any(search(text) for search in _SUSPICIOUS):
        return []
    return all_deviations(data, text)


def all_deviations(data: bytes, text: str) -> list[Fault]:
    """As :func:`find_deviations`, but without the search that spares most texts the scan."""
    return list(islice(_Checker(text).faults(data), MAX_FAULTS))


class _Checker:
    """Walks through the tokens of a text, and knows the collections that each is in."""

    def __init__(self, text: str) -> None:
        self._text = text
        #: The columns of the block mappings and lists around the current token.
        self._columns = [-1]
        #: How many flow collections it is in, and the line that the outermost of them starts in.
        self._flow = 0
        self._start = 0
        #: The last token that has any text, and where its text ends.
        self._last: Any = None
        self._end = 0
        #: The line that it ends in; -1 if nothing of that line belongs to it.
        self._line = -1
        last_line = _LAST_BLANKS.search(text)
        self._last_blanks = last_line.start(1) if last_line else len(text)
        self._content_end = len(text.rstrip())

    def faults(self, data: bytes) -> Iterator[Fault]:
        take = CParser(data).get_token
        before: Any = None
        while True:
            token: Any = take()
            kind = token.__class__
            mark, end_mark = token.start_mark, token.end_mark
            at, end = mark.index, end_mark.index
            if end > at or kind is StreamEndToken:
                if at > self._end + 1 or self._text[self._end : at] not in _NO_GAP:
                    yield from self._gap(at)
                if kind in _INDICATED:
                    yield from self._names_and_indicators(token, at, end)
                if mark.line != self._line:  # the first of its line
                    yield from self._indentation(token, before)
                if kind is ScalarToken:
                    yield from self._scalar(token, at, end)
                self._last, self._end = token, end
                self._line = end_mark.line if end_mark.column else -1
            if kind is StreamEndToken:
                return
            if kind in _NESTING:
                self._enter(token)
            before = token

    def _enter(self, token: Any) -> None:
        if isinstance(token, BlockMappingStartToken | BlockSequenceStartToken):
            self._columns.append(token.start_mark.column)
        elif isinstance(token, BlockEndToken):
            self._columns.pop()
        elif isinstance(token, _OPENING):
            if not self._flow:
                self._start = token.start_mark.line + 1
            self._flow += 1
        elif isinstance(token, _CLOSING):
            self._flow -= 1

    def _gap(self, at: int) -> Iterator[Fault]:
        """What stands between two tokens: spaces, line breaks and comments."""
        gap = self._text[self._end : at]
        if gap.startswith("#") and self._text[self._end - 1 : self._end] not in ("", "\r", "\n"):
            yield _comment(self._end)
        mark = re.search("[\r\n]\ufeff" if self._end else "(?:^|[\r\n])\ufeff", gap)
        if mark:
            yield Fault(
                self._end + mark.end() - 1,
                "this is a byte order mark (U+FEFF), which is allowed only at the start of a file",
                "remove it",
            )

    def _names_and_indicators(self, token: Any, at: int, end: int) -> Iterator[Fault]:
        after = self._text[end : end + 1]
        if isinstance(token, AnchorToken | AliasToken):
            if after and after not in " \t\r\n,[]{}":
                sign, what = ("&", "anchor") if isinstance(token, AnchorToken) else ("*", "alias")
                yield Fault(
                    at,
                    f"the name of this {what} goes on after `{sign}{token.value}`, with `{after}`",
                    f"use only letters, digits, `-` and `_`, and write a space after `{sign}{token.value}`",
                )
        elif isinstance(token, KeyToken):
            if self._flow and after and after not in " \t\r\n":
                yield _starts_with(at, "?")
        elif (
            isinstance(token, ValueToken)
            and self._flow
            and after
            and after not in " \t\r\n,[]{}"
            and not self._follows_json()
        ):
            yield _starts_with(at, ":")

    def _follows_json(self) -> bool:
        """Whether a `:` here follows a quoted string or a collection: it needs no space after it, as in JSON."""
        last = self._last
        return isinstance(last, _CLOSING) or (isinstance(last, ScalarToken) and not last.plain)

    def _indentation(self, token: Any, before: Any) -> Iterator[Fault]:
        mark = token.start_mark
        if isinstance(token, StreamEndToken):
            return
        if not self._flow:
            is_key = isinstance(before, KeyToken) and before.start_mark.index == mark.index
            if is_key or not isinstance(token, _CONTENT):
                return
        head = self._text[mark.index - mark.column : mark.index].lstrip("\ufeff")
        spaces = len(head) - len(head.lstrip(" "))
        closes = isinstance(token, _CLOSING) and self._flow == 1 and spaces == mark.column
        if spaces < self._columns[-1] + (not closes):
            where = (
                f"the collection that starts in line {self._start}"
                if self._flow
                else "the value of the line above"
            )
            yield self._outdented(mark.index, where)

    def _outdented(self, at: int, what: str) -> Fault:
        column = self._columns[-1] + 1
        return Fault(
            at,
            f"this line belongs to {what}, and is not indented enough",
            f"indent it with at least {column} space{'s' if column > 1 else ''}",
        )

    def _scalar(self, token: ScalarToken, at: int, end: int) -> Iterator[Fault]:
        if token.style in ("|", ">"):
            yield from self._block(token, at, end)
            return
        text = self._text[at:end]
        if self._flow and text == "-":
            yield Fault(at, "a `-` is not a string in brackets", "put it in quotes")
        if token.start_mark.line == token.end_mark.line:
            return
        for line in _LINE_START.finditer(text):
            if len(line.group(1)) <= self._columns[-1]:
                start = token.start_mark.line + 1
                yield self._outdented(at + line.end(), f"the string that starts in line {start}")

    def _block(self, token: ScalarToken, at: int, end: int) -> Iterator[Fault]:
        header = _HEADER.match(self._text, at)
        if header is None:
            return
        if self._text.startswith("#", header.end()):
            yield _comment(header.end())
        keeps = "+" in header.group() or token.value.endswith((" ", "\t"))
        if keeps and self._last_blanks < len(self._text) and end >= self._content_end:
            yield Fault(
                self._last_blanks,
                "this string ends with a line of spaces without a line end, which YAML parsers read differently",
                "remove the spaces, or end the line",
            )
        elif not token.value.strip("\n") and not any(digit in header.group() for digit in "123456789"):
            yield from self._blank_block(header.end())

    def _blank_block(self, after: int) -> Iterator[Fault]:
        """A block of blank lines: if they are what sets its indentation, a line below them may have been left out."""
        found = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)(?:[ ]*(?:\r\n|\r|\n))*([ ]*)[^ \r\n]").match(
            self._text, after
        )
        if found and len(found.group(1)) > max(self._columns[-1], 0):
            yield Fault(
                found.end(1),
                "this line is indented less than the line of spaces above it, where the string starts",
                "remove the spaces from the blank lines above it, or indent it like them",
            )


def _comment(at: int) -> Fault:
    return Fault(
        at,
        "a comment starts here without a space before the `#`",
        "write a space before the `#`, or put the string in quotes if it is part of one",
    )


def _starts_with(at: int, sign: str) -> Fault:
    return Fault(
        at,
        f"a string in brackets can't start with `{sign}` here: YAML parsers read it differently",
        f"put the string in quotes, or write a space after the `{sign}`",
    )
