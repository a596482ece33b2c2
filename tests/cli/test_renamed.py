"""A catalog that is renamed or given environments keeps its sessions: with the installed command."""

from __future__ import annotations

import json
import re

import pytest

from reconciler.server import RunningServer
from tests.cli.conftest import Shell

THREE = """sessions:
  ann: {name: Ann, prompt: Be Ann.}
  ben: {name: Ben, prompt: Be Ben.}
  cleo: {name: Cleo, prompt: Be Cleo.}
"""


def head(name: str, rest: str = "") -> str:
    return f"version: 1\ncatalog: {name}\ndefaults: {{model: m}}\npolicy: {{canary: 1}}\n{rest}"


@pytest.fixture
def old(shop: Shell, server: RunningServer) -> Shell:
    """The catalog ``old``, applied: three sessions are live."""
    write(shop, head("old"))
    done = shop.run("apply", "shop", "--auto-approve", "--parallelism", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return shop


def write(shop: Shell, catalog: str, sessions: str = THREE) -> None:
    for path in sorted((shop.root / "sessions").glob("*")):
        path.unlink()
    (shop.root / "sessions").mkdir(exist_ok=True)
    (shop.root / "catalog.yaml").write_text(catalog)
    (shop.root / "sessions" / "all.yaml").write_text(sessions)


def identities(server: RunningServer) -> list[tuple[int, str, str | None, str]]:
    tags = [(row.session_id, json.loads(str(row.remark))["reconciler"]) for row in server.store.sessions()]
    return [(number, tag["catalog"], tag.get("environment"), tag["key"]) for number, tag in tags]


REFUSED = (
    "Refused: apply will not carry out this plan. [allow_recreate] it would create 3 of the catalog's 3 sessions, and "
    "as many are live as old: was the catalog or its environment renamed? To keep them, add to catalog.yaml: "
    'moved: [{from: "old/*", to: "*"}] to allow it: --allow-recreate'
)


def test_a_renamed_catalog_is_refused_with_the_entry_that_keeps_its_sessions(
    old: Shell, server: RunningServer
) -> None:
    write(old, head("new"))
    done = old.run("plan", "shop")
    assert done.returncode == 3
    assert REFUSED in " ".join(done.stdout.split())
    note = old.run("plan", "shop", "--format", "json")
    notes = [one for one in json.loads(note.stdout)["notes"] if one["kind"] == "maybe-moved"]
    assert [re.sub("#[123], #[123], #[123]", "#1, #2, #3", one["message"]) for one in notes] == [
        "ann, ben, cleo would be created, and #1, #2, #3 of old have the same keys or prompts. If this is the same "
        "under a new name, they keep their ids and messages with this entry in catalog.yaml: "
        "moved: [{from: \"old/*\", to: \"*\"}], or run `reconciler mv 'old/*' '*' --catalog=shop`"
    ]
    assert old.run("apply", "shop", "--auto-approve").returncode == 3
    assert len(server.store.sessions()) == 3

    write(old, head("new", 'moved: [{from: "old/*", to: "*"}]\n'))
    done = old.run("apply", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert identities(server) == [(1, "new", None, "ann"), (2, "new", None, "ben"), (3, "new", None, "cleo")]
    assert old.run("plan", "shop", "--detailed-exitcode").returncode == 0


def test_a_copy_of_a_catalog_is_made_when_that_is_meant(old: Shell, server: RunningServer) -> None:
    write(old, head("copy"))
    assert old.run("plan", "shop", "--allow-recreate", "--out", "plan.json").returncode == 0
    assert old.run("plan", "shop", RECONCILER_ALLOW_RECREATE="1").returncode == 0
    done = old.run("apply", "plan.json", "--state-dir", "shop/.reconciler")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.store.sessions()) == 6
    assert old.run("plan", "shop", "--detailed-exitcode").returncode == 0


def test_a_catalog_that_is_given_environments_moves_into_one(old: Shell, server: RunningServer) -> None:
    entry = 'moved: [{from: "old/*", to: "old@production/*"}]\n'
    environments = "environments: {staging: {name_prefix: 'S '}, production: {}}\n"
    write(old, head("old", environments))
    done = old.run("plan", "shop", "--env", "production")
    assert done.returncode == 3
    assert 'moved: [{from: "old/*", to: "old@production/*"}]' in " ".join(done.stdout.split())
    assert "reconciler mv 'old/*' 'old@production/*' --env=production" in " ".join(done.stdout.split())

    write(old, head("old", environments + entry))
    done = old.run("apply", "shop", "--env", "production", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one[2] for one in identities(server)] == ["production"] * 3
    # The entry is no error for the other environment, and what is live in one that is declared is no obstacle.
    done = old.run("apply", "shop", "--env", "staging", "--auto-approve", "--shared-account")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "maybe-moved" not in done.stdout
    assert [one[2] for one in identities(server)] == ["production"] * 3 + ["staging"] * 3


def test_mv_moves_all_sessions_at_once(old: Shell, server: RunningServer) -> None:
    write(old, head("new"), THREE.replace("  cleo: {name: Cleo, prompt: Be Cleo.}\n", ""))
    done = old.run("mv", "old/*", "*", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "not in the catalog, so not moved from old: cleo\n"
    assert identities(server) == [(1, "new", None, "ann"), (2, "new", None, "ben"), (3, "old", None, "cleo")]


def test_mv_hands_over_all_sessions_at_once(old: Shell, server: RunningServer) -> None:
    done = old.run("mv", "*", "new/*", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == (
        "Still in the catalog: 3 sessions. The next apply creates them again: rename the catalog, or remove them.\n"
    )
    assert identities(server) == [(1, "new", None, "ann"), (2, "new", None, "ben"), (3, "new", None, "cleo")]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("old/*", "ann"), 64, "one of old/* and ann ends in *, and the other does not"),
        (("odl/*", "*"), 64, "no session of odl is live"),
    ],
)
def test_mv_says_why_it_cannot_move_all(old: Shell, words: tuple[str, str], code: int, message: str) -> None:
    write(old, head("new"))
    done = old.run("mv", *words, "--catalog", "shop", "--auto-approve")
    assert done.returncode == code
    assert message in done.stderr


