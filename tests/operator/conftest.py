"""A control plane, an operator with exactly the rights of ``deploy/kubernetes/rbac.yaml``, and the embedded server."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.operator import lease as leases
from reconciler.operator.cluster import Cluster
from reconciler.server import LoggedRequest, RunningServer, SessionRow, running_server
from tests.git_server import Served, fake_ssh, serving_repositories
from tests.operator.plane import ADMIN, Plane, free_port, missing, plane
from tests.support import API_KEY, LEARNED, learned_file

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
CATALOGS = "/apis/reconciler.dev/v1alpha1/namespaces"
NUMBERS = itertools.count(1)
#: The key of another account of the service.
OTHER = "sk-other"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a control plane where there is none."""
    if why := missing():
        for item in items:
            if "operator" in item.path.parts and "cluster" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=why))


def documents(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")) if one]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with installed_plane(tmp_path_factory.mktemp("plane")) as found:
        yield found


@contextmanager
def installed_plane(folder: Path) -> Iterator[Plane]:
    """A control plane with what ``deploy/kubernetes`` installs, but for the deployment."""
    with plane(folder) as found:
        for name in ("crd.yaml", "namespace.yaml", "rbac.yaml"):
            for document in documents(name):
                answer = found.create(document, "reconciler")
                assert "Warning" not in answer.headers
        eventually(lambda: found.send("GET", f"{CATALOGS}/default/personacatalogs").status_code == 200)
        yield found


def grant_lease(cluster: Plane, namespace: str) -> None:
    """Give the operator its rights to a lease in this namespace, too."""
    for document in documents("rbac.yaml"):
        if document["kind"] in ("Role", "RoleBinding"):
            cluster.create(document, namespace)


@dataclass
class Operator:
    """An operator that runs, and the folder with catalogs."""

    child: subprocess.Popen[str]
    catalogs: Path
    log: Path
    url: str = ""  # where it listens

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def end(self) -> int:
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(20)


ACCOUNT = "/api/v1/namespaces/reconciler/serviceaccounts/reconciler-operator"


def start(
    cluster: Plane,
    folder: Path,
    *words: str,
    account: str = ACCOUNT,
    program: Sequence[str] = ("reconciler",),
    **environ: str,
) -> Operator:
    """An operator with the token of its service account. ``program`` is a module with its first arguments, and
    ``environ`` are variables of its environment."""
    token = cluster.token(account)
    folder.mkdir(parents=True, exist_ok=True)
    catalogs, log = folder / "catalogs", folder / "log"
    catalogs.mkdir(exist_ok=True)
    url = f"127.0.0.1:{free_port()}"
    command = ["-m", *program, "operator", f"--state-dir={folder / 'state'}", f"--catalogs={catalogs}"]
    with log.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, *command, "--lease-namespace=reconciler", f"--listen={url}", *words],
            env={
                **os.environ,
                "KUBECONFIG": str(cluster.kubeconfig(token, f"operator-{next(NUMBERS)}")),
                **environ,
            },
            stdout=subprocess.DEVNULL,
            stderr=file,
            text=True,
        )
    return Operator(child, catalogs, log, f"http://{url}")


