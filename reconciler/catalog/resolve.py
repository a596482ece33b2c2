"""Composed sessions: built from templates, patches, prompt parts, matrices and tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from reconciler.catalog.budget import size
from reconciler.catalog.documents import Documents
from reconciler.catalog.environments import Environment
from reconciler.catalog.expand import (
    ExpandError,
    Expansion,
    cell_start,
    cells,
    combinations,
    comparisons,
    rows,
)
from reconciler.catalog.layers import Layer, TemplateError, Templates, merge, overlay
from reconciler.catalog.prompts import Prompts
from reconciler.errors import Problem
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.values import JSON

#: Fields that say how a session is built, and are not part of the result.
COMPOSITION_FIELDS: Final = frozenset({"extends", "matrix", "from", "variables", "adopt", "skip"})


@dataclass(frozen=True, slots=True)
class Declared:
    """A session as a file declares it."""

    given: Mapping[str, Any]
    source: Source


class Table:
    """A table with the places of its cells."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._text = text
        self._source = Source(file, text.encode("utf-8", "surrogatepass"), text)
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def problem(self, line: int, cell: int, message: str, hint: str) -> Problem:
        """A problem with a cell of the row that begins in this line."""
        return self._source.at(cell_start(self._text, self._starts[line - 1], cell), message, hint)


@dataclass(frozen=True, slots=True)
class Resolved:
    """One session with all layers merged. ``fields`` are as in a manifest, with the prompt as one string.

    ``layers`` are those merged, lowest first. ``table`` is the table that it came from, ``line`` the row's and ``cell``
    that of its key; None and 0 for a session that comes from no table.
    """

    key: str
    fields: Mapping[str, Any]
    source: Source
    path: NodePath
    layers: Sequence[Layer]
    adopt: int | None = None
    table: Table | None = None
    line: int = 0
    cell: int = 0

    def problem(self, message: str, hint: str) -> Problem:
        """A problem with this session: at its row in the table, else at its declaration."""
        if self.table is None:
            return self.source.at_key(self.path, message, hint)
        return self.table.problem(self.line, self.cell, message, hint)


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
    _tables: dict[str, Table] = field(default_factory=dict)

    def resolve(self, key: str, declared: Declared) -> Iterator[Resolved]:
        """The sessions of a declaration; none if there is a problem or the environment skips it."""
        path: NodePath = ("sessions", key)
        try:
            for expansion in self._expansions(key, declared, path):
                self.documents.count(partial(self._problem, expansion, declared, path), sessions=1)
                found = self._one(expansion, declared, path)
                if found is not None:
                    yield found
        except TemplateError as error:
            self.note(error.problem)
        except ExpandError as error:
            self._note_expansion(error, declared, path)

    def _expansions(self, key: str, declared: Declared, path: NodePath) -> Iterator[Expansion]:
        given = declared.given
        if "matrix" in given and "from" in given:
            message = f"`{key}` has both `matrix` and `from`"
            self.note(declared.source.at_key((*path, "from"), message, "use one of the two"))
        elif "matrix" in given:
            steps = comparisons(given["matrix"])
            self.documents.count(partial(declared.source.at_key, (*path, "matrix")), steps=steps)
            yield from combinations(given["matrix"], given.get("name"))
        elif "from" in given:
            text = self.documents.prompt(given["from"]["file"], declared.source, (*path, "from", "file"))
            if text is not None:
                steps = cells(given["from"], text)
                self.documents.count(partial(declared.source.at_key, (*path, "from")), steps=steps)
                for row in rows(given["from"], text, given.get("name")):
                    if isinstance(row, Expansion):
                        yield row
                    else:
                        self._note_expansion(row, declared, path)
        else:
            yield Expansion(key, {}, {})

    def _one(self, expansion: Expansion, declared: Declared, path: NodePath) -> Resolved | None:
        given, source = declared.given, declared.source
        patch = self.environment.patches.get(expansion.key, {})
        if patch.get("skip"):
            return None
        extends = given.get("extends")
        layers = [*self.defaults]
        fields = self._base(extends, source, (*path, "extends"), layers)
        own = {**given, **expansion.fields}
        if expansion.fields:
            for group in ("parameters", "data", "remark"):
                if group in expansion.fields and group in given:
                    own[group] = merge(given[group], expansion.fields[group])
        fields = overlay(fields, own)
        layers.append(Layer(f"session {path[1]}", own, source, path))
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
            last = next(layer for layer in reversed(layers) if "prompt" in layer.fields)
            at: NodePath = (*last.path, "prompt")
            text = self.prompts.text(expansion.key, fields["prompt"], last.source, at, variables)
            if text is None:
                return None
            fields["prompt"] = text
        if "name" in fields:
            fields["name"] = f"{self.environment.prefix}{fields['name']}{self.environment.suffix}"
        adopt = patch.get("adopt", given.get("adopt"))
        table = self._table(declared, path) if expansion.line else None
        return Resolved(
            expansion.key, fields, source, path, layers, adopt, table, expansion.line, expansion.cell
        )

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
        self, expansion: Expansion, declared: Declared, path: NodePath, message: str, hint: str
    ) -> Problem:
        if not expansion.line:
            return declared.source.at_key(path, message, hint)
        return self._table(declared, path).problem(expansion.line, expansion.cell, message, hint)

    def _note_expansion(self, error: ExpandError, declared: Declared, path: NodePath) -> None:
        kind = "matrix" if "matrix" in declared.given else "from"
        if not error.line:
            self.note(declared.source.at_key((*path, kind), error.message, error.hint))
            return
        table = self._table(declared, path)
        self.note(table.problem(error.line, error.cell, error.message, error.hint))

    def _table(self, declared: Declared, path: NodePath) -> Table:
        """The table of a declaration that was read already."""
        file = declared.given["from"]["file"]
        table = self._tables.get(file)
        if table is None:
            text = self.documents.prompt(file, declared.source, (*path, "from", "file")) or ""
            table = self._tables[file] = Table(file, text)
        return table


def _mapping(value: JSON) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
