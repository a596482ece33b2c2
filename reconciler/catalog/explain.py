"""Where a session's fields come from: the layer, the file and the line of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.catalog.layers import Layer
from reconciler.catalog.load import load
from reconciler.catalog.loaded import Loaded
from reconciler.domain import Session
from reconciler.errors import REPORT, Problem, ReconcilerError, UsageError
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.text.nearest import nearest
from reconciler.values import JSON


@dataclass(frozen=True, slots=True)
class Origin:
    """One field: its value, and the layer, file and line that gave it. ``path`` is as in :mod:`reconciler.domain`,
    or ``prompt[0]`` for the first part of a prompt with parts."""

    path: str
    value: JSON
    layer: str
    file: str
    line: int


def explain(
    root: str | Path, key: str, environment: str | None = None, variables: Mapping[str, JSON] | None = None
) -> tuple[Session, list[Origin]]:
    """A session as it is resolved, and where each of its fields comes from.

    Raises:
        CatalogError: the catalog is wrong.
        UsageError: it has no such session.
    """
    loaded = load(root, environment, variables)
    sessions = loaded.catalog.sessions
    session = sessions.get(key)
    if session is None:
        close = nearest(key, sessions)
        raise UsageError(
            f"the catalog has no session {key!r}", f"did you mean {close!r}?" if close else "check the key"
        )
    layers = loaded.layers(key)
    origins = []
    for path, value in session.fields().items():
        origin = _origin(path, value, layers)
        if origin is None:
            problem = f"`{path}` of the session `{key}` comes from no layer, and no reason was found"
            raise ReconcilerError([Problem(problem, REPORT, loaded.files[key])])
        origins.append(origin)
        if path == "prompt":
            origins += _parts(layers, loaded)
    return session, origins


def _origin(path: str, value: JSON, layers: Sequence[Layer]) -> Origin | None:
    group, _, name = path.partition(".")
    for layer in reversed(layers):
        found = layer.fields.get(group)
        if found is None or (name and (not isinstance(found, Mapping) or name not in found)):
            continue
        cell = layer.cells.place(path) if layer.cells else None
        if cell is not None:
            return _in_cell(path, value, layer, cell)
        steps = (group, name) if name else (group,)
        return _at(path, value, layer.label, layer.source, (*layer.path, *steps))
    return None


def _parts(layers: Sequence[Layer], loaded: Loaded) -> list[Origin]:
    """The parts of a prompt, those from fragments with the fragment's place."""
    layer = next(layer for layer in reversed(layers) if "prompt" in layer.fields)
    prompt: Any = layer.fields["prompt"]
    place: NodePath = (*layer.path, "prompt")
    if isinstance(prompt, dict) and "parts" in prompt:
        prompt, place = prompt["parts"], (*place, "parts")
    if not isinstance(prompt, list):
        return []
    cell = layer.cells.place("prompt") if layer.cells else None
    origins = []
    for number, part in enumerate(prompt):
        name = part.get("fragment")
        if name is None and cell is not None:
            origins.append(_in_cell(f"prompt[{number}]", part, layer, cell))
            continue
        label, source, at = layer.label, layer.source, (*place, number)
        if name is not None:
            label, source, at = f"fragment {name}", loaded.fragments[name].source, ("fragments", name)
        origins.append(_at(f"prompt[{number}]", part, label, source, at))
    return origins


def _in_cell(path: str, value: JSON, layer: Layer, cell: Problem) -> Origin:
    assert layer.cells is not None
    column = layer.cells.columns[path.partition("[")[0]]
    return Origin(path, value, f"{layer.label}, column {column}", cell.file, cell.line)


def _at(path: str, value: JSON, layer: str, source: Source, place: NodePath) -> Origin:
    problem = source.at_key(place, "")
    return Origin(path, value, layer, problem.file, problem.line)
