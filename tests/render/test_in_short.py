"""What changes, in a few words."""

from __future__ import annotations

import json
import re

import pytest

from reconciler.render import RenderOptions, render_plan
from reconciler.render.in_short import in_short, totals_by_field
from reconciler.render.view import Change, changes
from tests.render.sample import action, change, gone, new, plan


def test_each_field_is_named_with_its_values() -> None:
    one = action(
        "update",
        "alice",
        1,
        "Alice",
        "",
        change("parameters.temperature", 0.7, 0.3),
        change("prompt", "a\nb\nc", "a\nB\nC\nd"),
        change("model", "deepseek-chat", "deepseek-reasoner"),
        new("data.shelf", ["fiction"] * 9),
        gone("remark.note", "x"),
        change("remark.color", "red", None),
        change("name", "A" * 50, "B"),
        change("data.a", 1, 2),
    )
    assert in_short(Change([one])) == [
        'model: "deepseek-chat" → "deepseek-reasoner"',
        "prompt −2 +3 lines",
        "parameters.temperature: 0.7 → 0.3",
        'data.shelf: added ["fiction", "fiction", "fiction", "fict…',
        "remark.note removed",
        'remark.color: "red" → null',
        "2 more fields",
    ]


def test_a_plan_of_many_begins_with_its_totals_by_field() -> None:
    many = [
        action(
            "update",
            f"p{number}",
            number,
            "P",
            "",
            change("prompt", f"old {number}", f"new {number}"),
            *([change("model", "a", "b")] if number < 3 else []),
        )
        for number in range(780)
    ]
    document = plan(*many)
    assert totals_by_field(document) == "780 updates: prompt 780, model 3"
    head = render_plan(document, "text", options=RenderOptions()).split("\n")[:5]
    assert head[2:4] == ["0 to create, 780 to update, 0 to delete.", "780 updates: prompt 780, model 3."]
    assert "\n\n780 updates: prompt 780, model 3.\n" in render_plan(
        document, "markdown", options=RenderOptions()
    )
    assert totals_by_field(plan(*many[:6])) == ""


def test_keys_are_in_the_order_that_people_use_and_another_model_is_first() -> None:
    edits = [action("update", key, 1, key, "", change("prompt", key, key * 2)) for key in ("p10", "p2", "p1")]
    edits.append(action("update", "p20", 2, "p20", "", change("model", "a", "b")))
    assert [one.first["key"] for one in changes(plan(*edits), grouped=False)] == ["p20", "p1", "p2", "p10"]


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_reason_that_all_deletes_share_is_said_once(form: str) -> None:
    why = "not in the catalog any more"
    deletes = [action("delete", f"p{n}", n, f"P{n}", why) for n in range(4)]
    page = render_plan(plan(*deletes), form, options=RenderOptions())
    assert page.count(why) == 1
    other = action("delete", "q", 9, "Q", "a second live session of this identity; #1 stays")
    assert render_plan(plan(*deletes, other), form, options=RenderOptions()).count(why) == 4


def test_the_keys_of_deletes_are_at_the_top_of_a_long_log() -> None:
    prompt = "You are long. " * 100
    many = [action("delete", f"p{n}", n, f"P{n}", "gone", gone("prompt", prompt)) for n in range(1, 400)]
    page = render_plan(plan(*many[:9]), "text", options=RenderOptions(width=80))
    assert "\n9 deletes: p1, p2, p3, p4, p5, p6, p7, p8, p9.\n" in page
    page = render_plan(plan(*many), "text", options=RenderOptions(width=80))
    (row,) = (row for row in page.split("\n")[:10] if " more)." in row)
    number = int(re.search(r"p(\d+), … \((\d+) more\)", row)[1])  # type: ignore[index]
    assert f"({399 - number} more)" in row
    assert "deletes: " not in render_plan(plan(*many[:3]), "text", options=RenderOptions(width=80))


def test_the_mark_of_a_cut_text_follows_its_code() -> None:
    """Inside, it would be a part of the text."""
    long = action("update", "alice", 1, "A" * 200, "", *(change(f"data.{'k' * 90}{n}", 1, n) for n in (2, 3)))
    page = render_plan(plan(long), "markdown", options=RenderOptions())
    assert f"<code>&quot;{'A' * 79}</code>…" in page
    assert page.count("k</code>… · ") + page.count("k</code>…</summary>") == 2
    assert page.count("k`…: `1` → ") == 2
    spans = re.findall(r"`+[^`]+`+|<code>.*?</code>", page)
    assert not [span for span in spans if "…" in span]


def test_tokens_of_a_group_are_a_range() -> None:
    sessions = [
        action("update", key, 1, key, "", change("prompt", f"Old rule.\n{key}", f"New, longer rule.\n{key}"))
        for key in ("a", "b" * 60)
    ]
    page = render_plan(plan(*sessions), "text", options=RenderOptions())
    found = re.search(r"about \+[0-9]+(?: to \+[0-9]+)? tokens \(now about ([0-9]+) to ([0-9]+)\)", page)
    assert found
    assert int(found[1]) < int(found[2])


def test_a_refused_plan_says_so_at_its_top() -> None:
    document = plan(action("delete", "p", 1, "P", "not in the catalog any more"))
    document["refusals"] = [
        {"guard": "max_deletes", "message": "it would delete 1", "allow": "--max-deletes=1"},
        {"guard": "prevent_destroy", "message": "p is protected", "allow": "--allow-destroy=p"},
    ]
    head = render_plan(document, "text", options=RenderOptions()).split("\n")[:4]
    assert "Refused [max_deletes]: it would delete 1; to allow it: --max-deletes=1" in head
    assert "Refused [prevent_destroy]: p is protected; to allow it: --allow-destroy=p" in head


def test_what_is_folded_says_what_is_in_it() -> None:
    edits = [action("update", f"p{n}", n, "P", "", change("model", "a", f"b{n}")) for n in range(7)]
    page = render_plan(plan(*edits), "markdown", options=RenderOptions())
    assert "<details><summary>~ <b><code>p0</code></b>" in page
    assert "<code>model: &quot;a&quot; → &quot;b0&quot;</code></summary>" in page
    html = render_plan(plan(*edits), "html", options=RenderOptions())
    assert json.dumps('model: "a" → "b0"')[1:-1] in html or "model: &#34;a&#34; → &#34;b0&#34;" in html
