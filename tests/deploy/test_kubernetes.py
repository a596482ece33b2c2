"""The kustomize base and its options, and the Helm chart: rendered, compared with each other, without privileges."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from reconciler import __version__
from reconciler.cli.commands.operator import command
from reconciler.operator.shards import parse_shard
from tests.deploy.rendering import (
    BASE,
    CHART,
    KUBECTLS,
    OPTIONS,
    ROOT,
    VALUES,
    Documents,
    charted,
    definitions,
    kustomized,
    needs_helm,
    needs_kubectl,
)
from tests.deploy.test_deploy import needs_promtool, promtool

OPERATOR_RULES = ROOT / "deploy" / "prometheus" / "operator-alerts.yml"


def rendered() -> Iterator[tuple[str, Any]]:
    """A name and what renders it, for each variant of what is installed."""
    yield "kustomize base", lambda: kustomized(BASE)
    for folder in OPTIONS:
        yield f"kustomize {folder.name}", lambda folder=folder: {**kustomized(BASE), **kustomized(folder)}
    for name, values in VALUES.items():
        yield f"helm {name}", lambda values=values: charted(values)


@pytest.fixture(params=[name for name, _ in rendered()])
def variant(request: pytest.FixtureRequest) -> Documents:
    tool = str(request.param).partition(" ")[0]
    if (mark := {"kustomize": needs_kubectl, "helm": needs_helm}[tool]).args[0]:
        pytest.skip(mark.kwargs["reason"])
    found: Documents = dict(rendered())[request.param]()
    return found


def workloads(documents: Documents) -> list[dict[str, Any]]:
    """What has pods."""
    return of_kind(documents, "Deployment") + of_kind(documents, "StatefulSet")


def of_kind(documents: Documents, kind: str) -> list[dict[str, Any]]:
    return [one for (found, _, _), one in documents.items() if found == kind]


# --- one source ----------------------------------------------------------------------------------------------


def test_what_the_chart_shares_is_written_by_make_manifests() -> None:
    words = [sys.executable, str(ROOT / "scripts" / "manifests.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_changed_copy_is_named(tmp_path: Path) -> None:
    for folder in ("deploy", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    definition, alerts = (
        tmp_path / "deploy" / "helm" / "reconciler-operator" / "crds" / "crd.yaml",
        tmp_path / "deploy" / "kubernetes" / "options" / "monitoring" / "alerts.yaml",
    )
    definition.unlink()
    alerts.write_text("changed")
    (definition.parent / "old.yaml").write_text("old")
    words = [sys.executable, str(tmp_path / "scripts" / "manifests.py")]
    done = subprocess.run([*words, "--check"], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.findall(r"^\S+/(\S+\.yaml) is not what", done.stdout, re.MULTILINE) == [
        "crd.yaml",
        "alerts.yaml",
        "old.yaml",
    ]
    subprocess.run(words, check=True)
    assert subprocess.run([*words, "--check"], capture_output=True, check=False).returncode == 0


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    for folder in (BASE, *OPTIONS):
        images = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8")).get("images", [])
        assert all(one["newTag"] == __version__ for one in images), folder


@needs_kubectl
@needs_helm
def test_helm_and_kustomize_install_the_same() -> None:
    base, chart = kustomized(BASE), charted({})
    base = {key: one for key, one in base.items() if key[0] not in ("Namespace", "CustomResourceDefinition")}
    for kind, _, name in list(base):
        if (
            kind == "ClusterRole" and name != "reconciler-operator"
        ):  # those for people, as kustomize names them
            own = "reconciler-operator-" + name.removeprefix("reconciler-")
            base[kind, "", own] = base.pop((kind, "", name))
            base[kind, "", own]["metadata"]["name"] = own
    assert {key: bare(one) for key, one in chart.items()} == {key: bare(one) for key, one in base.items()}
    assert definitions() == {
        key: one for key, one in kustomized(BASE).items() if key[0] == "CustomResourceDefinition"
    }


@needs_kubectl
@needs_helm
def test_the_options_of_helm_and_kustomize_are_the_same() -> None:
    options = {
        key: one
        for folder in ("monitoring", "network-policy")
        for key, one in kustomized(BASE / "options" / folder).items()
    }
    enabled = {"enabled": True}
    chart = charted({"serviceMonitor": enabled, "prometheusRule": enabled, "networkPolicy": enabled})
    added = {key: one for key, one in chart.items() if key not in charted({})}
    assert {key: bare(one) for key, one in added.items()} == {key: bare(one) for key, one in options.items()}


def bare(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what one of the two tools adds: labels, the policy to keep a volume, and the default of
    imagePullPolicy for an image with a version."""
    found = copy.deepcopy(document)
    found["metadata"].pop("annotations", None)
    labels = found["metadata"].pop("labels", {})
    aggregated = {name: value for name, value in labels.items() if name.startswith("rbac.")}
    if aggregated:
        found["metadata"]["labels"] = aggregated
    spec = found.get("spec", {})
    for holder in (
        spec.get("selector", {}).get("matchLabels"),
        spec.get("selector"),
        spec.get("podSelector", {}).get("matchLabels"),
        spec.get("template", {}).get("metadata", {}).get("labels"),
    ):
        if holder is not None:
            holder.pop("app.kubernetes.io/instance", None)
    for container in spec.get("template", {}).get("spec", {}).get("containers", ()):
        if container.get("imagePullPolicy") == "IfNotPresent":
            del container["imagePullPolicy"]
    return found


