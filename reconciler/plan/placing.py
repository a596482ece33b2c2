"""Assign every live session to its place, by its tag, its id, and the catalog.

Three kinds of tags do not make a session ours:

- one with another id in it than the catalog's is that of another catalog of the same name;
- one that was written on another session is a *copy*, made outside git by somebody who copied the remark, too; so is
  one that names no session, while this machine's journal wrote another session with the same tag;
- one that can't be read may be ours or another catalog's (:mod:`reconciler.plan.unreadable`).

None of these is ever updated or deleted, adoption asked for by id aside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from reconciler.domain import Catalog, LiveSession, Snapshot, Written
from reconciler.ownership.reserved import reserved_kind
from reconciler.ownership.tag import Identity, Tag
from reconciler.plan.advice import adopt_line
from reconciler.plan.duplicates import copies
from reconciler.plan.types import Note, Refusal, Selection
from reconciler.text.paste import command

#: How many sessions a message names.
_NAMED = 5


@dataclass(slots=True)
class Places:
    """Every live session, by its relation to this catalog."""

    held: dict[str, list[LiveSession]] = field(default_factory=dict)  # by the key that it has or will have
    moved: dict[int, Identity] = field(default_factory=dict)  # by session_id: its current identity
    adopted: set[int] = field(default_factory=set)  # session_ids of those that this plan adopts
    leaving: list[LiveSession] = field(default_factory=list)  # handed over or forgotten
    managed: int = 0
    unmanaged: list[LiveSession] = field(default_factory=list)
    foreign: int = 0  # of other catalogs
    siblings: int = 0  # of other environments of this catalog
    unreadable: list[LiveSession] = field(default_factory=list)
    copies: list[LiveSession] = field(default_factory=list)
    # By session_id of a copy that only the journal tells; None if the original is gone.
    originals: dict[int, int | None] = field(default_factory=dict)
    other_ids: list[LiveSession] = field(default_factory=list)  # of another catalog of the same name
    live: set[int] = field(default_factory=set)  # every session_id, those left out of the snapshot aside

    def hold(self, key: str, live: LiveSession) -> None:
        """Put a session under a key."""
        self.held.setdefault(key, []).append(live)

    def original(self, copy: LiveSession) -> int | None:
        """The id of the session that a copy was made of."""
        tag = copy.remark.tag
        named = tag.session_id if tag else None
        return self.originals.get(copy.session_id) if named is None else named

    def leave_out(self, keys: Collection[str]) -> set[str]:
        """Drop the sessions with other keys, and keep their number. Returns the dropped keys."""
        leaving = {live.session_id: _key_of(live) for live in self.leaving}
        out = self.held.keys() | {*leaving.values()}
        self.held = {key: lives for key, lives in self.held.items() if key in keys}
        self.leaving = [live for live in self.leaving if leaving[live.session_id] in keys]
        return out.difference(keys)


def _key_of(live: LiveSession) -> str:
    """The key in the tag of a managed session."""
    assert live.remark.tag is not None
    return live.remark.tag.identity.key


def place(catalog: Catalog, snapshot: Snapshot, written: Written | None = None) -> Places:
    """Give every session of a snapshot its place. ``written`` is what the journal says; None if it was not read."""
    places = Places(live={live.session_id for live in snapshot})
    name, environment = catalog.name, catalog.environment
    if written is not None:
        places.originals |= dict.fromkeys(written.copies)
        for lives in _same_identity(snapshot, name, environment):
            places.originals |= copies(lives, written)
    # An unmanaged session can only be adopted under a key that the catalog has.
    adopt = {session_id: key for key, session_id in catalog.adopt.items() if key in catalog.sessions}
    moved = {
        identity: key
        for identity, key in catalog.moved.items()
        if key in catalog.sessions or (identity.catalog == name and identity.environment == environment)
    }
    for live in snapshot:
        tag = live.remark.tag
        if tag is None:
            _place_untagged(places, live, adopt)
            continue
        identity = tag.identity
        ours = identity.catalog == name and identity.environment == environment
        from_elsewhere = identity in moved
        if not ours and not from_elsewhere:
            if is_sibling(catalog, tag):
                places.siblings += 1
            else:
                places.foreign += 1
        elif identity.catalog == name and _is_anothers(catalog, tag):
            places.other_ids.append(live)
        elif live.is_copy or (tag.session_id is None and live.session_id in places.originals):
            if live.session_id in adopt:
                places.adopted.add(live.session_id)
                places.hold(adopt[live.session_id], live)
            else:
                places.copies.append(live)
        else:
            _place_ours(places, catalog, live, moved.get(identity))
    return places


def doubles(
    snapshot: Snapshot, catalog: str, environment: str | None, written: Written
) -> list[list[LiveSession]]:
    """The sessions of a catalog that share an identity, copies aside, by identity. ``written`` is what the journal
    says."""
    found = []
    for lives in _same_identity(snapshot, catalog, environment):
        copied = copies(lives, written)
        remembered = {
            live.session_id for live in lives if live.remark.tag and live.remark.tag.session_id is None
        }
        remembered &= written.copies
        found.append([live for live in lives if live.session_id not in remembered | copied.keys()])
    return [lives for lives in found if len(lives) > 1]


def _same_identity(snapshot: Snapshot, catalog: str, environment: str | None) -> list[list[LiveSession]]:
    """The sessions of a catalog that share an identity and that no tag says to be copies, by identity."""
    held: dict[Identity, list[LiveSession]] = {}
    for live in snapshot:
        tag = live.remark.tag
        if tag is None or tag.identity.catalog != catalog or tag.identity.environment != environment:
            continue
        if not live.is_copy:
            held.setdefault(tag.identity, []).append(live)
    return [lives for lives in held.values() if len(lives) > 1]


def is_sibling(catalog: Catalog, tag: Tag) -> bool:
    """Whether a tag is that of this catalog in another environment, or in none."""
    identity = tag.identity
    return (
        identity.catalog == catalog.name
        and identity.environment != catalog.environment
        and not _is_anothers(catalog, tag)
    )


def _is_anothers(catalog: Catalog, tag: Tag) -> bool:
    """Whether a tag with this catalog's name is that of another catalog, by its id."""
    found = tag.catalog_id
    return found is not None and found != catalog.id and found not in catalog.former_ids


