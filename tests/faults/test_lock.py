"""The lock: one writer at a time, a dead holder's lock is taken over, and no lock counts as a session."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.api import lock as locks
from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.lock import Ticket, locked
from reconciler.api.rate_limit import RateLimiter
from reconciler.contract import Contract, load_contract
from reconciler.errors import ReconcilerError, Refused
from reconciler.ownership.remark import compose_lock
from reconciler.server import Fault, Quirks, SessionRow
from tests.clock import Clock
from tests.faults.conftest import FLAGS
from tests.faults.tally import Tally
from tests.faults.world import CATALOG, PAGE, WRITES, Killer, World, open_world
from tests.suggestions import without_run


def tickets(world: World) -> list[SessionRow]:
    return [row for row in world.store.sessions() if row.name == f"reconciler lock: {CATALOG}"]


@pytest.fixture
def late(tmp_path: Path, tally: Tally) -> Iterator[World]:
    """A service that shows a new session in the fourth list after it was made, and not before."""
    quirks = Quirks(max_page_size=PAGE, late_calls=3)
    with open_world(tmp_path, tally, quirks=quirks, flags=(*FLAGS, "--parallelism", "1")) as opened:
        opened.seed()
        yield opened


@contextmanager
def held(
    world: World,
    *,
    ttl: float = locks.TTL,
    renew: float = locks.RENEW,
    timeout: float = 60,
    contract: Contract | None = None,
) -> Iterator[Callable[[], bool]]:
    """The lock in the hand of this process."""
    endpoint = Endpoint(world.server.url, world.server.url)
    with (
        Client(endpoint, contract or load_contract(), connections=2) as client,
        locked(
            client, CATALOG, None, holder="me", timeout=timeout, settle=1, on_wait=print, ttl=ttl, renew=renew
        ) as holding,
    ):
        yield holding


def eventually(true: Callable[[], bool], patience: float = 30) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def count(world: World, operation: str) -> int:
    return sum(entry.operation == operation for entry in world.server.log)


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
    assert refused.startswith(f"locked by lery, run 1234 (#{ticket}, valid until 2")
    assert without_run(hint).endswith("break it with: `reconciler unlock`")
    assert world.store.dump() == before
    world.check(run, 3)

    place = [str(world.folder), "--endpoint", world.server.url]
    assert world.here("unlock", *place).code == 3  # nobody said yes
    broken = world.here("unlock", *place, "--auto-approve")
    assert (
        broken.code == 0
        and f"#{ticket}  lery, run 1234, valid until" in broken.out
        and "1 removed." in broken.out
    )
    assert world.here("unlock", *place, "--auto-approve").out == "There is no lock.\n"
    world.close(world.apply("--lock"))
    assert tickets(world) == []


def test_the_lock_of_a_long_dead_run_is_taken_over(world: World) -> None:
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
    assert run.code == 3 and f"(#{left.session_id}, valid until " in run.err, run
    world.close(world.apply())  # without --lock, a lock is no matter
    world.here("unlock", str(world.folder), "--endpoint", world.server.url, "--auto-approve")
    world.close(world.apply("--lock"))


@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "429", "500-after"])
def test_a_ticket_whose_answer_is_lost_is_found_and_given_back(world: World, clock: Clock, kind: str) -> None:
    facts = {
        "cut-before": Fault("cut", operation="create_session", when="first"),
        "cut-after": Fault("cut", operation="create_session", when="first", worked=True),
        "429": Fault("status", operation="create_session", when="first", status=429),
        "500-after": Fault("status", operation="create_session", when="first", status=500, worked=True),
    }
    world.server.faults.add(facts[kind])
    run = world.here(*world.applying("--lock"))
    world.server.faults.clear()
    world.close(run)
    assert tickets(world) == []


def test_a_lock_is_not_counted_as_a_session(world: World) -> None:
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


def test_a_saved_plan_takes_the_lock_that_its_policy_requires(world: World, tmp_path: Path) -> None:
    world.want(world.wanted, policy={"lock": True})
    out = tmp_path / "plan.json"
    made = world.here("plan", str(world.folder), "--endpoint", world.server.url, "--out", str(out))
    assert made.code == 0, made
    ticket = put_ticket(world, expires=timedelta(minutes=1))
    before = world.store.dump()
    run = world.apply(what=out)
    assert (run.code, world.store.dump()) == (3, before), run
    assert f"locked by lery, run 1234 (#{ticket}, valid until 2" in run.err
    world.store.delete_session(ticket)
    world.close(world.apply(what=out))


def test_the_first_ticket_holds_and_the_dead_are_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten threads, each with a ticket of its own, of which one dies with it in its hand."""
    monkeypatch.setattr(locks, "SKEW", 0.5)
    monkeypatch.setattr(RateLimiter, "sleep", lambda limiter, seconds: limiter.stop.sleep(seconds / 20))
    inside: list[int] = []
    most: list[int] = []
    guard = threading.Lock()

    def client() -> Client:
        return Client(Endpoint(world.server.url, world.server.url), load_contract(), connections=2)

    def nobody(ticket: Ticket) -> None:
        pass

    with client() as dead:
        locks._Desk(CATALOG, None, "dead", 1.0, 0.3).draw(dead)  # and no more is heard of it

    def hold(number: int) -> None:
        with (
            client() as mine,
            locked(
                mine, CATALOG, None, holder=f"run {number}", timeout=60, settle=5, on_wait=nobody, ttl=5.0
            ) as holding,
        ):
            with guard:
                inside.append(number)
                most.append(len(inside))
            time.sleep(0.01)
            assert holding()
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
    with held(world, ttl=0.3) as holding:
        renewals = 0
        while renewals < 4:
            renewals = sum(entry.operation == "update_session" and entry.worked for entry in world.server.log)
        assert holding()
        (ticket,) = tickets(world)
        world.store.delete_session(ticket.session_id)
        while holding():
            pass
    assert {entry.operation for entry in world.server.log if entry.operation in WRITES} == {
        "create_session",
        "update_session",
    }


