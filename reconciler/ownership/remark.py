"""``session_remark``: a text that belongs to others, in which we keep one key.

Often the remark is a JSON object; then our tag is one more key of it, and everything else stays, order and
white space included. Where it is anything else (prose, a list, broken JSON, null), the whole text is kept in the tag
(:data:`~reconciler.ownership.tag.Was`) and given back when the session is forgotten.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reconciler.errors import ReconcilerError
from reconciler.ownership.tag import (
    CREATED,
    Tag,
    TagUnreadableError,
    Was,
    bare,
    tag_from_json,
    tag_to_json,
    without_base,
)
from reconciler.values import DEEPEST, nested_deeper, parse_json

#: The key of the remark that is ours.
OUR_KEY: Final = "reconciler"

#: Our key, opened as JSON opens it or in a form that escaping gives it (for HTML, for JSON or for an address), in what
#: begins like an object.
_QUOTE: Final = r"""(?:"|\\+"|&quot;|&\#0*34;|&\#x0*22;|\\u0022|%22|\\x22)"""
_BEGUN: Final = rf"""\A\s*(?:{_QUOTE})?(?:\{{|%7B|&\#0*123;|\\u007b)"""
_OBJECT: Final = re.compile(_BEGUN, re.I)
_OURS: Final = re.compile(rf"{_QUOTE}{OUR_KEY}{_QUOTE}", re.I)
_DAMAGED: Final = re.compile(rf"""{_BEGUN}.*?{_QUOTE}{OUR_KEY}{_QUOTE}""", re.I | re.S)

_COMPACT: Final = (",", ":")
_SPACED: Final = (", ", ": ")


@dataclass(frozen=True, slots=True)
class Remark:
    """What a remark means.

    ``keys`` are the keys of others and of the user, without ours. ``tag`` is our tag; ``unreadable`` says why
    one that seems to be there can't be relied on. ``broken`` says that the text begins as a JSON object and is none:
    nothing is left of a tag, but one may have stood in what was cut off. ``lock`` is what a lock session carries,
    ``probe`` the id in a probe's (:mod:`reconciler.ownership.reserved`).
    """

    keys: Mapping[str, Any] = field(default_factory=dict)
    tag: Tag | None = None
    unreadable: str = ""
    broken: bool = False
    lock: Mapping[str, Any] | None = None
    probe: str | None = None


_EMPTY: Final = Remark()
_BROKEN: Final = Remark(broken=True)


def parse_remark(text: str | None) -> Remark:
    """Read a remark. Never fails: what is no JSON object has no keys."""
    if not text:
        return _EMPTY
    document = _object(text)
    if document is None:
        if OUR_KEY in text and _DAMAGED.search(text):
            return Remark(unreadable="the remark is no JSON any more, so it was cut off or altered")
        return _BROKEN if _OBJECT.match(text) else _EMPTY
    if OUR_KEY not in document:
        return Remark(document)
    ours = document.pop(OUR_KEY)
    if type(ours) is dict and type(ours.get("lock")) is dict:
        return Remark(document, lock=ours["lock"])
    if type(ours) is dict and type(ours.get("probe")) is str:
        return Remark(document, probe=ours["probe"])
    try:
        return Remark(document, tag=tag_from_json(ours))
    except TagUnreadableError as error:
        return Remark(document, unreadable=str(error))


def compose_remark(raw: str | None, keys: Mapping[str, Any], tag: Tag) -> str:
    """The remark with these keys and this tag, written in the style of the text that it replaces."""
    return _dump({**keys, OUR_KEY: tag_to_json(tag)}, _style(raw))


def fitting_remark(raw: str | None, keys: Mapping[str, Any], tag: Tag, limit: int | None) -> str:
    """The remark as :func:`compose_remark` makes it, without digests where it would not fit with them, and without ids
    where it would not fit with those.

    ``limit`` is in bytes of UTF-8; None means that there is none.

    Raises:
        ReconcilerError: it does not fit without them either. Cut off, the tag would be lost.
    """
    whole = compose_remark(raw, keys, tag)
    if limit is None or remark_size(whole) <= limit:
        return whole
    short = compose_remark(raw, keys, without_base(tag))
    if remark_size(short) > limit:
        short = compose_remark(raw, keys, bare(tag))
    if remark_size(short) > limit:
        raise ReconcilerError(
            f"its session_remark would take {remark_size(short)} bytes, and the service keeps {limit}",
            "a shorter key, or fewer keys under remark, would fit",
        )
    return short


def remark_with(raw: str | None, remark: Remark, keys: Mapping[str, Any], limit: int | None) -> str | None:
    """A remark with further keys of others. To the letter as it was where there are none; prose has room for none.

    Raises:
        ReconcilerError: with its tag it is longer than the ``limit`` (bytes of UTF-8).
    """
    whole = {**remark.keys, **keys}
    if whole == remark.keys or remark.unreadable:
        return raw
    if remark.tag is not None:
        return fitting_remark(raw, whole, remark.tag, limit)
    return _dump(whole, _style(raw)) if not raw or _object(raw) is not None else raw


def remark_of_another_session(raw: str | None, remark: Remark) -> str | None:
    """A remark for a session that is made after another one's model: its tag does not say that it is that one's."""
    if remark.tag is None or remark.tag.session_id is None:
        return raw
    return compose_remark(raw, remark.keys, replace(remark.tag, session_id=None))


def remark_size(remark: str) -> int:
    """How long a remark is, in bytes of UTF-8."""
    return len(remark.encode("utf-8", "surrogatepass"))


def compose_lock(lock: Mapping[str, Any]) -> str:
    """The remark of a lock session."""
    return _dump({OUR_KEY: {"lock": dict(lock)}}, (_COMPACT, False))


def was_before(raw: str | None, remark: Remark, *, rewriting: bool) -> Was:
    """What the tag has to remember of a remark, to be given back when the session is forgotten.

    ``rewriting`` says that keys of it beside ours are about to change, so that an object has to be remembered whole.
    """
    if remark.tag is not None:
        if remark.tag.was is True and rewriting:
            return _dump(remark.keys, _style(raw))
        return remark.tag.was
    document = _object(raw) if raw else None
    damaged = document.get(OUR_KEY) if document is not None and remark.unreadable else None
    if type(damaged) is dict and type(damaged.get("was")) is str:
        return str(damaged["was"])  # from before the adoption whose tag somebody altered
    if document is None or rewriting or _style_of(raw or "", document) is None:
        return raw
    return True


def release_remark(raw: str | None, remark: Remark, ours: frozenset[str]) -> str | None:
    """The remark without us: as it was before, plus what others have put into it since.

    ``ours`` are the keys that we wrote. For a session that we created they stay, since nothing was there before.
    """
    was = remark.tag.was if remark.tag else CREATED
    if type(was) is str and (whole := _without_remains(was)) != was:
        # A remark with a damaged tag is prose: none of its keys is one of the remark that followed.
        return _dump({**(_object(whole) or {}), **remark.keys}, _style(whole)) if remark.keys else whole
    if was is CREATED or was is True:
        return _dump(dict(remark.keys), _style(raw)) if remark.keys or was is True else ""
    former = _object(was) if was else None
    others = {key: value for key, value in remark.keys.items() if key not in ours}
    if former is None:
        return _dump(others, _style(raw)) if others and not was else was
    restored = {key: value for key, value in former.items() if key in ours or key in others}
    restored |= others
    return was if restored == former else _dump(restored, _style(was))


def _without_remains(text: str) -> str:
    """A former remark without what is left of a damaged tag in it: with that, nobody could ever let the session go."""
    if not parse_remark(text).unreadable:
        return text
    document = _object(text)
    if document is not None:
        return _dump({key: value for key, value in document.items() if key != OUR_KEY}, _style(text))
    found = _OURS.search(text)
    before = text[: found.start() if found else 0].rstrip().rstrip(",")
    for candidate in (before, html.unescape(before)):
        document = _object(f"{candidate}}}")
        if document is not None:
            return _dump(document, _style(f"{candidate}}}")) if document else ""
    return before


def _object(text: str) -> dict[str, Any] | None:
    """The text as a JSON object, or None for anything that is not exactly one."""
    try:
        document = parse_json(text)
    except ValueError:
        return None
    if type(document) is not dict:
        return None
    # A text with few brackets can't be deep, and most have three.
    if text.count("{") + text.count("[") > DEEPEST and nested_deeper(document, DEEPEST):
        return None
    return document


def _dump(document: Mapping[str, Any], style: tuple[tuple[str, str], bool]) -> str:
    separators, ascii_only = style
    text = json.dumps(document, separators=separators, ensure_ascii=ascii_only)
    if not ascii_only and not _encodable(text):
        text = json.dumps(document, separators=separators)
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _style(raw: str | None) -> tuple[tuple[str, str], bool]:
    document = _object(raw) if raw else None
    return (document is not None and raw and _style_of(raw, document)) or (_COMPACT, False)


def _style_of(text: str, document: dict[str, Any]) -> tuple[tuple[str, str], bool] | None:
    """How the text is written, or None where writing its meaning again would not give it back."""
    for separators in (_COMPACT, _SPACED):
        for ascii_only in (False, True):
            if json.dumps(document, separators=separators, ensure_ascii=ascii_only) == text:
                return separators, ascii_only
    return None
