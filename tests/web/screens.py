"""The page of a watcher, as people see it: ``python -m tests.web.screens FOLDER`` writes it as pictures.

There are catalogs in every kind of state, on a desk, in the dark and on a phone, the question before an approval,
and the login. The first one is that of the documentation, too.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.controller.status import Failure, GuardRefusal, Revisions, RunStatus
from tests.render.screens import chromium
from tests.web.conftest import TOKEN, Outside, outside
from tests.web.scripted import DIGEST, pending, watched

SIZES: dict[str, dict[str, Any]] = {
    "watch-page": {"viewport": {"width": 1100, "height": 1180}},
    "watch-dark": {"viewport": {"width": 1100, "height": 1180}, "color_scheme": "dark"},
    "watch-phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


def play(web: Outside) -> None:
    """Catalogs of one account: one drifted, one refused, one invalid, one that another watcher leads, and others."""
    now = datetime.now(UTC)
    times = {"last_look": now, "last_success": now, "next_look": now + timedelta(minutes=4)}
    names = ("bookshop", "museum", "restaurant", "library", "radio")
    controller = web.controller
    controller.started = now - timedelta(days=3)
    controller.catalogs = {name: watched(name, environment="production", **times) for name in names}
    controller.drift("bookshop")
    run = RunStatus("20260304-0915-1", now - timedelta(hours=5), 0, {"applied": 3}, "ab" * 32, "lery")
    since = now - timedelta(minutes=12)
    controller.set("bookshop", plan=pending(since=since), runs=(run, replace(run, exit_code=4)))
    refusal = GuardRefusal("max_deletes", "12 deletes, and at most 10 are allowed", "--max-deletes=12")
    plan = pending("0" * 64, counts={"delete": 12}, refusals=(refusal,), drifted=(), since=since)
    controller.set("museum", state="Refused", mode="apply", reason="waits for another plan", plan=plan)
    failure = Failure(
        "sessions/night.yaml:12:5: unknown field 'promt'",
        "did you mean `prompt`?",
        since,
        4,
        now + timedelta(minutes=3),
    )
    revisions = Revisions("a" * 40, "b" * 40, "a" * 40)
    controller.set("restaurant", state="Failing", mode="repair", failure=failure, revision=revisions)
    controller.set("library", standby=True, mode="observe")
    controller.set("radio", state="Applying", source="https://git.example.com/personas.git#main:radio")


@contextmanager
def served(token: str | None = None) -> Iterator[Outside]:
    started = outside(token)
    yield next(started)
    started.close()


def write_pictures(folder: Path) -> None:
    """Write all pictures into a folder."""
    with served() as web, served(TOKEN) as locked, chromium() as browser:
        play(web)
        for name, size in SIZES.items():
            page = browser.new_context(**size).new_page()
            page.goto(web.url)
            page.locator(".live.on").wait_for()
            page.frame_locator("#plan-0 iframe").locator("h1").wait_for()
            page.screenshot(path=str(folder / f"{name}.png"), full_page="phone" in name)
        page.tap(f'[data-approve="{DIGEST}"]')
        page.screenshot(path=str(folder / "watch-approve.png"))
        page = browser.new_page(viewport={"width": 800, "height": 500})
        page.goto(locked.url)
        page.screenshot(path=str(folder / "watch-login.png"))


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    write_pictures(target)
    shutil.copy(target / "watch-page.png", Path(__file__).parents[2] / "docs" / "images")
