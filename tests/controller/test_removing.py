"""The removal of all sessions of a watched catalog."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.controller.removing import Removed
from reconciler.controller.rule import Rule
from reconciler.controller.settings import Limits
from reconciler.domain import Limit
from tests.controller.world import World, shop


def fill(here: World, name: str = "shop", **more: Any) -> None:
    """Write the sessions of a catalog."""
    with here.controller(here.watched(name, mode="apply", **more)) as controller:
        here.turn(controller)
        assert shop(controller, name).state == "InSync"


def archived(state: Path) -> dict[str, list[str]]:
    """The messages in the archive, by the name of their session."""
    found = {}
    for file in (state / "archive").rglob("*.json"):
        document = json.loads(file.read_text())
        found[document["name"]] = [one["message_content"] for one in document["messages"]]
    return found


def test_all_sessions_are_archived_and_deleted(here: World) -> None:
    fill(here)
    number = here.rows()["Alice"].session_id
    assert here.server.store.insert_message(number, content="Hello?")
    here.server.store.insert_session(name="Alice", prompt="Somebody else's.")
    here.write("cafe", carol="Be quick.")
    fill(here, "cafe")
    with here.controller(here.watched(mode="apply", removal="uid-1")) as controller:
        here.turn(controller)
        assert controller.removed("shop") == Removed("shop", None, ("alice", "bob"))
        count = len(here.writes())
        here.turn(controller, 600)
        assert len(here.writes()) == count
    assert [(row.name, row.prompt) for row in here.server.store.sessions()] == [
        ("Alice", "Somebody else's."),
        ("Carol", "Be quick."),
    ]
    found = archived(here.folder / "shop" / ".reconciler")
    assert found == {"Alice": ["Hello?"], "Bob": []}


def test_a_catalog_without_live_sessions_is_removed_at_once(here: World) -> None:
    with here.controller(here.watched(mode="apply", removal="uid-1")) as controller:
        here.turn(controller)
        assert controller.removed("shop") == Removed("shop", None, ())
    assert here.writes() == []


def test_a_list_that_may_lag_does_not_end_a_removal(here: World) -> None:
    rule = Rule(since=here.clock.monotonic())
    with here.controller(here.watched(mode="apply", removal="uid-1", settle=10.0), rule=rule) as controller:
        here.turn(controller, 9)
        assert controller.removed("shop") is None
        here.turn(controller, 2)
        assert controller.removed("shop") is not None


@pytest.mark.parametrize("limits", [Limits(), Limits(max_deletes=Limit(count=1))], ids=str)
def test_the_guards_count(here: World, limits: Limits) -> None:
    people = {f"p{number}": "Be kind." for number in range(11)}
    here.write(**people)
    fill(here)
    with here.controller(here.watched(mode="apply", removal="uid-1", limits=limits)) as controller:
        here.turn(controller, 600)
        assert shop(controller).state == "Refused"
        assert controller.removed("shop") is None
    assert len(here.rows()) == 11
    limits = Limits(max_deletes=Limit(count=11))
    with here.controller(here.watched(mode="apply", removal="uid-1", limits=limits)) as controller:
        here.turn(controller)
        assert controller.removed("shop") is not None
    assert here.rows() == {}


def protect(here: World, **protects: bool) -> None:
    sessions = {
        key: {"name": key.title(), "prompt": "Be kind.", "lifecycle": {"prevent_destroy": value}}
        for key, value in protects.items()
    }
    here.write("shop", yaml.safe_dump({"sessions": sessions}))


def test_a_protected_session_keeps_all_until_git_no_longer_protects_it(here: World) -> None:
    protect(here, alice=True, bob=False)
    fill(here)
    with here.controller(here.watched(mode="apply", removal="uid-1")) as controller:
        here.turn(controller, 60)
        plan = shop(controller).plan
        assert plan is not None
        number = here.rows()["Alice"].session_id
        assert [(one.message, one.allow) for one in plan.refusals] == [
            (f"alice (#{number}) is protected by lifecycle.prevent_destroy", "set it to false in git")
        ]
        protect(here, alice=False, bob=True)  # bob's tag does not say so yet
        here.turn(controller, 60)
        plan = shop(controller).plan
        assert plan is not None
        assert [one.message.split()[0] for one in plan.refusals] == ["bob"]
        protect(here, alice=False)  # bob is not in git any more, and was never protected
        here.turn(controller, 60)
        assert controller.removed("shop") is not None
    assert here.rows() == {}


def test_what_git_forgets_stays(here: World) -> None:
    fill(here)
    root = here.write(bob="Be brief.")
    head = yaml.safe_load((root / "catalog.yaml").read_text())
    (root / "catalog.yaml").write_text(yaml.safe_dump({**head, "forgotten": ["alice"]}))
    with here.controller(here.watched(mode="apply", removal="uid-1")) as controller:
        here.turn(controller)
        assert controller.removed("shop") == Removed("shop", None, ("bob",))
    assert sorted(here.rows()) == ["Alice"]


def test_the_mode_approve_waits_for_an_approval(here: World) -> None:
    fill(here)
    with here.controller(here.watched(mode="approve", removal="uid-1")) as controller:
        here.turn(controller, 600)
        plan = shop(controller).plan
        assert plan is not None
        assert plan.counts == {"delete": 2}
        assert len(here.rows()) == 2
        controller.approve(plan.digest, "somebody")
        here.turn(controller)
        assert controller.removed("shop") is not None
    assert here.rows() == {}


@pytest.mark.parametrize("kept", ["shop", "cafe", ""])
def test_a_source_that_is_gone_is_followed_as_it_was_applied(here: World, tmp_path: Path, kept: str) -> None:
    """But only if that was the catalog which is removed: the state folder may be that of an earlier one."""
    state = tmp_path / "state-of-shop"
    fill(here, state=state)
    shutil.rmtree(here.folder / "shop")
    with here.controller(here.watched(mode="apply", removal="uid-1", state=state, kept=kept)) as controller:
        here.turn(controller)
        done = Removed("shop", None, ("alice", "bob")) if kept == "shop" else None
        assert controller.removed("shop") == done
    assert len(here.rows()) == (0 if kept == "shop" else 2)


def test_a_source_that_is_gone_and_was_never_applied_from_here_is_waited_for(
    here: World, tmp_path: Path
) -> None:
    fill(here)
    shutil.rmtree(here.folder / "shop")
    state = tmp_path / "another-state"
    with here.controller(here.watched(mode="apply", removal="uid-1", state=state)) as controller:
        here.turn(controller, 600)
        assert shop(controller).state == "Failing"
        assert controller.removed("shop") is None
    assert len(here.rows()) == 2


def test_an_invalid_revision_is_waited_for(here: World, tmp_path: Path) -> None:
    fill(here)
    here.write("shop", "sessions: {alice: {nam: Alice}}\n")
    with here.controller(here.watched(mode="apply", removal="uid-1")) as controller:
        here.turn(controller, 60)
        assert controller.removed("shop") is None
        assert len(here.rows()) == 2
        here.write(alice="Be kind.")
        here.turn(controller, 600)
        assert controller.removed("shop") is not None
    assert here.rows() == {}


def test_a_removal_that_was_interrupted_counts_all_that_it_deleted(here: World) -> None:
    here.write(**{f"p{number}": "Be kind." for number in range(9)})
    fill(here)
    before = len(here.writes())
    rule = Rule(holding=lambda: len(here.writes()) < before + 4)
    with here.controller(here.watched(mode="apply", removal="uid-1"), rule=rule) as controller:
        here.turn(controller)
        assert controller.removed("shop") is None
    assert 0 < len(here.rows()) < 9
    rule = Rule(dead=lambda holder: True)  # it could not remove its lock
    with here.controller(here.watched(mode="apply", removal="uid-1"), rule=rule) as controller:
        here.turn(controller)
        found = controller.removed("shop")
    assert found is not None
    assert len(found.keys) == 9
    assert here.rows() == {}
    assert len(archived(here.folder / "shop" / ".reconciler")) == 9


def test_copies_made_by_hand_and_sessions_with_damaged_tags_are_left_alone(here: World) -> None:
    fill(here)
    alice, bob = here.rows()["Alice"], here.rows()["Bob"]
    here.server.store.insert_session(name="Copy", prompt="Be kind.", remark=alice.remark)
    assert here.server.store.update_session(bob.session_id, remark=bob.remark[:-20])
    with here.controller(here.watched(mode="apply", removal="uid-1")) as controller:
        here.turn(controller)
        found = controller.removed("shop")
    assert found == Removed(
        "shop", None, ("alice",), "1 made outside git as a copy and 1 with a tag that can't be read"
    )
    assert sorted(here.rows()) == ["Bob", "Copy"]


def test_a_catalog_that_went_from_git_with_whatever_asked_for_it(here: World, tmp_path: Path) -> None:
    """One commit takes out both, as a pull request to a repository that a cluster follows does."""
    root, state = here.folder / "shop", tmp_path / "state-of-shop"
    git = ("git", "-C", str(here.folder), "-c", "user.name=T", "-c", "user.email=t@example.com")

    def commit() -> None:
        subprocess.run([*git, "add", "--all", "shop", "other"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message=change"], check=True)

    subprocess.run([*git, "init", "--quiet"], check=True)
    (here.folder / "other").write_text("something else\n")
    commit()

    def source() -> GitSource:
        return GitSource(GitPlace(str(here.folder), path="shop"), state)

    fill(here, state=state, source=source())
    shutil.rmtree(root)
    commit()
    given = {"removal": "uid-1", "kept": "shop", "state": state, "source": source(), "root": None}
    watched = here.watched(mode="apply", **given)
    with here.controller(watched) as controller:
        here.turn(controller)
        assert controller.removed("shop") == Removed("shop", None, ("alice", "bob"))
    assert here.rows() == {}
