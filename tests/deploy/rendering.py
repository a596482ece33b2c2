"""What is installed in a cluster, rendered by the programs that render it: kubectl and Helm."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kubernetes"
CHART = ROOT / "deploy" / "helm" / "reconciler-operator"
OPTIONS = sorted(file.parent for file in BASE.glob("options/*/kustomization.yaml"))

#: The installed one, and perhaps Debian's, which has kustomize 2.0.3.
KUBECTLS = [one for one in (shutil.which("kubectl"), os.environ.get("RECONCILER_KUBECTL")) if one]
needs_kubectl = pytest.mark.skipif(not KUBECTLS, reason="there is no kubectl here")
needs_helm = pytest.mark.skipif(
    find_spec("helm_python") is None, reason="there is no Helm here: `make charts`"
)

#: Values of the chart that the tests render, by name: each option, and all of them together.
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "namespaces": {"namespaces": ["team-one", "team-two"]},
    "standby": {"replicas": 2, "persistence": {"enabled": False}, "podDisruptionBudget": {"enabled": True}},
    "shared-volume": {"replicas": 2, "persistence": {"accessMode": "ReadWriteMany", "storageClass": "nfs"}},
    "shards": {"shards": 3, "replicas": 2, "persistence": {"enabled": False}},
    "shards-with-volumes": {"shards": 2},
    "own-claim": {"persistence": {"existingClaim": "journals"}},
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "http": {"token": {"secret": "reconciler-token"}},
    },
    "network": {
        "networkPolicy": {
            "enabled": True,
            "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        }
    },
    "archive": {
        "replicas": 2,
        "persistence": {"enabled": False},
        "archive": {
            "s3": "s3://personas/production",
            "endpoint": "https://s3.example.com",
            "secret": "bucket",
        },
        "serviceAccount": {
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/personas"}
        },
    },
    "catalogs": {"catalogs": {"configMap": {"name": "personas"}}, "log": {"format": "text"}},
    "pod": {
        "image": {"repository": "registry.example.com/personas", "digest": "sha256:" + 64 * "0"},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccount": {"name": "personas", "annotations": {"example.com/role": "personas"}},
        "persistence": {"keep": False},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "high",
        "podAnnotations": {"example.com/note": "personas"},
        "podLabels": {"team": "personas"},
        "extraArgs": ["--lease-namespace=reconciler"],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "extraVolumes": [{"name": "known-hosts", "configMap": {"name": "known-hosts"}}],
        "extraVolumeMounts": [{"name": "known-hosts", "mountPath": "/etc/ssh"}],
    },
}

#: A document by its kind, namespace (empty if the cluster has no namespaces for it) and name.
Documents = dict[tuple[str, str, str], dict[str, Any]]


def named(documents: Iterable[dict[str, Any] | None]) -> Documents:
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in documents
        if one
    }


def kustomized(folder: Path, kubectl: str = "") -> Documents:
    """What `kubectl apply -k` would apply."""
    words = [kubectl or KUBECTLS[0], "kustomize", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not done.stderr
    return named(yaml.safe_load_all(done.stdout))


def charted(
    values: dict[str, Any], *, name: str = "reconciler-operator", namespace: str = "reconciler"
) -> Documents:
    """What `helm install` would create, without the resource definitions, which Helm takes from crds/."""
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values, name=name, namespace=namespace)
    return named(
        document
        for file, text in files.items()
        if file.endswith(".yaml")
        for document in yaml.safe_load_all(text)
    )


def definitions() -> Documents:
    """The resource definitions in the chart."""
    texts = (file.read_text(encoding="utf-8") for file in sorted((CHART / "crds").glob("*.yaml")))
    return named(document for text in texts for document in yaml.safe_load_all(text))
