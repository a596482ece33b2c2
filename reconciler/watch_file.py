"""Reads ``watch.yaml``: what ``reconciler watch`` watches (``schemas/watch.schema.json``).

The file is as strict as a manifest, and its problems have places. It names where keys are, never a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from reconciler.controller.git_source import GitPlace
from reconciler.controller.settings import FULL_INTERVAL, INTERVAL, Limits
from reconciler.controller.status import Mode
from reconciler.controller.window import Window, parse_window
from reconciler.domain import Limit
from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.schemas import schema_errors
from reconciler.strict_yaml.document import Document, read_document
from reconciler.strict_yaml.path import NodePath
from reconciler.text.nearest import nearest
from reconciler.text.shown import listed, shown
from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: The account that there is if the file declares none.
DEFAULT_ACCOUNT: Final = "default"

_MAX_PROBLEMS: Final = 100
_NO_LIMITS: Final = Limits()
_DURATION: Final = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """An account of the file. ``endpoint`` is as it is written; None is the address that the command chose. The key is
    in the variable ``key_variable`` or in the file ``key_file``; if both are None, it is where the command says."""

    name: str
    endpoint: str | None = None
    key_variable: str | None = None
    key_file: Path | None = None
    contract: Path | None = None
    full_interval: float = FULL_INTERVAL


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A catalog of the file: a ``folder`` or a ``git`` ref. Times are in seconds."""

    name: str
    account: str
    state: Path
    folder: Path | None = None
    git: GitPlace | None = None
    environment: str | None = None
    variables: Mapping[str, JSON] = field(default_factory=dict)
    mode: Mode = "observe"
    interval: float = INTERVAL
    window: Window | None = None
    limits: Limits = _NO_LIMITS
    suspended: bool = False
    lock: bool = True
    settle: float | None = None


@dataclass(frozen=True, slots=True)
class WatchFile:
    """What the file holds."""

    accounts: tuple[AccountEntry, ...]
    catalogs: tuple[CatalogEntry, ...]


