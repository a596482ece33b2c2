"""Replicas of an operator in a namespace of their own, with a lease of their own, and the catalog that they apply.

The service and the judge of what was done to it are those of the fault suite (:mod:`tests.faults.world`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from reconciler.operator import lease
from reconciler.server import LoggedRequest, Quirks
from tests import warm
from tests.faults.tally import Tally
from tests.faults.world import (
    AFTER,
    BEFORE,
    GONE,
    KEPT,
    MESSAGES,
    NEW,
    PAGE,
    WRITES,
    Run,
    World,
    open_world,
)
from tests.operator.conftest import ACCOUNT, CATALOGS, NUMBERS, eventually, grant_lease
from tests.operator.plane import Plane
from tests.support import learned_file

#: The shortened term of the lease, and how long the list may lag at most (seconds).
TERM, SETTLE = 3, 1.5

#: What is imported before a replica is forked.
_FORKER = ("tests.operator.child", "tests.operator.child", "kopf", *warm.FORKER[1:])

#: Two to create, three to update and two to delete, of which one has two pages of messages; one stays.
_GONE = (1, 4)
WANTED = [KEPT[0], AFTER[0], AFTER[1], BEFORE[5], *NEW[:2]]


@dataclass
class Replica:
    """An operator that runs. ``name`` is in the User-Agent of its calls; ``state`` is its state folder."""

    name: str
    process: warm.Forked
    log: Path
    state: Path

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def says(self, text: str, seconds: float = 20) -> None:
        eventually(lambda: self.said(text), lambda: f"not said: {text!r}\n{self.log.read_text()}", seconds)

    def end(self) -> int:
        """End it in an orderly way, and return its exit code."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it at once, if it has not ended by itself."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(60)

    def made(self, entry: LoggedRequest) -> bool:
        """Whether a request to the service came from this replica."""
        return f"({self.name})" in entry.headers.get("user-agent", "")


