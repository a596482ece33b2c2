"""The page of a plan in a real browser: Chromium without a window, driven by playwright."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.render import RenderOptions, render_plan
from reconciler.text.escape import visible
from tests.hostile import HOSTILE
from tests.render.hostile_plans import NAMES, poisoned
from tests.render.sample import action, change, everything, new, plan, preamble_plan
from tests.render.screens import CHROMIUM, chromium

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="there is no Chromium here, and this is no CI"
)

VISIBLE = "details.change:not([hidden])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


Open = Callable[..., Any]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a plan as a page. That the page said nothing, asked for nothing and ran nothing is checked at the end."""
    contexts: list[Any] = []
    said: list[str] = []

    def opened(document: dict[str, Any], *, at: str = "", **options: Any) -> Any:
        file = tmp_path / f"plan-{len(contexts)}.html"
        file.write_text(render_plan(document, "html", options=RenderOptions()), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        context.set_default_timeout(300_000)  # how long a busy machine takes is no failure
        page = context.new_page()
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("popup", lambda _: said.append("popup"))
        page.on(
            "request",
            lambda request: (
                request.url.partition("#")[0] == file.as_uri() or said.append(f"request: {request.url}")
            ),
        )
        page.goto(file.as_uri() + at)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


def keys(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(f"{VISIBLE} > summary .key").all_inner_texts()]


def settle(page: Any) -> None:
    """Wait for what the page does a moment after a key: a timer set later and for longer goes off after its timer."""
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 100))")


def test_filter_by_action(show: Open) -> None:
    page = show(everything())
    everyone = page.locator(VISIBLE).count()
    page.click("[data-filter=delete]")
    assert keys(page) == ["bob", "old-clerk"]
    assert page.inner_text("#shown") == f"Showing 2 of {everyone}."
    assert page.get_attribute("[data-filter=delete]", "aria-pressed") == "true"
    page.click("[data-filter=drift]")
    assert keys(page) == ["bob", "old-clerk", "poet"]
    page.click("[data-filter=delete]")
    assert keys(page) == ["poet"]
    page.click("[data-filter=drift]")
    assert page.locator(VISIBLE).count() == everyone
    assert page.inner_text("#shown") == ""


def test_search_finds_keys_names_and_texts(show: Open) -> None:
    page = show(everything())

    def search(text: str) -> list[str]:
        page.fill("#search", text)
        settle(page)
        return keys(page)

    assert search("NIGHT-PORTER") == ["night-porter"]
    assert search("诗人") == ["poet"]
    assert search("green tea and coffee") == ["alice"]
    assert search("drawer 41") == ["archivist"]
    assert search("clerk-17") == []
    assert page.locator(VISIBLE).count() == 1  # the group that clerk-17 belongs to
    assert search("no such thing") == []
    assert page.is_visible("#none")
    page.click("#reset")
    assert page.locator(VISIBLE).count() == 11


def test_filter_by_field(show: Open) -> None:
    page = show(everything())
    page.click("[data-field=model]")
    assert keys(page) == ["alice", "night-porter"]
    page.click("[data-field='parameters.max_tokens']")
    assert keys(page) == ["critic", "alice", "night-porter"]
    page.click("[data-filter=adopt]")
    assert keys(page) == ["night-porter"]
    page.keyboard.press("Escape")
    assert page.locator(VISIBLE).count() == 11
    assert page.get_attribute("[data-field=model]", "aria-pressed") == "false"


def aimed(page: Any) -> str:
    return str(page.locator(".aimed").inner_text())


def test_a_link_opens_its_session(show: Open) -> None:
    page = show(everything(), at="#session-alice")
    assert page.locator("details[open] .key").all_inner_texts() == ["alice"]
    assert page.evaluate("document.activeElement.innerText").startswith("~\nalice")
    page.click("[data-filter=delete]")
    page.evaluate("location.hash = '#session-clerk-17'")
    page.locator(".pill.aimed").wait_for()
    assert aimed(page) == "clerk-17 #2017"
    page.evaluate("location.hash = '#session-nobody'")
    page.evaluate("location.hash = '#%'")
    settle(page)
    assert aimed(page) == "clerk-17 #2017"
    alice = page.locator("#session-alice")
    assert alice.locator(".link a").get_attribute("href") == "#session-alice"


