"""How a text is parsed: YAML 1.2's core schema, merge keys and aliases."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.strict_yaml.read import parse


def read(text: str) -> Any:
    parsed = parse(text.encode(), text.removeprefix("\ufeff"))
    assert parsed.faults == ()
    assert not parsed.broken
    return parsed.document


# The examples of YAML 1.2.2, section 10.3.2, and what readers of YAML 1.1 make of the rest.
CORE = [
    ("", None),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("nULL", "nULL"),
    ("none", "none"),
    ("nil", "nil"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("false", False),
    ("False", False),
    ("FALSE", False),
    ("tRUE", "tRUE"),
    ("yes", "yes"),
    ("Yes", "Yes"),
    ("no", "no"),
    ("NO", "NO"),
    ("on", "on"),
    ("off", "off"),
    ("y", "y"),
    ("n", "n"),
    ("0", 0),
    ("-0", 0),
    ("+12", 12),
    ("-19", -19),
    ("0777", 777),
    ("007", 7),
    ("0o17", 15),
    ("0o7", 7),
    ("0o18", "0o18"),
    ("-0o17", "-0o17"),
    ("0x3A", 58),
    ("0xff", 255),
    ("0xfg", "0xfg"),
    ("+0x3A", "+0x3A"),
    ("0b101", "0b101"),
    ("1_000", "1_000"),
    ("1,000", "1,000"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("0.", 0.0),
    ("-0.0", -0.0),
    (".5", 0.5),
    ("+.5", 0.5),
    ("12e03", 12000.0),
    ("1e3", 1000.0),
    ("-2E+05", -200000.0),
    ("1e-3", 0.001),
    ("1.5e", "1.5e"),
    (".", "."),
    ("..", ".."),
    ("+", "+"),
    (".e5", ".e5"),
    ("1e", "1e"),
    ("e5", "e5"),
    ("inf", "inf"),
    ("nan", "nan"),
    (".Inf1", ".Inf1"),
    ("2024-05-13", "2024-05-13"),
    ("2024-02-29", "2024-02-29"),
    ("2024-5-3", "2024-5-3"),
    ("2024-05-13T10:00:00Z", "2024-05-13T10:00:00Z"),
    ("2016-12-31 23:59:60", "2016-12-31 23:59:60"),
    ("2024-02-30-a", "2024-02-30-a"),
    ("12-30", "12-30"),
    ("v1.2.3", "v1.2.3"),
    ("1.2.3", "1.2.3"),
    ("١٢٣", "١٢٣"),
    ("=", "="),
    ("<<", "<<"),
    ('"true"', "true"),
    ("'12'", "12"),
    ('""', ""),
    ('"2024-02-30"', "2024-02-30"),
    ('"\\x1b\\u00e9\\U0001f600\\t\\/"', "\x1bé😀\t/"),
    ("'it''s'", "it's"),
    ("a#b", "a#b"),
    ("a # b", "a"),
    ("a:b", "a:b"),
    ("x{{char}} ${y} $$z", "x{{char}} ${y} $$z"),
]


@pytest.mark.parametrize(("text", "value"), CORE)
def test_core_schema(text: str, value: Any) -> None:
    found = read(f"a: {text}\n")["a"]
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, float):
        assert math.copysign(1, found) == math.copysign(1, value)


@pytest.mark.parametrize("text", [text for text, value in CORE if value == text != "<<"])
def test_a_text_may_be_a_key(text: str) -> None:
    assert read(f"{text}: 1\n") == {text: 1}


def test_block_texts() -> None:
    text = "a: |\n  one\n\n   two \nb: >-\n  one\n  two\nc: |2+\n    three\n\nd: |-\n  ---\n  %x\n  # no comment\n"
    assert read(text) == {
        "a": "one\n\n two \n",
        "b": "one two",
        "c": "  three\n\n",
        "d": "---\n%x\n# no comment",
    }


def test_line_ends_and_a_byte_order_mark() -> None:
    assert read("\ufeffa: |\r\n  one\r\n  two\r\nb: 1\r\n") == {"a": "one\ntwo\n", "b": 1}
    assert read("a: |\r  one\r  two\rb: 1\r") == {"a": "one\ntwo\n", "b": 1}


def test_what_is_allowed_around_a_document() -> None:
    assert read("%YAML 1.2\n---\na: 1\n...\n") == {"a": 1}
    assert read("# one\n---\n# two\na: 1\n") == {"a": 1}


def test_nothing_is_null() -> None:
    assert read("") is None
    assert read("# nothing\n") is None
    assert read("---\n") is None


def test_aliases() -> None:
    document = read("a: &a [1, &b {c: 2}]\nd: *a\ne: *b\nf: &f text\n*f : key\ng: *f\n")
    assert document == {
        "a": [1, {"c": 2}],
        "d": [1, {"c": 2}],
        "e": {"c": 2},
        "f": "text",
        "text": "key",
        "g": "text",
    }
    assert document["d"] is document["a"]


# What is merged, from yaml.org/type/merge.html: own keys win, then those of an earlier mapping.
MERGE = [
    ("<<: *one", {"x": 1, "y": 1}),
    ("<<: *one\n  x: 0", {"x": 0, "y": 1}),
    ("x: 0\n  <<: *one", {"x": 0, "y": 1}),
    ("<<: [*one, *two]", {"x": 1, "y": 1, "z": 2}),
    ("<<: [*two, *one]", {"x": 2, "y": 1, "z": 2}),
    ("<<: [*two, *one]\n  y: 0", {"x": 2, "y": 0, "z": 2}),
    ("<<: {w: 3}", {"w": 3}),
    ("<<: [{w: 3}, *one]", {"w": 3, "x": 1, "y": 1}),
    ("<<: []", {}),
    ("<<: {}", {}),
    ('"<<": 1', {"<<": 1}),
    ("<<: {<<: *one, v: 4}", {"x": 1, "y": 1, "v": 4}),
]


@pytest.mark.parametrize(("text", "value"), MERGE)
def test_merge_keys(text: str, value: Any) -> None:
    assert read(f"- &one {{x: 1, y: 1}}\n- &two {{x: 2, z: 2}}\n-\n  {text}\n")[2] == value


def documents(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Whatever JSON can carry, made of these texts."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**30), 10**30)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=20,
    )


# Line ends to YAML 1.1, and so to PyYAML, but not to YAML 1.2: they are refused where they stand unescaped.
SEPARATORS = "\x85\u2028\u2029"


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 takes for a number. PyYAML knows those of 1.1, and leaves ``0o17`` and ``1E5`` bare."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if text[:1] in tuple("-+.0123456789") else None
    ),
)


@given(documents(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0" + SEPARATORS))))
def test_what_a_dumper_writes_is_read_back(document: Any) -> None:
    assert read(yaml.dump(document, Dumper=_Dumper, allow_unicode=True)) == document


@given(documents(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_what_a_dumper_writes_in_ascii_is_read_back(document: Any) -> None:
    assert read(yaml.dump(document, Dumper=_Dumper)) == document


# JSON is YAML, but for characters that YAML wants escaped: controls, and noncharacters.
@given(
    documents(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufffe\uffff"))
    ),
    st.sampled_from([None, 1, 4]),
)
def test_json_is_read(document: Any, indent: int | None) -> None:
    assert read(json.dumps(document, ensure_ascii=False, indent=indent)) == document


def test_every_character_is_read_as_it_is_or_refused_where_it_stands() -> None:
    odd = set()
    for code in (*range(0x3000), 0xD7FF, *range(0xE000, 0xE010), *range(0xFE00, 0x10010), 0x1FFFF, 0x10FFFF):
        text = f'"x{chr(code)}y"'
        parsed = parse(text.encode(), text)
        if parsed.faults:
            assert parsed.faults[0].at == 2 or chr(code) in '"\\'
            odd.add(chr(code))
        elif parsed.document != f"x{chr(code)}y":
            assert chr(code) in "\r\n"
    controls = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - set("\t\r\n")
    assert odd == controls | set('"\\\u2028\u2029\ufffe\uffff')


@given(st.text(st.sampled_from("ab:-?&*!|>'\"%@`{}[],# \n\t~<0.1\\é\x85\u2028")))
def test_any_text_is_read_or_refused(text: str) -> None:
    parsed = parse(text.encode(), text)
    assert not (parsed.broken and not parsed.faults)
    for fault in parsed.faults:
        assert 0 <= fault.at <= len(text)
        assert fault.message
        assert fault.hint
