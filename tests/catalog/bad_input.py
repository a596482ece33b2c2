"""Catalogs that are refused, each with the whole of what its author gets to read.

A row holds the files that are put into a catalog of its own, beside a ``catalog.yaml`` that is fine where the row
does not say otherwise. Beside the catalog's folder lies another, ``outside``, which nothing may be read from.
"""

# ruff: noqa: E501 - what is printed stands here as it is printed
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Link(NamedTuple):
    """A symlink."""

    target: str


class Fifo(NamedTuple):
    """A named pipe that nobody writes to."""


class Large(NamedTuple):
    """A file of one byte more than is read."""


class Locked(NamedTuple):
    """A file that nobody but root may read."""


class Folder(NamedTuple):
    """A folder, where a file belongs."""


Content: TypeAlias = "str | bytes | Link | Fifo | Large | Locked | Folder | None"


@dataclass(frozen=True)
class Bad:
    """A row: what is in the catalog (``None`` for a file that is not), and what is said of it."""

    name: str
    files: Mapping[str, Content]
    said: str


CATALOG = "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n"
SESSION = "sessions:\n  alice:\n    name: Alice\n    prompt: Hello.\n"
DATA = SESSION + "    data:\n"
WITH_PROMPT = "sessions:\n  alice:\n    name: Alice\n    prompt: {file: %s}\n"


def manifest(content: Content) -> dict[str, Content]:
    """One manifest."""
    return {"sessions/a.yaml": content}


def catalog(content: Content) -> dict[str, Content]:
    """Another catalog.yaml."""
    return {"catalog.yaml": content}


def prompt(path: str, files: Mapping[str, Content] | None = None) -> dict[str, Content]:
    """A session with its prompt in a file."""
    return {"sessions/a.yaml": WITH_PROMPT % path, **(files or {})}


