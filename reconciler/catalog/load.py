"""From a folder to a :class:`~reconciler.model.Catalog`: read, check, merge, build.

One file after the other is read, checked and turned into sessions, so that no more than one document is held at
a time. Problems are collected on the way; what depends on something that is wrong already is not reported again.
"""

from __future__ import annotations

import gc
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reconciler.catalog.check import SchemaName, check
from reconciler.catalog.encoding import decode
from reconciler.catalog.files import Root, UnreadableError
from reconciler.catalog.ownership import Ownership, ownership
from reconciler.catalog.places import Source
from reconciler.catalog.strict_yaml import parse
from reconciler.errors import CatalogError, Problem
from reconciler.model import JSON, Catalog, Lifecycle, Limit, Policy, Session
from reconciler.text import normalise_prompt, shortened

CATALOG_FILE: Final = "catalog.yaml"
DEFAULT_INCLUDE: Final = "sessions/**/*.yaml"

#: What a whole catalog may come to: bytes of text, aliases written out; and values, aliases and defaults written
#: out. A million sessions of 600 characters stay well below both.
MAX_TEXT: Final = 2 * 2**30
MAX_VALUES: Final = 50_000_000
#: After so many problems, reading stops.
MAX_PROBLEMS: Final = 1000

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_FIELDS: Final = frozenset({"name", "model", "prompt", "parameters", "data", "remark", "lifecycle", "adopt"})


def load_catalog(root: str | Path, environment: str | None = None) -> Catalog:
    """Read a catalog, as ``docs/catalog.md`` describes it.

    Args:
        root: the folder that holds ``catalog.yaml``. Nothing outside of it is read.
        environment: what to note as the environment in the result.

    Raises:
        CatalogError: with everything that is wrong, sorted by file and line.
    """
    if environment is not None and not _KEY.fullmatch(environment):
        raise CatalogError(
            Problem(
                f"`{environment}` can't be the name of an environment",
                "use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit",
            )
        )
    try:
        folder = Root(root)
    except UnreadableError as error:
        raise CatalogError(Problem(f"{root} {error.message}", error.hint)) from None
    with _no_garbage_collection():
        return _Loader(folder).load(environment)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    # Millions of values are made that stay, none of them in a cycle: looking for cycles among them again and
    # again takes a quarter of the time, and finds nothing.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _StoppedError(Exception):
    """There is no point, or a danger, in reading on; the loader's last problem says why."""


