"""The fault matrix: every fault, on every call of an apply, once, sometimes or always."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reconciler.server import Fault, LoggedRequest
from tests.faults.world import WRITES, World

#: The kinds of trouble, as the server plays them. Where the work is done all the same, the name says so.
TROUBLES: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429},
    "500": {"kind": "status", "status": 500},
    "502-html": {"kind": "html", "status": 502},
    "503-retry-after": {"kind": "status", "status": 503, "retry_after": 1},
    "refused": {"kind": "status", "status": 429, "retry_after": 1},  # and then nobody listens
    "cut-before": {"kind": "cut"},
    "cut-after": {"kind": "cut", "worked": True},
    "hang": {"kind": "hang"},
    "half": {"kind": "half"},
    "body-status": {"kind": "body-status", "status": 500},
    "empty": {"kind": "empty"},
    "wrong-type": {"kind": "wrong-type"},
    # Beyond the twelve: the answer says nothing of what was done.
    "500-after": {"kind": "status", "status": 500, "worked": True},
    "503-after": {"kind": "status", "status": 503, "worked": True},
    "reset-after": {"kind": "reset", "worked": True},
    "hang-after": {"kind": "hang", "worked": True},
    "body-status-after": {"kind": "body-status", "status": 500, "worked": True},
    "empty-after": {"kind": "empty", "worked": True},
    "wrong-type-after": {"kind": "wrong-type", "worked": True},
}
OPERATIONS = {
    "list_sessions": "listing sessions",
    "create_session": "creating the session",
    "update_session": "updating the session",
    "delete_session": "deleting the session",
    "list_messages": "listing the messages",
}
#: ``late`` strikes all calls but those that make the plan: for lists, the look-ups and the verification fail.
TIMES = {"first": "first", "middle": "nth 3", "every-other": "every 2", "all": "all", "late": "all"}


def cells() -> list[object]:
    found: list[object] = []
    for row, trouble in enumerate(TROUBLES):
        for column, operation in enumerate(OPERATIONS):
            for number, when in enumerate(TIMES):
                if when == "late" and operation != "list_sessions":
                    continue
                # Each list that hangs takes as long as the client waits for it.
                slow = trouble.startswith("hang") and operation == "list_sessions" and when != "first"
                small = (row + column) % 3 == 0 and number == (row // 2 + column) % len(TIMES) and not slow
                small = small or (trouble, operation, when) == ("hang-after", "list_sessions", "first")
                marks = () if small else (pytest.mark.full,)
                found.append(
                    pytest.param(trouble, operation, when, marks=marks, id=f"{trouble}-{operation}-{when}")
                )
    return found


@pytest.mark.parametrize(("trouble", "operation", "when"), cells())
def test_trouble(
    world: World, request: pytest.FixtureRequest, trouble: str, operation: str, when: str
) -> None:
    if trouble != "refused":  # whose door is shut for a time that has to pass
        request.getfixturevalue("clock")
    lists_of_the_plan = 4  # three pages, and a look whether they still hold
    throttled = trouble.startswith(("429", "503"))  # which is tried twice as often, and slower each time
    flags = ["--parallelism", "4", "--retries", "2" if when != "all" else "0" if throttled else "1"]
    flags += ["--read-timeout", "0.5" if trouble.startswith("hang") else "20"]
    skip = lists_of_the_plan if when == "late" else 0
    if (trouble, operation, when) == ("refused", "list_messages", "all"):
        skip = 13  # the plan counts the messages of what it deletes: a door that is shut then is met by the next list
    with _trouble(world, trouble, operation, when, skip=skip) as fault:
        run = world.here(*world.applying(*flags))
        struck = world.server.faults.struck(fault)
        world.server.faults.clear()
    assert struck, run
    assert not world.duplicates(), run
    world.check(run, 0, 1, 4)
    if when in ("all", "late") and not (run.code == 0 and fault.after_work and operation in WRITES):
        assert run.code in (1, 4), run
        assert OPERATIONS[operation] in run.text, run
    if run.code:
        run = world.here(*world.applying("--parallelism", "4"))
    world.close(run)


@contextmanager
def _trouble(world: World, trouble: str, operation: str, when: str, skip: int) -> Iterator[Fault]:
    """Put the trouble into the server; for ``refused``, shut the door while the client waits to come back."""
    counted = 0

    def where(entry: LoggedRequest) -> bool:
        nonlocal counted
        counted += 1
        return counted > skip

    fault = Fault(**TROUBLES[trouble], operation=operation, when=TIMES[when], where=where)
    world.server.faults.add(fault)
    if trouble != "refused":
        yield fault
        return
    struck, over = threading.Semaphore(0), threading.Event()

    def knock(entry: LoggedRequest) -> None:
        if entry.fault:
            struck.release()

    def door() -> None:
        while True:
            struck.acquire()
            if over.is_set():
                return
            with world.server.refuse():
                over.wait(None if when in ("all", "late") else 1.3)

    world.server.done.append(knock)
    keeper = threading.Thread(target=door)
    keeper.start()
    try:
        yield fault
    finally:
        over.set()
        struck.release()
        keeper.join()
