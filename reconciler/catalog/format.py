"""``reconciler fmt``: one canonical way to write a manifest.

Nothing is parsed and dumped again. Lines move and prompts change their style; comments, anchors, quoting and
indentation stay as they are. Formatting does this:

- the fields of a session, a template, the defaults or a patch are put in order: ``extends``, ``matrix`` and ``from``
  first, then the others as in the schema; each with the comments above it;
- a quoted prompt of several lines becomes a block (``|``);
- trailing white space is removed, and a file ends in one line break.

Each of these is done only if the meaning of the text stays the same: the strict parser reads both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.bulk import no_garbage_collection
from reconciler.catalog.budget import Budget
from reconciler.catalog.documents import CATALOG_FILE, read_text
from reconciler.catalog.files import Root
from reconciler.catalog.load import environments, load, open_root
from reconciler.catalog.loaded import Loaded
from reconciler.catalog.replace import replaced
from reconciler.errors import REPORT, Problem, ReconcilerError
from reconciler.schemas import load_schema
from reconciler.strict_yaml.change import Change
from reconciler.strict_yaml.emit import literal
from reconciler.strict_yaml.outline import Node, Outline
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.read import parse
from reconciler.strict_yaml.splices import Splice, splices
from reconciler.text.normalise import normalise_prompt
from reconciler.values import JSON, same

_MARK: Final = "\ufeff"
#: One edit may make another possible, so all are tried again until nothing changes.
_ROUNDS: Final = 10
#: How often a text is read again to find which of its edits would change its meaning. The others may be left undone.
_TRIES: Final = 200
#: The fields before those of the schema: what a session is built from.
_FIRST: Final = ("<<", "extends", "matrix", "from")


@dataclass(frozen=True, slots=True)
class Formatted:
    """A file that is not formatted. ``name`` is relative to the catalog's root."""

    name: str
    before: str
    after: str


@no_garbage_collection()
def formatted(root: Path, variables: Mapping[str, JSON] | None = None) -> list[Formatted]:
    """The manifests of a catalog that formatting would change, catalog.yaml first. Nothing is written.

    Args:
        variables: as for :func:`reconciler.load_catalog`.

    Raises:
        CatalogError: the catalog can't be loaded.
    """
    with open_root(root) as folder:
        return _formatted(folder, root, variables)


def _formatted(folder: Root, root: Path, variables: Mapping[str, JSON] | None) -> list[Formatted]:
    before = _load_all(folder, variables)
    changed: list[Formatted] = []
    for name in (CATALOG_FILE, *before[0].manifests):
        data, text = read_text(folder, name)
        mark = _MARK if data.startswith(_MARK.encode()) else ""
        after = format_text(text)
        if after != text:
            changed.append(Formatted(name, mark + text, mark + after))
    if changed:
        after_all = _load_all(_Edited(root, {one.name: one.after.encode() for one in changed}), variables)
        for old, new in zip(before, after_all, strict=True):
            if old.catalog != new.catalog:
                raise ReconcilerError(list(_changes(old, new, [one.name for one in changed])))
    return changed


def _changes(old: Loaded, new: Loaded, changed: Sequence[str]) -> Iterator[Problem]:
    """What formatting would change, although it must change nothing."""
    sessions, after = old.catalog.sessions, new.catalog.sessions
    for key in sorted(sessions.keys() | after.keys()):
        if sessions.get(key) != after.get(key):
            message = f"formatting would change the session `{key}`, so nothing is formatted"
            yield Problem(message, REPORT, old.files.get(key, CATALOG_FILE))
    if sessions == after:
        files = ", ".join(changed)
        yield Problem(
            f"formatting {files} would change the catalog, so nothing is formatted", REPORT, CATALOG_FILE
        )


def write_formatted(root: Path, changed: Sequence[Formatted]) -> None:
    """Write the formatted texts: all of them or none.

    Raises:
        ReconcilerError: a file can't be written.
    """
    with replaced(root, {one.name: one.after.encode() for one in changed}):
        pass