def copied(page: Any, first: str, last: str) -> str:
    """What a reader gets who selects from the start of one element to the end of another, and copies."""
    return str(
        page.evaluate(
            """([first, last]) => {
              const found = [first, last].map((one) => document.evaluate(
                one, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE).singleNodeValue);
              getSelection().setBaseAndExtent(found[0], 0, found[1], found[1].childNodes.length);
              let text = "the browser's own";
              const data = { setData: (_, value) => { text = value; } };
              const event = new Event("copy", { bubbles: true, cancelable: true });
              Object.defineProperty(event, "clipboardData", { value: data });
              document.dispatchEvent(event);
              return text;
            }""",
            [first, last],
        )
    )


BEFORE = "One.\nDo  not tell prices.\nThree.\nFour."
AFTER = "One.\nDo tell prices.\nThree.\n你好。"


def text_at(content: str, side: str = "") -> str:
    of = f" and @data-of='{side}'" if side else ""
    return f"//*[@data-of{of} and contains(., '{content}')]"


@pytest.mark.parametrize("view", ["unified", "split"])
def test_copying_gives_the_text_of_the_side_it_starts_on(show: Open, view: str) -> None:
    page = show(plan(action("update", "k", 1, "N", "", change("prompt", BEFORE, AFTER))))
    page.click(f"[data-view={view}]")
    last = "//div[contains(@class, 'row')][last()]"
    first = "//div[contains(@class, 'row')]//*[@data-of and contains(., 'One.')]"
    assert copied(page, text_at("not tell"), last) == BEFORE.removeprefix("One.\n")
    if view == "unified":
        assert copied(page, first, last) == AFTER
        assert copied(page, first, text_at("Do tell")) == "One.\nDo tell prices."
    else:
        assert copied(page, first, last) == BEFORE
        assert copied(page, f"({first})[2]", last) == AFTER
    assert copied(page, "//h1", "//h1") == "the browser's own"


def test_the_buttons_copy_a_side(show: Open) -> None:
    long = "\n".join(f"line {n}" for n in range(30))
    page = show(
        plan(
            action("update", "k", 1, "N", "", change("prompt", f"{BEFORE}\n{long}", f"{AFTER}\n{long}\nend"))
        )
    )
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("text=Copy before")
    page.locator("text=Copied").first.wait_for()
    read = "navigator.clipboard.readText()"
    assert page.evaluate(read) == f"{BEFORE}\nline 0\nline 1\nline 2\n[…]\nline 27\nline 28\nline 29"
    page.click("text=Copy after")
    page.locator("text=Copied").nth(1).wait_for()
    assert page.evaluate(read) == f"{AFTER}\nline 0\nline 1\nline 2\n[…]\nline 27\nline 28\nline 29\nend"


def test_a_screen_reader_is_told_what_was_removed_and_added(show: Open) -> None:
    page = show(
        plan(action("update", "k", 1, "N", "", change("prompt", BEFORE, AFTER), change("model", "a", "b")))
    )
    rows = page.locator(".diff .row")
    assert [rows.nth(n).locator("[data-of]").evaluate("(one) => one.localName") for n in range(4)] == [
        "span",
        "del",
        "ins",
        "span",
    ]
    said = page.locator("details.change").aria_snapshot()
    assert "removed:" in said
    assert "added:" in said
    assert "before:" in said
    assert "after:" in said


