"""What ``benchmarks.operator`` measures: the installed operator on a real control plane.

Embedded servers are the service, and catalogs are in folders. The operator has the token of its service account.
Everything ends with the block, and nothing is left.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import yaml

from benchmarks import catalogs
from reconciler.server import Store
from tests.operator.plane import Plane, plane

DEPLOY: Final = Path(__file__).parents[1] / "deploy" / "kubernetes"
NAMESPACE: Final = "bookshop"
RESOURCES: Final = f"/apis/reconciler.dev/v1alpha1/namespaces/{NAMESPACE}/personacatalogs"

#: The installed command of this environment.
_RECONCILER: Final = str(Path(sys.executable).with_name("reconciler"))
_KEY: Final = "sk-of-no-use-{}"

_HEAD: Final = "catalog.yaml"
_MANIFEST: Final = "sessions/all.yaml"

#: One catalog of so many is in a ConfigMap.
_IN_CONFIG_MAPS: Final = 10

#: What the kernel counts CPU time in, a second.
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Account:
    """An account: an embedded server in a process of its own, whose log has a line for each request."""

    def __init__(self, number: int, folder: Path, contract: Path | None, stack: ExitStack) -> None:
        self.name, self.key = f"account-{number}", _KEY.format(number)
        self._file, self._log = folder / f"{self.name}.db", folder / f"{self.name}.log"
        words = [_RECONCILER, "server", "--port=0", f"--db={self._file}", "--verbose"]
        words += [f"--require-key={self.key}"] if contract else []
        words += [f"--contract={contract}"] if contract else []
        with self._log.open("w") as log:
            child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        stack.callback(ended, child)
        assert child.stdout is not None
        found = re.search(r" at (\S+)", child.stdout.readline())
        assert found, self._log.read_text()
        self.url = found[1]
        self._database = sqlite3.connect(
            self._file, timeout=30, isolation_level=None, check_same_thread=False
        )
        stack.callback(self._database.close)

    def calls(self) -> Counter[str]:
        """The requests so far, by operation."""
        return Counter(line.split()[2] for line in self._log.read_text().splitlines())

    def prompt(self, name: str) -> str | None:
        """The prompt of the session with this name; None if there is none."""
        row = self._database.execute("SELECT prompt FROM session WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def change(self, name: str, prompt: str) -> None:
        """Change a session as somebody in a console does."""
        sql = "UPDATE session SET prompt = ?, updated_at = datetime('now') WHERE name = ?"
        self._database.execute(sql, (prompt, name))


@dataclass
class Catalog:
    """A catalog in a folder or, with a ``plane``, in a ConfigMap; and its account. The first of its sessions is edited
    and drifts."""

    name: str
    account: Account
    folder: Path
    made: list[catalogs.Made]
    plane: Plane | None = None
    prompt: str = ""

    @property
    def source(self) -> dict[str, Any]:
        """The source in its resource."""
        if self.plane is None:
            return {"path": self.folder.name}
        items = [{"key": path.replace("/", "."), "path": path} for path in (_HEAD, _MANIFEST)]
        return {"configMapRef": {"name": self.name, "items": items}}

    def write(self, prompt: str = "") -> None:
        """Write the catalog, with another prompt for its first session if one is given."""
        first, *others = self.made
        first = first._replace(prompt=prompt or first.prompt)
        self.prompt = first.prompt
        head = {"version": 1, "catalog": self.name, "defaults": {"model": "deepseek-chat"}}
        texts = {_HEAD: yaml.safe_dump(head), _MANIFEST: catalogs.manifest([first, *others])}
        if self.plane is None:
            self._write_files(texts)
            return
        data = {path.replace("/", "."): text for path, text in texts.items()}
        meta = {"name": self.name, "namespace": NAMESPACE}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        if self.plane.create(body).status_code == 409:
            self.plane.patch(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{self.name}", {"data": data})

    def _write_files(self, texts: Mapping[str, str]) -> None:
        for path, text in texts.items():
            place = self.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(".part")
            part.write_text(text)
            part.rename(place)

    @property
    def live(self) -> str | None:
        """The live prompt of its first session."""
        return self.account.prompt(self.made[0].name)

    def drift(self) -> None:
        """Somebody changes its first session in a console."""
        self.account.change(self.made[0].name, "Somebody wrote this by hand.")


@dataclass
class Operator:
    """The operator's process."""

    child: subprocess.Popen[bytes]
    log: Path

    def cpu(self) -> float:
        """The CPU time that it has taken (seconds)."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self, name: str = "VmRSS") -> float:
        """Its resident memory (MB) now, or at its peak (``VmHWM``)."""
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.child.pid}/status").read_text())
        assert found
        return int(found[1]) * 1024 / 1e6


@dataclass
class World:
    """A cluster with an operator, and accounts and catalogs that it does not know yet."""

    plane: Plane
    operator: Operator
    accounts: list[Account]
    catalogs: list[Catalog]
    contract: str
    interval: int
    extra: Catalog  # for a Secret with a wrong key

    def secret(self, name: str, account: Account, key: str) -> None:
        """Create a Secret, or change its key."""
        data = {"endpoint": account.url, "key": key, "contract": self.contract}
        self.plane.secret(NAMESPACE, name, data)

    def add(self, catalog: Catalog, account: str) -> None:
        """Create the resource of a catalog."""
        spec = {
            "source": catalog.source,
            "accountRef": {"name": account},
            "interval": f"{self.interval}s",
            "mode": "Apply",
        }
        self.plane.catalog(NAMESPACE, catalog.name, spec)

    def reasons(self, kind: str) -> dict[str, str]:
        """The reason of a condition, by resource."""
        found = {}
        for item in self.plane.call("GET", RESOURCES)["items"]:
            conditions = (item.get("status") or {}).get("conditions") or []
            found[item["metadata"]["name"]] = next(
                (one["reason"] for one in conditions if one["type"] == kind), ""
            )
        return found

    def calls(self) -> Counter[str]:
        """All requests to the service so far, by operation."""
        return sum((account.calls() for account in self.accounts), Counter())

    def status_writes(self) -> int:
        """How many writes of a status the API server has answered."""
        text = self.plane.send("GET", "/metrics").text
        wanted = (
            r'^apiserver_request_total\{(?=.*resource="personacatalogs")(?=.*subresource="status").*\} (\S+)$'
        )
        return sum(int(float(count)) for count in re.findall(wanted, text, re.MULTILINE))

    def wait(self, what: str, done: Callable[[], bool], *, seconds: float, every: float = 0.05) -> float:
        """Wait until something is so. Returns how long that took (seconds); infinity if it never was."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            assert self.operator.child.poll() is None, self.operator.log.read_text()[-3000:]
            if done():
                return time.monotonic() - began
            time.sleep(every)
        print(f"not within {seconds:g} s: {what}", file=sys.stderr)
        return float("inf")


