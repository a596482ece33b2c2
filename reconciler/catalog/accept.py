"""Writing live values into the catalog, to keep a change that was made elsewhere (``drift --accept``).

A value is written into the session's block in its manifest. In a catalog with environments it goes into the patch of
the chosen one or, if asked for, into the block, which all environments share. A value that changed alike in every
session that takes it from the defaults goes into the defaults; any other value from the defaults, a template, an alias
or a merge key is overridden in the session's block, so that no other session changes. A prompt from a file that
nothing else uses goes into that file, and a change inside one part of a composed prompt into that part.

Either all edits are made or none. The edited catalog is loaded again, and must match exactly what was accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.catalog.accept_places import Accepted, Into, Places, Target
from reconciler.catalog.load import environments, load, load_catalog
from reconciler.catalog.replace import replaced
from reconciler.domain import GROUPS, Catalog
from reconciler.errors import CatalogError, Problem, ReconcilerError
from reconciler.strict_yaml.edit import edit
from reconciler.strict_yaml.emit import obstacle
from reconciler.strict_yaml.places import Source
from reconciler.text.nearest import nearest
from reconciler.values import JSON, MISSING, same

_MARK = "\ufeff"
_PLAIN_FIELDS = ("name", "model", "prompt")


@dataclass(frozen=True, slots=True)
class Line:
    """One accepted value: what the catalog had (:data:`~reconciler.values.MISSING` if nothing), and the file and line
    that has the live value now. ``place`` says it where that is not the session's own block."""

    accepted: Accepted
    before: JSON
    file: str
    line: int
    place: str = ""


@dataclass(slots=True)
class Acceptance:
    """What accepting some live values does to a catalog. Nothing is written before :meth:`write`.

    ``lines`` has one entry for each value, in the order of the files. ``impossible`` are the problems with values that
    can't be accepted.
    """

    root: Path
    catalog: Catalog
    variables: Mapping[str, JSON]
    into: Into
    files: dict[str, bytes] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    impossible: list[Problem] = field(default_factory=list)

    def write(self) -> list[str]:
        """Write the files. Returns the other environments in which sessions change with it.

        Raises:
            ReconcilerError: the edited catalog would not be the wanted one, or a file can't be written. No file has
                changed then.
        """
        others = _others(self.root, self.catalog, self.variables)
        accepted = [line.accepted for line in self.lines]
        with replaced(self.root, self.files):
            _check(self.catalog, accepted, self.root, self.variables)
            return [
                name
                for name, before in others.items()
                if _changes_other(before, accepted if self.into == "file" else [], self.root, self.variables)
            ]


def prepare(
    root: str | Path,
    changes: Iterable[Accepted],
    *,
    environment: str | None = None,
    variables: Mapping[str, JSON] | None = None,
    into: Into = "environment",
) -> Acceptance:
    """Find out what accepting values writes where in the catalog in this folder.

    Args:
        environment: which of the catalog's environments the values are from.
        variables: values for templates in prompts, as for :func:`~reconciler.catalog.load.load_catalog`.
        into: in a catalog with environments, whether the values are for the chosen one or for all.

    Raises:
        CatalogError: the catalog can't be loaded as it is.
    """
    loaded = load(root, environment, variables)
    found = Acceptance(Path(root), loaded.catalog, variables or {}, into)

    def impossible(error: ReconcilerError) -> None:
        found.impossible += error.problems

    wanted = []
    for change in changes:
        try:
            if not _is_so_already(loaded.catalog, change):
                wanted.append(change)
        except ReconcilerError as error:
            impossible(error)
    places = Places(loaded, into)
    by_file: dict[str, list[Target]] = {}
    for target in places.targets(wanted, impossible):
        by_file.setdefault(target.file, []).append(target)
    for file, targets in sorted(by_file.items()):
        before = places.text(file)
        after, made = _edited(file, before, targets, impossible)
        if made:
            found.files[file] = after.encode()
            found.lines += _lines(loaded.catalog, file, before, after, made)
    return found


