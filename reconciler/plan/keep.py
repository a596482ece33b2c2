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

from collections.abc import Callable, Iterable, Mapping
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


def keep_for_catalog(catalog: Catalog, *, whole_names: bool = False, ids: Iterable[int] = ()) -> Keep:
    """What to keep for a plan of this catalog.

    ``ids`` are those of sessions that were written. With ``whole_names``, unmanaged sessions with the name of one in
    the catalog are kept whole, to be adopted.
    """
    return _keep(
        (catalog.name, catalog.environment),
        {*catalog.moved, *catalog.handed_over.values()},
        {*catalog.adopt.values(), *ids},
        {session.name.strip(): session.name for session in catalog.sessions.values()},
        whole_names,
        Likeness.of(catalog),
        lambda tag: is_sibling(catalog, tag),
    )


def keep_for_plan(plan: Plan, *, ids: Iterable[int] = ()) -> Keep:
    """What to keep to apply this plan. ``ids`` are those of sessions that it created."""
    identities = {action.identity for action in plan.actions}
    identities |= {action.moved_from for action in plan.actions if action.moved_from is not None}
    named = {action.session_id for action in plan.actions if action.session_id is not None}
    return _keep((plan.catalog, plan.environment), identities, named.union(ids), {}, whole_names=False)


def _keep(
    scope: tuple[str, str | None],
    identities: Iterable[Identity],
    ids: set[int],
    names: Mapping[str, str],
    whole_names: bool,
    likeness: Likeness | None = None,
    sibling: Callable[[Tag], bool] = lambda tag: False,
) -> Keep:
    ours = frozenset(identities)
    near = {(one.catalog, one.environment) for one in ours}

    def keep(live: LiveSession) -> LiveSession | Others:
        tag = live.remark.tag
        if live.session_id in ids:
            return live
        if tag is not None:
            where = (tag.identity.catalog, tag.identity.environment)
            if where == scope or tag.identity in ours:
                return live
            prompt = likeness.prompt(live) if likeness else ""
            if where in near or prompt or (likeness and likeness.like_key(tag.identity)):
                return _named(live.session_id, live.name, tag, prompt)
            return _named(live.session_id, live.name, tag) if sibling(tag) else "foreign"
        if live.remark.unreadable or reserved_kind(live) is not None:
            return live
        name = names.get(live.name.strip())
        if name is None:
            return "unmanaged"
        named = _named(
            live.session_id, name, None
        )  # the name as the catalog holds it, for thousands that share it
        return live if whole_names or live.remark.broken or reserved_kind(named) is not None else named

    return keep


def _named(session_id: int, name: str, tag: Tag | None, prompt: str = "") -> LiveSession:
    return LiveSession(
        session_id,
        name,
        model="",
        prompt=prompt,
        parameters=_NO_FIELDS,
        data=_NO_FIELDS,
        raw_remark=None,
        remark=_NO_REMARK if tag is None else Remark(tag=Tag(tag.identity, catalog_id=tag.catalog_id)),
        row=_NO_FIELDS,
        config=_NO_FIELDS,
    )
