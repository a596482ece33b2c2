"""Copies that only the journal tells from their originals: what they are not taken for."""

from __future__ import annotations

import pytest

from reconciler.server import Fault, RunningServer
from tests.cli.conftest import Shell
from tests.cli.test_identity import applied, copy, live
from tests.support import learned_file

QUICK = ("--catalog", "shop", "--auto-approve", "--settle", "0")


@pytest.fixture
def copied(shop: Shell, server: RunningServer) -> int:
    """A copy of alice, who is #1 and has had no update, so that no tag names its session. Its id."""
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    return copy(server, 1)


def test_a_create_whose_answer_is_lost_is_not_found_in_a_copy_that_only_the_journal_tells(
    shop: Shell, server: RunningServer, copied: int
) -> None:
    """The connection is cut before the service creates anything, and the list shows the copy's tag."""
    before = server.store.session(copied)
    applied(shop)
    assert shop.run("forget", "alice", *QUICK).returncode == 0
    server.store.delete_session(1)
    server.faults.add(Fault("cut", operation="create_session", when="first"))
    contract = ("--contract", str(learned_file(shop.folder)))
    assert "UNKNOWN create alice" in applied(shop, "--allow-recreate", *contract, code=4)
    assert "created alice" in applied(shop, "--allow-recreate", *contract)
    assert len(live(server)) == 2
    assert server.store.session(copied) == before


@pytest.mark.parametrize("how", ["mv", "moved"])
def test_a_copy_of_a_session_that_gets_another_key_stays_one(
    shop: Shell, server: RunningServer, copied: int, how: str
) -> None:
    before = server.store.session(copied)
    moved = {"alice-en": {"name": "Alice", "prompt": "Be kind."}}
    if how == "mv":
        done = shop.run("mv", "alice", "alice-en", *QUICK)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"[copy] alice #{copied} a copy of #1" in " ".join(done.stdout.split())
        shop.write(moved)
    else:
        shop.write(moved, moved=[{"from": "alice", "to": "alice-en"}])
        applied(shop)
        shop.write(moved)
    plan = shop.json("plan", "shop")
    assert plan["actions"] == []
    assert [(one["kind"], one["session_id"]) for one in plan["notes"]] == [("copy", copied)]

    shop.write({**moved, "alice": {"name": "Alice", "prompt": "Be kinder."}})
    applied(shop, "--allow-recreate")
    assert len(live(server)) == 3
    assert server.store.session(copied) == before
    assert shop.json("plan", "shop")["actions"] == []


def test_a_copy_counts_as_drift_in_a_plan_as_it_does_in_drift(
    shop: Shell, server: RunningServer, copied: int
) -> None:
    assert "\nAttention: 1 session changed outside git.\n" in shop.run("plan", "shop").stdout
    only = shop.run("drift", "shop").stdout
    assert "\nDrift: 1 session copied. The notes say what was changed outside git.\n" in only
    server.store.update_session(1, prompt="Be cruel.")
    assert "\nAttention: 2 sessions changed outside git.\n" in shop.run("plan", "shop").stdout
    assert "\nDrift: 1 session changed, 1 copied.\n" in shop.run("drift", "shop").stdout


def test_an_adopt_line_is_not_done_by_a_copy(shop: Shell, server: RunningServer, copied: int) -> None:
    """The copy is all that has the key, and the session that the line names is gone."""
    shop.write({"alice": {"name": "Alice", "prompt": "Be kinder."}})
    applied(shop)
    server.store.delete_session(1)
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind.", "adopt": 1}})
    done = shop.run("adopt", "--tidy", "--catalog", "shop")
    assert (done.returncode, done.stdout) == (0, "No adopt line is done.\n")
    assert done.stderr.startswith("left in place: alice is to adopt #1, which is not live")
