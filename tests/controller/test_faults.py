"""What goes wrong around a controller: it is said, waited out, and holds up nobody else."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.api.lock import locked
from reconciler.apply import journal as journals
from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.controller.sources import FolderSource
from reconciler.errors import ReconcilerError
from reconciler.server import Fault, LoggedRequest
from tests.controller.world import World, main, shop, world
from tests.support import API_KEY, LEARNED


def test_a_bad_key_costs_one_call_a_minute_and_holds_up_nobody(tmp_path: Path) -> None:
    with world(tmp_path, require_key=["key-one-of-three", "key-two-of-three"]) as here:
        keys = {"first": "key-one-of-three", "bad": "key-that-is-wrong", "third": "key-two-of-three"}
        accounts = [here.account(name, key=lambda key=key: key) for name, key in keys.items()]
        for name in keys:
            here.write(name, alice="Be kind.")
        watched = [here.watched(name, account=name, mode="apply", interval=60) for name in keys]
        tried: list[float] = []

        def note(entry: LoggedRequest) -> None:
            if "wrong" in str(entry.headers.get("authorization")):
                tried.append(here.clock.seconds)

        here.server.done.append(note)
        with here.controller(*watched, accounts=accounts) as controller:
            here.turn(controller, 1800)
            assert len(tried) >= 4
            assert all(after - before >= 60 for before, after in pairwise(tried))
            assert [one.state for one in controller.status().catalogs] == ["InSync", "Failing", "InSync"]
            bad = controller.status().accounts[1]
            assert bad.failure is not None and bad.failure.failures >= 4
            last = shop(controller, "first").last_look
            assert last is not None and (here.clock.now() - last).total_seconds() <= 66
        assert [one.account for one in here.events if one.kind == "failing"] == [bad.account]


def test_a_mended_key_works_within_seconds(here: World) -> None:
    keys = ["wrong-at-first"]
    with here.controller(
        here.watched(mode="apply"), accounts=[here.account(key=lambda: keys[0])]
    ) as controller:
        here.turn(controller, 400)
        assert shop(controller).state == "Failing" and here.rows() == {}
        keys[0] = API_KEY
        here.turn(controller, 3)
        assert shop(controller).state == "InSync"
    assert here.said("failing", "recovered") == ["failing", "recovered"]


def test_another_key_is_used_with_the_next_look_although_the_old_one_works(here: World) -> None:
    """It may be that of another account."""
    keys = [API_KEY]
    with here.controller(
        here.watched(mode="apply"), accounts=[here.account(key=lambda: keys[0])]
    ) as controller:
        here.turn(controller, 400)
        assert shop(controller).state == "InSync"
        keys[0] = "another"
        calls = len(here.server.log)
        here.turn(controller, 400)
        assert shop(controller).state == "Failing"
        sent = {entry.headers["authorization"] for entry in here.server.log[calls:]}
        assert sent == {"Bearer another"}


def test_a_key_that_can_not_be_read_any_more_is_used_until_it_fails(here: World) -> None:
    readable = [True]

    def key() -> str:
        if not readable[0]:
            raise ReconcilerError("the file with the API key is gone")
        return API_KEY

    with here.controller(here.watched(mode="apply"), accounts=[here.account(key=key)]) as controller:
        here.turn(controller, 400)
        readable[0] = False
        here.turn(controller, 400)
        assert shop(controller).state == "InSync"


def test_a_missing_key_is_waited_for_without_a_call(here: World) -> None:
    found: list[str] = []

    def key() -> str:
        if not found:
            raise ReconcilerError("there is no API key: NAME is not set", "set NAME")
        return found[0]

    with here.controller(here.watched(), accounts=[here.account(key=key)]) as controller:
        here.turn(controller, 600)
        assert shop(controller).reason == "there is no API key: NAME is not set"
        assert here.calls() == 0
        found.append(API_KEY)
        here.turn(controller, 3)
        assert shop(controller).state == "PlanPending"


def test_a_service_that_is_down_is_noticed_again_when_it_is_back(here: World) -> None:
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller)
        with here.server.refuse():
            here.drift("Bob", prompt="Be rude.")
            here.turn(controller, 1200)
            account = main(controller)
            assert account.failure is not None and "no connection" in account.failure.message
            assert shop(controller).state == "Failing"
            assert shop(controller).failure == account.failure
        here.turn(controller, 130)
        assert (shop(controller).state, here.prompt("Bob")) == ("InSync", "Be brief.")
    assert here.said("failing", "recovered") == ["failing", "recovered"]


def test_a_storm_of_429_is_waited_out(here: World) -> None:
    here.server.faults.add(Fault("status", status=429, retry_after=40))
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller, 1800)
        assert shop(controller).state == "Failing"
        assert here.calls() <= 1800 / 40
        here.server.faults.clear()
        here.turn(controller, 340)
        assert shop(controller).state == "InSync"


def test_without_a_journal_nothing_is_written(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with here.controller(here.watched(mode="apply")) as controller:
        with monkeypatch.context() as patch:
            patch.setattr(journals, "_write_all", full)
            here.turn(controller, 900)
            found = shop(controller)
            assert found.state == "Failing" and found.failure is not None
            assert found.failure.message.endswith("journal.jsonl can't be written: No space left on device")
            assert found.failure.failures > 2 and here.writes() == []
        here.turn(controller, 400)
        assert shop(controller).state == "InSync"
    assert here.said("failing", "recovered") == ["failing", "recovered"]


def test_a_run_that_is_done_in_part_is_said_and_tried_again(here: World) -> None:
    refused = Fault(
        "status",
        operation="create_session",
        status=400,
        where=lambda entry: "Bob" in str(entry.body) + str(entry.query),
    )
    here.server.faults.add(refused)
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller, 60)
        found = shop(controller)
        assert (found.state, found.plan and found.plan.counts) == ("Failing", {"create": 1})
        assert found.reason == f"run {found.runs[0].run} ended with exit code {found.runs[0].exit_code}"
        assert [run.outcomes for run in found.runs][-1] == {"applied": 1, "failed": 1}
        assert found.failure is not None and found.failure.failures == len(found.runs) == 4
        here.server.faults.clear()
        here.turn(controller, 60)
        assert shop(controller).state == "InSync"
    assert here.said("failing", "recovered") == ["failing", "recovered"]


def test_a_git_remote_that_is_gone_leaves_the_last_revision(here: World) -> None:
    root = here.write("shop", alice="Be kind.")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(
            ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True
        )
    source = GitSource(GitPlace(str(root)), here.folder / "state")
    with here.controller(
        here.watched(mode="apply", source=source, state=here.folder / "state")
    ) as controller:
        here.turn(controller)
        assert shop(controller).state == "InSync"
        root.rename(here.folder / "gone")
        here.drift("Alice", prompt="Be rude.")
        here.turn(controller, 400)
        assert shop(controller).state == "Failing"
        assert here.prompt("Alice") == "Be kind."  # what is known to be wanted is still kept up
        (here.folder / "gone").rename(root)
        here.turn(controller, 400)
        assert shop(controller).state == "InSync"


def test_a_second_watcher_stands_by(here: World) -> None:
    client = here.client()
    with (
        client,
        here.controller(here.watched(mode="apply")) as controller,
        locked(client, "shop", None, holder="the first", timeout=0, settle=0, on_wait=lambda ticket: None),
    ):
        here.turn(controller)
        before = here.calls()
        assert shop(controller).standby
        assert shop(controller).reason == "waits for the lock, which the first holds"
        here.turn(controller, 300)
        asked = [one for one in here.server.log[before:] if "authorization" in one.headers]
        assert len([one for one in asked if one.operation == "list_sessions"]) <= 12
        assert here.writes() == []
    with here.controller(here.watched(mode="apply")) as controller:
        here.turn(controller)
        assert shop(controller).state == "InSync" and not shop(controller).standby
    assert here.said("standby") == ["standby"]


def test_a_look_costs_the_same_for_any_number_of_catalogs(here: World) -> None:
    names = [f"shop{number}" for number in range(12)]
    for name in names:
        here.write(name, **{name: f"Be {name}."})
    with here.controller(*(here.watched(name, mode="apply") for name in names)) as controller:
        here.turn(controller)
        assert {one.state for one in controller.status().catalogs} == {"InSync"}
        here.server.log.clear()
        here.turn(controller, 3000)
        assert here.calls() <= 2 * 10


def test_a_long_list_takes_two_calls_while_nothing_changes(here: World) -> None:
    facts = {
        "updated_at": "updates",
        "updated_at_seconds": 1,
        "updated_at_lag": 0,
        "updated_at_order": "honoured",
    }
    contract = replace(LEARNED, service=replace(LEARNED.service, **facts))
    size = LEARNED.operation("list_sessions").page_size
    for number in range(2 * size + 1):
        here.server.store.insert_session(name=f"of others {number}")
    watched = [
        here.watched(),
        here.watched(name="again", source=FolderSource(here.folder / "shop", here.folder)),
    ]
    account = here.account(contract=contract)
    with here.controller(*watched, accounts=[account]) as controller:
        here.turn(controller, 1200)  # until the last change is a while ago
        here.server.log.clear()
        here.turn(controller, 1800)
        assert here.calls() <= 2 * 6
        assert main(controller).deltas == "on" and main(controller).listings["same"] >= 6


def test_why_each_look_reads_a_long_list_is_said_once(here: World) -> None:
    for number in range(3 * LEARNED.operation("list_sessions").page_size):
        here.server.store.insert_session(name=f"of others {number}")
    with here.controller(here.watched()) as controller:
        here.turn(controller, 1200)
        assert main(controller).deltas == "unlearned"
    said = [one.message for one in here.events if one.kind == "listed" and one.message]
    assert len(said) == 1 and said[0].startswith("each look reads the whole list: the contract does not say ")


def test_an_account_of_another_key_is_refused(tmp_path: Path) -> None:
    with world(tmp_path, require_key=["key-of-the-first", "key-of-the-other"]) as here:
        here.write(alice="Be kind.")
        for number, key in enumerate(("key-of-the-first", "key-of-the-other")):
            account = here.account(key=lambda key=key: key)
            with here.controller(here.watched(mode="apply"), accounts=[account]) as controller:
                here.turn(controller)
                assert shop(controller).state == ("InSync", "Refused")[number]
        plan = shop(controller).plan
        assert plan is not None and [one.guard for one in plan.refusals] == ["account"]
        assert len(here.writes()) == 1


def test_a_revision_that_cannot_be_kept_is_tried_as_often_as_the_status_says(here: World) -> None:
    here.write(alice="Be kind.")
    with here.controller(here.watched()) as controller:
        here.turn(controller)
        revisions = here.folder / "shop" / ".reconciler" / "revisions"
        revisions.rename(revisions.with_name("moved"))
        revisions.write_text("")  # as if the disk were full
        here.write(alice="Be quick.")
        here.turn(controller, 60)
        failure = shop(controller).failure
        assert failure is not None and failure.failures <= 5
        assert failure.message.startswith("the revision ")
        revisions.unlink()
        here.turn(controller, 4)
        assert shop(controller).state == "Failing"
        controller.reconcile()  # whoever made room need not wait
        here.turn(controller, 1)
        assert shop(controller).failure is None


def test_many_cycles_leave_nothing_behind(here: World, request: pytest.FixtureRequest) -> None:
    cycles = 10_000 if request.config.getoption("--full") else 150
    with here.controller(here.watched(mode="apply", interval=60)) as controller:
        here.turn(controller, 600)
        files, size = -1, -1
        for number in range(cycles):
            if number % 50 == 0:
                here.drift("Bob", prompt=f"Be rude {number}.")
                here.server.log.clear()
                here.events.clear()
            here.clock.seconds += 60
            controller.step()
            if number == cycles // 3:
                gc.collect()
                files, size = open_files(), resident()
        gc.collect()
        assert open_files() <= files
        assert resident() <= size * 1.02 + 2**20
        assert shop(controller).state == "InSync"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Resident memory, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
