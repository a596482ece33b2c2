"""From drift to applied: somebody changes a session, the page shows the plan, a person approves it, it is undone."""

from __future__ import annotations

import os
import re
import signal

import pytest
import requests

from reconciler.schemas import check_document
from reconciler.server import RunningServer
from tests.cli.conftest import Shell
from tests.render.screens import CHROMIUM, chromium
from tests.support import learned_file

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="there is no Chromium here, and this is no CI"
)


def labels(text: str, name: str) -> list[tuple[str, float]]:
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return [(one, float(value)) for one, value in found]


def test_from_drift_to_applied_on_the_page(shop: Shell, server: RunningServer) -> None:
    learned = f"--contract={learned_file(shop.folder)}"
    assert shop.run("apply", "shop", "--auto-approve", learned).returncode == 0
    flags = ("--mode=approve", "--interval=1s", "--listen=127.0.0.1:0", learned)
    with shop.started("watch", "shop", *flags) as started, chromium() as browser:
        started.wait_for("listening at ")
        address = started.err.read_text().partition("listening at ")[2].split()[0]
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.goto(address)
        page.locator("#catalog-0[data-in=InSync]").wait_for()

        alice = next(row for row in server.store.sessions() if row.name == "Alice")
        server.store.update_session(alice.session_id, prompt="Sell everything!")
        page.locator("#catalog-0[data-in=PlanPending]").wait_for()
        page.get_by_text("Changed outside git: alice").wait_for()
        plan = page.frame_locator("#plan-0 iframe")
        plan.get_by_text("Sell everything!").wait_for()
        assert check_document(requests.get(f"{address}/api/v1/status", timeout=60).json(), "status") == []

        page.click("[data-approve]")
        page.click("#confirm button[value=approve]")
        page.locator("#catalog-0[data-in=InSync]").wait_for()
        page.locator("#runs-of-0").wait_for()
        found = server.store.session(alice.session_id)
        assert found is not None and found.prompt == alice.prompt
        text = requests.get(f"{address}/metrics", timeout=60).text
        assert ('kind="update",outcome="applied"', 1.0) in [
            (one.partition('environment="",')[2], value)
            for one, value in labels(text, "reconciler_apply_actions_total")
        ]
        assert "Sell everything" not in text + started.err.read_text()
        started.process.send_signal(signal.SIGTERM)
        assert started.ended()[0] == 0
