"""Writes values as YAML, as a person would write them. The strict parser reads the same values back.

The output is YAML 1.2, and parsers of YAML 1.1 read it in the same way: a string that one of them would read as a
number, a date or a boolean is quoted. Invisible characters are escaped in double quotes.

A value is written for a place: the column of the mapping or list that contains it, and the indentation used there. The
result consists of a *head*, on the line of the key, and the *lines* below.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from reconciler.strict_yaml.faults import MAX_DEPTH
from reconciler.strict_yaml.scalars import MAX_DIGITS
from reconciler.values import JSON

#: Mappings and lists that would exceed this column are written with one entry per line.
WIDTH: Final = 100
STEP: Final = 2
#: libyaml searches 1024 characters for the `:` of a key (scanner.c, yaml_parser_stale_simple_keys).
LONGEST_KEY: Final = 1000
#: How many levels a manifest has above the value of a field.
_LEVELS_ABOVE: Final = 5


class Raw(str):
    """A piece of YAML that is written unchanged, such as an alias, as a value or a key."""

    __slots__ = ()


class Prompt(str):
    """A prompt: its trailing white space does not count, and it is written as a block scalar if possible."""

    __slots__ = ()


class Written(NamedTuple):
    """A value as YAML: what follows ``key:``, and the lines below, indented and without line breaks."""

    head: str
    lines: tuple[str, ...] = ()


def obstacle(value: JSON) -> str:
    """What prevents a value from being written, to complete "it holds …"; empty if nothing does."""
    return _obstacle(value, _LEVELS_ABOVE)


def _obstacle(value: JSON, depth: int) -> str:
    if isinstance(value, str):
        odd = _UNWRITABLE.search(value)
        if odd is None:
            return ""
        code = ord(odd.group())
        return f"the lone surrogate U+{code:04X}, half of a character" if code else "a NUL character"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    if isinstance(value, int):
        return f"a number of over {MAX_DIGITS:,} digits" if value.bit_length() > _MOST_BITS else ""
    if isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            return f"values nested over {MAX_DEPTH} levels deep"
        children = [*value, *value.values()] if isinstance(value, dict) else value
        return next((found for child in children if (found := _obstacle(child, depth + 1))), "")
    return ""


_UNWRITABLE: Final = re.compile("[\x00\ud800-\udfff]")
_MOST_BITS: Final = int((MAX_DIGITS - 1) * math.log2(10))


# Plain and quoted scalars

# Strings that a parser of YAML 1.1 or 1.2 might read as something else; broader than the two specifications.
_AMBIGUOUS = re.compile(
    r"[-+.0-9][-+.,:0-9a-fxotz_ \t]*|[-+]?\.?(?:inf|nan)|~|<<|=|y|n|yes|no|on|off|true|false|null",
    re.IGNORECASE,
).fullmatch
_INDICATORS: Final = frozenset("-?:,[]{}#&*!|>'\"%@`")
# Joins the parts of an emoji. It is harmless, and a name with an escape in its place is hard to read.
_JOINER: Final = "\u200d"


def is_plain(text: str, *, flow: bool) -> bool:
    """Whether a string needs no quotes. ``flow``: in a flow collection, or as a key."""
    if (
        not text
        or text[0] in _INDICATORS
        or text[0] == " "
        or text[-1] in " :"
        or not text.replace(_JOINER, "").isprintable()
        or ": " in text
        or " #" in text
        or _AMBIGUOUS(text)
    ):
        return False
    return not flow or not any(sign in text for sign in ",[]{}:?")


def double_quoted(text: str) -> str:
    """A string in double quotes, on one line, with invisible characters escaped."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_escaped(char) for char in text) + '"'


def single_quoted(text: str) -> str | None:
    """A string in single quotes, or ``None`` if it needs escapes."""
    if not text.replace(_JOINER, "").isprintable():
        return None
    return "'" + text.replace("'", "''") + "'"


