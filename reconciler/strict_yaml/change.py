"""A change to a document, and the document after it. Editing the text is up to :mod:`reconciler.strict_yaml.edit`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.strict_yaml.path import NodePath, dotted
from reconciler.text.normalise import normalise_prompt
from reconciler.values import JSON

Kind: TypeAlias = Literal["set", "remove", "append"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change to a document.

    ``path`` leads to the value to set or to remove, or to the list to append to; ``value`` is the new value or item.
    If ``prompt`` is set, ``value`` is a prompt: its line endings and its trailing white space do not count.

    Only :mod:`reconciler.strict_yaml.edit` appends, to a list with items in the text, as a part of setting the list.
    """

    kind: Kind
    path: NodePath
    value: JSON = None
    prompt: bool = False

    @property
    def name(self) -> str:
        """The path, for people."""
        return dotted(self.path)


class ImpossibleError(Exception):
    """A change that can't be made. ``at`` is the index of the character to point to."""

    def __init__(self, message: str, hint: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


def changed(document: JSON, change: Change) -> JSON:
    """The document after setting or removing a value.

    The given document is not modified. The result shares with it whatever is the same.

    Raises:
        ImpossibleError: the change makes no sense in this document.
    """
    if not change.path:
        raise ImpossibleError("a document as a whole can't be changed in place")
    return changed_within(document, change.path, change)


def changed_within(value: JSON, path: NodePath, change: Change) -> JSON:
    """A value inside a document after a change. ``path`` is the part of the change's path that begins at the value.

    Raises:
        ImpossibleError: the change makes no sense there.
    """
    step, rest = path[0], path[1:]
    if value is None and isinstance(step, str) and change.kind == "set":
        value = {}
    if isinstance(value, dict) and isinstance(step, str):
        if not rest:
            return _at_key(value, step, change)
        if step not in value and change.kind == "remove":
            raise ImpossibleError(f"there is no `{change.name}`")
        return {**value, step: changed_within(value.get(step), rest, change)}
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        if rest:
            return [*value[:step], changed_within(value[step], rest, change), *value[step + 1 :]]
        new = [] if change.kind == "remove" else [change.value]
        return [*value[:step], *new, *value[step + 1 :]]
    if isinstance(value, list | dict):
        raise ImpossibleError(f"there is no `{change.name}`")
    raise ImpossibleError(f"`{change.name}` leads through a value that is not a mapping")


def _at_key(value: dict[str, JSON], key: str, change: Change) -> JSON:
    if change.kind == "set":
        return {**value, key: change.value}
    if key not in value:
        raise ImpossibleError(f"there is no `{change.name}`")
    return {one: found for one, found in value.items() if one != key}


def normalised(document: JSON, changes: Iterable[Change]) -> JSON:
    """The document, with those prompts normalised that the changes set."""
    for change in changes:
        value = document
        for step in change.path if change.prompt else ():
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
        if change.prompt and isinstance(value, str):
            document = changed(document, Change("set", change.path, normalise_prompt(value)))
    return document
