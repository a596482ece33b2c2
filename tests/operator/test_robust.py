"""What may go wrong around the operator: it is suspended or restarted, lacks rights, or meets an unexpected error."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from reconciler.controller.events import Event
from reconciler.controller.rule import Rule
from reconciler.errors import ReconcilerError
from reconciler.operator import run
from reconciler.operator import runner as runners
from reconciler.operator.inputs import Inputs
from reconciler.operator.resource import Account, read_resource
from reconciler.operator.run import Options
from reconciler.operator.runner import Runner, Surroundings
from reconciler.operator.unexpected import in_sentences, survived
from reconciler.server import LoggedRequest, RunningServer
from tests.faults.tally import Tally
from tests.git_server import GitServer, commit, serving
from tests.operator.conftest import NUMBERS, OTHER, World, documents, eventually, follow, start
from tests.operator.plane import ADMIN, Plane, free_port
from tests.operator.replicas import stage
from tests.support import API_KEY

# A process that is suspended


class Suspender:
    """Suspends a process when the nth request of an operation arrives. The request is answered nevertheless."""

    def __init__(self, server: RunningServer, operation: str, nth: int, pid: int) -> None:
        self.struck = threading.Event()
        self._operation, self._left, self._pid = operation, nth, pid
        server.before.append(self._see)

    def _see(self, entry: LoggedRequest) -> None:
        self._left -= entry.operation == self._operation
        if not self._left and not self.struck.is_set():
            os.kill(self._pid, signal.SIGSTOP)
            self.struck.set()


#: Requests of an apply that may be the last ones before the suspension: operation and how often it has come.
_POINTS = [("create_session", 2), ("list_messages", 1)]
_OTHERS = [("create_session", 1), ("create_session", 3), ("delete_session", 1), ("delete_session", 2)]
_OTHERS += [("list_messages", 3)]
_OTHERS += [("update_session", number) for number in range(1, 4)]
_OTHERS += [("list_sessions", number) for number in range(1, 12)]


@pytest.mark.parametrize(
    ("operation", "nth"), [*_POINTS, *(pytest.param(*one, marks=pytest.mark.full) for one in _OTHERS)]
)
def test_a_suspended_process_writes_nothing_after_another_one_took_over(
    cluster: Plane, tmp_path: Path, tally: Tally, operation: str, nth: int
) -> None:
    with stage(cluster, tmp_path, tally) as here:
        first = here.start("first")
        first.says("leading")
        second = here.start("second")
        second.says("standing by")
        suspender = Suspender(here.world.server, operation, nth, first.process.pid)
        here.add()
        assert suspender.struck.wait(20), here.logs()
        second.says("leading")
        before = len(here.writes(first))
        os.kill(first.process.pid, signal.SIGCONT)
        assert first.process.wait(30) == 1
        assert first.said("the lease was lost")
        eventually(lambda: not list(here.world.differences()), here.logs, 30)
        assert here.writes(first)[before:] == []
        assert second.end() == 0
        assert "Traceback" not in here.logs()
        here.judge()


def test_a_suspended_process_of_another_number_of_shards_writes_nothing_when_it_wakes(
    cluster: Plane, tmp_path: Path, tally: Tally
) -> None:
    """Nobody took its lease: the others have leases of other names."""
    with stage(cluster, tmp_path, tally) as here:
        for document in documents("options/shards/role.yaml"):
            cluster.create(document, here.namespace)
        old = here.start("old")
        old.says("leading")
        new = [here.start(f"new-{index}", f"new-{index}", f"--shard={index}/2") for index in range(2)]
        for one in new:
            one.says("reconciler-operator: 1 shard, and here are 2")
        suspender = Suspender(here.world.server, "create_session", 2, old.process.pid)
        here.add()
        assert suspender.struck.wait(20), here.logs()
        for one in new:
            one.says("leading")
        before = len(here.writes(old))
        os.kill(old.process.pid, signal.SIGCONT)
        assert old.process.wait(30) == 1
        assert old.said("it was not renewed in time")
        eventually(lambda: not list(here.world.differences()), here.logs, 30)
        assert here.writes(old)[before:] == []
        assert sorted(len(here.requests(one)) > 0 for one in new) == [False, True]
        assert [one.end() for one in new] == [0, 0]
        assert "Traceback" not in here.logs()
        here.judge()


# A conflict on a cold start


class SlowGit(GitServer):
    """Answers nothing before it is opened."""

    opened: threading.Event

    def do_GET(self) -> None:
        self.opened.wait(60)
        super().do_GET()

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_after_a_restart_the_younger_resource_waits_for_the_older_one(
    alone: World, tmp_path: Path, known: bool
) -> None:
    """The source of the older one is slow, and the younger one is in another Secret's loop. ``known`` says whether its
    status still tells its catalog."""
    root, opened = tmp_path / "repositories", threading.Event()
    root.mkdir()
    opened.set()
    handler = type("Handler", (SlowGit,), {"root": root, "credentials": [], "seen": [], "opened": opened})
    with serving(handler) as url:
        try:
            in_conflict(alone, tmp_path, url, root)
            if not known:
                patch = [{"op": "remove", "path": "/status"}]
                alone.cluster.call("PATCH", f"{alone.path()}/status", patch, "application/json-patch+json")
            opened.clear()
            count = len(alone.writes())
            second = follow(alone, tmp_path / "second")  # its disk is empty
            eventually(lambda: "copy plan_pending" in second.log.read_text(), second.log.read_text)
            other = f"{alone.namespace}/shop, an older resource for the same catalog, to be deleted"
            assert (
                other if known else "older resources of the account to be loaded"
            ) in second.log.read_text()
            opened.set()
            alone.becomes(Ready="Succeeded", Synced="InSync")
            alone.becomes("copy", Ready="Conflict")
            assert len(alone.writes()) == count
            assert second.end() == 0
        finally:
            opened.set()


def in_conflict(alone: World, root: Path, url: str, repositories: Path) -> None:
    """An older resource from git and a younger one for the same catalog, after an operator has seen both."""
    alone.secret()
    alone.secret("same")  # another Secret for the same account
    alone.write(alice="Be kind.")
    shutil.copytree(alone.operator.catalogs / alone.namespace / "shop", repositories / "personas")
    commit(repositories / "personas")
    alone.add(mode="Apply", source={"git": {"url": f"{url}/personas/.git", "ref": "main"}})
    first = follow(alone, root / "first")
    alone.becomes(Synced="InSync")
    time.sleep(1.1)  # creation times have no fractions
    alone.write("copy", "shop", alice="Be rude.")
    alone.add("copy", mode="Apply", accountRef={"name": "same"})
    alone.becomes("copy", Ready="Conflict")
    assert first.end() == 0


# Errors that nobody expected


@dataclass
class Stand:
    """A runner with a catalog in a folder, and what it tells."""

    root: Path
    url: str
    told: list[Event] = field(default_factory=list)
    rule: Callable[[str], Rule] = lambda account: Rule()
    breaks: Callable[[Event], None] = lambda event: None

    def resource(self, **spec: Any) -> Any:
        meta = {"uid": "1", "namespace": "team", "name": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}
        given = {"source": {"path": "shop"}, "accountRef": {"name": "account"}, "interval": "1s", **spec}
        return read_resource({"metadata": meta, "spec": given})

    def runner(self) -> Runner:
        (self.root / "shop").mkdir(exist_ok=True)
        (self.root / "shop" / "catalog.yaml").write_text("version: 1\ncatalog: shop\n")
        tell = (self.told.append, lambda event: self.breaks(event))
        inputs = Inputs(lambda path: {})
        around = Surroundings(
            self.root / "state",
            self.root,
            lambda account: self.rule(account),
            tell,
            lambda name: API_KEY,
            inputs,
        )
        found = Runner("team/account", around)
        found.want(Account(self.url, API_KEY, ""), [self.resource()])
        return found


@pytest.fixture
def stand(tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setattr(runners, "_AFTER_A_BUG", 0.3)
    return Stand(tmp_path, server.url)


def looks(runner: Runner) -> bool:
    """Whether its catalog was looked at."""
    controller = runner.running.controller
    return controller is not None and controller.status().catalogs[0].last_look is not None


def boom(*_: object, **__: object) -> Any:
    raise RuntimeError("a secret text")


def test_an_error_while_a_loop_is_started_is_told_and_tried_again(stand: Stand) -> None:
    stand.rule = boom
    runner = stand.runner()
    eventually(lambda: bool(runner.running.broken))
    assert runner.running.broken.startswith("unexpected error: RuntimeError in boom, line ")
    assert "a secret text" not in runner.running.broken
    assert runner.running.watches(stand.resource())
    eventually(lambda: bool(stand.told))
    assert (stand.told[0].kind, stand.told[0].watched) == ("failing", "team/shop")
    time.sleep(1)
    assert len(stand.told) < 4  # no busy loop
    stand.rule = lambda account: Rule()
    eventually(lambda: looks(runner))
    runner.close()
    runner.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_ends_by_itself_is_told_and_started_again(stand: Stand) -> None:
    stand.breaks = boom
    runner = stand.runner()
    eventually(lambda: bool(runner.running.broken))
    assert runner.running.broken == (
        "the loop of the account has ended by itself (hint: this is a bug: please report it)"
    )
    stand.breaks = lambda event: None
    eventually(lambda: looks(runner))
    runner.close()
    runner.join()


def test_an_object_that_can_not_be_followed_is_named() -> None:
    said: list[str] = []
    body = {"kind": "PersonaCatalog", "metadata": {"namespace": "team", "name": "shop"}, "spec": {}}
    with survived(said.append, body):
        read_resource(body)
    assert said == [
        "PersonaCatalog team/shop can't be followed: its spec does not fit the resource definition "
        "(hint: kubectl apply -f deploy/kubernetes/crd.yaml, then correct the resource)"
    ]


# Rights


def service_account(cluster: Plane, namespace: str, *names: str) -> str:
    """A service account with the rights of these manifests in the namespace, and no other rights."""
    who = f"narrow-{next(NUMBERS)}"
    meta = {"name": who, "namespace": namespace}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/{who}"
    for name in names:
        bind(cluster, namespace, account, *documents(name))
    return account


def bind(cluster: Plane, namespace: str, account: str, *manifests: dict[str, Any]) -> None:
    """Create Roles and RoleBindings in a namespace, for a service account in place of the operator's."""
    *_, home, _, who = account.split("/")
    for one in manifests:
        if one["kind"] == "RoleBinding":
            one["subjects"] = [{"kind": "ServiceAccount", "name": who, "namespace": home}]
        if one["kind"] in ("Role", "RoleBinding"):
            cluster.create(one, namespace)