class _Edited(Root):
    """A catalog's folder in which some files have other contents than on disk."""

    def __init__(self, folder: Path, edited: Mapping[str, bytes]) -> None:
        super().__init__(folder)
        self._edited = edited

    def read(self, path: str) -> bytes:
        """The bytes of a file, as in :class:`Root`."""
        return self._edited[path] if path in self._edited else super().read(path)


def _load_all(folder: Root, variables: Mapping[str, JSON] | None) -> list[Loaded]:
    """The catalog in each of its environments.

    Raises:
        CatalogError: it can't be loaded.
    """
    names: list[str | None] = [*environments(folder.folder)] or [None]
    budget = Budget()
    return [load(folder, name, variables, budget) for name in names]


def format_text(text: str) -> str:
    """A manifest or catalog.yaml, formatted. The strict parser must have found no fault with it."""
    if not text.strip():
        return text
    for _ in range(_ROUNDS):
        before = text
        for find in (_line_ends, _file_end, _blocks, _orders):
            text = _apply(text, find)
        if text == before:  # so that to do it again changes nothing
            break
    return text


def _apply(text: str, find: Callable[[str, Outline, JSON], list[list[Splice]]]) -> str:
    """The text with all edits, or with those that keep its meaning when made one by one."""
    document = _document(text)
    edits = find(text, Outline(text), document)
    if not edits:
        return text
    together = _spliced(text, [one for edit in edits for one in edit])
    if _says(together, document):
        return together
    kept: list[Splice] = []
    groups = [edits[: len(edits) // 2], edits[len(edits) // 2 :]]
    for _ in range(
        _TRIES
    ):  # each reads the whole text again, so a group is split only if some edit of it fails
        if not groups:
            break
        group = groups.pop(0)
        splices_of = [one for edit in group for one in edit]
        if _says(_spliced(text, [*kept, *splices_of]), document):
            kept += splices_of
        elif len(group) > 1:
            groups[:0] = [group[: len(group) // 2], group[len(group) // 2 :]]
    return _spliced(text, kept)


def _spliced(text: str, edits: Sequence[Splice]) -> str:
    pieces: list[str] = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _document(text: str) -> JSON:
    return parse(text.encode("utf-8", "surrogatepass"), text).document


def _says(text: str, document: JSON) -> bool:
    """Whether a text has this meaning, apart from what normalising removes from a prompt."""
    parsed = parse(text.encode("utf-8", "surrogatepass"), text)
    return not parsed.faults and same(_compared(parsed.document), _compared(document))


def _compared(document: JSON) -> JSON:
    """A document with its prompts as they are compared."""
    if not isinstance(document, dict):
        return document
    found = dict(document)
    copied: dict[NodePath, dict[str, JSON]] = {(): found}
    for path in _fields_in(document):
        value: JSON = found
        for depth, step in enumerate(path[:-1], 1):
            above = path[:depth]
            if above not in copied:
                copied[above] = value[step] = dict(value[step])
            value = copied[above]
        mapping = value[path[-1]]
        if isinstance(mapping, dict) and isinstance(mapping.get("prompt"), str):
            value[path[-1]] = {**mapping, "prompt": normalise_prompt(mapping["prompt"])}
    return found


def _fields_in(document: JSON) -> Iterator[NodePath]:
    """Where a document holds fields of a session: sessions, templates, defaults, and those of environments."""

    def keys(value: JSON) -> list[str]:
        return [key for key, one in value.items() if isinstance(one, dict)] if isinstance(value, dict) else []

    for group in ("sessions", "templates"):
        for key in keys(document.get(group)):
            yield (group, key)
    if isinstance(document.get("defaults"), dict):
        yield ("defaults",)
    for name in keys(document.get("environments")):
        environment = document["environments"][name]
        if isinstance(environment.get("defaults"), dict):
            yield ("environments", name, "defaults")
        for key in keys(environment.get("sessions")):
            yield ("environments", name, "sessions", key)


def _written(outline: Outline, document: JSON) -> Iterator[tuple[NodePath, Node]]:
    """The mappings that hold fields of a session, where they are written in lines."""
    for path in _fields_in(document):
        node = outline.node(path)
        if node is not None and node.kind == "mapping" and not node.flow:
            yield path, node


# The edits


def _line_ends(text: str, outline: Outline, _: JSON) -> list[list[Splice]]:
    """White space at the end of lines, outside of texts."""
    texts = sorted((n.start, n.end) for n in outline.root.all() if n.kind == "scalar" and n.start < n.end)
    found: list[list[Splice]] = []
    at = 0
    for match in re.finditer(r"(?<![ \t])[ \t]++(?=\r|\n|\Z)", text):
        while at < len(texts) and texts[at][1] <= match.start():
            at += 1
        if at == len(texts) or texts[at][0] >= match.end():
            found.append([Splice(match.start(), match.end(), "")])
    return found


def _file_end(text: str, outline: Outline, _: JSON) -> list[list[Splice]]:
    """The white space at the end of the file, which becomes one line end."""
    end = len(text.rstrip(" \t\r\n"))
    return [] if text[end:] == outline.line_break else [[Splice(end, len(text), outline.line_break)]]


def _blocks(_: str, outline: Outline, document: JSON) -> list[list[Splice]]:
    """Prompts of several lines that stand in quotes, or without any."""
    found = []
    for path, node in _written(outline, document):
        entry = node.own.get("prompt")
        if entry is None or entry.value.kind != "scalar" or entry.value.is_block_scalar:
            continue
        value = normalise_prompt(entry.value.text)
        if "\n" in value and literal(value, node.column, prompt=True):
            change = Change("set", (*path, "prompt"), value, prompt=True)
            found.append(list(splices(outline, document, change)))
    return found


def _orders(text: str, outline: Outline, document: JSON) -> list[list[Splice]]:
    """Fields that do not stand in their order."""
    names = dict.fromkeys([*_FIRST, *load_schema("catalog")["$defs"]["session"]["properties"]])
    ranks = {name: number for number, name in enumerate(names)}
    found = []
    for _, node in _written(outline, document):
        keys = [entry.key.text if entry.key and entry.key.kind == "scalar" else "" for entry in node.entries]
        rank = [ranks.get(key, len(ranks)) for key in keys]
        wanted = sorted(range(len(rank)), key=rank.__getitem__)
        if wanted != sorted(wanted) and all(keys):
            found += _moved(text, outline, node, wanted)
    return found


def _moved(text: str, outline: Outline, node: Node, wanted: Sequence[int]) -> list[list[Splice]]:
    """The entries of a mapping in another order, each with the lines above it; none where some share a line."""
    first = outline.line_start(node.entries[0].begin)
    while (
        first and (above := outline.line_start(first - 1)) and text[above:first].lstrip(" \t").startswith("#")
    ):
        first = above  # the comments between the mapping's own key and its first field
    starts, parts = [first], []
    for entry in node.entries:
        if text[outline.line_start(entry.begin) : entry.begin].strip(" "):
            return []
        end = outline.next_line(entry.end)
        while (below := _indented_comment(text, outline, end)) and below > node.column:
            end = outline.next_line(end)  # a comment of the field's own, below its last line
        starts.append(end)
        parts.append(text[starts[-2] : starts[-1]])
    if not parts[-1].endswith(("\n", "\r")):
        return []
    # Blank lines separate an item from the previous one, and the first item has none.
    moved = [parts[number] for number in wanted]
    moved[0] = re.sub(r"\A(?:[ \t]*(?:\r\n?|\n))+", "", moved[0])
    return [[Splice(starts[0], starts[-1], "".join(moved))]]


def _indented_comment(text: str, outline: Outline, index: int) -> int:
    """The column of a line that only holds a comment; 0 for any other line, and for a comment in the first column."""
    line = text[index : outline.line_end(index)]
    return len(line) - len(line.lstrip(" ")) if line.lstrip(" ").startswith("#") else 0
