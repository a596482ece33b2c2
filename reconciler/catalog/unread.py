"""Manifests that lie in a catalog's folder and are not read.

A manifest with another suffix, or beside the folder that `include` names, looks as if it were in use. Its sessions are
never created; and if they were live, the next apply would delete them. So such a file is an error, until the catalog
includes or excludes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from reconciler.catalog.budget import ENTRIES_A_FOLDER
from reconciler.catalog.files import Root, UnreadableError
from reconciler.errors import Problem
from reconciler.schemas import load_schema
from reconciler.strict_yaml.encoding import decode
from reconciler.strict_yaml.read import parse
from reconciler.text.truncate import truncate

#: Folders with thousands of files, none of them a manifest.
_SKIPPED: Final = frozenset({"node_modules", "__pycache__"})
_CATALOG_FILES: Final = frozenset({"catalog.yaml", "catalog.yml"})
#: The sessions of a manifest, with their first key on the next line, comments aside.
_SESSIONS: Final = re.compile(
    r"^sessions[ \t]*:[ \t]*(?:#.*)?\r?\n(?:[ \t]*(?:#.*)?\r?\n)*+[ \t]+[^\s#].*:", re.MULTILINE
)
#: Bytes of such files that are parsed. Of the rest it is enough to see that they look like manifests.
_PARSED: Final = 2 * 2**20
#: How many keys a message names.
_NAMED: Final = 5


def unread_manifests(root: Root, known: Collection[str]) -> Iterator[Problem]:
    """A problem for each file below the folder that is a manifest and is not among the ``known`` paths.

    Hidden files, symlinks and folders with a catalog.yaml of their own are not looked at.
    """
    left = sorted({*_yaml_files(root)}.difference(known))
    if not left:
        return
    real = {os.path.realpath(os.path.join(root.folder, path)) for path in known}  # a symlink may lead to it
    size = 0
    for path in left:
        keys = None
        if os.path.join(root.folder, path) not in real:
            data = _read(root, path)
            size += len(data)
            keys = _keys(path, data, parsed=size <= _PARSED)
        if keys is not None:
            yield Problem(
                "this file is a manifest, and the catalog does not read it"
                + (f": it declares {_some(keys)}" if keys else ""),
                _hint(path),
                path,
            )


def _yaml_files(root: Root) -> Iterator[str]:
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            with os.scandir(os.path.join(root.folder, below)) as found:
                entries = list(found)
        except OSError:
            continue  # a folder that can't be listed is no part of the catalog
        root.look(ENTRIES_A_FOLDER + len(entries))
        if below and not _CATALOG_FILES.isdisjoint(entry.name for entry in entries):
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED:
                    folders.append(path)
            elif entry.name.lower().endswith((".yaml", ".yml")) and entry.is_file(follow_symlinks=False):
                yield path


def _read(root: Root, path: str) -> bytes:
    try:
        return root.read(path)
    except UnreadableError:
        return b""


def _keys(path: str, data: bytes, *, parsed: bool) -> list[str] | None:
    """The keys of the sessions that a manifest declares, as far as they are read; None if the file is none."""
    fields = load_schema("manifest")["properties"]
    if not any(name.encode() in data for name in fields):
        return None
    text = decode(path, data)
    if isinstance(text, Problem):
        return None
    document: Any = parse(data, text).document if parsed else None
    if document is None:  # what can't be read may be a manifest all the same
        return [] if _SESSIONS.search(text) else None
    if not isinstance(document, Mapping) or not document:
        return None
    sessions = document.get("sessions", {})
    if not isinstance(sessions, Mapping):
        return None
    if document.keys() - fields.keys():  # a manifest with a field too many, or another kind of file
        return list(sessions) if any(map(_is_session, sessions.values())) else None
    if not all(isinstance(value, Mapping) for value in document.values()):
        return None
    return list(sessions)


def _is_session(value: Any) -> bool:
    return isinstance(value, Mapping) and "prompt" in value and ("name" in value or "extends" in value)


def _some(keys: list[str]) -> str:
    named = ", ".join(f"`{truncate(str(key))}`" for key in keys[:_NAMED])
    return named if len(keys) <= _NAMED else f"{named} and {len(keys) - _NAMED:,} more"


def _hint(path: str) -> str:
    stem, _, suffix = path.rpartition(".")
    if suffix not in ("yaml", "yml"):
        return f"rename it to {stem}.{suffix.lower()}, or list it under `exclude` in catalog.yaml"
    return "list it under `include` in catalog.yaml, or under `exclude` if it is not meant to be read"