#: What is not YAML, or not the strict kind.
YAML = [
    Bad(
        "duplicate key",
        manifest(SESSION + "    name: Alicia\n"),
        """
sessions/a.yaml:5:5: the key `name` is given twice, first in line 3
    5 |     name: Alicia
      |     ^
      hint: keep one of the two
""",
    ),
    Bad(
        "duplicate session in one file",
        manifest(SESSION + "  bob: {name: Bob, prompt: Hi.}\n  alice: {name: Alice, prompt: Hi.}\n"),
        """
sessions/a.yaml:6:3: the key `alice` is given twice, first in line 2
    6 |   alice: {name: Alice, prompt: Hi.}
      |   ^
      hint: keep one of the two
""",
    ),
    Bad(
        "duplicate key in flow",
        manifest(DATA + "      seats: {\"a\": 1, 'a': 2}\n"),
        """
sessions/a.yaml:6:23: the key `a` is given twice, first in line 6
    6 |       seats: {"a": 1, 'a': 2}
      |                       ^
      hint: keep one of the two
""",
    ),
    Bad(
        "several duplicates, all told",
        manifest(DATA + "      a: 1\n      a: 2\n      b: {c: 1, c: 2}\n    data: {}\n"),
        """
sessions/a.yaml:7:7: the key `a` is given twice, first in line 6
    7 |       a: 2
      |       ^
      hint: keep one of the two
sessions/a.yaml:8:17: the key `c` is given twice, first in line 8
    8 |       b: {c: 1, c: 2}
      |                 ^
      hint: keep one of the two
sessions/a.yaml:9:5: the key `data` is given twice, first in line 5
    9 |     data: {}
      |     ^
      hint: keep one of the two
""",
    ),
    Bad(
        "duplicate merge key",
        manifest(DATA + "      a: &base {b: 1}\n      c:\n        <<: *base\n        <<: *base\n"),
        """
sessions/a.yaml:9:9: the key `<<` is given twice, first in line 8
    9 |         <<: *base
      |         ^
      hint: merge more than one mapping with a list: `<<: [*one, *other]`
""",
    ),
    Bad(
        "merge of a text",
        manifest(DATA + "      <<: base\n"),
        """
sessions/a.yaml:6:11: `<<` brings in the keys of a mapping, or of each mapping in a list, and this is neither
    6 |       <<: base
      |           ^
      hint: name a mapping by its alias, like `<<: *base`
""",
    ),
    Bad(
        "python tag",
        manifest(DATA + '      a: !!python/object/apply:os.system ["echo owned"]\n'),
        """
sessions/a.yaml:6:10: the tag `!!python/object/apply:os.system` is not followed here: a catalog holds plain values only
    6 |       a: !!python/object/apply:os.system ["echo owned"]
      |          ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "application tag",
        manifest("sessions:\n  alice:\n    name: !env USER\n    prompt: Hello.\n"),
        """
sessions/a.yaml:3:11: the tag `!env` is not followed here: a catalog holds plain values only
    3 |     name: !env USER
      |           ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "binary tag",
        manifest(DATA + "      a: !!binary aGVsbG8=\n"),
        """
sessions/a.yaml:6:10: the tag `!!binary` is not followed here: a catalog holds plain values only
    6 |       a: !!binary aGVsbG8=
      |          ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "set tag",
        manifest(DATA + "      a: !!set {x, y}\n"),
        """
sessions/a.yaml:6:10: the tag `!!set` is not followed here: a catalog holds plain values only
    6 |       a: !!set {x, y}
      |          ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "even the tag of a text",
        manifest("sessions:\n  alice:\n    name: !!str 123\n    prompt: Hello.\n"),
        """
sessions/a.yaml:3:11: the tag `!!str` is not followed here: a catalog holds plain values only
    3 |     name: !!str 123
      |           ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "the tag !",
        manifest("sessions:\n  alice:\n    name: ! 123\n    prompt: Hello.\n"),
        """
sessions/a.yaml:3:11: the tag `!` is not followed here: a catalog holds plain values only
    3 |     name: ! 123
      |           ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "tag with an unknown handle",
        manifest(DATA + "      a: !shop!book x\n"),
        """
sessions/a.yaml:6:10: `!` starts a tag, and tags are not followed here
    6 |       a: !shop!book x
      |          ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "tags on mapping, list and key",
        manifest(
            "sessions: !book\n  alice:\n    name: Alice\n    prompt: Hello.\n    data: {a: !list [1], !key b: 2}\n"
        ),
        """
sessions/a.yaml:1:11: the tag `!book` is not followed here: a catalog holds plain values only
    1 | sessions: !book
      |           ^
      hint: take the tag out, and put the value in quotes if it is a text
sessions/a.yaml:5:15: the tag `!list` is not followed here: a catalog holds plain values only
    5 |     data: {a: !list [1], !key b: 2}
      |               ^
      hint: take the tag out, and put the value in quotes if it is a text
sessions/a.yaml:5:26: the tag `!key` is not followed here: a catalog holds plain values only
    5 |     data: {a: !list [1], !key b: 2}
      |                          ^
      hint: take the tag out, and put the value in quotes if it is a text
""",
    ),
    Bad(
        "number as key",
        manifest(DATA + "      1: one\n"),
        """
sessions/a.yaml:6:7: the key `1` is a number, and keys are texts
    6 |       1: one
      |       ^
      hint: put it in quotes: "1"
""",
    ),
    Bad(
        "truth value as key",
        manifest(DATA + "      true: yes\n"),
        """
sessions/a.yaml:6:7: the key `true` is a truth value, and keys are texts
    6 |       true: yes
      |       ^
      hint: put it in quotes: "true"
""",
    ),
    Bad(
        "null as key",
        manifest(DATA + "      null: nothing\n"),
        """
sessions/a.yaml:6:7: the key `null` is null, and keys are texts
    6 |       null: nothing
      |       ^
      hint: put it in quotes: "null"
""",
    ),
    Bad(
        "tilde as key",
        manifest(DATA + "      ~: nothing\n"),
        """
sessions/a.yaml:6:7: the key `~` is null, and keys are texts
    6 |       ~: nothing
      |       ^
      hint: put it in quotes: "~"
""",
    ),
    Bad(
        "float as key in flow",
        manifest(DATA + "      prices: {1.5: cheap}\n"),
        """
sessions/a.yaml:6:16: the key `1.5` is a number, and keys are texts
    6 |       prices: {1.5: cheap}
      |                ^
      hint: put it in quotes: "1.5"
""",
    ),
    Bad(
        "list as key",
        manifest(DATA + "      [a, b]: c\n"),
        """
sessions/a.yaml:6:7: a list can't be a key: keys are texts
    6 |       [a, b]: c
      |       ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "mapping as key",
        manifest(DATA + "      ? {a: b}\n      : c\n"),
        """
sessions/a.yaml:6:9: a mapping can't be a key: keys are texts
    6 |       ? {a: b}
      |         ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "no key",
        manifest(DATA + "      ?\n      : c\n"),
        """
sessions/a.yaml:6:8: there is no key before this `:`
    6 |       ?
      |        ^
      hint: write one, or take the line out
""",
    ),
    Bad(
        "empty key",
        manifest(DATA + "      prices: {: cheap}\n"),
        """
sessions/a.yaml:6:16: a value was expected here
    6 |       prices: {: cheap}
      |                ^
      hint: write one, or put the text in quotes if this is part of it
""",
    ),
    Bad(
        "alias cycle",
        manifest(DATA + "      a: &a\n        b: [*a]\n"),
        """
sessions/a.yaml:7:13: the alias `*a` stands within what it names, so that there is no end of it
    7 |         b: [*a]
      |             ^
      hint: write out what is meant
""",
    ),
    Bad(
        "merge cycle",
        manifest(DATA + "      a: &a\n        <<: *a\n"),
        """
sessions/a.yaml:7:13: the alias `*a` stands within what it names, so that there is no end of it
    7 |         <<: *a
      |             ^
      hint: write out what is meant
""",
    ),
    Bad(
        "undefined alias",
        manifest("sessions:\n  alice:\n    name: *name\n    prompt: Hello.\n"),
        """
sessions/a.yaml:3:11: the alias `*name` has no anchor before it
    3 |     name: *name
      |           ^
      hint: put `&name` where the value stands, or, if this is a text, put it in quotes
""",
    ),
    Bad(
        "asterisks of Markdown",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: **Never** spoil an ending.\n"),
        """
sessions/a.yaml:4:13: `&` and `*` start an anchor or an alias, and its name, of letters and digits, is missing or goes on oddly
    4 |     prompt: **Never** spoil an ending.
      |             ^
      hint: put the text in quotes if it is one
""",
    ),
    Bad(
        "anchor given twice",
        manifest(DATA + "      a: &x 1\n      b: &x 2\n"),
        """
sessions/a.yaml:7:10: the anchor `&x` is given twice
    7 |       b: &x 2
      |          ^
      hint: give each anchor a name of its own
""",
    ),
    Bad(
        "alias bomb",
        manifest(
            DATA
            + '      a: &a ["lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol"]\n'
            + "".join(
                f"      {y}: &{y} [{', '.join(['*' + x] * 10)}]\n"
                for x, y in zip("abcdefgh", "bcdefghi", strict=True)
            )
        ),
        """
sessions/a.yaml:11:42: with this, the aliases of this file stand for more than 1,000,000 values or 100 MiB of text
   11 |       f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
      |                                          ^
      hint: use fewer of them, above all aliases within what other aliases name
""",
    ),
    Bad(
        "merge bomb",
        manifest(
            DATA
            + "      a: &a {a0: 1, a1: 1, a2: 1, a3: 1, a4: 1, a5: 1, a6: 1, a7: 1}\n"
            + "".join(
                f"      {y}: &{y} {{<<: [{', '.join(['*' + x] * 10)}]}}\n"
                for x, y in zip("abcdefg", "bcdefgh", strict=True)
            )
        ),
        """
sessions/a.yaml:11:35: with this, the aliases of this file stand for more than 1,000,000 values or 100 MiB of text
   11 |       f: &f {<<: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]}
      |                                   ^
      hint: use fewer of them, above all aliases within what other aliases name
""",
    ),
    Bad(
        "nested too deep",
        manifest("sessions: " + "[" * 101 + "]" * 101 + "\n"),
        """
sessions/a.yaml:1:110: this is nested more than 100 levels deep
    1 | …[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]…
      |                                                              ^
      hint: flatten it
""",
    ),
    Bad(
        "nested too deep through aliases",
        manifest(
            DATA + "      a0: &a0 []\n" + "".join(f"      a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 100))
        ),
        """
sessions/a.yaml:102:18: this is nested more than 100 levels deep
  102 |       a96: &a96 [*a95]
      |                  ^
      hint: flatten it
""",
    ),
    Bad(
        "integer of thousands of digits",
        manifest(DATA + "      a: " + "1234567890" * 300 + "\n"),
        """
sessions/a.yaml:6:10: this integer has 3,000 digits, and 1,000 is the most
    6 |       a: 12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890…
      |          ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "hexadecimal integer of thousands of digits",
        manifest(DATA + "      a: 0x" + "f" * 3000 + "\n"),
        """
sessions/a.yaml:6:10: this integer has 3,000 digits, and 1,000 is the most
    6 |       a: 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff…
      |          ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "infinity",
        manifest(DATA + "      a: -.inf\n"),
        """
sessions/a.yaml:6:10: `-.inf` is not a number that JSON can carry
    6 |       a: -.inf
      |          ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "not a number",
        manifest(DATA + "      a: .NaN\n"),
        """
sessions/a.yaml:6:10: `.NaN` is not a number that JSON can carry
    6 |       a: .NaN
      |          ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "float too large",
        manifest(DATA + "      a: 1e999\n"),
        """
sessions/a.yaml:6:10: this number is larger than any that programs can carry
    6 |       a: 1e999
      |          ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "impossible date",
        manifest(DATA + "      born: 2024-02-30\n"),
        """
sessions/a.yaml:6:13: `2024-02-30` is written like a date, and there is no such day or time
    6 |       born: 2024-02-30
      |             ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "impossible time",
        manifest(DATA + "      born: 2024-02-29T25:00:00Z\n"),
        """
sessions/a.yaml:6:13: `2024-02-29T25:00:00Z` is written like a date, and there is no such day or time
    6 |       born: 2024-02-29T25:00:00Z
      |             ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "NUL",
        manifest(b"sessions:\n  alice:\n    name: Ali\0ce\n    prompt: Hello.\n"),
        r"""
sessions/a.yaml:3:14: there is a NUL character here
    3 |     name: Ali\x00ce
      |              ^
      hint: take it out; save the file as UTF-8 if it is UTF-16
""",
    ),
    Bad(
        "NUL by its escape",
        manifest('sessions:\n  alice:\n    name: "Ali\\0ce"\n    prompt: Hello.\n'),
        r"""
sessions/a.yaml:3:11: there is a NUL character in this text
    3 |     name: "Ali\0ce"
      |           ^
      hint: take the `\0` out
""",
    ),
    Bad(
        "lone surrogate",
        manifest(b"sessions:\n  alice:\n    name: Ali\xed\xa0\x80ce\n    prompt: Hello.\n"),
        r"""
sessions/a.yaml:3:14: at byte 32 of this file there is half a character (a lone surrogate)
    3 |     name: Ali\xed\xa0\x80ce
      |              ^
      hint: save the file as UTF-8
""",
    ),
    Bad(
        "lone surrogate by its escape",
        manifest('sessions:\n  alice:\n    name: "Ali\\ud800ce"\n    prompt: Hello.\n'),
        r"""
sessions/a.yaml:3:15: `\ud800` is half a character (a lone surrogate)
    3 |     name: "Ali\ud800ce"
      |               ^
      hint: write the character itself, or its number in full, like `\U0001f600`
""",
    ),
    Bad(
        "emoji as two escapes",
        manifest('sessions:\n  alice:\n    name: "\\ud83d\\ude00"\n    prompt: Hello.\n'),
        r"""
sessions/a.yaml:3:12: `\ud83d` is half a character (a lone surrogate)
    3 |     name: "\ud83d\ude00"
      |            ^
      hint: write the character itself, or its number in full, like `\U0001f600`
""",
    ),
    Bad(
        "escape beyond Unicode",
        manifest('sessions:\n  alice:\n    name: "\\U00110000"\n    prompt: Hello.\n'),
        r"""
sessions/a.yaml:3:12: `\U00110000` is no character of Unicode
    3 |     name: "\U00110000"
      |            ^
      hint: write the character itself
""",
    ),
    Bad(
        "unknown escape",
        manifest('sessions:\n  alice:\n    name: "C:\\shop"\n    prompt: Hello.\n'),
        r"""
sessions/a.yaml:3:14: `\s` does not start an escape of double quotes
    3 |     name: "C:\shop"
      |              ^
      hint: write a backslash as `\\`, or use single quotes
""",
    ),
    Bad(
        "control character",
        manifest("sessions:\n  alice:\n    name: \x1b[31mAlice\n    prompt: Hello.\n"),
        r"""
sessions/a.yaml:3:11: there is a control character (U+001B) here
    3 |     name: \x1b[31mAlice
      |           ^
      hint: take it out, or write it as `\x1b` in double quotes
""",
    ),
    Bad(
        "DEL",
        manifest("sessions:\n  alice:\n    name: Ali\x7fce\n    prompt: Hello.\n"),
        r"""
sessions/a.yaml:3:14: there is a control character (U+007F) here
    3 |     name: Ali\x7fce
      |              ^
      hint: take it out, or write it as `\x7f` in double quotes
""",
    ),
    Bad(
        "line separator",
        manifest('sessions:\n  alice:\n    name: Alice\n    prompt: "One.\u2028Two."\n'),
        r"""
sessions/a.yaml:4:18: there is a U+2028 here, which some readers of YAML take for a line end
    4 |     prompt: "One.\u2028Two."
      |                  ^
      hint: replace it, write it as `\u2028` in double quotes, or keep the prompt in a file of its own
""",
    ),
    Bad(
        "next line",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: |\n      One.\x85Two.\n"),
        r"""
sessions/a.yaml:5:11: there is a U+0085 here, which some readers of YAML take for a line end
    5 |       One.\x85Two.
      |           ^
      hint: replace it, write it as `\u0085` in double quotes, or keep the prompt in a file of its own
""",
    ),
    Bad(
        "second document",
        manifest(SESSION + "---\n" + SESSION),
        """
sessions/a.yaml:5:1: a second document starts here, and a file holds one
    5 | ---
      | ^
      hint: take the `---` out, or move what follows to a file of its own
""",
    ),
    Bad(
        "after the end",
        manifest(SESSION + "...\nmore\n"),
        """
sessions/a.yaml:6:1: the document has ended before this
    6 | more
      | ^
      hint: look for a bracket too many, a line that is not indented enough, or a line with `...`
""",
    ),
    Bad(
        "empty file",
        manifest(""),
        """
sessions/a.yaml:1:1: this manifest holds nothing, or nothing but comments
      hint: write `sessions: {}` if it is to hold none, or remove the file
""",
    ),
    Bad(
        "only comments",
        manifest("# To be written.\n"),
        """
sessions/a.yaml:1:1: this manifest holds nothing, or nothing but comments
    1 | # To be written.
      | ^
      hint: write `sessions: {}` if it is to hold none, or remove the file
""",
    ),
    Bad(
        "tab as indentation",
        manifest("sessions:\n  alice:\n\tname: Alice\n"),
        r"""
sessions/a.yaml:3:1: a tab is used for indentation here
    3 | \tname: Alice
      | ^
      hint: indent with spaces
""",
    ),
    Bad(
        "tab in a block text",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: |\n\t  Hello.\n"),
        r"""
sessions/a.yaml:5:1: a tab is used for indentation here
    5 | \t  Hello.
      | ^
      hint: indent with spaces
""",
    ),
    Bad(
        "not UTF-8",
        manifest("sessions:\n  alice:\n    name: Zoë\n    prompt: Hello.\n".encode("latin-1")),
        r"""
sessions/a.yaml:3:13: byte 31 of this file, 0xeb, is not UTF-8
    3 |     name: Zo\xeb
      |             ^
      hint: save the file as UTF-8
""",
    ),
    Bad(
        "GB 18030",
        manifest("sessions:\n  alice:\n    name: 顾掌柜\n    prompt: Hello.\n".encode("gb18030")),
        r"""
sessions/a.yaml:3:11: byte 29 of this file, 0xb9, is not UTF-8
    3 |     name: \xb9\xcb\xd5ƹ\xf1
      |           ^
      hint: save the file as UTF-8
""",
    ),
    Bad(
        "UTF-16",
        manifest(SESSION.encode("utf-16")),
        """
sessions/a.yaml:1:1: this file is UTF-16, not UTF-8
      hint: save the file as UTF-8
""",
    ),
    Bad(
        "UTF-32",
        manifest(SESSION.encode("utf-32")),
        """
sessions/a.yaml:1:1: this file is UTF-32, not UTF-8
      hint: save the file as UTF-8
""",
    ),
    Bad(
        "directive",
        manifest("%TAG ! tag:example.org,2024:\n---\n" + SESSION),
        """
sessions/a.yaml:1:1: a line that starts with `%` is a directive, and `%TAG` is not followed here
    1 | %TAG ! tag:example.org,2024:
      | ^
      hint: take the line out, or indent it if it is part of a text
""",
    ),
    Bad(
        "YAML 1.1 asked for",
        manifest("%YAML 1.1\n---\n" + SESSION),
        """
sessions/a.yaml:1:1: a line that starts with `%` is a directive, and `%YAML` is not followed here
    1 | %YAML 1.1
      | ^
      hint: take the line out, or indent it if it is part of a text
""",
    ),
    Bad(
        "colon in a plain text",
        manifest("sessions:\n  alice:\n    name: Alice: the reader\n    prompt: Hello.\n"),
        """
sessions/a.yaml:3:16: a `: ` can't stand here
    3 |     name: Alice: the reader
      |                ^
      hint: put the text in quotes if it holds a `: `; else look at the indentation
""",
    ),
    Bad(
        "text that starts with braces",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: {{char}} is a bookseller.\n"),
        """
sessions/a.yaml:4:14: a plain text can't start with `{{`, which is YAML's way to start a mapping
    4 |     prompt: {{char}} is a bookseller.
      |              ^
      hint: put the whole text in quotes, or start it in the line after a `|`
""",
    ),
    Bad(
        "text that starts with a backtick",
        manifest("sessions:\n  alice:\n    name: `Alice`\n    prompt: Hello.\n"),
        """
sessions/a.yaml:3:11: a value can't start with "`"
    3 |     name: `Alice`
      |           ^
      hint: put it in quotes
""",
    ),
    Bad(
        "text that starts with %",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: %name% is a bookseller.\n"),
        """
sessions/a.yaml:4:13: a value can't start with "%"
    4 |     prompt: %name% is a bookseller.
      |             ^
      hint: put it in quotes
""",
    ),
    Bad(
        "open double quote",
        manifest('sessions:\n  alice:\n    name: "Alice\n    prompt: Hello.\n'),
        r"""
sessions/a.yaml:3:11: this quote is never closed
    3 |     name: "Alice
      |           ^
      hint: close it; a quote within is written as `\"`
""",
    ),
    Bad(
        "open single quote",
        manifest("sessions:\n  alice:\n    name: 'Alice\n    prompt: Hello.\n"),
        """
sessions/a.yaml:3:11: this quote is never closed
    3 |     name: 'Alice
      |           ^
      hint: close it; a quote within is written as `''`
""",
    ),
    Bad(
        "quote within quotes",
        manifest("sessions:\n  alice:\n    name: 'Alice's'\n    prompt: Hello.\n"),
        r"""
sessions/a.yaml:3:18: the quotes ended before this
    3 |     name: 'Alice's'
      |                  ^
      hint: a quote within is written as `''` in single quotes, as `\"` in double ones
""",
    ),
    Bad(
        "document marker in quotes",
        manifest('sessions:\n  alice:\n    name: Alice\n    prompt: "One\n---\ntwo."\n'),
        """
sessions/a.yaml:4:13: this quoted text runs into a line that starts with `---` or `...`
    4 |     prompt: "One
      |             ^
      hint: close the quote before it, or indent the line
""",
    ),
    Bad(
        "open bracket",
        manifest(DATA + "      tags: [a, b\n"),
        """
sessions/a.yaml:6:13: this `[` is never closed
    6 |       tags: [a, b
      |             ^
      hint: add the `]`, or put the text in quotes if it is one
""",
    ),
    Bad(
        "open brace",
        manifest(DATA + "      tags: {a: b\n"),
        """
sessions/a.yaml:6:13: this `{` is never closed
    6 |       tags: {a: b
      |             ^
      hint: add the `}`, or put the text in quotes if it is one
""",
    ),
    Bad(
        "missing comma",
        manifest(DATA + '      tags: [a, "b" "c"]\n'),
        """
sessions/a.yaml:6:21: a `,` or `]` was expected here
    6 |       tags: [a, "b" "c"]
      |                     ^
      hint: put a text in quotes if it holds `,`, `[`, `]`, `{`, `}` or a quote
""",
    ),
    Bad(
        "comma too many",
        manifest(DATA + "      tags: [a,, b]\n"),
        """
sessions/a.yaml:6:16: a value was expected here
    6 |       tags: [a,, b]
      |                ^
      hint: write one, or put the text in quotes if this is part of it
""",
    ),
    Bad(
        "indented too little",
        manifest("sessions:\n  alice:\n    name: Alice\n   prompt: Hello.\n"),
        """
sessions/a.yaml:4:4: this does not fit in here: a key was expected
    4 |    prompt: Hello.
      |    ^
      hint: indent it like the keys beside it, or put the whole value in quotes
""",
    ),
    Bad(
        "indented too far",
        manifest("sessions:\n  alice:\n    name: Alice\n      prompt: Hello.\n"),
        """
sessions/a.yaml:4:13: a `: ` can't stand here
    4 |       prompt: Hello.
      |             ^
      hint: put the text in quotes if it holds a `: `; else look at the indentation
""",
    ),
    Bad(
        "line of a text at the left",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: |\n      One.\nTwo.\n"),
        """
sessions/a.yaml:6:1: this line is neither `key: value` nor part of the text above it
    6 | Two.
      | ^
      hint: put a `: ` after the key, or indent the line if it belongs to a text
""",
    ),
    Bad(
        "list in the line of its key",
        manifest(DATA + "      tags: - a\n"),
        """
sessions/a.yaml:6:13: a list can't start here
    6 |       tags: - a
      |             ^
      hint: put each `- ` on a line of its own, or the text in quotes if it is one
""",
    ),
    Bad(
        "list among keys",
        manifest(DATA + "      a: 1\n      - b\n"),
        """
sessions/a.yaml:7:7: this does not fit in here: a key was expected
    7 |       - b
      |       ^
      hint: indent it like the keys beside it, or put the whole value in quotes
""",
    ),
    Bad(
        "key among entries",
        manifest(DATA + "      tags:\n        - a\n        b: c\n"),
        """
sessions/a.yaml:8:9: this does not fit in here: an entry of a list, with its `- `, was expected
    8 |         b: c
      |         ^
      hint: indent it like what it belongs to
""",
    ),
    Bad(
        "text in the line of the bar",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: |Hello.\n"),
        """
sessions/a.yaml:4:13: the text has to start on the line after `|` or `>`
    4 |     prompt: |Hello.
      |             ^
      hint: move it there, and indent it
""",
    ),
    Bad(
        "question mark",
        manifest(DATA + "      tags: ? a\n"),
        """
sessions/a.yaml:6:13: a key can't stand here
    6 |       tags: ? a
      |             ^
      hint: put it on a line of its own, indented like the keys beside it
""",
    ),
]

