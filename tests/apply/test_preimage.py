"""A change between the plan and a write is neither overwritten nor lost, as far as it can be seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.listing import list_sessions
from reconciler.apply import Report, apply_plan, preimage
from reconciler.apply.archive import Archived, read_archive
from reconciler.errors import ExitCode
from reconciler.plan import make_plan
from reconciler.server import Fault, RunningServer, running_server
from reconciler.server.log import LoggedRequest
from tests.support import calling, catalog, options, reconcile, wanted

ALICE, BOB = wanted("alice", prompt="A"), wanted("bob", name="Bob", prompt="B")
NEW_ALICE, NEW_BOB = wanted("alice", prompt="A2"), wanted("bob", name="Bob", prompt="B2")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """Two sessions that an apply made, on a service of which everything that was seen is soon out of date."""
    with running_server(None) as running, calling(running.url) as client:
        reconcile(client, catalog(ALICE, BOB), tmp_path / "first", parallelism=1)  # #1 and #2
        monkeypatch.setattr(preimage, "FRESH", -1.0)
        yield running


def apply(server: RunningServer, folder: Path, *now: Any, **more: Any) -> Report:
    with calling(server.url) as client:
        return reconcile(client, catalog(*now), folder, parallelism=1, **more)[1]


def when_turned_away(
    server: RunningServer, operation: str, act: Callable[[], object], status: int = 429
) -> None:
    """Let the service turn the first such call away, and somebody act before it is sent again."""
    fault = server.faults.add(
        Fault("status", operation=operation, when="first", status=status, retry_after=1)
    )
    acted: list[object] = []

    def done(entry: LoggedRequest) -> None:
        if server.faults.struck(fault) and not acted:
            acted.append(act() or True)

    server.done.append(done)


def outcomes(report: Report) -> list[tuple[str, str, str]]:
    return [(one.action.key, one.outcome, one.message) for one in report.results]


def archived(folder: Path) -> list[Archived]:
    return read_archive(folder / "archive")[0]


def test_what_is_said_while_a_delete_waits_is_archived(server: RunningServer, tmp_path: Path) -> None:
    server.store.insert_message(2, content="one")
    when_turned_away(server, "delete_session", lambda: server.store.insert_message(2, content="two"))
    report = apply(server, tmp_path, ALICE)
    assert outcomes(report) == [("bob", "applied", "")]
    kept = [[row["message_content"] for row in one.messages or ()] for one in archived(tmp_path)]
    assert sorted(kept) == [["one"], ["one", "two"]]


def test_an_edit_made_while_an_update_waits_is_left_alone(server: RunningServer, tmp_path: Path) -> None:
    def edit() -> None:
        row = server.store.session(1)
        assert row and row.remark
        remark = json.dumps({**json.loads(row.remark), "crm": 7})
        server.store.update_session(1, prompt="by hand", remark=remark)

    when_turned_away(server, "update_session", edit)
    report = apply(server, tmp_path, NEW_ALICE, BOB)
    said = 'it changed after the plan was made: prompt was "A" when planned, found "by hand"; '
    assert outcomes(report) == [("alice", "failed", said + "remark.crm was nothing when planned, found 7")]
    assert [one.hint for one in report.results] == ["plan again"]
    row = server.store.session(1)
    assert row and row.prompt == "by hand" and '"crm": 7' in str(row.remark)


def test_a_session_that_was_let_go_while_its_delete_waits_stays(
    server: RunningServer, tmp_path: Path
) -> None:
    when_turned_away(server, "delete_session", lambda: server.store.update_session(2, remark="mine"))
    ((key, outcome, message),) = outcomes(apply(server, tmp_path, ALICE))
    assert (key, outcome) == ("bob", "failed")
    assert message.startswith("it changed after the plan was made: session_remark was ")
    assert server.store.session(2)


def test_one_that_was_given_another_name_is_found(server: RunningServer, tmp_path: Path) -> None:
    when_turned_away(server, "delete_session", lambda: server.store.update_session(2, name="Robert"))
    said = 'it changed after the plan was made: name was "Bob" when planned, found "Robert"'
    assert outcomes(apply(server, tmp_path, ALICE)) == [("bob", "failed", said)]


def test_one_that_is_not_found_by_its_name_after_an_answer_that_says_nothing_is_said(
    server: RunningServer, tmp_path: Path
) -> None:
    """503: it may be gone. It is not, under another name, which the list tells in the end."""
    when_turned_away(server, "delete_session", lambda: server.store.update_session(2, name="Robert"), 503)
    report = apply(server, tmp_path, ALICE)
    assert report.differences == ("bob (#2) was deleted, but is still listed",)
    assert report.exit_code == ExitCode.PARTIAL


def test_one_that_went_while_its_delete_waited_is_gone(server: RunningServer, tmp_path: Path) -> None:
    when_turned_away(server, "delete_session", lambda: server.store.delete_session(2))
    assert outcomes(apply(server, tmp_path, ALICE)) == [("bob", "applied", "")]


def test_what_is_changed_before_its_turn_comes_is_left_alone(server: RunningServer, tmp_path: Path) -> None:
    """No call was turned away: the run itself takes so long."""

    def after(entry: LoggedRequest) -> None:
        if entry.operation == "update_session":
            server.store.update_session(2, prompt="by hand")

    server.after.append(after)
    report = apply(server, tmp_path, NEW_ALICE, NEW_BOB)
    said = 'it changed after the plan was made: prompt was "B" when planned, found "by hand"'
    assert outcomes(report) == [("alice", "applied", ""), ("bob", "failed", said)]


def test_a_call_of_ours_that_arrives_late_is_no_change_of_others(
    server: RunningServer, tmp_path: Path
) -> None:
    """The line was cut, and nothing was done; then it was, before the call was sent a second time."""
    fault = server.faults.add(Fault("cut", operation="update_session", when="first", worked=False))
    lists: list[LoggedRequest] = []

    def before(entry: LoggedRequest) -> None:
        if server.faults.struck(fault) and entry.operation == "list_sessions":
            lists.append(entry)
            if len(lists) == 2:
                sent = next(one.body or {} for one in server.log if one.operation == "update_session")
                server.store.update_session(1, prompt=sent["prompt"], remark=sent["session_remark"])

    server.before.append(before)
    report = apply(server, tmp_path, NEW_ALICE, BOB)
    assert outcomes(report) == [("alice", "applied", "")]
    assert [one.operation for one in server.log if one.method != "GET"][-1:] == ["update_session"]
    assert report.verification == "verified"


def test_where_nobody_can_look_nothing_is_written(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url, tries=1) as client:
        there = list_sessions(client)
        server.faults.add(Fault("cut", operation="list_sessions"))
        plan = make_plan(catalog(ALICE), there)
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    assert [one.outcome for one in report.results] == ["failed"]
    assert report.results[0].message.startswith("listing sessions: the connection to ")
    assert [one for one in server.log if one.operation == "delete_session"] == []


def test_what_was_seen_a_moment_ago_is_not_looked_at_again(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    began = len(server.log)
    report = apply(server, tmp_path, NEW_ALICE, NEW_BOB)
    assert [one.outcome for one in report.results] == ["applied", "applied"]
    work = [one.operation for one in server.log[began:]]
    assert work == ["list_sessions"] * 2 + ["update_session"] * 2 + ["list_sessions"]


def test_a_lock_that_is_lost_while_a_write_waits_keeps_it_from_being_sent(
    server: RunningServer, tmp_path: Path
) -> None:
    lost: list[bool] = []
    when_turned_away(server, "update_session", lambda: lost.append(True))
    report = apply(server, tmp_path, NEW_ALICE, BOB, holding=lambda: not lost)
    assert outcomes(report) == [("alice", "not tried", "the run was stopped before")]
    assert report.stopped == "the lock was lost"
    row = server.store.session(1)
    assert row and row.prompt == "A"
