"""What each check says of an answer. An empty sentence means that the answer passes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from reconciler.behaviour.case import Check
from reconciler.behaviour.checks import ASKED, CHECKS, compared, failure, json_validator, judged, pattern

_LONG = "word " * 20_000
_BOOK = "我推荐《夜莺与玫瑰》，这是一本很短的书。睡前读一页就好。"
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["title"],
    "properties": {"title": {"type": "string"}, "pages": {"type": "array", "items": {"type": "integer"}}},
}

ROWS: list[tuple[str, Any, str, str]] = [
    ("equals", "Yes.", " Yes.\n", ""),
    ("equals", "Yes.", "No.", "it is not “Yes.”"),
    ("equals", "", "", ""),
    ("contains", "书", _BOOK, ""),
    ("contains", "诗", _BOOK, "it does not contain “诗”"),
    ("contains", "😀", "Hello 😀!", ""),
    ("contains_any", ["诗", "书"], _BOOK, ""),
    ("contains_any", ["诗", "歌"], _BOOK, "it contains none of “诗”, “歌”"),
    ("contains_any", ["a"], "", "it contains none of “a”"),
    ("contains_all", ["夜莺", "玫瑰"], _BOOK, ""),
    ("contains_all", ["夜莺", "狐狸", "猫"], _BOOK, "it does not contain “狐狸”, “猫”"),
    ("not_contains", "price", "It is free.", ""),
    ("not_contains", ["price", "free"], "It is free.", "it contains “free”"),
    ("matches", r"^\d+ pages$", "312 pages", ""),
    ("matches", r"^\d+ pages$", "many pages", r"it does not match ^\d+ pages$"),
    ("matches", r"(a+)+$", "a" * 100_000 + "b", "it does not match (a+)+$"),
    ("not_matches", "(?i)as an ai", "Sure!", ""),
    ("not_matches", "(?i)as an ai", "As an AI, I…", "it matches (?i)as an ai at “As an AI”"),
    ("starts_with", "Dear", "Dear reader", ""),
    ("starts_with", "Dear", "Hello", "it does not start with “Dear”"),
    ("max_characters", 5, " 推荐这本书 ", ""),
    ("max_characters", 4, "推荐这本书", "it has 5 characters, and at most 4 are allowed"),
    ("max_characters", 10, _LONG, "it has 99,999 characters, and at most 10 are allowed"),
    ("min_characters", 1, "", "it has 0 characters, and at least 1 are needed"),
    ("min_characters", 2, "a", "it has 1 character, and at least 2 are needed"),
    ("max_tokens", 10, "Be brief.", ""),
    ("max_tokens", 2, "推荐这本书吧", "it has about 4 tokens, and at most 2 are allowed"),
    ("min_tokens", 100, "Be brief.", "it has about 3 tokens, and at least 100 are needed"),
    ("max_sentences", 2, "One. Two!", ""),
    ("max_sentences", 1, _BOOK, "it has 2 sentences, and at most 1 are allowed"),
    ("max_sentences", 1, "It costs 3.50 today.", ""),
    ("max_sentences", 1, "Wait... what?!", "it has 2 sentences, and at most 1 are allowed"),
    ("min_sentences", 1, "…", "it has 0 sentences, and at least 1 are needed"),
    ("min_sentences", 3, "- a\n- b\n- c", ""),
    ("json", True, '{"a": 1}', ""),
    ("json", True, '```json\n{"a": 1}\n```', ""),
    ("json", True, "Sure: {}", "it is not JSON: Expecting value: line 1 column 1 (char 0)"),
    ("json", True, '{"a": NaN}', "it is not JSON: NaN is no JSON"),
    ("json", True, "[" * 100_000, "it is not JSON: it is nested too deeply"),
    ("json", _SCHEMA, '```\n{"title": "夜莺", "pages": [1]}\n```', ""),
    (
        "json",
        {"const": 1},
        r'"\ud800"',
        "its JSON can't be compared with the schema: it has half of a character",
    ),
    (
        "json",
        {"const": 1},
        "[" * 500 + "]" * 500,
        "its JSON can't be compared with the schema: Recursion limit reached",
    ),
    ("json", _SCHEMA, "{}", 'its JSON does not fit the schema: $: "title" is a required property'),
    (
        "json",
        _SCHEMA,
        '{"title": "a", "pages": [1, "x"]}',
        'its JSON does not fit the schema: $.pages[1]: "x" is not of type "integer"',
    ),
    ("language", "zh", _BOOK, ""),
    ("language", "zh-CN", _BOOK, ""),
    ("language", "en", "I recommend a quiet book about the sea.", ""),
    ("language", "zh", "I recommend a quiet book about the sea.", "its language is en, and zh is expected"),
    ("language", "zh", "", "it is empty, and zh is expected"),
    ("language", "zh", "😀 12", "its language can't be told, and zh is expected"),
    ("language", "en", _LONG + "这", ""),
    ("refuses", True, "I’m sorry, but I can’t help with that.", ""),
    ("refuses", True, "很抱歉，我无法提供这个信息。", ""),
    ("refuses", True, "Of course!", "it does not refuse"),
    ("refuses", False, "Of course!", ""),
    ("refuses", False, "I cannot say.", "it refuses: “I cannot say.”"),
    ("refuses", True, "", "it does not refuse"),
]


@pytest.mark.parametrize(("kind", "value", "answer", "sentence"), ROWS)
def test_what_a_check_says(kind: str, value: Any, answer: str, sentence: str) -> None:
    assert failure(Check(kind, value), answer) == sentence


def test_every_check_has_rows_that_pass_and_that_fail() -> None:
    passing = {kind for kind, _, _, sentence in ROWS if not sentence}
    failing = {kind for kind, _, _, sentence in ROWS if sentence}
    assert passing >= CHECKS.keys() - {"min_characters", "min_tokens"}
    assert failing == CHECKS.keys()


@pytest.mark.parametrize("answer", ["", _LONG, _BOOK, "😀" * 1000, "```json\n{}\n```", "\0", "\ud800"])
@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_no_answer_breaks_a_check(kind: str, answer: str) -> None:
    value = next(value for one, value, _, _ in ROWS if one == kind)
    assert isinstance(failure(Check(kind, value), answer), str)


def test_what_the_checks_with_a_call_say() -> None:
    assert judged("Asks one question.", True, "it does") == ""
    assert (
        judged("Asks one question.", False, "It asks two.")
        == "the judge says no to “Asks one question.”: It asks two."
    )
    assert compared({"text": "A short poem"}, 0.81) == ""
    assert (
        compared({"text": "A short poem", "at_least": 0.9}, 0.81)
        == "its similarity to “A short poem” is 0.81, and at least 0.9 is needed"
    )
    assert not set(ASKED) & CHECKS.keys()


@pytest.mark.parametrize(
    ("text", "reason"), [("(", "missing ): ("), ("(?=x)", "invalid perl operator"), (r"\1", "invalid escape")]
)
def test_a_pattern_that_re2_does_not_take_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        pattern(text)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}},
    ],
)
def test_a_schema_reads_nothing_but_itself(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_validator(json.dumps(schema))
