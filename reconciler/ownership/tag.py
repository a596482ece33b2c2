"""The tag: it says that a session is ours, and what we last wrote into it.

The tag is the object under the key ``reconciler`` of a session's remark::

    {"catalog": "bookshop", "environment": "staging", "key": "alice", "base": "1n…m…p…XXXX"}

``environment`` is left out when there is none. ``base`` is text of a fixed form, short because no length of
``session_remark`` is promised::

    V            a digit that describes the rest; see below
    IIIIIII      the catalog's id (``id`` in catalog.yaml), as a number in base 64
    SSSSSS       the session_id of the session that the tag was written on, in base 64
    cDDDDDD      a field as last written: its code, and six characters of digest
    ~cDDDDDD     the same field as the server stored it, if that differs from what was written
    -cDDDDDD     a field as last written, instead of the first of these lines, if the server stored nothing
    XXXX         a checksum of the rest of the tag

The code of a field is a letter for the fields that every session has, and a dot with four characters of hash
for a key of ``data`` or ``remark``. A tag without ``base`` is valid: what was written is unknown.
A tag with a wrong checksum was truncated or altered: it is unreadable, and nothing may be concluded from it.

V is the sum of 1 if the session is protected (lifecycle.prevent_destroy), 2 if the catalog's id follows, and 4 if the
session's id follows. A tag with neither id has the form of version 0.1, in which V is ``1``, or ``1!`` for a protected
session. A create writes a tag without a session_id, which it can't know.

``was`` is the remark from before the adoption: omitted for a session that we created, ``true`` for a JSON object that
is still there beside the tag, and otherwise the remark itself (a string, or null).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from reconciler.ownership.catalog_id import is_catalog_id
from reconciler.values import DIGEST_LENGTH, MISSING, digest, short_hash

CODES: Final = {
    "name": "n",
    "model": "m",
    "prompt": "p",
    "parameters.temperature": "t",
    "parameters.max_tokens": "x",
    "parameters.history_length": "h",
}
CHECK_LENGTH: Final = 4
_HASH_LENGTH: Final = 4
_ENTRY: Final = re.compile(rf"([~-]?)([a-z]|\.[\w-]{{{_HASH_LENGTH}}})([\w-]{{{DIGEST_LENGTH}}})")
_ENTRIES: Final = re.compile(rf"(?:[~-]?(?:[a-z]|\.[\w-]{{{_HASH_LENGTH}}})[\w-]{{{DIGEST_LENGTH}}})*")

#: The bits of a body's first digit.
_PROTECTED, _WITH_CATALOG_ID, _WITH_SESSION_ID = 1, 2, 4
#: The form of version 0.1, which has neither id.
_FIRST_FORM: Final = {False: "1", True: "1!"}

#: How many characters an id takes. A session_id that needs more is left out.
_CATALOG_ID_LENGTH: Final = 7
_SESSION_ID_LENGTH: Final = 6
_UNKNOWN_FORM: Final = "its digests are of a form that this version does not know"
_BASE_36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DIGIT_VALUES: Final = {char: value for value, char in enumerate(_DIGITS)}


class _Created(Enum):
    """The type of :data:`CREATED`."""

    CREATED = "created"


#: ``was`` of a session that we created: there was no remark before us.
CREATED: Final = _Created.CREATED
Was: TypeAlias = str | Literal[True] | _Created | None


class TagUnreadableError(ValueError):
    """There is a tag, but it is unreliable. The message says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a session: its catalog, environment and key."""

    catalog: str
    environment: str | None
    key: str

    def __str__(self) -> str:
        scope = f"{self.catalog}@{self.environment}" if self.environment else self.catalog
        return f"{scope}/{self.key}"


@dataclass(frozen=True, slots=True)
class Base:
    """The digests of the fields as last written, by field code; and as stored, where the server rewrote them.

    The stored digest is None if the server did not store the field.
    """

    written: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, str | None] = field(default_factory=dict)

    def knows(self, path: str) -> bool:
        """Whether we ever wrote this field (and did not release it since)."""
        return field_code(path) in self.written

    def wrote(self, path: str, value: Any) -> bool:
        """Whether this is the value that we last wrote."""
        return self.written.get(field_code(path)) == digest(value)

    def left(self, path: str, value: Any) -> bool:
        """Whether this is the value that the server held after our last write; ``MISSING`` if the field is absent."""
        code = field_code(path)
        if code in self.stored:
            return self.stored[code] == _stored_digest(value)
        return code in self.written and self.written[code] == _stored_digest(value)

    def known_rewrite(self, path: str, wanted: Any, live: Any) -> bool:
        """Whether the server is known to turn the wanted value into the live one, or into nothing (``MISSING``)."""
        code = field_code(path)
        return (
            code in self.stored
            and self.stored[code] == _stored_digest(live)
            and self.written.get(code) == digest(wanted)
        )


def _stored_digest(value: Any) -> str | None:
    return None if value is MISSING else digest(value)


@dataclass(frozen=True, slots=True)
class Tag:
    """One session's tag. ``base_text`` is None if the tag has no digests.

    ``catalog_id`` distinguishes catalogs of the same name; None if the tag has none. ``session_id`` is the session that
    the tag was written on; None if that is unknown.
    """

    identity: Identity
    base_text: str | None = None
    protected: bool = False
    was: Was = CREATED
    catalog_id: str | None = None
    session_id: int | None = None

    @property
    def base(self) -> Base | None:
        """The digests; None if the tag has none. Computed at each call."""
        if self.base_text is None:
            return None
        written: dict[str, str] = {}
        stored: dict[str, str | None] = {}
        for mark, code, value in _ENTRY.findall(self.base_text):
            if mark == "~":
                stored[code] = value
            else:
                written[code] = value
                if mark:
                    stored[code] = None
        return Base(written, stored)


def field_code(path: str) -> str:
    """The short code of a field in a tag."""
    return CODES.get(path) or "." + short_hash(path, _HASH_LENGTH)


def make_tag(
    identity: Identity,
    written: Mapping[str, Any],
    *,
    stored: Mapping[str, Any] | None = None,
    keep: Iterable[str] = (),
    base: Base | None = None,
    protected: bool = False,
    was: Was = CREATED,
    catalog_id: str | None = None,
    session_id: int | None = None,
) -> Tag:
    """The tag to write with these values.

    ``stored`` has the fields that the server stored in another form, or did not store (``MISSING``);
    ``keep`` are the paths whose digests stay what they are in ``base``. ``session_id`` is the session
    that the tag is written on, if known.
    """
    digests = {field_code(path): digest(value) for path, value in written.items()}
    forms = {field_code(path): _stored_digest(value) for path, value in (stored or {}).items()}
    entries = _entries(digests, forms)
    if base:
        codes = [field_code(path) for path in keep]
        entries += _entries(
            {code: base.written[code] for code in codes if code in base.written},
            {code: base.stored[code] for code in codes if code in base.stored},
        )
    if session_id is not None and not 0 <= session_id < 64**_SESSION_ID_LENGTH:
        session_id = None
    return Tag(identity, "".join(entries) or None, protected, was, catalog_id, session_id)


def _entries(written: Mapping[str, str], stored: Mapping[str, str | None]) -> list[str]:
    found = [("-" if stored.get(code, "") is None else "") + code + value for code, value in written.items()]
    return found + [f"~{code}{value}" for code, value in stored.items() if value is not None]


def without_base(tag: Tag) -> Tag:
    """The tag with no digests, for services whose remark is too short for them."""
    return replace(tag, base_text=None)


def bare(tag: Tag) -> Tag:
    """The tag with neither digests nor ids: the shortest that still names the session's owner."""
    return replace(tag, base_text=None, catalog_id=None, session_id=None)


