"""What was deleted or overwritten comes back, also by a restore that was cut short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from reconciler.server import Fault, MessageRow, Quirks, SessionRow
from tests.clock import Clock
from tests.faults.conftest import FLAGS
from tests.faults.tally import Tally
from tests.faults.world import GONE, PAGE, WAITING, Killer, Run, World, as_listed, open_world

#: The session that is restored: the one with more messages than a page holds.
MOST = 5

#: How many requests an undisturbed restore of it makes.
REQUESTS = 19


def archived(world: World, key: str, before: str) -> str:
    """The id under which a session is in the archive."""
    rows = json.loads(world.here("archive", "list", str(world.folder), "--format", "json").out)
    (found,) = [row["id"] for row in rows if (row["key"], row["before"]) == (key, before)]
    return str(found)


def restore(world: World, archive_id: str, killer: Killer | None = None, settle: float = 0.5) -> Run:
    place = ["--endpoint", world.server.url, "--auto-approve", "--settle", str(settle), "--retries", "2"]
    arguments = ["archive", "restore", archive_id, str(world.folder), *place]
    return world.run(*arguments, killer=killer) if killer else world.here(*arguments)


def of_people(row: SessionRow) -> dict[str, Any]:
    """What of a session people can change, less what no call can set."""
    names = ("name", "model", "prompt", "parameters", "data", "remark")
    return {name: getattr(row, name) for name in names}


def contents(messages: list[MessageRow]) -> list[dict[str, Any]]:
    return [{k: v for k, v in as_listed(message).items() if k != "message_id"} for message in messages]


@pytest.fixture
def applied(world: World) -> tuple[SessionRow, list[MessageRow], str]:
    """A session that was deleted by an apply, its messages, and its archive id."""
    row = world.store.session(MOST)
    messages = world.store.messages(MOST)
    assert row and len(messages) == PAGE + 2
    world.close(world.here(*world.applying()))
    return row, messages, archived(world, f"gone{MOST}", "delete")


def is_restored(world: World, row: SessionRow, messages: list[MessageRow]) -> None:
    """Once, as it was, with every message once and in order; what else is live is what it was."""
    found = [one for one in world.store.sessions() if one.remark == row.remark]
    assert [of_people(one) for one in found] == [of_people(row)]
    there = contents(world.store.messages(found[0].session_id))
    wanted = contents(messages)
    for message in wanted:
        if there.count(message) != 1:
            world.blame("lost messages" if message not in there else "duplicates", str(message))
    world.acquit()
    assert there == wanted
    assert [(one.kind, one.key) for one in world.plan().actions] == [("delete", f"gone{MOST}")]


def test_a_deleted_session_is_made_again(
    world: World, applied: tuple[SessionRow, list[MessageRow], str]
) -> None:
    row, messages, archive_id = applied
    run = restore(world, archive_id)
    assert run.code == 0 and len(run.log) == REQUESTS, run
    assert (
        f"Created again: #{world.store.sessions()[-1].session_id}, {len(messages)} messages added." in run.out
    )
    is_restored(world, row, messages)
    again = restore(world, archive_id)
    assert (again.code, again.writes) == (0, []), again
    is_restored(world, row, messages)


def points() -> list[object]:
    return [
        pytest.param(
            number, when, marks=() if number % 6 == 3 else (pytest.mark.full,), id=f"{when}-{number}"
        )
        for number in range(1, REQUESTS + 1)
        for when in ("before", "after")
    ]


@pytest.mark.parametrize(("number", "when"), points())
def test_a_restore_that_is_killed_goes_on(
    world: World,
    applied: tuple[SessionRow, list[MessageRow], str],
    number: int,
    when: Literal["before", "after"],
) -> None:
    row, messages, archive_id = applied
    killer = Killer(world.server, number, when)
    killed = restore(world, archive_id, killer)
    assert killer.struck and killed.code == -9, killed
    world.server.faults.clear()
    run = restore(world, archive_id)
    assert run.code == 0, run
    is_restored(world, row, messages)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_restore_that_is_killed_at_its_create_does_not_make_it_twice_where_the_list_lags(
    tmp_path: Path, tally: Tally, clock: Clock, when: Literal["before", "after"]
) -> None:
    with open_world(tmp_path, tally, quirks=Quirks(late_seconds=4), flags=FLAGS) as world:
        world.insert(GONE[0])
        world.want([])
        world.store.insert_message(1, content="first")
        assert world.apply("--allow-empty").code == 0
        archive_id = archived(world, "gone1", "delete")
        killer = Killer(world.server, 2, when)  # the list, and then the create
        killed = restore(world, archive_id, killer)
        assert killer.struck and [entry.operation for entry in killed.writes] == ["create_session"]
        world.server.faults.clear()
        run = restore(world, archive_id, settle=8)
        assert run.code == 0 and run.err.startswith(WAITING), run
        (row,) = world.store.sessions()
        assert [message.content for message in world.store.messages(row.session_id)] == ["first"]


def troubles() -> list[object]:
    kinds = ("cut-before", "cut-after", "429", "500-after", "503")
    operations = ("create_session", "create_message", "list_messages", "list_sessions")
    return [
        pytest.param(
            operation,
            kind,
            when,
            marks=() if when == "first" and row % len(operations) == column else (pytest.mark.full,),
            id=f"{kind}-{operation}-{when}",
        )
        for row, kind in enumerate(kinds)
        for column, operation in enumerate(operations)
        for when in ("first", "every 3")
    ]


@pytest.mark.parametrize(("operation", "kind", "when"), troubles())
def test_a_restore_through_trouble(
    world: World,
    applied: tuple[SessionRow, list[MessageRow], str],
    clock: Clock,
    operation: str,
    kind: str,
    when: str,
) -> None:
    row, messages, archive_id = applied
    facts: dict[str, Any] = {
        "cut-before": {"kind": "cut"},
        "cut-after": {"kind": "cut", "worked": True},
        "429": {"kind": "status", "status": 429},
        "500-after": {"kind": "status", "status": 500, "worked": True},
        "503": {"kind": "status", "status": 503},
    }[kind]
    world.server.faults.add(Fault(**facts, operation=operation, when=when))
    for _ in range(len(messages)):
        run = restore(world, archive_id)
        world.check(run, 0, 1, 4, converged=lambda: True)
        if run.code == 0:
            break
    world.server.faults.clear()
    assert run.code == 0, run
    is_restored(world, row, messages)


def test_an_overwritten_session_is_put_back(world: World) -> None:
    (row,) = [row for row in world.store.sessions() if row.name == "Change4" and row.remark]
    world.close(world.apply())
    run = restore(world, archived(world, "change4", "update"))
    assert run.code == 0 and f"Restored: #{row.session_id} has its earlier values." in run.out, run
    found = world.store.session(row.session_id)
    assert found and of_people(found) == of_people(row)
    world.close(world.apply())


def test_what_is_in_the_way_of_a_restore(
    world: World, applied: tuple[SessionRow, list[MessageRow], str]
) -> None:
    row, _, archive_id = applied
    world.insert(world.wanted[0])  # another one, of another identity
    assert row.remark
    inserted = world.store.insert_session(name="in the way", remark=row.remark)
    run = restore(world, archive_id)
    assert run.err == (
        f"shop/gone{MOST} is live as #{inserted}, so restoring it would make a second one\n"
        f"      hint: add --replace to put the archived messages into #{inserted}, if that one has none; "
        "or remove that one from the catalog and apply first\n"
    )
    assert (run.code, run.writes) == (3, []), run


def test_an_archive_of_another_address_is_not_restored(
    world: World, applied: tuple[SessionRow, list[MessageRow], str]
) -> None:
    run = world.here(
        "archive", "restore", applied[2], str(world.folder), "--endpoint", "local", "--auto-approve"
    )
    assert run.code == 3 and f"is from {world.server.url}, and this is local" in run.err, run


#: A restore of the whole run makes at least this many requests.
OF_A_RUN = 77


def run_of(world: World) -> str:
    """The run that deleted and overwrote everything."""
    [run] = json.loads(world.here("history", str(world.folder), "--format", "json").out)
    return str(run[0]["run"])


def run_points() -> list[object]:
    return [
        pytest.param(
            number, when, marks=() if number in (5, 77) else (pytest.mark.full,), id=f"{when}-{number}"
        )
        for number in range(1, OF_A_RUN + 1, 4)
        for when in ("before", "after")
    ]


@pytest.mark.parametrize(("number", "when"), run_points())
def test_a_restore_of_a_run_that_is_killed_goes_on(
    world: World, number: int, when: Literal["before", "after"]
) -> None:
    """All that the run deleted or overwrote is back, each session and each message once."""
    before = {row.session_id: row for row in world.store.sessions()}
    messages = {number: world.store.messages(number) for number in before}
    world.close(world.here(*world.applying()))
    created = {row.session_id for row in world.store.sessions()} - before.keys()
    place = ["--endpoint", world.server.url, "--auto-approve", "--settle", "0.5", "--retries", "2"]
    words = ["archive", "restore", "--run", run_of(world), str(world.folder), *place]
    killer = Killer(world.server, number, when)
    killed = world.run(*words, killer=killer)
    assert killer.struck and killed.code == -9, killed
    world.server.faults.clear()
    run = world.here(*words)
    assert run.code == 0, run
    again = world.here(*words)
    assert (again.code, again.writes) == (0, []), again
    after = {row.session_id: row for row in world.store.sessions() if row.session_id not in created}
    assert len(after) == len(before)
    for session_id, row in before.items():
        [found] = [one for one in after.values() if one.name == row.name and one.remark == row.remark]
        assert of_people(found) == of_people(row)
        assert contents(world.store.messages(found.session_id)) == contents(messages[session_id])
