"""From a folder to a :class:`~reconciler.domain.Catalog`: read, check, merge, build.

One file after the other is read, checked and turned into sessions, so that no more than one document is held at
a time. Problems are collected on the way; what depends on something that is wrong already is not reported again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reconciler.bulk import no_garbage_collection
from reconciler.catalog.check import SchemaName, check, left_empty
from reconciler.catalog.environments import Environment, choose
from reconciler.catalog.files import Root, UnreadableError
from reconciler.catalog.layers import Layer, Templates, merge, overlay
from reconciler.catalog.moves import Ownership, ownership
from reconciler.catalog.prompts import Prompts
from reconciler.catalog.resolve import Composer, Declared, Resolved
from reconciler.catalog.templating import Renderer
from reconciler.domain import Catalog, Fragment, Lifecycle, Limit, Policy, Session
from reconciler.errors import CatalogError, Problem
from reconciler.strict_yaml.encoding import decode
from reconciler.strict_yaml.places import Path as Path_
from reconciler.strict_yaml.places import Source
from reconciler.strict_yaml.read import parse
from reconciler.text.nearest import nearest
from reconciler.text.normalise import normalise_prompt
from reconciler.text.truncate import truncate
from reconciler.values import JSON

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


def load_catalog(
    root: str | Path, environment: str | None = None, variables: Mapping[str, JSON] | None = None
) -> Catalog:
    """Read a catalog, as ``docs/catalog.md`` and ``docs/composition.md`` describe it.

    Args:
        root: the folder that holds ``catalog.yaml``. Nothing outside of it is read.
        environment: which of the catalog's environments; where it declares none, any name will do.
        variables: values for templates in prompts, which win over those in the catalog.

    Raises:
        CatalogError: with everything that is wrong, sorted by file and line.
    """
    return loaded(root, environment, variables).catalog()


def environments(root: str | Path) -> list[str]:
    """The names of the environments that a catalog declares; none where it can't be read, which loading it tells."""
    try:
        data = Root(Path(root)).read(CATALOG_FILE)
    except UnreadableError:
        return []
    text = decode(CATALOG_FILE, data)
    document = {} if isinstance(text, Problem) else parse(data, text).document
    declared = _mapping(_mapping(document).get("environments"))
    return [name for name in declared if _KEY.fullmatch(name)]


def catalog_name(root: str | Path, environment: str | None = None) -> str:
    """The name of a catalog that has this environment, from ``catalog.yaml`` alone, whatever is wrong with the rest.

    Raises:
        CatalogError: that file can't be read, or has no such name or environment.
    """
    folder = _opened(root, environment)
    with Renderer() as renderer:
        return Loader(folder, environment, {}, renderer).name()


def loaded(root: str | Path, environment: str | None, variables: Mapping[str, JSON] | None) -> Loader:
    """A loader that has read everything there is, for those who want to know more than the result.

    Raises:
        CatalogError: nothing can be read at all.
    """
    folder = _opened(root, environment)
    with no_garbage_collection(), Renderer() as renderer:
        loader = Loader(folder, environment, variables or {}, renderer)
        loader.load()
        return loader


def _opened(root: str | Path, environment: str | None) -> Root:
    if environment is not None and not _KEY.fullmatch(environment):
        raise CatalogError(
            Problem(
                f"`{environment}` can't be the name of an environment",
                "use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit",
            )
        )
    try:
        return Root(root)
    except UnreadableError as error:
        raise CatalogError(Problem(f"{root} {error.message}", error.hint)) from None


class _StoppedError(Exception):
    """There is no point, or a danger, in reading on; the loader's last problem says why."""


