"""The lock: one writer at a time, a dead one's is taken over, and a lock is nobody's session."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.api import lock as locks
from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.lock import Ticket, locked
from reconciler.contract import load_contract
from reconciler.remark import compose_lock
from reconciler.server import Fault, SessionRow
from tests.faults.world import CATALOG, WRITES, Killer, World


def tickets(world: World) -> list[SessionRow]:
    return [row for row in world.store.sessions() if row.name == f"reconciler lock: {CATALOG}"]


def test_a_saved_plan_takes_the_lock_that_its_catalog_asks_for(world: World, tmp_path: Path) -> None:
    world.want(world.wanted, policy={"lock": True})
    out = tmp_path / "plan.json"
    made = world.here("plan", str(world.folder), "--endpoint", world.server.url, "--out", str(out))
    assert made.code == 0, made
    ticket = put_ticket(world, expires=timedelta(minutes=1))
    before = world.store.dump()
    run = world.apply(what=out)
    assert (run.code, world.store.dump()) == (3, before), run
    assert f"locked by lery, run 1234 (#{ticket}, good until 2" in run.err
    world.store.delete_session(ticket)
    world.close(world.apply(what=out))


def put_ticket(world: World, *, expires: timedelta, holder: str = "lery, run 1234") -> int:
    until = (datetime.now(UTC) + expires).isoformat(timespec="seconds").replace("+00:00", "Z")
    lock = {"catalog": CATALOG, "environment": None, "holder": holder, "expires": until}
    return world.store.insert_session(name=f"reconciler lock: {CATALOG}", remark=compose_lock(lock))


def test_a_lock_that_is_held_keeps_others_out_until_it_is_broken(world: World) -> None:
    ticket = put_ticket(world, expires=timedelta(minutes=1))
    before = world.store.dump()
    run = world.apply("--lock", "--lock-timeout", "0.2")
    assert run.code == 3, run
    waiting, refused, hint = run.err.splitlines()
    assert waiting == f"waiting for the lock of lery, run 1234 (#{ticket})"
    assert refused.startswith(f"locked by lery, run 1234 (#{ticket}, good until 2")
    assert hint.endswith("break it with: reconciler unlock")
    assert world.store.dump() == before
    world.check(run, 3)

    place = [str(world.folder), "--endpoint", world.server.url]
    assert world.here("unlock", *place).code == 3  # nobody said yes
    broken = world.here("unlock", *place, "--auto-approve")
    assert (
        broken.code == 0
        and f"#{ticket}  lery, run 1234, good until" in broken.out
        and "1 removed." in broken.out
    )
    assert world.here("unlock", *place, "--auto-approve").out == "There is no lock.\n"
    world.close(world.apply("--lock"))
    assert tickets(world) == []


def test_the_lock_of_a_run_that_is_dead_for_long_is_taken_over(world: World) -> None:
    put_ticket(world, expires=-timedelta(minutes=2))
    world.close(world.apply("--lock"))
    assert tickets(world) == []


def test_a_killed_run_leaves_its_lock_and_the_next_one_says_whose_it_is(world: World) -> None:
    killer = Killer(world.server, 15, "after")
    killed = world.apply("--lock", killer=killer)
    assert killed.code == -9
    world.server.faults.clear()
    (left,) = tickets(world)
    run = world.apply("--lock")
    assert run.code == 3 and f"(#{left.session_id}, good until " in run.err, run
    world.close(world.apply())  # without --lock, a lock is no matter
    world.here("unlock", str(world.folder), "--endpoint", world.server.url, "--auto-approve")
    world.close(world.apply("--lock"))


@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "429", "500-after"])
def test_a_ticket_whose_answer_is_lost_is_found_and_given_back(world: World, kind: str) -> None:
    facts = {
        "cut-before": Fault("cut", operation="create_session", when="first"),
        "cut-after": Fault("cut", operation="create_session", when="first", worked=True),
        "429": Fault("status", operation="create_session", when="first", status=429),
        "500-after": Fault("status", operation="create_session", when="first", status=500, worked=True),
    }
    world.server.faults.add(facts[kind])
    run = world.apply("--lock")
    world.server.faults.clear()
    world.close(run)
    assert tickets(world) == []


def test_a_lock_is_no_session_of_anybodys(world: World) -> None:
    def summary() -> dict[str, int]:
        made = world.here("plan", str(world.folder), "--endpoint", world.server.url, "--format", "json")
        found: dict[str, int] = json.loads(made.out)["summary"]
        return found

    before = summary()
    put_ticket(world, expires=timedelta(minutes=1))
    assert summary() == before


def test_a_policy_can_ask_for_the_lock(world: World) -> None:
    world.want(world.wanted, policy={"lock": True})
    put_ticket(world, expires=timedelta(minutes=1))
    run = world.apply()
    assert (run.code, [one.operation for one in run.writes]) == (3, ["create_session", "delete_session"]), run
    world.close(world.apply("--no-lock"))


def test_the_first_ticket_holds_and_the_dead_are_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten threads, each with a ticket of its own, of which one dies with it in its hand."""
    monkeypatch.setattr(locks, "SKEW", 0.5)
    inside: list[int] = []
    most: list[int] = []
    guard = threading.Lock()

    def client() -> Client:
        return Client(Endpoint(world.server.url, world.server.url), load_contract(), connections=2)

    def nobody(ticket: Ticket) -> None:
        pass

    with client() as dead:
        locks._draw(dead, CATALOG, None, "dead", 1.0)  # and no more is heard of it

    def hold(number: int) -> None:
        with (
            client() as mine,
            locked(mine, CATALOG, None, holder=f"run {number}", timeout=60, on_wait=nobody, ttl=5.0) as held,
        ):
            with guard:
                inside.append(number)
                most.append(len(inside))
            time.sleep(0.01)
            assert held()
            with guard:
                inside.remove(number)

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 10
    assert tickets(world) == []


def test_a_lock_is_renewed_for_as_long_as_it_is_held_and_known_to_be_lost(world: World) -> None:
    with (
        Client(Endpoint(world.server.url, world.server.url), load_contract()) as client,
        locked(client, CATALOG, None, holder="me", timeout=1, on_wait=print, ttl=0.3) as held,
    ):
        renewals = 0
        while renewals < 4:
            renewals = sum(entry.operation == "update_session" and entry.worked for entry in world.server.log)
        assert held()
        (ticket,) = tickets(world)
        world.store.delete_session(ticket.session_id)
        while held():
            pass
    assert {entry.operation for entry in world.server.log if entry.operation in WRITES} == {
        "create_session",
        "update_session",
    }
