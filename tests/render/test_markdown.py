"""The Markdown of a plan: read by a parser, within its byte limit, and complete where it must be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from markdown_it import MarkdownIt

from reconciler.render import RenderOptions, render_plan
from reconciler.render.markdown import MIN_BYTES, marker
from tests.render.golden import check_golden
from tests.render.sample import action, change, everything, new, plan, preamble_plan

GONE = "not in the catalog any more"


def markdown(document: dict[str, Any], **options: Any) -> str:
    return render_plan(document, "markdown", options=RenderOptions(**options))


def code_text(text: str) -> str:
    """All that stands in code blocks, as the parser sees it."""
    return "\n".join(t.content for t in MarkdownIt("gfm-like").parse(text) if t.type == "fence")


def test_golden() -> None:
    check_golden("plan.md", markdown(everything()))


def test_golden_in_little_room() -> None:
    check_golden(
        "plan-small.md", markdown(everything(), max_bytes=4_500, whole="the artifact plan.html of this job")
    )


def test_the_first_line_tells_comments_apart() -> None:
    assert markdown(plan()).split("\n")[0] == "<!-- reconciler plan catalog=bookshop -->"
    assert marker("a", "b") != marker("a", None) != marker("a b", None)
    assert marker("x --> <b>", "-->") == (
        "<!-- reconciler plan catalog=x%20%2D%2D%3E%20%3Cb%3E environment=%2D%2D%3E -->"
    )
    assert marker("\ud800", None) == "<!-- reconciler plan catalog=%ED%A0%80 -->"
    long = [marker("c" * 5_000 + end, None) for end in "ab"]
    assert long[0] != long[1]
    assert len(long[0]) < 300


def test_no_changes() -> None:
    assert markdown(plan(summary={"unmanaged": 1})) == (
        "<!-- reconciler plan catalog=bookshop -->\n"
        "### Plan for catalog `bookshop`\n"
        "\n"
        "**No changes.** The live list matches the catalog. Left alone: 1 unmanaged. Compared with `local`.\n"
    )


def test_a_few_changes_are_unfolded_and_many_are_folded() -> None:
    one = action("update", "k", 1, "N", "", change("model", "a", "b"))
    assert "<details open>" in markdown(plan(one))
    assert "<details open>" not in markdown(
        plan(*(one | {"key": f"k{n}", "fields": [change("model", "a", n)]} for n in range(6)))
    )


def test_a_shared_preamble_is_one_fold() -> None:
    text = markdown(preamble_plan(312))
    assert text.count("<details>") + text.count("<details open>") == 1
    assert "~ <b>the same change in 312 sessions</b> · <code>prompt −2 +2 lines</code>" in text
    assert len(text) < 2_500


def test_a_budget_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes must be at least 4000, and is 3999"):
        markdown(plan(), max_bytes=MIN_BYTES - 1)


def prompt(seed: int, size: int) -> str:
    line = f"Line of session {seed}: be kind, be brief, 温柔一点. "
    return "\n".join([line] * (size // len(line) + 1))[:size]


def budgets() -> Iterator[Any]:
    """Sessions, the size of their prompts, and the budget. The largest plans are full, but for two of them."""
    usual = {(0, MIN_BYTES), (20_000, 65_000)}
    for sessions, size, budget in product(
        [1, 7, 60, 700, 5_000], [0, 300, 20_000], [MIN_BYTES, 12_000, 65_000]
    ):
        full = sessions == 5_000 and (size, budget) not in usual
        yield pytest.param(sessions, size, budget, marks=(pytest.mark.full,) if full else ())


@pytest.mark.parametrize(("sessions", "size", "max_bytes"), list(budgets()))
def test_always_within_the_budget_with_all_deletes(sessions: int, size: int, max_bytes: int) -> None:
    # Few different texts, since thousands of long ones would need gigabytes in the test and show nothing more.
    texts = [prompt(n, size) for n in range(20)]
    actions = []
    for n in range(sessions):
        if n % 3 == 0:
            actions.append(action("delete", f"persona-{n}", n, f"Persona {n}", GONE))
        elif n % 3 == 1:
            fields = [change("prompt", texts[n % 20], texts[n % 19] + str(n)), change("model", "a", f"b{n}")]
            actions.append(action("update", f"persona-{n}", n, f"Persona {n}", "", *fields))
        else:
            actions.append(
                action("create", f"persona-{n}", None, f"Persona {n}", "", new("prompt", texts[n % 20]))
            )
    text = markdown(plan(*actions), max_bytes=max_bytes)
    assert len(text.encode()) <= max_bytes
    deletes = range(0, sessions, 3)
    updates, creates = len(range(1, sessions, 3)), len(range(2, sessions, 3))
    assert f"**{creates:,} to create, {updates:,} to update, {len(deletes):,} to delete.**" in text
    listed = set(re.findall(r"persona-[0-9]+", text))
    missing = [n for n in deletes if f"persona-{n}" not in listed]
    if max_bytes >= 65_000 or (sessions <= 700 and max_bytes >= 12_000):
        assert not missing
    assert not missing or f"\n…and {len(missing):,} more\n" in text


def test_five_thousand_deletes_are_all_listed() -> None:
    keys = [f"guide-{n:05d}" for n in range(5_000)]
    text = markdown(plan(*(action("delete", key, n, f"Guide {n}", GONE) for n, key in enumerate(keys))))
    assert len(text.encode()) <= 65_000
    assert re.findall(r"guide-[0-9]{5}", code_text(text)) == keys
    assert "Left out: names and reasons of deletes." in text


def test_keys_too_long_for_the_room_are_counted() -> None:
    keys = [f"{n:05d}{'x' * 58}" for n in range(5_000)]
    text = markdown(plan(*(action("delete", key, n, "N", GONE) for n, key in enumerate(keys))))
    assert 60_000 < len(text.encode()) <= 65_000
    listed = set(re.findall(r"[0-9]{5}x{58}", code_text(text)))
    assert len(listed) > 900
    assert f"\n…and {5_000 - len(listed):,} more\n" in text
    assert f"**{5_000 - len(listed):,} deletes**" in text
    assert "0 to create, 0 to update, 5,000 to delete." in text


def test_what_is_left_out_is_said_and_where_the_whole_is() -> None:
    actions = [
        action("update", f"k{n}", n, "N", "", change("prompt", prompt(n, 3_000), prompt(n + 1, 3_000)))
        for n in range(300)
    ]
    text = markdown(plan(*actions), whole="the artifact `plan.html`")
    found = re.search(
        r"> Shortened to fit 65,000 bytes\. Left out: details of ([0-9]+) changes\. "
        r"The whole plan is in the artifact `plan\.html`\.",
        text,
    )
    assert found is not None
    assert text.count("<details>") == 300 - int(found[1])
    assert all(f"`k{n}`" in text or f"<code>k{n}</code>" in text for n in range(300))
