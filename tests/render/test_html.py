"""The page of a plan, read as a file: its policy, its data, and what the template escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from reconciler.render import RenderOptions, render_plan
from tests.hostile import HOSTILE
from tests.render.golden import check_golden
from tests.render.hostile_plans import NAMES, poisoned
from tests.render.sample import action, change, everything, new, plan, preamble_plan


def page(document: dict[str, Any]) -> str:
    return render_plan(document, "html", options=RenderOptions())


class Page(HTMLParser):
    """The elements and their attributes, the texts, and what stands in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.texts: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.raw:
            self._inside = tag
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.raw[self._inside][-1] += data
        else:
            self.texts.append(data)


def data(found: Page) -> Any:
    return json.loads(found.raw["script"][0])


def test_golden() -> None:
    # Style and script are files of their own; here they would only hide what the plan makes of the page.
    text = re.sub("(?s)<(style|script)>.*?</", r"<\1>…</", page(everything()))
    check_golden("plan.html", re.sub("sha256-[^&]*", "sha256-…", text))


def test_the_policy_allows_the_two_of_us_and_nothing_else() -> None:
    found = Page(page(everything()))
    policy = next(a["content"] for t, a in found.elements if a.get("http-equiv") == "Content-Security-Policy")

    def allowed(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    style, script = found.raw["style"][0], found.raw["script"][1]
    assert policy == (
        f"default-src 'none'; style-src {allowed(style)}; script-src {allowed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("name", ["osc8-link", "image", "bare-url", "script"])
def test_the_page_refers_to_nothing(name: str) -> None:
    found = Page(page(poisoned(HOSTILE[name])))
    for tag, attributes in found.elements:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base", "video", "audio", "source")
        assert not {"src", "srcset", "style", "action", "background", "poster"} & set(attributes)
        assert not any(attribute.startswith("on") for attribute in attributes)
        assert tag != "a" or attributes["href"] == "#changes"
    ours = found.raw["style"][0] + found.raw["script"][1]
    assert "http" not in ours
    assert "url(" not in ours


@pytest.mark.parametrize("name", NAMES)
def test_hostile_texts_change_no_element(name: str) -> None:
    bad = poisoned(HOSTILE[name])
    text = page(bad)
    text.encode("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff]", text)

    def shape(found: Page) -> list[str]:
        return [t for t, _ in found.elements]

    # An empty text has no place of its own, and one longer than a line is shown in another way.
    plain = poisoned("x" if HOSTILE[name] else "")
    if bad["environment"]:
        assert shape(Page(text)) == shape(Page(page(plain)))
    assert len(data(Page(text))["changes"]) in (7, 8)


def test_one_change_of_many_sessions_is_one_row() -> None:
    found = Page(page(preamble_plan(312)))
    rows = [a for t, a in found.elements if t == "details" and a.get("class", "").startswith("change")]  # type: ignore[union-attr]
    assert len(rows) == 1
    assert len(data(found)["changes"][0]["m"]) == 312
    assert "The same change in 312 sessions" in "".join(found.texts)


def test_a_small_plan_is_there_to_the_last_character() -> None:
    long = "\n".join(f"line {n} " + "x" * 300 for n in range(600))
    found = data(Page(page(plan(action("create", "k", None, "N", "", new("prompt", long))))))
    (field,) = found["changes"][0]["f"]
    assert "\n".join(segment for _, (segment,) in field["h"][0]["l"]) == long
    assert "more" not in field


def test_a_page_of_many_long_prompts_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.render.html.PAGE", 400_000)
    long = "\n".join(f"line {n} " + "x" * 90 for n in range(2_000))
    made = [action("create", f"c{n}", None, "N", "", new("prompt", long)) for n in range(20)]
    changed = [action("update", f"u{n}", n, "N", "", change("prompt", f"a{n}", long)) for n in range(20)]
    text = page(plan(*made, *changed))
    assert len(text) < 600_000
    for one in data(Page(text))["changes"]:
        assert re.fullmatch(r"… 1,[0-9]{3} more lines, too long for this page", one["f"][0]["more"])


def test_the_change_of_a_value_is_there_in_quotes() -> None:
    found = data(Page(page(plan(action("update", "k", 1, "N", "", change("model", 'a"b', "c\\d"))))))
    assert found["changes"][0]["f"] == [{"p": "model", "b": r'"a\"b"', "a": r'"c\\d"'}]


def test_a_page_shows_the_sizes_of_what_is_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.render.html.PAGE", 10_000)
    made = [action("create", f"c{n}", None, "N", "", new("prompt", "x\n" * 3_000)) for n in range(30)]
    text = page(plan(*made))
    assert len(text) < 100_000
    (last,) = data(Page(text))["changes"][-1]["f"]
    assert last["s"] == "3,001 lines, about 1,800 tokens"
    assert last["more"] == "… 3,001 more lines, too long for this page"