@contextmanager
def world(folder: Path, *, count: int, size: int, accounts: int, interval: int) -> Iterator[World]:
    """So many catalogs of so many sessions over so many accounts, and an operator that leads and knows of none."""
    with ExitStack() as stack:
        cluster = stack.enter_context(plane(made(folder / "plane")))
        for name in ("crd.yaml", "namespace.yaml", "rbac.yaml"):
            for document in yaml.safe_load_all((DEPLOY / name).read_text()):
                cluster.create(document, "reconciler")
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        contract = learned(folder)
        found = [Account(number, folder, contract, stack) for number in range(accounts)]
        root, sessions = made(folder / "catalogs"), catalogs.sessions((count + 1) * size)
        all_of_them = [
            Catalog(
                name,
                found[number % accounts],
                root / name,
                list(islice(sessions, size)),
                None if number % _IN_CONFIG_MAPS else cluster,
            )
            for number in range(count + 1)
            if (name := f"catalog-{number:03}")
        ]
        for one in all_of_them:
            one.write()
        operator = start(cluster, folder, root, stack)
        *others, extra = all_of_them
        it = World(cluster, operator, found, others, contract.read_text(), interval, extra)
        it.wait("it leads", lambda: "leading" in operator.log.read_text(), seconds=30)
        yield it


def start(cluster: Plane, folder: Path, root: Path, stack: ExitStack) -> Operator:
    """The installed command, with exactly the rights of ``rbac.yaml``."""
    token = cluster.token("/api/v1/namespaces/reconciler/serviceaccounts/reconciler-operator")
    log = folder / "operator.log"
    words = [_RECONCILER, "operator", f"--state-dir={folder / 'state'}", f"--catalogs={root}"]
    words += ["--lease-namespace=reconciler"]
    kubeconfig = str(cluster.kubeconfig(token, "operator"))
    with log.open("w") as file:
        child = subprocess.Popen(words, env={**os.environ, "KUBECONFIG": kubeconfig}, stderr=file)
    stack.callback(ended, child)
    return Operator(child, log)


def learned(folder: Path) -> Path:
    """The contract that the doctor learns of an embedded server."""
    with ExitStack() as stack:
        store = Store(made(folder / "probed") / "account-0.db")
        for number in range(1, 4):
            store.insert_session(name=f"a session {number}", created_at=f"2025-01-0{number} 00:00:00")
        store.close()
        url = Account(0, folder / "probed", None, stack).url
        words = [_RECONCILER, "doctor", f"--endpoint={url}", "--probe", "--auto-approve"]
        words += [f"--write={folder / 'contract.yaml'}"]
        done = subprocess.run(
            words, env={**os.environ, "MINDCRAFT_API_KEY": "sk-any"}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "contract.yaml"


def made(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir()
    return folder


def ended(child: subprocess.Popen[Any]) -> None:
    """End a process, by force if it takes long."""
    child.terminate()
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    pipe: IO[str] | None = child.stdout
    if pipe is not None:
        pipe.close()
