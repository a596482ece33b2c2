"""Changes of ownership: ``moved`` and ``forgotten``, checked against each other and the sessions.

Both name sessions that are live already, and a mistake could cost a chat history. So whatever is ambiguous is an error,
and nothing depends on the order of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import Problem
from reconciler.ownership.key import parse_identity
from reconciler.ownership.tag import Identity
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source

#: What a side of an entry begins with that is about the catalog's own id.
_ID: Final = "id:"


@dataclass(frozen=True, slots=True)
class Ownership:
    """The fields of :class:`~reconciler.domain.Catalog` with these names."""

    moved: Mapping[str, Identity]
    handed_over: Mapping[str, Identity]
    forgotten: frozenset[str]
    former_ids: frozenset[str]


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
    former_ids: set[str] = set()
    seen: dict[Identity, int] = {}
    for number, entry in enumerate(head.get("moved", ())):
        place: NodePath = ("moved", number)
        if entry["from"].startswith(_ID) or entry["to"].startswith(_ID):
            problem = _wrong_id(entry, head.get("id"))
            if problem:
                note(source.at_value(place, *problem))
            former_ids.add(entry["from"].removeprefix(_ID))
            continue
        source_, target = (_identity(entry[side], catalog, environment) for side in ("from", "to"))
        ours = [one == Identity(catalog, environment, one.key) for one in (source_, target)]
        problem = None
        if source_ == target:
            problem = ("this entry moves a session to its own key", "remove it")
        elif not any(ours):
            problem = (
                "neither side of this entry belongs to this catalog and environment",
                "write it in the catalog that hands the session over, or in the one that takes it over",
            )
        elif source_ in seen or target in seen:
            twice = source_ if source_ in seen else target
            problem = (
                f"`{twice.key}` appears in two entries of `moved`",
                "write one entry, from the first key to the last",
            )
        elif ours[0] and wanted(source_.key):
            problem = (
                f"`{source_.key}` is moved away, but still in the catalog",
                f"remove the session `{source_.key}`, or this entry",
            )
        elif ours[1] and not wanted(target.key):
            problem = (
                f"`{target.key}` is the target of a move, but not in the catalog",
                f"add the session `{target.key}`, or remove this entry",
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
            problem = (f"`{key}` is forgotten, but still in the catalog", "remove one of the two")
        elif key in handed_over or Identity(catalog, environment, key) in moved.values():
            problem = (f"`{key}` is both forgotten and moved", "remove one of the two")
        if problem:
            note(source.at_value(("forgotten", number), *problem))
    return Ownership(moved, handed_over, frozenset(forgotten), frozenset(former_ids))


def _wrong_id(entry: Mapping[str, str], own: str | None) -> tuple[str, str] | None:
    """What is wrong with an entry about the catalog's id, and what to do; None if nothing is."""
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
