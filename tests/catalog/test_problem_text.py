"""Problems as text: the place, the line, a caret in the right column, and no terminal control characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Problem
from reconciler.render.problems import WIDTH, format_problem
from reconciler.text.width import cells

ROWS = [
    (Problem("it is wrong"), "it is wrong"),
    (Problem("it is wrong", "mend it"), "it is wrong\n      hint: mend it"),
    (Problem("it is wrong", "mend it", "a.yaml"), "a.yaml: it is wrong\n      hint: mend it"),
    (Problem("it is wrong", "", "a.yaml", 3), "a.yaml:3:1: it is wrong"),
    (
        Problem("it is wrong", "", "a.yaml", 12, 5, "    x: 1"),
        "a.yaml:12:5: it is wrong\n   12 |     x: 1\n      |     ^",
    ),
    (
        Problem("it is wrong", "", "a.yaml", 123456, 1, "x"),
        "a.yaml:123456:1: it is wrong\n123456 | x\n      | ^",
    ),
    (  # after the end of the line
        Problem("it is wrong", "", "a.yaml", 1, 2, "x"),
        "a.yaml:1:2: it is wrong\n    1 | x\n      |  ^",
    ),
    (  # wide characters take two cells, combining ones none
        Problem("it is wrong", "", "a.yaml", 1, 8, "顾掌柜e\u0301: 好"),
        "a.yaml:1:8: it is wrong\n    1 | 顾掌柜e\u0301: 好\n      |          ^",
    ),
    (  # escapes take the cells that they are shown with
        Problem("it is wrong", "", "a.yaml", 1, 4, "\t\x1b\u202ex"),
        "a.yaml:1:4: it is wrong\n    1 | \\t\\x1b\\u202ex\n      |             ^",
    ),
    (
        Problem("`\x1b[31m\n::error::` is wrong", "say `\r\u200b` less", "a\nb.yaml"),
        "a\\nb.yaml: `\\x1b[31m\\n::error::` is wrong\n      hint: say `\\r\\u200b` less",
    ),
    (Problem("::error::it is wrong"), "\\x3a:error::it is wrong"),
    (
        Problem("it is wrong", "", "a.yaml", 1, 200, "x" * 199 + "!" + "y" * 200),
        "a.yaml:1:200: it is wrong\n    1 | …" + "x" * 60 + "!" + "y" * 57 + "…\n      | " + " " * 61 + "^",
    ),
    (
        Problem("it is wrong", "", "a.yaml", 1, 1, "y" * 200),
        "a.yaml:1:1: it is wrong\n    1 | " + "y" * 119 + "…\n      | ^",
    ),
    (
        Problem("it is wrong", "", "a.yaml", 1, 100, "好" * 99 + "!" + "好" * 200),
        "a.yaml:1:100: it is wrong\n    1 | …" + "好" * 30 + "!" + "好" * 28 + "…\n      | " + " " * 61 + "^",
    ),
]


@pytest.mark.parametrize(("problem", "text"), ROWS)
def test_format_problem(problem: Problem, text: str) -> None:
    assert format_problem(problem) == text


@given(st.text(), st.integers(0, 50))
def test_any_line(source: str, column: int) -> None:
    said = format_problem(
        Problem("it is wrong", source * 5, "a.yaml", 1, min(column, len(source) * 20) + 1, source * 20)
    )
    assert all(line.isprintable() or not line.isascii() for line in said.split("\n"))
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in said.replace("\n", ""))
    lines = said.split("\n")
    assert len(lines) <= 4
    if len(lines) > 2:
        assert cells(lines[1]) <= WIDTH + 16