# --- kustomize -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(len(KUBECTLS) < 2, reason="there is one kubectl here")
@pytest.mark.parametrize("folder", [BASE, *OPTIONS], ids=lambda folder: folder.name)
def test_old_and_new_kustomize_render_the_same(folder: Path) -> None:
    new, old = (kustomized(folder, kubectl) for kubectl in KUBECTLS)
    assert old == new


@needs_kubectl
def test_a_shard_has_the_pod_of_the_base() -> None:
    (deployment,) = workloads(kustomized(BASE))
    (shards,) = workloads(kustomized(BASE / "options" / "shards"))
    one, other = (found["spec"]["template"]["spec"] for found in (deployment, shards))
    (variable,) = [each for each in other["containers"][0].pop("env") if each["name"] == "RECONCILER_SHARD"]
    assert parse_shard(variable["value"].replace("$(POD_NAME)", "reconciler-operator-1")).count == 2
    assert shards["spec"]["replicas"] == 2
    one["volumes"] = [each for each in one["volumes"] if each["name"] != "state"]
    assert other == one


@needs_kubectl
def test_everything_of_the_base_is_in_one_namespace() -> None:
    alone = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    for folder in (BASE, *OPTIONS):
        inside = "bookshop" if folder.name == "namespaced" else "reconciler"
        for kind, namespace, _ in kustomized(folder):
            assert namespace == ("" if kind in alone else inside)


