"""The journal: each write is recorded before it is sent, and its outcome afterwards."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.listing import list_sessions
from reconciler.apply import apply_plan
from reconciler.apply.journal import (
    FILE,
    Journal,
    last_account,
    last_unseen_create,
    read_journal,
    written,
    written_sessions,
)
from reconciler.errors import ExitCode, Problem, ReconcilerError
from reconciler.ownership.account import Account
from reconciler.plan import make_plan
from reconciler.plan.outside import LastWrite
from reconciler.server import Fault, RunningServer, running_server
from reconciler.server.log import LoggedRequest
from tests.support import API_KEY, calling, catalog, options, reconcile, wanted

MAKE_ROOM = (
    "nothing is written to the service without a record of it: make room, or fix the folder's permissions"
)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def without_time(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if name != "at"} for entry in entries]


def test_a_run_in_the_journal(server: RunningServer, tmp_path: Path) -> None:
    server.faults.add(
        Fault(
            "status",
            operation="create_session",
            status=422,
            message="no",
            where=lambda entry: (entry.body or {}).get("session_name") == "Bob",
        )
    )
    with calling(server.url) as client:
        now = catalog(wanted("alice"), wanted("bob", name="Bob"), environment="staging")
        reconcile(client, now, tmp_path, run="c0ffee00", who={"user": "lery", "commit": "abc"}, parallelism=1)
    entries = read_journal(tmp_path / FILE)
    assert all(entry["at"].endswith("Z") for entry in entries)
    action = {"run": "c0ffee00", "action": "create", "session_id": None}
    assert without_time(entries) == [
        {
            "run": "c0ffee00",
            "event": "start",
            "catalog": "bookshop",
            "environment": "staging",
            "endpoint": "https://api.example.com",
            "account": {"api_ids": [], "key": "", "sessions": []},
            "actions": 2,
            "user": "lery",
            "commit": "abc",
        },
        {**action, "event": "intent", "key": "alice"},
        {**action, "event": "applied", "key": "alice", "session_id": 1},
        {**action, "event": "intent", "key": "bob"},
        {**action, "event": "failed", "key": "bob", "message": "creating the session bob: HTTP 422: no"},
        {
            "run": "c0ffee00",
            "event": "end",
            "verification": "verified",
            "applied": 1,
            "failed": 1,
            "unknown": 0,
            "not_tried": 0,
            "account": {"api_ids": [70], "key": "", "sessions": [1]},
        },
    ]
    assert API_KEY not in (tmp_path / FILE).read_text(encoding="utf-8")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_the_intent_is_on_disk_before_the_write_goes_out(server: RunningServer, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def look(entry: LoggedRequest) -> None:
        if entry.operation == "create_session":
            seen.append([one["event"] for one in read_journal(tmp_path / FILE)])

    server.before.append(look)
    with calling(server.url) as client:
        reconcile(client, catalog(wanted("alice"), wanted("bob")), tmp_path, parallelism=1)
    assert seen == [["start", "intent"], ["start", "intent", "applied", "intent"]]


def test_a_journal_is_only_added_to(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(wanted("alice")), tmp_path, run="one")
        first = (tmp_path / FILE).read_bytes()
        reconcile(client, catalog(), tmp_path, run="two")
    assert (tmp_path / FILE).read_bytes().startswith(first)
    assert {one["run"] for one in read_journal(tmp_path / FILE)} == {"one", "two"}


def test_a_run_with_nothing_to_do_leaves_no_trace(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("torn", [b'{"run": "dead", "event": "int', b"\xff\xfe", b"[1]", b"", b"{}"])
def test_a_line_that_a_killed_run_left_unfinished_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(b'{"run":"old","event":"start"}\n' + torn)
    with Journal(path) as journal:
        journal.append({"run": "new", "event": "start"})
    runs = [one["run"] for one in read_journal(path) if "run" in one]
    assert runs == ["old", "new"]
    assert path.read_bytes().endswith(b'\n{"run":"new","event":"start"}\n')


def test_many_writers_share_one_journal(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with Journal(path) as journal:

        def work(number: int) -> None:
            for step in range(20):
                journal.append({"worker": number, "step": step})
                # What was handed in is on disk by now.
                assert {"worker": number, "step": step} in read_journal(path)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    entries = read_journal(path)
    assert len(entries) == 160
    for number in range(8):
        assert [one["step"] for one in entries if one["worker"] == number] == list(range(20))


def test_a_text_of_any_kind_can_be_recorded(tmp_path: Path) -> None:
    path = tmp_path / FILE
    entry = {"message": "a\nb\u2028\ud800\x00 顾"}
    with Journal(path) as journal:
        journal.append(entry)
    assert read_journal(path) == [entry]
    assert path.read_bytes().count(b"\n") == 1


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read_journal(tmp_path / FILE) == []


# When it can't be written


def test_a_journal_that_can_not_be_opened(server: RunningServer, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("not ours", encoding="utf-8")
    state = tmp_path / "state"
    state.mkdir()
    for make, reason in (
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(target), "Too many levels of symbolic links"),
    ):
        path = state / FILE
        make(path)
        with calling(server.url) as client, pytest.raises(ReconcilerError) as caught:
            reconcile(client, catalog(wanted()), state)
        assert caught.value.problems == (
            Problem(f"the journal {path} can't be written: {reason}", MAKE_ROOM),
        )
        path.rmdir() if path.is_dir() else path.unlink()
    assert target.read_text(encoding="utf-8") == "not ours"
    assert server.store.sessions() == []


class Disk:
    """A disk that is full from the nth sync on."""

    def __init__(self, patch: pytest.MonkeyPatch, journal: Path) -> None:
        self.full_at, self.syncs = 10**9, 0
        self._journal, self._sync = journal, os.fsync
        patch.setattr(os, "fsync", self.sync)

    def sync(self, descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), self._journal.stat()):
            self.syncs += 1
            if self.syncs >= self.full_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch, tmp_path / FILE)


def full(tmp_path: Path) -> str:
    return f"the journal {tmp_path / FILE} can't be written: No space left on device"


def test_without_a_record_of_its_start_nothing_is_written(
    server: RunningServer, tmp_path: Path, disk: Disk
) -> None:
    disk.full_at = 1
    with calling(server.url) as client, pytest.raises(ReconcilerError) as caught:
        reconcile(client, catalog(wanted()), tmp_path)
    assert caught.value.problems == (Problem(full(tmp_path), MAKE_ROOM),)
    assert server.store.sessions() == []


def test_without_a_record_of_the_intent_nothing_is_written(
    server: RunningServer, tmp_path: Path, disk: Disk
) -> None:
    """Start, intent and result of the first are on record; then the disk is full."""
    disk.full_at = 4
    with calling(server.url) as client:
        now = catalog(wanted("alice"), wanted("bob"), wanted("carol"))
        _, report = reconcile(client, now, tmp_path, parallelism=1)
    assert [(one.outcome, one.message, one.hint) for one in report.results] == [
        ("applied", "", ""),
        ("failed", full(tmp_path), MAKE_ROOM),
        ("failed", full(tmp_path), MAKE_ROOM),
    ]
    assert report.exit_code == ExitCode.PARTIAL
    assert len(server.store.sessions()) == 1


def test_what_was_done_is_said_also_where_it_could_not_be_recorded(
    server: RunningServer, tmp_path: Path, disk: Disk
) -> None:
    disk.full_at = 3
    with calling(server.url) as client:
        _, report = reconcile(client, catalog(wanted("alice")), tmp_path)
    assert [(one.outcome, one.session_id, one.message) for one in report.results] == [
        ("applied", 1, f"done, but not on record: {full(tmp_path)}")
    ]
    assert report.verification == "verified"


def test_an_end_that_could_not_be_recorded_does_not_take_the_report_away(
    server: RunningServer, tmp_path: Path, disk: Disk
) -> None:
    disk.full_at = 4
    with calling(server.url) as client:
        there = list_sessions(client)
        plan = make_plan(catalog(wanted("alice")), there)
        report = apply_plan(plan, client, options(tmp_path), snapshot=there)
    assert report.exit_code == ExitCode.OK
    assert [one.get("event") for one in read_journal(tmp_path / FILE)][:3] == ["start", "intent", "applied"]


def test_a_journal_is_plain_json_lines(server: RunningServer, tmp_path: Path) -> None:
    with calling(server.url) as client:
        reconcile(client, catalog(wanted("alice", name="爱丽丝\u2028")), tmp_path)
    for line in (tmp_path / FILE).read_bytes().split(b"\n")[:-1]:
        assert isinstance(json.loads(line), dict)


def moments(*events: str) -> list[dict[str, Any]]:
    """A run's entries for one create, a second apart from ten seconds past on."""
    return [
        {
            "run": "r",
            "event": "end" if event.startswith("end") else event,
            "at": f"2026-01-01T00:00:{second}Z",
        }
        | ({"catalog": "shop"} if event == "start" else {})
        | (
            {"action": "create", "key": "alice"}
            if event in ("intent", "applied", "unknown", "failed", "not tried")
            else {}
        )
        | ({"verification": event.partition(" ")[2]} if event.startswith("end") else {})
        for second, event in enumerate(events, start=10)
    ]


