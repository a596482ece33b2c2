"""Catalogs from ConfigMaps, and from repositories that ask for the credentials of a Secret."""

from __future__ import annotations

import base64
import shutil
import time
from pathlib import Path
from typing import Any

from tests.controller.test_git_access import BASIC, KEY, KNOWN, TOKEN, Redirecting, Thief
from tests.git_server import Served, commit, serving
from tests.operator.conftest import Operator, World, eventually

HEAD = "version: 1\ncatalog: shop\ndefaults: {model: deepseek-chat}\n"
ALICE = "sessions:\n  alice: {name: Alice, prompt: %s}\n"


class TestConfigMap:
    """A catalog from a ConfigMap."""

    def test_an_edit_is_written_at_once(self, here: World) -> None:
        """Also at a long interval: what Kubernetes says of the change counts."""
        put(here, {"catalog.yaml": HEAD, "all.yaml": ALICE % "Be kind."})
        items = [
            {"key": "catalog.yaml", "path": "catalog.yaml"},
            {"key": "all.yaml", "path": "sessions/all.yaml"},
        ]
        here.add(mode="Apply", interval="1h", source={"configMapRef": {"name": "shop", "items": items}})
        first = here.becomes(Ready="Succeeded", Synced="InSync")["status"]["lastAppliedRevision"]
        assert here.rows()["Alice"].prompt == "Be kind."
        assert len(first) == 64
        edit(here, {"data": {"all.yaml": ALICE % "Be kinder."}})
        began = time.monotonic()
        eventually(lambda: here.rows()["Alice"].prompt == "Be kinder.")
        assert time.monotonic() - began < 5  # 3 seconds, and a reserve for a busy machine
        eventually(lambda: here.get()["status"]["lastAppliedRevision"] != first)

    def test_without_items_each_key_is_a_file(self, here: World) -> None:
        put(
            here,
            {"catalog.yaml": HEAD + 'include: ["*.yaml"]\n', "all.yaml": ALICE % "{file: alice.md}"},
            {"alice.md": base64.b64encode(b"Be kind.").decode()},
        )
        here.add(mode="Apply", source={"configMapRef": {"name": "shop"}})
        here.becomes(Synced="InSync")
        assert here.rows()["Alice"].prompt == "Be kind."

    def test_a_deleted_one_is_no_empty_catalog(self, here: World) -> None:
        put(here, {"catalog.yaml": HEAD + ALICE % "Be kind."})
        here.add(mode="Apply", source={"configMapRef": {"name": "shop"}}, interval="1s")
        here.becomes(Synced="InSync")
        count = len(here.writes())
        here.cluster.call("DELETE", path(here))
        assert message(here.becomes(Ready="Failing")) == (
            f"there is no ConfigMap {here.namespace}/shop (hint: create it: "
            f"kubectl -n {here.namespace} create configmap shop --from-file=FOLDER)"
        )
        here.told(("Warning", "Failing"))
        # Not even drift is repaired: nobody says any more that the sessions are wanted like this.
        assert here.server.store.update_session(here.rows()["Alice"].session_id, prompt="Be rude.")
        looks = len(here.server.log)
        eventually(lambda: len(here.server.log) > looks + 4)
        assert len(here.writes()) == count
        assert here.rows()["Alice"].prompt == "Be rude."

        put(here, {})
        eventually(lambda: "is empty" in message(here.get()))
        assert len(here.writes()) == count
        edit(here, {"data": {"catalog.yaml": HEAD + ALICE % "Be kinder."}})
        here.becomes(Ready="Succeeded", Synced="InSync")
        assert here.rows()["Alice"].prompt == "Be kinder."

    def test_one_that_comes_later_is_written(self, here: World) -> None:
        here.add(mode="Apply", interval="1h", source={"configMapRef": {"name": "shop"}})
        here.becomes(Ready="Failing")
        put(here, {"catalog.yaml": HEAD + ALICE % "Be kind."})
        here.becomes(Ready="Succeeded", Synced="InSync")

    def test_drift_is_repaired_to_the_applied_revision_which_the_state_folder_has(self, here: World) -> None:
        put(here, {"catalog.yaml": HEAD + ALICE % "Be kind."})
        here.add(mode="Apply", source={"configMapRef": {"name": "shop"}})
        applied = here.becomes(Synced="InSync")["status"]["lastAppliedRevision"]
        edit(here, {"data": {"catalog.yaml": HEAD + ALICE % "{{"}})  # an invalid one
        here.becomes(Ready="Failing")
        here.spec(mode="Observe")
        edit(here, {"data": {"catalog.yaml": HEAD + ALICE % "Be kinder."}})
        here.becomes(Synced="PlanPending")
        assert here.server.store.update_session(here.rows()["Alice"].session_id, prompt="Be rude.")
        here.spec(mode="Repair")  # with a loop of its own, which has never seen the applied revision
        eventually(lambda: here.rows()["Alice"].prompt == "Be kind.")
        eventually(lambda: here.get()["status"].get("lastAppliedRevision") == applied)

    def test_items_that_can_not_be_used(self, here: World) -> None:
        given = [{"key": key, "path": "catalog.yaml"} for key in ("catalog.yaml", "all.yaml")]
        here.add(source={"configMapRef": {"name": "shop", "items": given}})
        assert message(here.becomes(Ready="InvalidSpec")) == (
            "`source.configMapRef.items` has the path 'catalog.yaml' twice (hint: give each file its own)"
        )
        here.told(("Warning", "InvalidSpec"))


