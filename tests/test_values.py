"""When two values count as the same, and what a digest distinguishes."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.values import DIGEST_LENGTH, as_number, digest, nested_deeper, parse_json, same

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | numbers | st.text(max_size=5)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (0, -0.0),
        (10**16, 1e16),
        (0.2, 0.20),
        ("a", "a"),
        (None, None),
        (True, True),
        ([1, {"a": 2.0}], [1.0, {"a": 2}]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([], []),
    ],
)
def test_these_are_the_same(left: Any, right: Any) -> None:
    assert same(left, right)
    assert same(right, left)
    assert digest(left) == digest(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (0, False),
        (0, None),
        (0, ""),
        ("1", 1),
        ("", None),
        ([], {}),
        ([], None),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ([True], [1]),
        ({"a": True}, {"a": 1}),
        ({"a": None}, {}),
        ({"a": 1}, {"A": 1}),
        (10**16, 1e16 + 2),
        ("é", "e\u0301"),  # composed and not: other bytes, another text
        ('"a', ["a"]),
    ],
)
def test_these_are_not(left: Any, right: Any) -> None:
    assert not same(left, right)
    assert not same(right, left)
    assert digest(left) != digest(right)


@given(values, values)
def test_the_same_values_have_the_same_digest_and_others_do_not(left: Any, right: Any) -> None:
    assert same(left, right) == same(right, left)
    assert same(left, right) == (digest(left) == digest(right))


@given(values)
def test_a_value_survives_the_wire(value: Any) -> None:
    back = json.loads(json.dumps(value))
    assert same(value, back)
    assert digest(value) == digest(back)


@given(values)
def test_a_digest_is_six_characters_that_need_no_escaping(value: Any) -> None:
    found = digest(value)
    assert len(found) == DIGEST_LENGTH
    assert json.dumps(found) == f'"{found}"'
    assert not set(found) & set(".~!")


def test_a_lone_surrogate_has_a_digest() -> None:
    assert digest("\ud800") != digest("?")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.2", 0.2),
        ("0.20", 0.2),
        ("4000", 4000),
        ("4000.0", 4000),
        ("-1", -1),
        ("+5", 5),
        (" 7 ", 7),
        ("1e3", 1000),
        (".5", 0.5),
        ("5.", 5),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_number_that_came_as_text_is_a_number(text: str, number: float) -> None:
    found = as_number(text)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "high",
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "1_000",
        "0x10",
        "1,5",
        "١٢",
        "1١2",
        "+-5",
        "1" * 41,
        "true",
    ],
)
def test_a_text_that_is_no_number_stays_a_text(value: str) -> None:
    assert as_number(value) is value


@pytest.mark.parametrize("value", [True, None, 3, 2.5, [], {}, ["1"]])
def test_what_is_no_text_stays_what_it_is(value: Any) -> None:
    assert as_number(value) is value


@given(st.text(alphabet="0123456789.+-eE_ ", max_size=12))
def test_what_comes_out_is_finite(text: str) -> None:
    found = as_number(text)
    assert found is text or math.isfinite(found)


def test_nesting_is_measured_without_a_stack() -> None:
    def nest(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value] if levels % 2 else {"a": value}
        return value

    assert not nested_deeper("plain", 0)
    assert not nested_deeper(nest(5), 5)
    assert nested_deeper(nest(6), 5)
    assert nested_deeper([1, {"a": 2, "b": [[]]}], 2)
    assert nested_deeper(nest(100_000), 200)


@given(values)
def test_what_was_written_as_json_is_read_again(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value).encode(), json.dumps(value).encode("utf-16")):
        assert same(parse_json(text), value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NaN", "NaN is no JSON"),
        ('{"a": [-Infinity]}', "-Infinity is no JSON"),
        ("1e999", "1e999 is too large for a 64-bit float"),
        ("[" * 100_000, "its values are nested too deeply"),
        ("[[[[]]]]", "its values are nested too deeply"),
        ("", "Expecting value"),
        ("1 2", "Extra data"),
        (b"\xff", "'utf-8' codec can't decode"),
        ("9" * 5000, "Exceeds the limit"),
    ],
)
def test_what_no_other_program_could_read_is_no_json(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_json(text, levels=3)
