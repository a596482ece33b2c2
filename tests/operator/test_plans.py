"""The whole pending plan in the cluster: what it shows, who may read it, and how often it is written."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.operator.cluster import Cluster
from reconciler.operator.plans import LARGEST, Pending, Plans, plan_text
from reconciler.operator.resource import Resource, read_resource
from reconciler.plan.build import make_plan
from reconciler.plan.document import plan_to_document
from reconciler.text.timestamps import write_timestamp
from tests.operator.conftest import CATALOGS, NUMBERS, World, documents, eventually
from tests.operator.plane import Plane
from tests.support import catalog, snapshot, wanted

ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reconciler-operator"
DIGEST = f"sha256:{'1' * 64}"


def place(namespace: str, name: str = "shop") -> str:
    return f"{CATALOGS}/{namespace}/personaplans/{name}"


def test_the_whole_plan_is_beside_its_resource(here: World) -> None:
    here.write(alice="Be kind.\n" * 50 + "\x1b[31mBe loud.", bob="Be brief.")
    here.add()
    status = here.becomes(Synced="PlanPending")["status"]
    assert status["plan"]["where"] == "personaplan/shop"
    found = here.cluster.call("GET", place(here.namespace))
    assert found["catalog"] == "shop"
    assert "environment" not in found
    assert found["revision"] == status["lastAttemptedRevision"]
    assert found["digest"] == status["plan"]["digest"]
    assert found["changes"] == "2 to create"
    assert found["since"] == status["plan"]["since"]
    assert found["text"].startswith("Plan for catalog shop, at http://127.0.0.1:")
    assert found["text"].count("| + Be kind.") == 50
    assert r"| + \x1b[31mBe loud." in found["text"]
    assert found["text"].endswith("Plan: 2 to create, 0 to update, 0 to delete.\n")
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("PersonaCatalog", here.get()["metadata"]["uid"])


def test_it_is_written_once_a_plan_and_deleted_with_it(here: World) -> None:
    here.add()
    first = here.becomes(Synced="PlanPending")["status"]["plan"]["digest"]
    looks = len(here.server.log)
    eventually(lambda: len(here.server.log) > looks + 4)
    assert here.cluster.call("GET", place(here.namespace))["metadata"]["generation"] == 1
    here.write(alice="Be kinder.", bob="Be brief.")
    eventually(lambda: here.get()["status"]["plan"]["digest"] != first)
    found = here.cluster.call("GET", place(here.namespace))
    assert found["metadata"]["generation"] == 2
    assert "Be kinder." in found["text"]
    here.spec(mode="Apply")
    here.becomes(Synced="InSync")
    assert here.cluster.send("GET", place(here.namespace)).status_code == 404


def test_a_plan_that_is_written_right_away_is_not_stored(here: World) -> None:
    folder = f"{CATALOGS}/{here.namespace}/personaplans"
    version = here.cluster.call("GET", folder)["metadata"]["resourceVersion"]
    here.add(mode="Apply")
    here.becomes(Synced="InSync")
    here.write(alice="Be kinder.", bob="Be brief.")
    eventually(lambda: here.rows()["Alice"].prompt == "Be kinder.")
    here.becomes(Synced="InSync")
    watch = f"{folder}?watch=true&timeoutSeconds=1&resourceVersion={version}"
    assert here.cluster.send("GET", watch).text == ""


def test_what_a_guard_refuses_is_stored_in_the_mode_apply_too(here: World) -> None:
    here.add(mode="Apply", policy={"maxDeletes": "0"})
    here.becomes(Synced="InSync")
    here.write(alice="Be kind.")
    here.becomes(Ready="Refused")
    found = here.cluster.call("GET", place(here.namespace))
    assert found["changes"] == "1 to delete"
    assert "Refused [max_deletes]" in found["text"]
    assert 'to allow it: `policy: {maxDeletes: "1"}` in its spec' in found["text"]
    assert "--max-deletes" not in found["text"]


@contextmanager
def without_the_right(cluster: Plane) -> Iterator[None]:
    rules = cluster.call("GET", ROLE)["rules"]
    cluster.patch(ROLE, {"rules": [one for one in rules if one["resources"] != ["personaplans"]]})
    try:
        yield
    finally:
        cluster.patch(ROLE, {"rules": rules})


@contextmanager
def with_a_broken_webhook(cluster: Plane) -> Iterator[None]:
    rule = {"apiGroups": ["reconciler.dev"], "apiVersions": ["*"], "resources": ["personaplans"]}
    webhook = {
        "name": "nobody.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{**rule, "operations": ["*"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    cluster.call("POST", path, {"metadata": {"name": "nobody"}, "webhooks": [webhook]})
    try:
        yield
    finally:
        cluster.call("DELETE", f"{path}/nobody")


@pytest.mark.parametrize(
    ("obstacle", "why"),
    [
        (
            without_the_right,
            'cannot patch resource "personaplans".* '
            r"\(hint: kubectl apply -k deploy/kubernetes, or upgrade the Helm release\)",
        ),
        (with_a_broken_webhook, 'failed calling webhook "nobody.example.com"'),
    ],
)
def test_a_plan_that_can_not_be_stored_keeps_nothing_else(
    here: World, obstacle: Callable[[Plane], AbstractContextManager[None]], why: str
) -> None:
    with obstacle(here.cluster):
        time.sleep(0.5)  # until the API server knows of it
        here.add()
        plan = here.becomes(Synced="PlanPending")["status"]["plan"]
        assert "where" not in plan
        assert re.match(f"the whole plan can't be stored in the cluster: .*{why}", plan["message"])
        here.told(("Warning", "PlanNotStored"))
        here.spec(mode="Apply")
        here.becomes(Synced="InSync")
    time.sleep(0.5)
    here.spec(mode="Observe")
    here.write(alice="Be kinder.", bob="Be brief.")
    here.becomes(Synced="PlanPending")
    eventually(lambda: here.get()["status"]["plan"].get("where") == "personaplan/shop")


def owner(namespace: str, mode: str = "Observe") -> Resource:
    meta = {"uid": f"uid-{namespace}", "namespace": namespace, "name": "shop"}
    return read_resource(
        {
            "metadata": {**meta, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"mode": mode, "source": {"path": "shop"}, "accountRef": {"name": "account"}},
        }
    )


def pending_status(digest: str = DIGEST) -> dict[str, Any]:
    plan = {"digest": digest, "counts": {"create": 1}, "since": "2026-01-01T00:00:00Z", "approved": False}
    return {"plan": plan, "conditions": [{"type": "Synced", "reason": "PlanPending"}]}


def document(actions: int = 1, lines: int = 1, line: str = "Be kind.") -> dict[str, Any]:
    """The public JSON of a plan that creates sessions."""
    prompt = "\n".join([line] * lines)
    sessions = [wanted(f"s{number}", prompt=prompt) for number in range(actions)]
    return plan_to_document(make_plan(catalog(*sessions), snapshot()))


def test_what_somebody_else_changed_is_stored_again(access: Cluster, cluster: Plane) -> None:
    namespace = f"plans-{next(NUMBERS)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    resource, path, asked = owner(namespace), place(namespace), []

    def pending(digest: str) -> Pending:
        asked.append(digest)
        return Pending(document(), "revision")

    def generation() -> int:
        return int(cluster.call("GET", path)["metadata"]["generation"])

    def store(plans: Plans) -> None:
        found = plans.stored(resource, pending_status(), pending)
        assert found is not None
        assert found["plan"]["where"] == "personaplan/shop"

    plans = Plans(access)
    store(plans)
    plans.refresh()
    store(plans)
    store(Plans(access))  # another process, after a take-over
    assert asked == [DIGEST]
    assert generation() == 1

    cluster.patch(path, {"text": "nothing to see here"})
    plans.refresh()
    store(plans)
    assert asked == [DIGEST] * 2
    assert "Be kind." in cluster.call("GET", path)["text"]

    cluster.call("DELETE", path)
    plans.refresh()
    store(plans)
    assert asked == [DIGEST] * 3

    nothing = {"conditions": [{"type": "Synced", "reason": "InSync"}]}
    assert Plans(access).stored(resource, nothing, pending) == nothing
    assert cluster.send("GET", path).status_code == 404
    assert plans.stored(resource, nothing, pending) == nothing  # it is gone already


@pytest.mark.parametrize(("age", "stored"), [(1, False), (60, True)])
def test_what_the_operator_writes_by_itself_is_stored_once_it_waits(
    access: Cluster, age: int, stored: bool
) -> None:
    since = write_timestamp(datetime.now(UTC) - timedelta(seconds=age))
    status = pending_status()
    status["plan"]["since"] = since
    found = Plans(access).stored(
        owner("default", mode="Apply"), status, lambda digest: Pending(document(), "revision")
    )
    assert found is not None
    assert ("where" in found["plan"]) is stored
    if stored:
        access.call("DELETE", place("default"))


def test_there_may_be_another_plan_by_now(access: Cluster) -> None:
    assert Plans(access).stored(owner("default"), pending_status(), lambda digest: None) is None


@pytest.mark.parametrize("sign", ["a", "<", '"', "言", "😀", "\\"])
def test_the_largest_text_fits_into_the_cluster(cluster: Plane, sign: str) -> None:
    text = plan_text(document(3, 4, sign * 60_000), LARGEST)
    body = {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "PersonaPlan",
        "metadata": {"name": f"large-{next(NUMBERS)}"},
        "catalog": "shop",
        "digest": DIGEST,
        "changes": "3 to create",
        "since": "2026-01-01T00:00:00Z",
        "text": text,
    }
    answer = cluster.send("POST", f"{CATALOGS}/default/personaplans", body)
    assert answer.status_code == 201, answer.text


def test_a_large_plan_is_shortened_as_little_as_needed() -> None:
    plan = document(20, 30)
    whole = plan_text(plan)
    assert whole.count("Be kind.") == 600
    assert "shortened" not in whole
    normal = plan_text(plan, 9_000)
    assert 20 <= normal.count("Be kind.") < 600
    note = (
        "This is shortened, because the whole plan is too large for the cluster. "
        "To see it: `reconciler plan --full`\n"
    )
    assert normal.endswith(f"Plan: 20 to create, 0 to update, 0 to delete.\n\n{note}")
    concise = plan_text(plan, 1_500)
    assert concise.count("Be kind.") == 0
    assert concise.endswith(note)
    cut = plan_text(plan, 400)
    assert cut.startswith("Plan for catalog bookshop")
    assert "more lines: the plan of 20 actions is too large for the cluster. To see it: `reconciler" in cut
    for largest, text in ((9_000, normal), (1_500, concise), (400, cut)):
        assert len(json.dumps(text, ensure_ascii=False).encode()) <= largest


def test_whoever_may_view_does_not_see_prompts(cluster: Plane) -> None:
    for role in documents("roles.yaml"):
        cluster.create(role)
        subject = {"kind": "User", "name": role["metadata"]["name"], "apiGroup": "rbac.authorization.k8s.io"}
        reference = {"kind": "ClusterRole", "name": subject["name"], "apiGroup": subject["apiGroup"]}
        meta = {"name": subject["name"], "namespace": "default"}
        cluster.create(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": meta,
                "roleRef": reference,
                "subjects": [subject],
            }
        )

    def may(user: str, verb: str, plural: str) -> bool:
        asked = {"namespace": "default", "verb": verb, "group": "reconciler.dev", "resource": plural}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        body |= {"spec": {"user": user, "resourceAttributes": asked}}
        answer = cluster.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(answer["status"]["allowed"])

    eventually(lambda: may("reconciler-edit", "patch", "personacatalogs"))
    rights = {
        user: [plural for plural in ("personacatalogs", "personaplans") if may(user, "get", plural)]
        for user in ("reconciler-view", "reconciler-plans")
    }
    assert rights == {"reconciler-view": ["personacatalogs"], "reconciler-plans": ["personaplans"]}
    assert not may("reconciler-view", "patch", "personacatalogs")
    assert not may("reconciler-edit", "patch", "personaplans")  # they are the operator's