#: What does not fit the schema, or does not fit together.
SCHEMA = [
    Bad(
        "unknown field",
        manifest("sessions:\n  alice:\n    name: Alice\n    promt: Hello.\n"),
        """
sessions/a.yaml:4:5: `promt` is not a field of the session `alice`
    4 |     promt: Hello.
      |     ^
      hint: did you mean `prompt`?
""",
    ),
    Bad(
        "unknown field in camel case",
        manifest(SESSION + "    parameters: {maxTokens: 4000}\n"),
        """
sessions/a.yaml:5:18: `maxTokens` is not a field of `parameters`
    5 |     parameters: {maxTokens: 4000}
      |                  ^
      hint: did you mean `max_tokens`?
""",
    ),
    Bad(
        "unknown field like nothing",
        manifest(SESSION + "    parameters: {top_k: 3}\n"),
        """
sessions/a.yaml:5:18: `top_k` is not a field of `parameters`
    5 |     parameters: {top_k: 3}
      |                  ^
      hint: the fields of `parameters` are `temperature`, `max_tokens` and `history_length`
""",
    ),
    Bad(
        "unknown field of a session",
        manifest(SESSION + "    voice: warm\n"),
        """
sessions/a.yaml:5:5: `voice` is not a field of the session `alice`
    5 |     voice: warm
      |     ^
      hint: the fields of the session `alice` are `extends`, `name`, `model`, `prompt`, `parameters`, `data`, `remark`, `lifecycle`, `variables`, `matrix`, `from` and `adopt`
""",
    ),
    Bad(
        "wrong types",
        manifest(
            "sessions:\n  alice:\n    name: 123\n    model: true\n    prompt: [Hello.]\n    parameters: []\n    data: none\n    remark: 1.5\n    lifecycle: yes\n"
        ),
        """
sessions/a.yaml:3:11: `name` is 123, and has to be a text
    3 |     name: 123
      |           ^
      hint: put it in quotes, which makes it a text
sessions/a.yaml:4:12: `model` is true, and has to be a text
    4 |     model: true
      |            ^
      hint: put it in quotes, which makes it a text
sessions/a.yaml:5:14: this entry of `prompt` is the text "Hello.", and has to be a mapping
    5 |     prompt: [Hello.]
      |              ^
      hint: write `key: value` in lines of their own
sessions/a.yaml:6:17: `parameters` is a list, and has to be a mapping
    6 |     parameters: []
      |                 ^
      hint: write `key: value` in lines of their own
sessions/a.yaml:7:11: `data` is the text "none", and has to be a mapping
    7 |     data: none
      |           ^
      hint: write `key: value` in lines of their own
sessions/a.yaml:8:13: `remark` is 1.5, and has to be a mapping
    8 |     remark: 1.5
      |             ^
      hint: write `key: value` in lines of their own
sessions/a.yaml:9:16: `lifecycle` is the text "yes", and has to be a mapping
    9 |     lifecycle: yes
      |                ^
      hint: write `key: value` in lines of their own
""",
    ),
    Bad(
        "the Norway problem, the other way round",
        manifest(SESSION + "    lifecycle:\n      prevent_destroy: yes\n"),
        """
sessions/a.yaml:6:24: `prevent_destroy` is the text "yes", and has to be true or false
    6 |       prevent_destroy: yes
      |                        ^
      hint: write `true` or `false`; `yes`, `no`, `on` and `off` are texts
""",
    ),
    Bad(
        "number in quotes",
        manifest(SESSION + '    parameters: {temperature: "0.3"}\n'),
        """
sessions/a.yaml:5:31: `temperature` is the text "0.3", and has to be a number from 0 to 2
    5 |     parameters: {temperature: "0.3"}
      |                               ^
      hint: take the quotes away: 0.3
""",
    ),
    Bad(
        "comma in a number",
        manifest(SESSION + "    parameters:\n      temperature: 0,3\n"),
        """
sessions/a.yaml:6:20: `temperature` is the text "0,3", and has to be a number from 0 to 2
    6 |       temperature: 0,3
      |                    ^
      hint: write the comma as a point: 0.3
""",
    ),
    Bad(
        "number in words",
        manifest(SESSION + "    parameters: {temperature: low}\n"),
        """
sessions/a.yaml:5:31: `temperature` is the text "low", and has to be a number from 0 to 2
    5 |     parameters: {temperature: low}
      |                               ^
      hint: write it in digits, without quotes and words
""",
    ),
    Bad(
        "temperature too high",
        manifest(SESSION + "    parameters: {temperature: 2.1}\n"),
        """
sessions/a.yaml:5:31: `temperature` is 2.1, and 2 is the most
    5 |     parameters: {temperature: 2.1}
      |                               ^
      hint: write a number from 0 to 2
""",
    ),
    Bad(
        "temperature too low",
        manifest(SESSION + "    parameters: {temperature: -0.1}\n"),
        """
sessions/a.yaml:5:31: `temperature` is -0.1, and 0 is the least
    5 |     parameters: {temperature: -0.1}
      |                               ^
      hint: write a number from 0 to 2
""",
    ),
    Bad(
        "max_tokens too small",
        manifest(SESSION + "    parameters: {max_tokens: 0}\n"),
        """
sessions/a.yaml:5:30: `max_tokens` is 0, and 1 is the least
    5 |     parameters: {max_tokens: 0}
      |                              ^
      hint: write a whole number of at least 1
""",
    ),
    Bad(
        "max_tokens broken",
        manifest(SESSION + "    parameters: {max_tokens: 0.5}\n"),
        """
sessions/a.yaml:5:30: `max_tokens` is 0.5, and has to be a whole number of at least 1
    5 |     parameters: {max_tokens: 0.5}
      |                              ^
      hint: write it in digits, without quotes and words
""",
    ),
    Bad(
        "history_length too small",
        manifest(SESSION + "    parameters: {history_length: -1}\n"),
        """
sessions/a.yaml:5:34: `history_length` is -1, and 0 is the least
    5 |     parameters: {history_length: -1}
      |                                  ^
      hint: write a whole number of at least 0
""",
    ),
    Bad(
        "prompt left empty",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt:\n"),
        """
sessions/a.yaml:4:5: `prompt` is left empty
    4 |     prompt:
      |     ^
      hint: write a text, or `{file: …}`, or take the line out
""",
    ),
    Bad(
        "prompt null",
        manifest("sessions:\n  alice: {name: Alice, prompt: null}\n"),
        """
sessions/a.yaml:2:32: `prompt` is left empty
    2 |   alice: {name: Alice, prompt: null}
      |                                ^
      hint: write a text, or `{file: …}`, or take the line out
""",
    ),
    Bad(
        "prompt file without a name",
        manifest("sessions:\n  alice:\n    name: Alice\n    prompt: {fil: prompts/alice.md}\n"),
        """
sessions/a.yaml:4:14: `fil` is not a field of `prompt`
    4 |     prompt: {fil: prompts/alice.md}
      |              ^
      hint: did you mean `file`?
""",
    ),
    Bad(
        "prompt file with an empty name",
        manifest('sessions:\n  alice:\n    name: Alice\n    prompt: {file: ""}\n'),
        """
sessions/a.yaml:4:20: `file` is empty
    4 |     prompt: {file: ""}
      |                    ^
      hint: write it, or take the line out
""",
    ),
    Bad(
        "blank name",
        manifest('sessions:\n  alice:\n    name: "  "\n    prompt: Hello.\n'),
        """
sessions/a.yaml:3:11: `name` is blank
    3 |     name: "  "
      |           ^
      hint: write it, or take the line out
""",
    ),
    Bad(
        "parameters left empty",
        manifest(SESSION + "    parameters:\n"),
        """
sessions/a.yaml:5:5: `parameters` is left empty
    5 |     parameters:
      |     ^
      hint: write its fields below it, indented, or take the line out
""",
    ),
    Bad(
        "session left empty",
        manifest("sessions:\n  alice:\n"),
        """
sessions/a.yaml:2:3: the session `alice` is left empty
    2 |   alice:
      |   ^
      hint: write its fields below it, indented, or take the line out
""",
    ),
    Bad(
        "sessions left empty",
        manifest("sessions:\n"),
        """
sessions/a.yaml:1:1: `sessions` is left empty
    1 | sessions:
      | ^
      hint: write sessions below it, by their keys, or `sessions: {}` for none
""",
    ),
    Bad(
        "sessions as a list",
        manifest("sessions:\n  - name: Alice\n    prompt: Hello.\n"),
        """
sessions/a.yaml:2:3: `sessions` is a list, and has to be a mapping
    2 |   - name: Alice
      |   ^
      hint: write each session below a key of its own, like `alice:`
""",
    ),
    Bad(
        "a list for a manifest",
        manifest("- alice\n"),
        """
sessions/a.yaml:1:1: this manifest is a list, and has to be a mapping
    1 | - alice
      | ^
      hint: write `key: value` in lines of their own
""",
    ),
    Bad(
        "session beside sessions",
        manifest("alice:\n  name: Alice\n  prompt: Hello.\n"),
        """
sessions/a.yaml:1:1: `alice` is not a field of this manifest
    1 | alice:
      | ^
      hint: if it is a session, indent it below `sessions:`, as `alice:`
sessions/a.yaml:1:1: this manifest has no `sessions`
    1 | alice:
      | ^
      hint: write its sessions below `sessions:`, by their keys
""",
    ),
    Bad(
        "defaults in a manifest",
        manifest("defaults: {model: deepseek-chat}\n" + SESSION),
        """
sessions/a.yaml:1:1: `defaults` is not a field of this manifest
    1 | defaults: {model: deepseek-chat}
      | ^
      hint: move it to catalog.yaml
""",
    ),
    Bad(
        "bad keys",
        manifest(
            "sessions:\n  Alice B.:\n    name: Alice\n    prompt: Hello.\n  顾掌柜: {name: 顾掌柜, prompt: 你好。}\n  "
            + "a" * 64
            + ": {name: A, prompt: A.}\n"
        ),
        """
sessions/a.yaml:2:3: `Alice B.` can't be the key of a session
    2 |   Alice B.:
      |   ^
      hint: use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit, like `alice-b`
sessions/a.yaml:5:3: `顾掌柜` can't be the key of a session
    5 |   顾掌柜: {name: 顾掌柜, prompt: 你好。}
      |   ^
      hint: use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit
sessions/a.yaml:6:3: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` can't be the key of a session
    6 |   aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: {name: A, prompt: A.}
      |   ^
      hint: use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit, like `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
""",
    ),
    Bad(
        "our key in the remark",
        manifest(SESSION + "    remark: {created_user: lery, reconciler: mine}\n"),
        """
sessions/a.yaml:5:34: `reconciler` is no key for you: a session's identity is kept under it
    5 |     remark: {created_user: lery, reconciler: mine}
      |                                  ^
      hint: give the key another name
""",
    ),
    Bad(
        "ignore_changes of no field",
        manifest(SESSION + "    lifecycle: {ignore_changes: [parameters.temprature, weather]}\n"),
        """
sessions/a.yaml:5:34: the text "parameters.temprature" is no field of a session
    5 |     lifecycle: {ignore_changes: [parameters.temprature, weather]}
      |                                  ^
      hint: did you mean `parameters.temperature`?
sessions/a.yaml:5:57: the text "weather" is no field of a session
    5 |     lifecycle: {ignore_changes: [parameters.temprature, weather]}
      |                                                         ^
      hint: name one, like `parameters.temperature`, or a group, like `data`
""",
    ),
    Bad(
        "ignore_changes as a text",
        manifest(SESSION + "    lifecycle: {ignore_changes: prompt}\n"),
        """
sessions/a.yaml:5:33: `ignore_changes` is the text "prompt", and has to be a list
    5 |     lifecycle: {ignore_changes: prompt}
      |                                 ^
      hint: write it in brackets, like `[one, other]`, or with a `- ` before each
""",
    ),
    Bad(
        "no name",
        manifest("sessions:\n  alice: {prompt: Hello.}\n"),
        """
sessions/a.yaml:2:3: the session `alice` has no `name`
    2 |   alice: {prompt: Hello.}
      |   ^
      hint: give it one
""",
    ),
    Bad(
        "no prompt",
        manifest("sessions:\n  alice: {name: Alice}\n"),
        """
sessions/a.yaml:2:3: the session `alice` has no `prompt`
    2 |   alice: {name: Alice}
      |   ^
      hint: give it one, or give all one below `defaults` in catalog.yaml
""",
    ),
    Bad(
        "no model",
        {**catalog("version: 1\ncatalog: shop\n"), **manifest(SESSION)},
        """
sessions/a.yaml:2:3: the session `alice` has no `model`
    2 |   alice:
      |   ^
      hint: give it one, or give all one below `defaults` in catalog.yaml
""",
    ),
    Bad(
        "nothing at all",
        {**catalog("version: 1\ncatalog: shop\n"), **manifest("sessions:\n  alice: {}\n")},
        """
sessions/a.yaml:2:3: the session `alice` has no `model`
    2 |   alice: {}
      |   ^
      hint: give it one, or give all one below `defaults` in catalog.yaml
sessions/a.yaml:2:3: the session `alice` has no `name`
    2 |   alice: {}
      |   ^
      hint: give it one
sessions/a.yaml:2:3: the session `alice` has no `prompt`
    2 |   alice: {}
      |   ^
      hint: give it one, or give all one below `defaults` in catalog.yaml
""",
    ),
    Bad(
        "a place through an alias",
        manifest(
            "sessions:\n  alice:\n    name: Alice\n    prompt: Hello.\n    parameters: &cool {temperature: 3}\n  bob:\n    name: Bob\n    prompt: Hi.\n    parameters: *cool\n"
        ),
        """
sessions/a.yaml:5:37: `temperature` is 3, and 2 is the most
    5 |     parameters: &cool {temperature: 3}
      |                                     ^
      hint: write a number from 0 to 2
""",
    ),
    Bad(
        "a place through a merge key",
        manifest(
            "sessions:\n  alice: &alice\n    name: Alice\n    prompt: Hello.\n    model: 5\n  bob:\n    <<: *alice\n    name: Bob\n"
        ),
        """
sessions/a.yaml:5:12: `model` is 5, and has to be a text
    5 |     model: 5
      |            ^
      hint: put it in quotes, which makes it a text
""",
    ),
    Bad(
        "YAML and schema in one run",
        manifest(
            "sessions:\n  alice:\n    name: !env NAME\n    prompt: Hello.\n    parameters: {temperature: 3}\n  bob:\n    name: Bob\n    prompt: Hi.\n    born: 2024-02-30\n"
        ),
        """
sessions/a.yaml:3:11: the tag `!env` is not followed here: a catalog holds plain values only
    3 |     name: !env NAME
      |           ^
      hint: take the tag out, and put the value in quotes if it is a text
sessions/a.yaml:5:31: `temperature` is 3, and 2 is the most
    5 |     parameters: {temperature: 3}
      |                               ^
      hint: write a number from 0 to 2
sessions/a.yaml:9:5: `born` is not a field of the session `bob`
    9 |     born: 2024-02-30
      |     ^
      hint: the fields of the session `bob` are `extends`, `name`, `model`, `prompt`, `parameters`, `data`, `remark`, `lifecycle`, `variables`, `matrix`, `from` and `adopt`
sessions/a.yaml:9:11: `2024-02-30` is written like a date, and there is no such day or time
    9 |     born: 2024-02-30
      |           ^
      hint: put it in quotes if it is a text
""",
    ),
    Bad(
        "no version",
        catalog("catalog: shop\n"),
        """
catalog.yaml:1:1: catalog.yaml has no `version`
    1 | catalog: shop
      | ^
      hint: write `version: 1`, which is the version of this format
""",
    ),
    Bad(
        "version of the future",
        catalog("version: 2\ncatalog: shop\n"),
        """
catalog.yaml:1:10: `version` is 2, and this program reads version 1
    1 | version: 2
      |          ^
      hint: write `version: 1`, or use a program that reads the other
""",
    ),
    Bad(
        "version as a text",
        catalog('version: "1"\ncatalog: shop\n'),
        """
catalog.yaml:1:10: `version` is the text "1", and has to be a whole number
    1 | version: "1"
      |          ^
      hint: take the quotes away: 1
""",
    ),
    Bad(
        "no catalog",
        catalog("version: 1\n"),
        """
catalog.yaml:1:1: catalog.yaml has no `catalog`
    1 | version: 1
      | ^
      hint: give the catalog a name that stays: `catalog: bookshop`
""",
    ),
    Bad(
        "bad name of the catalog",
        catalog("version: 1\ncatalog: My Shop\n"),
        """
catalog.yaml:2:10: `My Shop` can't be the name of a catalog
    2 | catalog: My Shop
      |          ^
      hint: use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit, like `my-shop`
""",
    ),
    Bad(
        "empty catalog.yaml",
        catalog("# nothing yet\n"),
        """
catalog.yaml:1:1: catalog.yaml holds nothing, or nothing but comments
    1 | # nothing yet
      | ^
      hint: start it with `version: 1` and, below it, `catalog: ` and a name
""",
    ),
    Bad(
        "unknown field of the catalog",
        catalog(CATALOG + 'includes: ["*.yaml"]\n'),
        """
catalog.yaml:4:1: `includes` is not a field of catalog.yaml
    4 | includes: ["*.yaml"]
      | ^
      hint: did you mean `include`?
""",
    ),
    Bad(
        "name in the defaults",
        catalog(CATALOG.replace("{model", "{name: Alice, model")),
        """
catalog.yaml:3:12: `name` is not a field of `defaults`
    3 | defaults: {name: Alice, model: deepseek-chat}
      |            ^
      hint: the fields of `defaults` are `model`, `prompt`, `parameters`, `data`, `remark` and `lifecycle`
""",
    ),
    Bad(
        "limits",
        catalog(CATALOG + "policy: {max_deletes: -1, max_updates: 10 %, max_changes: 1.5}\n"),
        """
catalog.yaml:4:23: `max_deletes` is -1, and 0 is the least
    4 | policy: {max_deletes: -1, max_updates: 10 %, max_changes: 1.5}
      |                       ^
      hint: write a whole number or a percentage, like 10 or "10%"
catalog.yaml:4:40: `max_updates` is the text "10 %", and has to be a whole number or a percentage, like 10 or "10%"
    4 | policy: {max_deletes: -1, max_updates: 10 %, max_changes: 1.5}
      |                                        ^
      hint: write a percentage without spaces, up to "100%"
catalog.yaml:4:59: `max_changes` is 1.5, and has to be a whole number or a percentage, like 10 or "10%"
    4 | policy: {max_deletes: -1, max_updates: 10 %, max_changes: 1.5}
      |                                                           ^
      hint: write it in digits, without quotes and words
""",
    ),
    Bad(
        "limit of more than all",
        catalog(CATALOG + "policy: {max_deletes: 101%}\n"),
        """
catalog.yaml:4:23: `max_deletes` is the text "101%", and has to be a whole number or a percentage, like 10 or "10%"
    4 | policy: {max_deletes: 101%}
      |                       ^
      hint: write a percentage without spaces, up to "100%"
""",
    ),
    Bad(
        "limit left empty",
        catalog(CATALOG + "policy: {max_deletes: }\n"),
        """
catalog.yaml:4:10: `max_deletes` is left empty
    4 | policy: {max_deletes: }
      |          ^
      hint: write a whole number or a percentage, like 10 or "10%", or take the line out
""",
    ),
    Bad(
        "on_conflict",
        catalog(CATALOG + "policy: {on_conflict: keep_live, lock: on}\n"),
        """
catalog.yaml:4:23: `on_conflict` is the text "keep_live", and can be `overwrite`, `keep-live` or `fail`
    4 | policy: {on_conflict: keep_live, lock: on}
      |                       ^
      hint: did you mean `keep-live`?
catalog.yaml:4:40: `lock` is the text "on", and has to be true or false
    4 | policy: {on_conflict: keep_live, lock: on}
      |                                        ^
      hint: write `true` or `false`; `yes`, `no`, `on` and `off` are texts
""",
    ),
    Bad(
        "include as a text",
        catalog(CATALOG + "include: sessions/*.yaml\n"),
        """
catalog.yaml:4:10: `include` is the text "sessions/*.yaml", and has to be a list
    4 | include: sessions/*.yaml
      |          ^
      hint: write it in brackets, like `[one, other]`, or with a `- ` before each
""",
    ),
    Bad(
        "include of no texts",
        catalog(CATALOG + 'include: [1, "", null]\n'),
        """
catalog.yaml:4:11: this entry of `include` is 1, and has to be a text
    4 | include: [1, "", null]
      |           ^
      hint: put it in quotes, which makes it a text
catalog.yaml:4:14: this entry of `include` is empty
    4 | include: [1, "", null]
      |              ^
      hint: write it, or take the line out
catalog.yaml:4:18: this entry of `include` is left empty
    4 | include: [1, "", null]
      |                  ^
      hint: write a text, or take the line out
""",
    ),
    Bad(
        "a key in two files",
        {"sessions/a.yaml": SESSION, "sessions/b/c.yaml": "# more\n" + SESSION},
        """
sessions/b/c.yaml:3:3: the session `alice` is declared twice, first in sessions/a.yaml:2
    3 |   alice:
      |   ^
      hint: give one of the two another key, or take it out
""",
    ),
    Bad(
        "a key in catalog.yaml and a file",
        {**catalog(CATALOG + SESSION), **manifest(SESSION)},
        """
sessions/a.yaml:2:3: the session `alice` is declared twice, first in catalog.yaml:5
    2 |   alice:
      |   ^
      hint: give one of the two another key, or take it out
""",
    ),
    Bad(
        "all files in one run",
        {
            **catalog(CATALOG + "include: [sessions/*.yaml, more/*.yaml]\n"),
            "sessions/a.yaml": SESSION + "    colour: red\n",
            "sessions/b.yaml": "sessions: [\n",
            "sessions/c.yaml": "sessions:\n  bob: {name: Bob}\n",
        },
        """
catalog.yaml:4:28: the pattern `more/*.yaml` matches no file
    4 | include: [sessions/*.yaml, more/*.yaml]
      |                            ^
      hint: check the spelling, or take it out; paths are written from the folder of catalog.yaml
sessions/a.yaml:5:5: `colour` is not a field of the session `alice`
    5 |     colour: red
      |     ^
      hint: the fields of the session `alice` are `extends`, `name`, `model`, `prompt`, `parameters`, `data`, `remark`, `lifecycle`, `variables`, `matrix`, `from` and `adopt`
sessions/b.yaml:1:11: the file ends after this, where a value was expected
    1 | sessions: [
      |           ^
      hint: write it, and close what is open
sessions/c.yaml:2:3: the session `bob` has no `prompt`
    2 |   bob: {name: Bob}
      |   ^
      hint: give it one, or give all one below `defaults` in catalog.yaml
""",
    ),
]