class TestGit:
    """A repository that asks for credentials."""

    def test_a_token_that_is_replaced_works_at_once(self, here: World, served: Served) -> None:
        served.credentials.append(f"shop:{TOKEN}")
        revision = repository(here, served)
        credentials(here, url=served.url, username="shop", password="wrong-token")
        here.add(mode="Apply", interval="1h", source=source(served.url))
        assert message(here.becomes(Ready="Failing")) == (
            f"{served.url}/personas/.git: the credentials of the Secret {here.namespace}/git are refused "
            f"(hint: correct the Secret {here.namespace}/git)"
        )
        here.told(("Warning", "Failing"))
        credentials(here, url=served.url, username="shop", password=TOKEN + "\n")
        began = time.monotonic()
        here.becomes(Ready="Succeeded", Synced="InSync")
        assert time.monotonic() - began < 8  # 5 seconds, and a reserve for a busy machine
        assert here.get()["status"]["lastAppliedRevision"] == revision
        assert set(served.seen) == {BASIC, basic("shop:wrong-token")}
        assert_nowhere(here, TOKEN, BASIC.split()[1])

    def test_without_its_secret_nothing_is_fetched(self, here: World, served: Served) -> None:
        repository(here, served)
        here.add(mode="Apply", interval="1h", source=source(served.url))
        assert f"there is no Secret {here.namespace}/git with credentials for git" in message(
            here.becomes(Ready="Failing")
        )
        here.told(("Warning", "Failing"))
        assert served.seen == []
        credentials(here, url=served.url, username="shop", password=TOKEN)
        here.becomes(Ready="Succeeded", Synced="InSync")

    def test_where_the_credentials_may_go_is_said_by_the_secret(self, here: World) -> None:
        """Whoever may create a resource, but not read Secrets, gets nothing by naming one."""
        seen: list[str] = []
        with serving(type("T", (Thief,), {"seen": seen})) as thief:
            credentials(here, url="https://git.example.com/team", username="shop", password=TOKEN)
            here.add(source=source(thief))
            assert message(here.becomes(Ready="Failing")) == (
                f"the Secret {here.namespace}/git is for other repositories than this one: its `url` is no prefix of "
                "the address (hint: name the Secret for this repository, or have its owner correct `url`)"
            )
            here.add("account", source={"git": {"url": thief, "secretRef": {"name": "account"}}})
            assert "it has no `url`" in message(here.becomes("account", Ready="Failing"))
            assert seen == []
            with serving(type("R", (Redirecting,), {"to": thief})) as url:
                credentials(here, url=url, username="shop", password=TOKEN)
                here.spec(source=source(url))
                eventually(lambda: "no redirect is followed with credentials" in message(here.get()))
            assert seen == []
        assert_nowhere(here, TOKEN, BASIC.split()[1])

    def test_a_private_key(self, here: World, served: Served) -> None:
        """The operator's ``ssh`` is a program that notes what it is given, and runs the command here."""
        revision = repository(here, served)
        log = here.operator.catalogs.parent / "bin" / "log"
        git = {**source("")["git"], "url": f"ssh://git@git.example.com{served.root}/personas/.git"}
        credentials(here, url="ssh://git@git.example.com", identity=KEY)
        here.add(mode="Apply", interval="1h", source={"git": git})
        assert f"the Secret {here.namespace}/git has no `known_hosts`" in message(
            here.becomes(Ready="Failing")
        )
        assert not log.exists()
        credentials(here, url="ssh://git@git.example.com", identity=KEY, known_hosts=KNOWN)
        here.becomes(Ready="Succeeded", Synced="InSync")
        assert here.get()["status"]["lastAppliedRevision"] == revision
        assert f"600\n700\n{KEY}\n600\n700\n{KNOWN}\n" in log.read_text()
        assert_nowhere(here, KEY.splitlines()[1])


def put(here: World, data: dict[str, str], binary: dict[str, str] | None = None) -> None:
    meta = {"name": "shop", "namespace": here.namespace}
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "data": data,
        "binaryData": binary or {},
    }
    here.cluster.create(body)


def path(here: World) -> str:
    return f"/api/v1/namespaces/{here.namespace}/configmaps/shop"


def edit(here: World, change: dict[str, Any]) -> None:
    here.cluster.patch(path(here), change)


def message(resource: dict[str, Any]) -> str:
    found: str = resource["status"]["conditions"][0]["message"]
    return found


def state(operator: Operator, here: World) -> Path:
    return operator.catalogs.parent / "state" / "catalogs" / here.namespace / "shop"


def repository(here: World, served: Served) -> str:
    """The catalog ``shop``, as a repository. Returns the commit."""
    folder = here.operator.catalogs / here.namespace / "shop"
    shutil.copytree(folder, served.root / "personas" / "shop")
    return commit(served.root / "personas")


def source(url: str) -> dict[str, Any]:
    git = {"url": f"{url}/personas/.git", "ref": "main", "path": "shop", "secretRef": {"name": "git"}}
    return {"path": None, "git": git}


def credentials(here: World, **data: str) -> None:
    """The Secret ``git``, created or replaced."""
    coded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    meta = {"name": "git", "namespace": here.namespace}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": coded}
    if here.cluster.create(body).status_code == 409:
        here.cluster.call("PUT", f"/api/v1/namespaces/{here.namespace}/secrets/git", body)


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def assert_nowhere(here: World, *secrets: str) -> None:
    """Neither in the log, nor in a status, an event or the state folder."""
    events = here.cluster.send("GET", f"/api/v1/namespaces/{here.namespace}/events").text
    shown = f"{here.get()} {events} {here.operator.log.read_text()}".encode()
    files = [one.read_bytes() for one in state(here.operator, here).rglob("*") if one.is_file()]
    for secret in secrets:
        assert not any(secret.encode() in text for text in (shown, *files))
