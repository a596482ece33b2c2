"""Hostile texts have no effect: terminals see no control, parsers see only text, runners see no command."""

from __future__ import annotations

import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.render import RenderOptions, render_plan
from reconciler.render.options import Detail
from reconciler.render.tests import render_tests_junit, render_tests_markdown, render_tests_text
from reconciler.text.escape import markdown_code, markdown_text, quoted, terminal
from tests.hostile import HOSTILE
from tests.render.hostile_plans import NAMES, poisoned, poisoned_test
from tests.render.test_github import commands

SGR = re.compile(r"\x1b\[[0-9;]*m")
HEADS = {"html_block", "paragraph_open", "paragraph_close", "heading_open", "heading_close"}
LISTS = {"bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "fence"}
QUOTES = {"blockquote_open", "blockquote_close", "inline"}
SECTIONS = "Deletes|Changed outside git|Updates|Creates|Adoptions|Moves|Forgets|Also to [a-z]+"
#: What a forge makes of plain text: mentions, references, commits, emoji codes, formulas.
MADE_OF_TEXT = re.compile(
    r"@\w|#\d|\bGH-\d|\b[0-9a-f]{7,40}\b|:\w+:|\$|://|\bwww\.|\w@\w|[!%&~]\d|\bhttps?\b|\[\^", re.IGNORECASE
)


def assert_safe_in_a_terminal(text: str) -> None:
    text.encode("utf-8")
    for number, line in enumerate(text.split("\n")):
        for char in line:
            assert unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp"), (number, line)
            assert char == "\u200d" or unicodedata.category(char) != "Cf", (number, line)
        assert not line.strip().startswith("::"), (number, line)
        assert not re.search(r"##(\[|vso\[|teamcity\[)", line, re.IGNORECASE), (number, line)


@pytest.mark.parametrize("detail", ["concise", "normal", "full"])
@pytest.mark.parametrize("name", NAMES)
def test_text(name: str, detail: Detail) -> None:
    document = poisoned(HOSTILE[name])
    for width in (40, 100):
        plain = render_plan(document, "text", options=RenderOptions(width=width, detail=detail))
        assert_safe_in_a_terminal(plain)
        colored = render_plan(document, "text", options=RenderOptions(width=width, detail=detail, color=True))
        assert SGR.sub("", colored) == plain
    # Nobody but us writes a total at the start of a line.
    assert len(re.findall(r"(?m)^Plan: ", plain)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_json(name: str) -> None:
    document = poisoned(HOSTILE[name])
    text = render_plan(document, "json", options=RenderOptions())
    assert_safe_in_a_terminal(text)
    assert json.loads(text) == json.loads(json.dumps(document))


def _results(bad: str) -> dict[str, Any]:
    tests = [poisoned_test(bad, result) for result in ("regressed", "failed", "not run", "passed", "unsure")]
    return {"tests": tests}


@pytest.mark.parametrize("name", NAMES)
def test_results_of_tests_as_text(name: str) -> None:
    for detail in ("concise", "normal", "full"):
        plain = render_tests_text(_results(HOSTILE[name]), RenderOptions(detail=detail))  # type: ignore[arg-type]
        assert_safe_in_a_terminal(plain)
        assert len(re.findall(r"(?m)^5 tests: ", plain)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_results_of_tests_as_markdown(name: str) -> None:
    text = render_tests_markdown(_results(HOSTILE[name]), RenderOptions())
    assert_safe_in_a_terminal(text)
    tokens = MarkdownIt("gfm-like").parse(text)
    assert {t.type for t in tokens} <= HEADS | LISTS | QUOTES
    assert sum(assert_our_html(t.content) for t in tokens if t.type == "html_block") == 0
    for token in inline_tokens(tokens):
        assert token.type in ("text", "code_inline", "softbreak")
        assert token.type != "text" or not MADE_OF_TEXT.search(token.content)


@pytest.mark.parametrize("name", NAMES)
def test_results_of_tests_as_junit(name: str) -> None:
    text = render_tests_junit(_results(HOSTILE[name]), RenderOptions())
    assert_safe_in_a_terminal(text)
    root = ET.fromstring(text.encode())
    assert (root.get("tests"), root.get("errors"), len(root.findall("testsuite/testcase"))) == ("5", "1", 5)
    assert {one.tag for one in root.iter()} <= {"testsuites", "testsuite", "testcase", "failure", "error"}


@pytest.mark.parametrize("name", NAMES)
def test_github(name: str) -> None:
    text = render_plan(poisoned(HOSTILE[name]), "github", options=RenderOptions())
    for command in commands(text):
        assert_safe_in_a_terminal(command.title)
        assert all(unicodedata.category(c) not in ("Cs", "Co") for c in command.message)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", command.message)


def inline_tokens(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]


def assert_only_text(text: str) -> None:
    """What the parser makes of a comment is what we wrote, and text."""
    assert_safe_in_a_terminal(text)
    tokens = MarkdownIt("gfm-like").parse(text)
    assert {t.type for t in tokens} <= HEADS | LISTS | QUOTES
    assert text.startswith("<!-- reconciler plan ")
    depth = 0
    for token in tokens:
        if token.type == "html_block":
            depth += assert_our_html(token.content)
            assert depth in (0, 1)
    assert depth == 0
    for token in inline_tokens(tokens):
        assert token.type in (
            "text",
            "code_inline",
            "softbreak",
            "strong_open",
            "strong_close",
            "em_open",
            "em_close",
        )
        if token.type == "text":
            ours = token.content.replace("[!CAUTION]", "").replace("[!NOTE]", "")
            assert not MADE_OF_TEXT.search(ours), ours
    headings = [tokens[at + 1].content for at, t in enumerate(tokens) if t.type == "heading_open"]
    assert headings[0].startswith("Plan for catalog ")
    for heading in headings[1:]:
        assert re.fullmatch(rf"(?:{SECTIONS}) \(\d+\)|Behaviour tests: 2 regressed, [a-z0-9, ]+", heading)


def assert_our_html(content: str) -> int:
    """A fold's start or end, or the marker, with nothing in it but text. By how much the depth of folds changes."""
    if content.startswith("<!--"):
        assert re.fullmatch(r"<!-- reconciler plan catalog=[\w.%~-]*( environment=[\w.%~-]*)? -->\n", content)
        assert "--" not in content[4:-4]
        return 0
    if content == "</details>\n":
        return -1
    bare = re.sub(r"<code>[^<>]*</code>", "", content)
    ours = (
        r"[-+~=/ ]|&gt;|Notes \(\d+\)|<b>…?</b>|<b>\((?:drift|conflict)\)</b>"
        r"|<b>the same change in 2 sessions</b>| · |…"
        r"|[✗?] (?= · )|: (?:regressed|failed|failing as before|not run|unsure)(?:: \d of \d pass(?:, was \d of \d)?)?"
    )
    assert re.fullmatch(f"<details(?: open)?><summary>(?:{ours})*</summary>\n", bare), bare
    return 1


@pytest.mark.parametrize("name", NAMES)
def test_markdown(name: str) -> None:
    document = poisoned(HOSTILE[name])
    assert_only_text(render_plan(document, "markdown", options=RenderOptions(whole=HOSTILE[name])))
    small = render_plan(document, "markdown", options=RenderOptions(max_bytes=4_000, whole=HOSTILE[name]))
    assert len(small.encode()) <= 4_000
    assert_only_text(small)
    assert_only_text(
        render_plan(document, "markdown", options=RenderOptions(detail="full", max_bytes=10_000_000))
    )


@pytest.mark.parametrize("name", NAMES)
def test_markdown_of_many(name: str) -> None:
    bad = HOSTILE[name]
    document = poisoned(bad)
    deletes = [
        {"action": "delete", "key": f"{n}{bad}", "session_id": n, "name": bad, "reason": bad, "fields": []}
        for n in range(400)
    ]
    document["actions"] = deletes + [
        {**a, "key": f"{n}{a['key']}"} for n in range(60) for a in document["actions"]
    ]
    document["notes"] *= 50
    document["refusals"] *= 50
    document["summary"]["delete"] = 460
    text = render_plan(document, "markdown", options=RenderOptions(max_bytes=20_000))
    assert len(text.encode()) <= 20_000
    assert "460 to delete" in text
    tokens = MarkdownIt("gfm-like").parse(text)
    for token in inline_tokens(tokens):
        assert token.type in (
            "text",
            "code_inline",
            "softbreak",
            "strong_open",
            "strong_close",
            "em_open",
            "em_close",
        )


def shown(text: str) -> list[tuple[str, str]]:
    tokens = MarkdownIt("gfm-like").parse(f"x {text} x")
    assert [t.type for t in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    return [(t.type, t.content) for t in tokens[1].children or []]


@given(st.text(st.one_of(st.characters(), st.sampled_from("`@#*_<>&[]()!\\ ~|.:/\n"))))
def test_inline_code_is_the_text_itself(text: str) -> None:
    types = shown(markdown_code(text))
    assert [t for t, _ in types] == ["text", "code_inline", "text"]
    from reconciler.text.escape import visible

    assert (
        types[1][1] == (visible(text) or " ").replace("\n", " ")
        or types[1][1].strip() == visible(text).strip()
    )


@given(st.text(st.one_of(st.characters(), st.sampled_from("`@#*_<>&[]()!\\ ~|.:/\nabc019"))))
def test_prose_is_text_and_code(text: str) -> None:
    for kind, content in shown(markdown_text(text)):
        assert kind in ("text", "code_inline")
        if kind == "text":
            assert not MADE_OF_TEXT.search(content)


@given(st.text(st.characters()))
def test_whatever_is_in_a_plan_every_form_of_it_can_be_written(text: str) -> None:
    document: dict[str, Any] = poisoned(text)
    for form in ("text", "json", "markdown", "html", "github"):
        render_plan(document, form, options=RenderOptions(color=True)).encode("utf-8")


@given(st.text(st.characters()))
def test_a_quoted_text_can_be_read_back(text: str) -> None:
    assert "\n" not in quoted(text)
    assert terminal(quoted(text)) == quoted(text) or "##" in text
