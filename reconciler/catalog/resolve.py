"""Composed sessions: built from templates, patches, prompt parts, matrices and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from reconciler.catalog.budget import size
from reconciler.catalog.check import check
from reconciler.catalog.documents import Documents
from reconciler.catalog.environments import Environment
from reconciler.catalog.expand import Expansion, cells, combinations, comparisons, rows
from reconciler.catalog.layers import Layer, TemplateError, Templates, merge, overlay
from reconciler.catalog.origins import Origins
from reconciler.catalog.prompts import Prompts
from reconciler.catalog.tables import Row, Table
from reconciler.errors import Problem
from reconciler.ownership.key import is_key
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: Fields that say how a session is built, and are not part of the result.
COMPOSITION_FIELDS: Final = frozenset({"extends", "matrix", "from", "variables", "adopt", "skip"})


@dataclass(frozen=True, slots=True)
class Declared:
    """A session as a file declares it."""

    given: Mapping[str, Any]
    source: Source


@dataclass(frozen=True, slots=True)
class Resolved:
    """One session with all layers merged. ``fields`` are as in a manifest, with the prompt as one string.

    ``layers`` are those merged, lowest first. ``row`` is the row that it came from, if it came from a table.
    """

    key: str
    fields: Mapping[str, Any]
    origins: Origins
    layers: Sequence[Layer]
    adopt: int | None = None
    row: Row | None = None


@dataclass(slots=True)
class Composer:
    """Composes sessions, and passes problems to ``note``."""

    defaults: Sequence[Layer]
    templates: Templates
    environment: Environment
    prompts: Prompts
    documents: Documents
    variables: Mapping[str, JSON]  # from the catalog and the environment
    given: Mapping[str, JSON]  # from the command line; these take precedence
    head: Source
    note: Callable[[Problem], None]
    _bases: dict[tuple[str, ...], Mapping[str, JSON]] = field(default_factory=dict)
    #: The keys of all sessions, those with problems and those that the environment skips included.
    keys: set[str] = field(default_factory=set)
    _tables: dict[str, Table] = field(default_factory=dict)

    def resolve(self, key: str, declared: Declared) -> Iterator[Resolved]:
        """The sessions of a declaration; none if there is a problem or the environment skips it."""
        path: NodePath = ("sessions", key)
        source = declared.source
        try:
            for expansion in self._expansions(key, declared, path):
                if isinstance(expansion, Problem):
                    self.note(expansion)
                    continue
                self.documents.count(partial(self._problem, expansion, source, path), sessions=1)
                found = self._one(expansion, declared, path)
                if found is not None:
                    yield found
        except TemplateError as error:
            if error.problem is not None:
                self.note(error.problem)

    def _expansions(self, key: str, declared: Declared, path: NodePath) -> Iterator[Expansion | Problem]:
        given, source = declared.given, declared.source
        if "matrix" in given and "from" in given:
            message = f"`{truncate(key)}` has both `matrix` and `from`"
            yield source.at_key((*path, "from"), message, "use one of the two")
        elif "matrix" in given:
            steps = comparisons(given["matrix"])
            self.documents.count(partial(source.at_key, (*path, "matrix")), steps=steps)
            yield from combinations(given["matrix"], given.get("name"), source, path)
        elif "from" in given:
            table = self._table(given["from"]["file"], source, (*path, "from", "file"))
            if table is not None:
                steps = cells(given["from"], table.text)
                self.documents.count(partial(source.at_key, (*path, "from")), steps=steps)
                yield from rows(given["from"], table, given.get("name"))
        else:
            yield Expansion(key, {}, {})

    def _one(self, expansion: Expansion, declared: Declared, path: NodePath) -> Resolved | None:
        given, source = declared.given, declared.source
        self.keys.add(expansion.key)
        layers = [*self.defaults]
        origins = Origins(source, path, expansion, layers)
        if not self._fits(expansion, Origins(source, path, expansion, ())):
            return None
        patch = self.environment.patches.get(expansion.key, {})
        if patch.get("skip"):
            return None
        extends = given.get("extends")
        fields = self._base(extends, source, (*path, "extends"), layers)
        own = {**given, **expansion.fields}
        if expansion.fields:
            for group in ("parameters", "data", "remark"):
                if group in expansion.fields and group in given:
                    own[group] = merge(given[group], expansion.fields[group])
        fields = overlay(fields, own)
        layers.append(Layer(f"session {path[1]}", own, source, path, expansion.cells(given)))
        if patch:
            place: NodePath = ("environments", self.environment.name or "", "sessions", expansion.key)
            if "extends" in patch:
                lower, base = self.templates.flat(patch["extends"], self.head, (*place, "extends"))
                fields = overlay(fields, base)
                layers += lower
            fields = overlay(fields, patch)
            layers.append(Layer(f"environment {self.environment.name}", patch, self.head, place))
        variables = {
            **self.variables,
            **_mapping(fields.get("variables")),
            **expansion.variables,
            **self.given,
        }
        fields = {name: value for name, value in fields.items() if name not in COMPOSITION_FIELDS}
        if "prompt" in fields:
            at: NodePath = ("sessions", expansion.key, "prompt")
            text = self.prompts.text(expansion.key, fields["prompt"], origins, at, variables)
            if text is None:
                return None
            fields["prompt"] = text
        if "name" in fields:
            fields["name"] = f"{self.environment.prefix}{fields['name']}{self.environment.suffix}"
        adopt = patch.get("adopt", given.get("adopt"))
        row = expansion.origin if isinstance(expansion.origin, Row) else None
        return Resolved(expansion.key, fields, origins, layers, adopt, row)

    def _fits(self, expansion: Expansion, origins: Origins) -> bool:
        """Whether the key is one, and whether what a row or a combination adds fits the schema. If not, it is noted.

        Layers can be merged only if each of them fits; those in YAML were checked with their documents.
        """
        key = expansion.key
        if not is_key(key):
            message = f"this makes the key `{truncate(key)}`, which is not a valid session key"
            self.note(origins.key(message))
            return False
        if not expansion.fields:
            return True
        problems = check({"sessions": {key: expansion.fields}}, "manifest", origins).problems
        for problem in problems:
            self.note(problem)
        return not problems

    def _base(
        self, extends: str | Sequence[str] | None, source: Source, path: NodePath, layers: list[Layer]
    ) -> Mapping[str, JSON]:
        """Defaults and templates merged. Cached, as it is the same for all sessions with the same ``extends``."""
        names = () if extends is None else (extends,) if isinstance(extends, str) else tuple(extends)
        if names:
            templates, flat = self.templates.flat(names, source, path)
            layers += templates
        cached = self._bases.get(names)
        if cached is None:
            base: dict[str, JSON] = {}
            for layer in self.defaults:
                base = overlay(base, layer.fields)
            cached = self._bases[names] = overlay(base, flat) if names else base
            values = size(cached) * (len(layers) + 1)  # each layer was copied into the next
            self.documents.count(partial(source.at_value, path), values=values)
        return cached

    def _problem(
        self, expansion: Expansion, source: Source, path: NodePath, message: str, hint: str
    ) -> Problem:
        if expansion.origin is None:
            return source.at_key(path, message, hint)
        return expansion.origin.problem(None, message, hint)

    def _table(self, file: str, source: Source, place: NodePath) -> Table | None:
        """The table in a file, read only once; None if there is a problem with it."""
        table = self._tables.get(file)
        if table is None:
            text = self.documents.prompt(file, source, place)
            if text is None:
                return None
            table = self._tables[file] = Table(file, text)
        return table


def _mapping(value: JSON) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
