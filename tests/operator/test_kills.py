"""The kill matrix: the leading operator is killed at every single request of an apply, and another one takes over.

``make faults-operator`` runs all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest
from requests import Session

from reconciler.contract import LEAST_SETTLE
from reconciler.operator import lease
from reconciler.ownership.remark import parse_remark
from reconciler.server import LoggedRequest
from tests.faults.tally import Tally
from tests.faults.world import Killer
from tests.operator.conftest import eventually
from tests.operator.plane import Plane
from tests.operator.replicas import Replica, Stage, never_both, stage

#: How many requests an undisturbed apply makes, apart from renewals of the lock's ticket.
REQUESTS: Final = 34

#: Where the replica that takes over has its state: on the disk of the killed one, or on an empty one.
DISKS: Final = ("same", "empty")

When: TypeAlias = Literal["before", "after"]

#: What the list shows late (seconds): nothing, or each write. The settle time is longer.
LAGS: Final[dict[str, dict[str, Any]]] = {"at-once": {}, "late": {"late_seconds": 0.8, "late_changes": 0.8}}


def test_an_undisturbed_apply_makes_as_many_requests_as_the_matrix_has_rows(
    cluster: Plane, tmp_path: Path, tally: Tally
) -> None:
    with stage(cluster, tmp_path, tally) as here:
        first = here.start("first")
        here.add()
        here.becomes("Synced", "InSync")
        assert first.end() == 0
        assert len([one for one in here.requests(first) if not is_renewal(one)]) == REQUESTS
        here.judge()


def is_renewal(entry: LoggedRequest) -> bool:
    remark = parse_remark(str((entry.body or {}).get("session_remark")))
    return entry.operation == "update_session" and remark.lock is not None


@pytest.mark.full
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_killed_at_a_request_and_taken_over(
    cluster: Plane, tmp_path: Path, tally: Tally, number: int, when: When
) -> None:
    def kill(disk: str, lag: str) -> None:
        root = tmp_path / f"{disk}-{lag}"
        with stage(replace(cluster, session=Session()), root, tally, LAGS[lag]) as here:
            first, second = pair(here, disk)
            killed_in_apply(here, first, Killer(here.world.server, number, when))
            taken_over(here, first, second)

    side_by_side(kill)


@pytest.mark.parametrize(
    ("operation", "number", "when", "disk", "lag"),
    [
        ("create_session", 1, "after", "empty", "late"),  # it has the lock
        ("create_session", 2, "after", "empty", "late"),  # a session whose id it never learns
        (
            "update_session",
            1,
            "before",
            "empty",
            "at-once",
        ),  # it has archived the session, and not changed it
        ("delete_session", 1, "after", "same", "late"),
    ],
)
def test_killed_at_a_write_and_taken_over(
    cluster: Plane,
    tmp_path: Path,
    tally: Tally,
    operation: str,
    number: int,
    when: When,
    disk: str,
    lag: str,
) -> None:
    with stage(cluster, tmp_path, tally, LAGS[lag]) as here:
        first, second = pair(here, disk)
        killed_in_apply(here, first, Killer(here.world.server, number, when, operation))
        taken_over(here, first, second)


@pytest.mark.full
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 8))
def test_killed_while_it_removes_the_sessions_of_a_deleted_resource(
    cluster: Plane, tmp_path: Path, tally: Tally, number: int, when: When
) -> None:
    """At each call that deletes: six sessions and the lock."""

    def kill(disk: str, lag: str) -> None:
        root = tmp_path / f"{disk}-{lag}"
        with stage(replace(cluster, session=Session()), root, tally, LAGS[lag]) as here:
            first, second = pair(here, disk)
            here.add(deletionPolicy="Delete")
            here.becomes("Synced", "InSync")
            killer = Killer(here.world.server, number, when, "delete_session")
            killed(here, first, killer, lambda: here.cluster.call("DELETE", here.path()))
            second.says("leading")
            eventually(lambda: here.cluster.send("GET", here.path()).status_code == 404, here.logs, 30)
            assert second.end() == 0
            never_both(here, first, second)
            here.world.want([])
            here.judge()

    side_by_side(kill)


def side_by_side(kill: Callable[[str, str], None]) -> None:
    """With each disk and each lag: most of the time is spent waiting for the lease to expire."""
    with ThreadPoolExecutor() as pool:
        for one in [pool.submit(kill, disk, lag) for disk in DISKS for lag in LAGS]:
            one.result()


def taken_over(here: Stage, first: Replica, second: Replica) -> None:
    second.says("leading")
    eventually(lambda: here.requests(second) != [], here.logs)
    here.is_done()
    here.becomes("Synced", "InSync")
    assert second.end() == 0
    never_both(here, first, second)
    here.judge()


def pair(here: Stage, disk: str) -> tuple[Replica, Replica]:
    """A leading replica, and one that stands by."""
    first = here.start("first", "disk")
    first.says("leading")
    second = here.start("second", "disk" if disk == "same" else "empty")
    second.says("standing by")
    return first, second


def killed_in_apply(here: Stage, replica: Replica, killer: Killer) -> float:
    """Add the catalog, and kill the replica at a request of its apply. Returns when that was."""
    return killed(here, replica, killer, here.add)


def killed(here: Stage, replica: Replica, killer: Killer, by: Callable[[], object]) -> float:
    """Kill the replica at a request to which this leads. Returns when that was."""
    killer.aim(replica.process.pid)
    by()
    eventually(lambda: killer.struck, here.logs)
    at = time.monotonic()
    killer.put_down()
    assert replica.process.wait(10) == -9
    assert not here.world.duplicates()
    return at


@pytest.mark.full
def test_with_the_real_term_the_take_over_takes_20_seconds_at_most(
    cluster: Plane, tmp_path: Path, tally: Tally
) -> None:
    with stage(cluster, tmp_path, tally, LAGS["late"]) as here:
        here.term, here.settle = 0, 0
        first, second = pair(here, "empty")
        at = killed_in_apply(here, first, Killer(here.world.server, 2, "after", "create_session"))
        second.says("leading", 25)
        assert time.monotonic() - at <= 20
        here.term, here.settle = int(lease.TERM), LEAST_SETTLE
        taken_over(here, first, second)
