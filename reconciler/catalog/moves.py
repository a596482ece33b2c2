"""Who is to own what: ``adopt``, ``moved`` and ``forgotten``, checked against each other and the sessions.

Each of these names sessions that are live already, so a mistake would cost a chat history: what is not clear is an
error here, and never left to an order of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import Problem
from reconciler.ownership.key import parse_identity
from reconciler.ownership.tag import Identity
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source


@dataclass(frozen=True, slots=True)
class Ownership:
    """What :class:`~reconciler.domain.Catalog` says of it, under the same names."""

    moved: Mapping[str, Identity]
    handed_over: Mapping[str, Identity]
    forgotten: frozenset[str]


def _identity(text: str, catalog: str, environment: str | None) -> Identity:
    identity = parse_identity(text, catalog, environment)
    assert identity is not None  # the schema has the same pattern
    return identity


def ownership(
    head: Mapping[str, Any],
    catalog: str,
    environment: str | None,
    wanted: Callable[[str], bool],
    source: Source,
    note: Callable[[Problem], None],
) -> Ownership:
    """Read ``moved`` and ``forgotten`` of catalog.yaml. ``wanted`` says whether the catalog holds a key."""
    moved: dict[str, Identity] = {}
    handed_over: dict[str, Identity] = {}
    seen: dict[Identity, int] = {}
    for number, entry in enumerate(head.get("moved", ())):
        place: NodePath = ("moved", number)
        source_, target = (_identity(entry[side], catalog, environment) for side in ("from", "to"))
        ours = [one == Identity(catalog, environment, one.key) for one in (source_, target)]
        problem = None
        if source_ == target:
            problem = ("this entry moves a session to where it is", "take it out")
        elif not any(ours):
            problem = (
                "neither side of this entry is of this catalog and environment",
                "write it in the catalog that hands the session over, or in the one that takes it",
            )
        elif source_ in seen or target in seen:
            twice = source_ if source_ in seen else target
            problem = (
                f"`{twice.key}` is named in two entries of `moved`",
                "write one entry from the first key to the last",
            )
        elif ours[0] and wanted(source_.key):
            problem = (
                f"`{source_.key}` is moved away, and still in the catalog",
                f"take the session `{source_.key}` out, or this entry",
            )
        elif ours[1] and not wanted(target.key):
            problem = (
                f"`{target.key}` is moved to, and not in the catalog",
                f"add the session `{target.key}`, or take this entry out",
            )
        if problem:
            note(source.at_value(place, *problem))
        seen[source_] = seen[target] = number
        if ours[1]:
            moved[target.key] = source_
        else:
            handed_over[source_.key] = target
    forgotten = head.get("forgotten", ())
    for number, key in enumerate(forgotten):
        problem = None
        if wanted(key):
            problem = (f"`{key}` is forgotten, and still in the catalog", "take one of the two out")
        elif key in handed_over or Identity(catalog, environment, key) in moved.values():
            problem = (f"`{key}` is forgotten and moved at once", "take one of the two out")
        if problem:
            note(source.at_value(("forgotten", number), *problem))
    return Ownership(moved, handed_over, frozenset(forgotten))
