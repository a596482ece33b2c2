"""Removes ``adopt`` lines that have done their work from a catalog's files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.catalog.documents import CATALOG_FILE, mapping, read_text
from reconciler.catalog.loaded import Loaded
from reconciler.catalog.replace import replaced
from reconciler.strict_yaml.change import Change
from reconciler.strict_yaml.edit import edit
from reconciler.strict_yaml.read import parse


def remove_adopt_lines(root: Path, loaded: Loaded, keys: Collection[str]) -> list[str]:
    """Remove the ``adopt`` lines of these keys. Nothing else in the files changes.

    Returns the files that changed, sorted.

    Raises:
        CatalogError: a file can't be read any more.
        ReconcilerError: a file can't be edited or written; no file has changed then.
    """
    edits: dict[str, list[Change]] = {}
    texts = {
        file: read_text(loaded.root, file) for file in {CATALOG_FILE, *(loaded.files[one] for one in keys)}
    }
    documents = {file: mapping(parse(*read).document) for file, read in texts.items()}
    name = loaded.environment.name or ""
    patches = mapping(mapping(mapping(documents[CATALOG_FILE].get("environments")).get(name)).get("sessions"))
    for key in keys:
        file = loaded.files[key]
        declared = _declared(loaded, key)
        if "adopt" in mapping(mapping(documents[file].get("sessions")).get(declared)):
            edits.setdefault(file, []).append(Change("remove", ("sessions", declared, "adopt")))
        if "adopt" in mapping(patches.get(key)):
            patch = {field: value for field, value in patches[key].items() if field != "adopt"}
            patches = {**patches, key: patch}
    if name:
        patches = {key: patch for key, patch in patches.items() if patch or key not in keys}
        environment = mapping(mapping(documents[CATALOG_FILE].get("environments")).get(name))
        if patches != mapping(environment.get("sessions")):
            wanted = {field: value for field, value in environment.items() if field != "sessions"}
            wanted |= {"sessions": patches} if patches else {}
            edits.setdefault(CATALOG_FILE, []).append(Change("set", ("environments", name), wanted))
    files: dict[str, bytes | None] = {
        file: edit(texts[file][1], made, file=file).encode() for file, made in edits.items()
    }
    with replaced(root, files):
        pass
    return sorted(files)


def _declared(loaded: Loaded, key: str) -> str:
    """The key under which a session stands in its file: that of the matrix or table where it is made by one."""
    paths = (layer.path for layer in loaded.composed.get(key, ()))
    return next((str(path[1]) for path in paths if path[:1] == ("sessions",)), key)