class _Loader:
    def __init__(self, root: Root) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.sessions: dict[str, Session] = {}
        self.adopters: dict[int, str] = {}  # of each live session that is to be adopted
        self.files: dict[str, str] = {}  # of each session's key
        self.repeated: dict[str, list[tuple[str, Problem]]] = defaultdict(list)  # by the first file
        self.prompts: dict[str, str | None] = {}  # read from files; None is one with a problem
        self.text = 0
        self.values = 0

    def load(self, environment: str | None) -> Catalog:
        head: Mapping[str, Any] = {}
        owned = Ownership({}, {}, frozenset())
        with suppress(_StoppedError):
            head, source = self._load()
            if not self.problems:
                name = head["catalog"]
                owned = ownership(head, name, environment, self.sessions.__contains__, source, self._note)
        self._name_first_places()
        if self.problems:
            raise CatalogError(self.problems)
        if len(self.sessions) != len(self.files):  # what is left out of here would be deleted
            raise RuntimeError("a session was lost on the way, and nothing was said of it")
        return Catalog(
            head["catalog"],
            environment,
            self.sessions,
            _policy(head.get("policy", {})),
            {key: session_id for session_id, key in self.adopters.items()},
            owned.moved,
            owned.handed_over,
            owned.forgotten,
        )

    def _load(self) -> tuple[Mapping[str, Any], Source]:
        head, odd, source = self._document(CATALOG_FILE, "catalog")
        # With something wrong here, nobody knows what the sessions would get from it.
        defaults = _Defaults(_mapping(head.get("defaults")), source, known=not self.problems)
        self._take(_mapping(head.get("sessions")), odd, source, defaults)
        head_source = source
        for file in self._manifests(head.get("include"), source):
            document, odd, source = self._document(file, "manifest")
            self._take(_mapping(document.get("sessions")), odd, source, defaults)
        return head, head_source

    def _document(self, file: str, schema: SchemaName) -> tuple[dict[str, Any], frozenset[str], Source]:
        """What could be read of a file, the keys of sessions in it that are wrong, and where things stand in it."""
        try:
            data = self.root.read(file)
        except UnreadableError as error:
            self._note(self._unreadable(file, error))
            return {}, frozenset(), Source(file, b"", "")
        text = decode(file, data)
        if isinstance(text, Problem):
            self._note(text)
            return {}, frozenset(), Source(file, b"", "")
        source = Source(file, data, text)
        parsed = parse(data, text)
        places = set()
        for fault in parsed.faults:
            problem = source.at(fault.at, fault.message, fault.hint)
            if fault.repeated and (line := source.first(fault.at)):
                problem = source.at(fault.at, f"{fault.message}, first in line {line}", fault.hint)
            places.add((problem.line, problem.column))
            self._note(problem)
        if parsed.broken:
            return {}, frozenset(), source
        self._count(source, len(data) + parsed.text, parsed.values)
        problems, odd = check(parsed.document, schema, source)
        for problem in problems:
            if (problem.line, problem.column) not in places:  # else it says the same once more
                self._note(problem)
        return _mapping(parsed.document), odd, source

    def _unreadable(self, file: str, error: UnreadableError) -> Problem:
        if file == CATALOG_FILE and error.message == "does not exist":
            for other in ("catalog.yml", "catalog.json"):
                if self.root.has(other):
                    return Problem("there is no catalog.yaml here", f"rename {other} to catalog.yaml", file)
            return Problem(
                "there is no catalog.yaml here",
                "a catalog is a folder with this file in it; name the right folder",
                file,
            )
        return Problem(f"this file {error.message}", error.hint, file)

    def _manifests(self, include: JSON, source: Source) -> list[str]:
        """The files that hold sessions. An explicit pattern has to match something, the default does not."""
        if include is None:
            patterns: list[Any] = [DEFAULT_INCLUDE]
        else:
            patterns = include if isinstance(include, list) else []
        found: set[str] = set()
        for number, pattern in enumerate(patterns):
            if not isinstance(pattern, str) or not pattern:
                continue
            place = ("include", number)
            try:
                matched = self.root.expand(pattern)
            except UnreadableError as error:
                self._note(
                    source.at_value(place, f"the pattern `{shortened(pattern)}` {error.message}", error.hint)
                )
                continue
            if not matched and include is not None:
                self._note(
                    source.at_value(
                        place,
                        f"the pattern `{shortened(pattern)}` matches no file",
                        "check the spelling, or take it out; paths are written from the folder of catalog.yaml",
                    )
                )
            found.update(matched)
        return sorted(found - {CATALOG_FILE})

    def _take(
        self, sessions: Mapping[str, Any], odd: frozenset[str], source: Source, defaults: _Defaults
    ) -> None:
        """Make sessions of what a document holds of them. Of one that does not fit, the rest is looked into."""
        file = source.file
        for key, given in sessions.items():
            if self.files.setdefault(key, file) != file:
                problem = source.at_key(
                    ("sessions", key), f"the session `{shortened(key)}` is declared twice"
                )
                self.repeated[self.files[key]].append((key, problem))
                self._check_number()
            elif key in odd:
                if isinstance(given, dict):
                    self._look_into(key, given, source, defaults)
            else:
                session = self._session(key, given, source, defaults)
                if session is not None:
                    self.sessions[key] = session
                    if "adopt" in given:
                        self._adopt(key, given["adopt"], source)

    def _session(
        self, key: str, given: Mapping[str, Any], source: Source, defaults: _Defaults
    ) -> Session | None:
        name: str | None = given.get("name")
        model: str | None = given.get("model", defaults.model)
        prompt: Any = given.get("prompt", defaults.prompt)
        if name is None or model is None or prompt is None:
            self._look_into(key, given, source, defaults)
            return None
        if prompt.__class__ is not str:
            home = source if "prompt" in given else defaults.source
            place = (
                ("sessions", key, "prompt", "file") if "prompt" in given else ("defaults", "prompt", "file")
            )
            prompt = self._prompt(prompt["file"], home, place)
            if prompt is None:
                return None
        if "lifecycle" in given:
            lifecycle = _lifecycle(_merge(defaults.lifecycle, given["lifecycle"]))
        else:
            lifecycle = defaults.built_lifecycle
        self.values += defaults.size
        if self.values > MAX_VALUES:
            self._count(source, 0, 0)
        return Session(
            key,
            name,
            model,
            normalise_prompt(prompt),
            _whole(_merge(defaults.parameters, given.get("parameters"))),
            _merge(defaults.data, given.get("data")),
            _merge(defaults.remark, given.get("remark")),
            lifecycle,
        )

    def _look_into(self, key: str, given: Mapping[str, Any], source: Source, defaults: _Defaults) -> None:
        """Find what is wrong with a session beside its form: fields that are missing, a prompt file."""
        # A field that is not known may well be the missing one, misspelt.
        wanted = () if given.keys() - _FIELDS else ("name", "model", "prompt")
        for field in wanted:
            if field in given or (
                field != "name" and (not defaults.known or getattr(defaults, field) is not None)
            ):
                continue
            hint = (
                "give it one"
                if field == "name"
                else "give it one, or give all one below `defaults` in catalog.yaml"
            )
            self._note(
                source.at_key(("sessions", key), f"the session `{shortened(key)}` has no `{field}`", hint)
            )
        prompt = given.get("prompt")
        if isinstance(prompt, dict) and isinstance(prompt.get("file"), str) and prompt["file"]:
            self._prompt(prompt["file"], source, ("sessions", key, "prompt", "file"))

    def _adopt(self, key: str, session_id: int, source: Source) -> None:
        """Note that a key is to take over a live session. Two keys can't take over the same one."""
        first = self.adopters.setdefault(int(session_id), key)
        if first != key:
            self._note(
                source.at_value(
                    ("sessions", key, "adopt"),
                    f"the live session {session_id} is to be adopted as `{shortened(first)}` already",
                    "let one of the two adopt it",
                )
            )

    def _prompt(self, path: str, source: Source, place: tuple[str, ...]) -> str | None:
        """The text of a prompt's file, which is read once however many sessions use it."""
        if path in self.prompts:
            return self.prompts[path]
        self.prompts[path] = None
        try:
            data = self.root.read(path)
        except UnreadableError as error:
            self._note(
                source.at_value(place, f"the prompt file `{shortened(path)}` {error.message}", error.hint)
            )
            return None
        self._count(source, len(data), 1)
        text = decode(path, data)
        if isinstance(text, Problem):
            self._note(text)
            return None
        if "\0" in text:
            nul = Source(path, data, text).at(
                text.index("\0"),
                "there is a NUL character here",
                "take it out; save the file as UTF-8 if it is UTF-16",
            )
            self._note(nul)
            return None
        self.prompts[path] = text
        return text

    def _name_first_places(self) -> None:
        """Say of each session that is declared twice where the first one is; each file is read once for all."""
        for first, repeated in self.repeated.items():
            source = self._again(first)
            for key, problem in repeated:
                line = f":{source.at_key(('sessions', key), '').line}" if source else ""
                self.problems.append(
                    replace(
                        problem,
                        message=f"{problem.message}, first in {first}{line}",
                        hint="give one of the two another key, or take it out",
                    )
                )

    def _again(self, file: str) -> Source | None:
        """A file that was read before; ``None`` where somebody has changed or removed it meanwhile."""
        try:
            data = self.root.read(file)
        except UnreadableError:
            return None
        text = decode(file, data)
        return None if isinstance(text, Problem) else Source(file, data, text)

    def _count(self, source: Source, text: int, values: int) -> None:
        self.text += text
        self.values += values
        if self.text > MAX_TEXT or self.values > MAX_VALUES:
            self.problems.append(
                Problem(
                    f"up to here, the catalog comes to more than {MAX_TEXT // 2**30} GiB of text"
                    f" or {MAX_VALUES:,} values",
                    "split the catalog",
                    source.file,
                )
            )
            raise _StoppedError

    def _note(self, problem: Problem) -> None:
        self.problems.append(problem)
        self._check_number()

    def _check_number(self) -> None:
        if len(self.problems) + sum(map(len, self.repeated.values())) >= MAX_PROBLEMS:
            self.problems.append(
                Problem(f"there are {MAX_PROBLEMS:,} problems or more, and the rest was not looked at")
            )
            raise _StoppedError