# --- Helm ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_the_values_fit_their_schema(values: dict[str, Any]) -> None:
    """Without Helm, too."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    given = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for name, value in values.items():
        given[name] = {**given[name], **value} if isinstance(value, dict) else value
    jsonschema.validate(given, schema, jsonschema.Draft7Validator)


@needs_helm
@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_helm_lints_the_chart(values: dict[str, Any]) -> None:
    import helm_python

    found = helm_python.lint(CHART, values, strict=True, namespace="reconciler", kube_version="v1.32.0")
    assert [one for one in found["messages"] if "icon is recommended" not in one["error"]] == []


@needs_helm
@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": "2"}, "replicas"),
        ({"namespaces": ["Team One"]}, "namespaces"),
        ({"image": {"repository": ""}}, "repository"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"networkPolicy": {"enabled": "yes"}}, "networkPolicy"),
        ({"networkPolicy": {"ports": [70000]}}, "ports"),
        ({"http": {"port": 80}}, "port"),
        ({"log": {"format": "xml"}}, "format"),
        ({"persistence": {"size": "much"}}, "size"),
        ({"archive": {"s3": "personas"}}, "s3"),
        ({"archive": {"s3": "s3://personas", "endpoint": "http://s3.example.com"}}, "endpoint"),
        ({"extraArgs": ["plan"]}, "extraArgs"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], names: str) -> None:
    import helm_python

    with (
        helm_python.Chart.load(CHART) as chart,
        pytest.raises(helm_python.HelmError, match=names),
    ):
        chart.validate_schema(values)


@needs_helm
def test_every_value_is_described_by_the_schema() -> None:
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        assert chart.schema is not None
        schema, values = chart.schema["properties"], chart.values
    assert set(values) == set(schema) - {"global"}
    for name, value in values.items():
        if isinstance(value, dict) and schema[name].get("additionalProperties") is False:
            assert set(value) == set(schema[name]["properties"]), name


@needs_helm
def test_several_replicas_need_a_volume_for_several() -> None:
    import helm_python

    with pytest.raises(
        helm_python.HelmError, match=r"set persistence.accessMode=ReadWriteMany or persistence.enabled"
    ):
        charted({"replicas": 2})


@needs_helm
def test_another_release_has_names_of_its_own() -> None:
    documents = charted({}, name="personas", namespace="platform")
    assert all(name.startswith("personas-reconciler-operator") for _, _, name in documents)
    assert {namespace for kind, namespace, _ in documents if not kind.startswith("Cluster")} == {"platform"}
    (binding,) = of_kind(documents, "ClusterRoleBinding")
    assert binding["subjects"][0]["namespace"] == "platform"


@needs_helm
def test_for_single_namespaces_there_is_no_right_in_the_cluster() -> None:
    documents = charted(VALUES["namespaces"])
    assert not of_kind(documents, "ClusterRoleBinding")
    assert all("aggregate-to" in str(one["metadata"]["labels"]) for one in of_kind(documents, "ClusterRole"))
    roles = {one["metadata"]["namespace"]: one["rules"] for one in of_kind(documents, "Role")}
    everywhere = charted({})["ClusterRole", "", "reconciler-operator"]
    assert roles["team-one"] == roles["team-two"] == everywhere["rules"]
    (deployment,) = of_kind(documents, "Deployment")
    words = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [word for word in words if "namespace" in word] == ["--namespace=team-one", "--namespace=team-two"]


@needs_helm
def test_credentials_of_a_bucket_come_from_a_secret() -> None:
    (deployment,) = workloads(charted(VALUES["archive"]))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert [word for word in container["args"] if "s3" in word] == [
        "--archive-s3=s3://personas/production",
        "--archive-s3-endpoint=https://s3.example.com",
    ]


@needs_helm
def test_a_rolling_update_never_ends_the_old_pod_first_unless_it_has_the_volume() -> None:
    def strategy(name: str) -> Any:
        return of_kind(charted(VALUES[name]), "Deployment")[0]["spec"]["strategy"]

    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert strategy("standby") == strategy("shared-volume") == rolling
    assert strategy("default") == strategy("own-claim") == {"type": "Recreate"}


# --- every variant -------------------------------------------------------------------------------------------


def test_no_pod_has_privileges(variant: Documents) -> None:
    deployments = workloads(variant)
    assert deployments
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "fsGroup": 65534,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert pod["automountServiceAccountToken"] is True  # it talks to the API server
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
    for account in of_kind(variant, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_the_pod_has_the_user_of_the_image() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)$", image, re.MULTILINE) == ["65534:65534"]
    base = yaml.safe_load_all((BASE / "deployment.yaml").read_text(encoding="utf-8"))
    (deployment,) = [one for one in base if one["kind"] == "Deployment"]
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (65534, 65534)


def test_the_command_line_is_one_that_the_command_takes(variant: Documents) -> None:
    known = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    for deployment in workloads(variant):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        subcommand, *words = container["args"]
        assert subcommand == "operator"
        assert {word.partition("=")[0] for word in words} <= known
        listen = f"--listen=:{container['ports'][0]['containerPort']}"
        assert listen in words
        assert "command" not in container  # the entry point of the image


def test_it_is_probed_where_it_listens(variant: Documents) -> None:
    for deployment in workloads(variant):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert container["livenessProbe"]["timeoutSeconds"] > 10


def test_everything_mounted_is_a_volume_and_the_state_is_writable(variant: Documents) -> None:
    for deployment in workloads(variant):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        mounts = {one["name"]: one for one in container["volumeMounts"]}
        claims = deployment["spec"].get("volumeClaimTemplates", [])
        assert set(mounts) == {
            one["name"] for one in pod["volumes"] + [claim["metadata"] for claim in claims]
        }
        assert "readOnly" not in mounts["state"]
        assert f"--state-dir={mounts['state']['mountPath']}" in container["args"]


@pytest.mark.parametrize("name", ["shards", "shards-with-volumes"])
@needs_helm
def test_each_shard_has_pods_a_lease_and_a_volume_of_its_own(name: str) -> None:
    documents = charted(VALUES[name])
    count = VALUES[name]["shards"]
    deployments = of_kind(documents, "Deployment")
    assert len(deployments) == count
    selectors = [frozenset(one["spec"]["selector"]["matchLabels"].items()) for one in deployments]
    assert len(set(selectors)) == count
    leases, volumes = set(), []
    for index, deployment in enumerate(deployments):
        pod = deployment["spec"]["template"]["spec"]
        assert f"--shard={index}/{count}" in pod["containers"][0]["args"]
        leases.add(parse_shard(f"{index}/{count}").lease)
        volumes += [
            one["persistentVolumeClaim"]["claimName"]
            for one in pod["volumes"]
            if name != "shards"
            if "emptyDir" not in one
        ]
    rules = documents["Role", "reconciler", "reconciler-operator"]["rules"]
    assert {one for rule in rules for one in rule.get("resourceNames", ())} == leases
    claims = [one["metadata"]["name"] for one in of_kind(documents, "PersistentVolumeClaim")]
    assert sorted(claims) == sorted(volumes) and len(set(volumes)) == (0 if name == "shards" else count)


@needs_helm
def test_several_shards_have_a_claim_in_common_only_if_all_can_mount_it() -> None:
    import helm_python

    shared = {"existingClaim": "journals", "accessMode": "ReadWriteMany"}
    for deployment in workloads(charted({"shards": 2, "persistence": shared})):
        assert "claimName': 'journals'" in str(deployment["spec"]["template"]["spec"]["volumes"])
    with pytest.raises(helm_python.HelmError, match=r"several shards can't mount one ReadWriteOnce volume"):
        charted({"shards": 2, "persistence": {"existingClaim": "journals"}})


def test_selectors_find_the_pods(variant: Documents) -> None:
    for deployment in workloads(variant):
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    for kind, path in [("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")]:
        for one in of_kind(variant, kind):
            assert one["spec"][path]["matchLabels"].items() <= labels
    for service in of_kind(variant, "Service"):
        assert service["spec"]["selector"].items() <= labels
        for monitor in of_kind(variant, "ServiceMonitor"):
            wanted = monitor["spec"]["selector"]["matchLabels"]
            assert wanted.items() <= service["metadata"]["labels"].items()
            assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "reconciler"
            assert monitor["spec"]["endpoints"][0]["port"] in [
                one["name"] for one in service["spec"]["ports"]
            ]


def test_every_subject_of_a_binding_is_the_account_of_the_pod(variant: Documents) -> None:
    pods = [one["spec"]["template"]["spec"] for one in workloads(variant)]
    (account,) = {pod["serviceAccountName"] for pod in pods}
    assert [one["metadata"]["name"] for one in of_kind(variant, "ServiceAccount")] == [account]
    for binding in of_kind(variant, "RoleBinding") + of_kind(variant, "ClusterRoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "reconciler"}]
        role = (
            binding["roleRef"]["kind"],
            binding["metadata"].get("namespace", "") if binding["roleRef"]["kind"] == "Role" else "",
            binding["roleRef"]["name"],
        )
        assert role in variant


# --- alerts --------------------------------------------------------------------------------------------------


@needs_promtool
def test_promtool_accepts_the_rules_of_the_operator_and_their_tests(tmp_path: Path) -> None:
    promtool("check", "rules", str(OPERATOR_RULES))
    shutil.copy(OPERATOR_RULES, tmp_path)
    tests = Path(shutil.copy(Path(__file__).parent / "operator-alerts.test.yml", tmp_path))
    assert promtool("test", "rules", str(tests)).count("SUCCESS") == 1
    named = set(re.findall(r"alertname(?:: |=\")(\w+)", tests.read_text()))
    (group,) = yaml.safe_load(OPERATOR_RULES.read_text())["groups"]
    assert named == {rule["alert"] for rule in group["rules"]}


@needs_promtool
@needs_helm
def test_promtool_accepts_the_rules_that_helm_renders(tmp_path: Path) -> None:
    (rule,) = of_kind(charted(VALUES["monitoring"]), "PrometheusRule")
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    promtool("check", "rules", str(file))
    sources = [yaml.safe_load(one.read_text()) for one in sorted(OPERATOR_RULES.parent.glob("*alerts.yml"))]
    assert rule["spec"]["groups"] == [group for source in sources for group in source["groups"]]
