"""Patterns of RE2 as regular expressions of JavaScript."""

from __future__ import annotations

import json
import random
import shutil
import subprocess

import pytest

from reconciler.behaviour.checks import pattern
from reconciler.promptfoo.pattern import translate

_ATOMS = (
    *"abA书🙂.^$-{}]/é\n",
    *(
        r"\s",
        r"\S",
        r"\w",
        r"\W",
        r"\d",
        r"\b",
        r"\A",
        r"\z",
        r"\x41",
        r"\x{4e66}",
        r"\pL",
        r"\p{Han}",
        r"\PN",
    ),
    *(r"\/", r"\-", r"\.", r"\{", r"\@", r"\a", r"\t", "[ab]", "[^a]", r"[\s-]", "[]a]", "[^]a]", r"[a-c\]]"),
    *("[[:alpha:]x]", "[[:punct:]]", "[[:space:]]", "[a&&b]", r"[\w.]", r"[^\d]", "[a-]", "[-a]", r"[\^a]"),
)
_TEXTS = (
    "",
    *"aA书🙂{}]/-\né1\x07\t_\v",
    "ab",
    "a b",
    "a\nb",
    "a\u3000b",
    "a\rb",
    "a\u2028b",
    "x-y",
    "b\na\n",
    "^a",
)
_RUN = """
const { cases, texts } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const found = cases.map(([source, flags]) => texts.map((text) => new RegExp(source, flags).test(text)));
process.stdout.write(JSON.stringify(found));
"""


def _patterns(count: int) -> list[str]:
    chances = random.Random(21)

    def part(depth: int) -> str:
        found = []
        for _ in range(chances.randint(1, 4)):
            if depth < 2 and chances.random() < 0.15:
                atom = (
                    f"{chances.choice(['(', '(?:', f'(?P<n{chances.randint(0, 10**9)}>'])}{part(depth + 1)})"
                )
            else:
                atom = chances.choice((*_ATOMS, "|"))
            found.append(atom + chances.choice(("",) * 12 + ("*", "+", "?", "*?", "{1,2}", "{2}")))
        return "".join(found)

    return [chances.choice(("", "", "(?i)", "(?m)", "(?s)", "(?ims)")) + part(0) for _ in range(count)]


def test_a_translated_pattern_matches_what_the_original_does() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    cases, expected = [], []
    for one in _patterns(3_000):
        try:
            compiled = pattern(one)
        except ValueError:
            continue
        translated = translate(one)
        assert translated is not None
        cases.append(translated)
        expected.append([bool(compiled.search(text)) for text in _TEXTS])
    assert len(cases) > 2_000
    done = subprocess.run(
        [node, "-e", _RUN],
        input=json.dumps({"cases": cases, "texts": _TEXTS}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for case, found, wanted in zip(cases, json.loads(done.stdout), expected, strict=True):
        assert found == wanted, case


@pytest.mark.parametrize(
    ("given", "translated"),
    [
        ("(?i)as an ai", ("as an ai", "iu")),
        ("^a.b$", ("^a[^\\n]b$", "u")),
        ("(?ms)^.$", ("(?:^|(?<=\\n))[^](?:$|(?=\\n))", "u")),
        (r"(?P<x>\s)[\s\-]", (r"(?<x>[\t\n\f\r ])[\t\n\f\r \-]", "u")),
    ],
)
def test_what_is_written(given: str, translated: tuple[str, str]) -> None:
    assert translate(given) == translated


@pytest.mark.parametrize(
    "given",
    ["a(?i)b", "(?i:a)", "(?U)a+", r"\Qa.b\E", r"\C", r"\B", r"[\S]", r"\p{^Han}", "[[:^alpha:]]", r"\01"],
)
def test_what_has_no_counterpart(given: str) -> None:
    pattern(given)
    assert translate(given) is None
