"""A change to a document, and the document after it. Editing the text is up to :mod:`reconciler.strict_yaml.edit`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.strict_yaml.path import NodePath, dotted
from reconciler.text.normalise import normalise_prompt
from reconciler.values import JSON

Kind: TypeAlias = Literal["set", "remove", "append", "rename"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change to a document.

    ``path`` leads to the value that is set or removed, to the list that is appended to, or to the value whose key
    is renamed; ``value`` is the new value, item or key. With ``prompt`` a text is one whose line ends and
    white space at the end do not count.
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
    """A change can't be made. ``at`` is the character to point to."""

    def __init__(self, message: str, hint: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


def changed(document: JSON, change: Change) -> JSON:
    """The document after a change; the given one stays as it is, and what is not changed is shared with it.

    Raises:
        ImpossibleError: the change makes no sense in this document.
    """
    if not change.path:
        raise ImpossibleError("a document as a whole can't be changed in place")
    return changed_within(document, change.path, change)


def changed_within(value: JSON, path: NodePath, change: Change) -> JSON:
    """What is found somewhere in a document after a change, the rest of whose path is ``path`` from there.

    Raises:
        ImpossibleError: the change makes no sense there.
    """
    step, rest = path[0], path[1:]
    if value is None and isinstance(step, str) and change.kind in ("set", "append"):
        value = {}
    if isinstance(value, dict) and isinstance(step, str):
        if not rest:
            return _at_key(value, step, change)
        if step not in value and change.kind in ("remove", "rename"):
            raise ImpossibleError(f"there is no `{change.name}`")
        return {**value, step: changed_within(value.get(step), rest, change)}
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        if rest:
            new = [changed_within(value[step], rest, change)]
        elif change.kind == "append":
            new = [[*listed(value[step], change), change.value]]
        else:
            new = [] if change.kind == "remove" else [change.value]
        return [*value[:step], *new, *value[step + 1 :]]
    if isinstance(value, list | dict):
        raise ImpossibleError(f"there is no `{change.name}`")
    raise ImpossibleError(f"`{change.name}` leads through a value that is not a mapping")


def _at_key(value: dict[str, JSON], key: str, change: Change) -> JSON:
    if change.kind == "set":
        return {**value, key: change.value}
    if change.kind == "append":
        return {**value, key: [*listed(value.get(key), change), change.value]}
    if key not in value:
        raise ImpossibleError(f"there is no `{change.name}`")
    if change.kind == "remove":
        return {one: found for one, found in value.items() if one != key}
    if change.value in value and change.value != key:
        raise ImpossibleError(f"there is already a `{change.value}`", "choose another name")
    return {change.value if one == key else one: found for one, found in value.items()}


def listed(value: JSON, change: Change) -> list[JSON]:
    """A value as the list that is appended to.

    Raises:
        ImpossibleError: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise ImpossibleError(f"`{change.name}` is not a list")
    return value


def normalised(document: JSON, changes: Iterable[Change]) -> JSON:
    """The document with the prompts among the changes as they are compared."""
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