def _place_untagged(places: Places, live: LiveSession, adopt: Mapping[int, str]) -> None:
    if reserved_kind(live) is not None:
        return
    if live.session_id in adopt:
        places.adopted.add(live.session_id)
        places.hold(adopt[live.session_id], live)
    elif live.remark.unreadable:
        places.unreadable.append(live)
    else:
        places.unmanaged.append(live)


def _place_ours(places: Places, catalog: Catalog, live: LiveSession, moved_to: str | None) -> None:
    tag = live.remark.tag
    assert tag is not None
    key = tag.identity.key
    if moved_to is not None:
        key = moved_to
        places.moved[live.session_id] = tag.identity
    elif tag.catalog_id is not None and tag.catalog_id != catalog.id:
        places.moved[live.session_id] = tag.identity  # it gets the catalog's present id
    places.managed += 1
    if key in catalog.forgotten or catalog.receiver(key) is not None:
        places.leaving.append(live)
    else:
        places.hold(key, live)


# Refusals and notes


def unclear(catalog: Catalog, places: Places) -> tuple[list[Refusal], set[str]]:
    """Refusals for keys that two sessions would have, and these keys.

    A rule decides which of two sessions stays only if both already carry the same identity.
    """
    found = []
    keys = set()
    for key, lives in places.held.items():
        joining = any(_joins(catalog, places, key, live) for live in lives)
        if joining and len(lives) > 1:
            ids = " and ".join(f"#{live.session_id}" for live in lives)
            keys.add(key)
            found.append(
                Refusal(
                    "identity",
                    f"{key} would be {ids} at once, after an adoption or a move",
                    f"delete the one that is not wanted, or remove the adopt or moved entry of {key}",
                    key,
                )
            )
    return found, keys


def taken(catalog: Catalog, places: Places, snapshot: Snapshot) -> list[Refusal]:
    """Refusals for sessions that would be handed over to an identity that another session has."""
    receivers = {to: live for live in places.leaving if (to := catalog.receiver(_key_of(live))) is not None}
    if not receivers:
        return []
    leaving = {live.session_id for live in places.leaving}
    found = []
    for live in snapshot:
        tag = live.own_tag
        if tag is not None and tag.identity in receivers and live.session_id not in leaving:
            ids = f"#{receivers[tag.identity].session_id} and #{live.session_id}"
            found.append(
                Refusal(
                    "identity",
                    f"{tag.identity} would be {ids} at once, after a move",
                    f"delete the one that is not wanted, or remove the moved entry to {tag.identity}",
                    tag.identity.key,
                )
            )
    return found


