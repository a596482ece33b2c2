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


def page(document: dict[str, Any], **options: Any) -> str:
    return render_plan(document, "html", options=RenderOptions(**options))


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
        assert tag != "a" or str(attributes["href"]).startswith("#")
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


MADE = {"commit": "0123456789abcdef0123456789abcdef01234567", "time": "2026-03-04T05:06:07Z"}
JOB = "https://ci.example.com/team/shop/actions/runs/12?attempt=2"


def test_where_the_page_comes_from_is_what_it_is_told() -> None:
    found = Page(page(everything(), **MADE, job=JOB))
    text = " ".join(" ".join(found.texts).split())
    assert "commit 0123456789ab made 2026-03-04 05:06 UTC the job that made it" in text
    assert [a["href"] for t, a in found.elements if t == "a"] == ["#changes", JOB]
    assert [a["datetime"] for t, a in found.elements if t == "time"] == [MADE["time"]]
    assert not re.search("commit|made 2|job", "".join(Page(page(everything())).texts).split("Left alone")[0])


def test_a_saved_plan_says_itself_where_it_comes_from() -> None:
    saved = {**everything(), "created": MADE["time"], "made_by": {"job": JOB, "commit": MADE["commit"]}}
    text = page(saved)
    assert "0123456789ab<" in text
    assert "2026-03-04 05:06 UTC" in text
    assert f'href="{JOB}"' in text
    assert "fedcba987654<" in page(saved, commit="fedcba9876543210")
    saved["made_by"]["dirty"] = True
    assert "0123456789ab-dirty<" in page(saved)


@pytest.mark.parametrize(
    "job", ["javascript:alert(1)", "data:text/html,x", 'https://a"b', "//a.example", "12"]
)
def test_only_an_address_becomes_a_link(job: str) -> None:
    found = Page(page(everything(), job=job, commit="<b>", time="<i>yesterday</i>"))
    assert [a["href"] for t, a in found.elements if t == "a"] == ["#changes"]
    assert {job, "<b>", "<i>yesterday</i>"} <= set(found.texts)


def rows(found: Page) -> list[dict[str, str | None]]:
    return [a for t, a in found.elements if t == "details" and "data-change" in a]


def test_each_session_has_an_anchor_and_a_key_that_occurs_twice_has_one() -> None:
    twice = [action("delete", "k", n, "N", "second") for n in (1, 2)]
    found = Page(page(plan(*twice, action("update", "café 1", 3, "N", "", change("model", "a", "b")))))
    assert [row.get("id") for row in rows(found)] == ["session-k", None, "session-café 1"]
    assert [one["k"] for one in data(found)["changes"]] == ["k", "k", "café 1"]


def test_the_fields_that_change_are_filters_with_their_sessions() -> None:
    found = Page(page(everything()))
    filters = [a["data-field"] for t, a in found.elements if t == "button" and "data-field" in a]
    # Creates and deletes have all fields, which says nothing.
    assert filters[:3] == ["prompt", "model", "parameters.max_tokens"]
    assert "data.cards" not in filters
    text = " ".join("".join(found.texts).split())
    assert "Changed: prompt 33 model 2 parameters.max_tokens 1 parameters.history_length 1" in text
    one = Page(page(preamble_plan(3)))
    assert not [a for t, a in one.elements if "data-field" in a]


def test_a_row_says_what_changes_in_a_few_words() -> None:
    text = " ".join("".join(Page(page(everything())).texts).split())
    assert (
        'model: "deepseek-chat" → "deepseek-reasoner" · prompt −2 +2 lines · parameters.temperature: 0.7 → 0.3 · '
        "data.profile: city, likes[2], age · data.shelf: added"
    ) in text


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("你是一位住在书店里的诗人。", "zh"),
        ("你是 Poet, 回答 JSON。只用 deepseek-chat 模型。", "zh"),
        ("あなたは本屋に住む詩人です。", "ja"),
        ("당신은 서점에 사는 시인입니다.", "ko"),
        ("You are the poet 诗人 who lives in a bookshop.", ""),
        ("Ты поэт, живёшь в книжном магазине.", ""),
        ("🖋️ 12 — …", ""),
        ("", ""),
    ],
)
def test_a_text_has_the_language_of_its_script(text: str, tag: str) -> None:
    field = new("prompt", text) if text else change("prompt", "before", "")
    found = data(Page(page(plan(action("update", "k", 1, "N", "", field)))))
    assert found["changes"][0]["f"][0].get("l", "") == tag


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


def test_a_page_of_too_many_changes_lists_what_takes_something_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.render.html.ROWS", 3)
    made = [action("create", f"c{n}", None, "N", "", new("prompt", "p")) for n in range(4)]
    gone = [action("delete", f"d{n}", n + 1, "N", "") for n in range(2)]
    text = page(plan(*made, *gone))
    assert len(data(Page(text))["changes"]) == 3
    assert all(f">{key}<" in text for key in ("d0", "d1", "c0"))
    assert ">c1<" not in text
    assert "Too many for this page, and not listed: 3 create. The plan as JSON has all." in text


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