class _Defaults:
    """The catalog's ``defaults``. ``known`` is false when something is wrong with catalog.yaml."""

    def __init__(self, given: Mapping[str, Any], source: Source, *, known: bool) -> None:
        self.source = source
        self.known = known
        if not known:
            given = {}
        self.model: str | None = given.get("model")
        self.prompt: Any = given.get("prompt")
        self.parameters: dict[str, JSON] = given.get("parameters", {})
        self.data: dict[str, JSON] = given.get("data", {})
        self.remark: dict[str, JSON] = given.get("remark", {})
        self.lifecycle: dict[str, JSON] = given.get("lifecycle", {})
        self.built_lifecycle = _lifecycle(self.lifecycle)
        #: How many values a session takes over from here, at most.
        self.size = sum(map(_size, (self.parameters, self.data, self.remark, self.lifecycle)))


def _size(value: JSON) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1


def _mapping(value: JSON) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _merge(base: dict[str, JSON], own: dict[str, JSON] | None) -> dict[str, JSON]:
    """Mappings by key, at any depth; anything else is replaced."""
    if not own:
        return base
    if not base:
        return own
    merged = base | own
    for key, value in base.items():
        if value.__class__ is dict and key in own and own[key].__class__ is dict:
            merged[key] = _merge(value, own[key])
    return merged


def _whole(parameters: dict[str, JSON]) -> dict[str, JSON]:
    """The parameters with ``4000.0`` as ``4000`` where whole numbers belong: in a form they would be two texts."""
    for name in ("max_tokens", "history_length"):
        if parameters.get(name).__class__ is float:
            parameters = {**parameters, name: int(parameters[name])}
    return parameters


def _lifecycle(given: Mapping[str, Any]) -> Lifecycle:
    return Lifecycle(given.get("prevent_destroy", False), tuple(given.get("ignore_changes", ())))


def _policy(given: Mapping[str, Any]) -> Policy:
    values: dict[str, Any] = dict(given)
    for name in ("max_deletes", "max_updates", "max_changes"):
        if name in values:
            values[name] = _limit(values[name])
    return Policy(**values)


def _limit(value: float | str) -> Limit:
    if isinstance(value, str):
        return Limit(percent=float(value[:-1]))
    return Limit(count=int(value))