def _joins(catalog: Catalog, places: Places, key: str, live: LiveSession) -> bool:
    """Whether the plan gives a session this key."""
    before = places.moved.get(live.session_id, catalog.identity(key))
    return live.session_id in places.adopted or before != catalog.identity(key)


def another_catalog(catalog: Catalog, places: Places, only: Selection | None = None) -> list[Refusal]:
    """The refusal for live sessions of another catalog with this one's name, one for each of its ids.

    ``only`` is the part that the plan is about; None for all.
    """
    by_id: dict[str, list[LiveSession]] = {}
    for live in places.other_ids:
        tag = live.remark.tag
        assert tag is not None
        assert tag.catalog_id is not None
        if only is None or tag.identity.key in only.keys:
            by_id.setdefault(tag.catalog_id, []).append(live)
    here = f"the id of this one is {catalog.id}" if catalog.id else "this one has no id"
    return [
        Refusal(
            "catalog_id",
            f"{_sessions(lives)} of another catalog called {catalog.name}, with the id {other}; {here}",
            _way_out(catalog, other),
        )
        for other, lives in sorted(by_id.items())
    ]


def _way_out(catalog: Catalog, other: str) -> str:
    rename = "give this catalog another name"
    if catalog.id is None:
        return f'{rename}; or, if they are its own, add "id: {other}" to catalog.yaml'
    entry = f'moved: [{{from: "id:{other}", to: "id:{catalog.id}"}}]'
    return f"{rename}; or, if they are its own, add to catalog.yaml: {entry}"


def _sessions(lives: list[LiveSession]) -> str:
    named = ", ".join(f"{_key(live)} #{live.session_id}" for live in lives[:_NAMED])
    more = f", and {len(lives) - _NAMED} more" if len(lives) > _NAMED else ""
    return f"{named}{more} {'is' if len(lives) == 1 else 'are'}"


def copy_notes(catalog: Catalog, places: Places) -> list[Note]:
    """A note on each copy: of which session, and what to do if that one is gone."""
    notes = []
    for live in places.copies:
        key, original = _key(live), places.original(live)
        of = "a session" if original is None else f"#{original}"
        if original is not None and not live.is_copy:
            message = (
                f"a copy of #{original}, made outside git with that one's tag (this machine's journal never wrote it): "
                "left alone"
            )
        elif original in places.live:
            message = f"a copy of #{original}, made outside git with that one's tag: left alone"
        elif key in catalog.sessions and key not in places.held:
            message = (
                f"a copy of {of}, which is no longer managed here: left alone. "
                f"To adopt it instead of creating {key}, {adopt_line(catalog, key, live.session_id)}"
            )
        else:
            message = f"a copy of {of}, which is no longer managed here: left alone"
        notes.append(Note("copy", message, key, live.session_id))
    return notes


def orphan_refusals(catalog: Catalog, places: Places, creates: Collection[str]) -> list[Refusal]:
    """Refuse to create more than half of a catalog beside copies whose originals are gone: the service may have given
    every session another number. ``creates`` are the keys that would be created."""
    orphans = {
        _key(live): live.session_id
        for live in reversed(places.copies)
        if places.original(live) not in places.live and _key(live) in creates
    }
    if not orphans or 2 * len(orphans) <= len(catalog.sessions):
        return []
    pairs = [f"{key}={number}" for key, number in sorted(orphans.items())]
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    adopt = command("adopt", *pairs[:_NAMED], environment=catalog.environment)
    wanted = len(catalog.sessions)
    return [
        Refusal(
            "allow_recreate",
            f"it would create {len(pairs)} of the catalog's {wanted} session{'' if wanted == 1 else 's'}, and as many "
            "are live with tags that name sessions which are gone: were they copied, or did the service give them "
            f"other numbers? To take them over: {adopt}{more}",
            "--allow-recreate",
        )
    ]


def _key(live: LiveSession) -> str:
    tag = live.remark.tag
    assert tag is not None
    return tag.identity.key
