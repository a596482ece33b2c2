"""Which fragment and which template reaches which sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.catalog.load import load
from reconciler.values import JSON


@dataclass(frozen=True, slots=True)
class Graph:
    """The keys of the sessions that each fragment and each template reaches, sorted; those that reach none included."""

    fragments: Mapping[str, tuple[str, ...]]
    templates: Mapping[str, tuple[str, ...]]


def graph(
    root: str | Path, environment: str | None = None, variables: Mapping[str, JSON] | None = None
) -> Graph:
    """What reaches what in a catalog.

    Raises:
        CatalogError: the catalog is wrong.
    """
    loaded = load(root, environment, variables)
    templates: dict[str, set[str]] = {name: set() for name in loaded.templates}
    for key, layers in loaded.composed.items():
        for layer in layers:
            if layer.path[0] == "templates":
                templates[str(layer.path[1])].add(key)
    return Graph(
        {name: use.keys for name, use in sorted(loaded.fragments.items())},
        {name: tuple(sorted(keys)) for name, keys in sorted(templates.items())},
    )
