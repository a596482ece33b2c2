"""Faults of the control plane: nothing is written twice, and nothing is forgotten."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from reconciler.operator import lease as leases
from reconciler.server import Fault, LoggedRequest
from tests.faults.tally import Tally
from tests.faults.world import NEW, write_catalog
from tests.operator.conftest import eventually, installed_plane, quiet
from tests.operator.gate import GONE, Asked, Gate, gate
from tests.operator.plane import Plane
from tests.operator.replicas import TERM, Replica, Stage, stage

#: The term of a lease that outlasts a fault (seconds): that of the product.
LONG = 15


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane of these tests' own, which they may break."""
    with installed_plane(tmp_path_factory.mktemp("broken")) as found:
        yield found


@pytest.fixture
def door(cluster: Plane) -> Iterator[Gate]:
    with gate(cluster) as found:
        yield found


@pytest.fixture
def here(cluster: Plane, door: Gate, tmp_path: Path, tally: Tally) -> Iterator[Stage]:
    with stage(cluster, tmp_path, tally, term=LONG, api=door.url) as found:
        yield found


def watch(asked: Asked) -> bool:
    return asked.watch


def test_what_happens_while_no_connection_stands_is_seen_afterwards(here: Stage, door: Gate) -> None:
    first = leading(here)
    observed(here, "extra")
    here.becomes("Synced", "PlanPending", name="extra")
    with door.closed():
        began = time.time()
        changed_meanwhile(here)
        time.sleep(2)
    seen_afterwards(here)
    few(door.since(began), time.time() - began)
    ended_well(here, first)


def test_what_was_deleted_before_the_history_of_a_watch_is_noticed(here: Stage, door: Gate) -> None:
    """The watches are cut, and can't go on where they were. No watch tells any more what was deleted."""
    first = leading(here)
    observed(here, "extra")
    here.becomes("Synced", "PlanPending", name="extra")
    with door.answering(lambda asked: 0 if asked.watch else None):
        door.cut(watch)
        here.cluster.call("DELETE", here.path("extra"))
    told: set[str] = set()

    def gone(asked: Asked) -> bytes | None:
        path = asked.path.partition("?")[0]
        if not asked.watch or path in told:
            return None
        told.add(path)
        return GONE

    with door.answering(gone):
        left_alone(here)
    assert len(told) == 3
    ended_well(here, first)


def test_a_watch_that_is_silent_is_given_up(here: Stage, door: Gate) -> None:
    """Its connection stands, and nothing comes any more: as if a firewall had forgotten it."""
    here.term = 3  # silence counts as an end after 6 seconds then
    first = leading(here)
    observed(here, "extra")
    here.becomes("Synced", "PlanPending", name="extra")
    began = time.time()
    with door.stalled(lambda asked: watch(asked) and asked.time < began):
        changed_meanwhile(here)
        seen_afterwards(here)
    few(door.since(began), time.time() - began)
    ended_well(here, first)


def leading(here: Stage) -> Replica:
    """A replica that leads, and has applied the catalog."""
    here.add()
    first = here.start("first")
    here.becomes("Synced", "InSync")
    return first


def observed(here: Stage, name: str, interval: str = "1s") -> None:
    """A resource that is looked at and not written, with a catalog of its own."""
    write_catalog(here.root / name, [NEW[5]], catalog=name)
    here.add(name, source={"path": name}, mode="Observe", interval=interval)


def changed_meanwhile(here: Stage) -> None:
    """Change the Secret, create a resource, delete one, and change one, without the operator's connections."""
    secret = f"/api/v1/namespaces/{here.namespace}/secrets/account"
    other = base64.b64encode(f"{here.world.server.url}/".encode()).decode()
    here.cluster.patch(secret, {"data": {"endpoint": other}})
    here.cluster.call("DELETE", here.path("extra"))
    here.cluster.patch(here.path(), {"spec": {"suspend": True}})
    observed(here, "later", interval="1h")


def seen_afterwards(here: Stage, seconds: float = 20) -> None:
    here.becomes("Ready", "Suspended", seconds)
    here.becomes("Synced", "PlanPending", seconds, "later")
    left_alone(here)


def left_alone(here: Stage) -> None:
    """The deleted resource, which was looked at each second, is not any more."""
    gone = "a deleted resource is looked at\n"
    eventually(lambda: quiet(here.world.server, 2.5), lambda: gone + here.logs(), 30)


def few(asked: list[Asked], seconds: float) -> None:
    """No busy loop: a few requests a second, whatever fails."""
    assert len(asked) < 20 + 6 * seconds, f"{len(asked)} in {seconds:.1f} s"


def ended_well(here: Stage, *replicas: Replica) -> None:
    for one in replicas:
        assert one.end() == 0
    here.judge()
    assert "Traceback" not in here.logs()


def test_the_api_server_is_restarted_in_the_middle_of_an_apply(
    here: Stage, door: Gate, cluster: Plane
) -> None:
    """It comes back without the history of the watches: what was deleted in between is in no watch (410 Gone)."""
    here.term = 60  # a busy machine may take long to start it
    first = here.start("first")
    observed(here, "extra")
    here.becomes("Synced", "PlanPending", name="extra")
    began = time.time()
    with before_the_deletes(here):
        with door.stalled(watch):
            here.cluster.call("DELETE", here.path("extra"))
            forget_history(cluster)
            cluster.server.kill()
        cluster.server.start()
        cluster.wait()
    here.is_done()
    here.becomes("Synced", "InSync", 30)
    eventually(lambda: "Applied" in here.events(), here.logs)
    left_alone(here)
    few(door.since(began), time.time() - began)
    ended_well(here, first)


