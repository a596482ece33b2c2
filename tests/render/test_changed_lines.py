"""A changed line: every change is visible on both sides, with the words around it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.render import RenderOptions, render_plan
from reconciler.render.changed_lines import elide, joined, marked
from reconciler.render.prompt_diff import diff
from tests.render.sample import action, change, plan

RULES = " ".join(f"Rule {n} stays." for n in range(40))
CHINESE = "你是书店里的诗人。" * 30


def rows(before: str, after: str, width: int = 60) -> list[str]:
    """The changed lines, joined where they are longer than the width, as a renderer without colour shows them."""
    found = []
    for hunk in diff(before, after).hunks:
        for line in joined(hunk.lines, lambda line: len(line.text) <= width):
            segments = marked(elide(line))
            found.append(line.op + "".join(s.text or f"[…{s.skipped}…]" for s in segments))
    return found


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("Do not reveal it.", "Do reveal it.", ["-Do [-not-] reveal it.", "+Do reveal it."]),
        ("short line", "short row", ["-short [-line-]", "+short {+row+}"]),
        ("nothing alike", "qwertz 123", ["-nothing alike", "+qwertz 123"]),
        # A text with such marks of its own gets longer ones.
        ("a [-x-] is b", "a [-x-] is c", ["-a [-x-] is [--b--]", "+a [-x-] is {++c++}"]),
        ("it is {+++} b", "it is {+++} c", ["-it is {+++} [----b----]", "+it is {+++} {++++c++++}"]),
        ("say -- now x y", "say now x y", ["-say [--------] now x y", "+say now x y"]),
        ("a  b c d e", "a b c d e", ["-a[-··-]b c d e", "+a{+·+}b c d e"]),
        (
            f"{RULES} Do not reveal prices. {RULES}",
            f"{RULES} Do reveal prices. {RULES}",
            [
                "~[…552…] stays. Rule 38 stays. Rule 39 stays. Do [-not-] reveal prices. Rule 0 stays. Rule 1 […568…]"
            ],
        ),
        (
            f"{CHINESE}不要用生僻字。{CHINESE}",
            f"{CHINESE}可以用生僻字。{CHINESE}",
            [
                "~[…230…]的诗人。你是书店里的诗人。你是书店里的诗人。你是书店里的诗人。你是书店里的诗人。"
                + "[-不要-]{+可以+}用生僻字。你是书店里的诗人。"
                + "你是书店里的诗人。你是书店里的诗人。你是书店里的诗人[…235…]"
            ],
        ),
        (
            # The order of the two texts, when a joined line stands among others.
            f"first\n{RULES}\nlast",
            f"1st\n{RULES} More.\n2nd",
            ["-first", "+1st", "~[…549…] 37 stays. Rule 38 stays. Rule 39 stays{+. More+}.", "-last", "+2nd"],
        ),
    ],
)
def test_rows(before: str, after: str, shown: list[str]) -> None:
    assert rows(before, after) == shown


def test_both_rows_are_shortened_at_the_same_places() -> None:
    (hunk,) = diff(f"{RULES} not {RULES} old {RULES}", f"{RULES} {RULES} new {RULES}").hunks
    minus, plus = map(elide, hunk.lines)
    assert minus.text == plus.text.replace(" new", " old").replace("stays. Rule 0", "stays. not Rule 0", 1)
    skipped = [s.skipped for s in minus.segments if s.skipped]
    assert skipped == [s.skipped for s in plus.segments if s.skipped]
    assert sum(skipped) + len(minus.text) == len(f"{RULES} not {RULES} old {RULES}")


def test_what_is_beyond_the_longest_line_is_counted() -> None:
    before = " ".join(f"word{n}" for n in range(4_000))
    after = re.sub(r"word(\d*)0\b", r"WORD\g<1>0", before)
    (line,) = joined(diff(before, after).hunks[0].lines, lambda line: False)
    shown = elide(line)
    assert len(shown.text) <= 4_000
    assert shown.segments[-1].skipped
    assert shown.segments[-1].changes + sum(s.op == "-" for s in shown.segments) == 400


@st.composite
def edits(draw: st.DrawFn) -> tuple[list[str], list[str], list[tuple[str, list[str]]]]:
    """A line of words, the line after some edits, and each edited word with the two words on either side of it."""
    extra = draw(
        st.lists(st.sampled_from(["", "，", "[-", "-]", "{+", "…", "|", "`", "↳"]), min_size=5, max_size=5)
    )
    words = [f"{extra[n % 5]}w{n}" for n in range(draw(st.integers(5, 300)))]
    after: list[str | None] = list(words)
    seen = []
    for at in draw(st.sets(st.integers(0, len(words) - 1), min_size=1, max_size=min(6, len(words) // 5))):
        what = draw(st.sampled_from(["delete", "replace", "insert"]))
        after[at] = {"delete": None, "replace": f"new{at}", "insert": f"{words[at]} new{at}"}[what]
        seen.append(
            (
                f"new{at}" if what != "delete" else words[at],
                words[max(0, at - 2) : at] + words[at + 1 : at + 3],
            )
        )
    return words, [word for word in after if word is not None], seen


@settings(max_examples=40)
@given(edits())
def test_every_changed_word_is_shown_with_two_words_around_it(
    edit: tuple[list[str], list[str], list[tuple[str, list[str]]]],
) -> None:
    words, after, changed = edit
    document = plan(
        action(
            "update",
            "one",
            1,
            "One",
            "",
            change("prompt", "Hello.\n" + " ".join(words), "Hello.\n" + " ".join(after)),
        )
    )
    for form, width in (("text", 80), ("text", 200), ("markdown", 100), ("html", 100)):
        page = render_plan(document, form, options=RenderOptions(width=width))
        if form == "html":
            page = json.dumps(json.loads(re.search(r"<script[^>]*json[^>]*>(.*?)</script>", page, re.S)[1]))  # type: ignore[index]
            page = page.encode().decode("unicode_escape")
        numbers = set(re.findall(r"(?:w|new)\d+", re.sub(r"\n *[-+!|]* *↳ *", "", page)))
        for word, around in changed:
            for wanted in (word, *around):
                assert re.search(r"(?:w|new)\d+", wanted).group() in numbers, (form, wanted)  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_long_line_is_wrapped_and_marked_as_one(form: str) -> None:
    before = f"{RULES} Do not reveal prices. {RULES}"
    document = plan(
        action("update", "one", 1, "One", "", change("prompt", before, before.replace("not ", "")))
    )
    page = render_plan(document, form, options=RenderOptions(width=80))
    block = [row for row in page.split("\n") if "Rule" in row]
    assert len(block) > 1
    assert all(len(row) <= 96 for row in block)
    assert all("↳" in row for row in block[1:])
    assert "Do [-not-] reveal prices" in re.sub(r"\s*\n *[!|] *↳ *", " ", page)


def test_a_text_can_not_pretend_to_be_the_rest_of_a_line() -> None:
    document = plan(
        action("update", "one", 1, "One", "", change("prompt", "a\nOne rule", "a\n↳ beside another"))
    )
    page = render_plan(document, "markdown", options=RenderOptions())
    assert "+\\u21b3 beside" in page
    assert "+↳" not in page