def tag_to_json(tag: Tag) -> dict[str, Any]:
    """The tag as the remark contains it."""
    document: dict[str, Any] = {"catalog": tag.identity.catalog}
    if tag.identity.environment is not None:
        document["environment"] = tag.identity.environment
    document["key"] = tag.identity.key
    body = _head(tag) + (tag.base_text or "")
    if body != _FIRST_FORM[False]:
        document["base"] = body + _check(tag.identity, body, tag.was)
    if tag.was is not CREATED:
        document["was"] = tag.was
    return document


def tag_from_json(document: Any) -> Tag:
    """Read a tag.

    Raises:
        TagUnreadableError: it is not of the form above, or its checksum is wrong.
    """
    if type(document) is not dict:
        raise TagUnreadableError("it is not an object")
    catalog, environment, key = document.get("catalog"), document.get("environment"), document.get("key")
    if (
        type(catalog) is not str
        or type(key) is not str
        or not (environment is None or type(environment) is str)
    ):
        raise TagUnreadableError("catalog, environment and key are not all texts")
    identity = Identity(catalog, environment, key)
    was: Any = document.get("was", CREATED)
    if not (was is CREATED or was is None or was is True or type(was) is str):
        raise TagUnreadableError("what it says of the former remark makes no sense")
    text = document.get("base")
    if text is None:
        return Tag(identity, None, False, was)
    if type(text) is not str or len(text) <= CHECK_LENGTH:
        raise TagUnreadableError("its digests were cut off")
    body, check = text[:-CHECK_LENGTH], text[-CHECK_LENGTH:]
    if check != _check(identity, body, was):
        raise TagUnreadableError("its check does not hold, so it was cut off or altered")
    return _read_body(body, Tag(identity, None, False, was))


