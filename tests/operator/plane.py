"""A real Kubernetes control plane on loopback: etcd and kube-apiserver. No pod runs there."""

from __future__ import annotations

import base64
import lzma
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

ADMIN = "token-of-the-admin"

#: A folder with etcd and kube-apiserver (the convention of envtest), or one with kube-apiserver.xz.
ASSETS, FOLDER = "KUBEBUILDER_ASSETS", "RECONCILER_KUBE"


def missing() -> str:
    """Why there can be no control plane here; empty if there can."""
    if assets := os.environ.get(ASSETS):
        lacks = [name for name in ("etcd", "kube-apiserver") if not (Path(assets) / name).is_file()]
        return f"{ASSETS} has no {' and no '.join(lacks)}" if lacks else ""
    if not os.environ.get(FOLDER):
        return f"there is no control plane: set {ASSETS} or {FOLDER}"
    return "" if shutil.which("etcd") else "etcd is not installed (apt-get install etcd-server)"


class Program:
    """A program that can be killed and started again."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self._words, self._log = words, log
        self.start()

    def start(self) -> None:
        with self._log.open("a") as log:
            self._child = subprocess.Popen(self._words, stdout=log, stderr=log)

    @property
    def runs(self) -> bool:
        return self._child.poll() is None

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        self._child.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._child.send_signal(signal.SIGCONT)


@dataclass
class Plane:
    """The API server, as its admin. ``etcd_url`` is that of etcd's own API."""

    url: str
    folder: Path
    etcd_url: str
    etcd: Program
    server: Program
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.verify = str(self.folder / "certs" / "apiserver.crt")
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {ADMIN}"

    def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        return self.session.request(
            method, self.url + path, json=body, headers={"Content-Type": kind}, timeout=10
        )

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        answer = self.send(method, path, body, kind)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def wait(self) -> None:
        """Wait until it is ready."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.etcd.runs and self.server.runs, self._log()
            try:
                if self.send("GET", "/readyz").text == "ok":
                    return
            except (requests.RequestException, OSError):  # no certificate yet
                pass
            time.sleep(0.1)
        raise AssertionError(self._log())

    def _log(self) -> str:
        return (self.folder / "plane.log").read_text()[-3000:]

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def create(self, document: dict[str, Any], namespace: str = "") -> requests.Response:
        """Create what a manifest says."""
        kind, api = document["kind"], document["apiVersion"]
        plural = kind.lower() + "s"
        namespace = document["metadata"].get("namespace", namespace)
        inside = (
            f"/namespaces/{namespace}" if namespace and not kind.startswith(("Cluster", "Custom")) else ""
        )
        root = "/api/v1" if api == "v1" else f"/apis/{api}"
        if kind == "Namespace":
            inside = ""
        answer = self.send("POST", f"{root}{inside}/{plural}", document)
        assert answer.status_code in (201, 409), answer.text
        return answer

    def secret(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Create a Secret, or change these keys of it."""
        meta = {"name": name, "namespace": namespace}
        made = self.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": dict(data)})
        if made.status_code == 409:
            self.patch(f"/api/v1/namespaces/{namespace}/secrets/{name}", {"stringData": dict(data)})

    def catalog(self, namespace: str, name: str, spec: Mapping[str, Any]) -> Any:
        """Create a PersonaCatalog."""
        api, meta = "reconciler.dev/v1alpha1", {"name": name, "namespace": namespace}
        body = {"apiVersion": api, "kind": "PersonaCatalog", "metadata": meta, "spec": dict(spec)}
        return self.call("POST", f"/apis/{api}/namespaces/{namespace}/personacatalogs", body)

    def token(self, account: str) -> str:
        """A token of a service account. ``account`` is its path in the API."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self.call("POST", f"{account}/token", body)["status"]["token"])

    def kubeconfig(self, token: str, name: str, url: str = "") -> Path:
        """A kubeconfig with this token. ``url`` is another way to the API server."""
        path = self.folder / f"{name}.kubeconfig"
        certificate = (self.folder / "certs" / "apiserver.crt").read_bytes()
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [
                        {
                            "name": "t",
                            "cluster": {
                                "server": url or self.url,
                                "certificate-authority-data": base64.b64encode(certificate).decode(),
                            },
                        }
                    ],
                    "users": [{"name": "t", "user": {"token": token}}],
                    "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
                    "current-context": "t",
                }
            )
        )
        return path


@contextmanager
def plane(folder: Path) -> Iterator[Plane]:
    """A control plane with its data in a folder."""
    client, peer, port = free_port(), free_port(), free_port()
    etcd, server = _programs(folder)
    (folder / "tokens.csv").write_text(f"{ADMIN},admin,admin,system:masters\n")
    key = folder / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    etcd_words = [
        etcd,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    server_words = [
        server,
        f"--etcd-servers=http://127.0.0.1:{client}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certs'}",
        "--service-account-issuer=https://kubernetes.example.com",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--endpoint-reconciler-type=none",
    ]
    log = folder / "plane.log"
    with ExitStack() as stack:
        programs = []
        for words in (etcd_words, server_words):
            programs.append(Program(words, log))
            stack.callback(programs[-1].kill)
        found = Plane(f"https://127.0.0.1:{port}", folder, f"http://127.0.0.1:{client}", *programs)
        found.wait()
        yield found


def _programs(folder: Path) -> tuple[str, str]:
    if assets := os.environ.get(ASSETS):
        return str(Path(assets) / "etcd"), str(Path(assets) / "kube-apiserver")
    server = folder / "kube-apiserver"
    with lzma.open(Path(os.environ[FOLDER]) / "kube-apiserver.xz") as packed, server.open("wb") as file:
        shutil.copyfileobj(packed, file)
    server.chmod(0o755)
    etcd = shutil.which("etcd")
    assert etcd
    return etcd, str(server)


def free_port() -> int:
    """A port that nobody uses, and that the system gives to no connection meanwhile."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
