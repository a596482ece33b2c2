"""``reconciler archive``, as a user types it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import run
from reconciler.ownership.remark import compose_lock, parse_remark
from reconciler.server import Fault, RunningServer
from tests.cli.conftest import Shell

ALICE = {"alice": {"name": "Alice", "prompt": "Be kind."}}
EVERY = [{"from": "old/*", "to": "*"}]
NOT_IN_THE_CATALOG = (
    "bob is not in the catalog, so the next apply would delete it: put it back there, "
    "or run `reconciler forget bob --catalog=shop`\n"
)


@pytest.fixture
def bob(shop: Shell) -> str:
    """The archive id of a session that was deleted since its key left the catalog."""
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    shop.write(ALICE)
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    (row,) = shop.json("archive", "list", "shop")
    return str(row["id"])


# After it


def test_a_restore_says_that_the_next_apply_would_delete_it_again(shop: Shell, bob: str) -> None:
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, NOT_IN_THE_CATALOG)
    assert shop.run("forget", "bob", "--catalog", "shop", "--auto-approve").returncode == 0
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0


def test_a_restore_has_nothing_to_say_of_a_key_that_is_in_the_catalog(shop: Shell, bob: str) -> None:
    shop.write(ALICE | {"bob": {"name": "Bob", "prompt": "Be brief.", "parameters": {"temperature": 0.5}}})
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0


def test_a_restore_has_nothing_to_say_of_a_key_that_is_to_be_forgotten(shop: Shell, bob: str) -> None:
    shop.write(ALICE, forgotten=["bob"])
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_restore_of_what_was_archived_but_not_deleted_says_where_to_look(
    shop: Shell, server: RunningServer
) -> None:
    """As after a run that was killed between the two."""
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    shop.write(ALICE)
    server.faults.add(Fault("status", operation="delete_session", status=403))
    assert shop.run("apply", "shop", "--auto-approve").returncode == 1
    (row,) = shop.json("archive", "list", "shop")
    done = shop.run("archive", "restore", row["id"], "shop", "--auto-approve")
    assert done.returncode == 3
    assert " ".join(done.stderr.split()).endswith(
        f"#{row['session_id']} is live: it was not deleted, so there is nothing to restore "
        f"hint: `reconciler archive show {row['id']} --catalog=shop` prints what is in the archive"
    )


def test_a_restore_needs_no_catalog(shop: Shell, bob: str) -> None:
    """One that does not load says nothing about the session, nor whether there is to be a lock."""
    (shop.root / "catalog.yaml").write_text("{")
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (
        0,
        "the catalog does not load, so its lock policy is unknown: no lock is taken (--lock takes one)\n",
    )


def test_another_catalog_says_nothing_about_the_session(shop: Shell, bob: str) -> None:
    shop.write(ALICE, catalog="library")
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_restore_did_is_there_for_programs(shop: Shell, bob: str) -> None:
    assert shop.json("archive", "restore", bob, "shop", "--auto-approve") == {
        "format_version": "1.0",
        "id": bob,
        "key": "bob",
        "session_id": 3,
        "made": True,
        "messages": 0,
        "already": False,
    }
    again = shop.json("archive", "restore", "nothing", "shop", "--auto-approve", code=1)
    assert again["errors"][0]["message"] == "there is no 'nothing' in shop/.reconciler/archive"


# The lock


def held(server: RunningServer) -> int:
    lock = {"catalog": "bookshop", "environment": None, "holder": "eve", "expires": "2099-01-01T00:00:00Z"}
    return server.store.insert_session(name="reconciler lock: bookshop", remark=compose_lock(lock))


@pytest.mark.parametrize("policy", [True, False])
def test_a_restore_keeps_to_the_lock(shop: Shell, server: RunningServer, bob: str, policy: bool) -> None:
    if policy:
        shop.write(ALICE, policy={"lock": True})
    number = held(server)
    flags = () if policy else ("--lock",)
    before = server.store.sessions()
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve", *flags)
    assert done.returncode == 3
    assert f"locked by eve (#{number}, valid until 2099-01-01T00:00:00Z)" in done.stderr
    assert server.store.sessions() == before
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve", "--no-lock")
    assert done.returncode == 0


def test_a_restore_holds_the_lock_while_it_writes(shop: Shell, server: RunningServer, bob: str) -> None:
    began = len(server.log)
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve", "--lock")
    assert done.returncode == 0, done.stderr
    writes = [
        (one.operation, (one.body or {}).get("session_name"))
        for one in server.log[began:]
        if one.method != "GET"
    ]
    assert writes == [
        ("create_session", "reconciler lock: bookshop"),
        ("create_session", "Bob"),
        ("delete_session", None),
    ]
    assert [row.name for row in server.store.sessions()] == ["Alice", "Bob"]


# Listing


def altered(shop: Shell, archive_id: str, **fields: Any) -> Path:
    """The archived session's file, with these fields of it altered, or left out (``...``)."""
    path = shop.root / ".reconciler" / "archive" / f"{archive_id}.json"
    document = json.loads(path.read_bytes()) | fields
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not ...}))
    return path


