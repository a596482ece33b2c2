"""The results of behaviour tests as text, Markdown and JUnit XML. Answers are other people's text, as prompts are."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from reconciler.render.markdown_pieces import as_block, code, cut, fenced, prose
from reconciler.render.options import RenderOptions
from reconciler.render.terminal_page import Page
from reconciler.render.view import count
from reconciler.text.escape import guard, html_text, visible

#: Results in the order in which they are shown, each with its sign and the style of a terminal.
_RESULTS: Final[Mapping[str, tuple[str, str]]] = {
    "regressed": ("✗", "delete"),
    "failed": ("✗", "delete"),
    "not run": ("?", "warning"),
    "unsure": ("?", "warning"),
    "improved": ("✓", "create"),
    "failing as before": ("✗", "dim"),
    "same": ("=", "dim"),
    "passed": ("✓", "create"),
}
#: In normal detail: how many reasons of a test, and how many lines and characters of an answer are shown.
_REASONS: Final = 5
_LINES: Final = 6
_CHARACTERS: Final = 600

_Test = Mapping[str, Any]


def summary(tests: Sequence[_Test]) -> str:
    """``2 regressed, 1 improved, 5 same``."""
    shown = [_shown(one) for one in tests]
    counts = {result: shown.count(result) for result in _RESULTS}
    return ", ".join(f"{number:,} {result}" for result, number in counts.items() if number) or "no tests"


def ordered(tests: Sequence[_Test]) -> list[_Test]:
    """The tests, those that matter most first."""
    places = list(_RESULTS)
    return sorted(tests, key=lambda one: (places.index(_shown(one)), one["key"]))


def _shown(test: _Test) -> str:
    """The result; a test that fails as it did before is not simply the same."""
    return "failing as before" if test["result"] == "same" and not passes(test) else str(test["result"])


def sign_of(test: _Test) -> str:
    """The sign of a result."""
    return _RESULTS[_shown(test)][0]


def style_of(test: _Test) -> str:
    """The name of the style of a result."""
    return _RESULTS[_shown(test)][1]


def passes(test: _Test) -> bool:
    """Whether a test passes with what the catalog wants."""
    after = test["after"]
    return bool(after["answered"] == after["samples"] and after["passed"] >= after["needed"])


def headline(test: _Test) -> str:
    """What became of a test: ``regressed: 3 of 8 pass, was 8 of 8``. One sample is not counted."""
    after, before = test["after"], test["before"]
    if after["samples"] == 1:
        return f"{_shown(test)}"
    needed = "" if after["needed"] == after["samples"] else f" ({after['needed']} needed)"
    said = f"{_shown(test)}: {after['passed']} of {after['samples']} pass{needed}"
    if before is not None:
        said += f", was {before['passed']} of {before['samples']}"
    if test.get("more_samples"):
        said += f"; `samples: {test['more_samples']}` would tell"
    return said


def reasons(side: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Why answers do not pass: each reason once, with how many answers it concerns and the first of them."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for answer in side["answers"]:
        for sentence in (answer["problem"],) if answer["problem"] else answer["failures"]:
            found.setdefault(sentence, []).append(answer)
    several = side["samples"] > 1
    return [
        (f"{sentence} ({count(len(answers), 'answer')})" if several else sentence, answers[0])
        for sentence, answers in found.items()
    ]


def _by_answer(found: Sequence[tuple[str, _Test]]) -> Iterator[tuple[list[str], _Test]]:
    """Reasons that follow each other and concern the same answer, together, so that it is shown once."""
    for _, members in groupby(found, key=lambda one: one[1]["sample"]):
        together = list(members)
        yield [sentence for sentence, _ in together], together[0][1]


def render_tests_text(document: Mapping[str, Any], options: RenderOptions) -> str:
    """The results of `reconciler test` as text."""
    page = Page(options)
    put_tests(page, document["tests"], full=options.detail == "full", concise=options.detail == "concise")
    page.blank()
    page.put(0, (f"{count(len(document['tests']), 'test')}: {summary(document['tests'])}.", "strong"))
    return page.text()


def put_tests(page: Page, tests: Sequence[_Test], *, full: bool = False, concise: bool = False) -> None:
    """The tests on a page for a terminal. Those that are the same or pass take a line."""
    for test in ordered(tests):
        sign, style = sign_of(test), style_of(test)
        page.put(
            0,
            (f"{sign} ", style),
            (str(test["key"]), "strong"),
            f" · {test['test']}: ",
            (headline(test), style),
        )
        if concise or (passes(test) and not full):
            continue
        shown = reasons(test["after"])
        for sentences, answer in _by_answer(shown if full else shown[:_REASONS]):
            for sentence in sentences:
                page.put(4, sentence)
            for line in _answer(answer["text"], full=full):
                page.put(6, line, gutter="| ", mark="…")
        if len(shown) > _REASONS and not full:
            page.put(4, (f"and {count(len(shown) - _REASONS, 'more reason')}", "dim"))


def _answer(text: str, *, full: bool) -> Iterator[str]:
    lines = text.strip().split("\n") if text.strip() else []
    for line in lines if full else lines[:_LINES]:
        yield line if full or len(line) <= _CHARACTERS else f"{line[:_CHARACTERS]}…"
    if len(lines) > _LINES and not full:
        yield f"… {count(len(lines) - _LINES, 'more line')}"


def render_tests_markdown(document: Mapping[str, Any], options: RenderOptions) -> str:
    """The results of `reconciler test` as Markdown, within its budget."""
    tests = document["tests"]
    blocks = [as_block([f"### Behaviour tests: {summary(tests)}"])]
    return "\n\n".join([*blocks, *tests_as_blocks(tests, options.max_bytes - 500)]) + "\n"


def tests_as_blocks(tests: Sequence[_Test], room: int) -> list[str]:
    """The tests as blocks of Markdown that take at most so many bytes. Those that do not fit are counted."""
    blocks: list[str] = []
    for at, test in enumerate(ordered(tests)):
        block = _markdown(test)
        room -= len(block.encode()) + 2
        if room < 0:
            left = count(len(tests) - at, "more test")
            blocks.append(as_block([f"… and {left}: {summary(ordered(tests)[at:])}."]))
            break
        blocks.append(block)
    return blocks


def _markdown(test: _Test) -> str:
    line = f"{sign_of(test)} {code(str(test['key']))} · {prose(test['test'])}: {prose(headline(test))}"
    shown = [] if passes(test) else reasons(test["after"])[:_REASONS]
    if not shown:
        return as_block([f"- {line}"])
    lines = [f"<details><summary>{_html(test)}</summary>", ""]
    for sentences, answer in _by_answer(shown):
        lines += [*(f"- {prose(sentence)}" for sentence in sentences), ""]
        text = visible(answer["text"].strip()[:2_000], keep_newlines=True)
        if text:
            lines += [*(f"  {row}" for row in fenced(text.split("\n"))), ""]
    return as_block([*lines, "</details>"])


def _html(test: _Test) -> str:
    key, name = (f"<code>{html_text(cut(str(test[part]), 100))}</code>" for part in ("key", "test"))
    return f"{sign_of(test)} {key} · {name}: {html_text(headline(test))}"


def render_tests_junit(document: Mapping[str, Any], _: RenderOptions) -> str:
    """The results of `reconciler test` as JUnit XML: a test suite for each session."""
    tests = document["tests"]
    root = ET.Element(
        "testsuites", name="reconciler", tests=str(len(tests)), failures=str(sum(map(_fails, tests)))
    )
    root.set("errors", str(sum(one["result"] == "not run" for one in tests)))
    by_key: dict[str, list[_Test]] = {}
    for test in tests:
        by_key.setdefault(test["key"], []).append(test)
    for key, members in sorted(by_key.items()):
        suite = ET.SubElement(root, "testsuite", name=_xml(key), tests=str(len(members)))
        suite.set("failures", str(sum(map(_fails, members))))
        suite.set("errors", str(sum(one["result"] == "not run" for one in members)))
        for test in members:
            case = ET.SubElement(suite, "testcase", classname=_xml(key), name=_xml(test["test"]))
            if _fails(test) or test["result"] == "not run":
                kind = "error" if test["result"] == "not run" else "failure"
                said = ET.SubElement(case, kind, message=_xml(headline(test)), type=test["result"])
                said.text = _xml("\n".join(sentence for sentence, _ in reasons(test["after"])))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _fails(test: _Test) -> bool:
    return test["result"] != "not run" and not passes(test)


def _xml(text: str) -> str:
    """A text in XML, which can't hold control characters."""
    return guard(visible(str(text), keep_newlines=True))
