"""The operator's pages: their YAML, the folders that they name, and the health checks of Flux and Argo CD."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.operator.conditions import REASONS
from tests.deploy.rendering import (
    BASE,
    CHART,
    KUBECTLS,
    ROOT,
    VALUES,
    charted,
    kustomized,
    needs_helm,
    needs_kubectl,
)
from tests.operator.conftest import World
from tests.operator.plane import Plane

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("operator*.md"))
PAGE = (DOCS / "operator-install.md").read_text(encoding="utf-8")

#: What the reasons of Ready are to Flux (kstatus) and to Argo CD.
HEALTH = {"True": ("current", "Healthy"), "False": ("failed", "Degraded"), "Unknown": ("", "Progressing")}


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
            for document in yaml.safe_load_all(block):
                yield page.name, document


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for _, one in documents() if one.get("kind") == kind]


def resources() -> Iterator[tuple[str, dict[str, Any]]]:
    """A resource as Flux and Argo CD see it, for each reason of its condition Ready."""
    for reason, text in REASONS["Ready"].items():
        condition = {
            "type": "Ready",
            "status": text.partition(":")[0],
            "reason": reason,
            "message": "so it is",
        }
        synced = {"type": "Synced", "status": "Unknown", "reason": "Unknown", "message": "so it is"}
        status = {"observedGeneration": 3, "conditions": [synced, condition]}
        yield reason, {"metadata": {"generation": 3}, "spec": {}, "status": status}


def wanted(reason: str) -> tuple[str, str]:
    """What the resource is to Flux and to Argo CD. A suspended one holds nothing up."""
    if reason == "Suspended":
        return "current", "Suspended"
    return HEALTH[REASONS["Ready"][reason].partition(":")[0]]


NEW = {"metadata": {"generation": 1}, "spec": {}, "status": {"observedGeneration": -1}}
CHANGED = {**dict(resources())["Succeeded"], "metadata": {"generation": 4}}


# --- Flux ----------------------------------------------------------------------------------------------------


def flux(resource: dict[str, Any]) -> str:
    """How Flux judges: in progress, failed and current, in this order."""
    import cel

    (kustomization,) = [one for one in of_kind("Kustomization") if "healthCheckExprs" in one.get("spec", {})]
    (check,) = kustomization["spec"]["healthCheckExprs"]
    assert (check["apiVersion"], check["kind"]) == ("reconciler.dev/v1alpha1", "PersonaCatalog")
    return next(
        (one for one in ("inProgress", "failed", "current") if cel.evaluate(check[one], resource)), ""
    )


@pytest.mark.parametrize("reason", REASONS["Ready"])
def test_flux_judges_by_the_condition_ready(reason: str) -> None:
    assert flux(dict(resources())[reason]) == wanted(reason)[0]


def test_to_flux_a_new_or_changed_resource_is_in_progress() -> None:
    assert flux(NEW) == flux(CHANGED) == "inProgress"


def test_a_new_resource_counts_as_not_looked_at(here: World) -> None:
    """Whoever knows nothing of PersonaCatalogs compares the generations, as kstatus does."""
    spec = {"source": {"path": "shop"}, "accountRef": {"name": "account"}}
    created = here.cluster.catalog(here.namespace, "new", spec)
    assert created["status"] == {"observedGeneration": -1}


# --- Argo CD -------------------------------------------------------------------------------------------------


def argo(resource: dict[str, Any]) -> tuple[str, str]:
    """Health and message, by the Lua code on the page."""
    import lupa

    (settings,) = of_kind("ConfigMap")
    ((name, code),) = settings["data"].items()
    assert name == "resource.customizations.health.reconciler.dev_PersonaCatalog"
    lua = lupa.LuaRuntime()
    lua.globals().obj = lua.table_from(resource, recursive=True)
    health = lua.execute(code)
    return health["status"], health["message"]


@pytest.mark.parametrize("reason", REASONS["Ready"])
def test_argo_cd_judges_by_the_condition_ready(reason: str) -> None:
    assert argo(dict(resources())[reason]) == (wanted(reason)[1], f"{reason}: so it is")


@pytest.mark.parametrize("resource", [NEW, CHANGED, {"metadata": {"generation": 1}, "spec": {}}])
def test_to_argo_cd_a_new_or_changed_resource_is_in_progress(resource: dict[str, Any]) -> None:
    assert argo(resource) == ("Progressing", "not looked at yet")


# --- the pages -----------------------------------------------------------------------------------------------


def test_what_is_applied_from_git_exists_in_this_repository() -> None:
    (release,) = of_kind("HelmRelease")
    assert (ROOT / release["spec"]["chart"]["spec"]["chart"]).resolve() == CHART
    for text in re.findall(
        r"(?<![\w/])deploy/[\w./-]+", "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    ):
        assert (ROOT / text.rstrip(".")).exists(), text


def test_sources_of_flux_are_on_the_page() -> None:
    repositories = {one["metadata"]["name"] for one in of_kind("GitRepository")}
    users = [
        one["spec"]["sourceRef"] for one in of_kind("Kustomization") if "sourceRef" in one.get("spec", {})
    ]
    users += [one["spec"]["chart"]["spec"]["sourceRef"] for one in of_kind("HelmRelease")]
    assert {one["name"] for one in users} == repositories


def test_every_catalog_on_the_pages_is_accepted(cluster: Plane) -> None:
    found = of_kind("PersonaCatalog")
    assert found
    for one in found:
        path = "/apis/reconciler.dev/v1alpha1/namespaces/default/personacatalogs?dryRun=All"
        meta = {**one["metadata"], "namespace": "default"}
        answer = cluster.send("POST", path, {**one, "metadata": meta})
        assert answer.status_code == 201, answer.text
        assert "Warning" not in answer.headers


def test_every_spec_on_the_pages_is_accepted(cluster: Plane) -> None:
    specs = [one["spec"] for _, one in documents() if set(one) == {"spec"}]
    assert specs
    for number, spec in enumerate(specs):
        body = {
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "PersonaCatalog",
            "metadata": {"name": f"example-{number}", "namespace": "default"},
            "spec": {"accountRef": {"name": "production"}, **spec},
        }
        path = "/apis/reconciler.dev/v1alpha1/namespaces/default/personacatalogs?dryRun=All"
        answer = cluster.send("POST", path, body)
        assert answer.status_code == 201, answer.text


@needs_kubectl
def test_the_overlay_is_rendered(tmp_path: Path) -> None:
    (overlay,) = [one for one in of_kind("Kustomization") if "resources" in one]
    shutil.copytree(BASE, tmp_path / "deploy" / "kubernetes")
    folder = tmp_path / "overlay"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    found = kustomized(folder, KUBECTLS[0])
    assert ("NetworkPolicy", "reconciler", "reconciler-operator") in found
    claim = found["PersistentVolumeClaim", "reconciler", "reconciler-operator"]
    assert claim["spec"]["storageClassName"] == "fast"
    pod = found["Deployment", "reconciler", "reconciler-operator"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.internal.example.com/reconciler:0.2.0"


def test_the_values_on_the_page_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    table = PAGE[PAGE.index("| value | |") : PAGE.index("Install it once")]
    cells = " ".join(re.findall(r"^\| (`[^|]*) \|", table, re.M))
    for name in re.findall(r"`([\w.]+)`", cells):
        at: Any = values
        for part in name.split("."):
            assert part in at, name
            at = at[part]
    for name in re.findall(r"`(\w+\.\w+)(?:=\w+)?`", PAGE):
        if name.partition(".")[0] in values:
            assert name.partition(".")[2] in values[name.partition(".")[0]], name


@needs_helm
def test_the_values_in_the_release_of_flux_are_valid() -> None:
    (release,) = of_kind("HelmRelease")
    assert charted(release["spec"]["values"]).keys() == charted(VALUES["default"]).keys()


def test_the_page_lists_each_alert() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "operator-alerts.yml").read_text())["groups"][0][
        "rules"
    ]
    assert re.findall(r"^\| `(Reconciler\w+)` \|", PAGE, re.M) == [rule["alert"] for rule in rules]
    (reasons,) = re.findall(r'reason=~"([\w|]+)"', rules[1]["expr"])
    assert set(reasons.split("|")) <= set(REASONS["Ready"])
    row = next(line for line in PAGE.splitlines() if "`ReconcilerResourceNotReady`" in line)
    assert all(f"`{reason}`" in row for reason in reasons.split("|"))