@pytest.mark.parametrize(
    ("events", "second"),
    [
        (["start"], None),
        (["start", "intent"], 11),
        (["start", "intent", "applied"], 12),
        (["start", "intent", "unknown"], 12),
        (["start", "intent", "failed"], None),
        (["start", "intent", "not tried"], None),
        (["start", "intent", "applied", "end verified"], None),
        (["start", "intent", "applied", "end skipped"], 12),
        (["start", "intent", "applied", "end failed"], 12),
        (["start", "intent", "applied", "end differs"], 12),
        (["start", "intent", "unknown", "end verified"], 12),
        (["intent", "applied"], None),  # of a run whose scope nobody knows
    ],
)
def test_what_a_run_made_and_may_not_have_seen_listed(events: list[str], second: int | None) -> None:
    found = last_unseen_create(moments(*events), {"catalog": "shop"})
    assert (found and found.second) == second
    assert last_unseen_create(moments(*events), {"catalog": "other"}) is None


def test_a_journal_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.symlink_to("/dev/zero")
    with pytest.raises(ReconcilerError, match="can't be read: Too many levels of symbolic links"):
        read_journal(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ReconcilerError, match="can't be read: it is not a regular file"):
        read_journal(path)


def test_what_no_run_can_have_written_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / FILE
    deep = b'{"run":"x","a":' + b"[" * 250 + b"]" * 250 + b"}\n"
    others = b'{"run":"x","at":NaN}\n{"run":"x","session_id":1e999}\n' + deep
    path.write_bytes(b"[" * 100_000 + b"\n" + others + b'{"run":"old"}\n' + b"x" * 3_000_000 + b"\n")
    assert read_journal(path) == [{"run": "old"}]


