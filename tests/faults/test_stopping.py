"""Ctrl-C, SIGTERM and a deadline: no new writes start, those in flight finish, and the report names the rest."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from types import SimpleNamespace

import pytest

from reconciler.cli import run_plan
from reconciler.server import Fault, Quirks
from tests.clock import Clock
from tests.faults.conftest import FLAGS
from tests.faults.tally import Tally
from tests.faults.world import (
    PAGE,
    PATIENCE,
    WAITING,
    WANTED,
    WRITES,
    Run,
    World,
    environment,
    open_world,
    session,
)
from tests.support import learned_file

STOPPING = "stopping: writes in flight finish, no new ones start (interrupt again to end at once)"


@pytest.fixture
def world(world: World) -> World:
    """A service whose contract proves its calls, so that the first writes go out together."""
    world.flags = (*world.flags, "--contract", str(learned_file(world.folder.parent)))
    return world


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def hold_writes(world: World) -> None:
    """Let every write hang until it is released."""
    world.server.faults.add(Fault("hang", where=lambda entry: entry.operation in WRITES))


def read_to(process: subprocess.Popen[str], text: str) -> str:
    """What a process says up to a line with this text."""
    assert process.stderr
    said = ""
    for line in process.stderr:
        said += line
        if text in line:
            return said
    raise AssertionError(said)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_the_first_signal_lets_writes_under_way_finish(world: World, number: Signals) -> None:
    hold_writes(world)
    with world.start(*world.applying("--parallelism", "4")) as process:
        until(lambda: world.server.faults.hanging == 4, process)
        process.send_signal(number)
        read_to(process, STOPPING)
        world.server.faults.clear()
        out, err = process.communicate(timeout=PATIENCE)
    run = Run(process.returncode, out, err, world.server.log)
    assert run.code == 130, run
    assert [entry.worked for entry in run.writes] == [True] * 4
    assert "Stopped (interrupted): 4 applied, 14 not tried." in run.out
    assert "Not verified: the list was not read again." in run.out
    assert all(f"  not tried: delete gone{one} #{one}\n" in run.out for one in range(1, 7))
    world.check(run, 130)
    assert "(killed, or still running" not in world.here("history", str(world.folder)).out
    world.close(world.apply())


def test_a_stopped_runs_create_is_awaited_if_the_list_lags(
    tmp_path: Path, tally: Tally, clock: Clock
) -> None:
    """It said what it applied, and did not wait to see it listed. The next run would make it a second time."""
    quirks = Quirks(late_seconds=4, max_page_size=PAGE)
    flags = [*FLAGS, "--settle", "8", "--contract", str(learned_file(tmp_path))]
    with open_world(tmp_path, tally, quirks=quirks, flags=flags) as world:
        world.want(WANTED[:4])
        hold_writes(world)
        with world.start(*world.applying("--parallelism", "4")) as process:
            until(lambda: world.server.faults.hanging == 4, process)
            process.send_signal(SIGINT)
            read_to(process, STOPPING)
            world.server.faults.clear()
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 130 and len(world.store.sessions()) == 4
        again = world.here(*world.applying())
        assert again.err.startswith(WAITING), again
        assert not again.writes and not world.duplicates(), again
        world.close(again)


def test_the_second_signal_ends_at_once(world: World) -> None:
    """What is under way is left to chance then; the next run finds out what became of it."""
    hold_writes(world)
    with world.start(*world.applying("--parallelism", "4")) as process:
        until(lambda: world.server.faults.hanging == 4, process)
        process.send_signal(SIGINT)
        read_to(process, STOPPING)
        process.send_signal(SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, out + err
    world.server.faults.clear()
    world.close(world.apply())


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_signal_before_the_first_write_ends_the_run(world: World, number: Signals) -> None:
    world.server.faults.add(Fault("hang", operation="list_sessions"))
    with world.start(*world.applying("--format", "json")) as process:
        until(lambda: world.server.faults.hanging == 1, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    run = Run(process.returncode, out, err, world.server.log)
    assert (run.code, run.err.splitlines()[-1], run.writes) == (130, "interrupted", []), run
    assert json.loads(run.out)["errors"][0]["message"] == "interrupted"
    world.server.faults.clear()
    world.check(run, 130)
    world.close(world.apply())


def test_a_lock_is_given_back_by_a_run_that_is_stopped(world: World) -> None:
    world.server.faults.add(
        Fault("hang", where=lambda entry: entry.operation in WRITES and "lock" not in str(entry.body))
    )
    with world.start(*world.applying("--parallelism", "2", "--lock")) as process:
        until(lambda: world.server.faults.hanging == 2, process)
        process.send_signal(SIGTERM)
        read_to(process, STOPPING)
        world.server.faults.clear()
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, out + err
    assert "Stopped (interrupted): 2 applied, 16 not tried." in out
    assert not [row for row in world.store.sessions() if row.name == "reconciler lock: shop"]
    world.close(world.apply())


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_lock_that_was_being_created_is_released(world: World, number: Signals) -> None:
    """Its create did its work, and the answer never comes."""
    world.server.faults.add(Fault("hang", operation="create_session", worked=True))
    with world.start(*world.applying("--lock", "--settle", "20")) as process:
        until(lambda: world.server.faults.hanging == 1, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    world.server.faults.clear()
    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted"), out + err
    assert not [row for row in world.store.sessions() if row.name == "reconciler lock: shop"]
    world.close(world.apply())


@pytest.mark.parametrize("parallelism", [1, 4])
def test_a_deadline_starts_no_new_writes(
    world: World, monkeypatch: pytest.MonkeyPatch, parallelism: int
) -> None:
    """It passes while as many writes are under way as can be; only then are they answered."""

    class Timer(threading.Thread):
        """Passes the deadline as soon as there is something to stop."""

        def __init__(self, seconds: float, passed: Callable[[], None]) -> None:
            super().__init__()
            assert seconds == 300
            self.passed = passed

        def run(self) -> None:
            deadline = time.monotonic() + PATIENCE
            while world.server.faults.hanging < parallelism and time.monotonic() < deadline:
                time.sleep(0.005)
            self.passed()
            world.server.faults.clear()

        def cancel(self) -> None:
            self.join()

    monkeypatch.setattr(run_plan, "threading", SimpleNamespace(Timer=Timer))
    hold_writes(world)
    run = world.here(*world.applying("--parallelism", str(parallelism), "--deadline", "300"))
    assert run.code == 4, run
    assert "the deadline passed: writes in flight finish, no new ones start\n" in run.err
    assert f"Stopped (the deadline passed): {parallelism} applied, {18 - parallelism} not tried." in run.out
    assert len(run.writes) == parallelism
    world.check(run, 4)
    world.close(world.apply())


@pytest.mark.parametrize("number", [SIGTERM, pytest.param(SIGINT, marks=pytest.mark.full)])
def test_the_first_signal_after_a_deadline_lets_writes_finish_too(world: World, number: Signals) -> None:
    hold_writes(world)
    with world.start(*world.applying("--parallelism", "2", "--deadline", "3")) as process:
        read_to(process, "the deadline passed: ")
        until(lambda: world.server.faults.hanging == 2, process)
        process.send_signal(number)
        read_to(process, STOPPING)
        world.server.faults.clear()
        out, err = process.communicate(timeout=PATIENCE)
    run = Run(process.returncode, out, err, world.server.log)
    assert run.code == 4, run
    assert "Stopped (the deadline passed): 2 applied, 16 not tried." in run.out
    world.check(run, 4)
    world.close(world.apply())


@pytest.mark.parametrize("text", ["inf", "1e12", "nan"])
@pytest.mark.parametrize(
    "flag", ["--deadline", "--settle", "--lock-timeout", "--read-timeout", "--connect-timeout"]
)
def test_a_length_of_time_is_one_that_can_be_waited_for(world: World, flag: str, text: str) -> None:
    run = world.here(*world.applying(flag, text))
    assert (run.code, run.log) == (64, []), run
    assert run.err.endswith(f"{flag}': {text} is not a number of seconds up to a year (31536000).\n")


def test_a_deadline_that_passes_before_the_first_write(world: World) -> None:
    world.server.faults.add(Fault("status", operation="list_sessions", status=503, retry_after=60))
    run = world.apply("--deadline", "0.5")
    assert (run.code, run.writes) == (1, []), run
    said = "stopped before anything was written: the deadline passed"
    assert run.err == f"{said}\n"
    run = world.apply("--deadline", "0.5", "--format", "json")
    document = json.loads(run.out)
    assert (run.code, document["exit_code"], document["errors"][0]["message"]) == (1, 1, said), run
    world.server.faults.clear()
    world.check(run, 1)
    world.close(world.apply())


def test_an_output_that_can_not_be_written(world: World) -> None:
    """``apply > report.txt`` on a full disk: what nobody can read is not applied."""
    with Path("/dev/full").open("w") as full:
        command = world.command(*world.applying())
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False
        )
    assert (done.returncode, done.stderr) == (1, "the output can't be written: No space left on device\n")
    assert not [entry for entry in world.server.log if entry.operation in WRITES]
    world.close(world.apply())


def unread(world: World, *arguments: str) -> Run:
    """Run the command with an output that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    command = world.command(*arguments)
    began = len(world.server.log)
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment(), check=False
    )
    os.close(writer)
    return Run(done.returncode, "nobody reads this", done.stderr, world.server.log[began:])


