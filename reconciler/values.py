"""Reading JSON, equality of its values, and the short digest by which a value is recognised later.

Numbers are equal if their values are, whatever their types. A boolean never equals a number, although ``True == 1``
in Python. Lists and mappings are compared in depth.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from functools import cache
from math import isinf
from typing import Any, Final, NoReturn, TypeAlias

#: Any value that JSON can carry.
JSON: TypeAlias = Any

#: The length of a digest in characters of six bits each. With 36 bits, two different values have the same digest once
#: in 69 billion times, and the digests of eight fields still fit into a tag of 200 bytes.
DIGEST_LENGTH = 6

#: The deepest nesting of a live value, in levels: twice that of a catalog, and far below Python's recursion limit.
DEEPEST = 200


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class _Missing(Enum):
    """The type of :data:`MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


#: Stands for the value of a missing field, since None is a value.
MISSING: Final = _Missing.MISSING


def parse_json(text: str | bytes, *, levels: int | None = None) -> JSON:
    """The value of a JSON document. ``levels`` is how deep its lists and mappings may be nested.

    RFC 8259 has no NaN and no Infinity, and what a 64-bit float can't hold would be written as one. Python reads and
    writes both, which other programs can't read.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        document = _decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if levels is not None and nested_deeper(document, levels):
        raise ValueError(_TOO_DEEP)
    return document


_TOO_DEEP: Final = "its values are nested too deeply"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"{text[:40]} is too large for a 64-bit float")
    return number


_decode: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite).decode


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal, as the module's docstring defines it."""
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
    """The form in which a service stored a key that is missing as sent; None if it is missing in any form.

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
    """Whether lists and mappings are nested more than so many levels deep. Not recursive, so any depth is safe."""
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
    """The number in a string that a server returned in place of a number (``"0.20"``); any other value unchanged.

    Only finite decimal numbers are converted. Source: the contract, "Not promised by anyone".
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
            return int(text)  # exact, also beyond the precision of a float
        number = float(text)
    except ValueError:
        return value
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if number - number == 0 else value


def digest(value: Any) -> str:
    """A digest of :data:`DIGEST_LENGTH` characters. Values that are :func:`same` have the same digest."""
    if type(value) is str:
        text = '"' + value
    else:
        text = json.dumps(_canonical(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return short_hash(text, DIGEST_LENGTH)


def short_hash(text: str, length: int) -> str:
    """The first ``length`` characters (six bits each, at most 42) of a text's BLAKE2b hash in base64url."""
    hashed = _blake2b()(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    # Base64 encodes groups of three bytes, so only the groups that are kept are encoded.
    written = b2a_base64(hashed[: (length + 3) // 4 * 3], newline=False)
    return written[:length].translate(_URL_SAFE).decode("ascii")


@cache
def _blake2b() -> Any:
    """BLAKE2b, imported when first needed: ``hashlib`` loads OpenSSL, which checking a catalog does not need."""
    from hashlib import blake2b

    return blake2b


def _canonical(value: Any) -> Any:
    """The value with every whole float as an integer, so that equal values are written alike."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _canonical(one) for key, one in value.items()}
    return value
