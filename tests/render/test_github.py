"""Job annotations, read back the way the runner reads them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from reconciler.render import RenderOptions, render_plan
from tests.render.golden import check_golden
from tests.render.sample import action, everything, plan


class Command(NamedTuple):
    level: str
    title: str
    message: str


def unescape(text: str, *, is_property: bool) -> str:
    if is_property:
        text = text.replace("%3A", ":").replace("%2C", ",")
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def commands(text: str) -> list[Command]:
    """Every line is one command of ours with one property; anything else fails."""
    found = []
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        match = re.fullmatch(r"::(error|warning|notice) title=([^:,]*)::(.*)", line)
        assert match is not None, line
        assert "##[" not in line
        found.append(
            Command(match[1], unescape(match[2], is_property=True), unescape(match[3], is_property=False))
        )
    return found


def annotations(document: dict[str, Any]) -> list[Command]:
    return commands(render_plan(document, "github", options=RenderOptions()))


def test_golden() -> None:
    check_golden("plan.github.txt", render_plan(everything(), "github", options=RenderOptions()))


def test_no_changes() -> None:
    assert annotations(plan()) == [
        Command("notice", "Plan for bookshop", "No changes. The live list matches the catalog.")
    ]


def test_never_more_than_the_forge_shows() -> None:
    document = plan(
        *(action("delete", f"k{n}", n, "N", "not in the catalog any more") for n in range(5_000)),
        refusals=[{"guard": f"g{n}", "message": "m", "allow": "a"} for n in range(40)],
        notes=[{"kind": "two-way", "message": "m" * 10_000} for _ in range(100)],
    )
    found = annotations(document)
    assert sum(c.level == "error" for c in found) == 10
    assert sum(c.level == "warning" for c in found) == 2
    assert found[9].title == "Plan refused by 31 more guards"
    assert found[10].title == "5,000 sessions to delete"
    assert re.search(r"\n… and [0-9,]+ more$", found[10].message)
    assert all(len(c.message) < 5_000 for c in found)


def test_foreign_text_stays_in_its_place() -> None:
    document = plan(
        action("delete", "k", 1, "N", "100%0A::error::x\r\n::warning title=y,z::w ##[error]"),
        refusals=[{"guard": "a:b,c%3A", "message": "line\n::error::x", "allow": "%25"}],
        catalog="c::x",
    )
    error, delete, notice = annotations(document)
    assert error == Command("error", "Plan refused: a:b,c%3A", "line\\n::error::x\nTo allow it: %25")
    assert delete.message == r"k #1: 100%0A::error::x\r\n::warning title=y,z::w \x23#[error]"
    assert notice.title == "Plan for c::x"
