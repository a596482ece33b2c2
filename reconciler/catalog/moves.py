"""Changes of ownership: ``moved`` and ``forgotten``, checked against each other and the sessions.

Both name live sessions, and a mistake could cost a chat history. So every ambiguity is an error, and the order of lines
does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.errors import Problem
from reconciler.ownership.key import EVERY_KEY, parse_identity
from reconciler.ownership.tag import Identity
from reconciler.strict_yaml.places import Source

#: The prefix of an entry's side that names an id of the catalog.
_ID: Final = "id:"


@dataclass(frozen=True, slots=True)
class Ownership:
    """The fields of :class:`~reconciler.domain.Catalog` with these names."""

    moved: Mapping[Identity, str]
    handed_over: Mapping[str, Identity]
    forgotten: frozenset[str]
    former_ids: frozenset[str]
    moved_elsewhere: frozenset[Identity]
    moved_every: Identity | None


def ownership(
    head: Mapping[str, Any],
    catalog: str,
    environment: str | None,
    keys: Collection[str],
    source: Source,
    note: Callable[[Problem], None],
) -> Ownership:
    """Read ``moved`` and ``forgotten`` of catalog.yaml. ``keys`` are those of the sessions in the catalog.

    An entry that moves every session is spelled out for the keys in the catalog; entries that name a key go first.
    What it hands over has no key in the catalog, so ``handed_over`` holds it under :data:`EVERY_KEY`.
    """
    entries = _Entries(catalog, environment, frozenset(head.get("environments") or ()), keys)
    former_ids: set[str] = set()
    for number, entry in enumerate(head.get("moved", ())):
        if entry["from"].startswith(_ID) or entry["to"].startswith(_ID):
            problem = _wrong_id(entry, head.get("id"))
            former_ids.add(entry["from"].removeprefix(_ID))
        else:
            problem = entries.add(entry["from"], entry["to"])
        if problem:
            note(source.at_value(("moved", number), *problem))
    entries.spell_out()
    moved, handed_over = entries.moved, entries.handed_over
    forgotten = head.get("forgotten", ())
    for number, key in enumerate(forgotten):
        problem = None
        if key in keys:
            problem = (f"`{key}` is forgotten, but still in the catalog", "remove one of the two")
        elif key in handed_over or Identity(catalog, environment, key) in moved:
            problem = (f"`{key}` is both forgotten and moved", "remove one of the two")
        if problem:
            note(source.at_value(("forgotten", number), *problem))
    return Ownership(
        moved,
        handed_over,
        frozenset(forgotten),
        frozenset(former_ids),
        frozenset(entries.elsewhere),
        entries.every,
    )


class _Entries:
    """The entries of ``moved``, in the order in which they are added."""

    def __init__(
        self, catalog: str, environment: str | None, declared: frozenset[str], keys: Collection[str]
    ) -> None:
        self.moved: dict[Identity, str] = {}
        self.every: Identity | None = None  # from where every session moves here
        self.handed_over: dict[str, Identity] = {}
        self.elsewhere: set[Identity] = set()  # what entries move that take effect in another environment
        self._catalog = catalog
        self._environment = environment
        self._declared = declared
        self._keys = keys
        self._seen: set[Identity] = set()

    def add(self, start: str, end: str) -> tuple[str, str] | None:
        """Add an entry. Returns its problem, and what to do about it."""
        source, target = self._identity(start), self._identity(end)
        ours = [self._is_ours(one) for one in (source, target)]
        if not any(ours) and any(self._is_elsewhere(one) for one in (source, target)):
            self.elsewhere.add(source)
            return None  # this entry takes effect in another environment
        problem = self._problem(source, target, ours)
        self._seen |= {source, target}
        if ours[1] and target.key == EVERY_KEY:
            self.every = source
        elif ours[1]:
            self.moved[source] = target.key
        else:
            self.handed_over[source.key] = target
        return problem

    def _problem(self, source: Identity, target: Identity, ours: list[bool]) -> tuple[str, str] | None:
        every = [one.key == EVERY_KEY for one in (source, target)]
        if source == target:
            return "this entry moves a session to its own key", "remove it"
        if any(every) and not all(every):
            return (
                "one side of this entry ends in `*`, and the other does not",
                "write `*` on both sides, or keys",
            )
        if not any(ours):
            return (
                "neither side of this entry belongs to this catalog and environment",
                "write it in the catalog that hands the session over, or in the one that takes it over; if it is done, "
                "remove it",
            )
        if source in self._seen or target in self._seen:
            return (
                f"`{(source if source in self._seen else target).key}` appears in two entries of `moved`",
                "write one entry for all, and name the other sessions by key"
                if any(every)
                else "remove the one that is done; or, if none is, write one entry, from the first key to the last",
            )
        if ours[0] and all(every) and self._keys:
            count = f"{len(self._keys)} session{'' if len(self._keys) == 1 else 's'}"
            return (
                f"all sessions are moved away, but the catalog still has {count}",
                "remove the sessions, or this entry",
            )
        if ours[0] and source.key in self._keys:
            return (
                f"`{source.key}` is moved away, but still in the catalog",
                f"remove the session `{source.key}`, or this entry",
            )
        if ours[1] and not all(every) and target.key not in self._keys:
            return (
                f"`{target.key}` is the target of a move, but not in the catalog",
                f"add the session `{target.key}`, or remove this entry",
            )
        return None

    def spell_out(self) -> None:
        """Replace the entry that moves every session by one for each key in the catalog.

        A key that another entry gives to a session from elsewhere is that one's. An entry that renames a key of this
        catalog may be done or not: the session has the key from before it, or from after it.
        """
        if self.every is None:
            return
        named = dict(self.moved)
        renamed = {source.key: key for source, key in named.items() if self._is_ours(source)}
        given = {key for source, key in named.items() if not self._is_ours(source)}
        for key in self._keys:
            if key not in given:
                self.moved.setdefault(replace(self.every, key=key), key)
        for before, key in renamed.items():
            if before not in self._keys:
                self.moved.setdefault(replace(self.every, key=before), key)

    def _identity(self, text: str) -> Identity:
        identity = parse_identity(text, self._catalog, self._environment)
        assert identity is not None  # the schema has the same pattern
        return identity

    def _is_ours(self, identity: Identity) -> bool:
        return (identity.catalog, identity.environment) == (self._catalog, self._environment)

    def _is_elsewhere(self, identity: Identity) -> bool:
        """Whether this is a session of this catalog in another of its environments."""
        return identity.catalog == self._catalog and identity.environment in self._declared


def _wrong_id(entry: Mapping[str, str], own: str | None) -> tuple[str, str] | None:
    """The problem with an entry about the catalog's id, and what to do; None if there is none."""
    if not (entry["from"].startswith(_ID) and entry["to"].startswith(_ID)):
        return (
            "one side of this entry is an id and the other a key",
            "write `id:` on both sides, or on neither",
        )
    if own is None:
        return "this entry changes the catalog's id, but the catalog has none", "add `id` to catalog.yaml"
    if entry["to"] != _ID + own:
        return f"this entry does not lead to the catalog's id, which is `{own}`", f'write `to: "{_ID}{own}"`'
    if entry["from"] == entry["to"]:
        return "this entry changes the catalog's id to what it is", "remove it"
    return None
