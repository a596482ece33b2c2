"""The page in a real browser: Chromium without a window, driven by playwright."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hostile import HOSTILE
from tests.render.screens import CHROMIUM, chromium
from tests.web.conftest import TOKEN, Outside
from tests.web.scripted import DIGEST, pending, watched

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="there is no Chromium here, and this is no CI"
)

OTHER = "0" * 64


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


Open = Callable[..., Any]


@pytest.fixture
def show(browser: Any) -> Iterator[Open]:
    """Opens the page. That it complained of nothing, and asked nobody else, is checked at the end."""
    contexts: list[Any] = []
    said: list[str] = []

    def opened(web: Outside, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        context.set_default_timeout(300_000)  # how long a busy machine takes is no failure
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                # A status that is an error is the answer that a test is about.
                message.text.startswith("Failed to load resource: the server responded")
                or said.append(f"console: {message.text}")
            ),
        )
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: request.url.startswith(web.url) or said.append(f"request: {request.url}"),
        )
        page.goto(web.url + "/")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


def live(page: Any) -> Any:
    page.locator(".live.on").wait_for()
    return page


def state(page: Any, at: int = 0) -> str:
    return str(page.locator(f"#catalog-{at}").get_attribute("data-in"))


def becomes(page: Any, wanted: str, at: int = 0) -> None:
    page.locator(f"#catalog-{at}[data-in={wanted}]").wait_for()


def test_from_drift_to_applied(web: Outside, show: Open) -> None:
    page = live(show(web))
    assert state(page) == "InSync"
    assert page.locator("[data-approve]").count() == 0
    web.controller.drift()
    becomes(page, "PlanPending")
    assert "Changed outside git: alice" in page.inner_text("#catalog-0")
    plan = page.frame_locator("#plan-0 iframe")  # opens by itself: it is the only one that waits
    plan.locator("h1").wait_for()
    plan.get_by_text("Sell everything!").wait_for()

    page.click("[data-approve]")
    assert page.inner_text("#confirm-name") == "bookshop"
    assert page.inner_text("#confirm-changes") == "1 update"
    page.click("#confirm button[value=approve]")
    page.get_by_text("Approved plan 3f9c2ab81d07 of bookshop.").wait_for()
    assert web.controller.asked == [("approve", DIGEST)]
    page.locator("[data-approve]").wait_for(state="detached")

    web.controller.set(state="Applying")
    becomes(page, "Applying")
    web.controller.applied()
    becomes(page, "InSync")
    assert page.locator("#catalog-0 iframe").count() == 0
    page.get_by_text("Last runs").click()
    assert "20260304-091500-1" in page.inner_text("#catalog-0 table")


def test_another_plan_is_another_approval(web: Outside, show: Open) -> None:
    web.controller.drift()
    page = live(show(web))
    page.click("[data-approve]")  # asks about the plan that was shown …
    web.controller.set(plan=pending(OTHER))  # … which changes meanwhile
    page.locator(f'[data-approve="{OTHER}"]').wait_for(state="attached")
    page.click("#confirm button[value=approve]")
    page.get_by_text("no pending plan has the digest 3f9c2ab81d07").wait_for()
    assert web.controller.asked == []


def test_a_cancelled_approval_is_none(web: Outside, show: Open) -> None:
    web.controller.drift()
    page = live(show(web))
    for leave in ("click", "key"):
        page.click("[data-approve]")
        page.locator("#confirm[open]").wait_for()
        page.click("#confirm button[value=cancel]") if leave == "click" else page.keyboard.press("Escape")
        page.locator("#confirm[open]").wait_for(state="detached")
    assert web.controller.asked == []


def test_everything_by_keyboard(web: Outside, show: Open) -> None:
    web.controller.drift()
    page = live(show(web))

    def focused() -> str:
        return str(page.evaluate("document.activeElement.id || document.activeElement.innerText"))

    def tab_to(wanted: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if focused() == wanted:
                return
        pytest.fail(f"Tab does not lead to {wanted}")

    page.keyboard.press("Tab")
    assert focused() == "Skip to the catalogs"
    page.keyboard.press("Enter")
    tab_to("reconcile-0")
    page.keyboard.press("Enter")
    page.get_by_text("bookshop is looked at now.").wait_for()
    page.locator("#reconcile-0:focus").wait_for()
    tab_to("approve-0")
    page.keyboard.press("Enter")
    page.locator("#confirm[open]").wait_for()
    tab_to("Approve")
    page.keyboard.press("Enter")
    page.get_by_text("Approved plan").wait_for()
    assert web.controller.asked == [("reconcile", "bookshop"), ("approve", DIGEST)]


def test_focus_and_open_parts_survive_an_update(web: Outside, show: Open) -> None:
    web.controller.catalogs = {name: watched(name) for name in ("one", "two")}
    web.controller.applied_before("one")
    page = live(show(web))
    page.get_by_text("Last runs").click()
    page.focus("#reconcile-0")
    web.controller.set("one", state="Failing")
    becomes(page, "Failing")
    page.locator("#reconcile-0:focus").wait_for()
    web.controller.applied_before("one")
    page.locator("#runs-of-0[open] tr:nth-child(2)").wait_for()


def test_filter_by_state(web: Outside, show: Open) -> None:
    web.controller.catalogs = {name: watched(name) for name in ("one", "two", "three")}
    web.controller.drift("two")
    page = live(show(web))

    def names() -> list[str]:
        return [str(name) for name in page.locator("article:not([hidden]) h2").all_inner_texts()]

    page.click("[data-state=PlanPending]")
    assert names() == ["two"]
    assert page.get_attribute("[data-state=PlanPending]", "aria-pressed") == "true"
    web.controller.drift("three", OTHER)
    page.locator("#catalog-2:not([hidden])").wait_for()
    assert names() == ["two", "three"]
    page.click("[data-state=PlanPending]")
    assert names() == ["one", "two", "three"]


def test_a_change_of_the_watched_catalogs_is_a_new_page(web: Outside, show: Open) -> None:
    page = live(show(web))
    web.controller.catalogs = {name: watched(name) for name in ("bookshop", "museum")}
    web.controller.tell("looked", "museum", outcome="InSync", seconds=1)
    page.get_by_role("heading", name="museum").wait_for()


def test_dark_and_phone(web: Outside, show: Open) -> None:
    web.controller.catalogs["long"] = watched(
        "a-name-without-any-place-to-break" * 8, source="/srv/" + "x" * 300
    )
    web.controller.drift()
    light = live(show(web))
    dark = live(show(web, color_scheme="dark"))
    background = "getComputedStyle(document.body).backgroundColor"
    assert light.evaluate(background) == "rgb(244, 245, 247)"
    assert dark.evaluate(background) == "rgb(14, 17, 22)"
    phone = live(show(web, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True))
    assert phone.evaluate("document.documentElement.scrollWidth") == 360
    heights = phone.locator("button:visible").evaluate_all("(all) => all.map((one) => one.offsetHeight)")
    assert min(heights) >= 44  # what a finger hits
    phone.tap("[data-approve]")
    phone.tap("#confirm button[value=approve]")
    phone.get_by_text("Approved plan").wait_for()


def test_nothing_that_strangers_wrote_runs(web: Outside, show: Open) -> None:
    web.controller.catalogs = {
        str(n): watched(text, reason=text, source=text, environment=text) for n, text in enumerate(HOSTILE)
    }
    web.controller.drift("0")
    page = live(show(web))
    web.controller.set("0", reason="!" + next(iter(HOSTILE)))
    web.controller.tell("failing", "0", next(iter(HOSTILE)))
    page.locator("#catalog-0 .reason", has_text="!").wait_for()
    assert page.locator("img, object, embed").count() == 0


def test_a_login_and_its_end(locked: Outside, show: Open) -> None:
    page = show(locked)
    assert page.url == f"{locked.url}/login"
    page.locator("#token:focus").wait_for()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    live(page)
    assert page.url == f"{locked.url}/"
    assert page.evaluate("document.cookie") == ""
    page.click("[data-reconcile-all]")
    page.get_by_text("All catalogs are looked at now.").wait_for()
    assert locked.controller.asked == [("reconcile", None)]
    page.get_by_role("button", name="Log out").click()
    page.locator("#token").wait_for()


def test_the_plan_in_its_frame_has_no_rights(web: Outside, show: Open) -> None:
    web.controller.drift()
    page = live(show(web))
    page.frame_locator("#plan-0 iframe").locator("h1").wait_for()
    frame = page.frames[1]
    assert frame.evaluate("origin") == "null"
    assert (
        frame.evaluate("(() => { try { return parent.document.title } catch { return 'denied' } })()")
        == "denied"
    )
