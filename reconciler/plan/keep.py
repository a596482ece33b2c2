"""What a listing has to keep of each session for a plan, and for applying one.

On an account that others use, nearly all sessions are theirs. A plan reads of those how many there are, and which
have a name that the catalog is about to create. So only what follows is held in memory; a session of others is
mostly one more in a count.

- whole: what is ours or is to become ours, what is named by its id, what has an unreadable tag, what is reserved, what
  has the name of a session in the catalog and a remark that may have held a tag before it was cut off;
- id, name and identity: unmanaged sessions with the name of a session in the catalog, those of the other catalogs that
  sessions come from or go to, and those of the catalog's other environments, which tell whose account it is;
- these and the prompt if it is one of the catalog's: sessions of other catalogs and environments with a key or prompt
  of a session in the catalog, which may have been renamed (:mod:`reconciler.plan.renamed`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.domain import Catalog, Keep, LiveSession, Others
from reconciler.ownership.remark import Remark
from reconciler.ownership.reserved import reserved_kind
from reconciler.ownership.tag import Identity, Tag
from reconciler.plan.placing import is_sibling
from reconciler.plan.renamed import Likeness
from reconciler.plan.types import Plan
from reconciler.values import JSON

_NO_FIELDS: Final[Mapping[str, JSON]] = {}
_NO_REMARK: Final = Remark()


@dataclass(frozen=True, eq=False)
class KeepForPlan:
    """A :class:`reconciler.domain.KnownKeep`, for a plan of one catalog.

    ``scope`` is the catalog's name and environment; all sessions of it are kept. ``identities`` are those of further
    sessions, ``ids`` those of sessions with any tag or none, and ``names`` those of unmanaged sessions, which are kept
    whole with ``whole_names``. ``likeness`` and ``catalog`` are for sessions of other catalogs.
    """

    scope: tuple[str, str | None]
    identities: frozenset[Identity]
    ids: frozenset[int]
    names: Mapping[str, str] = field(default_factory=dict)
    whole_names: bool = False
    likeness: Likeness | None = None
    catalog: Catalog | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "near", {(one.catalog, one.environment) for one in self.identities})

    near: Collection[tuple[str, str | None]] = field(init=False)

    def __call__(self, live: LiveSession) -> LiveSession | Others:
        """What is kept of a session."""
        tag = live.remark.tag
        if live.session_id in self.ids:
            return live
        if tag is not None:
            return self._tagged(live, tag)
        if live.remark.unreadable or reserved_kind(live) is not None:
            return live
        name = self.names.get(live.name.strip())
        if name is None:
            return "unmanaged"
        named = _named(
            live.session_id, name, None
        )  # the name as the catalog holds it, for thousands that share it
        return live if self.whole_names or live.remark.broken or reserved_kind(named) is not None else named

    def _tagged(self, live: LiveSession, tag: Tag) -> LiveSession | Others:
        where = (tag.identity.catalog, tag.identity.environment)
        if where == self.scope or tag.identity in self.identities:
            return live
        prompt = self.likeness.prompt(live) if self.likeness else ""
        if where in self.near or prompt or (self.likeness and self.likeness.like_key(tag)):
            return _named(live.session_id, live.name, tag, prompt)
        sibling = self.catalog is not None and is_sibling(self.catalog, tag)
        return _named(live.session_id, live.name, tag) if sibling else "foreign"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeepForPlan) and self.ids == other.ids and self._like(other)

    def __hash__(self) -> int:
        return hash((self.scope, self.ids))

    def beyond(self, other: Keep) -> frozenset[int] | None:
        """The ids of sessions that this keeps and the other one maybe not; None: they are not known by id."""
        if not isinstance(other, KeepForPlan) or self.scope != other.scope:
            return None
        further = [one for one in self.identities if (one.catalog, one.environment) != self.scope]
        # What a catalog keeps is enough to apply its plan, which does not ask who owns the sessions that are counted.
        applies = self.catalog is None and not self.names and other.identities.issuperset(further)
        return self.ids - other.ids if applies or self._like(other) else None

    def _like(self, other: KeepForPlan) -> bool:
        """Whether all but the ids is equal."""
        return (
            (self.scope, self.identities, self.whole_names)
            == (other.scope, other.identities, other.whole_names)
            and (self.names, self.likeness) == (other.names, other.likeness)
            and _siblings(self.catalog) == _siblings(other.catalog)
        )


def keep_for_catalog(catalog: Catalog, *, whole_names: bool = False, ids: Iterable[int] = ()) -> KeepForPlan:
    """What to keep for a plan of this catalog.

    ``ids`` are those of sessions that were written. With ``whole_names``, unmanaged sessions with the name of one in
    the catalog are kept whole, to be adopted.
    """
    return KeepForPlan(
        (catalog.name, catalog.environment),
        frozenset({*catalog.moved, *catalog.handed_over.values()}),
        frozenset({*catalog.adopt.values(), *ids}),
        {session.name.strip(): session.name for session in catalog.sessions.values()},
        whole_names,
        Likeness.of(catalog),
        catalog,
    )


def keep_for_plan(plan: Plan, *, ids: Iterable[int] = ()) -> KeepForPlan:
    """What to keep to apply this plan. ``ids`` are those of sessions that it created."""
    identities = {action.identity for action in plan.actions}
    identities |= {action.moved_from for action in plan.actions if action.moved_from is not None}
    named = {action.session_id for action in plan.actions if action.session_id is not None}
    return KeepForPlan((plan.catalog, plan.environment), frozenset(identities), frozenset(named.union(ids)))


def _siblings(catalog: Catalog | None) -> object:
    """What decides which sessions are those of a catalog's other environments (:func:`is_sibling`)."""
    return catalog and (catalog.name, catalog.environment, catalog.id, catalog.former_ids)


def _named(session_id: int, name: str, tag: Tag | None, prompt: str = "") -> LiveSession:
    return LiveSession(
        session_id,
        name,
        model="",
        prompt=prompt,
        parameters=_NO_FIELDS,
        data=_NO_FIELDS,
        raw_remark=None,
        remark=_NO_REMARK
        if tag is None
        else Remark(tag=Tag(tag.identity, catalog_id=tag.catalog_id, session_id=tag.session_id)),
        row=_NO_FIELDS,
        config=_NO_FIELDS,
    )