def test_chinese_texts_say_that_they_are(show: Open) -> None:
    page = show(everything(), at="#session-poet")
    poet = page.locator("#session-poet")
    assert set(poet.locator("[data-of]").evaluate_all("(all) => all.map((one) => one.lang)")) == {"zh"}
    assert poet.locator(".who bdi").get_attribute("lang") == "zh"
    page.evaluate("location.hash = '#session-alice'")
    alice = page.locator("#session-alice")
    assert set(alice.locator("[data-of]").evaluate_all("(all) => all.map((one) => one.lang)")) == {""}


def test_up_to_five_changes_are_open(show: Open) -> None:
    def opened(number: int) -> int:
        changes = (action("create", f"k{n}", None, "N", "", new("prompt", "x")) for n in range(number))
        return int(show(plan(*changes)).locator("details.change[open]").count())

    assert (opened(5), opened(6)) == (5, 0)


def test_a_whole_prompt_does_not_push_other_changes_off_the_screen(show: Open) -> None:
    long = "\n".join(f"line {n}" for n in range(200))
    page = show(plan(*(action("create", key, None, "N", "", new("prompt", long)) for key in "ab")))

    def height() -> float:
        return float(page.locator("#session-a .diff").bounding_box()["height"])

    assert height() < 150
    page.click("#session-a summary")
    page.click("#session-a summary")
    assert height() > 2_000


def test_details_are_made_when_they_are_opened(show: Open) -> None:
    page = show(everything())
    alice = page.locator("details.change", has_text="Alice Liddell")
    assert alice.locator(".body").count() == 0
    alice.locator("summary").click()
    assert alice.locator(".row.minus .text").all_inner_texts() == [
        "You like tea.",
        "Close with the opening hours: 9·to 18.",
    ]
    assert alice.locator(".row.plus mark").all_inner_texts() == ["green ", " and coffee", r"\xa0", r"\xa020"]
    assert alice.locator(".remarks").inner_text() == "adds U+00A0 NO-BREAK SPACE 2 times, first in line 7"
    assert alice.locator(".row .no").all_inner_texts()[:4] == ["2", "2", "3", "3"]
    alice.locator("summary").click()
    assert not alice.locator(".body").is_visible()


def test_unified_and_side_by_side(show: Open) -> None:
    page = show(everything())
    alice = page.locator("details.change", has_text="Alice Liddell")
    alice.locator("summary").click()
    assert alice.locator(".row.side").count() == 0
    page.click("[data-view=split]")
    pairs = alice.locator(".row.side", has=page.locator(".minus"))
    assert pairs.first.locator(".text").all_inner_texts() == [
        "You like tea.",
        "You like green tea and coffee.",
    ]
    page.click("[data-view=unified]")
    assert alice.locator(".row.side").count() == 0


def test_the_keyboard_is_enough(show: Open) -> None:
    page = show(everything())
    press = page.keyboard.press

    def focused() -> str:
        return str(
            page.evaluate("document.activeElement.closest('details')?.querySelector('.key')?.innerText ?? ''")
        )

    press("j")
    assert focused() == "bob"
    press("j")
    press("j")
    assert focused() == "critic"
    press("k")
    assert focused() == "old-clerk"
    press("o")
    assert page.locator("details.change[open]").count() == 1
    press("Enter")
    assert page.locator("details.change[open]").count() == 0
    press("e")
    assert page.locator("details.change[open]").count() == 11
    assert page.inner_text("#expand") == "Collapse all"
    press("v")
    assert page.get_attribute("[data-view=split]", "aria-pressed") == "true"
    press("e")
    assert page.locator("details.change[open]").count() == 0
    press("/")
    page.keyboard.type("poet")
    settle(page)
    assert keys(page) == ["poet"]
    press("Escape")
    assert page.input_value("#search") == ""
    assert page.locator(VISIBLE).count() == 11
    press("?")
    assert page.is_visible("#keys")
    press("Escape")
    assert not page.is_visible("#keys")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_and_light(show: Open, scheme: str) -> None:
    page = show(everything(), color_scheme=scheme)

    def darkness() -> bool:
        return bool(page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)")

    assert darkness() == (scheme == "dark")
    page.click("#theme")
    assert darkness() == (scheme == "light")
    page.keyboard.press("d")
    assert darkness() == (scheme == "dark")


