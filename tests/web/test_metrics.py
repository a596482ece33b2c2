"""What ``/metrics`` shows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from reconciler.api.client import Reply
from reconciler.api.errors import ApiError
from reconciler.contract import load_contract
from reconciler.controller.status import AccountStatus, Status
from reconciler.web.metrics import KEPT, Metrics
from tests.web.conftest import Outside
from tests.web.scripted import ACCOUNT, NOW, Scripted, watched

DOCS = Path(__file__).parents[2] / "docs" / "watch.md"
OF = f'account="{ACCOUNT}",catalog="bookshop",environment=""'


def test_looks_and_applies_are_counted(web: Outside) -> None:
    web.controller.drift()
    web.controller.applied()
    shown = web.shown()
    assert shown[f'reconciler_reconcile_total{{{OF},outcome="PlanPending"}}'] == 1
    assert shown[f'reconciler_reconcile_total{{{OF},outcome="InSync"}}'] == 1
    assert shown[f'reconciler_reconcile_duration_seconds_bucket{{{OF},le="0.25"}}'] == 1
    assert shown[f"reconciler_reconcile_duration_seconds_sum{{{OF}}}"] == pytest.approx(1.4)
    assert shown[f'reconciler_apply_actions_total{{{OF},kind="update",outcome="applied"}}'] == 1


def test_gauges_follow_the_status(web: Outside) -> None:
    in_sync = web.shown()
    assert in_sync[f"reconciler_drifted_sessions{{{OF}}}"] == 0
    assert in_sync[f'reconciler_pending_changes{{{OF},kind="update"}}'] == 0
    assert not [name for name in in_sync if "pending_since" in name]
    web.controller.drift()
    drifted = web.shown()
    assert drifted[f'reconciler_sessions{{{OF},state="in_sync"}}'] == 11
    assert drifted[f"reconciler_drifted_sessions{{{OF}}}"] == 1
    assert drifted[f'reconciler_pending_changes{{{OF},kind="update"}}'] == 1
    assert drifted[f"reconciler_pending_since_timestamp_seconds{{{OF}}}"] == NOW.timestamp() - 7200
    assert drifted[f"reconciler_last_success_timestamp_seconds{{{OF}}}"] == NOW.timestamp()
    web.controller.refused()
    refused = web.shown()
    assert refused[f'reconciler_refusals{{{OF},guard="max_deletes"}}'] == 1
    assert refused['reconciler_build_info{version="0.2.0"}'] == 1


def test_listings_are_those_of_the_status(web: Outside) -> None:
    web.controller.accounts = (
        AccountStatus(ACCOUNT, "https://api.example.com", listings={"same": 7, "full": 2}, mismatches=1),
    )
    shown = web.shown()
    assert shown[f'reconciler_listing_total{{account="{ACCOUNT}",how="same"}}'] == 7
    assert shown[f'reconciler_listing_total{{account="{ACCOUNT}",how="delta"}}'] == 0
    assert shown[f'reconciler_listing_total{{account="{ACCOUNT}",how="full"}}'] == 2
    assert shown[f'reconciler_delta_mismatch_total{{account="{ACCOUNT}"}}'] == 1


def test_calls_are_counted_by_their_status(web: Outside) -> None:
    called = web.metrics.observer(ACCOUNT)
    throttled = f'reconciler_api_throttled_total{{account="{ACCOUNT}"}}'
    assert web.shown()[throttled] == 0
    operation = load_contract().operation("list_sessions")
    response = requests.Response()
    response.status_code = 200
    called(operation, {"session_name": "a prompt"}, Reply({}, response))
    called(operation, {}, Reply(None, None, ApiError("list_sessions", "no answer")))
    called(operation, {}, Reply(None, response, ApiError("list_sessions", "x", http_status=429)))
    called(
        operation, {}, Reply(None, response, ApiError("list_sessions", "x", http_status=200, body_status=406))
    )
    shown = web.shown()
    name = f'reconciler_api_requests_total{{account="{ACCOUNT}",code="%s",operation="list_sessions"}}'
    assert [shown[name % code] for code in ("200", "none", "429", "406")] == [1, 1, 1, 1]
    assert shown[throttled] == 1


def test_prometheus_can_read_them_in_both_forms(web: Outside) -> None:
    web.controller.drift()
    plain = web.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert [*text_string_to_metric_families(plain.text)]
    accepted = {"Accept": "application/openmetrics-text;version=1.0.0"}
    openmetrics = web.get("/metrics", headers=accepted)
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert [*read_openmetrics(openmetrics.text)]


def test_hostile_names_are_one_label_each(web: Outside) -> None:
    hostile = 'x"} 1\nreconciler_drifted_sessions{catalog="y\u202e\ud800'
    web.controller.catalogs = {
        hostile: watched(hostile, environment=hostile),
        "again": watched("again", catalog=hostile, environment=hostile),
    }
    web.controller.tell("looked", hostile, outcome="InSync", seconds=1)
    families = {one.name: one for one in text_string_to_metric_families(web.get("/metrics").text)}
    assert [one.labels["catalog"] for one in families["reconciler_drifted_sessions"].samples] == [
        'x"} 1\\nreconciler_drifted_sessions{catalog="y\\u202e\\ud800'
    ]


def test_nothing_of_a_prompt_or_a_sentence_is_shown(web: Outside) -> None:
    web.controller.drift()
    text = web.get("/metrics").text
    assert "Sell everything" not in text
    assert "alice" not in text


def test_the_documentation_lists_each_metric_with_its_labels(web: Outside) -> None:
    web.controller.drift()
    web.controller.applied()
    web.controller.refused()
    web.metrics.notified("applied", "sent")
    web.metrics.observer(ACCOUNT)(
        load_contract().operation("list_sessions"), {}, Reply({}, requests.Response())
    )
    there = {}
    for family in text_string_to_metric_families(web.get("/metrics").text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        there[name] = (family.type, labels)
    rows = re.findall(
        r"^\| `(reconciler_\w+)` \| (\w+) \| ([^|]*)\|", DOCS.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows} == there


def test_what_is_gone_is_forgotten_after_an_hour() -> None:
    """A cluster's resources come and go: the number of series is that of those that there are."""
    now = [0.0]
    metrics, controller = Metrics(lambda: now[0]), Scripted()
    controller.listeners.append(metrics)
    controller.drift()
    metrics.observer(ACCOUNT)(load_contract().operation("list_sessions"), {}, Reply(None, None, None))
    there = controller.status()
    gone = replace(there, catalogs=(), accounts=())

    def series(status: Status) -> int:
        text = metrics.exposition(status)[0].decode()
        return len([line for line in text.splitlines() if f'account="{ACCOUNT}"' in line])

    full = series(there)
    now[0] += KEPT + 1
    assert series(there) == full  # it is there
    now[0] += KEPT - 1
    counted = series(gone)
    assert 0 < counted < full  # the gauges are gone
    now[0] += 1
    assert series(there) == full  # it was only started anew
    now[0] += KEPT + 1
    assert series(gone) == 0
    assert series(there) < full  # it begins at 0
