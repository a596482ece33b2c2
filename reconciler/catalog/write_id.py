"""Gives a catalog its id: one line in catalog.yaml, below the catalog's name."""

from __future__ import annotations

from pathlib import Path

from reconciler.catalog.documents import CATALOG_FILE, read_text
from reconciler.catalog.files import Root
from reconciler.catalog.replace import replaced
from reconciler.ownership.catalog_id import new_catalog_id
from reconciler.strict_yaml.edit import set_value
from reconciler.strict_yaml.outline import Outline
from reconciler.strict_yaml.read import parse
from reconciler.values import same

_MARK = "\ufeff"


def write_catalog_id(folder: Path) -> str:
    """Write a new id into the catalog.yaml of a catalog that has none, and return it.

    Raises:
        CatalogError: catalog.yaml is not valid.
        ReconcilerError: it can't be written.
    """
    data, text = read_text(Root(folder), CATALOG_FILE)
    mark = _MARK if data.startswith(_MARK.encode()) else ""
    catalog_id = new_catalog_id()
    with replaced(folder, {CATALOG_FILE: (mark + with_id(text, catalog_id)).encode()}):
        pass
    return catalog_id


def with_id(text: str, catalog_id: str) -> str:
    """A catalog.yaml with this id, on the line below ``catalog``; at the end where that is not a line of its own."""
    outline = Outline(text)
    entry = outline.root.own.get("catalog")
    at_the_end = set_value(text, ("id",), catalog_id, file=CATALOG_FILE)
    if entry is None or outline.root.flow:
        return at_the_end
    end = outline.next_line(entry.end)
    below = f"{text[:end]}id: {catalog_id}{outline.line_break}{text[end:]}"
    said, found = parse(at_the_end.encode(), at_the_end), parse(below.encode(), below)
    return below if not found.faults and same(found.document, said.document) else at_the_end
