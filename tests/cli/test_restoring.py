"""``reconciler archive``, as it is typed."""

from __future__ import annotations

import pytest

from reconciler.remark import compose_lock
from reconciler.server import RunningServer
from tests.cli.conftest import Shell

ALICE = {"alice": {"name": "Alice", "prompt": "Be kind."}}
NOT_IN_THE_CATALOG = (
    "bob is not in the catalog: put it back there, or `reconciler forget bob`, before the next apply\n"
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


@pytest.mark.parametrize("manifest", ["{", "version: 1\ncatalog: library\n"])
def test_a_restore_needs_no_catalog(shop: Shell, bob: str, manifest: str) -> None:
    """One that does not load, or is another, says nothing about the session."""
    (shop.root / "catalog.yaml").write_text(manifest)
    done = shop.run("archive", "restore", bob, "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")


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
    assert f"locked by eve (#{number}, good until 2099-01-01T00:00:00Z)" in done.stderr
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
