"""The operator seen from outside: health, metrics and the page of a leading process and of a standby."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from reconciler.operator.conditions import REASONS
from reconciler.operator.overview import Overview
from reconciler.operator.shards import WHOLE
from reconciler.web import HEADER
from tests.operator.conftest import Operator, World, eventually, grant_lease, start
from tests.operator.plane import Plane, free_port

LEADING = 'reconciler_operator_leading{shard="0/1"}'
PAGE = Path(__file__).parents[2] / "docs" / "operator-running.md"


def get(operator: Operator, path: str) -> requests.Response:
    return requests.get(operator.url + path, timeout=20)


def post(operator: Operator, path: str, document: dict[str, str]) -> requests.Response:
    return requests.post(operator.url + path, json=document, headers={HEADER: "1"}, timeout=20)


def status(operator: Operator, path: str) -> int:
    """The status of the answer; 0 if nothing listens yet."""
    try:
        return get(operator, path).status_code
    except requests.ConnectionError:
        return 0


def metrics(operator: Operator) -> dict[str, float]:
    text = get(operator, "/metrics").text
    assert list(text_string_to_metric_families(text))
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_who_leads_is_ready_and_counts_calls_and_resources(here: World) -> None:
    here.add(mode="Apply")
    here.add("elsewhere", accountRef={"name": "nowhere"})
    here.becomes(Synced="InSync")
    here.becomes("elsewhere", Ready="AccountMissing")
    assert (get(here.operator, "/healthz").text, get(here.operator, "/readyz").text) == ("ok\n", "ready\n")
    shown = metrics(here.operator)
    assert shown[LEADING] == 1
    counted = {one: shown[f'reconciler_operator_resources{{reason="{one}"}}'] for one in REASONS["Ready"]}
    assert counted["Succeeded"] >= 1 and counted["AccountMissing"] >= 1
    of_this = f'name="shop",namespace="{here.namespace}"}}'
    (info,) = [
        name for name in shown if name.startswith("reconciler_operator_resource_info") and of_this in name
    ]
    labels = info.partition("{")[2].removesuffix("," + of_this)
    assert shown[f'reconciler_sessions{{{labels},state="in_sync"}}'] == 2
    assert shown[f'reconciler_apply_actions_total{{{labels},kind="create",outcome="applied"}}'] == 2
    account = labels.partition(",")[0]
    assert (
        shown[f'reconciler_api_requests_total{{{account},code="201",operation="create_session"}}'] == 3
    )  # and the lock


def test_the_page_shows_the_plan_and_leaves_approvals_to_the_resource(here: World) -> None:
    here.add(mode="Approve")
    digest = here.becomes(Synced="PlanPending")["status"]["plan"]["digest"].removeprefix("sha256:")
    page = get(here.operator, "/").text
    assert f"{here.namespace}/shop" in page and digest[:12] in page
    assert "data-approve" not in page
    assert "Be kind." in get(here.operator, f"/plans/{digest}").text
    answer = post(here.operator, "/api/v1/approve", {"digest": digest})
    assert answer.status_code == 409
    assert answer.json()["hint"] == (
        f"`kubectl -n {here.namespace} patch personacatalog shop --type=merge "
        f"""-p '{{"spec": {{"approve": "sha256:{digest}"}}}}'`"""
    )
    assert here.writes() == []
    named = {"catalog": f"{here.namespace}/shop"}
    assert post(here.operator, "/api/v1/reconcile", named).status_code == 202
    assert post(here.operator, "/api/v1/reconcile", {"catalog": "shop"}).status_code == 404


def test_a_standby_is_live_and_ready_and_knows_no_resource(
    here: World, cluster: Plane, tmp_path: Path
) -> None:
    grant_lease(cluster, here.namespace)
    words = (f"--namespace={here.namespace}", f"--lease-namespace={here.namespace}")
    first = start(cluster, tmp_path / "first", *words)
    eventually(lambda: status(first, "/readyz") == 200)
    address = f":{free_port()}"
    standby = start(cluster, tmp_path / "standby", *words, f"--listen={address}")
    standby.url = f"http://127.0.0.1{address}"
    try:
        eventually(lambda: status(standby, "/readyz") == 200)
        assert get(standby, "/healthz").text == "ok\n"
        shown = metrics(standby)
        assert shown[LEADING] == 0
        assert not [name for name in shown if name.startswith("reconciler_operator_resource")]
        assert status(standby, "/") == 404  # others can reach it, and it has no token
        assert first.end() == 0
        eventually(lambda: metrics(standby)[LEADING] == 1)
        eventually(lambda: status(standby, "/readyz") == 200)
    finally:
        first.kill()
        standby.kill()


def test_without_rights_to_the_lease_it_is_live_and_not_ready(cluster: Plane, tmp_path: Path) -> None:
    found = start(cluster, tmp_path / "operator", "--lease-namespace=default")
    try:
        eventually(lambda: "standing by" in found.log.read_text())
        eventually(lambda: status(found, "/healthz") == 200)
        assert status(found, "/readyz") == 503
    finally:
        found.kill()


class Told:
    """A lease that an instant says of what it knows."""

    shard = WHOLE

    def __init__(self, answered: float | None, leading: bool) -> None:
        self.answered, self.leading = answered, leading


@pytest.mark.parametrize(
    ("since", "leading", "ready"),
    [(None, False, False), (1, False, True), (61, False, False), (1, True, False)],
    ids=["never", "standby", "silent", "not read yet"],
)
def test_when_a_process_is_ready(since: float | None, leading: bool, ready: bool) -> None:
    lease = Told(None if since is None else time.monotonic() - since, leading)
    overview = Overview(lease)  # type: ignore[arg-type]
    assert overview.ready(overview.status()) is ready


def test_the_documentation_lists_the_metrics() -> None:
    rows = re.findall(
        r"^\| `(reconciler_operator_\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(), re.MULTILINE
    )
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    overview = Overview(Told(None, False))  # type: ignore[arg-type]
    assert listed == {
        family.name: (family.type, set(getattr(family, "_labelnames", ()))) for family in overview.metrics()
    }