def test_a_phone_needs_no_sideways_scrolling(show: Open) -> None:
    page = show(everything(), viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.click("#expand")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".row.side").count() == 0


def test_print_shows_the_details(show: Open) -> None:
    page = show(everything())
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details.change[open]").count() == 11
    assert not page.is_visible(".bar")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.change[open]").count() == 0
    assert page.pdf()[:5] == b"%PDF-"


def test_a_plan_with_no_changes(show: Open) -> None:
    page = show(plan(summary={"no_op": 3}))
    assert page.inner_text(".calm") == "No changes. The live list matches the catalog."


def test_without_javascript_the_changes_are_listed(show: Open) -> None:
    page = show(everything(), java_script_enabled=False)
    assert "bob" in keys(page)


def test_groups_list_their_members(show: Open) -> None:
    page = show(preamble_plan(312))
    assert page.locator(".members .pill").count() == 312


def test_five_thousand_changes(show: Open) -> None:
    text = "\n".join(f"line {n}" for n in range(50))
    document = plan(
        *(
            action(
                "update",
                f"k{n}",
                n,
                f"N{n}",
                "",
                change("prompt", text, text.replace("line 7\n", f"new {n}\n")),
            )
            for n in range(4_000)
        ),
        *(action("create", f"c{n}", None, f"C{n}", "", new("prompt", text)) for n in range(1_000)),
    )
    page = show(document)
    assert page.locator("details.change").count() == 5_000
    page.fill("#search", "new 3999")
    page.locator("#shown", has_text="Showing 1 of 5,000.").wait_for()
    page.keyboard.press("Escape")
    page.click("[data-filter=create]")
    assert page.inner_text("#shown") == "Showing 1,000 of 5,000."
    page.click("#expand")
    assert page.inner_text("#shown") == "The first 300 of 1,000 are open."


def test_hostile_texts_stay_texts(show: Open) -> None:
    """Every text of the corpus in every place, in one plan; one by one they are parsed in test_html.py."""
    plans = [poisoned(HOSTILE[name]) for name in NAMES]
    document = plans[NAMES.index("script-end")]
    for part in ("actions", "notes", "refusals"):
        document[part] = [item for one in plans for item in one[part]]
    page = show(document)
    page.click("#expand")
    page.click("[data-view=split]")
    elements = set(page.evaluate("[...document.querySelectorAll('*')].map((e) => e.localName)"))
    assert not elements & {"img", "iframe", "object", "embed", "base", "link", "textarea", "template"}
    for tag, number in {"script": 2, "style": 1, "svg": 1, "dialog": 1, "h1": 1}.items():
        assert page.locator(tag).count() == number
    links = page.evaluate("[...document.querySelectorAll('a')].map((one) => one.getAttribute('href'))")
    assert not [link for link in links if link != "#changes" and not link.startswith("#session-")]
    assert page.title() == f"Plan for {HOSTILE['script-end']} ({HOSTILE['script-end']})"
    # The keys of the deletes are the texts and nothing else.
    shown = [visible(HOSTILE[name][:121]) for name in NAMES]
    found = page.evaluate("[...document.querySelectorAll('details.delete .key')].map((e) => e.textContent)")
    assert sorted(found) == sorted(text if len(text) <= 120 else f"{text[:120]}…" for text in shown)


@pytest.mark.parametrize(
    "name", ["script-end", "meta-refresh", "template-end", "jinja", "base", "html-comment"]
)
def test_a_hostile_plan_is_a_page_like_others(show: Open, name: str) -> None:
    page = show(poisoned(HOSTILE[name]))
    page.click("#expand")
    assert page.inner_text("h1").startswith(visible(HOSTILE[name])[:10].strip())
    page.fill("#search", "no such thing")
    page.locator("#none").wait_for()