def test_a_list_needs_no_contract(shop: Shell, bob: str) -> None:
    """The file says of which session it is."""
    altered(shop, bob, session={"elsewhere": 2}, messages=[])
    done = shop.run("archive", "list", "shop")
    assert (done.returncode, done.stdout) == (0, f"{bob}  before delete: bob, Bob, 0 messages\n")
    (row,) = shop.json("archive", "list", "shop")
    assert (row["session_id"], row["name"]) == (2, "Bob")


def test_archives_of_earlier_versions_are_listed(shop: Shell, bob: str) -> None:
    altered(shop, bob, session_id=..., name=...)
    done = shop.run("archive", "list", "shop")
    assert (done.returncode, done.stdout) == (0, f"{bob}  before delete: bob, Bob, 0 messages\n")
    path = altered(shop, bob, session={"elsewhere": 2})
    done = shop.run("archive", "list", "shop")
    assert (done.returncode, done.stdout) == (0, f"{bob}  before delete: bob, name unknown, 0 messages\n")
    assert done.stderr.startswith(f"{path.relative_to(shop.folder)} does not fit the contract: ")


def test_nothing_in_an_archive_reaches_the_terminal_as_control_codes(shop: Shell, bob: str) -> None:
    path = altered(shop, bob, before="\x1b[2J", key="\x1b]0;k\x07", name="\u202e", id="\x1b[31m")
    path.rename(path.with_name("\x1b[31m.json"))
    shown = r"\x1b[31m  before \x1b[2J: \x1b]0;k\x07, \u202e, 0 messages"
    assert shop.run("archive", "list", "shop").stdout == shown + "\n"
    done = shop.run("archive", "restore", "\x1b", "shop")
    assert done.stdout == (
        r"This will create again, with 0 messages, \x1b]0;k\x07 as it was before the \x1b[2J." + "\n"
    )


def test_what_can_not_be_read_is_not_passed_off_as_nothing(shop: Shell, bob: str) -> None:
    path = altered(shop, bob, key=1)
    said = f"{path.relative_to(shop.folder)} is not an archived session: key is of the wrong type\n"
    hint = "      hint: it was truncated or altered: look for a copy of the file\n"
    for command in (("show",), ("restore", "--auto-approve")):
        done = shop.run("archive", command[0], bob, "shop", *command[1:])
        assert (done.returncode, done.stdout, done.stderr) == (1, "", said + hint)
    done = shop.run("archive", "prune", "shop", "--keep-days", "0", "--auto-approve")
    assert (done.returncode, done.stdout) == (0, "0 deleted, 0 kept.\n")
    assert done.stderr == said + "      hint: the file is ignored\n"
    done = shop.run("archive", "list", "shop", "--archive-dir", "nowhere")
    assert (done.returncode, done.stderr) == (
        1,
        "there is no folder nowhere\n      hint: --archive-dir names it\n",
    )


# Pruning


def prune(shop: Shell, days: int, *flags: str) -> subprocess.CompletedProcess[str]:
    return shop.run("archive", "prune", "shop", "--keep-days", str(days), "--auto-approve", *flags)