def _head(tag: Tag) -> str:
    """The beginning of a body, before the digests."""
    if tag.catalog_id is None and tag.session_id is None:
        return _FIRST_FORM[tag.protected]
    digit, ids = _PROTECTED * tag.protected, ""
    if tag.catalog_id is not None:
        digit += _WITH_CATALOG_ID
        ids += _to_base_64(int(tag.catalog_id, 36), _CATALOG_ID_LENGTH)
    if tag.session_id is not None:
        digit += _WITH_SESSION_ID
        ids += _to_base_64(tag.session_id, _SESSION_ID_LENGTH)
    return f"{digit}{ids}"


def _read_body(body: str, tag: Tag) -> Tag:
    """The tag with the facts of a body.

    Raises:
        TagUnreadableError: it is not of the form above.
    """
    catalog_id = session_id = None
    if body[0] == "1":
        protected = body[1:2] == "!"
        rest = body[len(_FIRST_FORM[protected]) :]
    else:
        digit = int(body[0]) if body[0] in "234567" else 0
        protected, rest = bool(digit & _PROTECTED), body[1:] if digit else body
        if digit & _WITH_CATALOG_ID:
            catalog_id = _catalog_id(rest[:_CATALOG_ID_LENGTH])
            rest = rest[_CATALOG_ID_LENGTH:]
        if digit & _WITH_SESSION_ID:
            session_id = _from_base_64(rest[:_SESSION_ID_LENGTH], _SESSION_ID_LENGTH)
            rest = rest[_SESSION_ID_LENGTH:]
    if _ENTRIES.fullmatch(rest) is None:
        raise TagUnreadableError(_UNKNOWN_FORM)
    return replace(
        tag, base_text=rest or None, protected=protected, catalog_id=catalog_id, session_id=session_id
    )


@lru_cache(maxsize=64)
def _catalog_id(text: str) -> str:
    """The id of a catalog, from the form in which a tag holds it.

    Raises:
        TagUnreadableError: it is not the form of an id.
    """
    number, found = _from_base_64(text, _CATALOG_ID_LENGTH), ""
    while number:
        number, digit = divmod(number, 36)
        found = _BASE_36[digit] + found
    if not is_catalog_id(found):
        raise TagUnreadableError(_UNKNOWN_FORM)
    return found


def _to_base_64(number: int, length: int) -> str:
    text = ""
    for _ in range(length):
        number, digit = divmod(number, 64)
        text = _DIGITS[digit] + text
    return text


def _from_base_64(text: str, length: int) -> int:
    if len(text) != length:
        raise TagUnreadableError(_UNKNOWN_FORM)
    number = 0
    for char in text:
        number = number * 64 + _DIGIT_VALUES.get(char, 64**length)
    if number >= 64**length:
        raise TagUnreadableError(_UNKNOWN_FORM)
    return number


def _check(identity: Identity, body: str, was: Was) -> str:
    # The JSON list of these parts, built by hand: every tag of a list is checked, and this takes half of that time.
    environment = "null" if identity.environment is None else _quote(identity.environment)
    text = f"[{_quote(identity.catalog)}, {environment}, {_quote(identity.key)}, {_quote(body)}"
    if was is not CREATED:
        text += f", {json.dumps(was)}"
    return short_hash(text + "]", CHECK_LENGTH)


_quote: Final = json.JSONEncoder().encode
