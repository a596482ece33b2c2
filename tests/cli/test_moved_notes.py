"""What a plan says of ``moved`` after the work is done, and of what it leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Shell

ANN, BEN = {"name": "Ann", "prompt": "Be Ann."}, {"name": "Ben", "prompt": "Be brief, Ben."}
EVERY = [{"from": "old/*", "to": "*"}]


def notes(document: dict[str, Any]) -> dict[str, str]:
    return {one["kind"]: one["message"] for one in document["notes"] if one["kind"] != "canary"}


def applied(shop: Shell) -> None:
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def old(shop: Shell) -> Shell:
    """A catalog called old, with two live sessions."""
    shop.write({"ann": ANN, "ben": BEN}, catalog="old")
    applied(shop)
    return shop


def test_a_finished_rename_of_the_catalog_can_be_taken_out(old: Shell) -> None:
    old.write({"ann": ANN, "ben": BEN}, moved=EVERY)
    assert notes(old.json("plan", "shop")) == {}
    applied(old)
    assert notes(old.json("plan", "shop")) == {
        "moved": "the `moved` entry from `old/*` to `*` is done: remove it from catalog.yaml as soon as it is done in "
        "every account"
    }
    assert old.run("drift", "shop").returncode == 0
    assert "is done" not in old.run("drift", "shop").stdout
    old.write({"ann": ANN, "ben": BEN})
    assert notes(old.json("plan", "shop")) == {}


def test_finished_renames_of_keys_can_be_taken_out(old: Shell) -> None:
    entries = [{"from": "ann", "to": "anna"}, {"from": "ben", "to": "benno"}]
    old.write({"anna": ANN, "benno": BEN}, catalog="old", moved=entries)
    assert notes(old.json("plan", "shop")) == {}
    applied(old)
    assert notes(old.json("plan", "shop")) == {
        "moved": "the `moved` entries from `ann` to `anna`, `ben` to `benno` are done: remove them from catalog.yaml "
        "as soon as they are done in every account"
    }


def test_an_entry_may_be_pending_in_another_environment(shop: Shell) -> None:
    head: dict[str, Any] = {
        "environments": {"staging": {}, "production": {}},
        "policy": {"shared_account": True},
    }
    shop.write({"ann": ANN}, **head)
    for name in ("staging", "production"):
        assert shop.run("apply", "shop", f"--env={name}", "--auto-approve").returncode == 0
    shop.write({"anna": ANN}, **head, moved=[{"from": "ann", "to": "anna"}])
    assert shop.run("apply", "shop", "--env=staging", "--auto-approve").returncode == 0
    assert notes(shop.json("plan", "shop", "--env=staging")) == {
        "moved": "the `moved` entry from `ann` to `anna` is done: remove it from catalog.yaml as soon as it is done in "
        "every environment and account"
    }
    assert notes(shop.json("plan", "shop", "--env=production")) == {}


def test_a_session_that_leaves_while_the_catalog_is_renamed_is_named(old: Shell) -> None:
    old.write({"ann": ANN}, moved=EVERY)
    left = (
        "old/ben #2 stays live under the former name, since its key is not in the catalog. To delete it, keep it in "
        "the catalog for one apply, which moves it, and remove it then"
    )
    assert notes(old.json("plan", "shop")) == {"left-behind": left}
    applied(old)
    assert notes(old.json("plan", "shop")) == {"left-behind": left}
    # What it says works.
    old.write({"ann": ANN, "ben": BEN}, moved=EVERY)
    applied(old)
    old.write({"ann": ANN}, moved=EVERY)
    (action,) = old.json("plan", "shop")["actions"]
    assert (action["action"], action["session_id"]) == ("delete", 2)


def test_only_takes_the_former_key_of_a_session_that_is_about_to_move(old: Shell) -> None:
    old.write(
        {"anna": ANN, "ben": {**BEN, "name": "Benno"}}, catalog="old", moved=[{"from": "ann", "to": "anna"}]
    )
    for key in ("ann", "anna"):
        (action,) = old.json("plan", "shop", "--only", key)["actions"]
        assert (action["action"], action["key"], action["session_id"]) == ("move", "anna", 1)


def test_only_takes_the_keys_of_a_renamed_catalog(old: Shell) -> None:
    old.write({"anna": ANN, "ben": BEN}, moved=[*EVERY, {"from": "old/ann", "to": "anna"}])
    (action,) = old.json("plan", "shop", "--only", "ann")["actions"]
    assert (action["action"], action["key"]) == ("move", "anna")
