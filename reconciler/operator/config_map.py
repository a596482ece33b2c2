"""Revisions from a ConfigMap. A file of the catalog is a key, or what `items` says of it, as in a volume of a pod."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from reconciler.controller.revision_store import RevisionStore
from reconciler.controller.sources import NoCatalogError, digest_files, intact
from reconciler.errors import ReconcilerError, UsageError
from reconciler.operator.inputs import Input, Inputs

#: How often it is read although nothing says that it changed (seconds): a watch may miss a deletion.
_REREAD: Final = 900.0

_CATALOG: Final = "catalog.yaml"

#: A path below the catalog's folder without hidden parts, as in the resource's schema.
_PATH: Final = re.compile(r"[^./\x00-\x1f][^/\x00-\x1f]*(/[^./\x00-\x1f][^/\x00-\x1f]*)*")


class ConfigMapSource:
    """A ConfigMap. A revision is named by a digest of paths and contents, like that of a folder.

    ``items`` maps paths to keys (:func:`checked_items`); without it, each key is a file of that name. ``state`` is the
    state folder of the resource, where revisions are kept. ``clock`` returns seconds.
    """

    def __init__(
        self,
        one: Input,
        items: Mapping[str, str] | None,
        state: Path,
        inputs: Inputs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._input, self._items, self._inputs, self._clock = one, items, inputs, clock
        # One store for all names: a ConfigMap that a generator makes has another name with each edit.
        self._store = RevisionStore(state, "config-map")
        self._seen: tuple[str, str, float] | None = None  # version, revision, when to read it again
        self._fresh: tuple[str, list[tuple[str, bytes]]] | None = None  # a revision that is not kept yet

    def describe(self) -> str:
        return f"ConfigMap {self._input.namespace}/{self._input.name}"

    def newest(self) -> str:
        if self._seen is not None:
            version, revision, until = self._seen
            if version == self._inputs.version(self._input) and self._clock() < until:
                return revision
        self._seen = None
        version, body = self._inputs.read(self._input)
        files = sorted(files_of(self._input, body, self._items).items())
        revision = digest_files(files, [])
        self._fresh = None if self._store.find(revision) else (revision, files)
        self._seen = (version, revision, self._clock() + _REREAD)
        return revision

    def folder(self, revision: str) -> Path:
        if (kept := intact(self._store, revision)) is not None:
            return kept
        fresh, self._fresh = self._fresh, None
        if fresh is None or fresh[0] != revision:
            files = sorted(files_of(self._input, self._inputs.read(self._input)[1], self._items).items())
            fresh = digest_files(files, []), files
        if fresh[0] != revision:
            raise ReconcilerError(
                f"{self._input} no longer has the revision {revision[:12]}",
                "nothing is wrong: it is read again with the next look",
            )
        return self._store.keep(revision, fresh[1], [])

    def retain(self, revisions: Collection[str]) -> None:
        self._store.retain(revisions)


def checked_items(items: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The key of each path.

    Raises:
        UsageError: a path leads out of the catalog, is hidden, is given twice, or is a file and a folder; or none is
            that of catalog.yaml.
    """
    found: dict[str, str] = {}
    for one in items:
        key, path = one["key"], one["path"]
        if not _PATH.fullmatch(path):
            raise UsageError(
                f"`source.configMapRef.items` has the path {path!r}, hidden, or not below the catalog's folder",
                "write a relative path without `..`, such as sessions/all.yaml",
            )
        if path in found:
            raise UsageError(
                f"`source.configMapRef.items` has the path {path!r} twice", "give each file its own"
            )
        found[path] = key
    for path in found:
        for folder in Path(path).parents:
            if folder.as_posix() in found:
                raise UsageError(
                    f"`source.configMapRef.items` has {folder.as_posix()!r} as a file and as a folder",
                    "name one of them otherwise",
                )
    if _CATALOG not in found:
        raise UsageError(
            f"`source.configMapRef.items` has no item with the path {_CATALOG}",
            f"add {{key: {_CATALOG}, path: {_CATALOG}}}: only the keys that it lists are read",
        )
    return found


def files_of(one: Input, body: Mapping[str, Any] | None, items: Mapping[str, str] | None) -> dict[str, bytes]:
    """The files of a ConfigMap by path. ``body`` is None if there is no ConfigMap.

    Raises:
        NoCatalogError: they are no whole catalog.
    """
    create = f"kubectl -n {one.namespace} create configmap {one.name} --from-file=FOLDER"
    if body is None:
        raise NoCatalogError(f"there is no ConfigMap {one.namespace}/{one.name}", f"create it: {create}")
    data = {key: text.encode() for key, text in (body.get("data") or {}).items()}
    data |= {key: base64.b64decode(text) for key, text in (body.get("binaryData") or {}).items()}
    if not data:
        raise NoCatalogError(
            f"{one} is empty",
            "an empty ConfigMap is no empty catalog: that has a catalog.yaml without sessions",
        )
    if items is None:
        items = {key: key for key in data}
    missing = sorted(key for key in items.values() if key not in data)
    if missing:
        raise NoCatalogError(
            f"{one} has no key {missing[0]}, which `items` names", "add it, or correct `items`"
        )
    hidden = sorted(path for path in items if not _PATH.fullmatch(path))
    if hidden:
        raise NoCatalogError(
            f"{one} has the key {hidden[0]}: a catalog reads no hidden files",
            "remove it, or list the others in `items`",
        )
    if _CATALOG not in items:
        raise NoCatalogError(
            f"{one} has no key {_CATALOG}", f"add it, or say in `items` which key has the path {_CATALOG}"
        )
    return {path: data[key] for path, key in items.items()}
