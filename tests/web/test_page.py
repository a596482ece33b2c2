"""The page as a browser reads it, without its script."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta

from reconciler.controller.status import AccountStatus, Failure, GuardRefusal, Revisions, RunStatus
from tests.server.test_page import Page
from tests.web.conftest import TOKEN, Outside
from tests.web.scripted import DIGEST, NOW, pending, watched

HOSTILE = '\n</p><script>alert(1)</script><img src=x onerror="alert(2)"> & {{ 7*7 }} `<b>` \u202e'


def texts(page: Page, tag: str) -> list[str]:
    return [" ".join(text.split()) for text in page.texts.get(tag, [])]


def shown(web: Outside) -> Page:
    return Page(web.get("/").text)


def test_a_catalog_with_all_that_is_known_of_it(web: Outside) -> None:
    web.controller.drift()
    run = RunStatus("20260304-0915-1", NOW, 4, {"applied": 3, "failed": 1}, "ab" * 32, "lery")
    web.controller.set(
        environment="production",
        runs=(run,),
        next_look=NOW + timedelta(minutes=5),
        revision=Revisions("a" * 40, "c" * 40, "b" * 40),
        standby=True,
    )
    page = shown(web)
    assert texts(page, "h2")[0] == "bookshop"
    assert texts(page, "dd") == [
        "bookshop · production",
        "/srv/bookshop",
        "0a1b2c3d",
        "bbbbbbbbbbbb · invalid: cccccccccccc · applied: aaaaaaaaaaaa",
        "2026-03-04 09:12:00 UTC · next 2026-03-04 09:17:00 UTC",
        "11 in sync, 1 drifted",
    ]
    said = texts(page, "p")
    assert f"waits for an approval: reconciler approve {DIGEST}" in said
    assert "Pending plan: 1 update 3f9c2ab81d07" in said
    assert "Changed outside git: alice" in said
    assert texts(page, "td")[1:] == [
        "20260304-0915-1",
        "exit code 4",
        "3 applied, 1 failed",
        "abababababab approved by lery",
    ]


def test_an_approval_is_offered_only_where_it_has_an_effect(web: Outside) -> None:
    def offered() -> bool:
        return ("data-approve", DIGEST) in shown(web).attributes

    web.controller.drift()
    plan = web.controller.catalogs["bookshop"].plan
    assert plan is not None
    assert offered()
    web.controller.set(plan=replace(plan, approved=True))
    assert not offered()
    web.controller.set(plan=plan, mode="apply")
    assert not offered()
    web.controller.set(mode="approve", standby=True)
    assert not offered()
    web.controller.set(standby=False)
    assert offered()
    web.controller.refused()
    assert not offered()
    assert "max_deletes: 12 deletes, and at most 10 are allowed (--max-deletes=12 would allow it)" in texts(
        shown(web), "p"
    )


def test_what_fails_is_said_with_what_to_do(web: Outside) -> None:
    failure = Failure("the key is not accepted", "set another: `export MINDCRAFT_API_KEY=…`", NOW, 3, NOW)
    web.controller.set(state="Failing", failure=failure)
    web.controller.accounts = (
        replace(web.controller.accounts[0], failure=failure, mismatches=2, deltas="off"),
        AccountStatus("11111111", "https://api.example.com"),
    )
    said = texts(shown(web), "p")
    when = "2026-03-04 09:12:00 UTC"
    assert said.index("the key is not accepted") + 1 == said.index("set another: export MINDCRAFT_API_KEY=…")
    assert f"First failed {when} · 3 in a row · next attempt {when}" in said
    assert "0a1b2c3d https://api.example.com · 12 sessions · cheap looks off · 2 missed" in said
    assert "the key is not accepted set another: export MINDCRAFT_API_KEY=…" in said


def test_what_strangers_wrote_stays_text(web: Outside) -> None:
    web.controller.drift()
    web.controller.set(failure=Failure("a", "b", NOW, 1, NOW))
    plain = shown(web)
    failure = Failure(HOSTILE, HOSTILE, NOW, 1, NOW)
    plan = pending(
        HOSTILE,
        waits_for=HOSTILE,
        drifted=(HOSTILE,),
        refusals=(GuardRefusal(HOSTILE, HOSTILE, HOSTILE),),
        counts={HOSTILE: 1},
    )
    hostile = watched(
        HOSTILE,
        environment=HOSTILE,
        source=HOSTILE,
        reason=HOSTILE + "!",
        plan=plan,
        failure=failure,
        sessions={HOSTILE: 1},
        revision=Revisions(HOSTILE, HOSTILE + "1", HOSTILE + "2"),
        runs=(RunStatus(HOSTILE, NOW, 1, {HOSTILE: 1}, HOSTILE, HOSTILE),),
    )
    web.controller.catalogs = {HOSTILE: hostile, "\ud800": watched("\ud800")}
    web.controller.accounts = (AccountStatus("0a1b2c3d", HOSTILE, failure=failure),)
    page = shown(web)
    assert set(page.elements) - set(plain.elements) <= {
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "h2",
        "code",
    }
    assert "img" not in page.elements
    assert page.elements.count("script") == 1
    assert page.elements.count("b") - plain.elements.count("b") < 6
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    hidden = [(name, value) for name, value in page.attributes if "\u202e" in value]
    assert {name for name, _ in hidden} <= {"data-name"}
    assert not [text for found in page.texts.values() for text in found if "\u202e" in text]


def test_a_name_goes_back_as_it_is(web: Outside) -> None:
    """The script sends the name that it finds, so that one is not made visible."""
    web.controller.catalogs = {"a\u202eb": watched("a\u202eb")}
    page = shown(web)
    assert ("data-name", "a\u202eb") in page.attributes
    assert texts(page, "h2")[0] == "a\\u202eb"


def test_long_texts_and_lists_are_shortened(web: Outside) -> None:
    web.controller.drift()
    plan = pending(drifted=tuple(f"key-{n}" for n in range(1000)))
    web.controller.set(plan=plan, reason="x" * 100_000)
    html = web.get("/").text
    assert "and 960 more" in html
    assert len(html) < 60_000


def test_only_its_own_script_and_style_are_allowed(web: Outside) -> None:
    answer = web.get("/")

    def digest(tag: str) -> str:
        found = re.search(f"<{tag}>(.*)</{tag}>", answer.text, re.DOTALL)
        assert found is not None
        return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()

    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest('style')}'; script-src 'sha256-{digest('script')}'; "
        "connect-src 'self'; frame-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def test_one_can_log_out_only_where_one_logs_in(web: Outside, locked: Outside) -> None:
    assert "Log out" not in web.get("/").text
    assert "Log out" in locked.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert web.get("/login").headers["Location"] == "/"
