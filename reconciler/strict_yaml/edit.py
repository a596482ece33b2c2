"""Edits YAML in place: only the characters of the changed values change.

The outline of the text (:mod:`reconciler.strict_yaml.outline`) says where a value is, and its characters are replaced
(:mod:`reconciler.strict_yaml.splices`). The document is not dumped again. So comments, order, quoting, indentation,
anchors, line endings and a byte order mark are preserved. The new value is written in the style of the old one (plain,
quoted, block, braces) if that style can express it.

Shared values are safe: what comes from an alias or a merge key is overridden where it is used, and not changed where it
is defined. Every edit is checked: the strict parser reads the edited text, and the result must be the previous document
with exactly the wanted change. Otherwise nothing is edited, and an error names the place.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Any, Final

from reconciler.errors import CatalogError, Problem, ReconcilerError
from reconciler.strict_yaml.change import Change, ImpossibleError, changed, normalised
from reconciler.strict_yaml.emit import obstacle
from reconciler.strict_yaml.outline import LINE_END, Node, Outline
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.read import parse
from reconciler.strict_yaml.splices import Splice, splices
from reconciler.values import JSON, same

_MARK: Final = "\ufeff"
_HALF: Final = re.compile("[\ud800-\udfff]")


def set_value(text: str, path: NodePath, value: JSON, *, prompt: bool = False, file: str = "") -> str:
    """The text with this value at this path. Missing mappings are added.

    If the value is a mapping or a list, only its differences are edited.

    Args:
        path: keys, and indexes of list items.
        prompt: whether the value is a prompt, whose line endings and trailing white space do not count.
        file: the name of the text in errors.

    Raises:
        CatalogError: the strict parser finds faults in the text.
        ReconcilerError: the path leads through a value that is not a mapping, the value can't be written in YAML,
            or it can't be set without changing something else.
    """
    return edit(text, [Change("set", path, value, prompt)], file=file)


def edit(text: str, changes: Sequence[Change], *, file: str = "") -> str:
    """The text with all of these changes, applied in this order.

    Raises:
        CatalogError: the strict parser finds faults in the text.
        ReconcilerError: one of the changes can't be made. The error names the change and its place.
    """
    body = text.removeprefix(_MARK)
    mark = text[: len(text) - len(body)]
    editor = _Editor(body, file)
    together = editor.together(changes) if len(changes) > 1 else None
    if together is not None:
        return mark + together
    for change in changes:
        editor = _Editor(editor.one(change), file)
    return mark + editor.text


class _Editor:
    """A text to edit, with its document and its outline."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        half = _HALF.search(text)
        if half:
            raise CatalogError(
                self._problem(half.start(), "this is a lone surrogate, half of a character", "remove it")
            )
        parsed = _parse(text)
        if parsed.faults:
            raise CatalogError(
                [self._problem(fault[0], fault.message, fault.hint) for fault in parsed.faults]
            )
        self.document = parsed.document
        self.outline = Outline(text)

    def one(self, change: Change) -> str:
        """The text with one change.

        Raises:
            ReconcilerError: the change can't be made.
        """
        found = obstacle(change.value) or obstacle(list(change.path))
        if found:
            raise ReconcilerError(
                Problem(f"`{change.name}` can't be written in YAML: it holds {found}", "", self.file)
            )
        reason = None
        try:
            wanted = changed(self.document, change)
        except ImpossibleError as error:
            error.at = error.at or _nodes_along(self.outline, change.path)[-1].begin
            raise self._error(error) from None
        # Try to edit only what differs within the value, then to replace the value as a whole.
        for steps in (_parts(self.outline, self.document, change), [change]):
            try:
                edited = self._after(steps)
            except ImpossibleError as error:
                reason = error
                continue
            if edited is not None and _says(edited, wanted, [change]):
                return edited
        raise self._error(reason or _shared(self.outline, change))

    def together(self, changes: Sequence[Change]) -> str | None:
        """The text with all changes, or ``None`` if they have to be tried one by one."""
        if any(obstacle(change.value) or obstacle(list(change.path)) for change in changes):
            return None
        wanted = self.document
        steps: list[Change] = []
        try:
            for change in changes:
                steps += _parts(self.outline, self.document, change)
                wanted = changed(wanted, change)
            edited = self._after(steps)
        except ImpossibleError:
            return None
        return edited if edited is not None and _says(edited, wanted, changes) else None

    def _after(self, changes: Sequence[Change]) -> str | None:
        """The text after all changes, or ``None`` if an intermediate text would not be valid YAML.

        Changes that do not touch each other are made at once, the others one after the other.
        """
        text, document, outline = self.text, self.document, self.outline
        pending = list(changes)
        while pending:
            made: list[Splice] = []
            later: list[Change] = []
            for change in pending:
                if later and change.kind == "remove":
                    later.append(change)  # the index of an item depends on the changes before it
                    continue
                found = [
                    one for one in splices(outline, document, change) if text[one.start : one.end] != one.text
                ]
                if any(_touches(one, made) for one in found):
                    later.append(change)
                else:
                    for one in found:
                        insort(made, one)
            text = _spliced(text, made)
            pending = later
            if pending:
                parsed = _parse(text)
                if parsed.faults:
                    return None
                document, outline = parsed.document, Outline(text)
        return text

    def _error(self, error: ImpossibleError) -> ReconcilerError:
        return ReconcilerError(self._problem(error.at, error.message, error.hint))

    def _problem(self, index: int, message: str, hint: str) -> Problem:
        starts = [0, *(end.end() for end in LINE_END.finditer(self.text))]
        line = bisect_right(starts, index)
        start = starts[line - 1]
        source = LINE_END.split(self.text[start:], maxsplit=1)[0]
        return Problem(message, hint, self.file, line, min(index - start, len(source)) + 1, source)