def test_old_archives_are_pruned(shop: Shell, bob: str) -> None:
    done = prune(shop, 1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 deleted, 1 kept.\n", "")
    altered(shop, bob, run_started="2024-09-12T15:13:22Z")
    done = prune(shop, 100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 deleted, 0 kept.\n", "")


def test_what_was_pruned_is_there_for_programs(shop: Shell, bob: str) -> None:
    altered(shop, bob, run_started="2024-09-12T15:13:22Z")
    assert shop.json("archive", "prune", "shop", "--keep-days", "1", "--auto-approve") == {
        "format_version": "1.0",
        "deleted": 1,
        "kept": 0,
        "unfinished_deleted": 0,
    }


def test_more_days_than_a_calendar_has_are_wrong_usage(shop: Shell) -> None:
    done = prune(shop, 99_999_999)
    assert done.returncode == 64
    assert "99999999 is not in the range 0<=x<=100000" in done.stderr


def test_what_a_killed_run_left_half_written_is_pruned(shop: Shell, bob: str) -> None:
    """It holds prompts and chats, too. A run that lives may be writing what is young."""
    folder = shop.root / ".reconciler" / "archive"
    old, young, other = folder / ".x.json.17.partial", folder / ".y.json.17.partial", folder / "z.partial"
    for path in (old, young, other):
        path.write_text("{")
    os.utime(old, (1, 1))
    os.utime(other, (1, 1))
    done = prune(shop, 0)
    assert (done.returncode, done.stdout) == (0, "1 deleted, 0 kept. 1 unfinished file deleted.\n")
    assert sorted(folder.iterdir()) == [young, other]


def test_what_can_not_be_deleted_is_said(shop: Shell, bob: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", fail)
    err = io.StringIO()
    with redirect_stderr(err):
        code = run(["archive", "prune", str(shop.root), "--keep-days", "0", "--auto-approve"])
    path = shop.root / ".reconciler" / "archive" / f"{bob}.json"
    hint = "      hint: check the folder's permissions\n"
    assert (code, err.getvalue()) == (1, f"{path} can't be deleted: Permission denied\n{hint}")
    assert path.exists()


# Archives of a catalog that was renamed since


@pytest.fixture
def renamed(shop: Shell, server: RunningServer) -> Shell:
    """The catalog was called old when alice was updated and bob, who had a message, was deleted."""
    shop.write(ALICE | {"bob": {"name": "Bob", "prompt": "Be brief."}}, catalog="old")
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    server.store.insert_message(2, content="Do you have maps?")
    shop.write({"alice": {"name": "Alice", "prompt": "Be bold."}}, catalog="old")
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    return shop


def archived(shop: Shell, before: str) -> str:
    """The id of the session that was archived before such a write, when the catalog was called old."""
    rows = [one for one in shop.json("archive", "list", "shop") if one["before"] == before]
    (row,) = [one for one in rows if one["catalog"] == "old"]
    return str(row["id"])


def tags(server: RunningServer) -> list[str]:
    return [str(parse_remark(row.remark).tag.identity) for row in server.store.sessions()]  # type: ignore[union-attr]


def test_an_update_from_before_the_rename_is_put_back(renamed: Shell, server: RunningServer) -> None:
    renamed.write({"alice": {"name": "Alice", "prompt": "Be bold."}}, moved=EVERY)
    assert renamed.run("apply", "shop", "--auto-approve").returncode == 0
    done = renamed.run("archive", "restore", archived(renamed, "update"), "shop", "--auto-approve")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "This will restore bookshop/alice, archived as old/alice, as it was before the update.\n"
        "Restored: #1 has its earlier values.\n",
        "",
    )
    assert [row.prompt for row in server.store.sessions()] == ["Be kind."]
    assert tags(server) == ["bookshop/alice"]
    renamed.write(ALICE, moved=EVERY)
    assert renamed.run("plan", "shop", "--detailed-exitcode").returncode == 0


def test_an_update_is_put_back_before_the_rename_is_applied(renamed: Shell, server: RunningServer) -> None:
    renamed.write(ALICE, moved=EVERY)
    done = renamed.run("archive", "restore", archived(renamed, "update"), "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert tags(server) == ["old/alice"]
    assert renamed.run("apply", "shop", "--auto-approve").returncode == 0
    assert tags(server) == ["bookshop/alice"]


def test_a_session_that_was_deleted_before_the_rename_comes_back_under_the_new_name(
    renamed: Shell, server: RunningServer
) -> None:
    renamed.write({"alice": {"name": "Alice", "prompt": "Be bold."}}, moved=EVERY)
    assert renamed.run("apply", "shop", "--auto-approve").returncode == 0
    done = renamed.run("archive", "restore", archived(renamed, "delete"), "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, NOT_IN_THE_CATALOG)
    assert done.stdout == (
        "This will create again, with 1 message, bookshop/bob, archived as old/bob, as it was before the delete.\n"
        "Created again: #3, 1 message added.\n"
    )
    assert tags(server) == ["bookshop/alice", "bookshop/bob"]
    assert [one.content for one in server.store.messages(3)] == ["Do you have maps?"]


def test_a_session_comes_back_into_the_environment_that_it_was_moved_to(
    renamed: Shell, server: RunningServer
) -> None:
    head: dict[str, Any] = {"environments": {"staging": {}, "production": {}}}
    head["moved"] = [{"from": "old/*", "to": "bookshop@production/*"}]
    both = ALICE | {"bob": {"name": "Bob", "prompt": "Be brief."}}
    renamed.write(both, **head)
    plan = renamed.json("plan", "shop", "--env=production")
    (note,) = [one["message"] for one in plan["notes"] if one["kind"] == "archived"]
    restore = re.search(r"`reconciler (archive restore \S+)", note)
    assert restore, note
    done = renamed.run(*restore[1].split(), "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")
    assert tags(server) == ["old/alice", "bookshop@production/bob"]


def test_a_list_of_several_names_gives_them_in_full(renamed: Shell) -> None:
    assert "before delete: bob, Bob, 1 message\n" in renamed.run("archive", "list", "shop").stdout
    renamed.write({"alice": {"name": "Alice", "prompt": "Be mild."}}, moved=EVERY)
    assert renamed.run("apply", "shop", "--auto-approve").returncode == 0
    renamed.write({"alice": {"name": "Alice", "prompt": "Be wild."}}, moved=EVERY)
    assert renamed.run("apply", "shop", "--auto-approve").returncode == 0
    lines = renamed.run("archive", "list", "shop").stdout
    assert "before delete: old/bob, Bob, 1 message\n" in lines
    assert "before update: bookshop/alice, Alice\n" in lines
    rows = renamed.json("archive", "list", "shop")
    assert {(one["catalog"], one["environment"]) for one in rows} == {("old", None), ("bookshop", None)}
