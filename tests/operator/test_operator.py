"""What the operator does, on a real API server and with the embedded server as the service."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.git_server import commit
from tests.operator.conftest import World, eventually, grant_lease, next_second, quiet, start
from tests.operator.plane import Plane


def test_observe_reports_a_pending_plan_and_writes_nothing(here: World) -> None:
    here.add()
    found = here.becomes(Ready="Succeeded", Synced="PlanPending", Drifted="NoDrift")["status"]
    assert found["plan"]["counts"] == {"create": 2}
    assert found["plan"]["digest"].startswith("sha256:")
    assert found["sessions"] == {"inSync": 0, "drifted": 0, "pending": 0, "missing": 2}
    assert found["catalog"] == "shop"
    assert len(found["lastAttemptedRevision"]) == 64
    assert "lastAppliedRevision" not in found
    here.told(("Normal", "PlanPending"))
    assert here.writes() == []


def test_apply_writes_a_revision_then_the_next_one(here: World) -> None:
    here.add(mode="Apply")
    first = here.becomes(Ready="Succeeded", Synced="InSync", Drifted="NoDrift")["status"]
    assert sorted(here.rows()) == ["Alice", "Bob"]
    assert first["lastAppliedRevision"] == first["lastAttemptedRevision"]
    assert "plan" not in first
    here.told(("Normal", "Applied"))

    here.write(alice="Be kinder.", bob="Be brief.")
    eventually(lambda: here.rows()["Alice"].prompt == "Be kinder.")
    eventually(
        lambda: here.get()["status"]["lastAppliedRevision"] not in (first["lastAppliedRevision"], None)
    )


def test_a_status_is_written_once_while_nothing_changes(here: World) -> None:
    here.add(mode="Apply")
    before = here.becomes(Synced="InSync")["metadata"]["resourceVersion"]
    looks = len(here.server.log)
    eventually(lambda: len(here.server.log) > looks + 4)
    assert here.get()["metadata"]["resourceVersion"] == before


def test_drift_is_told_in_observe_and_undone_in_repair(here: World) -> None:
    here.add(mode="Apply", interval="1s")
    here.becomes(Synced="InSync")
    here.spec(mode="Observe")
    here.becomes(Synced="InSync")
    count = len(here.writes())
    assert here.server.store.update_session(here.rows()["Bob"].session_id, prompt="Be rude.")
    found = here.becomes(Drifted="DriftFound", Synced="PlanPending")
    drifted = next(one for one in found["status"]["conditions"] if one["type"] == "Drifted")
    assert drifted["message"] == "1 changed outside git: bob"
    here.told(("Warning", "DriftFound"))
    assert len(here.writes()) == count

    here.spec(mode="Repair")
    here.becomes(Drifted="NoDrift", Synced="InSync")
    assert here.rows()["Bob"].prompt == "Be brief."


def test_approve_writes_the_plan_that_the_spec_names_and_no_other(here: World) -> None:
    here.add(mode="Approve", approve=f"sha256:{'0' * 64}")
    found = here.becomes(Synced="PlanPending")["status"]
    digest = found["plan"]["digest"]
    synced = next(one for one in found["conditions"] if one["type"] == "Synced")
    assert synced["message"] == (
        f"2 to create; waits for an approval: set `approve: {digest}` in its spec; "
        "the digest that is there now is of another plan"
    )
    assert f"set `approve: {digest}` in its spec" in here.operator.log.read_text()
    assert here.writes() == []
    here.spec(approve=digest)
    here.becomes(Synced="InSync")
    assert sorted(here.rows()) == ["Alice", "Bob"]


def test_drift_is_seen_while_the_newest_revision_is_invalid(here: World) -> None:
    here.add(mode="Apply", interval="1s")
    here.becomes(Synced="InSync")
    file = here.operator.catalogs / here.namespace / "shop" / "sessions" / "all.yaml"
    file.write_text(file.read_text() + "  carl: {nam: Carl}\n")
    found = here.becomes(Ready="Failing", Synced="Unknown", Drifted="NoDrift")
    assert found["status"]["sessions"]["inSync"] == 2
    assert here.server.store.update_session(here.rows()["Bob"].session_id, prompt="Be rude.")
    here.becomes(Ready="Failing", Synced="PlanPending", Drifted="DriftFound")
    eventually(lambda: "1 to update; waits for a valid revision: " in here.operator.log.read_text())


def test_what_a_guard_refuses_stays_pending(here: World) -> None:
    here.add(mode="Apply", policy={"maxDeletes": "0"})
    here.becomes(Synced="InSync")
    here.write(alice="Be kind.")
    found = here.becomes(Ready="Refused", Synced="Refused")
    assert found["status"]["plan"]["counts"] == {"delete": 1}
    here.told(("Warning", "Refused"))
    assert sorted(here.rows()) == ["Alice", "Bob"]


def test_a_mended_key_works_within_seconds(here: World) -> None:
    here.secret("other", key="sk-wrong")
    here.add(mode="Apply", accountRef={"name": "other"})
    here.becomes(Ready="Unauthorized", Synced="Unknown", Drifted="Unknown")
    here.told(("Warning", "Unauthorized"))
    data = here.cluster.call("GET", f"/api/v1/namespaces/{here.namespace}/secrets/account")["data"]
    here.cluster.patch(f"/api/v1/namespaces/{here.namespace}/secrets/other", {"data": data})
    began = time.monotonic()
    here.becomes(Ready="Succeeded", Synced="InSync")
    assert time.monotonic() - began < 8  # 5 seconds, and a reserve for a busy machine
    assert sorted(here.rows()) == ["Alice", "Bob"]


def test_suspended_and_resumed(here: World) -> None:
    here.add(mode="Apply", suspend=True)
    here.becomes(Ready="Suspended")
    assert here.server.log == []
    here.spec(suspend=False)
    here.becomes(Ready="Succeeded", Synced="InSync")


def test_a_deleted_resource_leaves_its_sessions(here: World) -> None:
    here.add(mode="Apply")
    here.becomes(Synced="InSync")
    count = len(here.writes())
    here.cluster.call("DELETE", here.path())
    assert here.cluster.send("GET", here.path()).status_code == 404
    eventually(lambda: quiet(here.server), lambda: "it is still looked at")
    assert len(here.writes()) == count
    assert sorted(here.rows()) == ["Alice", "Bob"]


def test_the_younger_of_two_resources_for_one_catalog_is_in_conflict(here: World) -> None:
    here.add(mode="Apply")
    here.becomes(Synced="InSync")
    next_second()
    here.write("copy", "shop", alice="Be rude.", bob="Be rude.")
    here.secret("same")  # another Secret for the same account
    here.add("copy", mode="Apply", accountRef={"name": "same"})
    found = here.becomes("copy", Ready="Conflict")
    ready = found["status"]["conditions"][0]
    assert ready["message"] == (
        f"{here.namespace}/shop is older and has the same catalog, environment and account "
        "(hint: delete or suspend one of the two)"
    )
    here.told(("Warning", "Conflict"), name="copy")
    assert {row.prompt for row in here.rows().values()} == {"Be kind.", "Be brief."}
    here.cluster.call("DELETE", here.path())
    here.becomes("copy", Ready="Succeeded", Synced="InSync")
    assert {row.prompt for row in here.rows().values()} == {"Be rude."}


def test_two_catalogs_of_an_account_are_no_conflict(here: World) -> None:
    here.write("cafe", "cafe", carol="Be quick.")
    here.add(mode="Apply")
    here.add("cafe", mode="Apply")
    here.becomes(Synced="InSync")
    here.becomes("cafe", Synced="InSync")
    assert sorted(here.rows()) == ["Alice", "Bob", "Carol"]


def test_resources_come_and_go_beside_one_that_is_left_alone(here: World) -> None:
    here.write("cafe", "cafe", carol="Be quick.")
    here.add(mode="Apply", interval="1h")
    here.becomes(Synced="InSync")
    here.add("cafe", mode="Apply", interval="1h")
    here.becomes("cafe", Synced="InSync")
    here.spec("cafe", mode="Observe")
    here.becomes("cafe", Synced="InSync")
    here.cluster.call("DELETE", here.path("cafe"))
    here.write(alice="Be kinder.", bob="Be brief.")
    eventually(lambda: here.rows()["Alice"].prompt == "Be kinder.")
    log = here.operator.log.read_text()
    assert log.count(f"{here.namespace}/shop revision:") == 2  # the first one and the edited one


def test_without_its_secret_a_resource_waits(here: World) -> None:
    here.add(mode="Apply", accountRef={"name": "later"})
    here.becomes(Ready="AccountMissing")
    here.told(("Warning", "AccountMissing"))
    here.secret("later")
    here.becomes(Ready="Succeeded", Synced="InSync")
    here.cluster.call("DELETE", f"/api/v1/namespaces/{here.namespace}/secrets/later")
    here.becomes(Ready="AccountMissing")


def test_what_the_schema_can_not_refuse_is_named(here: World) -> None:
    here.add("out", source={"path": "../.."})
    here.becomes("out", Ready="InvalidSpec")
    here.add("zone", window="09:00-17:00 Mars/Olympus")
    here.becomes("zone", Ready="InvalidSpec")
    here.secret("plain", endpoint="http://api.example.com")
    here.add(accountRef={"name": "plain"})
    here.becomes(Ready="InvalidAccount")
    assert here.server.log == []


def test_an_invalid_revision_is_named_and_the_next_one_works(here: World) -> None:
    manifest = here.operator.catalogs / here.namespace / "shop" / "sessions" / "all.yaml"
    manifest.write_text("sessions: {alice: {nam: Alice}}\n")
    here.add(mode="Apply")
    ready = here.becomes(Ready="Failing")["status"]["conditions"][0]
    assert "sessions/all.yaml:1:" in ready["message"]
    here.told(("Warning", "Failing"))
    here.write(alice="Be kind.")
    here.becomes(Ready="Succeeded", Synced="InSync")


def test_the_annotation_asks_for_a_look(here: World) -> None:
    here.add(mode="Observe", interval="1h")
    here.becomes(Synced="PlanPending")
    calls = len(here.server.log)
    here.cluster.patch(here.path(), {"metadata": {"annotations": {"reconciler.dev/requestedAt": "now"}}})
    eventually(lambda: here.get()["status"].get("lastHandledReconcileAt") == "now")
    eventually(lambda: len(here.server.log) > calls)


def test_a_second_operator_stands_by_and_takes_over(cluster: Plane, tmp_path: Path, here: World) -> None:
    """In a namespace of its own, with a lease of its own: two operators, and the first one ends."""
    words = (f"--namespace={here.namespace}", f"--lease-namespace={here.namespace}")
    grant_lease(cluster, here.namespace)
    first = start(cluster, tmp_path / "first", *words)
    eventually(lambda: "leading" in first.log.read_text())
    second = start(cluster, tmp_path / "second", *words)
    try:
        eventually(lambda: "standing by" in second.log.read_text())
        assert "leading" not in second.log.read_text()
        assert first.end() == 0
        eventually(lambda: "leading" in second.log.read_text(), seconds=8)
        assert "Traceback" not in second.log.read_text()
    finally:
        first.kill()
        second.kill()


def test_a_catalog_in_git_follows_its_branch(here: World, repositories: tuple[Path, str]) -> None:
    root, url = repositories
    folder = here.operator.catalogs / here.namespace / "shop"

    def committed() -> str:
        shutil.copytree(folder, root / "personas" / "shop", dirs_exist_ok=True)
        return commit(root / "personas")

    first = committed()
    here.add(mode="Apply", source={"git": {"url": f"{url}/personas/.git", "ref": "main", "path": "shop"}})
    assert here.becomes(Synced="InSync")["status"]["lastAppliedRevision"] == first
    here.write(alice="Be kinder.", bob="Be brief.")
    second = committed()
    eventually(lambda: here.get()["status"].get("lastAppliedRevision") == second)
    assert here.rows()["Alice"].prompt == "Be kinder."
