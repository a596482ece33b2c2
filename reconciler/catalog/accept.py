"""Writing live values into the manifests, to keep a change that was made elsewhere (``drift --accept``).

A value is written into the session's block in its manifest. If the catalog has environments, it goes into the patch
of the chosen one, because the block applies to all of them. A prompt from a file that nothing else uses goes into that
file. A value from the defaults, a template, an alias or a merge key is overridden in the session's block, so that no
other session changes. Either all edits are made or none. The edited catalog is loaded again, and must match exactly
what was accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.catalog.documents import CATALOG_FILE, read_text
from reconciler.catalog.environments import Environment
from reconciler.catalog.layers import overlay
from reconciler.catalog.load import load, load_catalog
from reconciler.catalog.loaded import Loaded
from reconciler.catalog.replace import replaced
from reconciler.domain import GROUPS, Catalog
from reconciler.errors import CatalogError, Problem, ReconcilerError
from reconciler.strict_yaml.change import Change
from reconciler.strict_yaml.edit import edit
from reconciler.strict_yaml.emit import obstacle
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.read import parse
from reconciler.text.nearest import nearest
from reconciler.text.normalise import normalise_prompt
from reconciler.values import JSON, MISSING, same

_MARK = "\ufeff"
_PLAIN_FIELDS = ("name", "model", "prompt")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A live value to accept. ``path`` names the field, as in ``parameters.temperature``; ``value`` is
    :data:`~reconciler.values.MISSING` for a field that the live session does not have."""

    key: str
    path: str
    value: JSON

    def __str__(self) -> str:
        return f"{self.key}.{self.path}"

    @property
    def steps(self) -> tuple[str, ...]:
        """The way to the field within the session's block."""
        group, dot, name = self.path.partition(".")
        return (group, name) if dot else (group,)


def accept_values(
    root: str | Path,
    changes: Iterable[Accepted],
    *,
    environment: str | None = None,
    variables: Mapping[str, JSON] | None = None,
) -> list[str]:
    """Write values into the catalog in this folder. Returns the files that changed, relative to it and sorted.

    Args:
        environment: which of the catalog's environments the values are from.
        variables: values for templates in prompts, as for :func:`~reconciler.catalog.load.load_catalog`.

    Raises:
        CatalogError: the catalog can't be loaded as it is.
        ReconcilerError: a session is not in the catalog, or a value can't be kept; no file has changed then.
    """
    loaded = load(root, environment, variables)
    before = loaded.catalog
    wanted = [change for change in changes if not _is_so_already(before, change)]
    places = _Places(loaded)
    edits: dict[str, list[Change]] = {}
    files: dict[str, bytes | None] = {}
    for change in wanted:
        place = places.of(change)
        prompt_file = places.prompt_file(place, change)
        if prompt_file is not None:
            files[prompt_file] = places.prompt(prompt_file, change)
        else:
            edits.setdefault(place.file, []).append(_edit(place, change, loaded.environment))
    for file, made in edits.items():
        files[file] = edit(places.text(file), made, file=file).encode()
    with replaced(Path(root), files):
        _check(before, wanted, root, variables)
    return sorted(files)


def _is_so_already(catalog: Catalog, change: Accepted) -> bool:
    """Whether the catalog has this value.

    Raises:
        ReconcilerError: there is no such session or field, or a session can't have this value.
    """
    session = catalog.sessions.get(change.key)
    if session is None:
        near = nearest(change.key, catalog.sessions)
        raise ReconcilerError(
            f"there is no session `{change.key}` in the catalog", f"did you mean `{near}`?" if near else ""
        )
    group, *name = change.steps
    if group not in (GROUPS if name else _PLAIN_FIELDS):
        raise ReconcilerError(
            f"`{change.path}` is not a field",
            "the fields are `name`, `model`, `prompt`, `parameters.…`, `data.…` and `remark.…`",
        )
    if not name and not isinstance(change.value, str):
        raise ReconcilerError(
            f"`{change}` can't be accepted: the live session has no value, but the catalog requires one"
        )
    fields = session.fields()
    if change.value is MISSING:
        return change.path not in fields
    found = obstacle(change.value)
    if found:
        raise ReconcilerError(f"`{change}` can't be accepted: the live value holds {found}")
    return change.path in fields and same(fields[change.path], _value(change))


def _value(change: Accepted) -> JSON:
    return normalise_prompt(change.value) if change.path == "prompt" else change.value


def _check(
    before: Catalog, changes: Iterable[Accepted], root: str | Path, variables: Mapping[str, JSON] | None
) -> None:
    """Check that the catalog has the accepted values and is otherwise unchanged.

    Raises:
        ReconcilerError: it does not, or it can no longer be loaded.
    """
    try:
        after = load_catalog(root, before.environment, variables)
    except CatalogError as error:
        # The positions refer to a text that is about to be reverted.
        raise ReconcilerError(
            [
                Problem(f"a live value can't be accepted: {one.message}", one.hint, one.file)
                for one in error.problems
            ]
        ) from None
    wanted = {key: session.fields() for key, session in before.sessions.items()}
    for change in changes:
        if change.value is MISSING:
            wanted[change.key].pop(change.path, None)
        else:
            wanted[change.key][change.path] = _value(change)
    for key, fields in wanted.items():
        found = after.sessions[key].fields()
        for path in sorted(fields.keys() | found.keys()):
            if not same(fields.get(path, MISSING), found.get(path, MISSING)):
                raise ReconcilerError(
                    f"`{key}.{path}` would not match the live value", "edit the manifest by hand"
                )