def test_sessions_that_got_other_keys_are_known_by_their_prompts(old: Shell) -> None:
    write(old, head("new"), THREE.replace("ann:", "anna:").replace("ben:", "benjamin:"))
    done = old.run("plan", "shop")
    assert done.returncode == 3
    assert (
        'moved: [{from: "old/cleo", to: "cleo"}, {from: "old/ann", to: "anna"}, '
        '{from: "old/ben", to: "benjamin"}]' in " ".join(done.stdout.split())
    )


def test_a_key_that_an_unrelated_catalog_has_too_is_said_and_not_refused(old: Shell) -> None:
    write(old, head("new"), "sessions:\n  ann: {name: Another, prompt: Be somebody else.}\n")
    done = old.run("plan", "shop")
    assert done.returncode == 0, done.stdout
    assert "[maybe-moved] ann would be created, and #1 of old has the same key or prompt." in done.stdout


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ('{from: "old/*", to: ann}', "one side of this entry ends in `*`, and the other does not"),
        ('{from: "a/*", to: "b/*"}', "neither side of this entry belongs to this catalog and environment"),
        ('{from: "new/*", to: "*"}', "this entry moves a session to its own key"),
        ('{from: "old/*", to: "*"}, {from: "a/*", to: "*"}', "`*` appears in two entries of `moved`"),
        ('{from: "*", to: "old/*"}', "all sessions are moved away, but the catalog still has 3 sessions"),
    ],
)
def test_an_entry_that_makes_no_sense_is_an_error_with_its_place(
    old: Shell, entries: str, message: str
) -> None:
    write(old, head("new", f"moved: [{entries}]\n"))
    done = old.run("validate", "shop")
    assert done.returncode == 1
    assert done.stderr.startswith("catalog.yaml:5:"), done.stderr
    assert message in done.stderr


def test_an_entry_with_a_key_goes_before_one_for_all(old: Shell, server: RunningServer) -> None:
    write(
        old,
        head("new", 'moved: [{from: "old/*", to: "*"}, {from: old/ann, to: anna}]\n'),
        THREE.replace("ann:", "anna:"),
    )
    done = old.run("apply", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert identities(server) == [(1, "new", None, "anna"), (2, "new", None, "ben"), (3, "new", None, "cleo")]


@pytest.mark.parametrize("applied", [True, False], ids=["the rename of the key is done", "it is not"])
def test_a_renamed_key_moves_with_its_catalog(shop: Shell, server: RunningServer, applied: bool) -> None:
    """An entry that is done stays in the file, and the one for all sessions is for this session, too."""
    shop.write(
        {"alice": {"name": "Alice", "prompt": "Be kind."}, "bob": {"name": "Bob", "prompt": "Be brief."}}
    )
    assert shop.run("apply", "shop", "--auto-approve", "--settle", "0").returncode == 0
    sessions = {
        "alice": {"name": "Alice", "prompt": "Be kind."},
        "robert": {"name": "Bob", "prompt": "Be brief."},
    }
    renamed = [{"from": "bob", "to": "robert"}]
    if applied:
        shop.write(sessions, moved=renamed)
        assert shop.run("apply", "shop", "--auto-approve", "--settle", "0").returncode == 0
    before = shop.json("plan", "shop")["catalog"]
    shop.write(sessions, catalog="emporium", moved=[*renamed, {"from": f"{before}/*", "to": "*"}])
    document = shop.json("plan", "shop")
    assert {action["key"]: action["action"] for action in document["actions"]} == {
        "alice": "move",
        "robert": "move",
    }
    assert shop.run("apply", "shop", "--auto-approve", "--settle", "0").returncode == 0
    assert [row.session_id for row in server.store.sessions()] == [1, 2]
    assert shop.json("plan", "shop")["actions"] == []


def test_two_teams_that_start_from_one_example_are_told_apart_by_their_ids(
    shop: Shell, server: RunningServer
) -> None:
    """Neither is told to take over the sessions of the other."""
    write(shop, head("old", "id: aaaa0000\n"))
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    write(shop, head("new", "id: aaaa0000\n"))
    assert "maybe-moved" in shop.run("plan", "shop").stdout, "the id stays when the name changes"
    write(shop, head("new", "id: bbbb1111\n"))
    planned = shop.run("plan", "shop")
    assert (planned.returncode, "old" in planned.stdout) == (0, False), planned.stdout
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    assert sorted(one[1] for one in identities(server)) == ["new"] * 3 + ["old"] * 3
