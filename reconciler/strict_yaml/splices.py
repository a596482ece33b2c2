"""Turns a change into splices: which characters of a text to replace, and with what.

A value occupies two slots: characters on the line of its key, and whole lines below. A scalar on one line and a flow
collection fill the first slot, a block mapping or list the second, and a block scalar both. A splice replaces each
slot, whatever it contains before and after. What is between and around the slots stays, such as a comment on the line
of the key.

A value that is not in the text at its place (an alias, or what a merge key adds) is overridden there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from reconciler.strict_yaml.change import Change, ImpossibleError, changed_within
from reconciler.strict_yaml.emit import (
    STEP,
    Prompt,
    Raw,
    Written,
    double_quoted,
    entry_lines,
    flow,
    is_plain,
    item_lines,
    key_text,
    literal,
    mapping_lines,
    scalar,
    single_quoted,
    write,
)
from reconciler.strict_yaml.outline import LINE_END, Entry, Node, Outline
from reconciler.strict_yaml.path import NodePath
from reconciler.values import JSON


class Splice(NamedTuple):
    """Characters to replace, and their replacement."""

    start: int
    end: int
    text: str


class _Reached(NamedTuple):
    """How far a walk along a path came: a node, its value, the nodes above it, and the remaining steps."""

    node: Node
    value: JSON
    above: tuple[Node, ...]
    rest: NodePath


def _walk(root: Node, document: JSON, path: NodePath) -> _Reached:
    """Walk along a path as far as it is in the text."""
    node, value = root, document
    above: list[Node] = []
    for position, step in enumerate(path):
        entry = node.entry(step)
        if entry is None:
            return _Reached(node, value, tuple(above), path[position:])
        above.append(node)
        node, value = entry.value, value[step]
    return _Reached(node, value, tuple(above), ())


def splices(outline: Outline, document: JSON, change: Change) -> list[Splice]:
    """The splices that make a change. ``document`` is that of the text.

    Raises:
        ImpossibleError: the change can't be made there, or makes no sense.
    """
    if change.prompt:
        change = replace(change, value=Prompt(change.value))
    path = change.path[:-1] if change.kind == "remove" else change.path
    reached = _walk(outline.root, document, path)
    editor = _Editor(outline, reached.above)
    if reached.rest or reached.node.kind == "alias":
        return editor.override(reached, change)
    if change.kind == "set":
        return editor.replace(reached.node, change.value)
    if change.kind == "append":
        return editor.append(reached.node, change.value)
    step = change.path[-1]
    entry = reached.node.entry(step)
    if entry is None:
        raise ImpossibleError(
            f"`{change.name}` is not written here: it is merged in with `<<`",
            "change it where it is written, or replace the `<<` with the values",
            reached.node.begin,
        )
    return editor.remove(reached.node, entry)


class _Editor:
    """Edits a text at one place. ``above`` are the nodes that contain the place, outermost first."""

    def __init__(self, outline: Outline, above: Sequence[Node]) -> None:
        self.outline = outline
        self.text = outline.text
        self.above = above

    def override(self, reached: _Reached, change: Change) -> list[Splice]:
        """Change a value that is not in the text at its place: missing, an alias, or added by a merge key."""
        node, rest = reached.node, reached.rest
        if change.kind == "remove":
            rest = (*rest, change.path[-1])
        if node.kind == "mapping":
            whole, key = changed_within(reached.value, rest, change), str(rest[0])
            new = whole[key]
            if node.flow:
                return self._add_to_flow(node, f"{_flow_key(key)} {flow(new)}")
            return self._add_lines(node, entry_lines(key, new, node.column, self._step([*self.above, node])))
        if not rest:  # an alias as a whole
            return self.replace(node, change.value)
        new = changed_within(reached.value, rest, change)
        if node.kind == "alias" and isinstance(new, dict) and change.kind == "set":
            # Keys that are not overridden still come from the alias.
            new = {Raw("<<"): Raw(f"*{node.anchor}"), rest[0]: new[rest[0]]}
        return self.replace(node, new)

    # Replacing

    def replace(self, node: Node, value: JSON) -> list[Splice]:
        """Replace a node by a value."""
        if not self.above:
            raise ImpossibleError("a document as a whole can't be changed in place")
        holder = self.above[-1]
        if holder.flow:
            return [self._in_flow(node, _one_line(value, node, in_flow=True))]
        written = self._written(node, holder, value)
        first, second = self._slots(node)
        if written.head and written.lines:
            # A block has to start on the next line, before any comments that precede the old value.
            second = (self.outline.next_line(first[1]), second[1])
        head, body = self._head(first, written.head), self._body(second, written, value)
        if head.end == body.start:  # at the end of the text
            return [Splice(head.start, body.end, head.text + body.text)]
        return [head, body]

    def _in_flow(self, node: Node, new: str) -> Splice:
        if not node.is_empty:
            return Splice(node.start, node.end, new)
        at = node.intro
        introduced = node.anchor or self.text[at - 1] == ":"
        return Splice(at, at, f" {new}" if introduced else f": {new}")

    def _written(self, node: Node, holder: Node, value: JSON) -> Written:
        step = self._step(self.above)
        if isinstance(value, str) and not isinstance(value, Raw):
            if self._wants_block(node, value):
                # The indentation indicator goes up to 9, so a deeper indentation may not be possible.
                kept = node.column - holder.column if node.is_block_scalar else step
                for indent in (kept, step):
                    block = literal(value, holder.column, indent, prompt=isinstance(value, Prompt))
                    if block:
                        return block
            return Written(_one_line(value, node, in_flow=False))
        if isinstance(value, dict | list) and value and node.kind in ("mapping", "list"):
            if node.flow:
                return Written(flow(value))
            if isinstance(value, dict):
                # A list may be at the column of its key; a mapping may not.
                column = node.column if node.column > holder.column else holder.column + step
                return Written("", tuple(mapping_lines(value, column, step)))
            return Written("", tuple(line for item in value for line in item_lines(item, node.column, step)))
        if isinstance(value, dict | list):
            used = node.intro - self.outline.line_start(node.intro)
            return write(value, holder.column, step, used=used)
        return Written(_one_line(value, node, in_flow=False))

    def _wants_block(self, node: Node, text: str) -> bool:
        """Whether a string becomes a block: blocks stay blocks, and quoted strings other than prompts stay quoted."""
        if node.is_block_scalar:
            return True
        if isinstance(text, Prompt):
            return "\n" in text or not (node.style or is_plain(text, flow=False))
        return "\n" in text and not node.style

    def _slots(self, node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
        """The two slots of a value: its characters on the line of the key, and its whole lines below."""
        outline = self.outline
        if node.is_block_scalar:
            below = outline.next_line(node.start)
            return (node.start, self._header(node)), (below, max(below, outline.next_line(node.end)))
        if node.kind in ("mapping", "list") and not node.flow:
            first = outline.line_start(node.entries[0].begin)
            if first >= node.intro:
                return (node.intro, node.intro), (first, outline.next_line(node.end))
            below = outline.next_line(node.end)
            return (node.entries[0].begin, node.end), (below, below)
        start, end = (node.intro, node.intro) if node.is_empty else (node.start, node.end)
        below = outline.next_line(end)
        return (start, end), (below, below)

    def _header(self, node: Node) -> int:
        """The end of a block scalar's header."""
        end = node.start + 1
        while self.text[end : end + 1] in tuple("+-123456789"):
            end += 1
        return end

    def _head(self, slot: tuple[int, int], head: str) -> Splice:
        start, end = slot
        if head:
            apart = start == 0 or self.text[start - 1] in " \t\r\n"
            return Splice(start, end, head if apart else f" {head}")
        while start and self.text[start - 1] in " \t":
            start -= 1
        return Splice(start, end, "")

    def _body(self, slot: tuple[int, int], written: Written, value: JSON) -> Splice:
        start, end = slot
        if not written.lines:
            return Splice(start, end, "")
        text, line_break = self.text, self.outline.line_break
        new = line_break.join(written.lines)
        at_end = end == len(text) and not text.endswith(("\n", "\r"))
        if at_end and start == end:
            new = line_break + new
        # A block whose string ends in a line break needs one in the text; a mapping or list may contain such a block.
        if not at_end or not (isinstance(value, Prompt) or written.head.endswith("-")):
            new += line_break
        return Splice(start, end, new)

    # Adding

    def append(self, node: Node, item: JSON) -> list[Splice]:
        """Add an item after the last one of a list."""
        if node.flow:
            return self._add_to_flow(node, flow(item))
        return self._add_lines(node, item_lines(item, node.column, self._step(self.above)))

    def _add_to_flow(self, node: Node, new: str) -> list[Splice]:
        at = node.entries[-1].end if node.entries else node.start + 1
        return [Splice(at, at, f", {new}" if node.entries else new)]

    def _add_lines(self, node: Node, lines: Sequence[str]) -> list[Splice]:
        at = self.outline.next_line(node.end)
        if not self.above and self._spaced(node):
            lines = ["", *lines]
        new = "".join(line + self.outline.line_break for line in lines)
        if at == len(self.text) and not self.text.endswith(("\n", "\r")):
            return [*self._ended(node), Splice(at, at, self.outline.line_break + new)]
        return [Splice(at, at, new)]

    def _ended(self, node: Node) -> list[Splice]:
        """The splices that preserve a block at the end of the text when its last line gets a line break."""
        last = _last(node)
        if not last.is_block_scalar or not last.text:
            return []
        header = self._header(last)
        style = self.text[last.start : header].replace("+", "").replace("-", "")
        return [Splice(last.start, header, style + "-")]

    def _spaced(self, node: Node) -> bool:
        """Whether the last two entries have a blank line between them."""
        if len(node.entries) < 2 or self._keeps(node):
            return False
        between = self.text[node.entries[-2].end : node.entries[-1].begin]
        return any(not line.strip() for line in LINE_END.split(between)[1:-1])

    def _keeps(self, node: Node) -> bool:
        """Whether a node ends in a block that includes the blank lines below it."""
        last = _last(node)
        return last.is_block_scalar and "+" in self.text[last.start : self._header(last)]

    def _step(self, nodes: Sequence[Node]) -> int:
        """The indentation used at this place: that of the children of the innermost node that has some."""
        for node in reversed(nodes):
            if node.flow:
                continue
            for entry in node.entries:
                step = entry.value.column - node.column
                if not entry.value.flow and entry.value.column and 1 <= step <= 9:
                    return step
        return STEP

    # Removing

    def remove(self, node: Node, entry: Entry) -> list[Splice]:
        """Remove an entry of a mapping or list."""
        position = node.entries.index(entry)
        following = node.entries[position + 1] if position + 1 < len(node.entries) else None
        if len(node.entries) == 1:
            return self.replace(node, {} if node.kind == "mapping" else [])
        if node.flow:
            if following and not position:
                return [Splice(entry.begin, following.begin, "")]
            before = node.entries[position - 1]
            return [Splice(before.end, entry.end, "")]
        start = self.outline.line_start(entry.begin)
        if self.text[start : entry.begin].strip(" "):
            # It shares its line with the `-` of a list; the next entry takes its place.
            assert following is not None
            return [Splice(entry.begin, following.begin, "")]
        end = self.outline.next_line(entry.end)
        if position and self._keeps(node.entries[position - 1].value):
            # The blank lines below it would become part of the block above.
            while (
                self.outline.line_end(end) < len(self.text)
                and not self.text[end : self.outline.line_end(end)].strip()
            ):
                end = self.outline.next_line(end)
        return [Splice(start, end, "")]


def _last(node: Node) -> Node:
    """The last node in a node."""
    while node.entries:
        node = node.entries[-1].value
    return node


def _one_line(value: JSON, node: Node, *, in_flow: bool) -> str:
    """A value on one line; a string in the style of the node that it replaces."""
    if isinstance(value, dict | list):
        return flow(value)
    if isinstance(value, str) and not isinstance(value, Raw):
        if node.style == '"':
            return double_quoted(value)
        if node.style == "'":
            return single_quoted(value) or double_quoted(value)
    return scalar(value, flow=in_flow)


def _flow_key(key: str) -> str:
    return key_text(key).replace("\n", " ")
