"""One address serves all accounts: how a plan, an archive and an apply know which one they are for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.ownership.account import Account, account_from_json, account_to_json, mark_key
from reconciler.server import RunningServer, running_server
from tests.cli.conftest import Shell, writes

FIRST, SECOND = "sk-first-0f-two-accounts", "sk-second-0f-two-accounts"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with two accounts, 70 and 71."""
    with running_server(None, require_key=[FIRST, SECOND]) as running:
        yield running


@pytest.fixture
def two(shell: Shell, server: RunningServer) -> Shell:
    """A shell with the key of account 70, and a catalog of one session."""
    shell.environ = {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": FIRST}
    shell.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    return shell


def other(server: RunningServer) -> None:
    """Somebody's session in account 71."""
    server.store.insert_session(name="Somebody", api_id=71)


def test_a_saved_plan_is_for_one_account(two: Shell, server: RunningServer) -> None:
    two.run("apply", "shop", "--auto-approve")
    two.write({"alice": {"name": "Alice", "prompt": "Be bold."}})
    assert two.run("plan", "shop", "--out", "plan.json").returncode == 0
    other(server)
    done = two.run("apply", "plan.json", MINDCRAFT_API_KEY=SECOND)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "the plan was made for account 70, and this is account 71\n"
        "      hint: use the key of that account, make the plan again with this key, or add --other-account to apply "
        "it here\n"
    )
    assert writes(server) == ["create_session"]
    done = two.run("apply", "plan.json")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_saved_plan_of_creates_goes_to_another_account_when_that_is_meant(
    two: Shell, server: RunningServer
) -> None:
    """Nothing is live yet in either account, so only the marks of the keys tell them apart."""
    assert two.run("plan", "shop", "--out", "plan.json").returncode == 0
    where = ("--state-dir", "shop/.reconciler")
    done = two.run("apply", "plan.json", *where, MINDCRAFT_API_KEY=SECOND)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        "the plan was made with another API key, and none of its sessions is live here",
    )
    done = two.run("apply", "plan.json", *where, "--other-account", MINDCRAFT_API_KEY=SECOND)
    assert (done.returncode, done.stderr) == (
        0,
        "the plan was made with another API key, and none of its sessions is live here (--other-account)\n",
    )
    assert [row.api_id for row in server.store.sessions()] == [71]


def test_a_plan_for_an_empty_account_that_another_machine_made_can_not_be_compared(two: Shell) -> None:
    two.run("plan", "shop", "--out", "plan.json")
    done = two.run("apply", "plan.json", "--state-dir", "elsewhere")
    assert (done.returncode, done.stderr) == (
        0,
        "the plan was made for an account that can't be compared with this one: no list has an account number, "
        "and the marks of the keys come from different state folders\n",
    )


def test_a_plan_of_an_earlier_version_is_read_as_before(two: Shell) -> None:
    from reconciler.plan.saved import _digest

    two.run("plan", "shop", "--out", "plan.json")
    path = two.folder / "plan.json"
    document = json.loads(path.read_text())
    del document["account"]
    path.write_text(json.dumps({**document, "digest": _digest(document)}))
    done = two.run("apply", "plan.json")
    assert (done.returncode, done.stderr) == (
        0,
        "the plan does not say for which account it was made: an earlier version saved it\n",
    )


def test_an_archive_is_from_one_account(two: Shell, server: RunningServer) -> None:
    two.run("apply", "shop", "--auto-approve")
    server.store.insert_message(1, content="My address is 3 Lantern Lane.")
    two.write({"bob": {"name": "Bob", "prompt": "Be brief."}})
    assert two.run("apply", "shop", "--auto-approve").returncode == 0
    (found,) = [one["id"] for one in two.json("archive", "list", "shop")]
    other(server)
    before = server.store.dump()
    restore = ("archive", "restore", found, "shop", "--auto-approve")
    done = two.run(*restore, MINDCRAFT_API_KEY=SECOND)
    assert (done.returncode, done.stderr) == (
        3,
        f"{found} was archived for account 70, and this is account 71\n"
        "      hint: use the key of that account, or add --other-account to restore it into this one\n",
    )
    assert server.store.dump() == before
    done = two.run(*restore, "--other-account", MINDCRAFT_API_KEY=SECOND)
    assert done.returncode == 0, done.stderr
    assert [row.api_id for row in server.store.sessions() if row.name == "Alice"] == [71]


def test_an_archive_of_an_earlier_version_says_that_nobody_knows(two: Shell) -> None:
    two.run("apply", "shop", "--auto-approve")
    two.write({"bob": {"name": "Bob", "prompt": "Be brief."}})
    two.run("apply", "shop", "--auto-approve")
    (path,) = (two.root / ".reconciler" / "archive").glob("*.json")
    document = json.loads(path.read_text())
    del document["account"]
    path.write_text(json.dumps(document))
    done = two.run("archive", "restore", document["id"], "shop", "--auto-approve")
    assert done.returncode == 0
    assert "It does not say which account it is from: an earlier version archived it.\n" in done.stderr


