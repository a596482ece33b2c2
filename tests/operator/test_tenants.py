"""What somebody who may only edit resources of one namespace can't do: to others, or to what is not the resource's."""

from __future__ import annotations

import base64
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import ReconcilerError
from reconciler.operator.inputs import Inputs
from reconciler.operator.kept import moved
from reconciler.operator.resource import read_resource
from reconciler.operator.source import make_source
from reconciler.server import RunningServer, running_server
from tests.operator.conftest import CATALOGS, World, eventually
from tests.operator.test_deleting import FINALIZER, blocked, delete, finalizers, goes, gone, live, said
from tests.support import API_KEY, LEARNED


def config_map(here: World, name: str, catalog: str, **prompts: str) -> dict[str, Any]:
    """A ConfigMap with a catalog. Returns the source that names it."""
    head: dict[str, Any] = {"version": 1, "catalog": catalog, "defaults": {"model": "deepseek-chat"}}
    head["sessions"] = {key: {"name": key.title(), "prompt": prompt} for key, prompt in prompts.items()}
    meta = {"name": name, "namespace": here.namespace}
    data = {"catalog.yaml": yaml.safe_dump(head)}
    here.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    return {"configMapRef": {"name": name}}


def orphaned(here: World, name: str, **spec: Any) -> None:
    """Sessions of a resource that is gone."""
    here.add(name, mode="Apply", **spec)
    here.becomes(name, Synced="InSync")
    delete(here, name)
    goes(here, name)


def waits_for(here: World, what: str) -> None:
    eventually(lambda: f"waits for {what}" in here.get()["status"]["conditions"][0]["message"])


# Others


