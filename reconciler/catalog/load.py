"""From a folder to a :class:`~reconciler.model.Catalog`: read, check, merge, build."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconciler.catalog.check import check
from reconciler.catalog.files import Root, UnreadableError, check_path
from reconciler.catalog.places import Source
from reconciler.catalog.strict_yaml import parse
from reconciler.errors import CatalogError, Problem
from reconciler.model import JSON, Catalog, Lifecycle, Limit, Policy, Session
from reconciler.text import normalise_prompt

CATALOG_FILE = "catalog.yaml"
DEFAULT_INCLUDE = ("sessions/**/*.yaml",)
KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def load_catalog(root: str | Path, environment: str | None = None) -> Catalog:
    """Read a catalog.

    Args:
        root: the folder that holds ``catalog.yaml``.
        environment: the environment that the catalog is read for; its name is noted in the result.

    Raises:
        CatalogError: with everything that is wrong, sorted by file and line.
    """
    if environment is not None and not KEY.fullmatch(environment):
        raise CatalogError(
            Problem(
                f"`{environment}` can't be the name of an environment",
                "use lower-case letters, digits, `.`, `_` and `-`, at most 63, starting with a letter or digit",
            )
        )
    with _no_garbage_collection():
        return _Loader(Root(Path(root))).load(environment)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    # Millions of nodes are made and dropped, none of them in a cycle: looking for cycles among them takes a
    # quarter of the time and finds nothing.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Loader:
    def __init__(self, root: Root) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.sessions: dict[str, Session] = {}
        self.homes: dict[str, str] = {}

    def load(self, environment: str | None) -> Catalog:
        if not os.path.isdir(self.root.folder):
            raise CatalogError(Problem(f"there is no folder {self.root.folder}"))
        head = self._document(CATALOG_FILE, "catalog") or {}
        defaults = _Defaults(head.get("defaults", {}))
        self._take(head.get("sessions", {}), CATALOG_FILE, defaults)
        for file in self._manifests(head):
            document = self._document(file, "manifest")
            if document is not None:
                self._take(document["sessions"], file, defaults)
        if self.problems:
            raise CatalogError(self.problems)
        return Catalog(head["catalog"], environment, self.sessions, _policy(head.get("policy", {})))

    def _document(self, file: str, schema: str) -> dict[str, JSON] | None:
        """The document in a file, or ``None`` when there is a problem with it."""
        try:
            data = self.root.read(file)
        except UnreadableError as error:
            self.problems.append(Problem(error.message, error.hint, file))
            return None
        source = Source(file, data)
        parsed = parse(data)
        found = [source.at(*fault) for fault in parsed.faults] or check(parsed.document, schema, source)
        self.problems += found
        return None if found else parsed.document

    def _manifests(self, head: Mapping[str, JSON]) -> list[str]:
        found: set[str] = set()
        for pattern in head.get("include", DEFAULT_INCLUDE):
            try:
                check_path(pattern)
                matched = self.root.expand(pattern)
            except UnreadableError as error:
                self.problems.append(Problem(error.message, error.hint, CATALOG_FILE))
                continue
            if not matched and "include" in head:
                self.problems.append(Problem(f"`{pattern}` matches no file", "", CATALOG_FILE))
            found.update(matched)
        return sorted(found - {CATALOG_FILE})

    def _take(self, sessions: Mapping[str, Any], file: str, defaults: _Defaults) -> None:
        for key, wanted in sessions.items():
            if key in self.homes:
                self.problems.append(
                    Problem(f"the session `{key}` is also in {self.homes[key]}", "keep one of the two", file)
                )
                continue
            self.homes[key] = file
            session = self._session(key, wanted, file, defaults)
            if session is not None:
                self.sessions[key] = session

    def _session(self, key: str, wanted: Mapping[str, Any], file: str, defaults: _Defaults) -> Session | None:
        name = wanted.get("name")
        model = wanted.get("model", defaults.model)
        prompt = wanted.get("prompt", defaults.prompt)
        missing = [
            field for field, value in (("name", name), ("model", model), ("prompt", prompt)) if value is None
        ]
        if missing:
            self.problems.append(Problem(f"the session `{key}` has no {' and no '.join(missing)}", "", file))
            return None
        if isinstance(prompt, dict):
            try:
                prompt = self.root.read(prompt["file"]).decode("utf-8-sig")
            except UnreadableError as error:
                self.problems.append(Problem(f"{error.message}", error.hint, file))
                return None
        return Session(
            key,
            name,
            model,
            normalise_prompt(prompt),
            _merge(defaults.parameters, wanted.get("parameters")),
            _merge(defaults.data, wanted.get("data")),
            _merge(defaults.remark, wanted.get("remark")),
            _lifecycle(_merge(defaults.lifecycle, wanted["lifecycle"]))
            if "lifecycle" in wanted
            else defaults.built,
        )


class _Defaults:
    """The catalog's ``defaults``."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.model = given.get("model")
        self.prompt = given.get("prompt")
        self.parameters: dict[str, JSON] = given.get("parameters", {})
        self.data: dict[str, JSON] = given.get("data", {})
        self.remark: dict[str, JSON] = given.get("remark", {})
        self.lifecycle: dict[str, JSON] = given.get("lifecycle", {})
        self.built = _lifecycle(self.lifecycle)


def _merge(base: dict[str, JSON], own: dict[str, JSON] | None) -> dict[str, JSON]:
    """Mappings by key, at any depth; anything else is replaced."""
    if not own:
        return base
    if not base:
        return own
    merged = base | own
    for key, value in base.items():
        if value.__class__ is dict and own.get(key).__class__ is dict:
            merged[key] = _merge(value, own[key])
    return merged


def _lifecycle(given: Mapping[str, Any]) -> Lifecycle:
    return Lifecycle(given.get("prevent_destroy", False), tuple(given.get("ignore_changes", ())))


def _policy(given: Mapping[str, Any]) -> Policy:
    return Policy(**{key: _limit(value) if key.startswith("max_") else value for key, value in given.items()})


def _limit(value: int | str) -> Limit:
    if isinstance(value, str):
        return Limit(percent=float(value[:-1]))
    return Limit(count=int(value))