def closed(world: World, *arguments: str) -> Run:
    """Run the command without a standard output, as in ``apply >&-``."""
    began = len(world.server.log)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- <&-', "sh", *world.command(*arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        check=False,
    )
    return Run(done.returncode, "there is no output", done.stderr, world.server.log[began:])


@pytest.mark.parametrize("how", [unread, closed])
def test_a_run_without_a_reader_keeps_its_exit_code(world: World, how: Callable[..., Run]) -> None:
    """``apply | true``: the exit code is what the run came to, here as everywhere."""
    where = world.applying()
    refused = how(world, *where, "--max-deletes", "2")
    assert (refused.code, refused.err, refused.writes) == (3, "", []), refused
    assert how(world, "plan", *where[1:4], "--detailed-exitcode").code == 2
    assert how(world, "history", str(world.folder)).code == 0
    world.server.faults.add(Fault("status", operation="create_session", when="first", status=422))
    partial = how(world, *where)
    assert (partial.code, partial.err) == (4, ""), partial
    world.server.faults.clear()
    world.close(how(world, *where))


def test_an_unread_plan_is_not_approved(world: World) -> None:
    arguments = [one for one in world.applying() if one != "--auto-approve"]
    run = unread(world, *arguments)
    assert (run.code, run.writes) == (3, []), run
    assert run.err.startswith("the reader of the plan exited: nothing was written\n")


def test_a_reader_that_has_seen_enough(world: World) -> None:
    """``apply | head -1``: an exit code of 0 means done, here as everywhere."""
    world.want([*WANTED, *(session(f"more{number}", prompt="long\n" * 999 + "end") for number in range(20))])
    with world.start(*world.applying()) as process:
        assert process.stdout and process.stderr
        with suppress(BrokenPipeError):
            process.stdout.close()
        err = process.stderr.read()
        process.wait(PATIENCE)
    world.check(Run(process.returncode, "stdout is closed", err, world.server.log), 0, 1)
    world.close(world.apply())
