"""A catalog as its authors wrote it: every text with its exact place.

Rules check each text once, however often it is used: a fragment that ten sessions share is one text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from reconciler.catalog.documents import CATALOG_FILE, read_text
from reconciler.catalog.files import Root
from reconciler.catalog.load import open_root
from reconciler.strict_yaml.outline import LINE_END, Entry, Node, Outline
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.strict_yaml.read import parse
from reconciler.values import JSON

#: A text of a prompt, a session's name, or a table that sessions are made from.
Kind: TypeAlias = Literal["prompt", "name", "table"]


class File:
    """A file of the catalog: catalog.yaml, a manifest, or a prompt."""

    def __init__(self, name: str, data: bytes, text: str) -> None:
        self.name = name
        self.text = text
        self.source = Source(name, data, text)

    def line(self, index: int) -> int:
        """The line that a character is in, counting from 1."""
        return self.source.line(index)


class Mark(NamedTuple):
    """A character of a file."""

    file: File
    char: int


@dataclass(frozen=True, slots=True)
class Spot:
    """What a finding points to. ``covers`` are the keys above it: a comment at any of them may suppress it."""

    at: Mark
    covers: tuple[Mark, ...] = ()


class Document(File):
    """catalog.yaml or a manifest, with its outline."""

    def __init__(self, name: str, data: bytes, text: str) -> None:
        super().__init__(name, data, text)
        self.document: JSON = parse(data, text).document
        self.outline = Outline(text)

    def spot(self, path: NodePath) -> Spot | None:
        """Where a value is written; None if it is not written in this file."""
        entries = self.outline.entries(path)
        if len(entries) < len(path):
            return None
        keys = [Mark(self, entry.begin) for entry in entries]
        node = entries[-1].value if entries else self.outline.root
        at = keys[-1].char if node.is_empty and keys else node.begin
        return Spot(Mark(self, at), tuple(keys))

    def key_spot(self, path: NodePath) -> Spot | None:
        """Where the key of a value is written."""
        found = self.spot(path)
        return found and Spot(found.covers[-1], found.covers)

    def spot_at(self, index: int) -> Spot:
        """A character, with the keys above it."""
        keys = []
        node: Node | None = self.outline.root
        while node is not None:
            at = bisect_right(node.entries, index, key=lambda one: one.begin) - 1
            if at < 0 or node.entries[at].end < index:
                break
            keys.append(Mark(self, node.entries[at].begin))
            node = node.entries[at].value
        return Spot(Mark(self, index), tuple(keys))

    @cached_property
    def scalars(self) -> list[tuple[int, int]]:
        """Where strings, numbers and keys begin and end, in file order."""
        found = [(node.start, node.end) for node in self.outline.root.all() if node.kind == "scalar"]
        return sorted(found)


@dataclass(frozen=True, slots=True)
class Text:
    """A text written as a prompt or a name. ``node`` is None for a prompt in a file of its own."""

    kind: Kind
    value: str
    file: File
    node: Node | None
    covers: tuple[Mark, ...]

    def spot(self, offset: int) -> Spot:
        """A character of the text, in the file where it is written."""
        index = offset if self.node is None else _index(self.file, self.node, self.value, offset)
        return Spot(Mark(self.file, index), self.covers)


def _index(file: File, node: Node, value: str, offset: int) -> int:
    """Where a character of a scalar is written; the start of the scalar if escapes or folding hide it."""
    text = file.text
    if node.style == "|":
        before = value[:offset]
        start = node.start
        for _ in range(before.count("\n") + 1):
            end = LINE_END.search(text, start)
            start = end.end() if end else len(text)
        return min(start + node.column + offset - before.rfind("\n") - 1, len(text))
    inner = node.start + (1 if node.style in ("'", '"') else 0)
    if text.startswith(value, inner):
        return inner + offset
    found = text.find(value[offset : offset + 20].split("\n")[0], inner, node.end)
    return found if found >= 0 else node.start


@dataclass(slots=True)
class Written:
    """All files of a catalog, and the texts in them."""

    documents: list[Document] = field(default_factory=list)
    prompts: dict[str, File] = field(default_factory=dict)
    texts: list[Text] = field(default_factory=list)
    #: The name of each prompt's file, by the place that refers to it.
    named: dict[Mark, str] = field(default_factory=dict)
    _by_name: dict[str, Document] = field(default_factory=dict)
    _covers: dict[str, tuple[Mark, ...]] = field(default_factory=dict)

    def document(self, name: str) -> Document | None:
        """The manifest of this name; None if it was created while the catalog was being read."""
        return self._by_name.get(name)

    def add(self, document: Document) -> None:
        """Add a manifest."""
        self.documents.append(document)
        self._by_name[document.name] = document

    def covers(self, file: File) -> tuple[Mark, ...]:
        """The keys that lead to a prompt or table in a file of its own."""
        return self._covers.get(file.name, ())

    def files(self) -> Iterator[File]:
        """Manifests first, then the prompts in files of their own."""
        yield from self.documents
        yield from self.prompts.values()


def read_written(root: Path, manifests: Sequence[str]) -> Written:
    """Read the files of a catalog that loads: catalog.yaml and its manifests.

    Raises:
        CatalogError: a file changed after it was loaded, and can no longer be read.
    """
    with open_root(root) as folder:
        return _read_written(folder, manifests)


def _read_written(folder: Root, manifests: Sequence[str]) -> Written:
    written = Written()
    for name in (CATALOG_FILE, *manifests):
        written.add(Document(name, *read_text(folder, name)))
    owners: dict[str, list[Mark]] = defaultdict(list)
    tables: set[str] = set()
    for document in written.documents:
        for kind, node, covers in _walk(document):
            if kind == "file" or kind == "from":
                owners[node.text].extend(covers)
                written.named[Mark(document, node.begin)] = node.text
                if kind == "from":
                    tables.add(node.text)
            else:
                written.texts.append(Text(kind, node.text, document, node, covers))
    for name, covers in ((name, tuple(marks)) for name, marks in sorted(owners.items())):
        data, text = read_text(folder, name)
        file = written.prompts[name] = File(name, data, text)
        written._covers[name] = covers
        written.texts.append(Text("table" if name in tables else "prompt", text, file, None, covers))
    return written


_Found: TypeAlias = tuple[Literal["prompt", "name", "file", "from"], Node, tuple[Mark, ...]]


def _walk(document: Document) -> Iterator[_Found]:
    """The texts of prompts, the names of prompts' files, and the names of sessions, with the keys above each."""
    for where, entry, covers in _below(document, document.outline.root, ()):
        if where == "defaults":
            yield from _session(document, entry, covers)
        elif where == "fragments":
            for _, one, above in _below(document, entry.value, covers):
                yield from _prompt(document, one.value, above)
        elif where in ("sessions", "templates"):
            yield from _sessions(document, entry, covers)
        elif where == "environments":
            for _, environment, above in _below(document, entry.value, covers):
                for key, one, further in _below(document, environment.value, above):
                    if key == "defaults":
                        yield from _session(document, one, further)
                    elif key == "sessions":
                        yield from _sessions(document, one, further)


