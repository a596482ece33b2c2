"""What is installed, given to a real API server: nothing is refused, nothing is unknown, and there is no warning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rendering import (
    BASE,
    CHART,
    OPTIONS,
    VALUES,
    Documents,
    kustomized,
    named,
    needs_helm,
    needs_kubectl,
)
from tests.operator.conftest import NUMBERS, World, eventually, start
from tests.operator.plane import ADMIN, Plane
from tests.operator.test_seen import metrics, status

PLURALS = {"NetworkPolicy": "networkpolicies"}
MONITORING = Path(__file__).parent / "prometheus-operator.yaml"


@pytest.fixture(scope="module")
def monitored(cluster: Plane) -> Plane:
    """The control plane with as much of the Prometheus operator's definitions as is used."""
    for document in yaml.safe_load_all(MONITORING.read_text(encoding="utf-8")):
        cluster.create(document)
    for plural in ("servicemonitors", "prometheusrules"):
        path = f"/apis/monitoring.coreos.com/v1/{plural}"
        eventually(lambda path=path: cluster.send("GET", path).status_code == 200)  # type: ignore[misc]
    return cluster


def applied(cluster: Plane, document: dict[str, Any]) -> dict[str, Any]:
    """A document as the API server takes it: applied on the server, which refuses fields that it does not know."""
    kind, api, meta = document["kind"], document["apiVersion"], document["metadata"]
    plural = PLURALS.get(kind, kind.lower() + "s")
    inside = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    root = "/api/v1" if api == "v1" else f"/apis/{api}"
    path = f"{root}{inside}/{plural}/{meta['name']}?fieldManager=test&force=true&dryRun=All"
    answer = cluster.send("PATCH", path, document, "application/apply-patch+yaml")
    assert answer.status_code < 300, answer.text
    assert "Warning" not in answer.headers
    found: dict[str, Any] = answer.json()
    return found


def check(cluster: Plane, documents: Documents) -> None:
    for _, namespace, _ in documents:
        if namespace:
            cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for document in documents.values():
        found = applied(cluster, document)
        if document["apiVersion"] == "monitoring.coreos.com/v1":
            assert found["spec"] == document["spec"]  # the rest would be a field that there is not


@needs_kubectl
@pytest.mark.parametrize("folder", [BASE, *OPTIONS], ids=lambda folder: folder.name)
def test_kustomize_is_accepted(folder: Path, monitored: Plane) -> None:
    check(monitored, kustomized(folder))


@pytest.fixture
def helm(cluster: Plane, tmp_path: Path) -> Iterator[Any]:
    """Helm in a namespace of its own."""
    import helm_python

    namespace = f"platform-{next(NUMBERS)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    file = cluster.kubeconfig(ADMIN, namespace)
    with helm_python.Config(kubeconfig_path=file, namespace=namespace) as found:
        found.namespace = namespace
        yield found


@needs_helm
@pytest.mark.parametrize("name", VALUES)
def test_helm_is_accepted(name: str, helm: Any, monitored: Plane) -> None:
    release = helm.install(CHART, "personas", VALUES[name], namespace=helm.namespace, dry_run="server")
    documents = named(yaml.safe_load_all(release["manifest"]))
    assert len(documents) >= 6
    check(monitored, documents)


@needs_helm
def test_helm_installs_upgrades_and_uninstalls(here: World, helm: Any, tmp_path: Path) -> None:
    """The operator runs with the rights that the chart gives it for one namespace."""
    here.add()
    here.becomes(Synced="PlanPending")
    values = {"namespaces": [here.namespace]}
    helm.install(CHART, "personas", values, namespace=helm.namespace)
    account = f"/api/v1/namespaces/{helm.namespace}/serviceaccounts/personas-reconciler-operator"
    words = (f"--namespace={here.namespace}", f"--lease-namespace={helm.namespace}")
    operator = start(here.cluster, tmp_path / "operator", *words, account=account)
    try:
        one = 'reconciler_operator_resources{reason="Failing"}'  # its folder of catalogs is empty
        eventually(lambda: status(operator, "/readyz") == 200 and metrics(operator).get(one, 0) == 1)
        assert operator.end() == 0
    finally:
        operator.kill()
    helm.upgrade(CHART, "personas", {**values, "log": {"format": "text"}}, namespace=helm.namespace)
    deployments = f"/apis/apps/v1/namespaces/{helm.namespace}/deployments"
    (deployment,) = here.cluster.call("GET", deployments)["items"]
    assert "--log-format=text" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    helm.uninstall("personas")
    assert here.cluster.call("GET", deployments)["items"] == []
    claims = here.cluster.call("GET", f"/api/v1/namespaces/{helm.namespace}/persistentvolumeclaims")["items"]
    assert [one["metadata"]["name"] for one in claims] == [
        "personas-reconciler-operator"
    ]  # journals and archives
    assert here.get()["spec"]["accountRef"] == {"name": "account"}  # the definition and the resources stay
    assert here.writes() == []
