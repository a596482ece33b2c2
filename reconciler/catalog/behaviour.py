"""The behaviour tests in a catalog: found in its documents, checked for what no schema can say, merged by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from reconciler.behaviour.case import Case, build_case
from reconciler.behaviour.checks import BOUNDS, json_validator, pattern
from reconciler.catalog.layers import merge_tests
from reconciler.errors import Problem
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.text.nearest import nearest
from reconciler.text.truncate import truncate

#: A behaviour test as a document has it.
_Given = Mapping[str, Any]


class Cases:
    """The tests of one catalog. Problems are passed to ``note``."""

    def __init__(self, note: Callable[[Problem], None]) -> None:
        self._note = note
        self._built: dict[
            int, tuple[_Given, Case]
        ] = {}  # by the identity of the document's value, which is held
        self._merged: dict[tuple[int, ...], tuple[Case, ...]] = {}
        self._own: dict[str, Sequence[_Given]] = {}  # by key: what each session declares and inherits
        self._by_key: dict[str, tuple[Sequence[_Given], Source]] = {}  # from `tests` at the top of a document

    def read(self, fields: Mapping[str, Any], source: Source) -> None:
        """Read the tests of a document that fits its schema."""
        for place, given in _lists(fields):
            names: set[str] = set()
            for number, test in enumerate(given):
                path = (*place, number)
                if test["name"] in names:
                    what = f"two tests are called `{truncate(test['name'])}`"
                    self._note(source.at_value((*path, "name"), what, "rename one of them"))
                names.add(test["name"])
                if self._check(test, source, path):
                    at = source.at_key(path, "")
                    self._built[id(test)] = test, build_case(test, at.file, at.line)
        for key, given in fields.get("tests", {}).items():
            if key in self._by_key:
                message = f"the tests of `{truncate(key)}` are declared twice"
                hint = f"join the two; the first are in {self._by_key[key][1].file}"
                self._note(source.at_key(("tests", key), message, hint))
            self._by_key.setdefault(key, (given, source))

    def add(self, key: str, given: Sequence[_Given]) -> None:
        """Add the tests that a session has after its layers were merged."""
        if given:
            self._own[key] = given

    def finish(self, keys: Collection[str], skipped: Collection[str]) -> dict[str, tuple[Case, ...]]:
        """The tests of all sessions that have some, by key. Notes those of keys that are neither sessions nor
        ``skipped`` in this environment."""
        for key, (given, source) in self._by_key.items():
            if key in keys:
                self._own[key] = merge_tests(self._own.get(key, ()), given)
            elif key not in skipped:
                close = nearest(key, keys)
                hint = f"did you mean `{close}`?" if close else "correct the key or remove its tests"
                self._note(
                    source.at_key(("tests", key), f"there is no session `{truncate(key)}` to test", hint)
                )
        return {key: self._cases(given) for key, given in self._own.items()}

    def _cases(self, given: Sequence[_Given]) -> tuple[Case, ...]:
        names = tuple(map(id, given))
        if names not in self._merged:
            found = (self._built.get(name) for name in names)
            self._merged[names] = tuple(one[1] for one in found if one is not None)
        return self._merged[names]

    def _check(self, test: _Given, source: Source, path: NodePath) -> bool:
        """Whether a test can pass at all, and is one. If not, that is noted."""
        problems = [*_impossible(test, source, path)]
        for problem in problems:
            self._note(problem)
        return not problems


def _lists(fields: Mapping[str, Any]) -> Iterator[tuple[NodePath, Sequence[_Given]]]:
    """All lists of tests in a document, with their places."""
    for key, given in fields.get("tests", {}).items():
        yield ("tests", key), given
    homes: list[tuple[NodePath, Any]] = [(("defaults",), fields.get("defaults"))]
    for group in ("sessions", "templates"):
        homes += [((group, name), one) for name, one in fields.get(group, {}).items()]
    for name, environment in (fields.get("environments") or {}).items():
        inside = environment or {}
        homes.append((("environments", name, "defaults"), inside.get("defaults")))
        patches = inside.get("sessions", {}).items()
        homes += [(("environments", name, "sessions", key), patch) for key, patch in patches]
    for path, home in homes:
        if isinstance(home, dict) and "tests" in home:
            yield (*path, "tests"), home["tests"]


def _impossible(test: _Given, source: Source, path: NodePath) -> Iterator[Problem]:
    """Why no answer can pass a test."""
    samples = test.get("samples", 1)
    if test.get("pass", 1) > samples:
        message = f"{test['pass']} answers have to pass, and only {samples} {'is' if samples == 1 else 'are'} asked for"
        yield source.at_value((*path, "pass"), message, "raise `samples`, or lower `pass`")
    places: dict[str, tuple[Any, NodePath]] = {}
    for number, checks in enumerate(test["expect"]):
        for kind, value in checks.items():
            at = (*path, "expect", number, kind)
            places[kind] = value, at
            if kind in ("matches", "not_matches"):
                yield from _invalid(partial(pattern, value), "not a pattern of RE2", source, at)
            elif kind == "json" and isinstance(value, dict):
                yield from _invalid(
                    partial(json_validator, json.dumps(value)), "not a JSON Schema", source, at
                )
    for low, high in BOUNDS:
        if low in places and high in places and places[low][0] > places[high][0]:
            message = f"no answer can pass: `{low}` is {places[low][0]}, and `{high}` is {places[high][0]}"
            yield source.at_value(places[low][1], message, "lower the one, or raise the other")


def _invalid(make: Callable[[], Any], what: str, source: Source, at: NodePath) -> Iterator[Problem]:
    try:
        make()
    except ValueError as error:
        yield source.at_value(at, f"this is {what}: {truncate(str(error), 200)}", "correct it")
