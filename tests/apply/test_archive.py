"""What is deleted or overwritten is on disk first, exact to the byte, with all messages."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.apply.archive import FOLDER, find_archived, read_archive
from reconciler.contract import load_contract
from reconciler.errors import ExitCode, Problem, ReconcilerError
from reconciler.ownership.tag import Identity
from reconciler.server import Fault, Quirks, RunningServer, running_server
from reconciler.server.log import LoggedRequest
from tests.support import API_KEY, calling, catalog, reconcile, wanted

ALICE = wanted("alice", prompt="A")
MAKE_ROOM = (
    "nothing is changed before its previous state is on disk: make room, or name another --archive-dir"
)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def files(state: Path) -> list[Path]:
    return sorted((state / FOLDER).glob("*"))


def test_a_session_is_archived_with_its_messages_before_it_is_deleted(
    server: RunningServer, tmp_path: Path
) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        for number in range(250):
            server.store.insert_message(1, content=f"m{number} 你好\n", meta={"n": number})
        row = client.read("list_sessions", {})["results"][0]
        there: list[bool] = []
        server.before.append(
            lambda entry: (
                there.append(len(files(tmp_path)) == 1) if entry.operation == "delete_session" else None
            )
        )
        reconcile(client, catalog(), tmp_path, run="c0ffee00")
    assert there == [True]
    (path,) = files(tmp_path)
    assert re.fullmatch(r"\d{8}T\d{6}-c0ffee00-1-delete\.json", path.name)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    document = json.loads(path.read_bytes())
    assert document.pop("run_started").endswith("Z")
    messages = document.pop("messages")
    assert document == {
        "archive_version": 1,
        "id": path.stem,
        "run": "c0ffee00",
        "endpoint": "https://api.example.com",
        "account": {"api_ids": [70], "key": "", "sessions": [1]},
        "before": "delete",
        "catalog": "bookshop",
        "environment": None,
        "key": "alice",
        "session_id": 1,
        "name": "Alice",
        "session": row,
    }
    assert [one["message_content"] for one in messages] == [f"m{number} 你好\n" for number in range(250)]
    assert API_KEY not in path.read_text(encoding="utf-8")


def test_a_session_is_archived_before_it_is_changed(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        row = client.read("list_sessions", {})["results"][0]
        reconcile(client, catalog(dataclasses.replace(ALICE, prompt="B")), tmp_path)
    (one,), problems = read_archive(tmp_path / FOLDER)
    assert problems == []
    assert (one.before, one.identity, one.messages) == ("update", Identity("bookshop", None, "alice"), None)
    assert one.session == row
    assert one.live(client.contract.session).prompt == "A"


def test_every_write_to_a_session_that_was_there_is_archived(tmp_path: Path) -> None:
    """Also the one that only lets the tag remember what the server made of a field."""
    with running_server(None, quirks=Quirks(trim_prompts=True)) as server, calling(server.url) as client:
        reconcile(client, catalog(dataclasses.replace(ALICE, prompt=" A")), tmp_path)
        server.store.insert_session(name="Bob")
        now = catalog(dataclasses.replace(ALICE, prompt=" A"), wanted("bob"), adopt={"bob": 2})
        reconcile(client, now, tmp_path)
        reconcile(client, catalog(forgotten=frozenset({"alice", "bob"})), tmp_path)
    found, _ = read_archive(tmp_path / FOLDER)
    assert sorted((one.identity.key, one.before) for one in found) == [
        ("alice", "retag"),
        ("alice", "update"),
        ("bob", "update"),
        ("bob", "update"),
    ]


def test_a_create_has_nothing_to_archive(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
    assert files(tmp_path) == []


def test_another_folder_can_be_named(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        reconcile(client, catalog(), tmp_path, archive=tmp_path / "deep" / "down")
    assert len(list((tmp_path / "deep" / "down").glob("*.json"))) == 1


# When it can't be kept


def test_messages_that_can_not_be_read_keep_a_session_from_being_deleted(
    server: RunningServer, tmp_path: Path
) -> None:
    with calling(server.url, tries=2) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        server.faults.add(Fault("status", operation="list_messages", status=500))
        _, report = reconcile(client, catalog(), tmp_path)
    assert [(one.outcome, one.message) for one in report.results] == [
        ("failed", "listing the messages alice (#1): HTTP 500: 服务器内部错误")
    ]
    assert report.exit_code == ExitCode.ERROR
    assert len(server.store.sessions()) == 1


def test_messages_that_keep_changing_keep_a_session_from_being_deleted(
    server: RunningServer, tmp_path: Path
) -> None:
    def chat(entry: LoggedRequest) -> None:
        if entry.operation == "list_messages":
            server.store.insert_message(1, content="still there")

    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        for _ in range(150):
            server.store.insert_message(1)
        server.before.append(chat)
        _, report = reconcile(client, catalog(), tmp_path)
    ((message, hint),) = [(one.message, one.hint) for one in report.results]
    assert message == "listing the messages alice (#1): they changed while they were read"
    assert hint == (
        "somebody may be chatting in it: run the command again; if it says the same, "
        "`reconciler doctor --probe` finds out why"
    )
    assert len(server.store.sessions()) == 1


@pytest.mark.parametrize("now", [catalog(), catalog(dataclasses.replace(ALICE, prompt="B"))])
def test_without_its_former_state_on_disk_nothing_is_written(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: Any
) -> None:
    import reconciler.apply.archive as module

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    with calling(server.url) as client:
        reconcile(client, catalog(ALICE), tmp_path)
        rows = server.store.dump()
        monkeypatch.setattr(module, "write_durably", full)
        _, report = reconcile(client, now, tmp_path)
    assert [(one.outcome, one.message, one.hint) for one in report.results] == [
        ("failed", f"the archive in {tmp_path / FOLDER} can't be written: No space left on device", MAKE_ROOM)
    ]
    assert server.store.dump() == rows


def test_a_folder_that_can_not_be_made_stops_the_run_before_it_begins(
    server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / FOLDER).write_text("a file", encoding="utf-8")
    with calling(server.url) as client, pytest.raises(ReconcilerError) as caught:
        reconcile(client, catalog(ALICE), tmp_path)
    assert caught.value.problems == (
        Problem(f"the archive in {tmp_path / FOLDER} can't be written: File exists", MAKE_ROOM),
    )
    assert server.store.sessions() == []


# Reading it again


def test_what_can_not_be_read_in_an_archive_is_said_and_passed_over(tmp_path: Path) -> None:
    for name, text in (
        ("a.json", "{"),
        ("b.json", "{}"),
        ("c.json", '{"archive_version": 2}'),
        ("d.txt", ""),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    found, problems = read_archive(tmp_path)
    assert found == []
    assert [one.message.partition(": ")[0] for one in problems] == [
        f"{tmp_path}/{name} is not an archived session" for name in ("a.json", "b.json", "c.json")
    ]
    assert (
        problems[2].message
        == f"{tmp_path}/c.json is not an archived session: it is of version 2, and this is 1"
    )


def kept(folder: Path, stem: str = "a", **fields: Any) -> Path:
    """A file of an archive, but for these fields; one that is ``...`` is left out."""
    document = {
        "archive_version": 1,
        "id": stem,
        "run": "1",
        "run_started": "2024-09-12T15:13:22Z",
        "endpoint": "local",
        "before": "update",
        "catalog": "bookshop",
        "environment": None,
        "key": "alice",
        "session": {},
        "messages": None,
        **fields,
    }
    path = folder / f"{stem}.json"
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not ...}))
    return path


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"archive_version": ...}, "it has no archive_version"),
        ({"messages": ...}, "it has no messages"),
        ({"messages": {}}, "messages is of the wrong type"),
        ({"messages": ["hello"]}, "a message is of the wrong type"),
        ({"session": []}, "session is of the wrong type"),
        ({"before": 1}, "before is of the wrong type"),
        ({"endpoint": None}, "endpoint is of the wrong type"),
        ({"environment": 1}, "environment is of the wrong type"),
        ({"key": ["alice"]}, "key is of the wrong type"),
        ({"name": 1}, "name is of the wrong type"),
        ({"session_id": True}, "session_id is of the wrong type"),
        ({"run_started": 1}, "run_started is of the wrong type"),
        ({"run_started": "yesterday"}, "run_started is not a time"),
        ({"id": "b"}, "its id is 'b'"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_said_to_be_none(
    tmp_path: Path, fields: dict[str, Any], why: str
) -> None:
    path = kept(tmp_path, **fields)
    assert read_archive(tmp_path) == (
        [],
        [Problem(f"{path} is not an archived session: {why}", "the file is ignored")],
    )
    with pytest.raises(ReconcilerError) as caught:
        find_archived(tmp_path, "a")
    assert caught.value.problems == (
        Problem(
            f"{path} is not an archived session: {why}",
            "it was truncated or altered: look for a copy of the file",
        ),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "its values are nested too deeply"),
        ("[]", "it is not a JSON object"),
        ('"cut off', "Unterminated string starting at: line 1 column 1 (char 0)"),
        ('{"session": {"temperature": NaN}}', "NaN is no JSON"),
        ('{"a":' * 300 + "1" + "}" * 300, "its values are nested too deeply"),
    ],
)
def test_a_file_that_can_not_be_read_does_not_keep_others_from_it(
    tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "a.json").write_text(text)
    kept(tmp_path, "b")
    found, problems = read_archive(tmp_path)
    assert [one.id for one in found] == ["b"]
    assert [one.message for one in problems] == [f"{tmp_path}/a.json is not an archived session: {why}"]
    assert find_archived(tmp_path, "b").id == "b"


def test_no_link_and_no_device_is_read(tmp_path: Path) -> None:
    """A stranger's pull request may have put it there."""
    (tmp_path / "a.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "b.json")
    found, problems = read_archive(tmp_path)
    assert found == []
    assert [one.message for one in problems] == [
        f"{tmp_path}/a.json is not an archived session: Too many levels of symbolic links",
        f"{tmp_path}/b.json is not an archived session: it is not a regular file",
    ]


def test_a_folder_that_can_not_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    assert read_archive(tmp_path / "archive") == ([], [])
    (tmp_path / "state").write_text("")
    with pytest.raises(ReconcilerError) as caught:
        read_archive(tmp_path / "state" / "archive")
    assert caught.value.problems == (
        Problem(
            f"the archive in {tmp_path}/state/archive can't be read: Not a directory",
            "fix the folder, or name another one with --archive-dir or --state-dir",
        ),
    )


def test_a_session_that_does_not_fit_the_contract_is_said_to(tmp_path: Path) -> None:
    path = kept(tmp_path, session={"id": 1}, session_id=1, name="Alice")
    with pytest.raises(ReconcilerError) as caught:
        find_archived(tmp_path, "a").live(load_contract().session)
    assert caught.value.problems == (
        Problem(
            f"{path} does not fit the contract: a row of the list has no whole number above 0 at session_id",
            "it was archived under another contract: name that one with --contract",
        ),
    )


def test_an_archived_session_is_found_by_the_beginning_of_its_id(
    server: RunningServer, tmp_path: Path
) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(ALICE, wanted("bob", name="Bob")), tmp_path)
        reconcile(client, catalog(), tmp_path, run="c0ffee00")
    folder = tmp_path / FOLDER
    first, second = (path.stem for path in files(tmp_path))
    assert find_archived(folder, first).id == first
    assert find_archived(folder, second[:-7]).id == second
    with pytest.raises(ReconcilerError) as caught:
        find_archived(folder, first[:8])
    assert caught.value.problems == (
        Problem(f"'{first[:8]}' matches 2 archived sessions", "give more of the id"),
    )
    with pytest.raises(ReconcilerError) as caught:
        find_archived(folder, "x")
    assert caught.value.problems == (
        Problem(f"there is no 'x' in {folder}", "`reconciler archive list` shows what is archived"),
    )


