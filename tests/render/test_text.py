"""The text of a plan: what a reviewer sees in a terminal or a log."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from rich.cells import cell_len

from reconciler.render import RenderOptions, render_plan
from reconciler.render.options import Detail
from reconciler.text.width import cells
from tests.render.golden import check_golden
from tests.render.sample import action, change, everything, gone, new, plan, preamble_plan

SGR = re.compile(r"\x1b\[[0-9;]*m")


def text(document: dict[str, Any], width: int = 100, detail: Detail = "normal", color: bool = False) -> str:
    return render_plan(document, "text", options=RenderOptions(width=width, detail=detail, color=color))


@pytest.mark.parametrize(
    ("name", "width", "detail"),
    [
        ("plan.txt", 100, "normal"),
        ("plan-40.txt", 40, "normal"),
        ("plan-concise.txt", 100, "concise"),
        ("plan-full.txt", 120, "full"),
    ],
)
def test_golden(name: str, width: int, detail: Detail) -> None:
    check_golden(name, text(everything(), width, detail))


def test_golden_in_color() -> None:
    check_golden("plan-color.txt", text(everything(), color=True))


@pytest.mark.parametrize("detail", ["concise", "normal", "full"])
@pytest.mark.parametrize("width", [40, 57, 80, 120, 200])
def test_color_changes_nothing_but_the_color(width: int, detail: Detail) -> None:
    assert SGR.sub("", text(everything(), width, detail, color=True)) == text(everything(), width, detail)


@pytest.mark.parametrize("width", [40, 57, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    document = everything()
    document["actions"].append(
        action(
            "create",
            "k" * 63,
            None,
            "名" * 90,
            "not live yet",
            new("prompt", "字" * 500 + "\n" + "word " * 200),
        )
    )
    for line in text(document, width).split("\n"):
        assert cell_len(line) <= width, line


def test_a_shared_preamble_makes_a_short_plan() -> None:
    shown = text(preamble_plan(312), 80)
    assert len(shown.splitlines()) <= 60
    assert "~ the same 2-line change in 312 sessions:" in shown
    assert "Plan: 0 to create, 312 to update, 0 to delete." in shown


def test_full_lists_every_session_of_a_group() -> None:
    shown = text(preamble_plan(312), 80, "full")
    for number in (1, 150, 312):
        assert f"persona-{number} #{number}" in re.sub(r"\s+", " ", shown)


def test_no_changes() -> None:
    document = plan(summary={"no_op": 3, "managed": 3, "unmanaged": 2})
    assert text(document) == (
        "Plan for catalog bookshop, at local\n"
        "\n"
        "No changes. The live list matches the catalog.\n"
        "Left alone: 2 unmanaged.\n"
    )


def test_a_hunk_is_shown_once() -> None:
    old = "\n".join(["a", "b", "c", "d"])
    new_ = "\n".join(["w", "x", "y", "z"])
    document = plan(
        action("update", "one", 1, "One", "", change("prompt", f"{old}\nOne", f"{new_}\nOne")),
        action(
            "update",
            "two",
            2,
            "Two",
            "",
            change("prompt", f"{old}\nTwo", f"{new_}\nTwo"),
            change("parameters.top_p", 0.1, 0.2),
        ),
    )
    shown = text(document)
    assert shown.count("| - a\n") == 1
    assert "| @@ -1,5 +1,5 @@ the same 8 lines as in one\n" in shown


def test_one_changed_word_of_a_long_line_does_not_print_the_line() -> None:
    words = " ".join(f"word{n}" for n in range(5_000))
    shown = text(
        plan(
            action(
                "update", "one", 1, "One", "", change("prompt", words, words.replace("word2500 ", "WORD "))
            )
        )
    )
    assert len(shown) < 1_000
    assert "word2499 [-word2500-]{+WORD+} word2501" in re.sub(r"\s+\| ↳\s+", " ", shown)
    assert re.search(r"\[… [0-9,]+ characters …\]", shown)


def test_a_big_difference_is_cut_and_says_so() -> None:
    before, after = (("\n".join(f"{side} {n}" for n in range(500))) for side in ("old", "new"))
    document = plan(action("update", "one", 1, "One", "", change("prompt", before, after)))
    assert "| (… 960 more lines)\n" in text(document)
    assert len(re.findall(r"\| \+ (?:new|\{\+new\+\}) ", text(document, detail="full"))) == 500


def test_deletes_come_first_then_drift_then_the_rest() -> None:
    document = plan(
        action("create", "made", None, "M", "not live yet", new("model", "m")),
        action("update", "edited", 1, "E", "", change("model", "a", "b")),
        action("update", "drifted", 2, "D", "", change("model", "a", "c", "drift"), drift=True),
        action("delete", "removed", 3, "R", "not in the catalog any more", gone("model", "m")),
    )
    heads = [line.split()[1] for line in text(document).splitlines() if re.match(r"  [-+~] \S+  \"", line)]
    assert heads == ["removed", "drifted", "edited", "made"]  # another model is the greatest change


def test_importing_the_text_renderer_is_cheap() -> None:
    code = "import sys, reconciler.render.text; print({'rich', 'difflib', 'unicodedata'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize("width", [40, 80])
def test_signs_of_ambiguous_width_do_not_break_the_width(width: int) -> None:
    document = everything()
    options = RenderOptions(width=width, wide_signs=True)
    for line in render_plan(document, "text", options=options).split("\n"):
        assert cells(line, wide_signs=True) <= width, line


def test_a_row_of_chinese_does_not_begin_with_a_sign_that_closes_a_phrase() -> None:
    prompt = "你是诗人，他是画家。" * 60
    page = text(plan(action("create", "a", None, "A", "not live yet", new("prompt", prompt))), 60, "full")
    rows = [row.split("↳")[1].strip() for row in page.split("\n") if "↳" in row]
    assert len(rows) > 5
    assert not [row for row in rows if row[0] in "，。"]
