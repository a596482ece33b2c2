"""A terminal gets letters, signs and emoji, and no control characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.text.escape import terminal, visible


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("爱丽丝 — “Alice” 🐇", "爱丽丝 — “Alice” 🐇"),
        ("a\tb", r"a\tb"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m", r"\x9b31m"),
        ("a\x00b\x7f", r"a\x00b\x7f"),
        ("abc\u202edef", r"abc\u202edef"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("no\u00a0break", r"no\xa0break"),
        ("line\u2028para\u2029", r"line\u2028para\u2029"),
        ("half \ud83d of one", r"half \ud83d of one"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("🏳\ufe0f\u200d🌈 ❤\ufe0f 1\ufe0f\u20e3", "🏳\ufe0f\u200d🌈 ❤\ufe0f 1\ufe0f\u20e3"),
        ("a\u200db", r"a\u200db"),
        ("a\ufe0f", r"a\ufe0f"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f\\ufe0f"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + r"\u0301\u0301"),
        ("::error::x", r"\x3a:error::x"),
        ("  ::error::x", r"  \x3a:error::x"),
        ("\u3000::error::x", "\u3000\\x3a:error::x"),
        ("a ::error::x", "a ::error::x"),
        ("a ##[error]x", r"a \x23#[error]x"),
        ("###[error]x", r"#\x23#[error]x"),
        ("##VSO[task.setvariable]", r"\x23#VSO[task.setvariable]"),
        ("## Heading [1]", "## Heading [1]"),
    ],
)
def test_shown(raw: str, shown: str) -> None:
    assert terminal(raw) == shown


def test_newlines_stay_when_asked_and_each_line_is_guarded() -> None:
    assert terminal("a\r\n::error::b\n", keep_newlines=True) == "a\\r\n\\x3a:error::b\n"


@given(st.text(st.characters()))
def test_nothing_invisible_gets_through(text: str) -> None:
    shown = visible(text)
    for char in shown:
        assert char.isprintable() or unicodedata.category(char) == "Cn" or char in "\u200d\u3000", repr(char)
    assert visible(shown) == shown
    shown.encode("utf-8")


@given(st.text("#:[ vso\n\tx]"))
def test_no_line_is_a_workflow_command(text: str) -> None:
    for line in terminal(text, keep_newlines=True).split("\n"):
        assert not line.strip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line
