"""Keys that nobody knows: which one was most likely meant."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.domain import Snapshot
from reconciler.text.nearest import nearest


def did_you_mean(key: str, known: Collection[str], otherwise: str) -> str:
    """A hint for a key that is not among the known ones: the nearest of them, or something else to do."""
    near = nearest(key, sorted(known))
    return f"did you mean {near!r}?" if near else otherwise


def live_keys(snapshot: Snapshot, catalog: str, environment: str | None) -> set[str]:
    """The keys that are live of a catalog and environment."""
    tags = (live.remark.tag for live in snapshot)
    return {
        tag.identity.key
        for tag in tags
        if tag is not None and (tag.identity.catalog, tag.identity.environment) == (catalog, environment)
    }