# Lists that lag


def test_a_ticket_is_waited_for_in_the_list(late: World, clock: Clock) -> None:
    run = late.here(*late.applying("--lock", "--settle", "20"))
    late.close(run)
    assert tickets(late) == []
    assert [one.operation for one in run.writes].count(
        "create_session"
    ) == 7  # six of the plan, and one ticket


def test_a_ticket_whose_response_is_lost_is_awaited_before_another_is_created(
    late: World, clock: Clock
) -> None:
    late.server.faults.add(Fault("cut", operation="create_session", when="first", worked=True))
    run = late.here(*late.applying("--lock", "--settle", "20"))
    late.close(run)
    assert tickets(late) == []
    assert [one.operation for one in run.writes].count("create_session") == 7


def test_a_ticket_that_is_not_listed_in_time_is_released(tmp_path: Path, tally: Tally) -> None:
    quirks = Quirks(max_page_size=PAGE, late_seconds=3600)
    with open_world(tmp_path, tally, quirks=quirks, flags=FLAGS) as world:
        world.seed()
        run = world.apply("--lock")
        assert (run.code, tickets(world)) == (1, []), run
        assert [one.operation for one in run.writes] == ["create_session", "delete_session"]
        assert run.err == (
            "the lock was created, but is not listed after 0.3 s\n"
            "      hint: if the list lags longer than that, pass --settle=SECONDS\n"
        )
        world.check(run, 1)


def test_a_ticket_that_appears_after_another_was_created_is_released_too(world: World) -> None:
    """The first create's answer is lost, and the list shows what it made only when the second one is through."""
    world.server.faults.add(Fault("cut", operation="create_session", when="first"))
    endpoint = Endpoint(world.server.url, world.server.url)

    def show(_: object) -> None:
        if count(world, "create_session") == 2:
            put_ticket(world, expires=timedelta(minutes=1), holder="me")
            world.server.done.remove(show)

    world.server.done.append(show)
    with (
        Client(endpoint, load_contract()) as client,
        locked(client, CATALOG, None, holder="me", timeout=0, settle=0.3, on_wait=print) as holding,
    ):
        assert holding()
        assert len(tickets(world)) == 2
    assert tickets(world) == []


# Locks that are lost


def test_a_lock_that_is_broken_by_hand_is_known_to_be_at_the_next_renewal(
    world: World,
) -> None:
    """Long before it would have run out."""
    with held(world, ttl=3600, renew=0.05) as holding:
        place = [str(world.folder), "--endpoint", world.server.url]
        assert world.here("unlock", *place, "--auto-approve").code == 0
        eventually(lambda: not holding())


def test_a_service_that_does_not_say_404_of_a_ticket_that_is_gone(
    world: World,
) -> None:
    with held(world, ttl=3600, renew=0.05) as holding:
        (ticket,) = tickets(world)
        world.server.faults.add(Fault("body-status", operation="update_session", status=400))
        eventually(lambda: count(world, "update_session") == 2)
        assert holding()  # it is refused, and the ticket is listed
        world.store.delete_session(ticket.session_id)
        eventually(lambda: not holding())