def test_a_resource_whose_status_does_not_fit_keeps_no_other_from_being_reported(here: World) -> None:
    def add_huge(size: int) -> bool:
        items = [{"key": "a", "path": f"p{number}/" + "x" * 4000} for number in range(size // 4000)]
        items.append({"key": "a", "path": "q" * (1 + size % 4000)})
        body = {
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "PersonaCatalog",
            "metadata": {"name": "huge", "namespace": here.namespace},
            "spec": {
                "source": {"configMapRef": {"name": "huge", "items": items}},
                "accountRef": {"name": "account"},
            },
        }
        answer = here.cluster.send("POST", f"{CATALOGS}/{here.namespace}/personacatalogs", body)
        return bool(answer.status_code < 300)

    fits, too_large = 1_300_000, 1_600_000
    while too_large - fits > 100:
        size = (fits + too_large) // 2
        if add_huge(size):
            fits = size
            here.cluster.send("DELETE", here.path("huge"))
        else:
            too_large = size
    assert add_huge(fits)
    eventually(lambda: "/huge can't be reported: " in here.operator.log.read_text())
    here.add(mode="Apply", deletionPolicy="Delete")
    here.becomes(Synced="InSync")
    here.cluster.send("DELETE", here.path("huge"))


def test_repositories_that_never_answer_hold_up_their_own_namespace_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *slow*) while ! [ -e {tmp_path}/end ]; do sleep 0.05; done;; esac\n'
        'printf "c0ffee\\trefs/heads/main\\n"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def newest(namespace: str, name: str) -> str:
        spec = {"git": {"url": f"https://{name}.example.com/personas", "ref": "main"}}
        return make_source(namespace, spec, tmp_path / namespace, None, Inputs(lambda path: {})).newest()

    with ThreadPoolExecutor(32) as pool:
        slow = [pool.submit(newest, "team-a", "slow") for _ in range(24)]
        try:
            assert pool.submit(newest, "team-b", "fast").result(10) == "c0ffee"
            assert not any(one.done() for one in slow)
        finally:
            (tmp_path / "end").touch()
        assert {one.result(10) for one in slow} == {"c0ffee"}


def test_a_command_to_paste_runs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    spec = {"git": {"url": "https://git.example.com/$(id)", "ref": "main"}}
    with pytest.raises(ReconcilerError) as caught:
        make_source("team-a", spec, tmp_path, None, Inputs(lambda path: {})).newest()
    assert caught.value.problems[0].hint == "git ls-remote 'https://git.example.com/$(id)'"


# Sessions that are not the resource's


def test_a_removal_waits_if_the_source_has_another_catalog_now(here: World) -> None:
    here.write("cafe", "cafe", carol="Be quick.")
    orphaned(here, "cafe")
    live(here)
    here.spec(source={"path": f"{here.namespace}/cafe"})
    delete(here)
    waits_for(here, "the catalog shop again, whose sessions it kept: it now names cafe")
    assert sorted(here.rows()) == ["Alice", "Bob", "Carol"]
    assert here.get()["status"]["catalog"] == "shop"
    here.spec(source={"path": f"{here.namespace}/shop"})
    goes(here)
    assert said(here, "Removed") == ["2 sessions of shop archived and deleted: alice, bob"]
    assert list(here.rows()) == ["Carol"]


def test_a_removal_waits_if_the_environment_is_another_one_now(here: World) -> None:
    root = here.operator.catalogs / here.namespace / "shop"
    head = yaml.safe_load((root / "catalog.yaml").read_text())
    head |= {"environments": {"prod": {}, "test": {}}, "policy": {"max_deletes": 1, "shared_account": True}}
    (root / "catalog.yaml").write_text(yaml.safe_dump(head))
    orphaned(here, "shop", environment="prod")
    here.add(mode="Apply", environment="test", deletionPolicy="Delete")
    here.becomes(Synced="InSync")
    delete(here)
    blocked(here, "Refused")
    here.spec(environment="prod", policy={"maxDeletes": "5"})
    waits_for(here, "the environment test again")
    assert len(here.server.store.sessions()) == 4
    here.spec(environment="test")
    goes(here)
    assert len(here.server.store.sessions()) == 2


def test_a_removal_waits_if_the_account_is_another_one_now(here: World) -> None:
    live(here)
    with running_server(None, contract=LEARNED, require_key=API_KEY) as other:
        here.secret("other", endpoint=other.url)
        orphaned(here, "second", source={"path": f"{here.namespace}/shop"}, accountRef={"name": "other"})
        here.spec(window="00:00-00:01" if time.gmtime().tm_hour else "12:00-12:01")
        delete(here)
        eventually(lambda: "waits for the window" in blocked(here, "Removing"))
        here.cluster.patch(here.path(), {"spec": {"accountRef": {"name": "other"}, "window": None}})
        waits_for(here, "the account account again, whose sessions it kept: it now names other")
        assert len(other.store.sessions()) == 2
        here.spec(accountRef={"name": "account"})
        goes(here)
        assert here.rows() == {}
        assert len(other.store.sessions()) == 2


def test_a_removal_waits_if_the_secret_has_another_address_now(here: World) -> None:
    secret = f"/api/v1/namespaces/{here.namespace}/secrets/account"

    def move(server: RunningServer) -> None:
        here.cluster.patch(secret, {"data": {"endpoint": base64.b64encode(server.url.encode()).decode()}})

    live(here)
    with running_server(None, contract=LEARNED, require_key=API_KEY) as other:
        here.secret("other", endpoint=other.url)
        orphaned(here, "second", source={"path": f"{here.namespace}/shop"}, accountRef={"name": "other"})
        move(other)
        delete(here)
        waits_for(here, f"the address again that its Secret {here.namespace}/account had")
        assert len(other.store.sessions()) == 2
        move(here.server)
        goes(here)
        assert here.rows() == {}
        assert len(other.store.sessions()) == 2


@pytest.mark.parametrize("wrong", ["ftp://127.0.0.1", "http://127.0.0.1:1"])
def test_an_address_that_was_wrong_for_a_while_is_not_that_of_the_sessions(here: World, wrong: str) -> None:
    secret = f"/api/v1/namespaces/{here.namespace}/secrets/account"
    live(here)
    for address in (wrong, here.server.url):
        data = {"endpoint": base64.b64encode(address.encode()).decode()}
        here.cluster.patch(secret, {"data": data})
        if address == wrong:
            here.becomes(Synced="Unknown")
            delete(here)
            assert not gone(here)
    goes(here)
    assert here.rows() == {}


def test_a_status_that_does_not_say_more_than_the_catalog_keeps_no_removal_waiting() -> None:
    """Helm does not upgrade resource definitions, and an old one drops the other fields."""
    status = {"catalog": "shop"}
    spec = {"source": {"path": "shop"}, "accountRef": {"name": "account"}, "environment": "prod"}
    meta = {"uid": "1", "namespace": "a", "name": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}
    address = "https://api.example.com"
    found = read_resource({"metadata": meta, "spec": spec, "status": status})
    assert moved(found, "shop", address) == ""
    assert moved(found, "cafe", address) != ""
    status |= {"account": "account"}
    found = read_resource({"metadata": meta, "spec": spec, "status": status})
    assert moved(found, "shop", address) == (
        "no environment again, whose sessions it kept: it now names prod"
    )


def test_what_an_earlier_resource_of_the_same_name_left_is_not_removed(here: World) -> None:
    orphaned(here, "shop", source=config_map(here, "one", "alpha", dave="Be quiet."))
    here.add(mode="Apply", deletionPolicy="Delete", source={"configMapRef": {"name": "typo"}})
    here.becomes(Ready="Failing")
    eventually(lambda: finalizers(here) == [FINALIZER])
    delete(here)
    assert "there is no ConfigMap" in blocked(here, "Failing")
    time.sleep(1.2)
    assert not gone(here)
    assert list(here.rows()) == ["Dave"]
    here.cluster.patch(here.path(), {"metadata": {"annotations": {"reconciler.dev/force-orphan": "true"}}})
    goes(here)


def test_what_an_earlier_resource_of_the_same_name_left_is_not_repaired(here: World) -> None:
    orphaned(here, "shop", source=config_map(here, "one", "alpha", dave="Be quiet."))
    here.add(mode="Repair", source=config_map(here, "two", "beta", erin="Be loud."))
    here.becomes(Synced="PlanPending")
    here.server.store.update_session(here.rows()["Dave"].session_id, prompt="As its owner wants it.")
    calls = len(here.server.log)
    eventually(lambda: len(here.server.log) > calls + 3)
    assert here.rows()["Dave"].prompt == "As its owner wants it."


def test_an_approval_can_be_taken_back(here: World) -> None:
    hour = (time.gmtime().tm_hour + 12) % 24
    here.add(mode="Approve", window=f"{hour:02}:00-{hour:02}:01")
    here.becomes(Synced="PlanPending")
    digest = here.get()["status"]["plan"]["digest"]
    here.spec(approve=digest)
    eventually(lambda: here.get()["status"]["plan"]["approved"])
    here.spec(approve=None)
    eventually(lambda: not here.get()["status"]["plan"]["approved"])
    # "waits for" tells, with the next look
    eventually(lambda: "was taken back" in here.get()["status"]["conditions"][0]["message"])
    assert here.rows() == {}
