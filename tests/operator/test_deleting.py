"""What becomes of the sessions when a resource is deleted, on a real API server."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from reconciler.apply.archive import read_archive
from tests.operator.conftest import World, eventually, next_second, quiet

FINALIZER = "reconciler.dev/sessions"


def live(here: World, name: str = "shop", **spec: Any) -> None:
    """A resource with `deletionPolicy: Delete` whose sessions are live, and which then has this spec."""
    source = spec.pop("source", {"path": f"{here.namespace}/{name}"})
    here.add(name, mode="Apply", deletionPolicy="Delete", source=source)
    here.becomes(name, Synced="InSync")
    if spec:
        here.spec(name, **spec)
    assert finalizers(here, name) == [FINALIZER]


def finalizers(here: World, name: str = "shop") -> list[str]:
    return list(here.get(name)["metadata"].get("finalizers", []))


def delete(here: World, name: str = "shop") -> None:
    here.cluster.call("DELETE", here.path(name))


def gone(here: World, name: str = "shop") -> bool:
    return bool(here.cluster.send("GET", here.path(name)).status_code == 404)


def goes(here: World, name: str = "shop") -> None:
    eventually(lambda: gone(here, name), lambda: f"it is still there: {here.get(name)}\n{here._log()}")


def said(here: World, reason: str, name: str = "shop") -> list[str]:
    """The messages of the events with this reason."""
    items = here.cluster.call("GET", f"/api/v1/namespaces/{here.namespace}/events")["items"]
    return [
        one["message"] for one in items if one["reason"] == reason and one["involvedObject"]["name"] == name
    ]


def blocked(here: World, reason: str, name: str = "shop") -> str:
    """What a removal waits for. Condition and event say how to go on without it."""
    ready = here.becomes(name, Ready=reason)["status"]["conditions"][0]
    hint = (
        ". To let it go and leave its sessions: "
        f"kubectl -n {here.namespace} annotate personacatalog {name} reconciler.dev/force-orphan=true"
    )
    assert ready["message"].endswith(hint)
    if ready["status"] == "False":
        eventually(lambda: ready["message"] in said(here, "RemovalBlocked", name))
    return str(ready["message"].removesuffix(hint))


def force(here: World, name: str = "shop") -> None:
    here.cluster.patch(
        here.path(name), {"metadata": {"annotations": {"reconciler.dev/force-orphan": "true"}}}
    )


def archived(state: Path, here: World, name: str = "shop") -> dict[str, list[Any]]:
    """The messages of each archived session."""
    found, problems = read_archive(state / "catalogs" / here.namespace / name / "archive")
    assert problems == []
    return {
        str(one.name): [message["message_content"] for message in one.messages or []]
        for one in found
        if one.before == "delete"
    }


def test_its_sessions_are_archived_and_deleted_and_no_others(here: World) -> None:
    here.server.store.insert_session(name="Alice", prompt="Somebody else's.")
    here.write("cafe", "cafe", carol="Be quick.")
    live(here, "cafe")
    live(here)
    alice = next(row for row in here.server.store.sessions() if row.prompt == "Be kind.")
    here.server.store.insert_message(alice.session_id, content="Hello?")
    delete(here)
    goes(here)
    assert said(here, "Removed") == ["2 sessions of shop archived and deleted: alice, bob"]
    assert [row.prompt for row in here.server.store.sessions()] == ["Somebody else's.", "Be quick."]
    state = here.operator.catalogs.parent / "state"
    assert archived(state, here) == {"Alice": ["Hello?"], "Bob": []}
    assert here.conditions("cafe")["Synced"] == ("True", "InSync")
    assert finalizers(here, "cafe") == [FINALIZER]


def test_the_finalizer_follows_the_policy_and_leaves_those_of_others(here: World) -> None:
    here.add(mode="Apply")
    here.becomes(Synced="InSync")
    assert finalizers(here) == []
    here.cluster.patch(here.path(), {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}})
    here.spec(deletionPolicy="Delete")
    eventually(lambda: finalizers(here) == ["example.com/a", "example.com/b", FINALIZER])
    here.spec(deletionPolicy="Orphan")
    eventually(lambda: finalizers(here) == ["example.com/a", "example.com/b"])
    here.spec(deletionPolicy="Delete")
    eventually(lambda: FINALIZER in finalizers(here))
    delete(here)
    eventually(lambda: finalizers(here) == ["example.com/a", "example.com/b"])
    assert here.rows() == {}
    eventually(lambda: quiet(here.server), lambda: "it is still looked at")
    here.cluster.patch(here.path(), {"metadata": {"finalizers": None}})
    assert gone(here)


def test_who_writes_nothing_removes_nothing(here: World) -> None:
    told = {
        "asleep": ({"suspend": True}, "it is suspended"),
        "watched": ({"mode": "Observe"}, "the mode Observe removes nothing"),
        "mended": ({"mode": "Repair"}, "the mode Repair removes nothing"),
    }
    for name in told:
        here.write(name, name, **{f"{name}-one": f"You are {name}."})
        live(here, name)
    for name, (spec, _) in told.items():
        here.spec(name, **spec)
    before = [one for one in here.writes() if one.operation == "delete_session"]
    for name in told:
        delete(here, name)
    for name, (_, why) in told.items():
        goes(here, name)
        assert said(here, "Orphaned", name) == [f"its sessions stay: {why}"]
    assert len(here.rows()) == 3
    assert len([one for one in here.writes() if one.operation == "delete_session"]) == len(before)


def test_what_a_guard_refuses_waits_for_the_spec(here: World) -> None:
    here.write(**{f"p{number}": "Be kind." for number in range(11)})
    live(here)
    delete(here)
    assert blocked(here, "Refused") == (
        "it would delete 11 sessions, and the policy allows 10 "
        '(hint: `policy: {maxDeletes: "11"}` in its spec allows it)'
    )
    assert len(here.rows()) == 11
    here.spec(policy={"maxDeletes": "11"})
    goes(here)
    assert here.rows() == {}
    (told,) = said(here, "Removed")
    assert told.startswith("11 sessions of shop archived and deleted: p0, p1, p10, p2")


def test_a_removal_is_approved_as_any_other_plan(here: World) -> None:
    live(here, mode="Approve")
    delete(here)
    here.becomes(Ready="Removing", Synced="PlanPending")
    why = blocked(here, "Removing")
    status = here.get()["status"]
    digest = status["plan"]["digest"]
    assert status["plan"]["counts"] == {"delete": 2}
    assert why == (
        "its sessions are removed before it is gone: 2 to delete; "
        f"waits for an approval: set `approve: {digest}` in its spec"
    )
    assert len(here.rows()) == 2
    here.spec(approve=digest)
    goes(here)
    assert here.rows() == {}


def test_a_window_is_waited_for_and_the_annotation_ends_the_wait(here: World) -> None:
    hour = (time.gmtime().tm_hour + 12) % 24
    live(here, window=f"{hour:02}:00-{hour:02}:01")
    delete(here)
    eventually(lambda: "waits for the window" in blocked(here, "Removing"))
    force(here)
    goes(here)
    assert said(here, "Orphaned") == ["its sessions stay: the annotation reconciler.dev/force-orphan says so"]
    assert len(here.rows()) == 2


def test_of_two_resources_for_one_catalog_the_one_that_stays_keeps_the_sessions(here: World) -> None:
    live(here)
    next_second()
    here.write("copy", "shop", alice="Be rude.", bob="Be rude.")
    here.add("copy", mode="Apply", deletionPolicy="Delete")
    here.becomes("copy", Ready="Conflict")
    eventually(lambda: finalizers(here, "copy") == [FINALIZER])
    delete(here, "copy")
    goes(here, "copy")
    why = f"its sessions stay: {here.namespace}/shop has the same catalog, environment and account"
    assert said(here, "Orphaned", "copy") == [why]
    assert {row.prompt for row in here.rows().values()} == {"Be kind.", "Be brief."}

    here.add("copy", mode="Apply")
    here.becomes("copy", Ready="Conflict")
    ids = {row.session_id for row in here.rows().values()}
    delete(here)
    goes(here)
    assert said(here, "Orphaned") == [why.replace("/shop", "/copy")]
    here.becomes("copy", Ready="Succeeded", Synced="InSync")
    assert {row.session_id for row in here.rows().values()} == ids
    assert {row.prompt for row in here.rows().values()} == {"Be rude."}


def test_a_suspended_resource_for_the_same_catalog_keeps_the_sessions(here: World) -> None:
    here.add("copy", source={"path": f"{here.namespace}/shop"}, mode="Observe")
    here.becomes("copy", Synced="PlanPending")
    here.spec("copy", suspend=True)
    here.becomes("copy", Ready="Suspended")
    live(here)
    delete(here)
    goes(here)
    assert len(said(here, "Orphaned")) == 1
    assert len(here.rows()) == 2


def test_without_a_key_it_waits_for_one(here: World) -> None:
    live(here)
    secret = f"/api/v1/namespaces/{here.namespace}/secrets/account"
    data = here.cluster.call("GET", secret)["data"]
    here.cluster.call("DELETE", secret)
    delete(here)
    name = f"{here.namespace}/account"
    assert blocked(here, "AccountMissing").startswith(f"there is no Secret {name} with an `endpoint` (hint: ")
    here.secret(key="sk-wrong")
    blocked(here, "Unauthorized")
    assert len(here.rows()) == 2
    here.cluster.patch(secret, {"data": data})
    goes(here)
    assert here.rows() == {}


def test_a_namespace_that_loses_its_secret_first_is_let_go_by_the_annotation(here: World) -> None:
    live(here)
    here.cluster.call("DELETE", f"/api/v1/namespaces/{here.namespace}/secrets/account")
    delete(here)
    blocked(here, "AccountMissing")
    force(here)
    goes(here)
    assert len(here.rows()) == 2


def test_a_source_that_is_gone_or_invalid(here: World) -> None:
    folder = here.operator.catalogs / here.namespace
    head = {"version": 1, "catalog": "bar", "defaults": {"model": "deepseek-chat"}}
    head["sessions"] = {"dave": {"name": "Dave", "prompt": "Be quiet."}}
    meta = {"name": "bar", "namespace": here.namespace}
    data = {"catalog.yaml": yaml.safe_dump(head)}
    here.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    live(here, "bar", source={"configMapRef": {"name": "bar"}})
    here.write("cafe", "cafe", carol="Be quick.")
    live(here, "cafe")
    live(here)
    (folder / "shop" / "sessions" / "all.yaml").write_text("sessions: {alice: {nam: Alice}}\n")
    delete(here)
    assert "sessions/all.yaml:1:" in blocked(here, "Failing")
    shutil.rmtree(folder / "cafe")
    here.cluster.call("DELETE", f"/api/v1/namespaces/{here.namespace}/configmaps/bar")
    for name in ("bar", "cafe"):
        delete(here, name)
    for name in ("bar", "cafe"):
        goes(here, name)  # by the revision that was applied last
    assert sorted(here.rows()) == ["Alice", "Bob"]
    here.write(alice="Be kind.")
    goes(here)
    assert here.rows() == {}
