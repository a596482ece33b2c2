"""The path to a node of a document."""

from __future__ import annotations

from typing import TypeAlias

#: One step of a path: the key of a mapping, or the index in a list.
Step: TypeAlias = str | int
#: The steps from the document to a node; empty for the document itself.
NodePath: TypeAlias = tuple[Step, ...]


def dotted(path: NodePath) -> str:
    """A path as shown to people: ``sessions.alice.parameters``."""
    return ".".join(map(str, path))