def _edited(
    file: str, text: str, targets: list[Target], impossible: Callable[[ReconcilerError], None]
) -> tuple[str, list[Target]]:
    """The text of a file with the values of these targets, and the targets whose values could be written."""
    whole = next((target for target in targets if target.edit is None), None)
    if whole is not None:
        return _prompt_file(text, whole.text), [whole]
    edits = [target.edit for target in targets if target.edit is not None]
    try:
        return edit(text, edits, file=file), targets
    except ReconcilerError:
        pass  # one of them is the reason: find out which
    made = []
    for target, change in zip(targets, edits, strict=True):
        try:
            text = edit(text, [change], file=file)
        except ReconcilerError as error:
            impossible(error)
        else:
            made.append(target)
    return text, made


def _prompt_file(before: str, text: str) -> str:
    """The new contents of a prompt's file: the prompt, with the file's line ends and trailing white space."""
    body = before.removeprefix(_MARK)
    if "\r\n" in body:
        text = text.replace("\n", "\r\n")
    # Of two byte order marks, the first belongs to the file.
    mark = before[: len(before) - len(body)] or (_MARK if text.startswith(_MARK) else "")
    return f"{mark}{text}{body[len(body.rstrip()) :] or chr(10)}"


def _lines(catalog: Catalog, file: str, before: str, after: str, made: list[Target]) -> list[Line]:
    body = after.removeprefix(_MARK)
    source = Source(file, body.encode(), body)
    lines = []
    for target in made:
        if target.edit is not None:
            number = source.at_key(target.edit.path, "").line
        else:
            same_lines = zip(before.splitlines(), after.splitlines(), strict=False)
            number = 1 + next((at for at, (one, other) in enumerate(same_lines) if one != other), 0)
        for change in target.accepted:
            old = catalog.sessions[change.key].fields().get(change.path, MISSING)
            lines.append(Line(change, old, file, number, target.place))
    return sorted(lines, key=lambda line: line.line)


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
    return change.path in fields and same(fields[change.path], change.written)


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
            wanted[change.key][change.path] = change.written
    for key, fields in wanted.items():
        found = after.sessions[key].fields()
        for path in sorted(fields.keys() | found.keys()):
            if not same(fields.get(path, MISSING), found.get(path, MISSING)):
                raise ReconcilerError(
                    f"`{key}.{path}` would not match the live value", "edit the manifest by hand"
                )


def _others(root: Path, catalog: Catalog, variables: Mapping[str, JSON]) -> dict[str, Catalog]:
    """The catalog in its other environments, those that load."""
    found = {}
    for name in environments(root):
        if name != catalog.environment:
            try:
                found[name] = load_catalog(root, name, variables)
            except CatalogError:
                continue  # it is wrong before anything is written
    return found


def _changes_other(
    before: Catalog, accepted: Iterable[Accepted], root: Path, variables: Mapping[str, JSON]
) -> bool:
    """Whether some session of another environment changed, which only the accepted fields may.

    Raises:
        ReconcilerError: another field changed, or the environment can't be loaded any more.
    """
    name = before.environment
    try:
        after = load_catalog(root, name, variables)
    except CatalogError as error:
        raise ReconcilerError(
            f"the environment `{name}` could not be loaded any more: {error.problems[0].message}",
            "edit the manifest by hand",
        ) from None
    may = {(change.key, change.path) for change in accepted}
    changed = False
    for key, session in before.sessions.items():
        old, new = session.fields(), after.sessions[key].fields()
        for path in old.keys() | new.keys():
            if same(old.get(path, MISSING), new.get(path, MISSING)):
                continue
            if (key, path) not in may:
                raise ReconcilerError(
                    f"`{key}.{path}` would change in the environment `{name}`", "edit the manifest by hand"
                )
            changed = True
    return changed
