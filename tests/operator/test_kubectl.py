"""What ``kubectl get`` and ``kubectl describe`` show in each mode and state, as somebody last read it line by line.

Compared with each kubectl that there is: the installed one, and that of the variable RECONCILER_KUBECTL, such as
Debian's, which is of the API server's version. The expected texts are made again with ``REGOLDEN=1``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.server import running_server
from tests.operator.conftest import NUMBERS, Operator, World, eventually
from tests.operator.plane import ADMIN, Plane
from tests.support import API_KEY, LEARNED, learned_file

GOLDEN = Path(__file__).parent / "golden"

KUBECTLS = {
    name: path
    for name, path in {
        "installed": shutil.which("kubectl"),
        "other": os.environ.get("RECONCILER_KUBECTL"),
    }.items()
    if path
}

#: What each resource shows, in the order in which they are added. Each has a catalog of its own, but for the conflict.
STATES = (
    "apply",
    "approve",
    "approved",
    "bad-account",
    "bad-spec",
    "blocked",
    "conflict",
    "drift",
    "invalid",
    "no-account",
    "no-environment",
    "observe",
    "refused",
    "repair",
    "resumed",
    "suspended",
    "unauthorized",
    "window",
)

pytestmark = pytest.mark.skipif(
    not KUBECTLS, reason="there is no kubectl here, and none in RECONCILER_KUBECTL"
)


@pytest.fixture(scope="module")
def world(cluster: Plane, operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A namespace with a resource in each state."""
    namespace = f"team-{next(NUMBERS)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    contract = learned_file(tmp_path_factory.mktemp("contract")).read_text(encoding="utf-8")
    with running_server(None, contract=LEARNED, require_key=API_KEY) as server:
        found = World(cluster, operator, server, namespace, contract)
        add_all(found)
        yield found


def write(world: World, name: str, count: int) -> None:
    """A catalog of so many sessions, unlike those of the others."""
    catalog = "apply" if name == "conflict" else name
    sessions = {f"{name}-{number}": f"You are {name}, {number}." for number in range(count)}
    world.write(name, catalog, **sessions)


def add_all(world: World) -> None:
    for count, name in enumerate(STATES, 2):
        write(world, name, count)
    sessions = world.operator.catalogs / world.namespace / "invalid" / "sessions"
    (sessions / "all.yaml").write_text("sessions: {alice: {nam: Alice}}\n")
    world.secret()
    world.secret("wrong", key="sk-wrong")
    world.secret("plain", endpoint="http://api.example.com")
    world.add("apply", mode="Apply")
    world.add("approve", mode="Approve")
    world.add("approved", mode="Approve")
    world.add("bad-account", accountRef={"name": "plain"})
    world.add("bad-spec", source={"path": "../.."})
    world.add("blocked", mode="Apply", deletionPolicy="Delete", policy={"maxDeletes": "0"})
    world.add("drift", mode="Apply")
    world.add("invalid", mode="Apply")
    world.add("no-account", accountRef={"name": "later"})
    world.add("no-environment", environment="prod")
    world.add("observe")
    world.add("refused", mode="Apply", policy={"maxDeletes": "0"})
    world.add("repair", mode="Apply")
    world.add("resumed", mode="Apply", suspend=True)
    world.add("suspended", mode="Apply", suspend=True)
    world.add("unauthorized", accountRef={"name": "wrong"})
    digest = world.becomes("approved", Synced="PlanPending")["status"]["plan"]["digest"]
    for name in ("apply", "blocked", "drift", "refused", "repair"):
        world.becomes(name, Synced="InSync")
    world.becomes("resumed", Ready="Suspended")

    world.cluster.call("DELETE", world.path("blocked"))
    world.add("conflict", mode="Apply")  # by now it is younger: creation times have no fractions
    world.spec("approved", approve=digest)
    world.spec("drift", mode="Observe")
    world.spec("repair", mode="Repair")
    world.spec("resumed", suspend=False)
    for name in ("approved", "drift", "repair", "resumed"):
        world.becomes(name, Synced="InSync")
    world.becomes("conflict", Ready="Conflict")
    day = time.strftime("%a", time.gmtime(time.time() + 3 * 86_400))
    world.add("window", mode="Apply", window=f"{day} 09:00-10:00")

    for name in ("drift", "repair"):
        row = world.rows()[f"{name.title()}-0"]
        assert world.server.store.update_session(row.session_id, prompt="Be rude.")
    write(world, "refused", STATES.index("refused") + 1)
    world.becomes("refused", Ready="Refused")
    world.becomes("drift", Drifted="DriftFound")
    world.told(("Warning", "DriftFound"), ("Normal", "Applied"), name="repair")
    eventually(lambda: world.rows()["Repair-0"].prompt != "Be rude.")
    world.becomes("repair", Drifted="NoDrift", Synced="InSync")
    world.becomes("blocked", Ready="Refused")
    world.told(("Warning", "RemovalBlocked"), name="blocked")
    world.becomes("unauthorized", Ready="Unauthorized")
    eventually(lambda: "the window" in world.becomes("window")["status"]["conditions"][1]["message"])
    eventually(lambda: len([one for one in world.events("repair") if one[1] == "Applied"]) == 2)


