"""Where the fields of one composed session come from, so that a problem with one is reported there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.catalog.expand import Expansion
from reconciler.catalog.layers import Layer
from reconciler.catalog.tables import Row
from reconciler.errors import Problem
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source


@dataclass(frozen=True, slots=True)
class Origins:
    """Makes problems with the place of what they are about: the cell of a table, the value of an axis, or the highest
    layer that has the field.

    Paths are those of a manifest that holds the session: ``sessions``, its key, and a path below it. ``source`` and
    ``path`` are the place of its declaration.
    """

    source: Source
    path: NodePath
    expansion: Expansion
    layers: Sequence[Layer]

    @property
    def file(self) -> str:
        """The file of the declaration."""
        return self.source.file

    def at_key(self, path: NodePath, message: str, hint: str = "") -> Problem:
        """A problem with a key of a mapping, at the key."""
        source, above = self._layer(path[2:])
        found = self._expanded(path[2:], message, hint) if above == self.path else None
        return found or source.at_key((*above, *path[2:]), message, hint)

    def at_value(self, path: NodePath, message: str, hint: str = "") -> Problem:
        """A problem with a value, at the value; at its key if the value is empty."""
        source, above = self._layer(path[2:])
        found = self._expanded(path[2:], message, hint) if above == self.path else None
        return found or source.at_value((*above, *path[2:]), message, hint)

    def key(self, message: str) -> Problem:
        """A problem with the session's key."""
        if isinstance(self.expansion.origin, Row):
            hint = "change this cell"
        elif self.expansion.names.get("key"):
            hint = "change this value or the `key` pattern"
        else:
            hint = "change the `key` pattern"
        return self.at_key(self.path, message, hint)

    def missing(self, field: str, message: str) -> Problem:
        """A problem with a field that no layer has: at its empty cell, else at the declaration."""
        row, columns = self.expansion.origin, self.expansion.names.get(field)
        if isinstance(row, Row) and columns:
            hint = "fill its cell in" if row.table.is_csv else f"add `{columns[0]}` to this object"
            return row.problem(columns[0], message, hint)
        return self.source.at_key(self.path, message, "add one here or in a template that it extends")

    def _expanded(self, steps: NodePath, message: str, hint: str) -> Problem | None:
        if not steps:
            return self.expansion.problem("key", message, hint)
        group = str(steps[0])
        found = self.expansion.problem(group, message, hint)
        if found is None and len(steps) > 1:
            found = self.expansion.problem(f"{group}.{steps[1]}", message, hint)
        return found

    def _layer(self, steps: NodePath) -> tuple[Source, NodePath]:
        """The highest layer that has a field, as its source and path; the declaration if none has."""
        if steps:
            for layer in reversed(self.layers):
                if _has(layer.fields, steps[:2]):
                    return layer.source, layer.path
        return self.source, self.path


def _has(fields: Mapping[str, Any], steps: Sequence[str | int]) -> bool:
    value: Any = fields
    for step in steps:
        if not isinstance(value, dict):
            return isinstance(value, list)
        if step not in value:
            return False
        value = value[step]
    return True
