"""Unknown keys, and which known one was probably meant."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.domain import Snapshot
from reconciler.text.nearest import nearest


def did_you_mean(key: str, known: Collection[str], otherwise: str) -> str:
    """A hint for an unknown key: the nearest known one, or ``otherwise``."""
    near = nearest(key, sorted(known))
    return f"did you mean {near!r}?" if near else otherwise


def live_keys(snapshot: Snapshot, catalog: str, environment: str | None) -> set[str]:
    """The keys of a catalog and environment that are live, copies aside."""
    tags = (live.own_tag for live in snapshot)
    return {
        tag.identity.key
        for tag in tags
        if tag is not None and (tag.identity.catalog, tag.identity.environment) == (catalog, environment)
    }
