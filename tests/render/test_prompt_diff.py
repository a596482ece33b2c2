"""The difference of two texts: lines, words, tokens, and what is hard to see."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render import prompt_diff
from reconciler.render.changed_lines import elide
from reconciler.render.character_changes import remarks
from reconciler.render.patience_diff import matches
from reconciler.render.prompt_diff import FIRST_LINES, Line, Segment, TextDiff, changed_part, diff
from reconciler.render.shared_changes import shared
from reconciler.text.characters import character_name, text_remarks
from reconciler.text.tokens import estimate_tokens

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "d e", "d f", "好的", "好吧"]), max_size=14).map(
    "\n".join
)


def shown(difference: TextDiff) -> list[str]:
    """A difference as a unified diff, with the changed words of half-changed lines in brackets."""
    rows = []
    for hunk in difference.hunks:
        rows.append(hunk.header)
        for line in hunk.lines:
            marked = len(line.segments) > 1
            text = "".join(f"[{s.text}]" if s.changed and marked else s.text for s in line.segments)
            rows.append((" " if line.op == "=" else line.op) + text)
    return rows


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("same", "same", []),
        ("", "new", ["@@ -0,0 +1,1 @@", "+new"]),
        ("old", "", ["@@ -1,1 +0,0 @@", "-old"]),
        (
            "You like tea.",
            "You like green tea.",
            ["@@ -1,1 +1,1 @@", "-You like tea.", "+You like [green ]tea."],
        ),
        (
            "a\nb\nc\nd\ne\nf\ng\nh",
            "a\nb\nc\nd\nX\nf\ng\nh",
            ["@@ -2,7 +2,7 @@", " b", " c", " d", "-e", "+X", " f", " g", " h"],
        ),
        (
            "x\n1\n2\n3\n4\n5\n6\n7\ny",
            "X\n1\n2\n3\n4\n5\n6\n7\nY",
            [
                "@@ -1,4 +1,4 @@",
                "-x",
                "+X",
                " 1",
                " 2",
                " 3",
                "@@ -6,4 +6,4 @@",
                " 5",
                " 6",
                " 7",
                "-y",
                "+Y",
            ],
        ),
        ("P\nAlice", "P\nBe kind.\nAlice", ["@@ -1,2 +1,3 @@", " P", "+Be kind.", " Alice"]),
        (
            "爱丽丝喜欢红茶和蛋糕。",
            "爱丽丝喜欢绿茶与蛋糕。",
            ["@@ -1,1 +1,1 @@", "-爱丽丝喜欢[红]茶[和]蛋糕。", "+爱丽丝喜欢[绿]茶[与]蛋糕。"],
        ),
        (
            "the family 👩\u200d👩\u200d👧 is here",
            "the family 👩\u200d👩\u200d👦 is here",
            [
                "@@ -1,1 +1,1 @@",
                "-the family [👩\u200d👩\u200d👧] is here",
                "+the family [👩\u200d👩\u200d👦] is here",
            ],
        ),
        (
            "the café is open",
            "the cafés are open",
            ["@@ -1,1 +1,1 @@", "-the [café is] open", "+the [cafés are] open"],
        ),
        ("nothing alike", "qwertz 123", ["@@ -1,1 +1,1 @@", "-nothing alike", "+qwertz 123"]),
        (
            # The inserted line comes first, and the changed one still finds its partner.
            "Speak in short sentences.",
            "Never lie.\nSpeak in long sentences.",
            ["@@ -1,1 +1,2 @@", "-Speak in [short] sentences.", "+Never lie.", "+Speak in [long] sentences."],
        ),
    ],
)
def test_differences(before: str, after: str, rows: list[str]) -> None:
    assert shown(diff(before, after)) == rows


@given(LINES, LINES)
def test_the_hunks_turn_one_text_into_the_other(before: str, after: str) -> None:
    difference = diff(before, after)
    old, new = (before.split("\n") if before else []), (after.split("\n") if after else [])
    result: list[str] = []
    at = 0
    for hunk in difference.hunks:
        start = hunk.before_start - (hunk.before_count > 0)
        result += old[at:start]
        assert hunk.after_start - (hunk.after_count > 0) == len(result)
        assert [x.text for x in hunk.lines if x.op != "+"] == old[start : start + hunk.before_count]
        assert sum(x.op != "-" for x in hunk.lines) == hunk.after_count
        result += [x.text for x in hunk.lines if x.op != "-"]
        at = start + hunk.before_count
    assert result + old[at:] == new
    assert (not difference.hunks) == (before == after)


@given(st.lists(st.integers(0, 5), max_size=60), st.lists(st.integers(0, 5), max_size=60))
def test_matches_are_common_and_rising(a: list[int], b: list[int]) -> None:
    i = j = 0
    for x, y, size in matches(a, b):
        assert size > 0
        assert x >= i
        assert y >= j
        assert a[x : x + size] == b[y : y + size]
        i, j = x + size, y + size


@pytest.mark.parametrize("alphabet", ["x", "ab\n", "ab ", "a\n", "好\n", "\n", "好坏 "])
def test_long_and_repetitive_texts_end(alphabet: str) -> None:
    dice = random.Random(alphabet)
    before, after = ("".join(dice.choices(alphabet, k=200_000)) for _ in range(2))
    difference = diff(before, after + "end")
    assert difference.hunks
    assert shared([difference, difference]).hunks == difference.hunks


def test_what_sessions_share_keeps_the_context_that_all_have() -> None:
    one = diff("top\nold\nrule\nAlice", "top\nnew\nrule\nAlice")
    two = diff("more\ntop\nold\nrule\nBob", "more\ntop\nnew\nrule\nBob")
    assert shown(shared([one, two])) == ["@@", " top", "-old", "+new", " rule"]
    assert shown(shared([one, one])) == shown(one)
    assert changed_part("top\nold\nrule\nAlice", "top\nnew\nrule\nAlice") == ("old\n", "new\n")


def test_long_lines_are_shortened_around_the_change() -> None:
    words = " ".join(f"w{n}" for n in range(1_000))
    (hunk,) = diff(words, words.replace("w500 ", "W ")).hunks
    line = elide(hunk.lines[0])
    assert [s.text for s in line.segments if s.changed] == ["w500"]
    assert len(line.text) < 200
    assert sum(s.skipped for s in line.segments) + len(line.text) == len(words)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("a", 0),
        ("hello world", 3),
        ("你好世界", 2),
        ("你好 world", 3),
        ("x" * 1_000, 300),
        ("字" * 1_000, 600),
    ],
)
def test_tokens_by_rule_of_thumb(text: str, number: int) -> None:
    assert estimate_tokens(text) == number


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("a b", "a c", []),
        ("a b", "a  b", ["only white space changes"]),
        ("a\nb", "a b", ["only white space changes"]),
        ("ab", "a\u200bb", ["adds U+200B ZERO WIDTH SPACE in line 1"]),
        ("x\nab", "x\na\u202eb\u202e", ["adds U+202E RIGHT-TO-LEFT OVERRIDE 2 times, first in line 2"]),
        ("a\x1bb", "ab", ["removes U+001B ESCAPE in line 1"]),
        ("a b", "a\u00a0b", ["only white space changes", "adds U+00A0 NO-BREAK SPACE in line 1"]),
        ("ab\r\nc", "ab\nc", ["only white space changes", "removes U+000D CARRIAGE RETURN in line 1"]),
        (
            "paypal",
            "p\u0430ypal",
            ["adds U+0430 CYRILLIC SMALL LETTER A, which looks like a Latin letter, in line 1"],
        ),
        ("привет", "приветы", []),
        ("caf\u00e9", "cafe\u0301", ["only the composition of accented letters changes: they look the same"]),
        ("a", "a\ud800", ["adds U+D800 LONE SURROGATE in line 1"]),
        (
            "a",
            "a\ue000\x01",
            ["adds U+E000 PRIVATE USE CHARACTER in line 1", "adds U+0001 CONTROL CHARACTER in line 1"],
        ),
        ("👩 x", "👩\u200d👧 x ❤\ufe0f", []),
    ],
)
def test_remarks(before: str, after: str, said: list[str]) -> None:
    assert remarks(diff(before, after)) == said


def test_remarks_on_a_new_text() -> None:
    assert text_remarks("plain\n好的") == []
    assert text_remarks("a\u200b\nb\u200b") == ["has U+200B ZERO WIDTH SPACE 2 times, first in line 1"]
    many = "".join(chr(0xE0061 + n) for n in range(20))
    assert text_remarks(many)[-1] == "has 14 more kinds of invisible characters"


def test_names() -> None:
    assert character_name("\u2066") == "U+2066 LEFT-TO-RIGHT ISOLATE"
    assert character_name("\ufffe") == "U+FFFE UNASSIGNED CHARACTER"


def test_of_a_large_difference_the_first_lines_are_compared() -> None:
    before, after = "a\n" * 600_000 + "end", "b\n" * 300_000 + "\u200b\n" + "end"
    found = diff(before, after)
    (hunk,) = found.hunks
    assert hunk.header == "@@ -1,600000 +1,300001 @@"
    assert len(hunk.lines) == 2 * FIRST_LINES + 2
    assert hunk.lines[-2:] == (
        Line("-", (Segment("", "-", 1_196_000),)),
        Line("+", (Segment("", "+", 596_002),)),
    )
    assert (found.removed, found.added) == (600_000, 300_001)
    assert list(remarks(found)) == ["adds U+200B ZERO WIDTH SPACE in line 300001"]


def test_only_the_white_space_of_a_large_text_changes() -> None:
    assert diff("a b\n" * 300_000, "a  b\n" * 300_000).spaces_only
    assert not diff("a b\n" * 300_000, "a  c\n" * 300_000).spaces_only


@given(st.text("ab\n", max_size=60), st.text("ab\n", max_size=60))
def test_what_is_not_compared_is_counted(before: str, after: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("LARGE", 4), ("FIRST_LINES", 3), ("FIRST_CHARACTERS", 8)):
            patch.setattr(prompt_diff, name, value)
        found = diff(before, after)
    for op, text, rest in (("-", before, found.rest[0]), ("+", after, found.rest[1])):
        assert rest.text in text
        for hunk in found.hunks:
            shown = [line for line in hunk.lines if line.op in ("=", op) and not line.segments[0].skipped]
            count = hunk.before_count if op == "-" else hunk.after_count
            assert len(shown) <= count
    assert sum(h.after_count - h.before_count for h in found.hunks) == found.added - found.removed
