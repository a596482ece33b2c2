"""Finds the line and column of a problem. Nothing here runs unless there is a problem."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Protocol

import yaml
from yaml import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # missing from the stubs

from reconciler.errors import Problem
from reconciler.strict_yaml.faults import MAX_DEPTH
from reconciler.strict_yaml.path import NodePath

#: How many values of a text get a place of their own. Later ones get the place of the value that contains them.
MAX_POSITIONS: Final = 1_000_000

_LINE_END = re.compile(r"\r\n|\r|\n")


class Places(Protocol):
    """Makes problems with the place of the value at a path. ``file`` is the file that declares them."""

    @property
    def file(self) -> str: ...

    def at_key(self, path: NodePath, message: str, hint: str = "") -> Problem: ...

    def at_value(self, path: NodePath, message: str, hint: str = "") -> Problem: ...


class Source:
    """The text of one file; makes problems with their place in it. ``file`` is relative to the catalog's root."""

    def __init__(self, file: str, data: bytes, text: str) -> None:
        self.file = file
        self._data = data
        self._text = text
        self._line = (-1, "")

    def at(self, index: int, message: str, hint: str = "") -> Problem:
        """A problem at the character with this index."""
        number = self.line(index)
        start = self._starts[number - 1]
        if self._line[0] != start:  # all problems of a line share one string, since lines may be long
            end = _LINE_END.search(self._text, start)
            self._line = start, self._text[start : end.start() if end else None]
        source = self._line[1]
        return Problem(message, hint, self.file, number, min(index - start, len(source)) + 1, source)

    def line(self, index: int) -> int:
        """The number of a character's line, from 1."""
        return bisect_right(self._starts, index)

    def at_key(self, path: NodePath, message: str, hint: str = "") -> Problem:
        """A problem with a key of a mapping, at the key."""
        key, _ = self._find(path)
        return self.at(key, message, hint)

    def at_value(self, path: NodePath, message: str, hint: str = "") -> Problem:
        """A problem with a value, at the value; at its key if the value is empty."""
        key, position = self._find(path)
        return self.at(key if position.empty else position.at, message, hint)

    def first(self, index: int) -> int | None:
        """The line of the first occurrence of the duplicate key at this character."""
        first = self._positions.first.get(index)
        return None if first is None else self.line(first)

    @cached_property
    def _starts(self) -> list[int]:
        # Lines as editors count them. libyaml would count the Unicode line separators too.
        return [0, *(end.end() for end in _LINE_END.finditer(self._text))]

    @cached_property
    def _positions(self) -> _Positions:
        return _Positions(self._data)

    def _find(self, path: NodePath) -> tuple[int, _Position]:
        """The places of a key (or of the value, if there is no key) and of its value.

        If nothing is at the path, the places are those of the nearest existing value above it.
        """
        position = self._positions.root
        at = position.at
        for step in path:
            found = position.children.get(step)
            if found is None:
                break
            at, position = found
        return at, position


class _Position:
    """The place of a value and of its children."""

    __slots__ = ("at", "children", "empty", "is_list")

    def __init__(self, at: int) -> None:
        self.at = at
        self.empty = False
        self.is_list = False
        #: By key or index: the place of the key (in a list, of the item), and the value.
        self.children: Mapping[str | int, tuple[int, _Position]] = _NOTHING


_NOTHING: Final[Mapping[str | int, Any]] = {}


class _Positions:
    """The places of everything in a text, as far as it can be parsed."""

    def __init__(self, data: bytes) -> None:
        self.root = _Position(0)
        #: For each duplicate key, the place of its first occurrence.
        self.first: dict[int, int] = {}
        self._next: Callable[[], Any] = CParser(data).get_event
        self._anchors: dict[str | None, _Position] = {}
        self._number = 0
        try:
            self._next()  # the start of the stream
            if self._next().__class__ is DocumentStartEvent:
                event: Any = self._next()
                self.root = _Position(event.start_mark.index)
                self._fill(self.root, event, 0)
        except (yaml.YAMLError, _StoppedError):
            pass  # keep what was found before the error

    def _fill(self, position: _Position, event: Any, depth: int) -> None:
        """Find the places of the children of the value that starts with this event."""
        self._count(1)
        if event.__class__ is AliasEvent:
            target = self._anchors.get(event.anchor)
            if target is not None:
                position.children, position.is_list = target.children, target.is_list
            return
        if event.anchor is not None:
            self._anchors[event.anchor] = position
        if event.__class__ is ScalarEvent:
            position.empty = not event.value and not event.style
        elif depth == MAX_DEPTH:
            raise _StoppedError
        elif event.__class__ is MappingStartEvent:
            self._fill_mapping(position, depth + 1)
        else:
            position.is_list = True
            items: dict[str | int, tuple[int, _Position]] = {}
            position.children = items
            while (event := self._next()).__class__ is not SequenceEndEvent:
                child = _Position(event.start_mark.index)
                items[len(items)] = child.at, child
                self._fill(child, event, depth + 1)

    def _fill_mapping(self, position: _Position, depth: int) -> None:
        own: dict[str | int, tuple[int, _Position]] = {}
        position.children = own
        merged: list[_Position] = []
        while (event := self._next()).__class__ is not MappingEndEvent:
            key = event.value if event.__class__ is ScalarEvent else None
            at = event.start_mark.index
            self._fill(_Position(at), event, depth)
            if key in own:
                self.first[at] = own[key][0]
            event_of_value = self._next()
            value = _Position(event_of_value.start_mark.index)
            if key is not None:
                own[key] = at, value
            self._fill(value, event_of_value, depth)
            if key == "<<" and not event.style:
                merged = [child for _, child in value.children.values()] if value.is_list else [value]
        for one in merged:
            self._count(len(own) + len(one.children))
            position.children = own = {**one.children, **own}

    def _count(self, number: int) -> None:
        self._number += number
        if self._number > MAX_POSITIONS:
            raise _StoppedError


class _StoppedError(Exception):
    """The strict parser stopped here too, or there are too many values."""
