"""What becomes of the sessions when a resource is deleted while its operator fails, or none runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.operator.conftest import Operator, World, eventually, grant_lease, next_second, start
from tests.operator.test_deleting import FINALIZER, archived, delete, finalizers, goes, live, said


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """None that runs, only a folder for catalogs: each test starts its own."""
    (tmp_path / "catalogs").mkdir()
    return Operator(None, tmp_path / "catalogs", Path(os.devnull))  # type: ignore[arg-type] # until one is started


@dataclass
class Own:
    """Starts operators for one namespace, which wait for a lagging list as long as a test can wait."""

    here: World
    folder: Path
    running: list[Operator] = field(default_factory=list)

    def start(self, name: str = "first") -> Operator:
        """An operator. Its state is in the folder ``name``."""
        words = [f"--{name}={self.here.namespace}" for name in ("namespace", "lease-namespace")]
        words.append(f"--catalogs={self.here.operator.catalogs}")
        program = ("tests.operator.child", name, "0", "1")
        found = start(self.here.cluster, self.folder / name, *words, program=program)
        self.running.append(found)
        self.here.operator = replace(found, catalogs=self.here.operator.catalogs)
        return found

    def state(self, name: str) -> Path:
        return self.folder / name / "state"


@pytest.fixture
def own(here: World, tmp_path: Path) -> Iterator[Own]:
    grant_lease(here.cluster, here.namespace)
    found = Own(here, tmp_path)
    found.start()
    yield found
    for one in found.running:
        if one.child.poll() is None:
            assert one.end() == 0
        assert "Traceback" not in one.log.read_text()


def test_a_resource_that_is_deleted_while_it_is_applied(own: Own, here: World) -> None:
    here.write(**{f"p{number}": "Be kind." for number in range(9)})
    deleted = []

    def delete_once(entry: Any) -> None:
        if entry.operation == "create_session" and len(here.rows()) > 3 and not deleted:
            deleted.append(entry)
            delete(here)

    here.server.before.append(delete_once)
    here.add(mode="Apply", deletionPolicy="Delete")
    goes(here)
    assert deleted
    assert here.rows() == {}


@pytest.mark.parametrize("disk", ["first", "empty"])
def test_an_operator_that_is_killed_is_followed_by_one_that_ends_the_removal(
    own: Own, here: World, disk: str
) -> None:
    here.write(**{f"p{number}": "Be kind." for number in range(9)})
    live(here)
    for row in here.rows().values():
        here.server.store.insert_message(row.session_id, content=f"Hello, {row.name}.")
    (first,), deletes = own.running, []

    def kill(entry: Any) -> None:
        if entry.operation == "delete_session":
            deletes.append(entry)
            if len(deletes) == 4:
                first.kill()

    here.server.done.append(kill)
    delete(here)
    eventually(lambda: first.child.poll() is not None)
    assert 0 < len(here.rows()) < 9
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{here.namespace}/leases/reconciler-operator"
    here.cluster.patch(lease, {"spec": {"holderIdentity": ""}})  # as if its term were over
    own.start(disk)
    goes(here)
    assert here.rows() == {}
    kept = archived(own.state("first"), here) | archived(own.state(disk), here)
    assert kept == {f"P{number}": [f"Hello, P{number}."] for number in range(9)}
    (told,) = said(here, "Removed")
    assert disk == "empty" or told.startswith("9 sessions of shop archived and deleted")


def test_nothing_is_written_before_the_finalizer_is_set(own: Own, here: World) -> None:
    seen = []

    def look(entry: Any) -> None:
        if entry.method != "GET":
            seen.append(finalizers(here))

    here.server.before.append(look)
    live(here)
    assert {tuple(one) for one in seen} == {(FINALIZER,)}


def test_a_resource_that_was_deleted_while_no_operator_ran(own: Own, here: World) -> None:
    """Also then, the one that stays keeps the sessions, although nothing is loaded yet."""
    live(here)
    next_second()
    here.write("copy", "shop", alice="Be rude.", bob="Be rude.")
    here.add("copy", mode="Apply")
    here.becomes("copy", Ready="Conflict")
    ids = {row.session_id for row in here.rows().values()}
    assert own.running[0].end() == 0
    delete(here)
    own.start("empty")
    goes(here)
    assert len(said(here, "Orphaned")) == 1
    here.becomes("copy", Ready="Succeeded", Synced="InSync")
    assert {row.session_id for row in here.rows().values()} == ids


def test_without_the_right_to_set_finalizers_nothing_is_written(own: Own, here: World) -> None:
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reconciler-operator"
    before = here.cluster.call("GET", role)["rules"]
    less = [
        {**rule, "verbs": [one for one in rule["verbs"] if one != "patch"]}
        if rule["resources"] == ["personacatalogs"]
        else rule
        for rule in before
    ]
    assert less != before
    here.cluster.patch(role, {"rules": less})
    try:
        here.add(mode="Apply", deletionPolicy="Delete")
        eventually(lambda: said(here, "Forbidden") != [])
        here.becomes(Synced="PlanPending")
        assert here.writes() == []
    finally:
        here.cluster.patch(role, {"rules": before})
    assert "kubectl apply -k deploy/kubernetes" in said(here, "Forbidden")[0]
