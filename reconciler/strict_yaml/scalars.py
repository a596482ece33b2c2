"""What plain scalars mean, by the core schema of YAML 1.2 (section 10.3.2)."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final, NamedTuple

#: The most digits of an integer.
MAX_DIGITS: Final = 1000


class Refused(NamedTuple):
    """Why a plain scalar is refused."""

    message: str
    hint: str


class _Merge:
    """The meaning of the plain scalar ``<<`` as a key."""


MERGE: Final = _Merge()

# A plain scalar is one of these words, or starts like a number, or is a string.
WORDS: Final[dict[str, Any]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "<<": MERGE,
}
NUMERIC: Final = frozenset("-+.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+").fullmatch
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?").fullmatch
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+").fullmatch
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)").fullmatch
# The timestamps of YAML 1.1 (yaml.org/type/timestamp.html).
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?"
).fullmatch

_QUOTE: Final = "put it in quotes if it is a string"


def read_number(text: str) -> Any:
    """The value of a plain scalar that starts like a number: a number, the string itself, or a :class:`Refused`."""
    if _INTEGER(text):
        return int(text) if len(text) <= MAX_DIGITS else _too_long(text)
    if _FLOAT(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            return Refused("this number is too large for a 64-bit float", _QUOTE)
        return value
    if _BASED(text):
        return int(text, 0) if len(text) <= MAX_DIGITS else _too_long(text)
    if _NOT_FINITE(text):
        return Refused(f"`{text}` is not a number in JSON", _QUOTE)
    when = _DATE(text)
    if when and not _is_possible(when):
        return Refused(f"`{text}` looks like a date, but there is no such day or time", _QUOTE)
    return text


def _too_long(text: str) -> Refused:
    digits = text.lstrip("+-").removeprefix("0x").removeprefix("0o")
    return Refused(f"this integer has {len(digits):,} digits; the maximum is {MAX_DIGITS:,}", _QUOTE)


def _is_possible(when: re.Match[str]) -> bool:
    year, month, day, hour, minute, second = (int(part or 0) for part in when.groups())
    try:
        date(year, month, day)
    except ValueError:
        return False
    return hour < 24 and minute < 60 and second <= 60  # 60 is a leap second
