"""The shipped schemas mean the same to every validator: two in Python, one in JavaScript, and the loader."""

from __future__ import annotations

import json
import random
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import regress
from jsonschema import Draft202012Validator

from reconciler import CatalogError, ReconcilerError, load_catalog
from reconciler.catalog import check as checking
from reconciler.catalog import format as formatting
from reconciler.schemas import check_document, fits, load_schema, schema_names
from reconciler.strict_yaml.emit import double_quoted
from reconciler.strict_yaml.places import Source
from reconciler.strict_yaml.read import parse
from tests import warm
from tests.javascript import javascript

LINE_BREAKS = "\n\r\x85\u2028\u2029"


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a schema."""
    if isinstance(schema, dict):
        yield schema
        for child in schema.values():
            yield from nodes(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from nodes(child)


def beside(node: dict[str, Any]) -> str:
    """The pattern that a text must not have, of the schema with a pattern."""
    forbidden = [one.get("not", {}).get("pattern", "") for one in (node, *node.get("allOf", ()))]
    return next(filter(None, forbidden), "")


ALL = [node for name in schema_names() for node in nodes(load_schema(name))]
#: Every pattern, with what stands beside it and belongs to it.
PATTERNS = {(node["pattern"], beside(node)) for node in ALL if isinstance(node.get("pattern"), str)}


def test_no_pattern_depends_on_the_dialect() -> None:
    assert len(PATTERNS) > 8
    for pattern, never in PATTERNS:
        assert not re.search(r"\\[A-Za-z]|\(\?", pattern + never), pattern
        if "$" in pattern:
            assert f"[{LINE_BREAKS}]" in never, pattern
        assert "." not in re.sub(r"\\.|\[[^\]]*\]", "", pattern), (
            f"{pattern}: a `.` does not match every character"
        )


def sample(*, full: bool) -> list[str]:
    """Characters: all of them, or those that a validator might take for something else, and some of the rest."""
    if full:
        return [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    codes = {*range(0x250), *range(0x1FF0, 0x2070), *range(0xFE00, 0xFF10)}
    codes |= {
        code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Zs", "Zl", "Zp")
    }
    codes |= {0x180E, 0x0660, 0x1D7CE, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F407, 0xE0041, 0x10FFFF}
    return [chr(code) for code in sorted(codes)]


#: A text that fits each kind of pattern, to put a character before, into and after.
FITTING = ("", "alice", "name", "data.a", "data", "10%", "/v1/session/", "1.0", "+08:00", "a.csv", "U+00A0")


def test_every_character_means_the_same_to_every_engine(pytestconfig: pytest.Config) -> None:
    full = pytestconfig.getoption("--full")
    characters = sample(full=full)
    for pattern, never in PATTERNS:
        schema = {"pattern": pattern} | ({"not": {"pattern": never}} if never else {})
        rust = jsonschema_rs.Draft202012Validator(schema).is_valid
        python, not_python = re.compile(pattern).search, re.compile(never).search
        script, not_script = regress.Regex(pattern, "u").find, regress.Regex(never, "u").find
        starts = [text for text in FITTING if not text or rust(text)]
        for start in starts[-1:] if full else starts:
            for one in characters:
                for text in {one, one + start, start[:1] + one + start[1:], start + one}:
                    answers = {
                        rust(text),
                        bool(python(text) and not (never and not_python(text))),
                        bool(script(text) and not (never and not_script(text))),
                    }
                    assert len(answers) == 1, (pattern, text)


NUMBERS = [
    0,
    1,
    -1,
    1.0,
    0.5,
    1.5,
    -0.0,
    2,
    2.0,
    2.0000000000000004,
    100,
    1e2,
    2**31,
    2**53,
    2**53 - 1,
    1e15,
    1e22,
    1e300,
]
OTHERS: list[Any] = [
    None,
    True,
    False,
    "",
    " ",
    "1",
    "x",
    [],
    {},
    ["x"],
    {"file": "a.md"},
    {"parts": ["a", {"fragment": "f"}]},
]
BLANKS = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
KEYS = ["alice", "alice\n", "Alice", "a" * 63, "a" * 64, "a\u2028", "a b", "-a", "reconciler", "\ufeff"]
FIELDS = [
    "name",
    "model",
    "prompt",
    "data",
    "data.a",
    "data.\n",
    "data.",
    "name\n",
    "remark\n",
    "parameters.temperature\n",
    "data.*",
]


def documents(count: int) -> list[tuple[str, Any]]:
    """Documents, each with the name of the schema to check it by. Most are nearly right."""
    chance = random.Random(count)

    def text() -> str:
        return "".join(
            chance.choice([*BLANKS, "a", "\u200b", "\u180e", "0", "🐇"]) for _ in range(chance.randint(0, 3))
        )

    def value() -> Any:
        return chance.choice([text(), chance.choice(NUMBERS), chance.choice(OTHERS)])

    def session() -> dict[str, Any]:
        made: dict[str, Any] = {"name": "Alice", "model": "deepseek-chat", "prompt": "Hi."}
        for field in chance.sample(
            ["name", "model", "prompt", "extends", "adopt", "remark", "data"], chance.randint(0, 1)
        ):
            made[field] = value()
        if chance.random() < 0.3:
            names = ["temperature", "max_tokens", "history_length"]
            made["parameters"] = {chance.choice(names): chance.choice(NUMBERS) for _ in range(1)}
        if chance.random() < 0.2:
            made["lifecycle"] = {
                "ignore_changes": [chance.choice(FIELDS)],
                "prevent_destroy": chance.choice([True, 1]),
            }
        if chance.random() < 0.2:
            made["from"] = {
                "file": chance.choice(["a.csv", "a.csv\n", "a.jsonl"]),
                "key": "{a}",
                "fields": {chance.choice(FIELDS): "a"},
            }
        return made

    def catalog() -> dict[str, Any]:
        made = {
            "version": chance.choice([*[1] * 8, 1.0, 2, "1"]),
            "catalog": chance.choice([*["shop"] * 20, *KEYS]),
        }
        limits = ["10%", "10%\n", "100%", "101%", "1.5%", "٣%", 5, 5.0, -1, 0.5]
        return made | {
            "policy": {"max_deletes": chance.choice(limits)},
            "defaults": {"model": chance.choice([text(), "m"])},
        }

    made: list[tuple[str, Any]] = []
    while len(made) < count:
        if chance.random() < 0.7:
            made.append(("manifest", {"sessions": {chance.choice([*["alice"] * 20, *KEYS]): session()}}))
        else:
            made.append(("catalog", catalog()))
    return made


AJV = """
const Ajv = require('ajv/dist/2020');
module.exports = ({ schemas, documents }) => {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const checks = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, ajv.compile(schema)]));
  return documents.map(([name, document]) => checks[name](document));
};
"""


def test_every_validator_agrees_on_every_document(pytestconfig: pytest.Config) -> None:
    made = documents(20_000 if pytestconfig.getoption("--full") else 400)
    python = {name: Draft202012Validator(load_schema(name)) for name in ("catalog", "manifest")}
    answers = [fits(document, name) for name, document in made]
    assert 0.1 < sum(answers) / len(answers) < 0.9
    for (name, document), answer in zip(made, answers, strict=True):
        assert python[name].is_valid(document) == answer, document
    schemas = {name: load_schema(name) for name in python}
    for (_, document), answer, here in zip(
        made, javascript(AJV, {"schemas": schemas, "documents": made}), answers, strict=True
    ):
        assert answer == here, document


def test_the_loader_refuses_what_the_schema_refuses(tmp_path: Path) -> None:
    characters = [one for one in sample(full=False) if one != "\0"]
    (tmp_path / "catalog.yaml").write_text("version: 1\ncatalog: c\ndefaults: {model: m, prompt: Hi.}\n")
    (tmp_path / "sessions").mkdir()
    lines = [f"  k{ord(one):x}: {{name: {double_quoted(one)}}}\n" for one in characters]
    (tmp_path / "sessions" / "a.yaml").write_text("sessions:\n" + "".join(lines), encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    problems = {problem.line: problem.message for problem in caught.value.problems}
    refused = [
        number
        for number, one in enumerate(characters, 2)
        if not fits({"sessions": {"a": {"name": one}}}, "manifest")
    ]
    assert problems == dict.fromkeys(refused, "`name` is blank")
    blank = {characters[number - 2] for number in refused}
    assert blank == {one for one in characters if one.isspace()} | {"\ufeff"}


def test_every_blank_prompt_is_said_to_be_empty(tmp_path: Path) -> None:
    characters = [one for one in sample(full=False) if one.isprintable() or one in BLANKS]
    prompts = {f"k{ord(one):x}": one for one in characters} | {"all": BLANKS}
    (tmp_path / "catalog.yaml").write_text("version: 1\ncatalog: c\ndefaults: {model: m}\n")
    (tmp_path / "sessions").mkdir()
    lines = [f"  {key}: {{name: A, prompt: {double_quoted(prompt)}}}\n" for key, prompt in prompts.items()]
    (tmp_path / "sessions" / "a.yaml").write_text("sessions:\n" + "".join(lines), encoding="utf-8")
    done = warm.run(["validate", "--format=json"], cwd=tmp_path)
    findings = [one for one in json.loads(done.stdout)["warnings"] if one["rule"] == "empty-prompt"]
    refused = [
        number
        for number, prompt in enumerate(prompts.values(), 2)
        if not fits({"sessions": {"a": {"name": prompt}}}, "manifest")
    ]
    assert [one["line"] for one in findings] == refused
    assert len(refused) > len(BLANKS)


def test_blanks_with_line_breaks_are_blank_first() -> None:
    text = f"sessions:\n  a: {{name: {double_quoted(BLANKS)}}}\n"
    document = {"sessions": {"a": {"name": BLANKS}}}
    (problem,) = checking.check(document, "manifest", Source("sessions/a.yaml", text.encode(), text)).problems
    assert problem.message == "`name` is blank"


@pytest.mark.parametrize("blank", ["\ufeff", "\x85", BLANKS], ids=ascii)
def test_a_blank_is_no_value_of_a_key(tmp_path: Path, blank: str) -> None:
    (tmp_path / "catalog.yaml").write_text("version: 1\ncatalog: c\ndefaults: {model: m, prompt: Hi.}\n")
    (tmp_path / "sessions").mkdir()
    line = f"  a: {{name: A, matrix: {{key: 's{{a}}', axes: {{a: [{double_quoted(blank)}]}}}}}}\n"
    (tmp_path / "sessions" / "a.yaml").write_text(f"sessions:\n{line}", encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    assert caught.value.problems[0].message == "the key needs a value for `{a}`, and this is empty"


FORMS = [
    *(
        "1",
        "+1",
        "-1",
        "0",
        "-0",
        "00",
        "1.0",
        "1.",
        "0.0",
        "-0.0",
        ".5",
        "1.5",
        "1e0",
        "1e2",
        "1e-1",
        "1e22",
        "1e400",
        "0x1",
        "0o1",
    ),
    *(
        "0b1",
        "1_000",
        "1,000",
        "1:30",
        "١",
        "１",
        "½",
        ".inf",
        ".nan",
        "NaN",
        "9007199254740993",
        "1" * 400,
        "true",
        "~",
        "'1'",
        '"1"',
        "[1]",
    ),
]


@pytest.mark.parametrize("parameter", ["temperature", "max_tokens", "history_length"])
def test_the_loader_takes_the_numbers_that_the_schema_takes(tmp_path: Path, parameter: str) -> None:
    (tmp_path / "catalog.yaml").write_text(
        "version: 1\ncatalog: c\ndefaults:\n  model: m\n  prompt: Hi.\n"
        "  parameters: {temperature: 1, max_tokens: 1, history_length: 1}\n"
    )
    (tmp_path / "sessions").mkdir()
    lines = [
        f"  k{number}: {{name: A, parameters: {{{parameter}: {form}}}}}\n"
        for number, form in enumerate(FORMS)
    ]
    (tmp_path / "sessions" / "a.yaml").write_text("sessions:\n" + "".join(lines), encoding="utf-8")
    expected = set()
    for number, line in enumerate(lines):
        parsed = parse(f"sessions:\n{line}".encode(), f"sessions:\n{line}")
        if parsed.faults or not fits(parsed.document, "manifest"):
            expected.add(number + 2)
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    assert {problem.line for problem in caught.value.problems} == expected
    assert 10 < len(expected) < len(FORMS) - 5


def test_a_line_break_is_named() -> None:
    document = {"format_version": "1.0\n"}
    assert "format_version: '1.0\\n' contains a line break" in [
        p.message for p in check_document(document, "plan")
    ]


def test_where_no_reason_is_found_the_sessions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "fits", lambda document, _schema: "b" not in document.get("sessions", {}))
    text = "sessions:\n  a: {name: A}\n  b: {name: B}\n"
    document = {"sessions": {"a": {"name": "A"}, "b": {"name": "B"}}}
    (problem,) = checking.check(document, "manifest", Source("sessions/a.yaml", text.encode(), text)).problems
    assert problem.place == "sessions/a.yaml:3:3"
    assert problem.message == "the session `b` does not fit the manifest schema, and no reason was found"
    assert (
        problem.hint
        == "this is a bug in reconciler: please report it, with these lines and what they refer to"
    )


def test_where_formatting_would_change_a_session_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "catalog.yaml").write_text("version: 1\ncatalog: c\n")
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "a.yaml").write_text("sessions:\n  a: {name: A, model: m, prompt: Hi.}\n")
    monkeypatch.setattr(formatting, "format_text", lambda text: text.replace("name: A", "name: B"))
    with pytest.raises(ReconcilerError) as caught:
        formatting.formatted(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.message, problem.hint) == (
        "sessions/a.yaml",
        "formatting would change the session `a`, so nothing is formatted",
        "this is a bug in reconciler: please report it, with these lines and what they refer to",
    )