@pytest.fixture(scope="module")
def operator(cluster: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator of all tests of a file. At its end, it stops in an orderly way."""
    folder = tmp_path_factory.mktemp("operator")
    programs = fake_ssh(folder / "bin").parent
    # As if there had been none before: whoever takes over waits for what another one may have created.
    cluster.send("DELETE", "/apis/coordination.k8s.io/v1/namespaces/reconciler/leases/reconciler-operator")
    found = start(cluster, folder, PATH=f"{programs}:{os.environ['PATH']}")
    eventually(lambda: "leading" in found.log.read_text())
    yield found
    code, log = found.end(), found.log.read_text()
    assert code == 0
    assert "Traceback" not in log, log
    assert API_KEY not in log


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None, contract=LEARNED, require_key=API_KEY) as found:
        yield found


@dataclass
class World:
    """A namespace of its own, with the Secret ``account`` and what a test puts beside it."""

    cluster: Plane
    operator: Operator
    server: RunningServer
    namespace: str
    contract: str
    modes: dict[str, set[str]] = field(default_factory=dict)  # that each resource had

    def secret(self, name: str = "account", key: str = API_KEY, **more: str) -> None:
        data = {"endpoint": self.server.url, "key": key, "contract": self.contract, **more}
        self.cluster.secret(self.namespace, name, data)

    def write(self, name: str = "shop", catalog: str = "shop", /, **prompts: str) -> None:
        """A catalog in the operator's folder."""
        root = self.operator.catalogs / self.namespace / name
        (root / "sessions").mkdir(parents=True, exist_ok=True)
        head = {"version": 1, "catalog": catalog, "defaults": {"model": "deepseek-chat"}}
        (root / "catalog.yaml").write_text(yaml.safe_dump(head))
        sessions = {key: {"name": key.title(), "prompt": prompt} for key, prompt in prompts.items()}
        (root / "sessions" / "all.yaml").write_text(yaml.safe_dump({"sessions": sessions}))

    def path(self, name: str = "shop") -> str:
        return f"{CATALOGS}/{self.namespace}/personacatalogs/{name}"

    def add(self, name: str = "shop", **spec: Any) -> None:
        """A PersonaCatalog of a folder, or as the spec says."""
        given = {
            "source": {"path": f"{self.namespace}/{name}"},
            "accountRef": {"name": "account"},
            "interval": "1s",
            **spec,
        }
        self.modes.setdefault(name, set()).add(given.get("mode", "Observe"))
        self.cluster.catalog(self.namespace, name, given)

    def spec(self, name: str = "shop", **changes: Any) -> None:
        self.modes.setdefault(name, set()).add(changes.get("mode", "Observe"))
        self.cluster.patch(self.path(name), {"spec": changes})

    def get(self, name: str = "shop") -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.call("GET", self.path(name))
        return found

    def conditions(self, name: str = "shop") -> dict[str, tuple[str, str]]:
        """Status and reason by type, of the spec as it is now."""
        found = self.get(name)
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        assert all(one["message"] and one["lastTransitionTime"] for one in status["conditions"])
        return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}

    def becomes(self, name: str = "shop", **wanted: str) -> dict[str, Any]:
        """Wait until conditions have these reasons."""

        def there() -> bool:
            found = self.conditions(name)
            return all(found.get(kind, ("", ""))[1] == reason for kind, reason in wanted.items())

        eventually(there, lambda: f"{wanted} never came: {self.get(name).get('status')}\n{self._log()}")
        return self.get(name)

    def events(self, name: str = "shop") -> list[tuple[str, str]]:
        """Type and reason of the events about a resource."""
        items = self.cluster.call("GET", f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [(one["type"], one["reason"]) for one in items if one["involvedObject"]["name"] == name]

    def told(self, *wanted: tuple[str, str], name: str = "shop") -> None:
        eventually(lambda: set(wanted) <= set(self.events(name)), lambda: f"only {self.events(name)}")

    def rows(self) -> dict[str, SessionRow]:
        return {row.name: row for row in self.server.store.sessions()}

    def writes(self) -> list[LoggedRequest]:
        return [one for one in self.server.log if one.method != "GET"]

    def observe_wrote_nothing(self) -> None:
        """Check that nothing was written for a resource that was in no other mode."""
        observed = [name for name, modes in self.modes.items() if modes == {"Observe"}]
        state = self.operator.catalogs.parent / "state" / "catalogs" / self.namespace
        assert [name for name in observed if (state / name / "journal.jsonl").exists()] == []
        assert len(observed) < len(self.modes) or self.writes() == []

    def _log(self) -> str:
        return self.operator.log.read_text()[-3000:]


@pytest.fixture
def here(cluster: Plane, operator: Operator, server: RunningServer, tmp_path: Path) -> Iterator[World]:
    """A namespace with an account, and a folder with the catalog ``shop`` of two sessions."""
    namespace = f"team-{next(NUMBERS)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    found = World(cluster, operator, server, namespace, learned_file(tmp_path).read_text(encoding="utf-8"))
    found.secret()
    found.write(alice="Be kind.", bob="Be brief.")
    yield found
    found.observe_wrote_nothing()  # over all tests


@pytest.fixture
def alone(cluster: Plane, tmp_path: Path) -> Iterator[World]:
    """A namespace that nobody follows until :func:`follow`, a catalogs folder, and a service with two accounts."""
    namespace, catalogs = f"alone-{next(NUMBERS)}", tmp_path / "catalogs"
    catalogs.mkdir()
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    with running_server(None, contract=LEARNED, require_key=[API_KEY, OTHER]) as server:
        contract = learned_file(tmp_path).read_text(encoding="utf-8")
        nobody = Operator(None, catalogs, Path(os.devnull), "")  # type: ignore[arg-type] # until one is started
        yield World(cluster, nobody, server, namespace, contract)


def follow(world: World, folder: Path, *words: str) -> Operator:
    """An operator for the namespace of a world alone, with a lease there."""
    grant_lease(world.cluster, world.namespace)
    given = (f"--namespace={world.namespace}", f"--lease-namespace={world.namespace}")
    return start(world.cluster, folder, *given, f"--catalogs={world.operator.catalogs}", *words)


def eventually(
    check: Callable[[], bool], why: Callable[[], str] = lambda: "it never came", seconds: float = 20
) -> None:
    """Wait until it holds."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, why()
        time.sleep(0.1)


def quiet(server: RunningServer, seconds: float = 1.5) -> bool:
    """Whether nobody calls the service for so long: longer than the interval of what is no longer looked at."""
    count = len(server.log)
    time.sleep(seconds)
    return len(server.log) == count


def next_second() -> None:
    """What is created afterwards is younger than what was before: creation times have no fractions."""
    time.sleep(1.02 - time.time() % 1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A folder of repositories that is served over http."""
    with serving_repositories(tmp_path / "repositories") as found:
        yield found


@pytest.fixture
def repositories(served: Served) -> tuple[Path, str]:
    """A folder of repositories, and the address at which they are served."""
    return served.root, served.url


@pytest.fixture
def access(cluster: Plane, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The operator's client of the API server, with all rights."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(ADMIN, "access")))
    found = Cluster()
    yield found
    found.close()


@pytest.fixture
def quick(access: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The same, for leases with terms of moments."""
    for name, seconds in {"TERM": 2, "WRITES_FOR": 1.2, "RENEWED_EVERY": 0.3, "LOOKED_AT_EVERY": 0.1}.items():
        monkeypatch.setattr(leases, name, seconds)
    return access
