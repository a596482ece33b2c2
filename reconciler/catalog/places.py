"""Where in a text a problem stands. Nothing here runs unless there is one."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import TypeAlias

import yaml

from reconciler.catalog.strict_yaml import MERGE, compose
from reconciler.errors import Problem

#: The way to a value in a document: keys and positions in lists.
Path: TypeAlias = tuple[str | int, ...]


class Source:
    """One file's text, and problems with a place in it. ``file`` is relative to the catalog's root."""

    def __init__(self, file: str, data: bytes) -> None:
        self.file = file
        self._data = data

    @cached_property
    def text(self) -> str:
        return self._data.decode("utf-8-sig")

    @cached_property
    def _starts(self) -> list[int]:
        # Lines as editors count them; libyaml's own count would also take the separators of Unicode.
        return [0, *(end.end() for end in _LINE_END.finditer(self.text))]

    def at(self, index: int, message: str, hint: str = "") -> Problem:
        """A problem at a character of the text."""
        text = self.text
        line = bisect_right(self._starts, index)
        start = self._starts[line - 1]
        end = _LINE_END.search(text, start)
        source = text[start : end.start() if end else len(text)]
        return Problem(message, hint, self.file, line, min(index - start, len(source)) + 1, source)

    @cached_property
    def _root(self) -> yaml.Node | None:
        return compose(self._data)

    def at_key(self, path: Path, message: str, hint: str = "") -> Problem:
        """A problem with a key of a mapping: the place is the key's."""
        return self._at(path, False, message, hint)

    def at_value(self, path: Path, message: str, hint: str = "") -> Problem:
        """A problem with a value. Of an empty one, the place is its key's, since it has none of its own."""
        return self._at(path, True, message, hint)

    def _at(self, path: Path, value_wanted: bool, message: str, hint: str) -> Problem:
        key, value = _find(self._root, path)
        node = value if (value_wanted and not _is_empty(value)) or key is None else key
        return self.at(node.start_mark.index if node else 0, message, hint)


_LINE_END = re.compile(r"\r\n|\r|\n")


def _is_empty(node: yaml.Node | None) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style == "" and node.value == ""


def _find(root: yaml.Node | None, path: Path) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The key and the value at a path; of what is not there, the nearest thing above it that is."""
    key: yaml.Node | None = None
    node = root
    for step in path:
        found = _step(node, step)
        if found is None:
            break
        key, node = found
    return key, node


def _step(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return None, node.value[step]
    if not isinstance(node, yaml.MappingNode):
        return None
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if key.tag is MERGE:
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
        elif key.value == step:
            return key, value
    return next((found for one in merged if (found := _step(one, step))), None)
