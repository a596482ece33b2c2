"""An archived session comes back once, with each message once, and nobody else's session is touched for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.client import Client
from reconciler.api.pace import Pace
from reconciler.apply.archive import FOLDER, Archived, read_archive
from reconciler.apply.journal import FILE, last_unseen_create, read_journal
from reconciler.apply.restore import Restored, RestoreOptions, restore
from reconciler.cli import run as reconciler
from reconciler.errors import Problem, ReconcilerError, Refused
from reconciler.server import Fault, Quirks, RunningServer, running_server
from tests.support import calling, catalog, reconcile, wanted

ALICE = wanted("alice", prompt="A", data={"voice": "low"})
SCOPE = {"catalog": "bookshop", "environment": None, "endpoint": "https://api.example.com"}


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def deleted(server: RunningServer, client: Client, state: Path, messages: int = 3) -> Archived:
    """Alice, made and deleted again by an apply."""
    reconcile(client, catalog(ALICE), state, settle=30)
    (row,) = server.store.sessions()
    for number in range(messages):
        server.store.insert_message(row.session_id, content=f"m{number}")
    reconcile(client, catalog(), state, settle=30)
    (found,), _ = read_archive(state / FOLDER)
    return found


def bring_back(archived: Archived, client: Client, state: Path, **more: Any) -> Restored:
    options = RestoreOptions(**{"state": state, "archive": state / FOLDER, "settle": 30, "run": "2", **more})
    return restore(archived, client, options)


def chat(server: RunningServer) -> list[str]:
    """The messages of the one session that is live."""
    (row,) = server.store.sessions()
    return [message.content for message in server.store.messages(row.session_id)]


def writes(server: RunningServer) -> list[str]:
    return [one.operation for one in server.log if one.method != "GET"]


# Once


def test_a_restore_waits_for_a_list_that_lags(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(late_calls=30)) as server, calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        assert bring_back(archived, client, tmp_path) == Restored(2, made=True, messages=3)
        assert chat(server) == ["m0", "m1", "m2"]


def test_what_an_earlier_try_made_is_known_by_its_id(tmp_path: Path) -> None:
    """Also where it was changed in the meantime."""
    with running_server(None, quirks=Quirks(late_calls=9)) as server, calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        with pytest.raises(ReconcilerError) as caught:
            bring_back(archived, client, tmp_path, settle=0)
        assert caught.value.problems == (
            Problem(
                "alice was made as #2, and does not show in the list yet",
                "run the restore again, which goes on",
            ),
        )
        for _ in range(9):
            client.read("list_sessions", {})
        client.write("update_session", {"session_id": 2, "name": "Alice the second"})
        assert bring_back(archived, client, tmp_path, run="3") == Restored(2, made=False, messages=3)
        assert chat(server) == ["m0", "m1", "m2"]


def test_a_restore_is_on_record_as_an_apply_is(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        before = len(read_journal(tmp_path / FILE))
        bring_back(archived, client, tmp_path, who={"user": "lery"})
    entries = read_journal(tmp_path / FILE)[before:]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one.pop("at")) for one in entries)
    of = {"run": "2", "restores": archived.id}
    write = {**of, "action": "create", "key": "alice"}
    assert entries == [
        {**of, **SCOPE, "event": "start", "user": "lery"},
        {**write, "event": "intent", "session_id": None, "newest": 0},
        {**write, "event": "applied", "session_id": 2},
        {**of, "event": "end", "verification": "verified"}
        | {"applied": 1, "failed": 0, "unknown": 0, "not_tried": 0},
    ]


def test_what_a_restore_did_not_see_listed_is_known_to_the_next_run(tmp_path: Path) -> None:
    with running_server(None, quirks=Quirks(late_calls=9)) as server, calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        assert last_unseen_create(read_journal(tmp_path / FILE), SCOPE) is None
        with pytest.raises(ReconcilerError):
            bring_back(archived, client, tmp_path, settle=0)
    assert last_unseen_create(read_journal(tmp_path / FILE), SCOPE) is not None


def test_history_tells_of_a_restore(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        bring_back(archived, client, tmp_path, who={"user": "lery"})
    capsys.readouterr()
    assert reconciler(["history", str(tmp_path), "--state-dir", str(tmp_path), "--limit", "1"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith(f"run 2  bookshop to https://api.example.com, restoring {archived.id}, by lery")
    assert lines == ["    create alice #2: applied", "    verified"]


# What it did not make


def test_a_session_like_it_that_no_restore_made_is_in_the_way(server: RunningServer, tmp_path: Path) -> None:
    """Somebody made it again by hand, or a restore did whose journal is not here: nobody can tell."""
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        session = archived.live(client.contract.session)
        twin = server.store.insert_session(
            name=session.name, prompt=session.prompt, remark=session.raw_remark
        )
        with pytest.raises(Refused) as caught:
            bring_back(archived, client, tmp_path)
    assert caught.value.problems == (
        Problem(
            f"bookshop/alice is live as #{twin}, just as it was, and the journal {tmp_path / FILE} does not tell "
            f"that a restore of {archived.id} made it",
            "a restore that was cut short goes on only with the journal that it began with: name its folder with "
            "--state-dir. If the session is not wanted, delete it and restore again",
        ),
    )
    assert chat(server) == []


def test_what_it_made_and_is_somebody_elses_now_is_left_alone(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        bring_back(archived, client, tmp_path)
        client.write("update_session", {"session_id": 2, "remark": ""})
        before = server.store.dump()
        with pytest.raises(Refused) as caught:
            bring_back(archived, client, tmp_path, run="3")
    assert caught.value.problems[0].message == (
        f"#2, which an earlier restore of {archived.id} made, is unmanaged now"
    )
    assert server.store.dump() == before


# Through trouble


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("operation", ["create_session", "create_message"])
def test_what_the_server_did_not_do_is_sent_again(
    server: RunningServer, tmp_path: Path, operation: str, status: int
) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        server.faults.add(Fault("status", operation=operation, when="first 2", status=status))
        bring_back(archived, client, tmp_path, settle=0)
    assert chat(server) == ["m0", "m1", "m2"]


@pytest.mark.parametrize("status", [500, 503])
def test_a_message_whose_answer_is_lost_is_not_added_twice(
    server: RunningServer, tmp_path: Path, status: int
) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        server.faults.add(Fault("status", operation="create_message", status=status, worked=True))
        assert bring_back(archived, client, tmp_path).messages == 3
    assert chat(server) == ["m0", "m1", "m2"]


def test_a_message_that_may_have_been_added_is_not_sent_again(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        fault = server.faults.add(Fault("cut", operation="create_message", when="nth 2"))
        with pytest.raises(ReconcilerError, match="creating a message alice \\(#2\\): the connection to"):
            bring_back(archived, client, tmp_path, settle=0)
        assert chat(server) == ["m0"]
        server.faults.remove(fault)
        assert bring_back(archived, client, tmp_path, run="3") == Restored(2, made=False, messages=2)
    assert chat(server) == ["m0", "m1", "m2"]


def test_a_restore_keeps_to_the_pace_of_the_server(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path, messages=40)
    server.faults.add(Fault("rate-limit", rate=20))
    with calling(server.url, pace=Pace()) as client:
        assert bring_back(archived, client, tmp_path).messages == 40
    assert chat(server) == [f"m{number}" for number in range(40)]
