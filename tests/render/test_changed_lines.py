"""A changed line: every change is visible on both sides, with the words around it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

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


#: What may stand between words, and looks like a mark, a fold or a row of ours.
SIGNS = ["，", "。", "[-", "-]", "{+", "+}", "…", "|", "`", "↳", "🙂", "👍🏽", "é"]


@dataclass(frozen=True)
class Edit:
    """A line before and after some edits, and on each side the changed words with the two words on either side."""

    before: str
    after: str
    removed: list[str]
    added: list[str]


def edited(kind: str, size: int, seed: int) -> Edit:
    """A line of words, Chinese characters or both, with edits of less than a fifth of it."""
    random = Random(seed)

    def word(name: str, number: int) -> str:
        if kind == "chinese" or (kind == "mixed" and random.random() < 0.5):
            return chr({"w": 0x4E00, "new": 0x5E00}[name] + number)
        return f" {name}{number}" + ("x" * random.randrange(40, 90) if random.random() < 0.02 else "")

    old = [word("w", n) for n in range(size)]
    for _ in range(random.randrange(size // 4)):
        old.insert(random.randrange(len(old)), random.choice(["", " "]) + random.choice(SIGNS))
    places = [at for at, one in enumerate(old) if one.strip() not in SIGNS]
    before, after = [(one, False) for one in old], []
    for at in sorted(random.sample(places, random.randint(1, min(6, size // 5)))):
        before[at] = old[at], True
    for at, (one, edited) in enumerate(before):
        what = random.choice(["delete", "replace", "insert"]) if edited else "keep"
        before[at] = one, what in ("delete", "replace")
        after += [(one, False)] if what in ("keep", "insert") else []
        after += [(word("new", at), True)] if what in ("replace", "insert") else []

    def around(side: list[tuple[str, bool]]) -> list[str]:
        found = (at for at, (_, edited) in enumerate(side) if edited)
        return [plain("".join(one for one, _ in side[max(0, at - 2) : at + 3])) for at in found]

    lines = ["".join(one for one, _ in side).strip() for side in (before, after)]
    return Edit(*lines, around(before), around(after))


def plain(text: str) -> str:
    """Without white space and marks; a zero stands for what is left out."""
    return re.sub(r"[\s\[\]{}+·…|`↳-]", "", re.sub(r"\[… [\d,]+ characters? …\]", "\0", text))


def sides(rows: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """What rows, each with its sign, show of the text before and after."""
    shown = {"-": "", "+": ""}
    for sign, text in rows:
        depth = max((len(one[1] or one[2]) for one in re.finditer(r"\[(-+)|\{(\++)", text)), default=0)
        removed, added = rf"\[-{{{depth}}}(.*?)-{{{depth}}}\]", rf"\{{\+{{{depth}}}(.*?)\+{{{depth}}}\}}"
        if sign in "-=~! ":
            shown["-"] += plain(re.sub(added, "", text) if sign in "~!" else text) + "\n"
        if sign in "+=~! ":
            shown["+"] += plain(re.sub(removed, "", text) if sign in "~!" else text) + "\n"
    return shown["-"], shown["+"]


def shown_sides(document: dict[str, Any], form: str, width: int) -> tuple[str, str]:
    """What a rendering shows of a prompt before and after."""
    page = render_plan(document, form, options=RenderOptions(width=width))
    if form == "html":
        data = json.loads(re.search(r"<script[^>]*json[^>]*>(.*?)</script>", page, re.DOTALL)[1])  # type: ignore[index]
        rows = [row for hunk in data["changes"][0]["f"][0]["h"] for row in hunk["l"]]
        return sides(
            (op, "".join(one if isinstance(one, str) else one[0] for one in text)) for op, text in rows
        )
    if form == "markdown":
        page = re.search(r"  (`{3,})diff\n(.*?)\n  \1", page, re.DOTALL)[2]  # type: ignore[index]
        return sides((row[2:3], row[3:]) for row in re.sub(r"\n  [-+! ]↳ ", " ", page).split("\n"))
    page = re.sub(r"\n {8}\| ↳ +", " ", page)
    return sides((row[10:11], row[12:]) for row in page.split("\n") if row.startswith("        | "))


@settings(max_examples=40)
@given(st.builds(edited, st.sampled_from(["words", "chinese", "mixed"]), st.integers(5, 300), st.integers(0)))
@pytest.mark.parametrize(("form", "width"), [("text", 80), ("text", 200), ("markdown", 100), ("html", 100)])
def test_every_changed_word_is_shown_with_two_words_around_it(form: str, width: int, edit: Edit) -> None:
    prompts = f"Hello.\n{edit.before}", f"Hello.\n{edit.after}"
    document = plan(action("update", "one", 1, "One", "", change("prompt", *prompts)))
    before, after = shown_sides(document, form, width)
    assert [one for one in edit.removed if one not in before] == []
    assert [one for one in edit.added if one not in after] == []


def test_the_property_above_notices_a_word_that_is_not_shown() -> None:
    assert sides([("~", "a [-b-] c {+d+}[… 3 characters …] [-")]) == ("abc\0\n", "acd\0\n")


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


@pytest.mark.parametrize(("form", "width"), [("text", 40), ("text", 80), ("markdown", 100)])
@pytest.mark.parametrize("words", [RULES, CHINESE * 2])
def test_no_row_ends_within_a_mark(words: str, form: str, width: int) -> None:
    for before, after in (("Do not", "Do"), ("", "a"), ("x", "y"), ("不要", "可以")):
        for n in range(0, 60, 7):
            prompts = (f"{words}{'z' * n} {one} stays. {words}" for one in (before, after))
            document = plan(action("update", "one", 1, "One", "", change("prompt", *prompts)))
            page = render_plan(document, form, options=RenderOptions(width=width))
            rows = [row for row in page.split("\n") if "↳" in row or " characters …]" in row]
            assert sum(row.count("[… ") for row in rows) == 2
            for row in rows:
                assert row.count("[") == row.count("]"), rows
                assert row.count("{+") == row.count("+}"), rows


def test_colour_marks_words_and_not_the_space_after_them() -> None:
    document = plan(action("update", "one", 1, "One", "", change("prompt", "Do not tell it", "Do tell it")))
    page = render_plan(document, "text", options=RenderOptions(color=True))
    assert "[-not-]\x1b[0m\x1b[31m " in page


def test_a_text_can_not_pretend_to_be_the_rest_of_a_line() -> None:
    document = plan(
        action("update", "one", 1, "One", "", change("prompt", "a\nOne rule", "a\n↳ beside another"))
    )
    page = render_plan(document, "markdown", options=RenderOptions())
    assert "+\\u21b3 beside" in page
    assert "+↳" not in page