# What was applied


HERE = {"catalog": "bookshop", "environment": None, "endpoint": "local"}
OURS = {"api_ids": [70], "key": "", "sessions": []}


def run_of(name: str, *entries: dict[str, Any], end: str = "verified", **start: Any) -> list[dict[str, Any]]:
    """The entries of a run on the 26th of November."""
    at = "2026-11-26T10:00:00.000Z"
    opening = {"event": "start", **HERE, "account": OURS, **start}
    return [
        {"run": name, "at": at, **one} for one in (opening, *entries, {"event": "end", "verification": end})
    ]


def applied(action: str, key: str, session_id: int | None, **more: Any) -> dict[str, Any]:
    return {"event": "applied", "action": action, "key": key, "session_id": session_id, **more}


WRITTEN = LastWrite(1, "2026-11-26")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (run_of("1", applied("create", "alice", 1)), {"alice": WRITTEN}),
        (run_of("1", applied("create", "alice", 1), end="differs"), {}),
        (run_of("1", applied("update", "alice", 1), end="differs"), {"alice": WRITTEN}),
        (run_of("1", applied("create", "alice", None)), {"alice": LastWrite(None, "2026-11-26")}),
        (run_of("1", applied("update", "alice", 1)) + run_of("2", applied("delete", "alice", 1)), {}),
        (run_of("1", applied("adopt", "alice", 1)) + run_of("2", applied("forget", "alice", 1)), {}),
        (
            run_of("1", applied("update", "alice", 1))
            + run_of("2", applied("move", "al", 1, identity="bookshop/al")),
            {"al": WRITTEN},
        ),
        (
            run_of("1", applied("update", "alice", 1))
            + run_of("2", applied("move", "alice", 1, identity="other/alice")),
            {},
        ),
        (run_of("1", applied("update", "alice", 1), catalog="other"), {}),
        (run_of("1", applied("update", "alice", 1), account={**OURS, "api_ids": [71]}), {}),
        (run_of("1", applied("update", "alice", 1), account="70"), {"alice": WRITTEN}),
    ],
)
def test_what_was_applied_from_here(entries: list[dict[str, Any]], expected: dict[str, LastWrite]) -> None:
    assert written_sessions(entries, HERE, Account((70,)), ()) == expected


