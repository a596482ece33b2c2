"""Merging the layers of a session. Pure, for documents that fit their schema.

From the lowest to the highest: the catalog's defaults, the environment's defaults, the templates that a session
extends, the session itself, the environment's patch for it. A later layer wins: mappings are merged key by key, at any
depth; everything else is replaced; ``null`` removes what an earlier layer set. If there is nothing to remove, the null
stays: in ``data`` and ``remark`` it is a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.catalog.tables import Cells
from reconciler.errors import Problem
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.text.nearest import nearest
from reconciler.values import JSON

#: The longest chain of templates that extend each other.
MAX_TEMPLATES: Final = 20


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a session: its fields and their place. ``label`` names it for people: ``template tutor``.

    ``cells`` are where those fields come from that a row of a table fills in.
    """

    label: str
    fields: Mapping[str, Any]
    source: Source
    path: NodePath
    cells: Cells | None = None


class TemplateError(Exception):
    """A template can't be resolved. ``problem`` says why and where; None if that was reported already."""

    def __init__(self, problem: Problem | None) -> None:
        super().__init__(problem)
        self.problem = problem


def merge(base: Mapping[str, JSON], own: Mapping[str, JSON]) -> dict[str, JSON]:
    """Two mappings merged by the rules above. Neither is changed."""
    merged = dict(base)
    for key, value in own.items():
        if key not in merged:
            merged[key] = value
        elif value is None:
            del merged[key]
        elif value.__class__ is dict and merged[key].__class__ is dict:
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def overlay(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Two layers of a session merged, except the prompt, which is always replaced whole. Tests are merged by name."""
    merged = merge(base, own)
    if "prompt" in own:
        merged["prompt"] = own["prompt"]
    if "tests" in own and "tests" in base:
        merged["tests"] = merge_tests(base["tests"], own["tests"])
    return merged


def merge_tests(
    base: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Two lists of behaviour tests merged: a test takes the place of an inherited one of its name."""
    return [*{one["name"]: one for one in (*base, *own)}.values()]


class Templates:
    """The catalog's templates by name, and chains of them merged."""

    def __init__(self) -> None:
        self._found: dict[str, Layer] = {}
        self._broken: set[str] = set()
        self._chains: dict[tuple[str, ...], tuple[tuple[Layer, ...], dict[str, JSON]]] = {}

    def add(self, name: str, fields: Mapping[str, Any] | None, source: Source) -> Problem | None:
        """Add a template; None stands for one that does not fit the schema. Returns a problem if the name is taken."""
        first = self._found.get(name)
        if first is not None:
            there = first.source.at_key(first.path, "")
            return source.at_key(
                ("templates", name),
                f"the template `{name}` is declared twice, first in {there.file}:{there.line}",
                "rename or remove one of the two",
            )
        if fields is None:
            self._broken.add(name)
        self._found[name] = Layer(f"template {name}", fields or {}, source, ("templates", name))
        return None

    def __bool__(self) -> bool:
        return bool(self._found)

    def names(self) -> Iterable[str]:
        """All names."""
        return self._found.keys()

    def flat(
        self, extends: str | Sequence[str], source: Source, path: NodePath
    ) -> tuple[Sequence[Layer], dict[str, JSON]]:
        """The layers below a session or template, the lowest first, and the result of merging them.

        ``source`` and ``path`` are the place of ``extends``. Each chain is resolved once.

        Raises:
            TemplateError: a template is missing or extends itself, or the chain is too long.
        """
        names = (extends,) if isinstance(extends, str) else tuple(extends)
        cached = self._chains.get(names)
        if cached is None:
            # A template that two others extend counts once, where it comes first. Otherwise the later of the two would
            # undo what the earlier one overrides.
            once: dict[str, Layer] = {}
            self._collect(names, source, path, (), once)
            layers = tuple(once.values())
            fields: dict[str, JSON] = {}
            for layer in layers:
                fields = overlay(fields, layer.fields)
            fields.pop("extends", None)
            cached = self._chains[names] = layers, fields
        return cached

    def _collect(
        self,
        names: Sequence[str],
        source: Source,
        path: NodePath,
        above: tuple[Layer, ...],
        once: dict[str, Layer],
    ) -> None:
        for number, name in enumerate(names):
            place: NodePath = (*path, number) if len(names) > 1 else path
            layer = self._found.get(name)
            if layer is None:
                close = nearest(name, self._found)
                raise TemplateError(
                    source.at_value(
                        place,
                        f"there is no template `{name}`",
                        f"did you mean `{close}`?" if close else "declare it below `templates:`",
                    )
                )
            if name in self._broken:
                raise TemplateError(None)
            if name in once:
                continue
            if any(one is layer for one in above):
                first = layer.source.at_key(layer.path, "")
                chain = " → ".join(one.path[-1] for one in (*above, layer) if isinstance(one.path[-1], str))
                raise TemplateError(
                    source.at_value(
                        place,
                        f"the template `{name}` extends itself: {chain}; it is declared in {first.file}:{first.line}",
                        "remove one of these `extends`",
                    )
                )
            if len(above) >= MAX_TEMPLATES:
                first = above[0].source.at_key(above[0].path, "")
                raise TemplateError(
                    source.at_value(
                        place,
                        f"more than {MAX_TEMPLATES} templates extend each other in a chain, "
                        f"which starts in {first.file}:{first.line}",
                        "merge some of them",
                    )
                )
            extends = layer.fields.get("extends")
            if extends:
                lower = (extends,) if isinstance(extends, str) else tuple(extends)
                self._collect(lower, layer.source, (*layer.path, "extends"), (*above, layer), once)
            once[name] = layer
