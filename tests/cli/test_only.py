"""``plan --only`` and ``apply --only``: some sessions, and no other."""

from __future__ import annotations

import json

import pytest

from reconciler.schemas import check_document
from reconciler.server import RunningServer
from tests.cli.conftest import Shell, writes


@pytest.fixture
def changed(shop: Shell) -> Shell:
    """Four sessions are live; each differs from the catalog, and one of them has left it."""
    names = ("alice", "bob", "guide-1", "guide-2")
    shop.write({key: {"name": key, "prompt": "Be kind."} for key in names})
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    shop.write({key: {"name": key, "prompt": "Be brief."} for key in (*names[:3], "new")})
    return shop


def actions(document: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    return [(one["action"], one["key"]) for one in document["actions"]]


@pytest.mark.parametrize(
    ("only", "found", "left_out"),
    [
        (["alice"], [("update", "alice")], 4),
        (["guide-*"], [("delete", "guide-2"), ("update", "guide-1")], 3),
        (["guide-2", "new"], [("delete", "guide-2"), ("create", "new")], 3),
        (["?ob"], [("update", "bob")], 4),
    ],
)
def test_a_plan_of_some_keys(
    changed: Shell, only: list[str], found: list[tuple[str, str]], left_out: int
) -> None:
    flags = [word for key in only for word in ("--only", key)]
    document = changed.json("plan", "shop", *flags)
    assert check_document(document, "plan") == []
    assert actions(document) == found
    assert document["about"] == "part"
    assert document["summary"]["not_looked_at"] == left_out
    assert document["summary"]["no_op"] == 0
    text = changed.run("plan", "shop", *flags).stdout
    assert text.splitlines()[-1] == f"Left alone: {left_out} not looked at."


def test_an_apply_of_some_keys_changes_no_other(changed: Shell, server: RunningServer) -> None:
    before = {row.session_id: row for row in server.store.sessions()}
    done = changed.run("apply", "shop", "--only", "alice", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert "Ended: 1 applied, 4 not looked at.\nVerified: the live list is what was written." in done.stdout
    now = {row.session_id: row for row in server.store.sessions()}
    assert now.keys() == before.keys()
    assert [number for number in now if now[number] != before[number]] == [1]
    report = changed.json("apply", "shop", "--only", "bob", "--auto-approve")
    assert report["summary"]["not_looked_at"] == 4


def test_a_saved_plan_keeps_its_selection(changed: Shell, server: RunningServer) -> None:
    assert changed.run("plan", "shop", "--only", "alice", "--out", "plan.json").returncode == 0
    saved = json.loads((changed.folder / "plan.json").read_text())
    assert (saved["about"], saved["summary"]["not_looked_at"]) == ("part", 4)
    assert changed.run("show", "plan.json").stdout.endswith("Left alone: 4 not looked at.\n")
    assert changed.run("apply", "plan.json", "--only", "bob").returncode == 64
    done = changed.run("apply", "plan.json", "--state-dir", "shop/.reconciler")
    assert "Ended: 1 applied, 4 not looked at." in done.stdout
    assert writes(server)[4:] == ["update_session"]


def test_a_key_that_is_not_there_is_a_usage_error(changed: Shell, server: RunningServer) -> None:
    before = len(writes(server))
    done = changed.run("apply", "shop", "--only", "alise", "--only", "alice", "--auto-approve")
    assert done.returncode == 64
    assert done.stderr == (
        "--only=alise: neither the catalog nor the live list has such a key\n"
        "      hint: did you mean 'alice'?\n"
    )
    assert len(writes(server)) == before


def test_guards_judge_what_is_left(changed: Shell) -> None:
    changed.write({"bob": {"name": "bob", "prompt": "x"}}, policy={"max_deletes": 1})
    assert changed.run("plan", "shop").returncode == 3
    assert changed.run("plan", "shop", "--only", "alice").returncode == 0
    assert changed.run("plan", "shop", "--only", "guide-*").returncode == 3


def test_where_there_is_nothing_to_do_no_more_is_claimed(changed: Shell) -> None:
    assert changed.run("apply", "shop", "--only", "bob", "--auto-approve").returncode == 0
    done = changed.run("plan", "shop", "--only", "bob")
    assert "No changes. There is nothing to do." in done.stdout
    assert "The live list matches" not in done.stdout
