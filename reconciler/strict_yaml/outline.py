"""The exact place of every key and value in a text, so that the text can be edited in place.

An outline is built from libyaml's events. It keeps what the document does not: which values are aliases, and where each
value begins and ends. Places are indexes of characters. The text must have no byte order mark, and the strict parser
must have found no faults in it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from yaml import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, StreamEndEvent
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # missing from the stubs

from reconciler.strict_yaml.path import NodePath, Step

LINE_END = re.compile(r"\r\n|\r|\n")
#: What may separate two tokens: white space, line breaks and comments.
_SPACE = re.compile(r"(?:[ \t\r\n]|(?<![^ \t\r\n])#[^\r\n]*)*")
_ANCHOR = re.compile(r"&[^ \t\r\n,\[\]{}]+")
_KEEP = re.compile(r"[|>][1-9]?\+")


@dataclass(slots=True, eq=False)
class Node:
    """A value and its place.

    Attributes:
        begin: where the value begins, including its anchor.
        start: where it begins after its anchor.
        end: where it ends. A block scalar ends with its last line, without blank lines that are not part of it.
        intro: the end of what introduces it: of the ``:`` or ``-`` before it, or of its anchor.
        column: that of the keys or dashes of a block collection, or of the lines of a block scalar.
    """

    kind: Literal["scalar", "mapping", "list", "alias"]
    begin: int
    start: int
    end: int
    style: str = ""  # of a scalar: empty if it is plain, else the character that it begins with
    flow: bool = False  # whether it is in flow style (braces or brackets), or within a value that is
    text: str = ""  # of a scalar
    anchor: str = ""  # its anchor, or that of the alias
    column: int = 0
    intro: int = 0
    entries: list[Entry] = field(default_factory=list)
    #: The entries of a mapping by key, without those that a merge key adds.
    own: dict[str, Entry] = field(default_factory=dict)

    @property
    def is_block_scalar(self) -> bool:
        return self.style in ("|", ">")

    @property
    def is_empty(self) -> bool:
        """Whether the value has no characters, which means null."""
        return self.kind == "scalar" and not self.style and self.start == self.end

    def entry(self, step: Step) -> Entry | None:
        """The entry that a step of a path leads to; ``None`` if it is not in this node."""
        if isinstance(step, str):
            return self.own.get(step)
        return self.entries[step] if self.kind == "list" and 0 <= step < len(self.entries) else None

    def all(self) -> Iterator[Node]:
        """This node and all nodes in it, in the order of the text."""
        yield self
        for entry in self.entries:
            if entry.key:
                yield entry.key
            yield from entry.value.all()


@dataclass(slots=True, eq=False)
class Entry:
    """A pair of a mapping, or an item of a list, which has no key. ``begin`` includes its ``?`` or ``-``, if any."""

    begin: int
    value: Node
    key: Node | None = None

    @property
    def end(self) -> int:
        return max(self.value.end, self.key.end if self.key else 0)


class Outline:
    """The outline of a text. ``root`` is the node of the document."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(end.end() for end in LINE_END.finditer(text))]
        self._next = CParser(text.encode()).get_event
        self._anchored: dict[str, Node] = {}
        self._next()  # the start of the stream
        start = self._next()
        nothing = isinstance(start, StreamEndEvent)
        self.root = Node("scalar", 0, 0, 0) if nothing else self._node(self._next(), flow=False)

    def entries(self, path: NodePath) -> list[Entry]:
        """The entries along a path, as far as they are in the text."""
        node = self.root
        found: list[Entry] = []
        for step in path:
            entry = node.entry(step)
            if entry is None:
                break
            found.append(entry)
            node = entry.value
        return found

    def node(self, path: NodePath) -> Node | None:
        """The node that a path leads to; ``None`` if it is not in the text."""
        entries = self.entries(path)
        if len(entries) < len(path):
            return None
        return entries[-1].value if entries else self.root

    def aliases(self, anchor: str) -> list[Node]:
        """The aliases of an anchor, in the order of the text."""
        return [node for node in self.root.all() if node.kind == "alias" and node.anchor == anchor]

    def line_start(self, index: int) -> int:
        """Where the line of a character begins."""
        return self._starts[bisect_right(self._starts, index) - 1]

    def line_end(self, index: int) -> int:
        """Where the line of a character ends, before its line break."""
        found = LINE_END.search(self.text, index)
        return found.start() if found else len(self.text)

    def next_line(self, index: int) -> int:
        """Where the next line after that of a character begins; the end of the text if there is none."""
        after = bisect_right(self._starts, index)
        return self._starts[after] if after < len(self._starts) else len(self.text)

    @property
    def line_break(self) -> str:
        """The line break of the text: the one after its first line."""
        found = LINE_END.search(self.text)
        return found.group() if found else "\n"

    def _node(self, event: Any, *, flow: bool) -> Node:
        begin, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, AliasEvent):
            return Node("alias", begin, begin, end, flow=flow, anchor=event.anchor or "")
        node = Node("scalar", begin, begin, end, flow=flow, anchor=event.anchor or "")
        if event.anchor:
            named = _ANCHOR.match(self.text, begin)
            assert named is not None
            node.intro = node.start = named.end()
            self._anchored[event.anchor] = node
        if isinstance(event, ScalarEvent):
            node.style, node.text = event.style or "", event.value
            if not node.style and not node.text:
                node.end = node.start
                return node
            node.start = self._skip(node.start)
            if node.is_block_scalar:
                self._measure(node)
            return node
        node.start = self._skip(node.start)
        node.flow = flow or bool(event.flow_style)
        if isinstance(event, MappingStartEvent):
            node.kind = "mapping"
            close = self._pairs(node)
        else:
            node.kind = "list"
            close = self._items(node)
        if node.flow:
            node.end = close.end_mark.index
        else:
            first = node.entries[0].begin
            node.column = first - self.line_start(first)
            node.end = node.entries[-1].end
        return node

    def _skip(self, index: int) -> int:
        """The first character from here on that is not white space or part of a comment."""
        space = _SPACE.match(self.text, index)
        assert space is not None
        return space.end()

    def _pairs(self, node: Node) -> Any:
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._node(event, flow=True)
            before = key.begin
            while before and self.text[before - 1] in " \t":
                before -= 1
            begin = before - 1 if self.text.startswith("?", before - 1) and before else key.begin
            value = self._node(self._next(), flow=node.flow)
            colon = self._skip(key.end)
            value.intro = value.intro or (colon + 1 if self.text.startswith(":", colon) else key.end)
            entry = Entry(begin, value, key)
            node.entries.append(entry)
            if key.style or key.text != "<<":
                named = self._anchored[key.anchor] if key.kind == "alias" else key
                node.own[named.text] = entry
        return event

    def _items(self, node: Node) -> Any:
        last = node.start
        while not isinstance(event := self._next(), SequenceEndEvent):
            value = self._node(event, flow=node.flow)
            begin = value.begin if node.flow else self._skip(last)
            value.intro = value.intro or (begin if node.flow else begin + 1)
            node.entries.append(Entry(begin, value))
            last = value.end
        return event

    def _measure(self, node: Node) -> None:
        """Find the column of a block scalar's lines, and where the last of them ends.

        libyaml reports where the next token begins.
        """
        content = self.next_line(node.start)
        lines = LINE_END.split(self.text[content : node.end])
        ends = [found.start() for found in LINE_END.finditer(self.text, content, node.end)]
        if lines and not lines[-1]:
            lines.pop()
        else:
            ends.append(node.end)
        seen = next((line for line in lines if line.strip(" ")), "")
        said = next((line for line in node.text.split("\n") if line.strip(" ")), "")
        # Indentation beyond that of the block is part of the string.
        node.column = _indent(seen) - _indent(said)
        if not _KEEP.match(self.text, node.start):
            while lines and not lines[-1].strip(" ") and (not said or len(lines[-1]) <= node.column):
                lines.pop()
        node.end = ends[len(lines) - 1] if lines else self.line_end(node.start)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