def forget_history(cluster: Plane) -> None:
    """Let etcd forget all but the newest revision of everything, as it does every few minutes."""

    def ask(path: str, body: dict[str, Any]) -> Any:
        answer = requests.post(f"{cluster.etcd_url}/v3/kv/{path}", json=body, timeout=5)
        answer.raise_for_status()
        return answer.json()

    revision = ask("range", {"key": base64.b64encode(b"any").decode()})["header"]["revision"]
    ask("compaction", {"revision": revision, "physical": True})


@contextmanager
def before_the_deletes(here: Stage) -> Iterator[None]:
    """The apply has begun, and reads the messages of what it is to delete; they come when the block ends."""

    def where(entry: LoggedRequest) -> bool:
        begun = any(one.operation == "create_session" for one in here.world.server.log)
        return begun and entry.operation == "list_messages"

    faults = here.world.server.faults
    fault = faults.add(Fault("hang", where=where))
    here.add()
    eventually(lambda: faults.struck(fault) > 0, here.logs)
    try:
        yield
    finally:
        faults.remove(fault)
        faults.release()


@pytest.mark.parametrize("how", ["refused", pytest.param("silent", marks=pytest.mark.full)])
def test_without_its_lease_a_replica_stops_to_write_and_ends(here: Stage, door: Gate, how: str) -> None:
    """In the middle of an apply. Everything but the lease works. Another replica goes on when the term is over."""
    here.term = TERM
    first = here.start("first")
    first.says("leading")

    def lease(asked: Asked) -> bool:
        return asked.lease and asked.by == "first"

    with before_the_deletes(here):
        began = time.time()
        with (
            door.stalled(lease)
            if how == "silent"
            else door.answering(lambda one: 500 if lease(one) else None)
        ):
            first.says("stopping: the lease was lost: ", 25)
    assert first.process.wait(20) == 1
    assert first.said("the lease was lost, so another process may write now: ")
    last = max(one.time for one in here.writes(first))
    assert last < began + here.term * leases.WRITES_FOR / leases.TERM
    assert list(here.world.differences()) != []
    second = here.start("second")
    here.is_done()
    here.becomes("Synced", "InSync")
    assert last + here.settle < min(one.time for one in here.writes(second))
    ended_well(here, second)


@pytest.mark.full
def test_etcd_is_slow(here: Stage, door: Gate, cluster: Plane) -> None:
    """Twice in the middle of an apply, each time for less than the lease can wait."""
    first = here.start("first")
    first.says("leading")
    began = time.time()
    with before_the_deletes(here):
        for _ in range(2):
            with cluster.etcd.suspended():
                time.sleep(3)
            cluster.wait()
    here.is_done()
    here.becomes("Synced", "InSync")
    few(door.since(began), time.time() - began)
    assert not first.said("the lease was lost")
    ended_well(here, first)


def test_etcd_is_too_slow(here: Stage, cluster: Plane) -> None:
    """The lease can't be renewed in time. Whoever is started next goes on."""
    here.term = TERM
    first = here.start("first")
    first.says("leading")
    with before_the_deletes(here), cluster.etcd.suspended():
        first.says("stopping: the lease was lost: ", 25)
    assert first.process.wait(30) == 1
    cluster.wait()
    second = here.start("second")
    here.is_done()
    here.becomes("Synced", "InSync")
    ended_well(here, second)


@pytest.mark.full
@pytest.mark.parametrize("status", [500, 429])
def test_the_api_server_refuses_everything_for_a_while(here: Stage, door: Gate, status: int) -> None:
    """From the start: nothing ends, and all is done when it is over."""
    with door.answering(lambda asked: status):
        first = here.start("first")
        first.says("standing by: ")
    first.says("leading")
    here.add()
    here.becomes("Synced", "InSync")
    observed(here, "extra")
    here.becomes("Synced", "PlanPending", name="extra")
    began = time.time()
    with door.answering(lambda asked: None if asked.lease else status):
        door.cut(watch)
        changed_meanwhile(here)
        time.sleep(4)
    few(door.since(began), time.time() - began)
    seen_afterwards(here)
    ended_well(here, first)


def test_a_start_into_an_outage(here: Stage, door: Gate) -> None:
    """It holds the lease, and can't read the resources yet."""
    here.add()
    with door.answering(lambda asked: 503 if "personacatalogs" in asked.path else None):
        first = here.start("first")
        first.says("trying again: ")
    here.becomes("Synced", "InSync")
    ended_well(here, first)


@pytest.mark.full
def test_one_refused_status_does_not_keep_the_others_from_being_written(here: Stage, door: Gate) -> None:
    here.add()
    observed(here, "extra")
    with door.answering(lambda asked: 403 if asked.path.endswith("/shop/status") else None):
        began = time.time()
        first = here.start("first")
        here.becomes("Synced", "PlanPending", name="extra")
        first.says(f"{here.namespace}/shop can't be reported: ")
        time.sleep(2)
    assert len(door.since(began, lambda asked: asked.path.endswith("/shop/status"))) < 3
    here.is_done()
    assert first.end() == 0
    here.judge()