_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable() or char == _JOINER:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def scalar(value: JSON, *, flow: bool) -> str:
    """A string, number, boolean or null, on one line."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, str):
        if is_plain(value, flow=flow):
            return value
        if '"' in value or "\\" in value:
            return single_quoted(value) or double_quoted(value)
        return double_quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # A float of YAML 1.1 needs a dot: 1e-07 would be a string.
        mantissa, e, exponent = repr(value).partition("e")
        return mantissa + ("" if "." in mantissa or not e else ".0") + e + exponent
    return str(value)


def key_text(key: str) -> str:
    """A key with its ``:``. A key for which libyaml would not find the ``:`` is marked by a ``?``."""
    text = scalar(key, flow=True)
    return f"{text}:" if len(text) <= LONGEST_KEY else f"? {text}\n:"


# Mappings and lists


def flow(value: JSON) -> str:
    """A value in flow style, on one line."""
    if isinstance(value, dict):
        pairs = (f"{key_text(key).replace(chr(10), ' ')} {flow(child)}" for key, child in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value, flow=True)


def write(value: JSON, column: int, step: int = STEP, *, used: int = 0) -> Written:
    """A value in a mapping or list whose keys or dashes are at this column.

    Args:
        step: the indentation of nested values, 1 to 9.
        used: how many characters precede the head on its line.
    """
    if isinstance(value, str) and not isinstance(value, Raw):
        prompt = isinstance(value, Prompt)
        block = literal(value, column, step, prompt=prompt) if prompt or "\n" in value else None
        return block or Written(scalar(value, flow=False))
    line = _one_line(value, used)
    if line is not None:
        return Written(line)
    if isinstance(value, dict):
        return Written("", tuple(mapping_lines(value, column + step, step)))
    return Written("", tuple(line for child in value for line in item_lines(child, column + step, step)))


def _one_line(value: JSON, used: int) -> str | None:
    """A value on one line, or ``None`` if it is nested, too long, or contains strings of several lines.

    An empty collection is always on one line.
    """
    if not isinstance(value, dict | list):
        return scalar(value, flow=False)
    if not value:  # in block style it would have no lines, and be null
        return flow(value)
    children = value.values() if isinstance(value, dict) else value
    if any(isinstance(child, dict | list) and child for child in children):
        return None
    line = flow(value)
    return line if used + 1 + len(line) <= WIDTH and "\\n" not in line else None


def mapping_lines(value: dict[str, JSON], column: int, step: int = STEP) -> list[str]:
    """A mapping with its keys at this column."""
    return [line for key, child in value.items() for line in entry_lines(key, child, column, step)]


def entry_lines(key: str, value: JSON, column: int, step: int = STEP) -> list[str]:
    """A key at this column, and its value."""
    *above, start = (" " * column + line for line in key_text(key).split("\n"))
    head, lines = write(value, column, step, used=len(start))
    return [*above, f"{start} {head}" if head else start, *lines]


def item_lines(value: JSON, column: int, step: int = STEP) -> list[str]:
    """An item of a list, with its dash at this column."""
    pad = " " * column
    if isinstance(value, dict | list) and _one_line(value, column + 1) is None:
        # A nested collection starts on the line of the dash.
        nested = (
            mapping_lines(value, column + 2, step)
            if isinstance(value, dict)
            else [line for child in value for line in item_lines(child, column + 2, step)]
        )
        return [f"{pad}- {nested[0][column + 2 :]}", *nested[1:]]
    head, lines = write(value, column, step, used=column + 1)
    return [f"{pad}- {head}", *lines]


# Block literals

# What a block scalar can contain besides line breaks: characters that YAML calls printable and no parser reads as a
# line break.
_LITERAL = re.compile(
    "[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
).fullmatch


def literal(text: str, column: int, step: int = STEP, *, prompt: bool = False) -> Written | None:
    """A string as a literal block scalar, or ``None`` if a block can't express exactly this string.

    A string that ends in more than one line break would need ``|+``. The value of such a block changes with every blank
    line that somebody adds or removes below it, so it is not used.
    """
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    if not body or body[-1] in " \t" or not _LITERAL(text) or (ends > 1 and not prompt) or step < 1:
        return None
    lines = body.split("\n")
    first = next(line for line in lines if line)
    # Without an indentation indicator, the first line that is not empty determines the indentation.
    number = str(step) if first[0] in " \t" else ""
    if len(number) > 1:
        return None
    pad = " " * (column + step)
    header = "|" + number + ("" if prompt or ends else "-")
    return Written(header, tuple(pad + line if line else "" for line in lines))
