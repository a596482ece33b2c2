"""Errors that nobody expected, and a cluster that does not answer: they are told in a sentence, and tried again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
from reconciler.server import RunningServer
from tests.operator.conftest import World, eventually
from tests.operator.plane import ADMIN, free_port
from tests.support import API_KEY


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