def _spliced(text: str, made: Iterable[Splice]) -> str:
    """The text with these splices, which must be sorted."""
    pieces, at = [], 0
    for start, end, new in made:
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _parse(text: str) -> Any:
    return parse(text.encode(), text)


def _says(text: str, wanted: JSON, changes: Iterable[Change]) -> bool:
    """Whether the text is valid and means exactly this document."""
    parsed = _parse(text)
    return not parsed.faults and same(normalised(parsed.document, changes), normalised(wanted, changes))


def _touches(one: Splice, made: list[Splice]) -> bool:
    """Whether a splice overlaps or adjoins one of these, which must be sorted."""
    at = bisect_right(made, one)
    return (at > 0 and made[at - 1].end >= one.start) or (at < len(made) and made[at].start <= one.end)


def _parts(outline: Outline, document: JSON, change: Change) -> list[Change]:
    """The smallest changes that set a mapping or a list. Any other change is returned as it is."""
    if change.kind != "set":
        return [change]
    value = document
    for step in change.path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return [change]  # a new value
    if same(value, change.value):
        return []
    node = outline.node(change.path)
    if node is None:
        return [change]
    sets, removals = _differences(node, value, change)
    # Removals come last, so that nothing becomes empty in between, and from the end, so that indexes stay valid.
    return [*sets, *reversed(removals)]


def _differences(node: Node, old: JSON, change: Change) -> tuple[list[Change], list[Change]]:
    new, path = change.value, change.path
    sets: list[Change] = []
    removals: list[Change] = []
    both: list[str | int]
    if node.kind == "mapping" and node.entries and isinstance(new, dict) and new:
        gone = [key for key in old if key not in new]
        if any(key not in node.own for key in gone):
            return [change], []
        removals += [Change("remove", (*path, key)) for key in gone]
        sets += [Change("set", (*path, key), value) for key, value in new.items() if key not in node.own]
        both = [key for key in new if key in node.own]
    elif node.kind == "list" and node.entries and isinstance(new, list) and new:
        removals += [Change("remove", (*path, index)) for index in range(len(new), len(old))]
        sets += [Change("append", path, item) for item in new[len(old) :]]
        both = list(range(min(len(old), len(new))))
    else:
        return [change], []
    for step in both:
        entry = node.entry(step)
        assert entry is not None
        if not same(old[step], new[step]):
            further = _differences(entry.value, old[step], Change("set", (*path, step), new[step]))
            sets += further[0]
            removals += further[1]
    return sets, removals


def _nodes_along(outline: Outline, path: NodePath) -> list[Node]:
    """The keys and values along a path, beginning with the document, as far as they are in the text."""
    way = [outline.root]
    for entry in outline.entries(path):
        way += [entry.key, entry.value] if entry.key else [entry.value]
    return way


def _shared(outline: Outline, change: Change) -> ImpossibleError:
    """The error for a change that would also change something else."""
    way = _nodes_along(outline, change.path)
    for one in (*way, *way[-1].all()):
        used = outline.aliases(one.anchor) if one.anchor and one.kind != "alias" else []
        if used:
            line = len(LINE_END.findall(outline.text[: used[0].begin])) + 1
            return ImpossibleError(
                f"`{change.name}` can't be changed alone: `*{one.anchor}` in line {line} refers to the same value",
                f"write the value out in line {line}, and try again",
                one.begin,
            )
    return ImpossibleError(
        f"`{change.name}` can't be changed in place without changing something else",
        "change it by hand",
        way[-1].begin,
    )