# Kept elsewhere, too


@pytest.mark.parametrize("what", ["archive", "journal.jsonl"])
def test_what_can_not_be_saved_ends_the_run(server: RunningServer, tmp_path: Path, what: str) -> None:
    """The next action would wait as long, and fail, too. What can't be saved once is not tried for each of them."""
    keys = [f"key{number}" for number in range(9)]
    tried: list[str] = []

    def save(path: Path) -> None:
        if what in str(path.relative_to(tmp_path)):
            tried.append(path.name)
            # The journal is saved when the run begins, and fails with the first intent.
            if what == "archive" or len(tried) > 1:
                raise ReconcilerError("the bucket does not answer", "wait")

    with calling(server.url) as client:
        reconcile(client, catalog(*(wanted(key, prompt="A") for key in keys)), tmp_path)
        before = [row.prompt for row in server.store.sessions()]
        now = catalog(*(wanted(key, prompt="B") for key in keys))
        _, report = reconcile(client, now, tmp_path, save=save, parallelism=1)
    assert [row.prompt for row in server.store.sessions()] == before
    outcomes = [result.outcome for result in report.results]
    assert outcomes == ["failed", *["not tried"] * 8]
    assert report.results[0].message == report.stopped == "the bucket does not answer"
    assert report.results[0].hint == "wait"
    assert len(tried) <= 3  # the end of the run is recorded, if that is possible


def test_what_can_not_be_saved_when_a_run_begins_keeps_it_from_beginning(
    server: RunningServer, tmp_path: Path
) -> None:
    def save(path: Path) -> None:
        raise ReconcilerError("the bucket does not answer")

    with calling(server.url) as client, pytest.raises(ReconcilerError, match="the bucket does not answer"):
        reconcile(client, catalog(ALICE), tmp_path, save=save)
    assert not server.store.sessions()
    assert {entry.method for entry in server.log} == {"GET"}


def test_how_a_write_ended_is_saved_with_what_comes_next(server: RunningServer, tmp_path: Path) -> None:
    """A save for each intent, and not for each outcome, which counts as unknown if it is lost."""
    saved: list[str] = []

    def save(path: Path) -> None:
        saved.append(json.loads(path.read_text().splitlines()[-1])["event"])

    with calling(server.url) as client:
        reconcile(client, catalog(*(wanted(key) for key in "abc")), tmp_path, save=save, parallelism=1)
    assert saved == ["start", "intent", "intent", "intent", "end"]