def test_which_key_each_session_was_written_under() -> None:
    create = {"event": "intent", "action": "create"}
    entries = [
        *run_of("1", {**create, "key": "alice"}, applied("create", "alice", 1), applied("adopt", "bob", 2)),
        *run_of("2", applied("move", "al", 1, identity="bookshop/al"), applied("forget", "bob", 2)),
        *run_of("3", applied("update", "carol", 3), applied("move", "carol", 3, identity="other/carol")),
        *run_of("4", {**create, "key": "killed"}),
        *run_of("5", {**create, "key": "lost"}, {"event": "unknown", "action": "create", "key": "lost"}),
        *run_of("6", {**create, "key": "unseen"}, applied("create", "unseen", None)),
        *run_of("7", {**create, "key": "no"}, {"event": "failed", "action": "create", "key": "no"}),
    ]
    entries += [  # later runs wrote to these keys
        *run_of("8", {**create, "key": "dora"}),
        *run_of("9", {**create, "key": "dora"}, applied("create", "dora", 5)),
        *run_of("10", {**create, "key": "emma"}),
        *run_of("11", applied("update", "emma", 6)),
    ]
    one = run_of("12", {**create, "key": "fay"})
    other = run_of("13", {**create, "key": "fay"}, applied("create", "fay", 7))
    entries += [one[0], other[0], *one[1:], *other[1:]]  # both at once
    found = written([*run_of("0", copies=[8, 9]), *run_of("00", applied("adopt", "ina", 9)), *entries], HERE)
    assert found.copies == {8}
    assert found.keys == {1: "al", 9: "ina", 5: "dora", 6: "emma", 7: "fay"}
    assert found.unsettled == {"killed", "lost", "unseen", "fay"}


def test_the_account_of_the_last_apply() -> None:
    empty = {"api_ids": [], "key": "a:1", "sessions": []}
    first = run_of("1", applied("create", "alice", 1), applied("create", "bob", 2), account=empty)
    assert last_account(first, HERE) == Account((), "a:1", (1, 2))
    first[-1]["account"] = {**OURS, "key": "a:1"}
    second = run_of("2", applied("delete", "bob", 2), account={**OURS, "sessions": [1, 2]})
    assert last_account(first, HERE) == Account((70,), "a:1", (1, 2))
    assert last_account(first + second, HERE) == Account((70,), "", (1,))
    restored = run_of("3", restores="x", account={**OURS, "api_ids": [71]})
    assert last_account(first + second + restored, HERE) == Account((70,), "", (1,))
    assert last_account(first, {**HERE, "environment": "staging"}) is None