@dataclass
class Stage:
    """A namespace with a Secret, a service with sessions, and the replicas that were started."""

    cluster: Plane
    namespace: str
    world: World
    root: Path
    term: int = TERM
    settle: float = SETTLE
    #: Where a replica finds the API server; empty: where it is.
    api: Callable[[str], str] = lambda name: ""
    replicas: list[Replica] = field(default_factory=list)

    def start(self, name: str, disk: str = "", *words: str) -> Replica:
        """Start a replica. ``disk`` names its state folder: by default it has one of its own."""
        state, log = self.root / (disk or name), self.root / f"{name}.log"
        token = self.cluster.token(ACCOUNT)
        kubeconfig = self.cluster.kubeconfig(token, f"{self.namespace}-{name}", self.api(name))
        given = [name, str(self.term), str(self.settle), "operator", f"--state-dir={state}"]
        given += [f"--catalogs={self.root}", f"--namespace={self.namespace}"]
        given += [f"--lease-namespace={self.namespace}", *words]
        env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        with log.open("wb") as err, open(os.devnull, "r+b") as nothing:
            process = warm.start(
                given,
                cwd=self.root,
                env=env,
                stdin=nothing.fileno(),
                stdout=nothing.fileno(),
                stderr=err.fileno(),
                forker=_FORKER,
            )
        self.replicas.append(Replica(name, process, log, state))
        return self.replicas[-1]

    # The cluster

    def path(self, name: str = "shop") -> str:
        return f"{CATALOGS}/{self.namespace}/personacatalogs/{name}"

    def add(self, name: str = "shop", **spec: Any) -> None:
        """A PersonaCatalog of the world's catalog, in the mode Apply."""
        given = {
            "source": {"path": "catalog"},
            "accountRef": {"name": "account"},
            "interval": "1h",
            "mode": "Apply",
            **spec,
        }
        self.cluster.catalog(self.namespace, name, given)

    def secret(self, **more: str) -> None:
        contract = learned_file(self.root).read_text(encoding="utf-8")
        data = {"endpoint": self.world.server.url, "contract": contract, **more}
        self.cluster.secret(self.namespace, "account", data)

    def reason(self, kind: str, name: str = "shop") -> str:
        """The reason of a condition of the spec as it is now; empty if there is none."""
        found = self.cluster.call("GET", self.path(name))
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return ""
        return {one["type"]: str(one["reason"]) for one in status["conditions"]}.get(kind, "")

    def becomes(self, kind: str, reason: str, seconds: float = 20, name: str = "shop") -> None:
        eventually(
            lambda: self.reason(kind, name) == reason,
            lambda: f"{kind} is {self.reason(kind, name)!r}\n{self.logs()}",
            seconds,
        )

    def events(self, name: str = "shop") -> list[str]:
        """The reasons of the events about a resource."""
        items = self.cluster.call("GET", f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [one["reason"] for one in items if one["involvedObject"]["name"] == name]

    # What was done

    def is_done(self, seconds: float = 30) -> None:
        """Wait until the service holds what the catalog says. Takes no call. The lock of a dead run may be left."""
        differences = self.world.differences
        eventually(lambda: not list(differences()), lambda: f"{list(differences())}\n{self.logs()}", seconds)

    def requests(self, replica: Replica) -> list[LoggedRequest]:
        return [one for one in self.world.server.log if replica.made(one)]

    def writes(self, replica: Replica) -> list[LoggedRequest]:
        return [one for one in self.requests(replica) if one.operation in WRITES]

    def judge(self, code: int = 0) -> None:
        """Nothing is double, lost or wrong, and a plan would do nothing. The disks of all replicas count."""
        logs = self.logs()
        eventually(
            lambda: not self.world.left(), lambda: f"{self.world.left()}\n{logs}", 3
        )  # the list may lag
        archives = {one.state / "catalogs" / self.namespace / "shop" / "archive" for one in self.replicas}
        self.world.close(Run(code, "", logs, self.world.server.log), *sorted(archives))

    def logs(self) -> str:
        return "\n".join(f"--- {one.name}\n{one.log.read_text()}" for one in self.replicas)


@contextmanager
def stage(
    cluster: Plane, root: Path, tally: Tally, quirks: Mapping[str, Any] | None = None, **more: Any
) -> Iterator[Stage]:
    """A stage with a seeded service. Its replicas do not outlive the block. ``more`` are fields of the stage."""
    namespace = f"stage-{next(NUMBERS)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    grant_lease(cluster, namespace)
    with ExitStack() as stack:
        world = stack.enter_context(
            open_world(root, tally, quirks=Quirks(max_page_size=PAGE, **(quirks or {})))
        )
        found = Stage(cluster, namespace, world, root, **more)
        found.secret()
        seed(world)
        try:
            yield found
        finally:
            for one in found.replicas:
                one.kill()


def never_both(here: Stage, first: Replica, second: Replica, until: float = inf) -> None:
    """The second one calls only after the first one's lease ended, and writes only when the list shows all. The first
    one made its calls ``until`` then."""
    last = max(one.time for one in here.requests(first) if one.time < until)
    ended = here.term * (1 - lease.RENEWED_EVERY / lease.TERM)  # it was renewed so long before, at most
    assert min(one.time for one in here.requests(second)) > last + ended
    writes = here.writes(second)
    assert not writes or min(one.time for one in writes) > last + ended + here.settle
    assert "Traceback" not in here.logs()


def seed(world: World) -> None:
    """Put in what an earlier apply made, and what belongs to others."""
    for number in _GONE:
        session_id = world.insert(GONE[number])
        for count in range(MESSAGES[number]):
            who = ("user", "assistant", "tip")[count % 3]
            world.store.insert_message(session_id, category=who, content=f"第{count}", meta={"n": count})
    for one in [KEPT[0], BEFORE[0], BEFORE[1]]:
        world.insert(one)
    world.insert(BEFORE[5], parameters={"temperature": 0.8, "max_tokens": 2000})
    world.seed_bystanders()
    world.want(WANTED)