def test_an_apply_with_a_key_of_another_account_than_last_time(two: Shell, server: RunningServer) -> None:
    two.run("apply", "shop", "--auto-approve")
    other(server)
    said = "the last apply of bookshop from here was for account 70, and this is account 71"
    plan = two.run("plan", "shop", MINDCRAFT_API_KEY=SECOND)
    assert f"{said}. Apply asks before it writes there" in " ".join(plan.stdout.split())
    assert "deleted outside git" not in plan.stdout
    for flags in ((), ("--auto-approve",)):
        done = two.run("apply", "shop", *flags, MINDCRAFT_API_KEY=SECOND)
        assert (done.returncode, done.stdout, done.stderr) == (
            3,
            "",
            f"{said}\n      hint: use the key of that account, or add --other-account to apply to this one from now "
            "on\n",
        )
    assert writes(server) == ["create_session"]
    flags = ("--auto-approve", "--other-account")
    assert two.run("apply", "shop", *flags, MINDCRAFT_API_KEY=SECOND).returncode == 0
    (newest, *_) = two.run("history", "shop").stdout.splitlines()
    assert f"bookshop to {server.url}, account 71, by " in newest


def test_a_person_is_asked_which_account_is_meant(two: Shell, server: RunningServer) -> None:
    two.run("apply", "shop", "--auto-approve")
    other(server)
    two.environ["MINDCRAFT_API_KEY"] = SECOND
    with two.started("apply", "shop") as apply:
        apply.wait_for("Apply to this account?")
        apply.answer("no")
        code, out, _ = apply.ended()
    assert (code, out) == (3, "")
    assert writes(server) == ["create_session"]


def test_a_new_key_of_the_same_account_needs_no_flag(two: Shell, server: RunningServer) -> None:
    two.run("apply", "shop", "--auto-approve")
    with running_server(None, require_key=["sk-n3w-key-0f-account-70"]) as renewed:
        for row in server.store.sessions():
            renewed.store.insert_session(name=row.name, prompt=row.prompt, remark=row.remark, api_id=70)
        journal = two.root / ".reconciler" / "journal.jsonl"
        journal.write_text(journal.read_text().replace(server.url, renewed.url))
        two.environ = {"MINDCRAFT_ENDPOINT": renewed.url, "MINDCRAFT_API_KEY": "sk-n3w-key-0f-account-70"}
        done = two.run("apply", "shop", "--auto-approve")
        assert (done.returncode, done.stderr) == (0, "")


def test_no_file_holds_the_key(two: Shell) -> None:
    two.run("apply", "shop", "--auto-approve")
    two.run("plan", "shop", "--out", "shop/plan.json")
    two.run("snapshot", "shop/live.json", "--state-dir", "shop/.reconciler")
    two.write({})
    two.run("apply", "shop", "--auto-approve", "--allow-empty")
    files = [path for path in two.folder.rglob("*") if path.is_file()]
    assert {"plan.json", "live.json", "journal.jsonl", "salt"} <= {path.name for path in files}
    for path in files:
        assert FIRST.encode() not in path.read_bytes(), path
    salt = two.root / ".reconciler" / "salt"
    assert salt.stat().st_mode & 0o777 == 0o600


# Marks


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80)


@settings(max_examples=30, deadline=None)
@given(KEYS, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_mark_tells_nothing_of_its_key(key: str, salt: bytes, another: bytes) -> None:
    mark = mark_key(key, salt)
    assert mark == mark_key(key, salt)
    assert len(mark) == 37
    assert key not in mark or len(key) < 4  # a short text may stand in any other
    assert mark != mark_key(key + "x", salt)
    assert salt == another or mark.rpartition(":")[2] != mark_key(key, another).rpartition(":")[2]


SALT, OTHER_SALT = b"s" * 32, b"t" * 32


@pytest.mark.parametrize(
    ("expected", "here", "live", "verdict"),
    [
        (Account((70,)), Account((70,)), (), "same"),
        (Account((70,)), Account((71,)), (), "other"),
        (Account((70, 72)), Account((72,)), (), "same"),
        (Account((70,), mark_key("a", SALT)), Account((71,), mark_key("a", SALT)), (), "same"),
        (Account((70,), mark_key("a", SALT)), Account((70,), mark_key("b", SALT)), (), "same"),
        (Account((), mark_key("a", SALT)), Account((), mark_key("b", SALT)), (), "other"),
        (Account((), mark_key("a", SALT)), Account((), mark_key("a", OTHER_SALT)), (), "unknown"),
        (Account((), mark_key("a", SALT), (1,)), Account((), mark_key("b", SALT)), (1,), "same"),
        (Account((), "", (1, 2)), Account(), (2, 3), "same"),
        (Account((), "", (1, 2)), Account((71,)), (3,), "emptied"),
        (Account((), "none"), Account((), "none"), (), "same"),
        (Account(), Account((71,)), (3,), "unknown"),
    ],
)
def test_marks_are_compared(expected: Account, here: Account, live: tuple[int, ...], verdict: str) -> None:
    assert expected.compared(here, live) == verdict


def test_what_is_no_mark_is_none() -> None:
    good = account_to_json(Account((70, "eu-1"), "none", (1, 2)))
    assert account_from_json(good) == Account((70, "eu-1"), "none", (1, 2))
    for bad in (None, [], {}, {**good, "key": 1}, {**good, "api_ids": 70}, {**good, "sessions": None}):
        assert account_from_json(bad) is None
    assert account_from_json({**good, "api_ids": [True, 1.5, "", None], "sessions": ["1", True]}) == Account(
        (), "none"
    )
