"""When two values count as the same, and the short digest by which a value is recognised later.

A number equals a number of the same size whatever its type; a truth value never equals a number; lists and
mappings are compared whole. ``==`` alone would call ``True`` and ``1`` the same.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, TypeAlias

#: Any value that JSON can carry.
JSON: TypeAlias = Any

#: Characters of a value's digest, six bits each. 36 bits: two values that a person would tell apart share a
#: digest once in 69 billion times, and eight fields still fit into a tag of 200 bytes.
DIGEST_LENGTH = 6

#: How deep (levels) a live value may nest: twice what a catalog may, and far from the end of anybody's stack.
DEEPEST = 200


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class _Missing(Enum):
    """The type of :data:`MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


#: The value of a field that is not there. None is a value.
MISSING: Final = _Missing.MISSING


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same."""
    kind = type(left)
    if kind is str or type(right) is str:
        return bool(left == right)
    if kind is bool or type(right) is bool:
        return left is right
    if kind is list:
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    if kind is dict:
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(value, right[key]) for key, value in left.items())
        )
    return bool(left == right)


def key_as_kept(key: str, kept: Iterable[str], wanted: Collection[str]) -> str | None:
    """The form in which a service keeps a key that is not there to the letter; None if it is not there at all.

    A service may keep ``é`` in another Unicode normal form than it was sent.

    ``kept`` are the keys that are there. One of the ``wanted`` keys is itself, and no form of another.
    """
    if key.isascii():
        return None
    import unicodedata

    form = unicodedata.normalize("NFC", key)
    for one in kept:
        if not one.isascii() and one not in wanted and unicodedata.normalize("NFC", one) == form:
            return one
    return None


def nested_deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings stand in one another more than so many levels deep. Takes no stack itself."""
    inner: list[Any] = [value] if type(value) is dict or type(value) is list else []
    for _ in range(levels):
        if not inner:
            return False
        outer, inner = inner, []
        for one in outer:
            for child in one.values() if type(one) is dict else one:
                if type(child) is dict or type(child) is list:
                    inner.append(child)
    return bool(inner)


def as_number(value: Any) -> Any:
    """A number that a server gave back as text (``"0.20"``), as the number; anything else as it is.

    Only finite decimal numbers count. Source: the contract, "Not promised by anyone".
    """
    if type(value) is not str or not value or len(value) > 40:
        return value
    text = value.strip()
    if not text or text[-1] not in "0123456789." or text[0] not in "-+.0123456789":
        return value
    if "_" in text or not text.isascii():
        return value
    try:
        if text.lstrip("+-").isdigit():
            return int(text)  # exact, also beyond what a float can tell apart
        number = float(text)
    except ValueError:
        return value
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if number - number == 0 else value


def digest(value: Any) -> str:
    """A short digest of a value; the same values have the same digest. :data:`DIGEST_LENGTH` characters."""
    if type(value) is str:
        text = '"' + value
    else:
        text = json.dumps(_canonical(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return short_hash(text, DIGEST_LENGTH)


def short_hash(text: str, length: int) -> str:
    """The first ``length`` characters (six bits each, at most 42) of a text's BLAKE2b hash in base64url."""
    hashed = _blake2b()(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    # Base64 goes by three bytes, so that no more of them need to be written than are kept.
    written = b2a_base64(hashed[: (length + 3) // 4 * 3], newline=False)
    return written[:length].translate(_URL_SAFE).decode("ascii")


@cache
def _blake2b() -> Any:
    """BLAKE2b, when it is first needed: its module loads OpenSSL, which a check of a catalog has no use for."""
    from hashlib import blake2b

    return blake2b


def _canonical(value: Any) -> Any:
    """The value with every whole float as an integer, so that what is the same is written the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _canonical(one) for key, one in value.items()}
    return value
