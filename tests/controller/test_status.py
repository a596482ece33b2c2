"""The status is what its schema says, whatever is in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from reconciler.controller.states import LASTING, STATES
from reconciler.controller.status import (
    AccountStatus,
    Failure,
    GuardRefusal,
    PendingPlan,
    Revisions,
    RunStatus,
    Status,
    WatchedStatus,
    status_to_document,
)
from reconciler.schemas import check_document

_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_a_full_status_fits_its_schema() -> None:
    failure = Failure("the service is down", "", _AT, 3, _AT)
    plan = PendingPlan(
        "sha256:ab", {"update": 1}, _AT, "an approval", ("alice",), (GuardRefusal("max-deletes", "…", "--…"),)
    )
    catalog = WatchedStatus(
        "grow@prod",
        "grow",
        "prod",
        "a1b2c3d4",
        "folder",
        "approve",
        "PlanPending",
        revision=Revisions("a", "b", "b"),
        sessions={"in_sync": 2},
        plan=plan,
        failure=failure,
        last_look=_AT,
        runs=(RunStatus("r1", _AT, 0, {"applied": 2}),),
    )
    account = AccountStatus("a1b2c3d4", "local", 3, _AT, {"full": 1}, failure=failure)
    document = status_to_document(Status("0.2.0", _AT, (account,), (catalog,)))
    assert check_document(document, "status") == []
    assert document["started"] == "2026-03-01T12:00:00Z"


def test_an_empty_status_fits_its_schema() -> None:
    assert check_document(status_to_document(Status("0.2.0", _AT, (), ())), "status") == []


def test_every_lasting_state_is_a_state() -> None:
    assert set(STATES) >= LASTING


def test_the_page_lists_each_state_as_the_code_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
    table = page.partition("## States")[2].partition("| what fails")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert {name: (meaning, end) for name, meaning, end in rows} == STATES
