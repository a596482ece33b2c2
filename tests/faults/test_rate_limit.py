"""Apply is not faster than the service allows, waits no longer than asked, and gives up if nothing is accepted."""

from __future__ import annotations

import threading
import time

import pytest

from reconciler.api.rate_limit import RateLimiter
from reconciler.server import Fault
from tests.clock import Clock
from tests.faults.world import PATIENCE, World, session


@pytest.mark.parametrize(("creates", "rate"), [(10, 20), pytest.param(100, 20, marks=pytest.mark.full)])
def test_a_limited_service_is_not_overrun(world: World, creates: int, rate: int) -> None:
    """Sixteen at once against so many requests a second: it takes longer, and nothing fails."""
    world.want([session(f"s{number}") for number in range(creates)])
    limit = world.server.faults.add(Fault("rate-limit", rate=rate))
    run = world.apply("--parallelism", "16", "--retries", "5", "--max-deletes", "100%")
    assert (run.code, world.server.faults.struck(limit) > 0) == (0, True), run
    assert f"{creates + 14} applied." in run.out, run
    world.server.faults.clear()
    world.close(run)


@pytest.mark.parametrize("operation", ["list_sessions", "create_session", "list_messages"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_requested_pause_is_kept_to_the_second(
    world: World, clock: Clock, operation: str, status: int
) -> None:
    times: list[float] = []
    world.server.before.append(lambda _: times.append(clock.now()))
    world.server.faults.add(
        Fault("status", operation=operation, when="first", status=status, retry_after=100)
    )
    run = world.here(*world.applying("--parallelism", "1"))
    (struck,) = [number for number, entry in enumerate(run.log) if entry.fault]
    assert 100 <= times[struck + 1] - times[struck] < 110
    world.server.faults.clear()
    world.close(run)


class ByHand(RateLimiter):
    """A limiter whose clock is moved on by the test. ``asleep`` is how many threads wait for that."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.asleep = 0
        self.moved = threading.Condition()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        with self.moved:
            until = self.time + seconds
            self.asleep += 1
            self.moved.notify_all()
            assert self.moved.wait_for(lambda: self.time >= until, PATIENCE)
            self.asleep -= 1

    def move(self, seconds: float) -> None:
        with self.moved:
            self.time += seconds
            self.moved.notify_all()

    def wait_for_sleepers(self, count: int) -> None:
        with self.moved:
            assert self.moved.wait_for(lambda: self.asleep == count, PATIENCE)


def test_a_pause_holds_back_who_has_a_turn_already() -> None:
    limiter = ByHand()
    limiter.throttled(limiter.wait(), None)  # two requests a second from here on
    ended: list[float] = []
    waiting = [threading.Thread(target=lambda: ended.append(limiter.wait())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    limiter.wait_for_sleepers(3)
    limiter.throttled(0.0, 60)
    while len(ended) < 3:
        limiter.move(0.5)
        time.sleep(0.001)
    for thread in waiting:
        thread.join()
    assert min(ended) >= 60 and max(ended) < 70


def test_a_pause_that_is_too_long_ends_the_run(world: World) -> None:
    world.server.faults.add(Fault("status", operation="create_session", status=503, retry_after=3600))
    run = world.apply("--parallelism", "1")
    assert run.code == 1, run
    assert "FAILED create new1: creating the session new1: HTTP 503" in run.out
    assert "the server asks for a pause of 3600 s: run the command again after it" in run.out
    assert "Stopped (the service asks for a pause of 3600 s): " in run.out
    assert len(run.writes) == 1 and "not tried: delete gone1 #1" in run.out
    world.server.faults.clear()
    world.check(run, 1)
    world.close(world.apply())


def test_a_service_that_rejects_everything_is_not_retried_for_hours(world: World) -> None:
    world.server.faults.add(Fault("status", operation="create_session", status=429))
    run = world.apply("--parallelism", "2", "--retries", "0")
    assert run.code == 1, run
    assert "Stopped (the service accepts no writes: HTTP 429): " in run.out
    assert "18 not tried" not in run.out and "not tried: delete gone6 #6" in run.out
    world.server.faults.clear()
    world.check(run, 1)
    world.close(world.apply())


def test_a_service_that_is_down_is_given_up(world: World) -> None:
    """Eight actions in a row, each after all its tries; a session that a service does not like is another matter."""
    world.want([])
    down = world.server.faults.add(Fault("cut", where=lambda entry: entry.method != "GET"))
    run = world.apply("--parallelism", "1", "--retries", "0", "--allow-empty", "--max-deletes", "100%")
    assert run.code == 1, run
    assert world.server.faults.struck(down) == 8
    assert "Ended: 8 failed, 6 not tried." not in run.out
    assert "Stopped (the service accepts no writes: the connection to " in run.out
    assert "): 0 applied, 8 failed, 6 not tried." in run.out
    world.server.faults.clear()
    world.check(run, 1)
    world.close(world.apply("--allow-empty", "--max-deletes", "100%"))