@pytest.fixture(params=KUBECTLS)
def kubectl(request: pytest.FixtureRequest, world: World) -> Callable[..., str]:
    """Runs a kubectl in the namespace of the test, and returns what it prints."""
    kubeconfig = world.cluster.kubeconfig(ADMIN, "kubectl")

    def run(*words: str) -> str:
        done = subprocess.run(
            [KUBECTLS[request.param], "-n", world.namespace, *words],
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
        )
        return "".join(f"{line.rstrip()}\n" for line in (done.stdout + done.stderr).splitlines())

    return run


def compare(name: str, text: str) -> None:
    """Compare with the expected text, or write it when ``REGOLDEN=1`` is set."""
    path = GOLDEN / name
    if os.environ.get("REGOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def plain(world: World, text: str) -> str:
    """The text without what is different in each run."""
    text = text.replace(world.namespace, "bookshop").replace(world.server.url, "http://127.0.0.1:1234")
    for pattern, name in (
        (r" +Where: +personaplan/window\n", ""),  # it is stored once it has waited for 30 seconds
        (
            r"(?m)^ +Normal +PlanPending .*(it is written with the next look|waits for its finalizer.*)\n",
            "",
        ),  # if it was looked at before that
        (r"window +window +19 to create .*\n", ""),
        (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
        (r"\b[0-9a-f]{64}\b", "REVISION"),
        (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r"(Endpoint Digest: +)[0-9a-f]{16}", r"\1DIGEST"),
        (r"run [0-9a-f]{8}", "run RUN"),
        (r"the window \w{3} ", "the window DAY "),
        (r"(?<=Window:  )( *)\w{3} ", r"\1DAY "),
    ):
        text = re.sub(pattern, name, text)
    return text


def table(text: str) -> str:
    """A table without ages and the widths of its columns, which depend on what is different in each run."""
    text = re.sub(r"(?<=  )\d+m?\d*s( |$)", "AGE ", text, flags=re.MULTILINE)
    return "".join(f"{re.sub('(?<! )  +(?! )', '   ', line).rstrip()}\n" for line in text.splitlines())


def test_the_list_fits_onto_a_screen(world: World, kubectl: Callable[..., str]) -> None:
    shown = re.sub(r"\d+m?\d*s$", "5s", kubectl("get", "personacatalogs"), flags=re.MULTILINE)
    assert max(map(len, shown.splitlines())) < 80
    compare("get.txt", shown)


def test_the_wide_list_says_what_to_do(world: World, kubectl: Callable[..., str]) -> None:
    compare("get-wide.txt", table(plain(world, kubectl("get", "pcat", "-o", "wide"))))


def test_the_list_of_plans(world: World, kubectl: Callable[..., str]) -> None:
    compare("get-plans.txt", table(plain(world, kubectl("get", "personaplans"))))
    compare("get-plans-wide.txt", table(plain(world, kubectl("get", "pplan", "-o", "wide"))))


@pytest.mark.parametrize("name", STATES)
def test_describe_says_what_to_do(world: World, kubectl: Callable[..., str], name: str) -> None:
    shown = plain(world, kubectl("describe", "personacatalog", name))
    status = shown[shown.index("\nSpec:") + 1 : shown.index("\nEvents:") + 1]
    head, *events = table(shown[shown.index("\nEvents:") + 1 :]).splitlines()
    text = "\n".join([head, *events[:2], *sorted(events[2:])])  # those of one second have no order
    compare(f"{name}.txt", f"{status}{text.strip()}\n")


def test_the_text_of_a_plan_can_be_read_and_its_digest_approved(
    world: World, kubectl: Callable[..., str]
) -> None:
    shown = kubectl("get", "personaplan", "approve", "-o", "jsonpath={.text}{.digest}")
    digest = world.get("approve")["status"]["plan"]["digest"]
    assert shown.startswith("Plan for catalog approve, at ")
    assert "\nPlan: 3 to create, 0 to update, 0 to delete.\n" in shown
    assert shown.endswith(f"\n{digest}\n")
    patch = f'{{"spec": {{"approve": "{digest}"}}}}'
    answer = kubectl("patch", "personacatalog", "approve", "--type=merge", "-p", patch, "--dry-run=server")
    assert answer == "personacatalog.reconciler.dev/approve patched\n"


def test_orphan_leaves_the_sessions(world: World, kubectl: Callable[..., str]) -> None:
    world.write("orphan", "orphan", orphan="You are left.")
    world.add("orphan", mode="Apply", deletionPolicy="Orphan")
    world.becomes("orphan", Synced="InSync")
    assert kubectl("delete", "personacatalog", "orphan").startswith(
        'personacatalog.reconciler.dev "orphan" deleted'
    )
    gone = 'Error from server (NotFound): personacatalogs.reconciler.dev "orphan" not found\n'
    assert kubectl("get", "personacatalog", "orphan") == gone
    assert "Orphan" in world.rows()


def test_delete_removes_the_sessions(world: World, kubectl: Callable[..., str]) -> None:
    world.write("removed", "removed", removed="You are removed.")
    world.add("removed", mode="Apply", deletionPolicy="Delete")
    world.becomes("removed", Synced="InSync")
    assert kubectl("delete", "personacatalog", "removed").startswith(
        'personacatalog.reconciler.dev "removed" deleted'
    )
    assert "Removed" not in world.rows()
    events = table(plain(world, kubectl("get", "events", "--field-selector=reason=Removed", "--no-headers")))
    assert "1 session of removed archived and deleted: removed" in events
