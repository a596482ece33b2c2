"""The lease, with terms of moments: one process writes at a time, also if the one before is killed."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from reconciler.operator import lease as leases
from reconciler.operator.cluster import Cluster
from reconciler.operator.lease import Lease
from tests.operator.conftest import NUMBERS, eventually
from tests.operator.plane import Plane


def pair(quick: Cluster) -> tuple[Lease, Lease]:
    name = f"lease-{next(NUMBERS)}"
    return Lease(quick, "default", "first", name=name), Lease(quick, "default", "second", name=name)


def in_thread(lease: Lease, said: list[str]) -> threading.Thread:
    thread = threading.Thread(target=lease.acquire, args=(said.append,), daemon=True)
    thread.start()
    return thread


def test_the_second_one_takes_over_from_a_dead_one_and_never_before(quick: Cluster) -> None:
    first, second = pair(quick)
    assert first.acquire(lambda _: None)
    assert first.held()
    assert first.since is None  # nobody wrote before
    said: list[str] = []
    thread = in_thread(second, said)
    eventually(lambda: said != [])
    assert said[0].startswith("standing by: first holds the lease default/lease-")
    first._stop.set()  # as if it were killed: it renews no more
    both = []
    until = time.monotonic() + 8
    while thread.is_alive():
        both.append(first.held() and second.held())
        assert time.monotonic() < until
        time.sleep(0.01)
    assert second.held()
    assert second.since is not None
    assert not first.held()
    assert not any(both)
    second.release()
    assert not second.held()


def test_a_released_one_is_taken_at_once(quick: Cluster) -> None:
    first, second = pair(quick)
    assert first.acquire(lambda _: None)
    first.release()
    began = time.monotonic()
    assert second.acquire(lambda _: None)
    assert time.monotonic() - began < 1.5
    second.release()


def test_who_loses_it_is_told_and_writes_no_more(quick: Cluster, cluster: Plane) -> None:
    first, _ = pair(quick)
    assert first.acquire(lambda _: None)
    path = leases.leases("default", first._name)
    cluster.patch(path, {"spec": {"holderIdentity": "somebody", "renewTime": "2026-01-01T00:00:00.000000Z"}})
    assert first.lost.wait(5)
    assert not first.held()
    first.release()
    assert cluster.call("GET", path)["spec"]["holderIdentity"] == "somebody"


def test_who_gives_up_waits_no_more(quick: Cluster) -> None:
    first, second = pair(quick)
    assert first.acquire(lambda _: None)
    thread = in_thread(second, [])
    second.give_up()
    thread.join(5)
    assert not thread.is_alive()
    assert not second.held()
    first.release()


def test_a_lease_that_somebody_annotates_is_kept(
    quick: Cluster, cluster: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair(quick)
    assert first.acquire(lambda _: None)
    call, path, puts = quick.call, leases.leases("default", first._name), list[str]()

    def annotated(method: str, *words: Any, **more: Any) -> Any:
        """Somebody annotates it between the first renewal's read and its write."""
        if method == "PUT":
            puts.append(method)
            if len(puts) == 1:
                cluster.patch(path, {"metadata": {"annotations": {"seen": "yes"}}})
        return call(method, *words, **more)

    monkeypatch.setattr(quick, "call", annotated)
    eventually(lambda: len(puts) > 2 or first.lost.is_set())
    assert first.held()
    assert cluster.call("GET", path)["metadata"]["annotations"] == {"seen": "yes"}
    first.release()


def test_a_missing_right_is_named_with_what_gives_it(cluster: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"powerless-{next(NUMBERS)}"
    meta = {"name": name, "namespace": "default"}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    token = cluster.token(f"/api/v1/namespaces/default/serviceaccounts/{name}")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(token, name)))
    access, said = Cluster(), list[str]()
    lease = Lease(access, "default", "first")
    thread = in_thread(lease, said)
    eventually(lambda: said != [])
    assert said[0].startswith("standing by: GET /apis/coordination.k8s.io/v1/namespaces/default/leases: ")
    assert "(hint: kubectl apply -k deploy/kubernetes, or upgrade the Helm release)" in said[0]
    lease.give_up()
    thread.join(5)
    access.close()