def parse_duration(text: str) -> float:
    """A duration in seconds: ``90s``, ``5m``, ``1h30m``.

    Raises:
        UsageError: it has another form.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise UsageError(f"{text!r} is not a duration", "write it like 30s, 5m or 1h30m")
    hours, minutes, seconds = (int(one or 0) for one in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds


def read_watch_file(path: Path, state_folder: str) -> WatchFile:
    """Read a watch.yaml. ``state_folder`` is the name of the state folder in a catalog's folder.

    Raises:
        ReconcilerError: it can't be read or used. All problems are reported at once, with their places.
    """
    document = read_document(path, "the watch file")
    problems = list(document.problems)
    if not document.broken:
        problems += _misfits(document)
    if problems:
        raise ReconcilerError(sorted(dict.fromkeys(problems), key=lambda problem: problem.order))
    reader = _Reader(document, path.parent, state_folder)
    found = reader.read()
    if reader.problems:
        raise ReconcilerError(sorted(reader.problems, key=lambda problem: problem.order))
    return found


class _Reader:
    """Makes values of a document that fits the schema. ``problems`` are what the schema does not see."""

    def __init__(self, document: Document, folder: Path, state_folder: str) -> None:
        self.problems: list[Problem] = []
        self._value: Any = document.value
        self._source = document.source
        self._folder = folder
        self._state_folder = state_folder

    def read(self) -> WatchFile:
        accounts = [self._account(name, entry or {}) for name, entry in self._accounts().items()]
        return WatchFile(
            tuple(accounts),
            tuple(self._catalog(name, entry, accounts) for name, entry in self._value["catalogs"].items()),
        )

    def _accounts(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._value.get("accounts") or {DEFAULT_ACCOUNT: {}}
        return found

    def _account(self, name: str, entry: Mapping[str, Any]) -> AccountEntry:
        key = entry.get("key", {})
        at = ("accounts", name)
        return AccountEntry(
            name,
            entry.get("endpoint"),
            key.get("env"),
            self._path(key.get("file")),
            self._path(entry.get("contract")),
            self._duration("full_interval", entry, at, FULL_INTERVAL),
        )

    def _catalog(self, name: str, entry: Mapping[str, Any], accounts: list[AccountEntry]) -> CatalogEntry:
        at = ("catalogs", name)
        folder = self._path(entry.get("folder"))
        state = self._path(entry.get("state")) or (folder or self._folder) / self._state_folder
        settle = entry.get("settle")
        return CatalogEntry(
            name,
            self._account_of(entry, at, [one.name for one in accounts]),
            state,
            folder,
            self._git(entry.get("git"), at),
            entry.get("environment"),
            entry.get("variables", {}),
            entry.get("mode", self._value.get("mode", "observe")),
            self._duration("interval", entry, at, INTERVAL),
            self._window(entry, at),
            _limits(entry.get("limits", {})),
            entry.get("suspended", False),
            entry.get("lock", True),
            None if settle is None else parse_duration(settle),
        )

    def _account_of(self, entry: Mapping[str, Any], at: NodePath, known: list[str]) -> str:
        name = entry.get("account")
        if name is None and len(known) == 1:
            return known[0]
        if name is None:
            hint = f"add `account:`; there are {listed(known)}"
            self.problems.append(
                self._source.at_key(at, f"`{'.'.join(map(str, at))}` names no account", hint)
            )
        elif name not in known:
            close = nearest(name, known)
            hint = f"did you mean `{close}`?" if close else f"declared are {listed(known)}"
            message = f"there is no account `{truncate(name)}`"
            self.problems.append(self._source.at_value((*at, "account"), message, hint))
        else:
            return str(name)
        return known[0]

    def _git(self, entry: Mapping[str, Any] | None, at: NodePath) -> GitPlace | None:
        if entry is None:
            return None
        try:
            return GitPlace(entry["url"], entry.get("ref", "HEAD"), entry.get("path", "."))
        except ReconcilerError as error:
            self._note((*at, "git"), error)
            return None

    def _window(self, entry: Mapping[str, Any], at: NodePath) -> Window | None:
        here = "window" in entry
        text = entry.get("window", self._value.get("window"))
        if text is None:
            return None
        try:
            return parse_window(text)
        except ReconcilerError as error:
            self._note((*at, "window") if here else ("window",), error)
            return None

    def _duration(self, name: str, entry: Mapping[str, Any], at: NodePath, default: float) -> float:
        here = name in entry
        text = entry.get(name, self._value.get(name))
        if text is None:
            return default
        seconds = parse_duration(text)
        if seconds < 1:
            place = (*at, name) if here else (name,)
            self.problems.append(self._source.at_value(place, f"`{name}` is too short", "write 1s or more"))
        return seconds

    def _path(self, text: str | None) -> Path | None:
        return None if text is None else self._folder / text

    def _note(self, at: NodePath, error: ReconcilerError) -> None:
        found = [self._source.at_value(at, one.message, one.hint) for one in error.problems]
        self.problems += [one for one in found if one not in self.problems]


def _limits(entry: Mapping[str, Any]) -> Limits:
    given = dict(entry)
    for name in ("max_deletes", "max_updates", "max_changes"):
        if name in given:
            given[name] = _limit(given[name])
    return Limits(**given)


def _limit(value: Any) -> Limit:
    return Limit(percent=float(value[:-1])) if isinstance(value, str) else Limit(count=int(value))


_NAME: Final = "use letters, digits, and the signs . _ @ -; begin with a letter or a digit"


def _misfits(document: Document) -> Iterator[Problem]:
    """What does not fit the schema."""
    for error in islice(schema_errors(document.value, "watch"), _MAX_PROBLEMS):
        path: NodePath = tuple(error.absolute_path)
        what = f"`{'.'.join(map(str, path))}`" if path else "the watch file"
        if "propertyNames" in error.absolute_schema_path:
            message = f'"{truncate(error.instance)}" can\'t be a name in {what}'
            yield document.source.at_key((*path, error.instance), message, _NAME)
        elif error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            for key in error.instance:
                if key not in known:
                    close = nearest(key, known)
                    hint = f"did you mean `{close}`?" if close else f"known are {listed(known)}"
                    message = f"`{truncate(key)}` is not a field of {what}"
                    yield document.source.at_key((*path, key), message, hint)
        elif error.validator == "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            for key in missing:
                hint = "add it; `reconciler schema watch` describes each field"
                yield document.source.at_value(path, f"{what} has no `{key}`", hint)
        else:
            yield document.source.at_value(path, *_misfit(error, what))


def _misfit(error: Any, what: str) -> tuple[str, str]:
    value, expected = error.instance, error.validator_value
    described = "`reconciler schema watch` describes each field"
    match error.validator:
        case "oneOf":
            return f"{what} needs either `folder` or `git`", "name the one that it is watched in"
        case "enum":
            close = nearest(str(value), [str(one) for one in expected])
            hint = f"did you mean `{close}`?" if close else "write one of these"
            return f"{what} is {shown(value)}, and can be {listed(expected)}", hint
        case "type":
            words = expected if isinstance(expected, list) else [expected]
            return f"{what} is {shown(value)}, and has to be {' or '.join(map(_type, words))}", described
        case "pattern" | "not" if "h)?(" in str(error.schema.get("pattern")):
            return f"{what} is {shown(value)}, and not a duration", "write it like 30s, 5m or 1h30m"
        case "anyOf":
            return (
                f"{what} is {shown(value)}, and not a limit",
                "write a count like 10, or a percentage like 5%",
            )
        case "minProperties" | "maxProperties" if what.endswith(".key`"):
            return f"{what} needs either `env` or `file`", "name the variable or the file that holds the key"
        case "minProperties":
            return f"{what} is empty", described
        case _:
            return f"{what} is {shown(value)}, which does not fit", described


def _type(name: str) -> str:
    return {"object": "a mapping", "array": "a list", "integer": "an integer"}.get(name, f"a {name}")