def test_single_namespaces_need_no_rights_beyond_them(alone: World, tmp_path: Path) -> None:
    """In one of two namespaces, the operator may not even report: that does not keep it from the other one."""
    account = service_account(
        alone.cluster, alone.namespace, "rbac.yaml", "options/namespaced/role-binding.yaml"
    )
    other = replace(alone, namespace=f"{alone.namespace}-more")
    alone.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other.namespace}})
    role = next(one for one in documents("rbac.yaml") if one["kind"] == "ClusterRole")
    role |= {"kind": "Role"}
    role["rules"] = [one for one in role["rules"] if "personacatalogs/status" not in one["resources"]]
    (binding,) = documents("options/namespaced/role-binding.yaml")
    binding["roleRef"]["kind"] = "Role"
    bind(alone.cluster, other.namespace, account, role, binding)
    for world in (other, alone):
        world.secret(key=OTHER if world is other else API_KEY)
        world.write(alice="Be kind.")
        world.add(mode="Apply")
    words = [f"--namespace={alone.namespace}", f"--namespace={other.namespace}"]
    words += [f"--lease-namespace={alone.namespace}", f"--catalogs={alone.operator.catalogs}"]
    operator = start(alone.cluster, tmp_path / "operator", *words, account=account)
    try:
        eventually(lambda: "can't be reported" in operator.log.read_text(), operator.log.read_text)
        alone.becomes(Synced="InSync")
        alone.secret("later")
        alone.spec(accountRef={"name": "later"}, mode="Observe")  # by the watch
        alone.becomes(Synced="InSync")
        log = operator.log.read_text()
        assert f"{other.namespace}/shop can't be reported: PATCH " in log
        assert log.count("can't be reported") == 1
        assert operator.end() == 0
    finally:
        operator.kill()