def test_whoever_waits_and_can_not_renew_says_so(world: World) -> None:
    put_ticket(world, expires=timedelta(minutes=1))
    world.server.faults.add(Fault("status", operation="update_session", status=500))
    said = "the lock could not be renewed while this run waited for it"
    with pytest.raises(ReconcilerError, match=said) as raised, held(world, ttl=0.5):
        pass
    assert not isinstance(raised.value, Refused)
    assert [ticket.remark for ticket in tickets(world) if "lery" not in str(ticket.remark)] == []


def test_whoever_waits_and_loses_its_ticket_says_so(world: World) -> None:
    put_ticket(world, expires=timedelta(minutes=1))

    def take(_: object) -> None:
        for ticket in tickets(world):
            if "lery" not in str(ticket.remark):
                world.store.delete_session(ticket.session_id)

    world.server.done.append(take)
    said = "the lock was broken by hand while this run waited for it"
    with pytest.raises(Refused, match=said), held(world, ttl=0.6):
        pass


def test_a_paused_renewal_delays_nobody(world: World) -> None:
    def run() -> None:
        with held(world, ttl=0.3):
            eventually(lambda: count(world, "update_session") > 0)

    world.server.faults.add(Fault("status", operation="update_session", status=429, retry_after=119))
    runner = threading.Thread(target=run, daemon=True)
    runner.start()
    runner.join(30)
    assert not runner.is_alive()
    assert tickets(world) == []


def test_a_machine_that_was_suspended_does_not_believe_in_its_lock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its monotonic clock stood still meanwhile, and no renewal has come through yet."""
    with held(world, ttl=60) as holding:
        world.server.faults.add(Fault("status", operation="update_session", status=500))
        assert holding()
        real = locks._clocks
        monkeypatch.setattr(locks, "_clocks", lambda: (real()[0], real()[1] + 61))
        assert not holding()


def test_a_lock_is_renewed_if_updates_reset_omitted_fields(world: World) -> None:
    """And takes no update without name and model."""
    usual = load_contract()
    update = replace(usual.operation("update_session"), left_out="reset")
    contract = replace(usual, operations={**usual.operations, "update_session": update})
    world.server.faults.add(
        Fault(
            "status",
            operation="update_session",
            status=422,
            where=lambda entry: not {"session_name", "model", "prompt"} <= set(entry.body or ()),
        )
    )
    with held(world, ttl=0.3, contract=contract):
        eventually(
            lambda: sum(one.operation == "update_session" and one.worked for one in world.server.log) > 2
        )


# Breaking it


def test_the_hint_names_the_environment(world: World) -> None:
    until = (datetime.now(UTC) + timedelta(minutes=1)).isoformat(timespec="seconds")
    lock = {"catalog": CATALOG, "environment": "prod", "holder": "lery", "expires": until}
    world.store.insert_session(name=f"reconciler lock: {CATALOG}@prod", remark=compose_lock(lock))
    world.want([], environments={"prod": {}})
    place = [str(world.folder), "--endpoint", world.server.url, "--env", "prod"]
    run = world.here("apply", *place, "--lock", "--auto-approve")
    assert (
        run.code,
        without_run(run.err.splitlines()[-1]).endswith("break it with: `reconciler unlock --env=prod`"),
    ) == (
        3,
        True,
    ), run
    assert "1 removed." in world.here("unlock", *place, "--auto-approve").out


def test_a_lock_can_be_broken_whatever_is_wrong_with_the_manifests(world: World) -> None:
    (world.folder / "sessions").mkdir()
    (world.folder / "sessions" / "broken.yaml").write_text("sessions: {a: [\n")
    put_ticket(world, expires=timedelta(minutes=1))
    place = [str(world.folder), "--endpoint", world.server.url]
    assert world.here("plan", *place).code == 1
    assert "1 removed." in world.here("unlock", *place, "--auto-approve").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\n", "catalog.yaml:1:1: "),
        ("catalog: [\n", "catalog.yaml:"),
        ("version: 1\ncatalog: Shop!\n", "catalog.yaml:2:"),
        ("version: 1\ncatalog: shop\nenvironments: {prod: {}}\n", "there is no environment `prd`"),
    ],
)
def test_to_break_a_lock_the_name_has_to_be_known(world: World, text: str, said: str) -> None:
    (world.folder / "catalog.yaml").write_text(text)
    run = world.here("unlock", str(world.folder), "--endpoint", world.server.url, "--env", "prd")
    assert (run.code, said in run.err, run.log) == (1, True, []), run