class Loader:
    """Reads a catalog once. What is plain becomes a session at once; what is composed, when all files are read."""

    def __init__(
        self, root: Root, environment: str | None, variables: Mapping[str, JSON], renderer: Renderer
    ) -> None:
        self.root = root
        self.head: Mapping[str, Any] = {}
        self.owned = Ownership({}, {}, frozenset())
        self.environment = Environment(environment)
        self.shared: Sequence[Layer] = ()  # what every session has that says nothing else
        self.templates = Templates()
        self.parts = Prompts(self._prompt, renderer, self._note)
        self.composed: dict[str, Declared] = {}
        self.variables = variables
        self.problems: list[Problem] = []
        self.sessions: dict[str, Session] = {}
        self.adopters: dict[int, str] = {}  # of each live session that is to be adopted
        self.skipped: set[str] = set()  # what the environment leaves out, and what only makes others
        self.layers: dict[str, Sequence[Layer]] = {}  # of each session that is put together
        self.files: dict[str, str] = {}  # of each session's key
        self.repeated: dict[str, list[tuple[str, Problem]]] = defaultdict(list)  # by the first file
        self.prompts: dict[str, str | None] = {}  # read from files; None is one with a problem
        self.text = 0
        self.values = 0

    def load(self) -> None:
        """Read everything. What is wrong is in ``problems``."""
        with suppress(_StoppedError):
            self._load()
        self._name_first_places()

    def name(self) -> str:
        """The catalog's name, with nothing read but ``catalog.yaml``.

        Raises:
            CatalogError: it does not tell, or does not have the environment.
        """
        with suppress(_StoppedError):
            head, _, source = self._document(CATALOG_FILE, "catalog")
            name = head.get("catalog")
            if isinstance(name, str) and _KEY.fullmatch(name):
                chosen = choose(
                    {"environments": _mapping(head.get("environments"))}, self.environment.name, source
                )
                if isinstance(chosen, Problem):
                    raise CatalogError(chosen)
                return name
        raise CatalogError(self.problems)

    def catalog(self) -> Catalog:
        """What was read.

        Raises:
            CatalogError: something in it is wrong.
        """
        if self.problems:
            raise CatalogError(self.problems)
        if len(self.sessions) != len(self.files):  # what is left out of here would be deleted
            raise RuntimeError("a session was lost on the way, and nothing was said of it")
        return Catalog(
            self.head["catalog"],
            self.environment.name,
            self.sessions,
            _policy({**self.head.get("policy", {}), **self.environment.policy}),
            {key: session_id for session_id, key in self.adopters.items()},
            self.owned.moved,
            self.owned.handed_over,
            self.owned.forgotten,
            {
                name: Fragment(text, frozenset(self.parts.users[name]))
                for name, text in self.parts.texts.items()
            },
        )

    def plain_layers(self, key: str) -> Sequence[Layer]:
        """What a session is made of that is not put together: the defaults, and what its file says."""
        file = self.files[key]
        document, _, source = self._document(file, "catalog" if file == CATALOG_FILE else "manifest")
        own = Layer(f"session {key}", document["sessions"][key], source, ("sessions", key))
        return [*self.shared, own]

    def _load(self) -> None:
        head, odd, source = self._document(CATALOG_FILE, "catalog")
        self.head = head
        known = not self.problems
        if known:
            chosen = choose(head, self.environment.name, source)
            if isinstance(chosen, Problem):
                self._note(chosen)
            else:
                self.environment = chosen
        # With something wrong here, nobody knows what the sessions would get from it.
        layers = [Layer("defaults", _mapping(head.get("defaults")), source, ("defaults",))]
        if self.environment.defaults:
            place: Path_ = ("environments", self.environment.name or "", "defaults")
            layers.append(
                Layer(f"environment {self.environment.name}", self.environment.defaults, source, place)
            )
        self.shared = layers
        defaults = _Defaults(layers, known=known)
        self._note_empty(defaults.parameters, source, ("defaults",))
        self._take_document(head, odd, source, defaults)
        for file in self._manifests(head.get("include"), source):
            document, odd, read = self._document(file, "manifest")
            self._take_document(document, odd, read, defaults)
        self._compose(defaults)
        for key in self.environment.patches:
            if key not in self.files and key not in self.skipped:
                self._note_unknown_patch(key, source)
        if not self.problems:
            self.owned = ownership(
                head, head["catalog"], self.environment.name, self.sessions.__contains__, source, self._note
            )

    def _take_document(
        self, document: Mapping[str, Any], odd: frozenset[str], source: Source, defaults: _Defaults
    ) -> None:
        for name, value in _mapping(document.get("fragments")).items():
            self.parts.add_fragment(name, value, source)
        for name, fields in _mapping(document.get("templates")).items():
            problem = self.templates.add(name, _mapping(fields), source)
            if problem:
                self._note(problem)
        self._take(_mapping(document.get("sessions")), odd, source, defaults)

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
                    source.at_value(place, f"the pattern `{truncate(pattern)}` {error.message}", error.hint)
                )
                continue
            if not matched and include is not None:
                self._note(
                    source.at_value(
                        place,
                        f"the pattern `{truncate(pattern)}` matches no file",
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
                problem = source.at_key(("sessions", key), f"the session `{truncate(key)}` is declared twice")
                self.repeated[self.files[key]].append((key, problem))
                self._check_number()
            elif key in odd:
                if isinstance(given, dict):
                    self._look_into(key, given, source, defaults)
            elif (
                _COMPOSED.isdisjoint(given)
                and (_is_plain_prompt(given["prompt"]) if "prompt" in given else defaults.plain)
                and key not in self.environment.patches
            ):
                session = self._session(key, given, source, defaults)
                if session is not None:
                    self.sessions[key] = session
                    if "adopt" in given:
                        self._adopt(key, given["adopt"], source)
            else:
                self.composed[key] = Declared(given, source)

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
            home, place = (
                (source, ("sessions", key, "prompt")) if "prompt" in given else defaults.prompt_place()
            )
            prompt = self._prompt(prompt["file"], home, (*place, "file"))
            if prompt is None:
                return None
        if "lifecycle" in given:
            lifecycle = _lifecycle(_merge(defaults.lifecycle, given["lifecycle"]))
        else:
            lifecycle = defaults.built_lifecycle
        self.values += defaults.size
        if self.values > MAX_VALUES:
            self._count(source, 0, 0)
        parameters = _whole(_merge(defaults.parameters, given.get("parameters")))
        if None in parameters.values():
            self._note_empty(parameters, source, ("sessions", key))
            return None
        if self.environment.prefix or self.environment.suffix:
            name = f"{self.environment.prefix}{name}{self.environment.suffix}"
        return Session(
            key,
            name,
            model,
            normalise_prompt(prompt),
            parameters,
            _merge(defaults.data, given.get("data")),
            _merge(defaults.remark, given.get("remark")),
            lifecycle,
        )

    def _compose(self, defaults: _Defaults) -> None:
        """Make sessions of what was put aside because it is put together from several places."""
        if not self.composed or not defaults.known:
            return
        head = defaults.layers[0].source
        composer = Composer(
            defaults.layers,
            self.templates,
            self.environment,
            self.parts,
            self._prompt,
            {**self.head.get("variables", {}), **self.environment.variables},
            self.variables,
            head,
            self._note,
        )
        for declared_key, declared in self.composed.items():
            file = self.files.pop(declared_key)
            self.skipped.add(declared_key)
            for one in composer.resolve(declared_key, declared):
                self._add(one, file)

    def _add(self, one: Resolved, file: str) -> None:
        """Make a session of one that was put together."""
        key, fields = one.key, one.fields
        if not _KEY.fullmatch(key):
            message = f"`{truncate(key)}`, which this makes, can't be the key of a session"
            self._note(one.source.at_key(one.path, message, "change the pattern of the key"))
            return
        if key in self.files:
            message = f"the session `{key}`, which this makes, is declared in {self.files[key]} already"
            self._note(one.source.at_key(one.path, message, "change the pattern of the key"))
            return
        missing = [field for field in ("name", "model", "prompt") if fields.get(field) is None]
        for field in missing:
            message = f"the session `{truncate(key)}` has no `{field}`"
            self._note(one.source.at_key(one.path, message, "give it one, or one of what it extends"))
        parameters = _whole(fields.get("parameters", {}))
        if None in parameters.values():
            self._note_empty(parameters, one.source, one.path)
            return
        if missing:
            return
        self._count(one.source, len(fields["prompt"]), _size(fields))
        self.files[key] = file
        self.layers[key] = one.layers
        self.sessions[key] = Session(
            key,
            fields["name"],
            fields["model"],
            fields["prompt"],
            parameters,
            fields.get("data", {}),
            fields.get("remark", {}),
            _lifecycle(fields.get("lifecycle", {})),
        )
        if one.adopt is not None:
            self._adopt(key, one.adopt, one.source)

    def _note_empty(self, parameters: Mapping[str, JSON], source: Source, path: Path_) -> None:
        """Say of parameters that are null that there is nothing to remove."""
        for name, value in parameters.items():
            if value is None:
                self._note(source.at_value((*path, "parameters", name), *left_empty(name)))

    def _note_unknown_patch(self, key: str, source: Source) -> None:
        close = nearest(key, self.files)
        self._note(
            source.at_key(
                ("environments", self.environment.name or "", "sessions", key),
                f"there is no session `{truncate(key)}` to patch",
                f"did you mean `{close}`?" if close else "correct the key, or take the patch out",
            )
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
                source.at_key(("sessions", key), f"the session `{truncate(key)}` has no `{field}`", hint)
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
                    f"the live session {session_id} is to be adopted as `{truncate(first)}` already",
                    "let one of the two adopt it",
                )
            )

    def _prompt(self, path: str, source: Source, place: Path_) -> str | None:
        """The text of a prompt's file, which is read once however many sessions use it."""
        if path in self.prompts:
            return self.prompts[path]
        self.prompts[path] = None
        try:
            data = self.root.read(path)
        except UnreadableError as error:
            self._note(
                source.at_value(place, f"the prompt file `{truncate(path)}` {error.message}", error.hint)
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
    """What every session has that says nothing else: the catalog's ``defaults`` and the environment's.

    ``known`` is false when something is wrong with catalog.yaml.
    """

    def __init__(self, layers: Sequence[Layer], *, known: bool) -> None:
        self.layers = layers
        self.known = known
        given: dict[str, Any] = {}
        if known:
            for layer in layers:
                given = overlay(given, layer.fields)
        self.model: str | None = given.get("model")
        self.prompt: Any = given.get("prompt")
        self.parameters: dict[str, JSON] = given.get("parameters", {})
        self.data: dict[str, JSON] = given.get("data", {})
        self.remark: dict[str, JSON] = given.get("remark", {})
        self.lifecycle: dict[str, JSON] = given.get("lifecycle", {})
        self.built_lifecycle = _lifecycle(self.lifecycle)
        self.plain = _is_plain_prompt(self.prompt)
        #: How many values a session takes over from here, at most.
        self.size = sum(map(_size, (self.parameters, self.data, self.remark, self.lifecycle)))

    def prompt_place(self) -> tuple[Source, Path_]:
        """Where the prompt that all share stands."""
        layer = next(layer for layer in reversed(self.layers) if "prompt" in layer.fields)
        return layer.source, (*layer.path, "prompt")


#: Fields that make a session a composed one.
_COMPOSED: Final = frozenset({"extends", "matrix", "from", "variables"})


def _is_plain_prompt(prompt: Any) -> bool:
    """Whether a prompt is a text, or a file of which nothing more is said."""
    return (
        prompt is None or prompt.__class__ is str or (prompt.__class__ is dict and prompt.keys() == {"file"})
    )


def _size(value: JSON) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1


def _mapping(value: JSON) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _merge(base: dict[str, JSON], own: dict[str, JSON] | None) -> dict[str, JSON]:
    if not own:
        return base
    return merge(base, own) if base else own


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
