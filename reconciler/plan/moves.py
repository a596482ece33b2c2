"""What a plan says of the entries of ``moved``: which are done, and which sessions they leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from reconciler.domain import Catalog, Snapshot
from reconciler.ownership.key import EVERY_KEY
from reconciler.ownership.tag import Identity
from reconciler.plan.placing import Places
from reconciler.plan.types import Note

#: The kind of the note on entries that are done.
DONE: Final = "moved"

#: How many sessions or entries a note names.
_NAMED: Final = 5


def move_notes(catalog: Catalog, snapshot: Snapshot, places: Places) -> list[Note]:
    """Notes on the entries of ``moved`` that are done, and on sessions that an entry for all leaves behind.

    The snapshot has to hold the sessions of the catalogs and environments that sessions come from.
    """
    if not catalog.moved:
        return []
    lives = {tag.identity: live.session_id for live in snapshot if (tag := live.own_tag)}
    left = {
        identity: number
        for identity, number in lives.items()
        if identity not in catalog.moved and _every(identity) == catalog.moved_every
    }
    waiting = {identity for identity in lives if identity in catalog.moved}
    waiting |= {_every(identity) for identity in (*waiting, *left)}
    return [*_left_behind(left), *_done(catalog, waiting, places)]


def _left_behind(left: Mapping[Identity, int]) -> Iterator[Note]:
    """A note on what is live under the former name and has no key here: it would go unnoticed ever after."""
    if not left:
        return
    named = ", ".join(f"{identity} #{number}" for identity, number in [*left.items()][:_NAMED])
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    stay, it, keys = ("stays", "it", "its key is") if len(left) == 1 else ("stay", "them", "their keys are")
    yield Note(
        "left-behind",
        f"{named}{more} {stay} live under the former name, since {keys} not in the catalog. To delete {it}, keep {it} "
        f"in the catalog for one apply, which moves {it}, and remove {it} then",
    )


def _done(catalog: Catalog, waiting: set[Identity], places: Places) -> Iterator[Note]:
    """A note on entries with nothing ``waiting`` to be moved, and with their sessions live where they lead to."""

    def settled(key: str) -> bool:
        return any(live.session_id not in places.moved for live in places.held.get(key, ()))

    every = catalog.moved_every
    entries = [
        (f"`{_side(catalog, source)}` to `{key}`", source, [key])
        for source, key in sorted(catalog.moved.items(), key=lambda one: str(one[0]))
        if _every(source) != every
    ]
    if every is not None:
        entries.append((f"`{every}` to `{EVERY_KEY}`", every, list(catalog.sessions)))
    done = [name for name, source, keys in entries if source not in waiting and all(map(settled, keys))]
    if not done:
        return
    named = ", ".join(done[:_NAMED]) + (f" and {len(done) - _NAMED} more" if len(done) > _NAMED else "")
    what, be, them, they = ("entry", "is", "it", "it is")
    if len(done) > 1:
        what, be, them, they = ("entries", "are", "them", "they are")
    where = "environment and account" if catalog.environment else "account"
    yield Note(
        DONE,
        f"the `moved` {what} from {named} {be} done: remove {them} from catalog.yaml as soon as {they} done in every "
        f"{where}",
    )


def _every(identity: Identity) -> Identity:
    """All sessions of an identity's catalog and environment."""
    return replace(identity, key=EVERY_KEY)


def _side(catalog: Catalog, identity: Identity) -> str:
    """An identity as an entry of ``moved`` names it."""
    return identity.key if identity == catalog.identity(identity.key) else str(identity)
