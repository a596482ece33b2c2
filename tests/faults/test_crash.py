"""The crash matrix: an apply is killed before and after every single request in turn, and then run again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Literal

import pytest

from reconciler.server import Quirks
from tests.clock import Clock
from tests.faults.conftest import FLAGS
from tests.faults.tally import Tally
from tests.faults.world import PAGE, WAITING, Killer, World, open_world

#: How many requests an undisturbed apply makes, one at a time.
REQUESTS = 73

#: Of these every one is in the full run, and every so manyth in the small one.
STEP = 5


def points() -> list[object]:
    found: list[object] = []
    for number in range(1, REQUESTS + 1):
        for when in ("before", "after"):
            small = number % STEP == (0 if when == "before" else STEP // 2)
            marks = () if small else (pytest.mark.full,)
            found.append(pytest.param(number, when, marks=marks, id=f"{when}-{number}"))
    return found


def test_an_undisturbed_apply_makes_as_many_requests_as_the_matrix_has_rows(world: World) -> None:
    run = world.apply("--parallelism", "1")
    world.close(run)
    assert (len(run.log), len(run.writes)) == (REQUESTS, 18)


@pytest.mark.parametrize(("number", "when"), points())
@pytest.mark.parametrize("parallelism", [1, pytest.param(4, marks=pytest.mark.full)])
def test_killed_at_a_request_and_run_again(
    world: World, number: int, when: Literal["before", "after"], parallelism: int
) -> None:
    killer = Killer(world.server, number, when)
    killed = world.apply("--parallelism", str(parallelism), killer=killer)
    assert killer.struck and killed.code == -9, killed
    assert not world.duplicates()
    world.server.faults.clear()

    again = world.apply("--parallelism", str(parallelism))
    world.check(again, 0)
    history = world.run("history", str(world.folder), "--format", "json")
    runs = json.loads(history.out)
    assert (history.code == 0 and "end" in {entry["event"] for entry in runs[0]}) or not again.writes
    world.close(again)


@pytest.mark.parametrize("number", [23, pytest.param(26, marks=pytest.mark.full)])
def test_a_killed_runs_create_is_awaited_if_the_list_lags(
    tmp_path: Path, tally: Tally, clock: Clock, number: int
) -> None:
    """The next run comes before the list shows what the killed one made; it would be made a second time."""
    quirks = Quirks(late_seconds=4, max_page_size=PAGE)
    with open_world(tmp_path, tally, quirks=quirks, flags=[*FLAGS, "--settle", "8"]) as world:
        world.seed()
        killer = Killer(world.server, number, "after")
        assert world.apply("--parallelism", "1", killer=killer).code == -9
        again = world.here(*world.applying("--parallelism", "1"))
        assert again.err.startswith(WAITING), again
        assert not world.duplicates()
        world.close(again)


def test_a_killed_run_leaves_no_request_at_work(world: World) -> None:
    """The server is slow to see that the request is to be cut. The run is over only when it has."""
    killer = Killer(world.server, 1, "before")
    world.server.before.append(lambda _: time.sleep(0.1 if killer.struck else 0))
    killed = world.apply("--parallelism", "1", killer=killer)
    world.server.faults.clear()
    assert [one.fate for one in killed.log] == ["cut"]


def test_a_torn_line_is_not_an_error(world: World) -> None:
    world.close(world.apply())
    journal = world.state / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    torn = world.here("history", str(world.folder))
    assert torn.code == 0 and "(killed, or still running: no end on record)" in torn.out, torn
    world.want(world.wanted[:-1])
    world.close(world.apply())
    assert journal.read_bytes().startswith(whole[:-20] + b"\n{")
    runs = world.here("history", str(world.folder), "--format", "json")
    assert [len(run) for run in json.loads(runs.out)] == [5, 40]
