"""The same change in several sessions is shown once, also where it is a part of one long line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.render import RenderOptions, render_plan
from reconciler.render.prompt_diff import diff
from reconciler.render.shared_changes import shared, what_is_same
from reconciler.render.view import changes
from tests.render.sample import action, change, plan

RULE = "Answer in the language of the reader, recommend at most {} and never tell the end of a story."
PERSONAS = [
    f"You are persona {n} of the shop. " + "You know this and that. " * (10 + n) + "{} Now greet."
    for n in range(9)
]


def prompts(persona: str) -> tuple[str, str]:
    """A long line with the rule in it, and the same with another rule."""
    old, new = (RULE.format(what) for what in ("three books", "one book"))
    return persona.format(old), persona.format(new)


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_rule_that_changes_within_long_lines_is_one_change(form: str) -> None:
    updates = [
        action("update", f"p{n}", n, f"P{n}", "changed in git", change("prompt", *prompts(one)))
        for n, one in enumerate(PERSONAS)
    ]
    document = plan(*updates)
    (group,) = changes(document)
    assert len(group.members) == len(PERSONAS)
    page = render_plan(document, form, options=RenderOptions(width=200))
    assert "1 line removed, 1 added, about -1 to 0 tokens (now about 114 to 172)" in page
    if form == "html":
        assert '[["","293 to 485"]," of the reader, recommend at most ",["three books"]," and never' in page
    else:
        flat = re.sub(r"\n +[!|] *↳ *", " ", page)
        assert (
            "[… 293 to 485 characters …] of the reader, recommend at most [-three books-]{+one book+} and never "
            "tell the end of a story. Now greet."
        ) in flat


def test_the_same_words_elsewhere_are_another_change() -> None:
    here, there = (
        f"{'word ' * 60}{text} {'word ' * 60}" for text in ("do not tell it", "you may not sell it")
    )
    one, two = (diff(text, text.replace("not ", "")) for text in (here, there))
    assert what_is_same(one.hunks[0]) != what_is_same(two.hunks[0])


def test_a_short_line_is_the_same_as_a_whole_only() -> None:
    one, two = (diff(f"{who}, be kind to all", f"{who}, be calm to all") for who in ("Alice", "Bob"))
    assert what_is_same(one.hunks[0]) != what_is_same(two.hunks[0])


WORDS = st.lists(st.sampled_from(["a", "b", "书", "，", "[-", "long" * 20]), max_size=60)


@settings(max_examples=60)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), st.sampled_from(["", "new"]))
def test_what_is_shown_of_a_group_is_true_of_each(
    members: list[tuple[list[str], list[str]]], new: str
) -> None:
    texts = []
    for head, foot in members:
        start, end = " ".join([*head, "x" * 90, "of the"]), " ".join(["rule we", "y" * 90, *foot])
        texts.append((f"{start} old {end}", f"{start} {new} {end}".replace("  ", " ")))
    differences = [diff(*one) for one in texts]
    assert len({what_is_same(one.hunks[0]) for one in differences}) == 1
    (hunk,) = shared(differences).hunks
    for line, at in zip(hunk.lines, (0, 1), strict=True):
        assert line.op == "-+"[at]
        lengths = {len(one[at]) for one in texts}
        skipped = [s for s in line.segments if s.skipped]
        most = sum(s.skipped for s in skipped) + len(line.text)
        fewest = sum(s.skipped if s.fewest is None else s.fewest for s in skipped) + len(line.text)
        assert fewest <= min(lengths) <= max(lengths) <= most
        shown = "".join("\0" if s.skipped else s.text for s in line.segments)
        assert all(part in one[at] for one in texts for part in shown.split("\0"))
        assert "of the" in shown
        assert "rule we" in shown