#: What is not read.
FILES = [
    Bad(
        "no catalog.yaml",
        {"catalog.yaml": None},
        """
catalog.yaml: there is no catalog.yaml here
      hint: a catalog is a folder with this file in it; name the right folder
""",
    ),
    Bad(
        "catalog.yml",
        {"catalog.yaml": None, "catalog.yml": CATALOG},
        """
catalog.yaml: there is no catalog.yaml here
      hint: rename catalog.yml to catalog.yaml
""",
    ),
    Bad(
        "catalog.yaml is a folder",
        {"catalog.yaml": None, "catalog.yaml/": Folder()},
        """
catalog.yaml: this file is a folder
      hint: name a file in it
""",
    ),
    Bad(
        "catalog.yaml leads outside",
        {"catalog.yaml": Link("../outside/catalog.yaml")},
        """
catalog.yaml: this file leads out of the catalog's folder through a symlink
      hint: put the file itself into the catalog; nothing outside of it is read
""",
    ),
    Bad(
        "include that matches nothing",
        catalog(CATALOG + 'include: [sessions/*.yaml, "people/**/*.yaml"]\n') | manifest(SESSION),
        """
catalog.yaml:4:28: the pattern `people/**/*.yaml` matches no file
    4 | include: [sessions/*.yaml, "people/**/*.yaml"]
      |                            ^
      hint: check the spelling, or take it out; paths are written from the folder of catalog.yaml
""",
    ),
    Bad(
        "include goes up",
        catalog(CATALOG + "include: [../outside/*.yaml]\n"),
        """
catalog.yaml:4:11: the pattern `../outside/*.yaml` goes up with `..`
    4 | include: [../outside/*.yaml]
      |           ^
      hint: write the path from the folder of catalog.yaml, without going up
""",
    ),
    Bad(
        "include is absolute",
        catalog(CATALOG + "include: [/etc/*.yaml]\n"),
        """
catalog.yaml:4:11: the pattern `/etc/*.yaml` is an absolute path
    4 | include: [/etc/*.yaml]
      |           ^
      hint: write the path from the folder of catalog.yaml, without going up
""",
    ),
    Bad(
        "include on a drive",
        catalog(CATALOG + "include: ['C:\\shop\\*.yaml']\n"),
        r"""
catalog.yaml:4:11: the pattern `C:\shop\*.yaml` is an absolute path
    4 | include: ['C:\shop\*.yaml']
      |           ^
      hint: write the path from the folder of catalog.yaml, without going up
""",
    ),
    Bad(
        "include is hidden",
        catalog(CATALOG + "include: [.git/*, sessions/.hidden/*.yaml]\n"),
        """
catalog.yaml:4:11: the pattern `.git/*` is hidden, or in a hidden folder
    4 | include: [.git/*, sessions/.hidden/*.yaml]
      |           ^
      hint: hidden files hold keys and tokens, so none of them is read; give it a name without a dot in front
catalog.yaml:4:19: the pattern `sessions/.hidden/*.yaml` is hidden, or in a hidden folder
    4 | include: [.git/*, sessions/.hidden/*.yaml]
      |                   ^
      hint: hidden files hold keys and tokens, so none of them is read; give it a name without a dot in front
""",
    ),
    Bad(
        "include leads outside",
        {**catalog(CATALOG + "include: [linked/*.yaml]\n"), "linked": Link("../outside")},
        """
catalog.yaml:4:11: the pattern `linked/*.yaml` leads out of the catalog's folder through a symlink
    4 | include: [linked/*.yaml]
      |           ^
      hint: put the file itself into the catalog; nothing outside of it is read
""",
    ),
    Bad(
        "manifest leads outside",
        {"sessions/a.yaml": Link("../../outside/a.yaml")},
        """
sessions/a.yaml: this file leads out of the catalog's folder through a symlink
      hint: put the file itself into the catalog; nothing outside of it is read
""",
    ),
    Bad(
        "manifest leads nowhere",
        {"sessions/a.yaml": Link("gone.yaml")},
        """
sessions/a.yaml: this file is a symlink to nothing
      hint: mend the link, or put the file in its place
""",
    ),
    Bad(
        "manifest leads to itself",
        {"sessions/a.yaml": Link("a.yaml")},
        """
sessions/a.yaml: this file is a symlink to nothing
      hint: mend the link, or put the file in its place
""",
    ),
    Bad(
        "manifest leads to a hidden file",
        {"sessions/a.yaml": Link("../.env"), ".env": "KEY=secret\n"},
        """
sessions/a.yaml: this file leads to a hidden file or folder through a symlink
      hint: hidden files hold keys and tokens, so none of them is read; give it a name without a dot in front
""",
    ),
    Bad(
        "manifest is a FIFO",
        {"sessions/a.yaml": Fifo()},
        """
sessions/a.yaml: this file is not a regular file
      hint: put a plain file in its place
""",
    ),
    Bad(
        "manifest too large",
        {"sessions/a.yaml": Large()},
        """
sessions/a.yaml: this file is over 10 MiB
      hint: split it
""",
    ),
    Bad(
        "manifest not to be read",
        {"sessions/a.yaml": Locked()},
        """
sessions/a.yaml: this file may not be read
      hint: give yourself the right to read it
""",
    ),
    Bad(
        "prompt file is missing",
        prompt("prompts/alice.md"),
        """
sessions/a.yaml:4:20: the prompt file `prompts/alice.md` does not exist
    4 |     prompt: {file: prompts/alice.md}
      |                    ^
      hint: check the spelling; paths are written from the folder of catalog.yaml
""",
    ),
    Bad(
        "prompt file with backslashes",
        prompt("'prompts\\alice.md'", {"prompts/alice.md": "Hello."}),
        r"""
sessions/a.yaml:4:20: the prompt file `prompts\alice.md` does not exist
    4 |     prompt: {file: 'prompts\alice.md'}
      |                    ^
      hint: write `/` between folders, on every system
""",
    ),
    Bad(
        "prompt file goes up",
        prompt("../outside/alice.md"),
        """
sessions/a.yaml:4:20: the prompt file `../outside/alice.md` goes up with `..`
    4 |     prompt: {file: ../outside/alice.md}
      |                    ^
      hint: write the path from the folder of catalog.yaml, without going up
""",
    ),
    Bad(
        "prompt file goes up and comes back",
        prompt("prompts/../prompts/alice.md", {"prompts/alice.md": "Hello."}),
        """
sessions/a.yaml:4:20: the prompt file `prompts/../prompts/alice.md` goes up with `..`
    4 |     prompt: {file: prompts/../prompts/alice.md}
      |                    ^
      hint: write the path from the folder of catalog.yaml, without going up
""",
    ),
    Bad(
        "prompt file is absolute",
        prompt("/etc/passwd"),
        """
sessions/a.yaml:4:20: the prompt file `/etc/passwd` is an absolute path
    4 |     prompt: {file: /etc/passwd}
      |                    ^
      hint: write the path from the folder of catalog.yaml, without going up
""",
    ),
    Bad(
        "prompt file at home",
        prompt('"~/.ssh/id_rsa"'),
        """
sessions/a.yaml:4:20: the prompt file `~/.ssh/id_rsa` is an absolute path
    4 |     prompt: {file: "~/.ssh/id_rsa"}
      |                    ^
      hint: write the path from the folder of catalog.yaml, without going up
""",
    ),
    Bad(
        "prompt file is hidden",
        prompt(".env", {".env": "KEY=secret\n"}),
        """
sessions/a.yaml:4:20: the prompt file `.env` is hidden, or in a hidden folder
    4 |     prompt: {file: .env}
      |                    ^
      hint: hidden files hold keys and tokens, so none of them is read; give it a name without a dot in front
""",
    ),
    Bad(
        "prompt file in .git",
        prompt(".git/config", {".git/config": "token"}),
        """
sessions/a.yaml:4:20: the prompt file `.git/config` is hidden, or in a hidden folder
    4 |     prompt: {file: .git/config}
      |                    ^
      hint: hidden files hold keys and tokens, so none of them is read; give it a name without a dot in front
""",
    ),
    Bad(
        "prompt file in .reconciler",
        prompt(".reconciler/local.db", {".reconciler/local.db": "x"}),
        """
sessions/a.yaml:4:20: the prompt file `.reconciler/local.db` is hidden, or in a hidden folder
    4 |     prompt: {file: .reconciler/local.db}
      |                    ^
      hint: hidden files hold keys and tokens, so none of them is read; give it a name without a dot in front
""",
    ),
    Bad(
        "prompt file leads outside",
        prompt("alice.md", {"alice.md": Link("../outside/alice.md")}),
        """
sessions/a.yaml:4:20: the prompt file `alice.md` leads out of the catalog's folder through a symlink
    4 |     prompt: {file: alice.md}
      |                    ^
      hint: put the file itself into the catalog; nothing outside of it is read
""",
    ),
    Bad(
        "prompt file in a folder that leads outside",
        prompt("prompts/alice.md", {"prompts": Link("../outside")}),
        """
sessions/a.yaml:4:20: the prompt file `prompts/alice.md` leads out of the catalog's folder through a symlink
    4 |     prompt: {file: prompts/alice.md}
      |                    ^
      hint: put the file itself into the catalog; nothing outside of it is read
""",
    ),
    Bad(
        "prompt file leads to /etc",
        prompt("alice.md", {"alice.md": Link("/etc/hostname")}),
        """
sessions/a.yaml:4:20: the prompt file `alice.md` leads out of the catalog's folder through a symlink
    4 |     prompt: {file: alice.md}
      |                    ^
      hint: put the file itself into the catalog; nothing outside of it is read
""",
    ),
    Bad(
        "prompt file leads into .git",
        prompt("alice.md", {"alice.md": Link(".git/config"), ".git/config": "token"}),
        """
sessions/a.yaml:4:20: the prompt file `alice.md` leads to a hidden file or folder through a symlink
    4 |     prompt: {file: alice.md}
      |                    ^
      hint: hidden files hold keys and tokens, so none of them is read; give it a name without a dot in front
""",
    ),
    Bad(
        "prompt file is a folder",
        prompt("prompts", {"prompts/alice.md": "Hello."}),
        """
sessions/a.yaml:4:20: the prompt file `prompts` is a folder
    4 |     prompt: {file: prompts}
      |                    ^
      hint: name a file in it
""",
    ),
    Bad(
        "prompt file is a device",
        prompt("zero", {"zero": Link("/dev/zero")}),
        """
sessions/a.yaml:4:20: the prompt file `zero` leads out of the catalog's folder through a symlink
    4 |     prompt: {file: zero}
      |                    ^
      hint: put the file itself into the catalog; nothing outside of it is read
""",
    ),
    Bad(
        "prompt file is a FIFO",
        prompt("alice.md", {"alice.md": Fifo()}),
        """
sessions/a.yaml:4:20: the prompt file `alice.md` is not a regular file
    4 |     prompt: {file: alice.md}
      |                    ^
      hint: put a plain file in its place
""",
    ),
    Bad(
        "prompt file below a file",
        prompt("alice.md/x", {"alice.md": "Hello."}),
        """
sessions/a.yaml:4:20: the prompt file `alice.md/x` does not exist
    4 |     prompt: {file: alice.md/x}
      |                    ^
      hint: check the spelling; paths are written from the folder of catalog.yaml
""",
    ),
    Bad(
        "prompt file too large",
        prompt("alice.md", {"alice.md": Large()}),
        """
sessions/a.yaml:4:20: the prompt file `alice.md` is over 10 MiB
    4 |     prompt: {file: alice.md}
      |                    ^
      hint: split it
""",
    ),
    Bad(
        "prompt file not to be read",
        prompt("alice.md", {"alice.md": Locked()}),
        """
sessions/a.yaml:4:20: the prompt file `alice.md` may not be read
    4 |     prompt: {file: alice.md}
      |                    ^
      hint: give yourself the right to read it
""",
    ),
    Bad(
        "prompt file not UTF-8",
        prompt("alice.md", {"alice.md": "Hello.\r\nI am Zoë.\r\n".encode("latin-1")}),
        r"""
alice.md:2:8: byte 15 of this file, 0xeb, is not UTF-8
    2 | I am Zo\xeb.
      |        ^
      hint: save the file as UTF-8
""",
    ),
    Bad(
        "prompt file UTF-16",
        prompt("alice.md", {"alice.md": "Hello.".encode("utf-16")}),
        """
alice.md:1:1: this file is UTF-16, not UTF-8
      hint: save the file as UTF-8
""",
    ),
    Bad(
        "prompt file with NUL",
        prompt("alice.md", {"alice.md": b"Hello.\nI am\0Alice.\n"}),
        r"""
alice.md:2:5: there is a NUL character here
    2 | I am\x00Alice.
      |     ^
      hint: take it out; save the file as UTF-8 if it is UTF-16
""",
    ),
    Bad(
        "prompt file of the defaults",
        {
            **catalog(CATALOG.replace("}", ", prompt: {file: house.md}}")),
            **manifest("sessions:\n  alice: {name: Alice}\n  bob: {name: Bob}\n"),
        },
        """
catalog.yaml:3:49: the prompt file `house.md` does not exist
    3 | defaults: {model: deepseek-chat, prompt: {file: house.md}}
      |                                                 ^
      hint: check the spelling; paths are written from the folder of catalog.yaml
""",
    ),
    Bad(
        "prompt file with a long name",
        prompt("a" * 300),
        """
sessions/a.yaml:4:20: the prompt file `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` can't be read: file name too long
    4 |     prompt: {file: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…
      |                    ^
      hint: see whether other programs can open it
""",
    ),
]
