"""A controller with threads of its own, on the clock of the machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.controller.clock import SystemClock
from reconciler.controller.controller import Controller
from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.server import Fault
from tests.controller.world import World, shop, world


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def running(controller: Controller) -> Iterator[None]:
    thread = threading.Thread(target=controller.run)
    thread.start()
    try:
        yield
    finally:
        controller.stop()
        thread.join(30)
        assert not thread.is_alive()


def state(controller: Controller, name: str) -> str:
    return shop(controller, name).state


def test_a_service_that_never_answers_holds_up_no_other_account(tmp_path: Path) -> None:
    keys = {"first": "key-of-the-first", "second": "key-of-the-second"}
    with world(tmp_path, require_key=[*keys.values()]) as here:
        here.server.faults.add(
            Fault("hang", where=lambda entry: keys["first"] in entry.headers.get("authorization", ""))
        )
        accounts = [here.account(name, key=lambda key=key: key) for name, key in keys.items()]
        for name in keys:
            here.write(name, **{name: "Be kind."})
        watched = [here.watched(name, account=name, mode="apply") for name in keys]
        with (
            here.controller(*watched, accounts=accounts, clock=SystemClock()) as controller,
            running(controller),
        ):
            until(lambda: state(controller, "second") == "InSync")
            assert state(controller, "first") == "Listing"


def test_a_git_remote_that_never_answers_holds_up_no_other_catalog(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = here.folder / "ssh"
    script.write_text("#!/bin/sh\nsleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    source = GitSource(GitPlace("ssh://git.example.com/shop.git"), here.folder / "state")
    slow = here.watched(name="slow", source=source, state=here.folder / "state")
    with (
        here.controller(slow, here.watched(mode="apply"), clock=SystemClock(), beside=True) as controller,
        running(controller),
    ):
        until(lambda: state(controller, "shop") == "InSync")
        assert state(controller, "slow") == "Loading"


def test_a_request_and_an_approval_wake_the_thread(here: World) -> None:
    with (
        here.controller(here.watched(mode="approve"), clock=SystemClock()) as controller,
        running(controller),
    ):
        until(lambda: state(controller, "shop") == "PlanPending")
        plan = shop(controller).plan
        assert plan is not None
        controller.approve(plan.digest)
        until(lambda: state(controller, "shop") == "InSync")
        here.drift("Bob", prompt="Be rude.")
        controller.reconcile("shop")
        until(lambda: state(controller, "shop") == "PlanPending")


def test_a_step_that_breaks_is_said_and_tried_again(here: World) -> None:
    with here.controller(here.watched()) as controller:

        def broken() -> float:
            raise ZeroDivisionError

        [loop] = controller._loops
        loop.step = broken  # type: ignore[method-assign]
        with running(controller):
            until(lambda: controller.status().accounts[0].failure is not None)
        failure = controller.status().accounts[0].failure
        assert failure is not None and failure.message.startswith(
            "unexpected error: ZeroDivisionError in broken"
        )


def test_two_watchers_at_once_create_nothing_twice(tmp_path: Path) -> None:
    """As on two machines: each has a state folder of its own."""
    with world(tmp_path) as here:
        here.write(**{f"key{number}": f"Be number {number}." for number in range(20)})
        watched = [here.watched(mode="apply", state=tmp_path / name) for name in ("one", "other")]
        controllers = [
            Controller([here.account()], [one], state=one.state, clock=SystemClock(), beside=False)
            for one in watched
        ]
        threads = [threading.Thread(target=one.run_once) for one in controllers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        states = sorted((shop(one).state, shop(one).standby) for one in controllers)
        assert ("InSync", False) in states
        assert len(here.server.store.sessions()) == 20  # and no lock is left
