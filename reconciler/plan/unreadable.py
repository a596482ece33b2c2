"""Sessions whose tag can't be read: what is left of it, and which keys it may belong to.

Creating a key beside its own unreadable session would make a duplicate at each apply. So if a session may belong to a
key, the create is refused, and a person decides.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.domain import Catalog, LiveSession
from reconciler.ownership.remark import OUR_KEY
from reconciler.ownership.tag import Identity
from reconciler.plan.types import Action, Refusal
from reconciler.text.paste import command

#: How many characters of a damaged tag a message shows.
_SHOWN: Final = 60

#: A string of the tag. Its closing quote is missing if the tag was truncated there.
_VALUE: Final = r'"{name}"\s*:\s*"(?P<text>[^"]*)(?P<whole>"?)'


@dataclass(frozen=True, slots=True)
class _Part:
    """A string of a tag. Unless it is ``whole``, it is only the beginning."""

    text: str
    whole: bool

    def may_be(self, value: str) -> bool:
        return value == self.text if self.whole else value.startswith(self.text)


@dataclass(frozen=True, slots=True)
class _Remains:
    catalog: _Part
    environment: _Part | None
    key: _Part


def standing_in_the_way(
    catalog: Catalog,
    creates: Sequence[Action],
    unreadable: Sequence[LiveSession],
    unmanaged: Sequence[LiveSession],
) -> list[Refusal]:
    """A refusal for each create whose key an unreadable session may have.

    Of the ``unmanaged`` sessions, those stand in the way that have the name, and a remark that was cut off too early
    for a tag to be made out.
    """
    damaged = [*unreadable, *(live for live in unmanaged if live.remark.broken)]
    if not creates or not damaged:
        return []
    names = {session.name for session in catalog.sessions.values()}
    suspects = [_Suspect(live, _remains(live)) for live in damaged]
    return [
        Refusal("unreadable_tag", *why_not_to_create(create.identity, suspect.live), create.key)
        for create in creates
        for suspect in suspects
        if suspect.may_be(create.identity, create.name, names)
    ]


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A session with a damaged tag, or with a remark that may have held one."""

    live: LiveSession
    left: _Remains

    def may_be(self, identity: Identity, name: str, names: Collection[str]) -> bool:
        """Whether it may be the session of this identity and name.

        If the tag's key is lost, a session with the name of another key (``names`` has those) counts as that key's.
        """
        if self.live.name == name:
            return True
        if not self.live.remark.unreadable or (not self.left.key.whole and self.live.name in names):
            return False
        return _may_be(identity, self.left)


def may_be(live: LiveSession, identity: Identity, name: str) -> bool:
    """Whether a session with a damaged tag may be the one of this identity and name. If the tag's key is lost, the name
    decides."""
    damaged = live.remark.unreadable or live.remark.broken
    return bool(damaged) and _Suspect(live, _remains(live)).may_be(identity, name, {live.name})


def _may_be(identity: Identity, left: _Remains) -> bool:
    if not left.catalog.text and not left.key.text:
        return False
    return (
        left.catalog.may_be(identity.catalog)
        and _may_be_here(left, identity.environment)
        and left.key.may_be(identity.key)
    )


def _may_be_here(left: _Remains, environment: str | None) -> bool:
    """Whether the environment fits. It precedes the key: if the key is readable, a missing environment means none."""
    if left.environment is not None:
        return environment is not None and left.environment.may_be(environment)
    return environment is None or not left.key.text


def why_not_to_create(identity: Identity, live: LiveSession) -> tuple[str, str]:
    """Why a session is not created beside one that may be it, and both ways out."""
    number = live.session_id
    if live.remark.unreadable:
        why = f"its tag can't be read ({live.remark.unreadable}); what is left of it: {_shown(live)}"
        beside = f"remove what is left of the tag from the remark of #{number}"
    else:
        why = f"it has the same name, and its remark was cut off or altered; {_last(live)}"
        beside = f"make the remark of #{number} valid JSON, or empty"
    adopt = command("adopt", f"{identity.key}={number}", environment=identity.environment)
    return (
        f"{identity.key} would be created, but #{number} may be it: {why}",
        f"take it over: {adopt}; or, to create {identity.key} beside it, {beside}",
    )


def _shown(live: LiveSession) -> str:
    text = live.raw_remark or ""
    left = text[max(0, text.find(OUR_KEY) - 1) :]
    return left if len(left) <= _SHOWN else left[: _SHOWN - 1] + "…"


def _last(live: LiveSession) -> str:
    """What is left of a tag that was cut off within its first word. The rest of the remark is others'."""
    text, word = live.raw_remark or "", f'"{OUR_KEY}"'
    for length in range(len(word) - 1, 1, -1):
        if text.endswith(word[:length]):
            return f"what is left of its tag: {word[:length]}"
    return "nothing is left of a tag"


def _remains(live: LiveSession) -> _Remains:
    """The readable parts of the tag."""
    text = live.raw_remark or ""
    for _ in range(2):
        text = html.unescape(text)
    text = re.sub(
        r"\\+(?=\")|%22|\\u0022", lambda found: "" if found[0][-1] == "\\" else '"', text, flags=re.I
    )
    text = text[text.find(OUR_KEY) :]
    catalog, environment, key = (_part(text, name) for name in ("catalog", "environment", "key"))
    nothing = _Part("", False)
    return _Remains(catalog or nothing, environment, key or nothing)


def _part(text: str, name: str) -> _Part | None:
    found = re.search(_VALUE.format(name=name), text)
    return _Part(found["text"], bool(found["whole"])) if found else None
