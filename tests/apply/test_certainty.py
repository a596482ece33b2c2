"""The outcome of a write is never guessed: after a lost response, the session is looked up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.listing import list_sessions
from reconciler.apply import Report, apply_plan
from reconciler.errors import ExitCode
from reconciler.ownership.remark import compose_remark
from reconciler.plan import make_plan
from reconciler.server import Fault, Quirks, RunningServer, Store, running_server
from tests.support import Direct, calling, catalog, options, reconcile, tag_of, wanted

ALICE = wanted("alice")
NOBODY = "its outcome is unknown: plan again to see what is live"
CUT = "the connection to https://api.example.com was cut"

#: A write whose answer is lost, after the work was done or before.
LOST = ["cut", "reset", "half", "status", "html", "body-status", "empty", "wrong-type"]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def writes(server: RunningServer) -> list[str]:
    return [one.operation for one in server.log if one.method != "GET"]


def outcomes(report: Report) -> list[tuple[Any, ...]]:
    return [(one.outcome, one.session_id, one.message, one.hint) for one in report.results]


# A create


@pytest.mark.parametrize("kind", LOST)
def test_a_create_whose_answer_is_lost_is_found_and_not_sent_again(
    server: RunningServer, tmp_path: Path, kind: Any
) -> None:
    server.faults.add(Fault(kind, operation="create_session", worked=True))
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
        assert outcomes(report) == [("applied", 1, "", "")]
        assert writes(server) == ["create_session"]
        assert report.verification == "verified"
        plan, _ = reconcile(client, catalog(ALICE), tmp_path)
    assert plan.empty


@pytest.mark.parametrize("kind", [one for one in LOST if one != "half"])
def test_a_create_that_may_have_been_done_is_not_sent_again_in_the_same_run(
    server: RunningServer, tmp_path: Path, kind: Any
) -> None:
    """It was not: but a list that lags would look the same. The next run makes it."""
    fault = server.faults.add(Fault(kind, operation="create_session", worked=False))
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
        ((outcome, session_id, message, hint),) = outcomes(report)
        assert (outcome, session_id, hint) == ("unknown", None, NOBODY)
        assert message.startswith("creating the session alice: ")
        assert writes(server) == ["create_session"]
        assert report.exit_code == ExitCode.PARTIAL
        server.faults.remove(fault)
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert outcomes(report) == [("applied", 1, "", "")]
    assert len(server.store.sessions()) == 1


def test_a_create_is_waited_for_while_the_list_lags(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(late_calls=5)) as server, calling(server.url) as client:
        server.faults.add(Fault("cut", operation="create_session", worked=True))
        _, report = reconcile(client, catalog(ALICE), tmp_path, settle=60)
        assert outcomes(report) == [("applied", 1, "", "")]
        assert writes(server) == ["create_session"]


def test_a_create_that_lags_for_longer_is_unknown_and_there_at_the_next_plan(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(late_calls=3)) as server, calling(server.url) as client:
        fault = server.faults.add(Fault("cut", operation="create_session", worked=True))
        _, report = reconcile(client, catalog(ALICE), tmp_path, settle=0)
        assert outcomes(report) == [
            ("unknown", None, f"creating the session alice: {CUT}", NOBODY),
        ]
        server.faults.remove(fault)
        for _ in range(3):
            list_sessions(client)
        plan, _ = reconcile(client, catalog(ALICE), tmp_path)
        assert plan.empty
        assert writes(server) == ["create_session"]


def test_a_create_that_a_busy_server_turned_away_is_sent_again(server: RunningServer, tmp_path: Path) -> None:
    """429 and 408 are answered before any work is done (RFC 9110, RFC 6585): no need to look."""
    server.faults.add(Fault("status", operation="create_session", when="first 2", status=429, retry_after=1))
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert outcomes(report) == [("applied", 1, "", "")]
    assert writes(server) == ["create_session"] * 3


def test_after_503_a_create_is_looked_up_and_then_sent_again(server: RunningServer, tmp_path: Path) -> None:
    server.faults.add(Fault("status", operation="create_session", when="first", status=503))
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert outcomes(report) == [("applied", 1, "", "")]
    work = [one.operation for one in server.log]
    first, second = (number for number, name in enumerate(work) if name == "create_session")
    assert work[first + 1 : second] == ["list_sessions"]
    assert len(server.store.sessions()) == 1


def test_a_create_is_given_up_when_the_server_stays_busy(server: RunningServer, tmp_path: Path) -> None:
    server.faults.add(Fault("status", operation="create_session", status=429))
    with calling(server.url, tries=3) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert outcomes(report) == [
        (
            "failed",
            None,
            "creating the session alice: HTTP 429: 请求过于频繁",
            "the server limits the request rate: lower --parallelism, or run the command again later",
        )
    ]
    assert writes(server) == ["create_session"] * 6
    assert report.exit_code == ExitCode.ERROR


def test_before_a_create_the_tag_is_looked_for(server: RunningServer, tmp_path: Path) -> None:
    """Somebody else applied the same catalog since the plan."""
    with calling(server.url) as client:
        there = list_sessions(client)
        plan = make_plan(catalog(ALICE), there)
        remark = compose_remark(None, {}, tag_of(ALICE))
        server.store.insert_session(name="Alice", remark="the same name, and somebody else's")
        server.store.insert_session(name="Alice", remark=remark)
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    assert outcomes(report) == [
        ("failed", 2, "it is already live as #2: somebody created it after the plan", "plan again")
    ]
    assert writes(server) == []


def test_an_answer_without_the_id_is_an_answer(tmp_path: Path) -> None:
    class Terse(Direct):
        def write(self, name: str, fields: Any, **more: Any) -> Any:
            super().write(name, fields, **more)
            return {"message": "", "status": 201}

    with Terse(Store()) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert outcomes(report) == [("applied", 1, "", "")]  # the list tells it
    assert report.verification == "verified"


@pytest.mark.parametrize("given", [1, "1"])
def test_an_id_may_come_as_text(tmp_path: Path, given: Any) -> None:
    class Telling(Direct):
        def write(self, name: str, fields: Any, **more: Any) -> Any:
            super().write(name, fields, **more)
            return {"data": {"session_id": given}}

    with Telling(Store()) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert outcomes(report) == [("applied", 1, "", "")]


# An update


@pytest.mark.parametrize("kind", LOST)
def test_an_update_whose_answer_is_lost_is_found(server: RunningServer, tmp_path: Path, kind: Any) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        server.faults.add(Fault(kind, operation="update_session", worked=True))
        now = catalog(dataclasses.replace(ALICE, name="Al", prompt="B"))
        _, report = reconcile(client, now, tmp_path)
        assert outcomes(report) == [("applied", 1, "", "")]
        assert writes(server) == ["create_session", "update_session"]
        assert make_plan(now, list_sessions(client)).empty


@pytest.mark.parametrize("kind", [one for one in LOST if one != "half"])
def test_an_update_that_did_not_happen_is_sent_again(
    server: RunningServer, tmp_path: Path, kind: Any
) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        server.faults.add(Fault(kind, operation="update_session", when="first 2", worked=False))
        now = catalog(dataclasses.replace(ALICE, name="Al", prompt="B"))
        _, report = reconcile(client, now, tmp_path)
        assert outcomes(report) == [("applied", 1, "", "")]
        assert writes(server) == ["create_session"] + ["update_session"] * 3
        assert make_plan(now, list_sessions(client)).empty


def test_an_update_is_given_up_after_so_many_tries(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url, tries=3) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        server.faults.add(Fault("status", operation="update_session", status=500))
        _, report = reconcile(client, catalog(dataclasses.replace(ALICE, prompt="B")), tmp_path)
    assert outcomes(report) == [
        ("failed", 1, "updating the session alice (#1): HTTP 500: 服务器内部错误", "")
    ]
    assert writes(server) == ["create_session"] + ["update_session"] * 3


def test_an_update_that_can_not_be_looked_up_is_unknown(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url, tries=1) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        there = list_sessions(client)
        plan = make_plan(catalog(dataclasses.replace(ALICE, prompt="B")), there)
        server.faults.add(Fault("cut", operation="update_session", worked=True))
        server.faults.add(Fault("status", operation="list_sessions", status=500))
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    assert outcomes(report) == [("unknown", 1, f"updating the session alice (#1): {CUT}", NOBODY)]
    assert (report.verification, report.exit_code) == ("failed", ExitCode.PARTIAL)


# A delete


@pytest.mark.parametrize("kind", LOST)
def test_a_delete_whose_answer_is_lost_is_found(server: RunningServer, tmp_path: Path, kind: Any) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        server.faults.add(Fault(kind, operation="delete_session", worked=True))
        _, report = reconcile(client, catalog(), tmp_path)
    assert outcomes(report) == [("applied", 1, "", "")]
    assert writes(server) == ["create_session", "delete_session"]


@pytest.mark.parametrize("kind", [one for one in LOST if one != "half"])
def test_a_delete_that_did_not_happen_is_sent_again(server: RunningServer, tmp_path: Path, kind: Any) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        server.faults.add(Fault(kind, operation="delete_session", when="first 2", worked=False))
        _, report = reconcile(client, catalog(), tmp_path)
    assert outcomes(report) == [("applied", 1, "", "")]
    assert writes(server) == ["create_session"] + ["delete_session"] * 3
    assert server.store.sessions() == []


def test_a_delete_that_somebody_else_did_between_two_tries_is_done(
    server: RunningServer, tmp_path: Path
) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        there = list_sessions(client)
        plan = make_plan(catalog(), there, allow_empty=True)
        server.before.append(
            lambda entry: (
                server.store.delete_session(1) and None if entry.operation == "delete_session" else None
            )
        )
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    assert outcomes(report) == [("applied", 1, "", "")]
    assert report.verification == "verified"


# All of it at once


@pytest.mark.parametrize("seed", range(6))
def test_however_many_answers_are_lost_nothing_is_made_twice(tmp_path: Path, seed: int) -> None:
    """Half of all answers to writes are lost, before or after the work; apply is run until it is through."""
    import random

    chance = random.Random(seed)
    now = catalog(*(wanted(f"k{number}", name=f"K{number % 3}") for number in range(8)))
    kinds: list[Any] = ["cut", "reset", "half", "status"]
    with running_server(None) as server, calling(server.url) as client:
        for operation in ("create_session", "update_session", "delete_session"):
            for number in range(1, 60):
                if chance.random() < 0.5:
                    kind = chance.choice(kinds)
                    worked = True if kind == "half" else chance.random() < 0.5
                    server.faults.add(Fault(kind, operation=operation, when=f"nth {number}", worked=worked))
        for _ in range(30):
            _, report = reconcile(client, now, tmp_path, parallelism=4)
            keys = [one.remark.tag.identity.key for one in list_sessions(client) if one.remark.tag]
            assert len(keys) == len(set(keys))
            if report.exit_code == ExitCode.OK:
                break
        assert report.exit_code == ExitCode.OK
        assert sorted(keys) == sorted(now.sessions)
        made = [one for one in server.log if one.operation == "create_session" and one.worked]
        assert len(made) == len(now.sessions)
