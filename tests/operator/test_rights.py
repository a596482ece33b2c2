"""What the operator can do without some of its rights, and what it says then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.operator.conftest import NUMBERS, OTHER, World, documents, eventually, start
from tests.operator.plane import Plane
from tests.support import API_KEY


def service_account(cluster: Plane, namespace: str, *names: str) -> str:
    """A service account with the rights of these manifests in the namespace, and no other rights."""
    who = f"narrow-{next(NUMBERS)}"
    meta = {"name": who, "namespace": namespace}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/{who}"
    for name in names:
        bind(cluster, namespace, account, *documents(name))
    return account


def bind(cluster: Plane, namespace: str, account: str, *manifests: dict[str, Any]) -> None:
    """Create Roles and RoleBindings in a namespace, for a service account in place of the operator's."""
    *_, home, _, who = account.split("/")
    for one in manifests:
        if one["kind"] == "RoleBinding":
            one["subjects"] = [{"kind": "ServiceAccount", "name": who, "namespace": home}]
        if one["kind"] in ("Role", "RoleBinding"):
            cluster.create(one, namespace)


def test_single_namespaces_need_no_rights_beyond_them(alone: World, tmp_path: Path) -> None:
    """In one of two namespaces, the operator may not even report: that does not keep it from the other one."""
    account = service_account(
        alone.cluster, alone.namespace, "rbac.yaml", "options/namespaced/role-binding.yaml"
    )
    other = replace(alone, namespace=f"{alone.namespace}-more")
    alone.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other.namespace}})
    role = next(one for one in documents("rbac.yaml") if one["kind"] == "ClusterRole")
    role |= {"kind": "Role"}
    role["rules"] = [one for one in role["rules"] if "personacatalogs/status" not in one["resources"]]
    (binding,) = documents("options/namespaced/role-binding.yaml")
    binding["roleRef"]["kind"] = "Role"
    bind(alone.cluster, other.namespace, account, role, binding)
    for world in (other, alone):
        world.secret(key=OTHER if world is other else API_KEY)
        world.write(alice="Be kind.")
        world.add(mode="Apply")
    words = [f"--namespace={alone.namespace}", f"--namespace={other.namespace}"]
    words += [f"--lease-namespace={alone.namespace}", f"--catalogs={alone.operator.catalogs}"]
    operator = start(alone.cluster, tmp_path / "operator", *words, account=account)
    try:
        eventually(lambda: "can't be reported" in operator.log.read_text(), operator.log.read_text)
        alone.becomes(Synced="InSync")
        alone.secret("later")
        alone.spec(accountRef={"name": "later"}, mode="Observe")  # by the watch
        alone.becomes(Synced="InSync")
        log = operator.log.read_text()
        assert f"{other.namespace}/shop can't be reported: PATCH " in log
        assert log.count("can't be reported") == 1
        assert operator.end() == 0
    finally:
        operator.kill()


def test_without_the_right_to_list_it_ends_with_a_sentence(alone: World, tmp_path: Path) -> None:
    account = service_account(
        alone.cluster, alone.namespace, "rbac.yaml"
    )  # its binding to the cluster's role is missing
    words = (f"--namespace={alone.namespace}", f"--lease-namespace={alone.namespace}")
    operator = start(alone.cluster, tmp_path / "operator", *words, account=account)
    assert operator.child.wait(20) == 1
    log = operator.log.read_text()
    assert "leading" in log
    assert "is forbidden" in log
    assert "Traceback" not in log
