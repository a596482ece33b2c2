"""Any edit of any manifest gives the requested value, and changes no other line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from reconciler.errors import ReconcilerError
from reconciler.strict_yaml.change import Change
from reconciler.strict_yaml.edit import edit, set_value
from reconciler.strict_yaml.read import parse
from reconciler.text.normalise import normalise_prompt
from reconciler.values import same
from tests.strict_yaml.manifests import Line, Manifest, Path, manifests, texts, values


def read(text: str) -> Any:
    body = text.removeprefix("\ufeff")
    parsed = parse(text.encode(), body)
    assert not parsed.faults, (text, parsed.faults)
    return parsed.document


def paths(document: Any, here: Path = ()) -> list[Path]:
    """The paths of everything in a document."""
    steps = (
        document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    )
    found = [here] if here else []
    for step in steps:
        found += paths(document[step], (*here, step))
    return found


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def put(document: Any, path: Path, value: Any) -> Any:
    """A copy with a value put in at a path, and missing mappings made."""
    step, rest = path[0], path[1:]
    if isinstance(document, list):
        return [
            put(one, rest, value) if rest and n == step else value if n == step else one
            for n, one in enumerate(document)
        ]
    document = document or {}
    return {**document, step: put(document.get(step), rest, value) if rest else value}


def without(document: Any, path: Path) -> Any:
    parent = at(document, path[:-1])
    if isinstance(parent, list):
        left: Any = [one for n, one in enumerate(parent) if n != path[-1]]
    else:
        left = {key: one for key, one in parent.items() if key != path[-1]}
    return put(document, path[:-1], left) if path[:-1] else left


def assert_nothing_else_moved(manifest: Manifest, edited: str, path: Path, *, parent: bool = False) -> None:
    """Every line that holds nothing of the value is still there, in order, with its line end."""

    def may_change(line: Line) -> bool:
        if line.owner[: len(path)] == path:
            return True
        above = line.owner == path[: len(line.owner)]
        return above and (line.whole or (parent and line.owner == path[:-1]))

    old = manifest.text.removeprefix("\ufeff").split("\n")
    below = enumerate(manifest.lines, manifest.head)
    kept = [*old[: manifest.head], *(old[n] for n, line in below if not may_change(line))]
    new = iter(edited.removeprefix("\ufeff").split("\n"))
    if "|+" in manifest.text or ">+" in manifest.text:
        kept = [line for line in kept if line.strip()]  # blank lines may have come to be part of a text
    for line in kept:
        assert any(line.rstrip("\r") == one.rstrip("\r") for one in new), f"the line {line!r} is gone"
    if "\r\n" in manifest.text:
        assert edited.count("\n") == edited.count("\r\n")
    assert edited.startswith("\ufeff") == manifest.text.startswith("\ufeff")


def edited_or_shared(manifest: Manifest, make: Any, *args: Any, **more: Any) -> str:
    """The edited text. Only where values are shared may there be an error, which says where."""
    try:
        return str(make(manifest.text, *args, file="m.yaml", **more))
    except ReconcilerError as error:
        if not manifest.shared or not all(one.place.startswith("m.yaml:") for one in error.problems):
            raise
    event("refused")
    assume(False)
    return ""


@st.composite
def manifest_and_path(draw: Any, *, new: bool = False) -> tuple[Manifest, Path]:
    manifest = draw(manifests())
    path = draw(st.sampled_from(paths(read(manifest.text))))
    if new and draw(st.booleans()):
        above = at(read(manifest.text), path)
        if not (above is None or isinstance(above, dict)):
            path, above = path[:-1], at(read(manifest.text), path[:-1])
        keys = draw(st.lists(texts, min_size=1, max_size=2))
        if (above is None or isinstance(above, dict)) and keys[0] not in (above or {}):
            path = (*path, *keys)
    assume(path)
    return manifest, path


@settings(max_examples=3 * settings.default.max_examples)
@given(manifest_and_path(new=True), values)
def test_a_value_is_set(found: tuple[Manifest, Path], value: Any) -> None:
    manifest, path = found
    edited = edited_or_shared(manifest, set_value, path, value)
    assert same(read(edited), put(read(manifest.text), path, value))
    assert_nothing_else_moved(manifest, edited, path)


@settings(max_examples=2 * settings.default.max_examples)
@given(manifest_and_path(new=True), st.lists(texts, min_size=1, max_size=4).map("\n".join))
def test_a_prompt_is_set(found: tuple[Manifest, Path], text: str) -> None:
    manifest, path = found
    prompt = normalise_prompt(text)
    edited = edited_or_shared(manifest, set_value, path, prompt, prompt=True)
    document = read(edited)
    assert normalise_prompt(at(document, path)) == prompt
    assert same(put(document, path, prompt), put(read(manifest.text), path, prompt))
    assert_nothing_else_moved(manifest, edited, path)


@settings(max_examples=2 * settings.default.max_examples)
@given(manifest_and_path())
def test_what_is_there_already_is_left_to_the_byte(found: tuple[Manifest, Path]) -> None:
    manifest, path = found
    assert set_value(manifest.text, path, at(read(manifest.text), path)) == manifest.text


@settings(max_examples=2 * settings.default.max_examples)
@given(manifest_and_path())
def test_a_value_is_removed(found: tuple[Manifest, Path]) -> None:
    manifest, path = found
    assume(len(path) > 1 or len(read(manifest.text)) > 1)
    edited = edited_or_shared(manifest, edit, [Change("remove", path)])
    assert same(read(edited), without(read(manifest.text), path))
    assert_nothing_else_moved(manifest, edited, path, parent=True)


@settings(max_examples=2 * settings.default.max_examples)
@given(manifest_and_path(new=True), values)
def test_an_item_is_added_to_a_list(found: tuple[Manifest, Path], item: Any) -> None:
    manifest, path = found
    document = read(manifest.text)
    try:
        before = at(document, path)
    except (KeyError, TypeError, IndexError):
        before = None
    assume(before is None or isinstance(before, list))
    edited = edited_or_shared(manifest, set_value, path, [*(before or []), item])
    assert same(read(edited), put(document, path, [*(before or []), item]))
    if before:
        # No line of the items before has changed either, where each has its own.
        whole = [line for line in manifest.lines if line.whole and line.owner == path[: len(line.owner)]]
        assert whole or all(line.text in edited for line in manifest.lines)
    assert_nothing_else_moved(manifest, edited, path)


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2", "a: !!str b", "", "# a", "a: \ud800", "[]", "1"])
def test_a_text_with_a_fault_or_with_no_mapping_is_not_edited(text: str) -> None:
    with pytest.raises(ReconcilerError):
        set_value(text, ("a",), 1)
