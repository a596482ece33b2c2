"""A catalog that was loaded, with what explain, graph, lint, accept and fmt want to know about its making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.catalog.documents import mapping, read_text
from reconciler.catalog.environments import Environment
from reconciler.catalog.files import Root
from reconciler.catalog.layers import Layer
from reconciler.domain import Catalog
from reconciler.errors import CatalogError, Problem
from reconciler.strict_yaml.places import Source
from reconciler.strict_yaml.read import parse


@dataclass(frozen=True, slots=True)
class FragmentUse:
    """Where a fragment is declared, and the keys of the sessions that use it, sorted."""

    source: Source
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A catalog and its origins.

    ``environment`` is the chosen one, and ``has_environments`` says whether catalog.yaml declares any. ``manifests``
    are the files read beside catalog.yaml, sorted. ``defaults`` are the layers below every session. ``files`` maps each
    session's key to the file that declares it; ``composed`` maps the key of each composed session (one with
    templates, patches, parts, a matrix or a table) to its layers, lowest first. ``suspect`` says that a file may hold a
    slip that only :mod:`reconciler.lint` can tell from what is meant.
    """

    catalog: Catalog
    root: Root
    environment: Environment
    has_environments: bool
    manifests: tuple[str, ...]
    defaults: Sequence[Layer]
    files: Mapping[str, str]
    composed: Mapping[str, Sequence[Layer]]
    templates: tuple[str, ...]
    fragments: Mapping[str, FragmentUse]
    suspect: bool = False

    def layers(self, key: str) -> Sequence[Layer]:
        """What a session is made of, lowest layer first. For a plain session, its file is read again: plain sessions
        are most of a large catalog, and nobody asks for the layers of all of them.

        Raises:
            CatalogError: the file was changed or removed in the meantime.
        """
        composed = self.composed.get(key)
        if composed is not None:
            return composed
        file = self.files[key]
        data, text = read_text(self.root, file)
        fields: Any = mapping(mapping(parse(data, text).document).get("sessions")).get(key)
        if not isinstance(fields, dict):
            raise CatalogError(
                Problem(f"the session `{key}` has gone from this file since it was read", "try again", file)
            )
        return [
            *self.defaults,
            Layer(f"session {key}", fields, Source(file, data, text), ("sessions", key)),
        ]
