"""Catalogs on disk, for the tests that read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from reconciler.catalog import load_catalog
from reconciler.catalog.files import MAX_FILE
from reconciler.domain import Catalog, Session
from reconciler.errors import CatalogError
from reconciler.render.problems import format_problem

CATALOG = "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n"
SESSION = "sessions:\n  alice:\n    name: Alice\n    prompt: Hello.\n"
DATA = SESSION + "    data:\n"


class Link(NamedTuple):
    """A symlink."""

    target: str


class Fifo(NamedTuple):
    """A named pipe that nobody writes to."""


class Large(NamedTuple):
    """A file of one byte more than is read."""


class Locked(NamedTuple):
    """A file that nobody but root may read."""


class Folder(NamedTuple):
    """A folder, where a file belongs."""


Content: TypeAlias = "str | bytes | Link | Fifo | Large | Locked | Folder | None"


def write_catalog(folder: Path, files: Mapping[str, Content]) -> Path:
    """A catalog in ``folder/shop``, and beside it ``folder/outside``, which nothing may be read from."""
    root = folder / "shop"
    (root / "sessions").mkdir(parents=True)
    outside = folder / "outside"
    outside.mkdir()
    for name, text in {"catalog.yaml": CATALOG, "a.yaml": SESSION, "alice.md": "From outside."}.items():
        (outside / name).write_text(text)
    for path, content in {"catalog.yaml": CATALOG, **files}.items():
        if content is not None:
            _write(root / path, content)
    return root


def _write(place: Path, content: Content) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    match content:
        case str():
            place.write_text(content, encoding="utf-8", newline="")
        case bytes():
            place.write_bytes(content)
        case Link(target):
            place.symlink_to(target)
        case Fifo():
            os.mkfifo(place)
        case Large():
            with place.open("wb") as file:
                file.truncate(MAX_FILE + 1)
        case Locked():
            place.touch(0)
        case Folder():
            place.mkdir()


def load(folder: Path, files: Mapping[str, Content], environment: str | None = None) -> Catalog:
    """The catalog that these files make."""
    return load_catalog(write_catalog(folder, files), environment)


def session(folder: Path, fields: str, defaults: str = "model: deepseek-chat") -> Session:
    """The only session of a catalog: Alice, with these fields, as lines of YAML, and these defaults."""
    indented = "".join(f"    {line}\n" for line in fields.splitlines())
    below = "".join(f"  {line}\n" for line in defaults.splitlines())
    files = {
        "catalog.yaml": f"version: 1\ncatalog: shop\ndefaults:\n{below}",
        "sessions/a.yaml": f"sessions:\n  alice:\n    name: Alice\n{indented}",
    }
    return load(folder, files).sessions["alice"]


def complaint(folder: Path, files: Mapping[str, Content]) -> str:
    """What is said of a catalog that can't be loaded; nothing where it can."""
    root = write_catalog(folder, files)
    try:
        load_catalog(root)
    except CatalogError as error:
        return "\n".join(map(format_problem, error.problems))
    return ""
