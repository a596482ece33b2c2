"""Behaviour tests in a catalog: where they may be written, how they are merged, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from reconciler import CatalogError, load_catalog
from reconciler.behaviour.case import Case, Check

_HEAD = "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def files(head: str = _HEAD, **texts: str) -> Path:
        (tmp_path / "catalog.yaml").write_text(dedent(head))
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text))
        return tmp_path

    return files


_ALICE = """\
    sessions:
      alice:
        name: Alice
        prompt: You are Alice.
        tests:
          - name: stays brief
            ask: 推荐一本书
            expect: [{max_characters: 200, contains_any: [书, 小说]}, {language: zh}]
            samples: 3
            pass: 2
"""


def _names(folder: Path, key: str = "alice", environment: str | None = None) -> list[str]:
    return [case.name for case in load_catalog(folder, environment).tests.get(key, ())]


def test_a_test_of_a_session(write: Write) -> None:
    (case,) = load_catalog(write(sessions__a=_ALICE)).tests["alice"]
    checks = (
        Check("max_characters", 200),
        Check("contains_any", ["书", "小说"]),
        Check("language", "zh"),
    )
    assert case == Case("stays brief", (("user", "推荐一本书"),), checks, 3, 2)
    assert (case.file, case.line) == ("sessions/a.yaml", 6)


def test_tests_make_no_difference_to_the_session(write: Write) -> None:
    with_tests = load_catalog(write(sessions__a=_ALICE)).sessions
    assert load_catalog(write(sessions__a=_ALICE[: _ALICE.index("        tests")])).sessions == with_tests


def test_inherited_tests_are_merged_by_name(write: Write) -> None:
    folder = write(
        """\
        version: 1
        catalog: shop
        defaults:
          model: deepseek-chat
          tests: [{name: polite, ask: Hi, expect: [{refuses: false}]}]
        environments:
          staging: {sessions: {alice: {tests: [{name: only here, ask: Hi, expect: [{contains: a}]}]}}}
          production: {}
        """,
        sessions__a="""\
        templates:
          tutor:
            tests:
              - {name: brief, ask: Hi, expect: [{max_characters: 9}]}
              - {name: kind, ask: Hi, expect: [{contains: dear}]}
        sessions:
          alice:
            extends: tutor
            name: Alice
            prompt: You are Alice.
            tests: [{name: brief, ask: Hello, expect: [{max_characters: 5}]}]
          bob: {name: Bob, prompt: You are Bob.}
        """,
        tests__more="tests: {alice: [{name: kind, ask: Hey, expect: [{contains: dear}]}]}",
    )
    assert _names(folder, environment="production") == ["polite", "brief", "kind"]
    assert _names(folder, environment="staging") == ["polite", "brief", "kind", "only here"]
    assert _names(folder, "bob", "production") == ["polite"]
    by_name = {case.name: case for case in load_catalog(folder, "production").tests["alice"]}
    assert by_name["brief"].messages == (("user", "Hello"),)
    assert by_name["kind"].file == "tests/more.yaml"


def test_every_session_of_a_matrix_has_the_tests(write: Write) -> None:
    folder = write(
        sessions__a="""\
        sessions:
          tutors:
            name: Tutor {language}
            prompt: Be brief.
            matrix: {axes: {language: [en, zh]}, key: "tutor-{language}"}
            tests: [{name: brief, ask: Hi, expect: [{max_characters: 9}]}]
        """,
        tests__a="tests: {tutor-zh: [{name: zh, ask: Hi, expect: [{language: zh}]}]}",
    )
    assert _names(folder, "tutor-en") == ["brief"]
    assert _names(folder, "tutor-zh") == ["brief", "zh"]


_WRONG = [
    (
        "{name: a, ask: Hi, expect: [{min_characters: 9}, {max_characters: 3}]}",
        "no answer can pass: `min_characters` is 9, and `max_characters` is 3",
        "lower the one, or raise the other",
    ),
    (
        "{name: a, ask: Hi, expect: [{contains: a}], samples: 2, pass: 3}",
        "3 answers have to pass, and only 2 are asked for",
        "raise `samples`, or lower `pass`",
    ),
    (
        "{name: a, ask: Hi, expect: [{matches: '(?=x)'}]}",
        "this is not a pattern of RE2: invalid perl operator: (?=",
        "correct it",
    ),
    (
        "{name: a, ask: Hi, expect: [{json: {type: text}}]}",
        "this is not a JSON Schema: \"text\" is not valid under any of the schemas listed in the 'anyOf' keyword",
        "correct it",
    ),
    (
        "{name: a, ask: Hi, expect: [{json: {$ref: 'https://example.com/x'}}]}",
        "this is not a JSON Schema: it refers to https://example.com/x, and no other document is read",
        "correct it",
    ),
    (
        "{name: a, ask: Hi, expect: [{max_chars: 3}]}",
        "`max_chars` is not a field of this entry of `expect`",
        "did you mean `max_characters`?",
    ),
    (
        "{name: a, expect: [{contains: a}]}",
        "this entry of `tests` has no `ask` or `messages`",
        'add one, like `ask: "Which book helps me sleep?"`',
    ),
    (
        "{name: a, ask: Hi, expect: [{json: false}]}",
        "`json` is false; expected true or a JSON Schema",
        "to test that an answer is no JSON, use `not_matches`",
    ),
]


@pytest.mark.parametrize(("test", "message", "hint"), _WRONG)
def test_a_test_that_is_none_is_told_at_its_place(write: Write, test: str, message: str, hint: str) -> None:
    folder = write(sessions__a=f"sessions:\n  a:\n    name: A\n    prompt: P\n    tests:\n      - {test}\n")
    with pytest.raises(CatalogError) as caught:
        load_catalog(folder)
    (problem,) = caught.value.problems
    assert (problem.message, problem.hint) == (message, hint)
    assert (problem.file, problem.line) == ("sessions/a.yaml", 6)


def test_names_and_keys_that_do_not_fit_are_told(write: Write) -> None:
    folder = write(
        sessions__a=_ALICE,
        tests__a="""\
        tests:
          alice: [{name: x, ask: a, expect: [{contains: a}]}, {name: x, ask: b, expect: [{contains: b}]}]
          alize: [{name: x, ask: a, expect: [{contains: a}]}]
        """,
        tests__b="tests: {alice: [{name: y, ask: a, expect: [{contains: a}]}]}",
    )
    with pytest.raises(CatalogError) as caught:
        load_catalog(folder)
    assert [(problem.place, problem.message, problem.hint) for problem in caught.value.problems] == [
        ("tests/a.yaml:2:62", "two tests are called `x`", "rename one of them"),
        ("tests/a.yaml:3:3", "there is no session `alize` to test", "did you mean `alice`?"),
        (
            "tests/b.yaml:1:9",
            "the tests of `alice` are declared twice",
            "join the two; the first are in tests/a.yaml",
        ),
    ]
