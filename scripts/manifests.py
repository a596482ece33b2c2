"""Write what the Helm chart and the kustomize options share with other files of ``deploy/``; ``--check`` only compares.

The resource definitions, the rights and the alert rules each have one place: ``deploy/kubernetes`` and
``deploy/prometheus``. Helm reads no file outside of a chart, so the chart has copies.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
BASE = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm" / "reconciler-operator"
RULES = ("alerts.yml", "operator-alerts.yml")
WRITTEN = "# Written by `make manifests` from {}.\n"


def wanted() -> Iterator[tuple[Path, str]]:
    """Each file that is written, and its text."""
    for file in sorted(BASE.glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        if all(one["kind"] == "CustomResourceDefinition" for one in yaml.safe_load_all(text)):
            yield CHART / "crds" / file.name, WRITTEN.format(f"deploy/kubernetes/{file.name}") + text
    yield CHART / "files" / "rights.yaml", WRITTEN.format("deploy/kubernetes/rbac.yaml") + dump(rights())
    text = (BASE / "roles.yaml").read_text(encoding="utf-8")
    yield CHART / "files" / "roles.yaml", WRITTEN.format("deploy/kubernetes/roles.yaml") + dump(roles(text))
    for name in RULES:
        text = (DEPLOY / "prometheus" / name).read_text(encoding="utf-8")
        yield CHART / "files" / name, WRITTEN.format(f"deploy/prometheus/{name}") + text
    yield (
        BASE / "options" / "monitoring" / "alerts.yaml",
        WRITTEN.format("deploy/prometheus") + dump(alerts()),
    )


def rights() -> dict[str, Any]:
    """The rules of the roles, by the kind of the role."""
    documents = yaml.safe_load_all((BASE / "rbac.yaml").read_text(encoding="utf-8"))
    return {one["kind"]: one["rules"] for one in documents if "rules" in one}


def roles(text: str) -> dict[str, Any]:
    """The roles for people, by the end of their names: each with its labels and rules."""
    return {
        one["metadata"]["name"].removeprefix("reconciler-"): {
            "labels": one["metadata"]["labels"],
            "rules": one["rules"],
        }
        for one in yaml.safe_load_all(text)
    }


def alerts() -> dict[str, Any]:
    """The alert rules as an object of the Prometheus operator."""
    files = [yaml.safe_load((DEPLOY / "prometheus" / name).read_text(encoding="utf-8")) for name in RULES]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "reconciler-operator",
            "labels": {"app.kubernetes.io/name": "reconciler-operator"},
        },
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


def dump(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=110)


def main(*words: str) -> int:
    files = dict(wanted())
    stale = [
        file for file, text in files.items() if not file.exists() or file.read_text(encoding="utf-8") != text
    ]
    stale += sorted(set((CHART / "crds").glob("*")) - files.keys())
    for file in stale:
        if "--check" in words:
            print(f"{file.relative_to(DEPLOY.parent)} is not what `make manifests` writes")
        elif file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(files[file], encoding="utf-8")
        else:
            file.unlink()
    return 1 if stale and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
