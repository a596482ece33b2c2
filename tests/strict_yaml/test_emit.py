"""How values are written as YAML: as a person would, and exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler.strict_yaml.emit import Prompt, entry_lines, flow, item_lines, obstacle
from reconciler.strict_yaml.read import parse
from reconciler.text.normalise import normalise_prompt
from reconciler.values import same
from tests.strict_yaml.manifests import texts, values


def read(text: str) -> Any:
    parsed = parse(text.encode(), text)
    assert not parsed.faults, (text, parsed.faults)
    return parsed.document


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Alice", "v: Alice"),
        ("顾掌柜", "v: 顾掌柜"),
        ("Night Shift · 打烊以后", "v: Night Shift · 打烊以后"),
        ("👩‍💻 Coder", "v: 👩‍💻 Coder"),
        ("", 'v: ""'),
        (" Alice ", 'v: " Alice "'),
        ("a: b", 'v: "a: b"'),
        ("a #b", 'v: "a #b"'),
        ('say "hi"', 'v: say "hi"'),
        ('"hi"', """v: '"hi"'"""),
        ('"it\'s"', """v: '"it''s"'"""),
        ("C:\\temp: x", "v: 'C:\\temp: x'"),
        ("${name}", "v: ${name}"),
        ("{{char}}", 'v: "{{char}}"'),
        ("---", 'v: "---"'),
        ("no", 'v: "no"'),
        ("Null", 'v: "Null"'),
        ("10:30", 'v: "10:30"'),
        ("2024-05-13", 'v: "2024-05-13"'),
        ("1_000", 'v: "1_000"'),
        ("0x1f", 'v: "0x1f"'),
        ("1e3", 'v: "1e3"'),
        (".5", 'v: ".5"'),
        ("3 wishes", "v: 3 wishes"),
        ("=", 'v: "="'),
        ("a\tb", 'v: "a\\tb"'),
        ("a\u202eb", 'v: "a\\u202eb"'),
        ("a\u2028b\x85c", 'v: "a\\u2028b\\x85c"'),
        ("\ufeffa\U000e0041", 'v: "\\ufeffa\\U000e0041"'),
        (None, "v: null"),
        (True, "v: true"),
        (4000, "v: 4000"),
        (0.2, "v: 0.2"),
        (1e-7, "v: 1.0e-07"),
        (1e22, "v: 1.0e+22"),
        (-0.0, "v: -0.0"),
        ({}, "v: {}"),
        ([], "v: []"),
        ([1, "a", None], "v: [1, a, null]"),
        ({"a": 1, "no": "b, c"}, 'v: {a: 1, "no": "b, c"}'),
        ({"a": {}, "b": []}, "v: {a: {}, b: []}"),
        ({"a": [1]}, "v:\n  a: [1]"),
        ([{"a": 1}, [2], "x"], "v:\n  - {a: 1}\n  - [2]\n  - x"),
        ([{"a": [1], "b": 2}], "v:\n  - a: [1]\n    b: 2"),
        ([[[1]]], "v:\n  - - [1]"),
        ({"a": "x" * 100}, "v:\n  a: " + "x" * 100),
        ("a\nb", "v: |-\n  a\n  b"),
        ("a\nb\n", "v: |\n  a\n  b"),
        ("a\n\n  b\n", "v: |\n  a\n\n    b"),
        ("  a\nb\n", "v: |2\n    a\n  b"),
        ("\ta\nb", "v: |2-\n  \ta\n  b"),
        ("\n\na\n", "v: |\n\n\n  a"),
        (" \n\na\n", "v: |2\n   \n\n  a"),
        ("a  \nb", "v: |-\n  a  \n  b"),
        ("```\n---\n# x\n%y\n```", "v: |-\n  ```\n  ---\n  # x\n  %y\n  ```"),
        ("a\nb\n\n", 'v: "a\\nb\\n\\n"'),
        ("a\nb  ", 'v: "a\\nb  "'),
        ("\n", 'v: "\\n"'),
        ("a\r\nb", 'v: "a\\r\\nb"'),
        ("a\n\x07b", 'v: "a\\n\\x07b"'),
        ({"a": "x\ny"}, "v:\n  a: |-\n    x\n    y"),
        (["x\ny"], "v:\n  - |-\n    x\n    y"),
    ],
    ids=repr,
)
def test_a_value_is_written(value: Any, written: str) -> None:
    assert "\n".join(entry_lines("v", value, 0)) == written
    assert same(read(written + "\n"), {"v": value})


@pytest.mark.parametrize(
    ("prompt", "written"),
    [
        ("Be kind.", "v: |\n  Be kind."),
        ("Be kind.\n\nBe brief.", "v: |\n  Be kind.\n\n  Be brief."),
        ("    indented\nless", "v: |2\n      indented\n  less"),
        ("", 'v: ""'),
        ("a\u2028b", 'v: "a\\u2028b"'),
        ("bell\x07", 'v: "bell\\x07"'),
    ],
)
def test_a_prompt_is_a_block_wherever_one_can_hold_it(prompt: str, written: str) -> None:
    assert "\n".join(entry_lines("v", Prompt(prompt), 0)) == written
    assert normalise_prompt(read(written + "\n")["v"]) == prompt


def test_a_key_that_is_too_long_for_one_line_is_marked_as_a_key() -> None:
    key = "k" * 1100
    assert entry_lines(key, 1, 2) == [f"  ? {key}", "  : 1"]
    assert read(flow({key: 1})) == {key: 1}


@settings(max_examples=2 * settings.default.max_examples)
@given(texts.filter(lambda key: key != "last"), values, st.integers(0, 4), st.integers(1, 9))
def test_any_value_is_read_again_as_it_was(key: str, value: Any, column: int, step: int) -> None:
    lines = [*entry_lines(key, value, column, step), *entry_lines("last", 1, column, step)]
    assert same(read("\n".join(lines) + "\n"), {key: value, "last": 1})
    lines = ["list:", *item_lines(value, column, step), *item_lines(1, column, step)]
    assert same(read("\n".join(lines) + "\n"), {"list": [value, 1]})
    assert same(read(flow({key: value})), {key: value})


@pytest.mark.parametrize("column", [95, 96, 97, 98, 99, 100, 150])
@pytest.mark.parametrize("value", [{}, []], ids=repr)
def test_an_empty_collection_is_written_in_any_column(value: Any, column: int) -> None:
    pad = " " * column
    assert entry_lines("k", value, column) == [f"{pad}k: {value}"]
    assert item_lines(value, column) == [f"{pad}- {value}"]
    assert item_lines([value], column) == [f"{pad}- - {value}"]


READERS: dict[str, Callable[[str], Any]] = {
    "PyYAML": lambda text: yaml.load(text, yaml.SafeLoader),
    "PyYAML with libyaml": lambda text: yaml.load(text, yaml.CSafeLoader),
    "ruamel.yaml": lambda text: YAML(typ="safe", pure=True).load(text),
    "the strict parser": read,
}


def nested(value: Any, shape: Sequence[bool]) -> Any:
    """The value, in a list or a mapping for each step."""
    for in_list in shape:
        value = [value] if in_list else {"k": value}
    return value


@settings(max_examples=2 * settings.default.max_examples)
@given(values, st.lists(st.booleans(), max_size=60), st.integers(0, 110), st.integers(1, 9))
def test_every_reader_reads_the_same(value: Any, shape: list[bool], column: int, step: int) -> None:
    written = nested(value, shape)
    text = "\n".join(entry_lines("v", written, column, step)) + "\n"
    for name, reader in READERS.items():
        assert same(reader(text), {"v": written}), name


@settings(max_examples=2 * settings.default.max_examples)
@given(st.lists(texts, min_size=1, max_size=5).map("\n".join), st.integers(0, 4), st.integers(1, 9))
def test_any_prompt_is_read_again_as_it_was(text: str, column: int, step: int) -> None:
    prompt = normalise_prompt(text)
    lines = [*entry_lines("prompt", Prompt(prompt), column, step), *entry_lines("last", 1, column, step)]
    document = read("\n".join(lines) + "\n")
    assert document["last"] == 1
    assert normalise_prompt(document["prompt"]) == prompt


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\ud800b", "the lone surrogate U+D800, half of a character"),
        ({"a": ["\udfff"]}, "the lone surrogate U+DFFF, half of a character"),
        ({"\ud800": 1}, "the lone surrogate U+D800, half of a character"),
        ("a\0b", "a NUL character"),
        (float("nan"), "a number that is not finite"),
        ([float("-inf")], "a number that is not finite"),
        (10**1000, "a number of over 1,000 digits"),
        ("fine", ""),
        (10**990, ""),
        ({"a": [1, None, True, 0.5]}, ""),
    ],
)
def test_what_no_yaml_can_hold_is_said(value: Any, reason: str) -> None:
    assert obstacle(value) == reason


def test_nesting_beyond_what_is_read_is_said() -> None:
    value: Any = 1
    for _ in range(95):
        value = [value]
    assert obstacle(value) == ""
    text = "sessions:\n  a:\n    data:\n" + "\n".join(entry_lines("k", value, 6))
    assert read(text)["sessions"]["a"]["data"]["k"] == value
    for _ in range(3000):
        value = [value]
    assert obstacle(value) == "values nested over 100 levels deep"