_Covers: TypeAlias = tuple[Mark, ...]


def _below(document: Document, node: Node, covers: _Covers) -> Iterator[tuple[str, Entry, _Covers]]:
    """The entries of a mapping by key, each with the keys above it and its own."""
    for key, entry in node.own.items():
        yield key, entry, (*covers, Mark(document, entry.begin))


def _sessions(document: Document, entry: Entry, covers: _Covers) -> Iterator[_Found]:
    for _, one, above in _below(document, entry.value, covers):
        yield from _session(document, one, above)


def _session(document: Document, entry: Entry, covers: _Covers) -> Iterator[_Found]:
    for key, one, above in _below(document, entry.value, covers):
        if key == "prompt":
            yield from _prompt(document, one.value, above)
        elif key == "from" and (file := one.value.own.get("file")) and file.value.kind == "scalar":
            yield "from", file.value, (*above, Mark(document, file.begin))
        elif key == "name" and one.value.kind == "scalar":
            yield "name", one.value, above


def _prompt(document: Document, node: Node, covers: _Covers) -> Iterator[_Found]:
    """What a prompt is made of: a text, a file, or parts."""
    if node.kind == "scalar":
        yield "prompt", node, covers
    for key, one, above in _below(document, node, covers):
        if key == "file" and one.value.kind == "scalar":
            yield "file", one.value, above
        elif key in ("text", "parts"):
            yield from _prompt(document, one.value, above)
    if node.kind == "list":
        for one in node.entries:
            yield from _prompt(document, one.value, covers)
