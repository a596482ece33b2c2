"""What each mode writes, and what it only shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.controller.controller import UnknownDigestError
from reconciler.controller.settings import Limits, WatchedCatalog
from reconciler.controller.sources import FolderSource
from reconciler.controller.status import Mode, status_to_document
from reconciler.controller.window import parse_window
from reconciler.domain import Limit
from reconciler.errors import Refused
from reconciler.schemas import check_document
from tests.controller.world import World, main, shop, world


def applied(here: World) -> None:
    """Let the catalog be live."""
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller)
        assert shop(controller).state == "InSync"
    here.events.clear()
    here.server.log.clear()


def test_observe_shows_the_plan_and_writes_nothing(here: World) -> None:
    with here.controller(here.watched()) as controller:
        assert shop(controller).state == "Pending"
        here.turn(controller, 3600)
        found = shop(controller)
        assert (found.state, found.plan and found.plan.counts) == ("PlanPending", {"create": 2})
        assert found.reason == "waits for somebody who applies it: the mode `observe` writes nothing"
        assert found.sessions == {"in_sync": 0, "drifted": 0, "pending": 0, "missing": 2}
        document = controller.plan_document("shop")
        assert document is not None and document["summary"]["create"] == 2
        assert check_document(status_to_document(controller.status()), "status") == []
    assert [one for one in here.server.log if one.method != "GET"] == []
    assert here.said() == ["revision", "plan_pending"]


def test_apply_makes_the_catalog_live_and_keeps_it_so(here: World) -> None:
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller)
        found = shop(controller)
        assert (found.state, found.plan, found.sessions) == (
            "InSync",
            None,
            {"in_sync": 2, "drifted": 0, "pending": 0, "missing": 0},
        )
        assert found.revision.applied == found.revision.loaded == found.revision.attempted
        assert [(run.exit_code, run.outcomes) for run in found.runs] == [(0, {"applied": 2})]
        here.write(alice="Be kind and quick.", bob="Be brief.")
        here.turn(controller, 3)
        assert here.prompt("Alice") == "Be kind and quick."
        here.turn(controller, 300)  # not before the next interval: a run has just ended
        here.drift("Bob", prompt="Be rude.")
        here.turn(controller, 300)
        assert here.prompt("Bob") == "Be brief."
    assert here.said() == ["revision", "applied", "revision", "applied", "drift_found", "applied"]


def test_a_plan_waits_for_the_approval_of_its_own_digest(here: World) -> None:
    with here.controller(here.watched(mode="approve")) as controller:
        here.turn(controller, 600)
        plan = shop(controller).plan
        assert plan is not None and plan.waits_for == f"an approval: reconciler approve {plan.digest}"
        with pytest.raises(UnknownDigestError, match="no pending plan has the digest 0000") as error:
            controller.approve("0000")
        assert error.value.pending == (plan.digest,)
        here.turn(controller)
        assert here.rows() == {}
        controller.approve(plan.digest, "anna")
        here.turn(controller)
        assert set(here.rows()) == {"Alice", "Bob"}
        assert shop(controller).runs[0].approved_by == "anna"
        assert (shop(controller).runs[0].digest, shop(controller).state) == (plan.digest, "InSync")
        with pytest.raises(UnknownDigestError):
            controller.approve(plan.digest)


def test_an_approval_is_for_one_plan_and_not_for_the_next(here: World) -> None:
    window = parse_window("Mon 09:30-10:00")
    with here.controller(here.watched(mode="approve", window=window)) as controller:
        here.turn(controller)
        first = shop(controller).plan
        assert first is not None
        controller.approve(first.digest)
        here.turn(controller)
        waiting = shop(controller).plan
        assert waiting is not None and waiting.approved
        assert waiting.waits_for == "the window Mon 09:30-10:00, from 2026-03-02T09:30:00Z"
        here.write(alice="Be somebody else.", bob="Be brief.")
        here.turn(controller, 2400)  # the window is open
        second = shop(controller).plan
        assert second is not None and second.digest != first.digest and not second.approved
        assert here.rows() == {}


def test_repair_undoes_drift_and_leaves_what_is_new(here: World) -> None:
    applied(here)
    with here.controller(here.watched(mode="repair")) as controller:
        here.turn(controller)
        before = shop(controller).revision.applied
        assert before is not None
        here.write(alice="Be new.", bob="Be brief.", carol="Be there.")
        here.turn(controller, 10)
        assert shop(controller).state == "PlanPending"
        assert "writes only what drifted" in shop(controller).reason
        here.drift("Bob", prompt="Be rude.")
        here.drift("Alice", prompt="Be rude, too.")
        here.turn(controller, 300)
        assert (here.prompt("Alice"), here.prompt("Bob")) == ("Be kind.", "Be brief.")
        assert "Carol" not in here.rows()
        found = shop(controller)
        assert found.revision.applied == before != found.revision.loaded
        assert found.plan is not None and found.plan.counts == {"update": 1, "create": 1}
        assert [one.operation for one in here.writes()] == ["update_session"] * 2


def test_repair_knows_the_applied_revision_after_a_restart(here: World) -> None:
    applied(here)
    here.write(alice="Be new.", bob="Be brief.")
    here.drift("Bob", prompt="Be rude.")
    with here.controller(here.watched(mode="repair")) as controller:
        here.turn(controller)
        assert (here.prompt("Alice"), here.prompt("Bob")) == ("Be kind.", "Be brief.")


def test_two_watchers_of_one_folder_keep_their_own_revisions(tmp_path: Path) -> None:
    """In one state folder, for two accounts: one is repaired while the other follows what is new."""
    keys = {"old": "key-of-the-old-account", "new": "key-of-the-new-account"}
    with world(tmp_path, require_key=[*keys.values()]) as here:
        root = here.write(alice="Be kind.", bob="Be brief.")
        accounts = [here.account(name, key=lambda key=key: key) for name, key in keys.items()]

        def watched(name: str, mode: Mode) -> WatchedCatalog:
            source = FolderSource(root, root / ".reconciler", name)
            return here.watched(name, source=source, account=name, state=tmp_path / "state" / name, mode=mode)

        def prompts(api_id: int) -> dict[str, str]:
            return {row.name: row.prompt for row in here.server.store.sessions() if row.api_id == api_id}

        with here.controller(watched("old", "apply"), watched("new", "apply"), accounts=accounts) as both:
            here.turn(both)
            assert prompts(70) == prompts(71) == {"Alice": "Be kind.", "Bob": "Be brief."}
        with here.controller(watched("old", "repair"), watched("new", "apply"), accounts=accounts) as both:
            here.turn(both)
            for number in range(3):
                here.write(alice=f"Be new {number}.", bob="Be brief.")
                here.turn(both, 5)
            assert prompts(71)["Alice"] == "Be new 2."
            [bob] = [one for one in here.server.store.sessions() if (one.api_id, one.name) == (70, "Bob")]
            here.server.store.update_session(bob.session_id, prompt="Be rude.")
            here.turn(both, 310)
            assert prompts(70) == {"Alice": "Be kind.", "Bob": "Be brief."}


def test_repair_without_an_applied_revision_says_so_and_writes_nothing(here: World) -> None:
    applied(here)
    (here.folder / "shop" / ".reconciler" / "watch.json").unlink()
    here.write(alice="Be new.", bob="Be brief.")
    here.drift("Bob", prompt="Be rude.")
    with here.controller(here.watched(mode="repair")) as controller:
        here.turn(controller, 900)
        assert "which revision was applied last is not known" in shop(controller).reason
    assert here.writes() == []


def test_drift_alone_shows_which_revision_was_applied(here: World) -> None:
    applied(here)
    (here.folder / "shop" / ".reconciler" / "watch.json").unlink()
    here.drift("Bob", prompt="Be rude.")
    with here.controller(here.watched(mode="repair")) as controller:
        here.turn(controller)
        assert here.prompt("Bob") == "Be brief."


def test_repair_makes_a_deleted_session_again(here: World) -> None:
    applied(here)
    here.server.store.delete_session(here.rows()["Bob"].session_id)
    with here.controller(here.watched(mode="repair")) as controller:
        here.turn(controller)
        assert set(here.rows()) == {"Alice", "Bob"}


def test_a_window_gates_writes_and_nothing_else(here: World) -> None:
    window = parse_window("Mon-Fri 10:00-17:00")
    with here.controller(here.watched(mode="apply", window=window)) as controller:
        here.turn(controller, 3540)
        assert (
            shop(controller).reason == "waits for the window Mon-Fri 10:00-17:00, from 2026-03-02T10:00:00Z"
        )
        assert shop(controller).last_look is not None and here.rows() == {}
        here.turn(controller, 120)
        assert shop(controller).state == "InSync"


def test_a_suspended_catalog_is_not_looked_at(here: World) -> None:
    with here.controller(here.watched(mode="apply", suspended=True)) as controller:
        here.turn(controller, 3600)
        assert shop(controller).state == "Suspended"
    assert here.calls() == 0


def test_what_a_guard_refuses_stays_pending_and_is_never_forced(here: World) -> None:
    applied(here)
    here.write(alice="Be kind.")
    limits = Limits(max_deletes=Limit(count=0))
    with here.controller(here.watched(mode="apply", limits=limits)) as controller:
        here.turn(controller, 3600)
        found = shop(controller)
        assert (found.state, found.plan and [one.guard for one in found.plan.refusals]) == (
            "Refused",
            ["max_deletes"],
        )
    with here.controller(here.watched(mode="approve", limits=limits)) as controller:
        here.turn(controller)
        plan = shop(controller).plan
        assert plan is not None
        with pytest.raises(Refused):
            controller.approve(plan.digest)
    assert here.writes() == []
    assert here.said("refused") == ["refused"] * 2


def test_messages_are_counted_once_for_a_plan_that_stays_pending(here: World) -> None:
    applied(here)
    here.write(alice="Be kind.")
    with here.controller(here.watched()) as controller:
        here.turn(controller)
        here.server.log.clear()
        for number in range(5):  # end users begin conversations all the time
            here.server.store.insert_session(name=f"a conversation {number}")
            here.turn(controller, 300)
        document = controller.plan_document("shop")
        assert document is not None and [one["messages"] for one in document["actions"]] == [0]
    assert {one.operation for one in here.server.log} == {"list_sessions"}


def test_an_invalid_revision_is_kept_out_and_the_last_good_one_stays(here: World) -> None:
    applied(here)
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller)
        good = shop(controller).revision.loaded
        here.write("shop", "sessions: {alice: {nmae: Alice}}")
        here.turn(controller, 5)
        found = shop(controller)
        assert found.state == "Failing" and found.failure is not None
        assert found.failure.message.startswith("sessions/all.yaml:1:20: ")
        assert found.revision.loaded == good != found.revision.attempted
        here.drift("Bob", prompt="Be rude.")
        here.turn(controller, 900)
        assert shop(controller).sessions["drifted"] == 1
        assert here.writes() == []
        here.write(alice="Be kind.", bob="Be brief.")
        here.turn(controller, 5)
        assert shop(controller).state == "InSync" and here.prompt("Bob") == "Be brief."
    assert here.said("failing", "recovered") == ["failing", "recovered"]


def test_unchanged_a_look_compares_nothing_again(here: World) -> None:
    applied(here)
    with here.controller(here.watched()) as controller:
        here.turn(controller)
        assert main(controller).sessions == 2
        assert shop(controller).state == "InSync"


def test_a_change_whose_tests_are_required_waits_for_them_and_a_repair_does_not(here: World) -> None:
    """Nobody runs behaviour tests in the watcher: what git changes is applied by a command that does."""
    applied(here)
    root = here.folder / "shop"
    head = (root / "catalog.yaml").read_text()
    (root / "catalog.yaml").write_text(head + "policy: {tests: required}\n")
    test = "tests: {alice: [{name: brief, ask: Hi, expect: [{max_characters: 9}]}]}\n"
    (root / "tests").mkdir()
    (root / "tests" / "all.yaml").write_text(test)
    here.drift("Alice", prompt="Be rude.")
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller, 600)
        assert (shop(controller).state, here.prompt("Alice")) == ("InSync", "Be kind.")
        here.write(alice="Be kind and quick.", bob="Be brief.")
        (root / "catalog.yaml").write_text(head + "policy: {tests: required}\n")
        here.turn(controller, 600)
        found = shop(controller)
        assert found.state == "Refused" and found.plan is not None
        assert [(one.guard, one.allow) for one in found.plan.refusals] == [("tests", "--with-tests")]
        assert here.prompt("Alice") == "Be kind."


def test_repair_does_not_believe_a_state_folder_that_names_another_revision(here: World) -> None:
    """It may lie in a checkout: the tags tell what was applied."""
    applied(here)
    root = here.write(alice="Be evil.", bob="Be brief.")
    forged = FolderSource(root, root / ".reconciler", "shop").newest()
    document = {"format_version": "1.0", "applied": {"shop": forged}}
    (root / ".reconciler" / "watch.json").write_text(json.dumps(document))
    here.drift("Alice", prompt="Be rude.")
    with here.controller(here.watched(mode="repair")) as controller:
        here.turn(controller, 900)
        assert shop(controller).revision.applied == forged
    assert here.writes() == []
