"""Writing live values into the manifests, so that a change made elsewhere can be kept (``drift --accept``).

A value goes to where its session is declared. A prompt in a file of its own goes to that file; what comes from
the catalog's ``defaults``, an alias or a merge key is overruled in the session's own block, so that no other session
changes. All edits are made or none; the catalog is loaded again, and has to say exactly what was accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from reconciler.catalog.change import Change
from reconciler.catalog.edit import edit
from reconciler.catalog.emit import obstacle
from reconciler.catalog.files import Root
from reconciler.catalog.load import CATALOG_FILE, DEFAULT_INCLUDE, load_catalog
from reconciler.catalog.replace import replaced
from reconciler.catalog.strict_yaml import parse
from reconciler.errors import CatalogError, Problem, ReconcilerError
from reconciler.model import GROUPS, JSON, Catalog
from reconciler.plan.model import MISSING
from reconciler.text import normalise_prompt
from reconciler.values import same

_MARK = "\ufeff"
_PLAIN_FIELDS = ("name", "model", "prompt")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A live value to keep. ``path`` names the field, as in ``parameters.temperature``; ``value`` is
    :data:`~reconciler.plan.model.MISSING` for a field that the live session does not have."""

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
    root: str | Path, changes: Iterable[Accepted], *, environment: str | None = None
) -> list[str]:
    """Write values into the catalog in this folder. Returns the files that changed, relative to it and sorted.

    Raises:
        CatalogError: the catalog can't be loaded as it is.
        ReconcilerError: a session is not in the catalog, or a value can't be kept; no file has changed then.
    """
    before = load_catalog(root, environment)
    wanted = [change for change in changes if not _is_so_already(before, change)]
    home = _Home(Root(root))
    edits: dict[str, list[Change]] = {}
    files: dict[str, bytes | None] = {}
    for change in wanted:
        prompt_file = home.prompt_file(change)
        if prompt_file is not None:
            files[prompt_file] = home.prompt(prompt_file, change)
        else:
            edits.setdefault(home.manifest(change), []).append(home.edit(change))
    for file, made in edits.items():
        files[file] = edit(home.text(file), made, file=file).encode()
    with replaced(Path(root), files):
        _check(root, before, wanted)
    return sorted(files)


def _is_so_already(catalog: Catalog, change: Accepted) -> bool:
    """Whether the catalog has this value.

    Raises:
        ReconcilerError: there is no such session or field, or a session can't have this value.
    """
    session = catalog.sessions.get(change.key)
    if session is None:
        near = get_close_matches(change.key, catalog.sessions, 1)
        raise ReconcilerError(
            f"there is no session `{change.key}` in the catalog", f"did you mean `{near[0]}`?" if near else ""
        )
    group, *name = change.steps
    if group not in (GROUPS if name else _PLAIN_FIELDS):
        raise ReconcilerError(
            f"`{change.path}` is no field",
            "fields are `name`, `model`, `prompt`, `parameters.…`, `data.…` and `remark.…`",
        )
    if not name and not isinstance(change.value, str):
        raise ReconcilerError(
            f"`{change}` can't be kept: the live session has none, and the catalog needs one"
        )
    fields = session.fields()
    if change.value is MISSING:
        return change.path not in fields
    found = obstacle(change.value)
    if found:
        raise ReconcilerError(f"`{change}` can't be kept: the live value holds {found}")
    return change.path in fields and same(fields[change.path], _value(change))


def _value(change: Accepted) -> JSON:
    return normalise_prompt(change.value) if change.path == "prompt" else change.value


