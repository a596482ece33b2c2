"""What the operator keeps in memory and in threads is bounded by what the cluster has. Needs no control plane."""

from __future__ import annotations

import base64
import gc
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.controller.events import Event
from reconciler.operator import reporting
from reconciler.operator import runner as runners
from reconciler.operator import source as sources
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.fleet import Fleet
from reconciler.operator.inputs import Inputs
from reconciler.operator.lease import Lease
from reconciler.operator.plans import Plans
from reconciler.operator.removal import Finalizers
from reconciler.operator.reporting import Reporter
from reconciler.operator.resource import Account, read_resource
from reconciler.operator.shards import WHOLE, Accounts
from reconciler.operator.source import make_source
from reconciler.s3.bucket import Bucket, Place
from reconciler.s3.store import S3Stores
from reconciler.server import RunningServer
from tests.operator.conftest import eventually
from tests.support import API_KEY


def resource(namespace: str) -> dict[str, Any]:
    meta = {
        "uid": namespace,
        "namespace": namespace,
        "name": "shop",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    spec = {"source": {"path": "shop"}, "accountRef": {"name": "account"}, "mode": "Apply"}
    return {"kind": "PersonaCatalog", "metadata": meta, "spec": {**spec, "deletionPolicy": "Delete"}}


def secret(namespace: str, url: str) -> dict[str, Any]:
    data = {
        name: base64.b64encode(text.encode()).decode()
        for name, text in {"endpoint": url, "key": API_KEY}.items()
    }
    return {"kind": "Secret", "metadata": {"namespace": namespace, "name": "account"}, "data": data}


class Deaf(Cluster):
    """An API server that refuses every call."""

    def __init__(self, status: int, message: str) -> None:
        self._refusal = status, message

    def call(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise ClusterError(*self._refusal)


FORBIDDEN = "events is forbidden: the service account cannot create it"


def test_accounts_that_are_gone_leave_no_threads(
    tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "_QUIET", 0.0)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "catalog.yaml").write_text("version: 1\ncatalog: shop\n")
    lease = Lease(Deaf(500, "not now"), "default", "process_1")
    fleet = Fleet(tmp_path / "state", tmp_path, lease, [], Inputs(lambda path: {}), lambda text: None)
    fleet.start()
    names = [f"preview-{number}" for number in range(5)]
    for name in names:
        fleet.secret(secret(name, server.url))
        fleet.resource(resource(name))
        eventually(lambda: len(fleet.controllers()) == 1)
        if name != names[-1]:
            fleet.gone(name)
            eventually(lambda: fleet.controllers() == [])

    def threads() -> list[str]:
        return sorted(one.name for one in threading.enumerate() if one.name.startswith("runner preview-"))

    # The one before the last may have ended too late for the last to make room.
    eventually(
        lambda: set(threads()) <= {f"runner {name}/account" for name in names[-2:]}, lambda: str(threads())
    )
    fleet.stop()
    assert fleet.controllers() == []


def test_a_resource_without_a_secret_takes_no_thread(tmp_path: Path) -> None:
    lease = Lease(Deaf(500, "not now"), "default", "process_1")
    fleet = Fleet(tmp_path / "state", tmp_path, lease, [], Inputs(lambda path: {}), lambda text: None)
    fleet.start()
    fleet.resource(resource("orphan"))
    assert not [one for one in threading.enumerate() if one.name.startswith("runner orphan")]
    (found,) = fleet.resources()
    status = fleet.status(found)
    assert status is not None and status["conditions"][0]["reason"] == "AccountMissing"
    fleet.stop()


def test_keys_that_were_replaced_are_forgotten() -> None:
    accounts = Accounts(WHOLE)
    for number in range(3):
        accounts.put("team/account", Account("https://a.example.com", f"sk-{number}", ""))
    assert [key for _, key in accounts._groups] == ["sk-2"]
    accounts.put("team/account", None)
    assert accounts._groups == {}


def test_a_store_that_nobody_uses_is_forgotten(tmp_path: Path) -> None:
    stores = S3Stores(Bucket(Place("bucket", ""), None), lambda: True)
    one = stores.of("team/shop", tmp_path)
    assert stores.of("team/shop", tmp_path) is one
    del one
    gc.collect()
    assert len(stores._stores) == 0


def test_namespaces_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    spec = {"git": {"url": "https://git.example.com/a.git"}}
    one, other = (make_source("preview-9", spec, tmp_path, None, Inputs(lambda path: {})) for _ in range(2))
    assert "preview-9" in sources._turns
    del one, other
    gc.collect()
    assert "preview-9" not in sources._turns


def test_finalizers_that_could_not_be_set_are_forgotten_with_their_resources() -> None:
    told: list[str] = []
    finalizers = Finalizers(
        Deaf(403, "it is forbidden"), lambda one, kind, reason, message: told.append(message)
    )
    fleet: Any = None
    finalizers.handle(fleet, read_resource(resource("team")))
    assert told == ["it is forbidden"]
    finalizers.handle(fleet, read_resource(resource("team")))
    assert len(told) == 1  # it is not tried again at once
    finalizers.forget([])
    assert finalizers._forbidden == {}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (FORBIDDEN, [f"an event of team/shop is not taken: {FORBIDDEN}"]),
        (
            "events is forbidden: unable to create new content in namespace team because it is being terminated",
            [],
        ),
    ],
    ids=["the right is missing", "the namespace ends"],
)
def test_an_event_that_is_refused_is_told_unless_the_namespace_ends(message: str, said: list[str]) -> None:
    cluster, found = Deaf(403, message), list[str]()
    reporter = Reporter(cluster, Plans(cluster), lambda: True, found.append)
    reporter._post(read_resource(resource("team")), "Normal", "Applied", "1 applied")
    assert found == said


def test_an_event_that_is_never_taken_does_not_keep_the_cluster_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_RESYNC", 0.0)
    cluster, read = Deaf(500, "a webhook fails"), threading.Event()
    lease = Lease(cluster, "default", "process_1")
    fleet = Fleet(tmp_path / "state", tmp_path, lease, [], Inputs(lambda path: {}), lambda text: None)
    fleet.resource(resource("team"))
    reporter = Reporter(cluster, Plans(cluster), lambda: True, lambda text: None)
    reporter(Event("applied", datetime.now(UTC), "mark", "team/shop", message="1 applied"))
    thread = threading.Thread(target=reporter.run, args=(fleet, read.set), daemon=True)
    thread.start()
    assert read.wait(5)
    reporter.stop()
    thread.join(5)
    assert not thread.is_alive()
