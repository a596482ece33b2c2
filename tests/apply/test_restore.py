"""An archived session comes back once, with each message once, and nobody else's session is touched for it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.apply.archive import FOLDER, Archived, read_archive
from reconciler.apply.journal import FILE, last_unseen_create, read_journal
from reconciler.apply.restore import restore
from reconciler.apply.restore_options import Restored, RestoreOptions
from reconciler.cli import run as reconciler
from reconciler.contract import Contract
from reconciler.domain import Catalog
from reconciler.errors import Problem, ReconcilerError, Refused
from reconciler.ownership.remark import compose_lock, compose_remark, remark_of_another_session
from reconciler.ownership.tag import Identity, make_tag
from reconciler.server import Fault, Quirks, RunningServer, running_server
from tests.support import CONTRACT, calling, catalog, contract_with, reconcile, wanted

ALICE = wanted("alice", prompt="A", data={"voice": "low"})
SCOPE = {"catalog": "bookshop", "environment": None, "endpoint": "https://api.example.com"}


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def deleted(server: RunningServer, client: Client, state: Path, messages: int = 3) -> Archived:
    """Alice, made and deleted again by an apply."""
    reconcile(client, catalog(ALICE), state, settle=100)
    (row,) = server.store.sessions()
    for number in range(messages):
        server.store.insert_message(row.session_id, content=f"m{number}")
    reconcile(client, catalog(), state, settle=100)
    (found,), _ = read_archive(state / FOLDER)
    return found


def bring_back(archived: Archived, client: Client, state: Path, **more: Any) -> Restored:
    options = RestoreOptions(**{"state": state, "archive": state / FOLDER, "settle": 100, "run": "2", **more})
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
                "alice was made as #2, but is not listed yet",
                "run the restore again to resume",
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
    account = {"api_ids": [], "key": "", "sessions": []}
    assert entries == [
        {**of, **SCOPE, "event": "start", "account": account, "user": "lery"},
        {**write, "event": "intent", "session_id": None, "newest": 0},
        {**write, "event": "applied", "session_id": 2},
        {**write, "event": "listed", "session_id": 2},
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


def test_what_a_restore_saw_listed_is_not_waited_for(server: RunningServer, tmp_path: Path) -> None:
    """Whatever became of it afterwards."""
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        server.faults.add(Fault("status", operation="create_message", status=400))
        with pytest.raises(ReconcilerError):
            bring_back(archived, client, tmp_path)
    entries = read_journal(tmp_path / FILE)
    assert entries[-1]["verification"] == "failed"
    assert last_unseen_create(entries, SCOPE) is None


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
            f"bookshop/alice is live as #{twin}, just as it was, and the journal {tmp_path / FILE} does not say "
            f"that a restore of {archived.id} made it",
            "a restore that was interrupted resumes only with the journal that it began with: name its folder with "
            f"--state-dir. If an apply made #{twin}, add --replace to put the messages into it",
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


def test_a_restore_that_lost_its_lock_writes_no_more(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
        began = len(writes(server))
        holding = iter([True, True, False])
        with pytest.raises(ReconcilerError) as caught:
            bring_back(archived, client, tmp_path, holding=lambda: next(holding))
    assert caught.value.problems == (
        Problem("the lock was lost: nothing more is written", "run the restore again to resume"),
    )
    assert writes(server)[began:] == ["create_session", "create_message"]


# Putting back


def updated(server: RunningServer, client: Client, state: Path, **fields: Any) -> Archived:
    """Alice, made and then changed by an apply."""
    reconcile(client, catalog(ALICE), state)
    changed = {"prompt": "B", "data": {"voice": "high"}, "remark": {"team": 7}, **fields}
    reconcile(client, catalog(dataclasses.replace(ALICE, **changed)), state)
    (found,), _ = read_archive(state / FOLDER)
    return found


def adopted(client: Client, state: Path, now: Catalog) -> Archived:
    reconcile(client, now, state)
    (found,), _ = read_archive(state / FOLDER)
    return found


@pytest.mark.parametrize(
    ("remark", "owner"),
    [
        (
            compose_remark(None, {}, make_tag(Identity("library", "staging", "eve"), {})),
            "library@staging/eve's",
        ),
        (compose_remark(None, {}, make_tag(Identity("bookshop", None, "bob"), {})), "bookshop/bob's"),
        ("", "unmanaged"),
        ('{"created_user": "lery"}', "unmanaged"),
        (
            '{"reconciler": {"catalog": "books',
            "of nobody knows whom (the remark is no JSON any more, so it was cut off or altered)",
        ),
        (compose_lock({"catalog": "bookshop", "holder": "eve"}), "a lock session of this program"),
    ],
)
def test_a_session_that_is_not_ours_any_more_is_not_put_back(
    server: RunningServer, tmp_path: Path, remark: str, owner: str
) -> None:
    with calling(server.url) as client:
        archived = updated(server, client, tmp_path)
        client.write("update_session", {"session_id": 1, "remark": remark})
        before = server.store.dump()
        with pytest.raises(Refused) as caught:
            bring_back(archived, client, tmp_path)
    present = owner.removesuffix("'s")
    entry = f'moved: [{{from: "bookshop/alice", to: "{present}"}}]'
    same = f"; if {present} is the same under a new name, add to its catalog.yaml, and restore it from there: {entry}"
    renamed = same if present != owner else ""
    assert caught.value.problems == (
        Problem(
            f"#1 is {owner} now, and no longer bookshop/alice's: nothing was put back",
            f"`reconciler archive show {archived.id}` has what it was{renamed}",
        ),
    )
    assert server.store.dump() == before


def test_an_adopted_session_is_given_back_as_it_was(server: RunningServer, tmp_path: Path) -> None:
    """Also twice: then it is unmanaged, as it was when it was archived."""
    server.store.insert_session(name="Alice", prompt="theirs", remark="made by lery")
    row = server.store.session(1)
    with calling(server.url) as client:
        archived = adopted(client, tmp_path, catalog(ALICE, adopt={"alice": 1}))
        for run in ("2", "3"):
            done = bring_back(archived, client, tmp_path, run=run)
            assert done == Restored(1, made=False, messages=0, already=run == "3")
            now = server.store.session(1)
            assert now and row
            assert (now.name, now.prompt, now.remark) == (row.name, row.prompt, row.remark)


def test_what_others_keep_in_a_session_stays_as_it_is(server: RunningServer, tmp_path: Path) -> None:
    """What we wrote goes back: changed, added or taken out since. What we never wrote is not ours to put back."""
    with calling(server.url) as client:
        reconcile(client, catalog(dataclasses.replace(ALICE, remark={"ours": 1})), tmp_path)
        tag = json.loads(server.store.sessions()[0].remark or "")["reconciler"]
        theirs = {"session_id": 1, "data": {"voice": "low", "count": 1}, "temperature": 0.5}
        client.write(
            "update_session", {**theirs, "remark": json.dumps({"ours": 1, "count": 1, "reconciler": tag})}
        )
        reconcile(client, catalog(dataclasses.replace(ALICE, prompt="B", data={"pitch": 3})), tmp_path)
        (archived,), _ = read_archive(tmp_path / FOLDER)
        tag = json.loads(server.store.sessions()[0].remark or "")["reconciler"]
        since = {"count": 2, "mood": "good"}
        client.write(
            "update_session",
            {
                "session_id": 1,
                "data": {"pitch": 3, **since},
                "temperature": 0.9,
                "remark": json.dumps({**since, "reconciler": tag}),
            },
        )
        bring_back(archived, client, tmp_path)
        (now,) = list_sessions(client)
    assert now.prompt == "A"
    assert now.data == {"voice": "low", "count": 2, "mood": "good"}
    assert now.remark.keys == {"ours": 1, "count": 2, "mood": "good"}
    assert now.remark.tag == archived.live(client.contract.session).remark.tag
    assert now.parameters["temperature"] == 0.9


def test_what_others_keep_in_a_session_stays_where_an_update_resets_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    contract = contract_with("update_session", left_out="reset")
    quirks = Quirks(update_resets=True)
    with (
        running_server(None, quirks=quirks, contract=contract) as server,
        calling(server.url, contract=contract) as client,
    ):
        archived = updated(server, client, tmp_path)
        (live,) = list_sessions(client)
        fields = {"name": live.name, "model": live.model, "prompt": live.prompt, "remark": live.raw_remark}
        since = {"data": {**live.data, "mood": "good"}, "temperature": 0.9}
        client.write("update_session", {"session_id": 1, **fields, **since})
        bring_back(archived, client, tmp_path)
        (now,) = list_sessions(client)
    assert (now.prompt, now.data) == ("A", {"voice": "low", "mood": "good"})
    assert now.parameters["temperature"] == 0.9


def test_keys_that_came_since_survive_where_no_tag_tells_what_is_ours(
    server: RunningServer, tmp_path: Path
) -> None:
    server.store.insert_session(name="Alice", prompt="theirs", remark='{"user": "lery"}', data={"a": 1})
    with calling(server.url) as client:
        archived = adopted(client, tmp_path, catalog(ALICE, adopt={"alice": 1}))
        since = {"remark": '{"user": "anna", "mood": "good"}', "data": {"a": 2, "b": 3}}
        client.write("update_session", {"session_id": 1, **since})
        bring_back(archived, client, tmp_path)
        (now,) = list_sessions(client)
    assert (now.raw_remark, now.data) == ('{"user": "lery", "mood": "good"}', {"a": 1, "b": 3})


# Where a create does not take everything in


def without_update(contract: Contract) -> Contract:
    calls = {name: call for name, call in contract.operations.items() if name != "update_session"}
    return dataclasses.replace(contract, operations=calls)


@pytest.mark.parametrize("field", ["prompt", "data", "remark"])
def test_what_a_create_does_not_take_in_an_update_sets(tmp_path: Path, field: str) -> None:
    contract = contract_with("create_session", ignores=frozenset({field}))
    with (
        running_server(None, quirks=Quirks(create_ignores=frozenset({field}))) as server,
        calling(server.url, contract=contract) as client,
    ):
        archived = deleted(server, client, tmp_path)
        before = len(writes(server))
        bring_back(archived, client, tmp_path)
        assert writes(server)[before:] == ["create_session", "update_session", *["create_message"] * 3]
        assert chat(server) == ["m0", "m1", "m2"]
        (now,) = list_sessions(client)
    former = archived.live(contract.session)
    assert (now.name, now.prompt, now.data) == (former.name, former.prompt, former.data)
    assert now.raw_remark == remark_of_another_session(former.raw_remark, former.remark)


def test_an_empty_field_needs_no_update(server: RunningServer, tmp_path: Path) -> None:
    contract = without_update(contract_with("create_session", ignores=frozenset({"data"})))
    with calling(server.url) as client:
        reconcile(client, catalog(wanted("alice")), tmp_path)
        reconcile(client, catalog(), tmp_path)
    (archived,), _ = read_archive(tmp_path / FOLDER)
    with calling(server.url, contract=contract) as client:
        assert bring_back(archived, client, tmp_path) == Restored(2, made=True, messages=0)


def test_what_can_never_be_finished_is_not_begun(server: RunningServer, tmp_path: Path) -> None:
    contract = without_update(contract_with("create_session", ignores=frozenset({"data"})))
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
    with calling(server.url, contract=contract) as client, pytest.raises(Refused) as caught:
        bring_back(archived, client, tmp_path)
    assert caught.value.problems == (
        Problem(
            "the service does not take data when it creates a session, and has no update call: alice could not be "
            "made as it was",
            f"`reconciler archive show {archived.id}` has what it was",
        ),
    )
    assert server.store.sessions() == []


def test_messages_that_can_not_be_added_keep_a_session_from_being_made(
    server: RunningServer, tmp_path: Path
) -> None:
    calls = {name: call for name, call in CONTRACT.operations.items() if name != "create_message"}
    with calling(server.url) as client:
        archived = deleted(server, client, tmp_path)
    contract = dataclasses.replace(CONTRACT, operations=calls)
    with calling(server.url, contract=contract) as client, pytest.raises(ReconcilerError) as caught:
        bring_back(archived, client, tmp_path)
    assert str(caught.value) == "the contract 'mindcraft' has no call for create_message"
    assert server.store.sessions() == []


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
        server.faults.clock = client.limiter.now
        limit = server.faults.add(Fault("rate-limit", rate=20))
        assert bring_back(archived, client, tmp_path).messages == 40
        assert 0 < server.faults.struck(limit) < 10
        assert 1 <= client.limiter.now() < 30
    assert chat(server) == [f"m{number}" for number in range(40)]
