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

from reconciler.server import Fault
from tests.faults.tally import Tally
from tests.faults.world import NEW, write_catalog
from tests.operator.conftest import eventually, installed_plane
from tests.operator.gate import Asked, Gate, gate
from tests.operator.plane import Plane
from tests.operator.replicas import Replica, Stage, stage

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
    eventually(lambda: quiet(here), lambda: f"a deleted resource is looked at\n{here.logs()}")


def quiet(here: Stage) -> bool:
    """Whether nobody looks at the service for longer than the interval of the resource that was deleted."""
    count = len(here.world.server.log)
    time.sleep(2.5)
    return len(here.world.server.log) == count


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
    first = here.start("first")
    observed(here, "extra")
    here.becomes("Synced", "PlanPending", name="extra")
    began = time.time()
    with in_the_middle(here, "update_session"):
        with door.stalled(watch):
            here.cluster.call("DELETE", here.path("extra"))
            forget_history(cluster)
            cluster.server.kill()
        cluster.server.start()
        cluster.wait()
    here.is_done()
    here.becomes("Synced", "InSync", 30)
    eventually(lambda: "Applied" in here.events(), here.logs)
    eventually(lambda: quiet(here), lambda: f"a deleted resource is looked at\n{here.logs()}", 30)
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
def in_the_middle(here: Stage, operation: str) -> Iterator[None]:
    """The service is at the first call of this kind, and answers it when the block ends."""
    faults = here.world.server.faults
    fault = faults.add(Fault("hang", operation=operation, when="first"))
    here.add()
    eventually(lambda: faults.struck(fault) > 0, here.logs)
    try:
        yield
    finally:
        faults.remove(fault)
        faults.release()
