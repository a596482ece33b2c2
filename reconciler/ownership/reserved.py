"""Sessions that this program creates for its own work, which are no personas. No I/O.

- A *lock* excludes other applies (:mod:`reconciler.api.lock`). Its remark identifies it.
- A *probe* is the session that ``reconciler doctor --probe`` writes to. The mark in its remark identifies it or, if the
  service does not store that, its name. In both cases its prompt and remark must contain nothing else.
- A *half-made* session is one between a create that does not store all fields and the update that completes it
  (:mod:`reconciler.apply.write`). Its name, its prompt and an empty remark identify it.

Plans ignore all of them, and they are never adopted or exported.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, Protocol, TypeAlias

from reconciler.ownership.remark import OUR_KEY, Remark
from reconciler.ownership.tag import Identity

Kind: TypeAlias = Literal["lock", "probe", "half-made"]

#: The prefix of all their names.
_OURS: Final = "reconciler "

_PROBE_ID: Final = re.compile(r"[0-9a-f]{12}")
_PROBE_NAME: Final = re.compile(rf"reconciler doctor probe ({_PROBE_ID.pattern}): safe to delete")
_MAKING: Final = "reconciler is making "

#: The prompt of a half-made session.
HALF_MADE_PROMPT: Final = "This session is being made by reconciler. Its settings follow in a moment."


class Listed(Protocol):
    """The fields that decide whether a session is reserved; a :class:`~reconciler.domain.LiveSession` has them."""

    @property
    def name(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def raw_remark(self) -> str | None: ...
    @property
    def remark(self) -> Remark: ...


def reserved_kind(live: Listed) -> Kind | None:
    """The kind of a reserved session; None for any other."""
    if live.remark.lock is not None:
        return "lock"
    if live.remark.tag is not None:
        return None
    if probe_id(live) is not None:
        return "probe"
    return "half-made" if live.name.startswith(_MAKING) and _is_half_made(live) else None


def probe_id(live: Listed) -> str | None:
    """The id of the probe that created this session; None if no probe did."""
    marked = live.remark.probe
    if marked is None and not live.name.startswith(_OURS):
        return None
    if live.remark.tag is not None or live.remark.keys:
        return None
    named = _PROBE_NAME.fullmatch(live.name)
    probe = marked or (named[1] if named else "")
    if not _PROBE_ID.fullmatch(probe):
        return None
    # The rest must be a probe's, too. The remark may have been truncated, or not been stored.
    prompt, remark, mark = live.prompt.lstrip(), live.raw_remark or "", _mark(probe)
    ours = (not prompt or prompt.startswith(probe_prompt(probe))) and (
        remark.startswith(mark) or mark.startswith(remark)
    )
    return probe if ours else None


def probe_name(probe: str) -> str:
    """The name of a probe's session. An id is twelve hexadecimal digits, drawn at random."""
    return f"reconciler doctor probe {probe}: safe to delete"


def probe_prompt(probe: str) -> str:
    """The beginning of every prompt of a probe's session, after any white space."""
    return f"This session was made by reconciler doctor (probe {probe}). It is safe to delete."


def probe_remark(probe: str, size: int | None = None) -> str:
    """The remark that marks a probe's session, padded to this many bytes, or truncated to them."""
    mark = _mark(probe)
    plain = mark + "}}"
    if size is None or size <= len(plain):
        return plain[:size]
    filled = mark + ',"fill":"'
    room = size - len(filled) - len('"}}')
    if room < 0:  # there is a gap between the two forms
        return mark + " " * (size - len(plain)) + "}}"
    return filled + "x" * room + '"}}'


def is_probe_name(text: str) -> bool:
    """Whether a string is exactly the name of a probe's session."""
    return _PROBE_NAME.fullmatch(text) is not None


def is_probe_remark(text: str) -> bool:
    """Whether a string is the remark of a probe's session, or a beginning of it with the whole mark."""
    begin, _, end = _mark("-").partition("-")
    probe = text.removeprefix(begin)[:12]
    if not _PROBE_ID.fullmatch(probe) or not text.startswith(begin + probe + end):
        return False
    return text == probe_remark(probe, len(text)) or probe_remark(probe, len(text) + 16).startswith(text)


def _mark(probe: str) -> str:
    return f'{{"{OUR_KEY}":{{"probe":{json.dumps(probe)}'


def half_made_name(identity: Identity) -> str:
    """The name of a session of this identity for as long as it is half made."""
    return f"{_MAKING}{identity}"


def _is_half_made(live: Listed) -> bool:
    return not live.raw_remark and live.prompt in ("", HALF_MADE_PROMPT)


def owner(live: Listed) -> str:
    """The owner of a live session, in words."""
    if live.remark.tag is not None:
        return f"{live.remark.tag.identity}'s"
    if live.remark.unreadable:
        return f"of nobody knows whom ({live.remark.unreadable})"
    kind = reserved_kind(live)
    return "unmanaged" if kind is None else f"a {kind} session of this program"