def test_without_the_right_to_list_it_ends_with_a_sentence(alone: World, tmp_path: Path) -> None:
    account = service_account(
        alone.cluster, alone.namespace, "rbac.yaml"
    )  # its binding to the cluster's role is missing
    words = (f"--namespace={alone.namespace}", f"--lease-namespace={alone.namespace}")
    operator = start(alone.cluster, tmp_path / "operator", *words, account=account)
    assert operator.child.wait(20) == 1
    log = operator.log.read_text()
    assert "leading" in log
    assert "is forbidden" in log
    assert "Traceback" not in log


def test_a_cluster_that_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    server = f"https://127.0.0.1:{free_port()}"
    config = {
        "clusters": [{"name": "t", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "t", "user": {"token": "t"}}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        "current-context": "t",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    log = tmp_path / "log"
    with log.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "operator", f"--state-dir={tmp_path / 'state'}"],
            env={**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")},
            stderr=file,
        )
    try:
        eventually(lambda: "standing by: " in log.read_text(), log.read_text)
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
    finally:
        child.kill()
    assert f"standing by: {server} does not answer (ConnectionError)" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_if_the_watch_ends_the_operator_ends_with_a_sentence(
    alone: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(alone.cluster.kubeconfig(ADMIN, "watch-ends")))
    monkeypatch.setattr(kopf, "run", boom)
    options = Options(tmp_path / "state", None, [alone.namespace], alone.namespace)
    with pytest.raises(ReconcilerError) as caught:
        run.Operator(options, lambda text: None, []).run()
    (problem,) = caught.value.problems
    assert problem.message.startswith(
        "the cluster is no longer watched: kopf has ended (unexpected error: RuntimeError"
    )
    assert "secret" not in problem.message
    assert problem.hint == "start it again; the log above says what it could not do"
    lease = alone.cluster.call(
        "GET", f"/apis/coordination.k8s.io/v1/namespaces/{alone.namespace}/leases/reconciler-operator"
    )
    assert lease["spec"]["holderIdentity"] == ""


def test_what_libraries_log_is_told_in_sentences_and_once() -> None:
    said: list[str] = []
    logger = logging.getLogger("kopf.test")
    with in_sentences(said.append, "kopf"):
        for attempt in range(3):
            logger.error(
                f"Request attempt #{attempt}/9 failed; will retry: GET /x -> E('no', {{'kind': 'Status'}})"
            )
        try:
            boom()
        except RuntimeError:
            logger.exception("It failed\nfor good")
        logger.info("All is well")
        logger.warning("OS signals are ignored: running not in the main thread.")
        logger.warning("")
    assert said == ["kopf: Request failed; will retry: GET /x -> E('no'", "kopf: It failed", "kopf: "]