@dataclass(frozen=True, slots=True)
class _Place:
    """The block of a session that gets its values: those it has (``own``) and those it inherits (``inherited``)."""

    file: str
    path: NodePath
    own: Mapping[str, Any]
    inherited: Mapping[str, Any]


class _Places:
    """The blocks, documents and prompt files of a catalog that loads."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.documents = {file: self._document(file) for file in (CATALOG_FILE, *loaded.manifests)}
        self.uses = Counter(file for document in self.documents.values() for file in _files(document))
        self.shared: dict[str, Any] = {}
        for layer in loaded.defaults:
            self.shared = overlay(self.shared, layer.fields)

    def _document(self, file: str) -> dict[str, Any]:
        text = self.text(file).removeprefix(_MARK)
        document = parse(text.encode(), text).document
        return document if isinstance(document, dict) else {}

    def text(self, file: str) -> str:
        """The text of a file, with its line ends and its byte order mark.

        Raises:
            CatalogError: the file was removed in the meantime.
        """
        data, _ = read_text(self.loaded.root, file)
        return data.decode()

    def of(self, change: Accepted) -> _Place:
        """The block to write a session's value into.

        Raises:
            ReconcilerError: there is none, because the value is made from something else.
        """
        layers = [
            (layer.source.file, layer.path, layer.fields)
            for layer in self.loaded.composed.get(change.key, ())
        ]
        if not layers:
            file = self.loaded.files[change.key]
            own = self.documents[file]["sessions"][change.key]
            layers = [("", (), self.shared), (file, ("sessions", change.key), own)]
        environment = self.loaded.environment.name
        if environment is not None and self.loaded.has_environments:
            patch: NodePath = ("environments", environment, "sessions", change.key)
            if layers[-1][1] != patch:
                layers.append((CATALOG_FILE, patch, {}))
        file, path, own = layers[-1]
        if "matrix" in own or "from" in own:
            raise ReconcilerError(
                f"`{change}` can't be accepted: this session is one of several made from `{path[-1]}`",
                f"edit `{path[-1]}` in {file} by hand",
            )
        inherited: dict[str, Any] = {}
        for _, _, fields in layers[:-1]:
            inherited = overlay(inherited, fields)
        if change.path == "prompt" and _is_composed(own.get("prompt", inherited.get("prompt"))):
            raise ReconcilerError(
                f"`{change}` can't be accepted: the prompt has several parts, and the change may belong to any of them",
                f"edit the part by hand; `reconciler explain {change.key}` shows where each is",
            )
        return _Place(file, path, own, inherited)

    def prompt_file(self, place: _Place, change: Accepted) -> str | None:
        """The file that holds the changed prompt; ``None`` if there is none or others use it too."""
        prompt = place.own.get("prompt") if change.path == "prompt" else None
        if not isinstance(prompt, dict) or "file" not in prompt or self.uses[prompt["file"]] > 1:
            return None
        return str(prompt["file"])

    def prompt(self, file: str, change: Accepted) -> bytes:
        """The new contents of that file: the prompt, with the file's line ends and trailing white space."""
        before = self.text(file)
        body = before.removeprefix(_MARK)
        text = _value(change)
        if "\r\n" in body:
            text = text.replace("\n", "\r\n")
        # Of two byte order marks, the first belongs to the file.
        mark = before[: len(before) - len(body)] or (_MARK if text.startswith(_MARK) else "")
        return f"{mark}{text}{body[len(body.rstrip()) :] or chr(10)}".encode()


def _files(value: JSON) -> Iterator[str]:
    """The files that a document names, once for each mention."""
    if isinstance(value, dict):
        if isinstance(value.get("file"), str):
            yield value["file"]
        for child in value.values():
            yield from _files(child)
    elif isinstance(value, list):
        for child in value:
            yield from _files(child)


def _is_composed(prompt: JSON) -> bool:
    """Whether a prompt has parts or is a template."""
    return isinstance(prompt, list) or (isinstance(prompt, dict) and not prompt.keys() <= {"file"} | {"text"})


def _edit(place: _Place, change: Accepted, environment: Environment) -> Change:
    """The change to the file that holds the session's block.

    Raises:
        ReconcilerError: the name lacks the environment's prefix or suffix.
    """
    path = (*place.path, *change.steps)
    group, *name = change.steps
    if group == "name":
        return Change("set", path, _without_affixes(change, environment.prefix, environment.suffix))
    if not name:
        return Change("set", path, _value(change), prompt=group == "prompt")
    inherited = (place.inherited.get(group) or {}).get(name[0], MISSING)
    own = (place.own.get(group) or {}).get(name[0], MISSING)
    if change.value is not MISSING:
        return Change("set", path, _over(inherited, own, change.value))
    # Null removes an inherited value.
    return Change("remove", path) if inherited is MISSING else Change("set", path, None)


def _without_affixes(change: Accepted, prefix: str, suffix: str) -> str:
    name = str(change.value)
    if not (name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix)):
        raise ReconcilerError(
            f"`{change}` can't be accepted: in this environment, names start with `{prefix}` and end with `{suffix}`",
            "change the live name back, or edit the environment's `name_prefix` and `name_suffix`",
        )
    return name[len(prefix) : len(name) - len(suffix)]


def _over(inherited: JSON, own: JSON, value: JSON) -> JSON:
    """What to write over an inherited value to get a value. Keys that are written already stay."""
    if not isinstance(value, dict) or not isinstance(inherited, dict):
        return value
    said = own if isinstance(own, dict) else {}
    laid = {
        key: _over(inherited.get(key, MISSING), said.get(key, MISSING), found)
        for key, found in value.items()
        if key in said or not same(found, inherited.get(key, MISSING))
    }
    return laid | {key: None for key in inherited if key not in value}
