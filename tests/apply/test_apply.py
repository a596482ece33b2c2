"""Applying a plan: what is sent, in which order, how it is reported, and what stops it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.cancellation import Cancellation
from reconciler.api.listing import list_sessions
from reconciler.apply import Result, apply_plan
from reconciler.apply.canary import ASSUMED_HINT
from reconciler.apply.report import INTERRUPTED, Report, report_to_document
from reconciler.domain import Limit, Policy
from reconciler.errors import ExitCode, Problem, Refused
from reconciler.plan import make_plan
from reconciler.render import RenderOptions
from reconciler.render.report import render_report
from reconciler.schemas import check_document, schema_names
from reconciler.server import Fault, Quirks, RunningServer, running_server
from reconciler.server.log import LoggedRequest
from tests.support import (
    CONTRACT,
    LEARNED,
    calling,
    catalog,
    options,
    reconcile,
    session_of,
    snapshot,
    wanted,
)

ALICE = wanted("alice")
BOB = wanted("bob", name="Bob", prompt="Be brief.", parameters={"temperature": 0.5})
CAROL = wanted("carol", name="Carol", data={"style": {"tone": "dry"}}, remark={"created_user": "lery"})


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def writes(server: RunningServer) -> list[tuple[str, Any]]:
    """Operation and session of each write, in order of arrival."""
    return [
        (one.operation, session_of(one) or (one.body or {}).get("session_name"))
        for one in server.log
        if one.method != "GET"
    ]


def results(report: Report) -> list[tuple[Any, ...]]:
    return [
        (one.action.kind, one.action.key, one.session_id, one.outcome, one.message, one.hint)
        for one in report.results
    ]


def test_a_catalog_becomes_live(server: RunningServer, tmp_path: Path) -> None:
    now = catalog(ALICE, BOB, CAROL)
    with calling(server.url) as client:
        _, report = reconcile(client, now, tmp_path, parallelism=1)
        assert results(report) == [
            ("create", "alice", 1, "applied", "", ""),
            ("create", "bob", 2, "applied", "", ""),
            ("create", "carol", 3, "applied", "", ""),
        ]
        assert (report.verification, report.differences, report.rewrites) == ("verified", (), ())
        assert report.exit_code == ExitCode.OK
        plan, report = reconcile(client, now, tmp_path)
    assert plan.empty
    assert (results(report), report.verification, report.exit_code) == ([], "verified", ExitCode.OK)
    assert len(writes(server)) == 3
    carol = server.store.session(3)
    assert carol is not None
    assert (carol.name, carol.prompt, carol.data) == ("Carol", "Be kind.", {"style": {"tone": "dry"}})
    assert carol.remark == (
        '{"created_user":"lery","reconciler":{"catalog":"bookshop","key":"carol",'
        '"base":"1nlFzUMgmFKbMYNpurcMsa.tkjhX033R9.5ONVR0SNZcufaU"}}'
    )


def test_what_is_sent_is_what_differs_and_no_more(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE, BOB, CAROL), tmp_path, parallelism=1)
        bob = dataclasses.replace(BOB, prompt="Be bold.")
        plan, report = reconcile(client, catalog(ALICE, bob, wanted("dora", name="Dora")), tmp_path)
    assert (plan.count("create"), plan.count("update"), plan.count("delete")) == (1, 1, 1)
    assert report.exit_code == ExitCode.OK
    assert sorted(writes(server)[3:], key=str) == [
        ("create_session", "Dora"),
        ("delete_session", 3),
        ("update_session", 2),
    ]
    (update,) = [one.body for one in server.log if one.operation == "update_session"]
    assert update is not None
    assert sorted(update) == ["prompt", "session_remark"]
    assert [one.name for one in server.store.sessions()] == ["Alice", "Bob", "Dora"]


def test_what_makes_comes_before_what_ends(server: RunningServer, tmp_path: Path) -> None:
    gone = [wanted(f"g{number}", name=f"g{number}") for number in range(3)]
    with calling(server.url) as client:
        reconcile(client, catalog(*gone, ALICE), tmp_path)
        before = len(writes(server))
        now = catalog(dataclasses.replace(ALICE, prompt="B"), BOB)
        plan, _ = reconcile(client, now, tmp_path, parallelism=1)
    assert [one.kind for one in plan.actions] == ["delete", "delete", "delete", "update", "create"]
    assert [one[0] for one in writes(server)[before:]] == [
        "create_session",
        "update_session",
        "delete_session",
        "delete_session",
        "delete_session",
    ]


def test_unmanaged_and_foreign_sessions_are_the_same_to_the_byte(
    server: RunningServer, tmp_path: Path
) -> None:
    """20 without a tag and 5 of others, beside a catalog that is made, changed and taken away."""
    remarks = ["", None, "prose", '{"created_user": "lery"}', "[1]"]
    for number in range(20):
        server.store.insert_session(name="Alice", prompt=" x\r\n", remark=remarks[number % 5], extra={"v": 1})
    library = catalog(*(wanted(f"k{number}") for number in range(5)), name="library")
    with calling(server.url) as client:
        _, report = reconcile(client, library, tmp_path)
        assert report.count("applied") == 5
        theirs = server.store.dump()
        for now in (
            catalog(ALICE, BOB),
            catalog(dataclasses.replace(ALICE, name="Al", prompt="B"), CAROL),
            catalog(),
        ):
            plan, report = reconcile(client, now, tmp_path)
            assert report.exit_code == ExitCode.OK
            assert (plan.counts.unmanaged, plan.counts.foreign) == (20, 5)
    assert server.store.dump() == theirs


# What a guard refuses


def test_a_refused_plan_is_not_applied(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE, BOB), tmp_path)
        there = list_sessions(client)
        policy = Policy(max_deletes=Limit(count=1))
        plan = make_plan(catalog(policy=policy), there)
        before = len(server.log)
        with pytest.raises(Refused) as caught:
            apply_plan(plan, client, options(tmp_path), snapshot=there)
    assert caught.value.problems == (
        Problem(
            "the catalog is empty, and all of its live sessions (2) would be deleted",
            "--allow-empty would allow it",
        ),
        Problem("it would delete 2 sessions, and the policy allows 1", "--max-deletes=2 would allow it"),
    )
    assert caught.value.exit_code == ExitCode.REFUSED
    assert len(server.log) == before


# When something fails


def test_one_that_fails_does_not_keep_the_others_from_being_tried(
    server: RunningServer, tmp_path: Path
) -> None:
    server.faults.add(
        Fault(
            "status",
            operation="create_session",
            status=422,
            message="名称不合法",
            where=lambda entry: (entry.body or {}).get("session_name") == "Bob",
        )
    )
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE, BOB, CAROL), tmp_path, parallelism=1)
        assert results(report) == [
            ("create", "alice", 1, "applied", "", ""),
            ("create", "bob", None, "failed", "creating the session bob: HTTP 422: 名称不合法", ""),
            ("create", "carol", 2, "applied", "", ""),
        ]
        assert report.verification == "verified"
        assert report.exit_code == ExitCode.PARTIAL
        server.faults.clear()
        plan, report = reconcile(client, catalog(ALICE, BOB, CAROL), tmp_path)
    assert [(one.kind, one.key) for one in plan.actions] == [("create", "bob")]
    assert report.exit_code == ExitCode.OK


def test_when_all_fail_nothing_was_applied(server: RunningServer, tmp_path: Path) -> None:
    server.faults.add(Fault("status", operation="create_session", status=403))
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE, BOB), tmp_path)
    assert [one.outcome for one in report.results] == ["failed", "failed"]
    assert report.verification == "skipped"
    assert report.exit_code == ExitCode.ERROR


def test_a_session_that_is_gone_meanwhile(server: RunningServer, tmp_path: Path) -> None:
    """Deleted by others between plan and write: an update fails, a delete has nothing left to do."""
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE, BOB), tmp_path, parallelism=1)
        there = list_sessions(client)
        plan = make_plan(catalog(dataclasses.replace(ALICE, prompt="B")), there)
        server.store.delete_session(1)
        server.store.delete_session(2)
        report = apply_plan(plan, client, options(tmp_path, recheck=False, parallelism=1), snapshot=there)
    assert results(report) == [
        ("update", "alice", 1, "failed", "it is gone", "the next plan creates it"),
        ("delete", "bob", 2, "failed", "listing the messages bob (#2): HTTP 404: 会话不存在",
         "if the address and the key are right, the contract's path may be wrong: see --contract"),
    ]  # fmt: skip
    assert report.exit_code == ExitCode.ERROR


def test_a_path_that_is_wrong_is_not_taken_for_a_session_that_is_gone(
    server: RunningServer, tmp_path: Path
) -> None:
    """Half of the paths are assumed. A 404 of a call that is not there must not count as done."""
    hint = ASSUMED_HINT
    with calling(server.url, contract=CONTRACT) as client:
        reconcile(client, catalog(ALICE, BOB), tmp_path)
    for now, result in (
        (
            catalog(dataclasses.replace(ALICE, prompt="B"), BOB),
            ("update", "alice", 1, "failed", "updating the session alice (#1): HTTP 404: 接口不存在", hint),
        ),
        (
            catalog(ALICE),
            ("delete", "bob", 2, "failed", "deleting the session bob (#2): HTTP 404: 接口不存在", hint),
        ),
    ):
        server.faults.clear()
        server.faults.add(Fault("status", operation=f"{result[0]}_session", status=404, message="接口不存在"))
        with calling(server.url, contract=CONTRACT) as client:
            _, report = reconcile(client, now, tmp_path)
        assert results(report) == [result]
        assert report.stopped == f"the first {result[0]} was refused"
        assert report.exit_code == ExitCode.ERROR


# When the run is asked to stop


def test_a_run_that_is_to_stop_starts_no_new_write(server: RunningServer, tmp_path: Path) -> None:
    stop, told = Cancellation(), []

    def tell(result: Result) -> None:
        told.append(result.action.key)
        stop.set(INTERRUPTED)

    with calling(server.url) as client:
        there = list_sessions(client)
        plan = make_plan(catalog(ALICE, BOB, CAROL), there)
        report = apply_plan(
            plan, client, options(tmp_path, parallelism=1), snapshot=there, stop=stop, on_result=tell
        )
    assert results(report) == [
        ("create", "alice", 1, "applied", "", ""),
        ("create", "bob", None, "not tried", "the run was stopped before", ""),
        ("create", "carol", None, "not tried", "the run was stopped before", ""),
    ]
    assert told == ["alice", "bob", "carol"]
    assert len(writes(server)) == 1
    assert (report.verification, report.stopped) == ("skipped", "interrupted")
    assert report.exit_code == ExitCode.INTERRUPTED


def test_a_run_that_loses_its_lock_stops(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        _, report = reconcile(
            client,
            catalog(ALICE, BOB, CAROL),
            tmp_path,
            parallelism=1,
            holding=lambda: not server.store.sessions(),
        )
    assert [one.outcome for one in report.results] == ["applied", "not tried", "not tried"]
    assert report.stopped == "the lock was lost"
    assert report.exit_code == ExitCode.PARTIAL


# Reading the list again


def test_what_another_run_made_as_well_is_said(server: RunningServer, tmp_path: Path) -> None:
    """Both made it. The older one stays, and the next plan says so: but this one is not as it should be."""
    theirs: list[Any] = []

    def meddle(entry: LoggedRequest) -> None:
        if entry.operation == "create_session" and not theirs:
            row = server.store.sessions()[-1]
            theirs.append(server.store.insert_session(name=row.name, model=row.model, remark=row.remark))

    server.after.append(meddle)
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path)
    assert (report.verification, report.differences) == (
        "differs",
        ("alice is live 2 times: #1, #2; the next plan says which of them stays",),
    )
    assert report.exit_code == ExitCode.PARTIAL


def test_what_is_not_as_it_was_written_is_said(server: RunningServer, tmp_path: Path) -> None:
    """Others delete one session, take the tag off another, and drop a field of a third, which is sent again."""
    with calling(server.url) as client:
        there = list_sessions(client)
        plan = make_plan(catalog(ALICE, BOB, CAROL), there)

        def meddle(entry: LoggedRequest) -> None:
            if entry.operation == "create_session":
                return
            rows = server.store.sessions()
            if len(rows) == 3:
                server.store.delete_session(rows[0].session_id)
                server.store.update_session(rows[1].session_id, remark="")
                server.store.update_session(rows[2].session_id, data={})

        server.before.append(meddle)
        report = apply_plan(plan, client, options(tmp_path, parallelism=1, recheck=False), snapshot=there)
    assert report.verification == "differs"
    assert report.differences == (
        "alice (#1) was written, but is not listed",
        "bob (#2): the tag did not come back as written",
    )
    assert [row.data for row in server.store.sessions() if row.session_id == 3] == [dict(CAROL.data)]
    assert report.exit_code == ExitCode.PARTIAL


def test_a_list_that_can_not_be_read_again_leaves_the_apply_unverified(
    server: RunningServer, tmp_path: Path
) -> None:
    with calling(server.url, tries=2) as client:
        there = list_sessions(client)
        plan = make_plan(catalog(ALICE), there)

        def break_lists(entry: LoggedRequest) -> None:
            if entry.operation == "create_session":
                server.faults.add(Fault("status", operation="list_sessions", status=500))

        server.after.append(break_lists)
        report = apply_plan(plan, client, options(tmp_path, recheck=True), snapshot=there)
    assert results(report) == [("create", "alice", 1, "applied", "", "")]
    assert report.verification == "failed"
    assert report.differences == ("listing sessions: HTTP 500: 服务器内部错误",)
    assert report.exit_code == ExitCode.OK
    text = render_report(report_to_document(report), "text", RenderOptions())
    assert "NOT VERIFIED listing sessions: HTTP 500" in text
    assert "NOT AS WRITTEN" not in text


@pytest.mark.parametrize(("name_filter", "lists"), [("exact", ["Alice"]), (None, [None] * 5)])
def test_a_long_list_is_not_read_again_for_what_can_be_found_by_name(
    name_filter: Any, lists: list[str | None], server: RunningServer, tmp_path: Path
) -> None:
    """Others create and delete sessions meanwhile, which is no difference."""
    for number in range(320):
        server.store.insert_session(name=f"chat {number}")
    service = dataclasses.replace(LEARNED.service, name_filter=name_filter)
    contract = dataclasses.replace(LEARNED, service=service)
    with calling(server.url, contract=contract) as client:
        there = list_sessions(client)
        plan = make_plan(catalog(ALICE), there)

        def chat(entry: LoggedRequest) -> None:
            if entry.operation == "create_session":
                server.store.insert_session(name="chat")
                server.store.delete_session(1)
                before.append(len(server.log))

        before: list[int] = []
        server.after.append(chat)
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    assert (report.verification, report.differences) == ("verified", ())
    asked = [one.query.get("session_name") for one in server.log[before[0] :] if one.method == "GET"]
    assert asked == lists


def test_names_that_hundreds_of_sessions_have_are_not_looked_up_for_long(
    server: RunningServer, tmp_path: Path
) -> None:
    """To list the sessions of one name takes more calls than to list all: the other two names are not asked for."""
    for number in range(400):
        server.store.insert_session(name="chat" if number % 8 else "old")
    service = dataclasses.replace(LEARNED.service, name_filter="exact")
    with calling(server.url, contract=dataclasses.replace(LEARNED, service=service)) as client:
        there = list_sessions(client)
        wanted = [dataclasses.replace(ALICE, key=one, name=one) for one in ("chat", "one", "two")]
        plan = make_plan(catalog(*wanted), there)
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    assert report.verification == "verified"
    last = max(one.number for one in server.log if one.operation == "create_session")
    asked = [one.query.get("session_name") for one in server.log if one.number > last]
    assert asked == ["chat"] * 6 + [None] * 6


def test_a_second_one_is_found_by_its_name(server: RunningServer, tmp_path: Path) -> None:
    for number in range(320):
        server.store.insert_session(name=f"chat {number}")
    service = dataclasses.replace(LEARNED.service, name_filter="exact")
    with calling(server.url, contract=dataclasses.replace(LEARNED, service=service)) as client:
        there = list_sessions(client)
        plan = make_plan(catalog(ALICE), there)

        def another(entry: LoggedRequest) -> None:
            if entry.operation == "create_session":
                (row,) = server.store.sessions()[-1:]
                server.store.insert_session(name=row.name, prompt=row.prompt, remark=row.remark)

        server.after.append(another)
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    assert report.verification == "differs"
    assert report.differences == (
        "alice is live 2 times: #321, #322; the next plan says which of them stays",
    )


def test_a_list_that_lags_is_waited_for(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(late_calls=3)) as server, calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path, settle=60)
    assert report.verification == "verified"


# What is said of it all


def test_a_report_as_a_document(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(ALICE), tmp_path, run="c0ffee00")
    document = report_to_document(report)
    assert document == {
        "format_version": "1.1",
        "run": "c0ffee00",
        "catalog": "bookshop",
        "environment": None,
        "endpoint": "https://api.example.com",
        "summary": {"applied": 1, "failed": 0, "unknown": 0, "not_tried": 0},
        "stopped": "",
        "canaries": [],
        "verification": "verified",
        "differences": [],
        "rewritten": [],
        "results": [
            {
                "action": "create",
                "key": "alice",
                "session_id": 1,
                "name": "Alice",
                "outcome": "applied",
                "message": "",
                "hint": "",
            }
        ],
    }
    if "report" in schema_names():
        assert check_document(document, "report") == []


@pytest.mark.parametrize(
    ("outcomes", "verification", "stopped", "code"),
    [
        ([], "verified", "", ExitCode.OK),
        (["applied"], "verified", "", ExitCode.OK),
        (["applied"], "skipped", "", ExitCode.OK),
        (["applied"], "differs", "", ExitCode.PARTIAL),
        (["applied"], "failed", "", ExitCode.OK),
        (["applied", "failed"], "verified", "", ExitCode.PARTIAL),
        (["applied", "unknown"], "verified", "", ExitCode.PARTIAL),
        (["unknown"], "skipped", "", ExitCode.PARTIAL),
        (["failed", "failed"], "skipped", "", ExitCode.ERROR),
        (["failed", "not tried"], "skipped", "", ExitCode.ERROR),
        (["applied", "not tried"], "skipped", "the deadline passed", ExitCode.PARTIAL),
        (["applied", "not tried"], "skipped", "interrupted", ExitCode.INTERRUPTED),
        (["not tried"], "skipped", "interrupted", ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_says_the_same_as_the_report(
    outcomes: list[Any], verification: Any, stopped: str, code: ExitCode
) -> None:
    (action,) = make_plan(catalog(ALICE), snapshot()).actions
    report = Report(
        run="r",
        catalog="bookshop",
        environment=None,
        endpoint="local",
        results=tuple(Result(action, outcome) for outcome in outcomes),
        verification=verification,
        stopped=stopped,
    )
    assert report.exit_code == code