def _check(root: str | Path, before: Catalog, changes: Iterable[Accepted]) -> None:
    """See that the catalog says what was accepted, and otherwise what it said before.

    Raises:
        ReconcilerError: it does not, or can't be loaded any more.
    """
    try:
        after = load_catalog(root, before.environment)
    except CatalogError as error:
        # The places are those of a text that is about to be taken back.
        raise ReconcilerError(
            [
                Problem(f"a live value can't be kept: {one.message}", one.hint, one.file)
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
                    f"`{key}.{path}` would not come out as it is live", "write it into the manifest by hand"
                )


class _Home:
    """What is declared where, in a catalog that loads."""

    def __init__(self, root: Root) -> None:
        self.root = root
        head = self._document(CATALOG_FILE)
        self.defaults: Mapping[str, Any] = head.get("defaults") or {}
        self.blocks: dict[str, tuple[str, Mapping[str, Any]]] = {}
        patterns = head.get("include", [DEFAULT_INCLUDE])
        for file in sorted({CATALOG_FILE}.union(*map(root.expand, patterns))):
            sessions = (head if file == CATALOG_FILE else self._document(file)).get("sessions") or {}
            self.blocks |= {key: (file, block) for key, block in sessions.items()}
        prompts = [block.get("prompt") for _, block in self.blocks.values()] + [self.defaults.get("prompt")]
        self.users = Counter(prompt["file"] for prompt in prompts if isinstance(prompt, dict))

    def _document(self, file: str) -> dict[str, Any]:
        text = self.text(file)
        document = parse(text.encode(), text.removeprefix(_MARK)).document
        return document if isinstance(document, dict) else {}

    def text(self, file: str) -> str:
        """The text of a file, with its line ends and its byte order mark."""
        return self.root.read(file).decode()

    def manifest(self, change: Accepted) -> str:
        """The file that the session is declared in.

        Raises:
            ReconcilerError: it is not written out in any.
        """
        if change.key not in self.blocks:
            raise ReconcilerError(
                f"`{change}` can't be kept: no manifest has the session written out",
                "change by hand what it is made from",
            )
        return self.blocks[change.key][0]

    def prompt_file(self, change: Accepted) -> str | None:
        """The file that holds the prompt that changes, if one does, and for this session alone."""
        if change.path != "prompt" or change.key not in self.blocks:
            return None
        prompt = self.blocks[change.key][1].get("prompt")
        if not isinstance(prompt, dict) or self.users[prompt["file"]] > 1:
            return None
        return str(prompt["file"])

    def prompt(self, file: str, change: Accepted) -> bytes:
        """What that file is to hold: the prompt, with the line ends and the white space at the end that it has."""
        former = self.text(file)
        body = former.removeprefix(_MARK)
        text = _value(change)
        if "\r\n" in body:
            text = text.replace("\n", "\r\n")
        # Of two byte order marks the first is that of the file.
        mark = former[: len(former) - len(body)] or (_MARK if text.startswith(_MARK) else "")
        return f"{mark}{text}{body[len(body.rstrip()) :] or chr(10)}".encode()

    def edit(self, change: Accepted) -> Change:
        """The change to the manifest.

        Raises:
            ReconcilerError: the value comes from the defaults, and a session can't do without it.
        """
        block = self.blocks[change.key][1]
        path = ("sessions", change.key, *change.steps)
        group, *name = change.steps
        if not name:
            return Change("set", path, _value(change), prompt=group == "prompt")
        inherited = (self.defaults.get(group) or {}).get(name[0], MISSING)
        if change.value is not MISSING:
            return Change("set", path, _own(change.value, (block.get(group) or {}).get(name[0]), inherited))
        if inherited is not MISSING:
            raise ReconcilerError(
                f"`{change}` can't be kept: the live session does not have it, and `defaults` give it to all",
                f"take `{change.path}` out of `defaults` in {CATALOG_FILE}, and give it to those that need it",
            )
        return Change("remove", path)


def _own(value: JSON, own: JSON, inherited: JSON) -> JSON:
    """What of a value has to stand in the session's block; mappings take the rest from the defaults."""
    if not isinstance(value, dict) or not isinstance(inherited, dict):
        return value
    own = own if isinstance(own, dict) else {}
    return {
        key: _own(found, own.get(key), inherited.get(key))
        for key, found in value.items()
        if key in own or not same(found, inherited.get(key, MISSING))
    }
