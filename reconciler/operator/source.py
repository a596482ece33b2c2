"""The source that a ``PersonaCatalog`` names."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.controller.sources import FolderSource, Source
from reconciler.errors import UsageError
from reconciler.operator.config_map import ConfigMapSource, checked_items
from reconciler.operator.git_secret import git_credentials
from reconciler.operator.inputs import Input, Inputs

#: How many connections for git each namespace may have at once: half of all, so that repositories that never answer
#: hold up the sources of their own namespace alone.
_CONNECTIONS: Final = 8

_turns: Final[WeakValueDictionary[str, threading.BoundedSemaphore]] = WeakValueDictionary()
_lock: Final = threading.Lock()


def make_source(
    namespace: str, spec: Mapping[str, Any], own: Path, catalogs: Path | None, inputs: Inputs
) -> Source:
    """The source of a resource in a namespace. ``own`` is the resource's state folder, and ``catalogs`` has the folders
    that a `path` may name.

    Raises:
        UsageError: the spec can't be used.
    """
    if "git" in spec:
        return _git(namespace, spec["git"], own, inputs)
    if "configMapRef" in spec:
        reference = spec["configMapRef"]
        items = checked_items(reference["items"]) if "items" in reference else None
        return ConfigMapSource(Input("configmaps", namespace, reference["name"]), items, own, inputs)
    return _folder(spec["path"], own, catalogs)


def _git(namespace: str, git: Mapping[str, Any], own: Path, inputs: Inputs) -> GitSource:
    if urlsplit(git["url"]).scheme not in ("http", "https", "ssh"):
        # git would take a folder of the operator for a repository, too.
        raise UsageError(
            "`source.git.url` has to begin with https://, http:// or ssh://", "name a remote repository"
        )
    place = GitPlace(git["url"], git.get("ref", "HEAD"), git.get("path", "."))
    turn = _turn(namespace)
    if "secretRef" not in git:
        return GitSource(place, own, turn=turn)
    secret = Input("secrets", namespace, git["secretRef"]["name"])
    return GitSource(place, own, credentials=partial(git_credentials, secret, inputs), turn=turn)


def _turn(namespace: str) -> threading.BoundedSemaphore:
    """The turns of a namespace, for as long as a source of it is there."""
    with _lock:
        found = _turns.get(namespace)
        if found is None:
            found = _turns[namespace] = threading.BoundedSemaphore(_CONNECTIONS)
        return found


def _folder(path: str, own: Path, catalogs: Path | None) -> FolderSource:
    if catalogs is None:
        raise UsageError(
            "`source.path` names a folder of the operator, and it was started without --catalogs",
            "use `source.git`, or start the operator with --catalogs=FOLDER",
        )
    root = os.path.realpath(catalogs)
    folder = os.path.realpath(os.path.join(root, path))
    if os.path.commonpath([root, folder]) != root:
        raise UsageError(
            f"`source.path` {path!r} leads out of the folder of --catalogs", "name a folder below it"
        )
    return FolderSource(Path(folder), own)
