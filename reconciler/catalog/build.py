"""From documents to sessions.

A plain session is built as soon as its document is read, so that only one document is held at a time. A composed
one has to wait until all files are read. A consequence of a reported problem is not reported again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from reconciler.behaviour.case import Case
from reconciler.catalog.behaviour import Cases
from reconciler.catalog.budget import Budget, memory, size
from reconciler.catalog.check import check, left_empty
from reconciler.catalog.defaults import Defaults, build_lifecycle, inherit, is_plain_prompt
from reconciler.catalog.documents import CATALOG_FILE, Document, Documents, mapping
from reconciler.catalog.environments import Environment, choose
from reconciler.catalog.files import Root
from reconciler.catalog.layers import Layer, Templates, merge_tests
from reconciler.catalog.loaded import FragmentUse, Loaded
from reconciler.catalog.moves import Ownership, ownership
from reconciler.catalog.problems import Problems, StoppedError
from reconciler.catalog.prompts import Prompts, Render
from reconciler.catalog.resolve import Composer, Declared, Resolved
from reconciler.catalog.service import service_facts
from reconciler.domain import Catalog, Fragment, Limit, Policy, ServiceFacts, Session
from reconciler.errors import REPORT, CatalogError, Problem
from reconciler.ownership.key import is_key
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Places, Source
from reconciler.text.nearest import nearest
from reconciler.text.normalise import normalise_prompt
from reconciler.text.truncate import truncate
from reconciler.values import JSON

_FIELDS: Final = frozenset(
    {"name", "model", "prompt", "parameters", "data", "remark", "lifecycle", "adopt", "tests"}
)
#: Fields that make a session a composed one.
_COMPOSING: Final = frozenset({"extends", "matrix", "from", "variables"})


class Builder:
    """Reads one catalog, once."""

    def __init__(
        self,
        root: Root,
        environment: str | None,
        variables: Mapping[str, JSON],
        render: Render,
        budget: Budget | None = None,
    ) -> None:
        self._problems = Problems()
        self._note = self._problems.note
        self._documents = Documents(root, self._problems, budget or Budget())
        self._environment = Environment(environment)
        self._declares_environments = False
        self._variables = variables
        self._templates = Templates()
        self._prompts = Prompts(self._documents.prompt, render, self._note, self._count_text)
        self._sessions: dict[str, Session] = {}
        self._files: dict[str, str] = {}  # by key
        self._rows: dict[str, str] = {}  # by key: the row of a table, as file and line
        self._pending: dict[str, Declared] = {}  # sessions to compose when all files are read
        self._composed: dict[str, Sequence[Layer]] = {}
        self._cases = Cases(self._note)
        self._generated: set[str] = set()  # keys that a table or a matrix makes
        self._adopters: dict[int, str] = {}  # by the id of the live session to adopt
        #: Keys without a session: those that this environment skips, and patterns that expand to others.
        self._skipped: set[str] = set()

    def load(self) -> Loaded:
        """Read everything.

        Raises:
            CatalogError: with all problems.
        """
        loaded = None
        with suppress(StoppedError):
            loaded = self._load()
        self._problems.locate_duplicates(self._documents.again)
        if loaded is None or self._problems:
            raise CatalogError(self._problems.found)
        return loaded

    def name(self) -> str:
        """The catalog's name. Only catalog.yaml is read.

        Raises:
            CatalogError: it has no valid name, or does not declare the environment.
        """
        try:
            head = self._documents.read(CATALOG_FILE, "catalog")
        except StoppedError:
            raise CatalogError(self._problems.found) from None
        name = head.fields.get("catalog")
        if not isinstance(name, str) or not is_key(name):
            raise CatalogError(self._problems.found)
        declared = {"environments": mapping(head.fields.get("environments"))}
        chosen = choose(declared, self._environment.name, head.source)
        if isinstance(chosen, Problem):
            raise CatalogError(chosen)
        return name

    def services(self, unwritten: str = "") -> list[ServiceFacts]:
        """What is said of the service in the chosen environment; where none was chosen, in each that is declared.

        Raises:
            CatalogError: it can't be used, or catalog.yaml does not declare the environment.
        """
        with suppress(StoppedError):
            head = self._documents.read(CATALOG_FILE, "catalog")
            if self._problems:
                raise StoppedError
            name = self._environment.name
            chosen = None if name is None else choose(head.fields, name, head.source)
            if isinstance(chosen, Problem):
                raise CatalogError(chosen)
            every: list[str | None] = [*mapping(head.fields.get("environments"))] or [None]
            root = self._documents.root
            found = [
                service_facts(head.fields, one, head.source, root, self._note, unwritten)
                for one in (every if name is None else [name])
            ]
            if not self._problems:
                return found
        raise CatalogError(dict.fromkeys(self._problems.found))

    def _load(self) -> Loaded | None:
        head = self._documents.read(CATALOG_FILE, "catalog")
        known = not self._problems
        self._declares_environments = bool(head.fields.get("environments"))
        if known:
            chosen = choose(head.fields, self._environment.name, head.source)
            if isinstance(chosen, Problem):
                # What the sessions are depends on the environment: whatever else was reported could be false.
                self._problems.stop(chosen)
            self._environment = chosen
            service_facts(head.fields, chosen.name, head.source, self._documents.root, self._note)
        defaults = Defaults(self._default_layers(head), known=known)
        self._note_empty(defaults.parameters, head.source, ("defaults",))
        self._add_document(head, defaults)
        manifests = self._documents.manifests(
            head.fields.get("include"), head.fields.get("exclude"), head.source
        )
        for file in manifests:
            self._add_document(self._documents.read(file, "manifest"), defaults)
        self._compose(head, defaults)
        for key in self._environment.patches:
            if key not in self._files and key not in self._skipped:
                self._note_unknown_patch(key, head.source)
        tests = self._cases.finish(self._files, self._skipped)
        if self._problems:
            return None
        moves = ownership(
            head.fields,
            head.fields["catalog"],
            self._environment.name,
            self._sessions,
            head.source,
            self._note,
        )
        return None if self._problems else self._loaded(head.fields, manifests, defaults, moves, tests)

    def _loaded(
        self,
        head: Mapping[str, Any],
        manifests: Sequence[str],
        defaults: Defaults,
        moves: Ownership,
        tests: Mapping[str, Sequence[Case]],
    ) -> Loaded:
        if len(self._sessions) != len(self._files):  # a session that is missing here would be deleted
            lost = sorted(self._files.keys() ^ self._sessions.keys())
            raise CatalogError(
                [
                    Problem(
                        f"the session `{key}` was lost while loading, and no reason was found", REPORT, file
                    )
                    for key in lost
                    for file in [self._files.get(key, CATALOG_FILE)]
                ]
            )
        prompts = self._prompts
        catalog = Catalog(
            head["catalog"],
            self._environment.name,
            self._sessions,
            _policy({**head.get("policy", {}), **self._environment.policy}),
            {key: session_id for session_id, key in self._adopters.items()},
            moves.moved,
            moves.handed_over,
            moves.forgotten,
            {name: Fragment(text, frozenset(prompts.users[name])) for name, text in prompts.texts.items()},
            frozenset(head.get("environments") or ()),
            head.get("id"),
            moves.former_ids,
            moves.moved_elsewhere,
            tests,
            moves.moved_every,
            frozenset(self._generated),
        )
        return Loaded(
            catalog,
            self._documents.root,
            self._environment,
            bool(head.get("environments")),
            tuple(manifests),
            defaults.layers,
            self._files,
            self._composed,
            tuple(self._templates.names()),
            {
                name: FragmentUse(source, tuple(sorted(set(prompts.users.get(name, ())))))
                for name, (_, source) in prompts.fragments.items()
            },
            self._documents.suspect,
        )

    def _default_layers(self, head: Document) -> list[Layer]:
        layers = [Layer("defaults", mapping(head.fields.get("defaults")), head.source, ("defaults",))]
        environment = self._environment
        if environment.defaults:
            place: NodePath = ("environments", environment.name or "", "defaults")
            layers.append(Layer(f"environment {environment.name}", environment.defaults, head.source, place))
        return layers

    # Plain sessions

    def _add_document(self, document: Document, defaults: Defaults) -> None:
        fields, source = document.fields, document.source
        self._note_adopters(document)
        if document.fits:
            self._cases.read(fields, source)
        for name, value in mapping(fields.get("fragments")).items():
            self._prompts.add_fragment(
                name, None if ("fragments", name) in document.invalid else value, source
            )
        for name, template in mapping(fields.get("templates")).items():
            broken = ("templates", name) in document.invalid
            problem = self._templates.add(name, None if broken else template, source)
            if problem:
                self._note(problem)
        for key, given in mapping(fields.get("sessions")).items():
            first = self._files.setdefault(key, source.file)
            if first != source.file:
                message = f"the session `{truncate(key)}` is declared twice"
                self._problems.note_duplicate(key, source.at_key(("sessions", key), message), first)
            elif ("sessions", key) in document.invalid:
                if isinstance(given, dict):
                    self._check_rest(key, given, source, defaults)
            elif (
                _COMPOSING.isdisjoint(given)
                and (is_plain_prompt(given["prompt"]) if "prompt" in given else defaults.has_plain_prompt)
                and key not in self._environment.patches
            ):
                session = self._session(key, given, source, defaults)
                if session is not None:
                    self._sessions[key] = session
                    if defaults.tests or "tests" in given:
                        self._cases.add(key, merge_tests(defaults.tests, given.get("tests", ())))
                    if "adopt" in given:
                        self._adopt(key, given["adopt"], source)
            else:
                self._pending[key] = Declared(given, source)

    def _note_adopters(self, document: Document) -> None:
        """Note sessions that every environment would adopt: a live session can belong to one only."""
        if not self._declares_environments:
            return
        name = self._environment.name or "ENVIRONMENT"
        for key, given in mapping(document.fields.get("sessions")).items():
            if isinstance(given, dict) and "adopt" in given:
                self._note(
                    document.source.at_key(
                        ("sessions", key, "adopt"),
                        f"every environment would adopt the same live session as `{truncate(key)}`",
                        f"move it to catalog.yaml: environments: {{{name}: {{sessions: "
                        f"{{{truncate(key)}: {{adopt: {truncate(str(given['adopt']))}}}}}}}}}",
                    )
                )

    def _session(
        self, key: str, given: Mapping[str, Any], source: Source, defaults: Defaults
    ) -> Session | None:
        name: str | None = given.get("name")
        model: str | None = given.get("model", defaults.model)
        prompt: Any = given.get("prompt", defaults.prompt)
        if name is None or model is None or prompt is None:
            self._check_rest(key, given, source, defaults)
            return None
        if prompt.__class__ is not str:
            home, place = (
                (source, ("sessions", key, "prompt")) if "prompt" in given else defaults.prompt_place()
            )
            text = self._documents.prompt(prompt["file"], home, (*place, "file"))
            if text is None:
                return None
            prompt = self._prompts.shared(text)
        if "lifecycle" in given:
            lifecycle = build_lifecycle(inherit(defaults.lifecycle, given["lifecycle"]))
        else:
            lifecycle = defaults.built_lifecycle
        self._documents.count(
            partial(source.at_key, ("sessions", key)), text=memory([prompt]), values=defaults.size, sessions=1
        )
        parameters = _with_integers(inherit(defaults.parameters, given.get("parameters")))
        if None in parameters.values():
            self._note_empty(parameters, source, ("sessions", key))
            return None
        if self._environment.prefix or self._environment.suffix:
            name = f"{self._environment.prefix}{name}{self._environment.suffix}"
        return Session(
            key,
            name,
            model,
            normalise_prompt(prompt),
            parameters,
            inherit(defaults.data, given.get("data")),
            inherit(defaults.remark, given.get("remark")),
            lifecycle,
        )

    def _check_rest(self, key: str, given: Mapping[str, Any], source: Source, defaults: Defaults) -> None:
        """Note what the schema can't find in an invalid session: missing fields, and a prompt file's problems."""
        # An unknown field may well be the missing one, misspelt.
        required = () if given.keys() - _FIELDS else ("name", "model", "prompt")
        for field in required:
            if field in given:
                continue
            if field == "name":
                hint = "add one"
            elif defaults.known and getattr(defaults, field) is None:
                hint = "add one, or set it for all sessions below `defaults` in catalog.yaml"
            else:
                continue
            message = f"the session `{truncate(key)}` has no `{field}`"
            self._note(source.at_key(("sessions", key), message, hint))
        prompt = given.get("prompt")
        if isinstance(prompt, dict) and isinstance(prompt.get("file"), str) and prompt["file"]:
            self._documents.prompt(prompt["file"], source, ("sessions", key, "prompt", "file"))

    # Composed sessions

    def _compose(self, head: Document, defaults: Defaults) -> None:
        if not self._pending or not defaults.known:
            return
        composer = Composer(
            defaults.layers,
            self._templates,
            self._environment,
            self._prompts,
            self._documents,
            {**head.fields.get("variables", {}), **self._environment.variables},
            self._variables,
            head.source,
            self._note,
        )
        for declared_key, declared in self._pending.items():
            file = self._files.pop(declared_key)
            self._skipped.add(declared_key)
            expands = not declared.given.keys().isdisjoint(("matrix", "from"))
            for resolved in composer.resolve(declared_key, declared):
                self._add_composed(resolved, file)
                if expands:
                    self._generated.add(resolved.key)
        self._skipped |= composer.keys

    def _add_composed(self, resolved: Resolved, file: str) -> None:
        key, fields, origins, path = (
            resolved.key,
            resolved.fields,
            resolved.origins,
            ("sessions", resolved.key),
        )
        if key in self._files:
            first = self._rows.get(key, self._files[key])
            message = f"this makes the session `{key}`, which is already declared in {first}"
            self._note(origins.key(message))
            return
        missing = [field for field in ("name", "model", "prompt") if fields.get(field) is None]
        for field in missing:
            message = f"the session `{truncate(key)}` has no `{field}`"
            self._note(origins.missing(field, message))
        parameters = _with_integers(fields.get("parameters", {}))
        if None in parameters.values():
            self._note_empty(parameters, origins, path)
            return
        if missing:
            return
        layers = len(resolved.layers)
        rest = {name: value for name, value in fields.items() if name != "prompt"}
        self._documents.count(partial(origins.at_key, ("sessions", key)), values=size(rest) + layers)
        problems = check({"sessions": {key: fields}}, "manifest", origins).problems
        for problem in problems:
            self._note(problem)
        if problems:
            return
        self._files[key] = file
        if resolved.row:
            self._rows[key] = resolved.row.place
        self._composed[key] = resolved.layers
        self._cases.add(key, fields.get("tests", ()))
        self._sessions[key] = Session(
            key,
            fields["name"],
            fields["model"],
            fields["prompt"],
            parameters,
            fields.get("data", {}),
            fields.get("remark", {}),
            build_lifecycle(fields.get("lifecycle", {})),
        )
        if resolved.adopt is not None:
            self._adopt(key, resolved.adopt, origins)

    # Both

    def _count_text(self, source: Places, path: NodePath, text: int) -> None:
        self._documents.count(partial(source.at_value, path), text=text)

    def _adopt(self, key: str, session_id: int, source: Places) -> None:
        """Note which live session a key adopts. Two keys can't adopt the same one."""
        first = self._adopters.setdefault(int(session_id), key)
        if first != key:
            message = f"the live session {session_id} is already adopted by `{truncate(first)}`"
            self._note(
                source.at_value(("sessions", key, "adopt"), message, "remove `adopt` from one of the two")
            )

    def _note_empty(self, parameters: Mapping[str, JSON], source: Places, path: NodePath) -> None:
        """Note parameters that are null although there is no inherited value to remove."""
        for name, value in parameters.items():
            if value is None:
                self._note(source.at_value((*path, "parameters", name), *left_empty(name)))

    def _note_unknown_patch(self, key: str, source: Source) -> None:
        close = nearest(key, self._files)
        self._note(
            source.at_key(
                ("environments", self._environment.name or "", "sessions", key),
                f"there is no session `{truncate(key)}` to patch",
                f"did you mean `{close}`?" if close else "correct the key or remove the patch",
            )
        )


def _with_integers(parameters: dict[str, JSON]) -> dict[str, JSON]:
    """The parameters with ``4000.0`` as ``4000`` where an integer belongs: sent in a form, the two would differ."""
    for name in ("max_tokens", "history_length"):
        if parameters.get(name).__class__ is float:
            parameters = {**parameters, name: int(parameters[name])}
    return parameters


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
