"""A small client of the Kubernetes API, for what kopf does not do: the Lease, the status and events.

It logs in as kopf does: with the pod's service account, else with a kubeconfig.
"""

from __future__ import annotations

import base64
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import kopf
import requests
import urllib3

from reconciler.errors import ReconcilerError

GROUP: Final = "reconciler.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "personacatalogs"

_JSON: Final = "application/json"

#: The media type of a list of changes that is applied as a whole or not at all (RFC 6902).
JSON_PATCH: Final = "application/json-patch+json"

#: What installs the resource definitions, and what gives the operator its rights: rbac.yaml alone names no namespace.
DEFINE: Final = "kubectl apply -f deploy/kubernetes/crd.yaml"
GRANT: Final = "kubectl apply -k deploy/kubernetes, or upgrade the Helm release"

#: How many items of a list are read at once.
_PAGE: Final = "500"

#: How long a call may take (seconds). A renewal of the Lease that takes longer is as good as lost.
_TIMEOUT: Final = 5.0

_NO_CLUSTER: Final = "run it in a pod with a service account, or name a kubeconfig in KUBECONFIG"


class ClusterError(ReconcilerError):
    """The cluster refuses a call, or can't be reached. ``status`` is 0 if no answer came."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether it may be over by itself: the API server is down, busy, or can't be reached."""
        return self.status in (0, 408, 409, 429) or self.status >= 500


class Cluster:
    """The API server. For any thread.

    Raises:
        ReconcilerError: there are no credentials.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._files: dict[str, str] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="reconciler-cluster-")
        self._login()
        if self._info.insecure:  # the kubeconfig says so; else each call would warn of it
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    @property
    def namespace(self) -> str:
        """The namespace of the pod, or that of the kubeconfig."""
        return self._info.default_namespace or "default"

    def close(self) -> None:
        """Remove the temporary certificate files."""
        self._folder.cleanup()

    def _login(self) -> None:
        settings = kopf.OperatorSettings()
        try:
            found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
                settings=settings
            )
        except OSError as error:
            raise ReconcilerError(
                f"the kubeconfig {error.filename} can't be read: {error.strerror}", _NO_CLUSTER
            ) from None
        except (KeyError, kopf.LoginError) as error:
            raise ReconcilerError(
                f"the kubeconfig can't be used: {type(error).__name__}", _NO_CLUSTER
            ) from None
        if found is None or not found.server:
            raise ReconcilerError("there is no cluster to connect to", _NO_CLUSTER)
        self._info = found

    def _session(self) -> requests.Session:
        """This thread's connection: a session is not for several threads."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is not None and self._local.info is self._info:
            return session
        info, session = self._info, requests.Session()
        session.trust_env = False
        if info.token:
            session.headers["Authorization"] = f"Bearer {info.token}"
        elif info.username:
            session.auth = (info.username, info.password or "")
        ca = self._file(info.ca_path, info.ca_data)
        session.verify = False if info.insecure else ca or True
        certificate = self._file(info.certificate_path, info.certificate_data)
        key = self._file(info.private_key_path, info.private_key_data)
        session.cert = (certificate, key) if certificate and key else None
        self._local.session, self._local.info = session, info
        return session

    def _file(self, path: Any, data: str | bytes | None) -> str | None:
        """A file with a certificate or a key that a kubeconfig names or holds."""
        if path or not data:
            return str(path) if path else None
        text = data if isinstance(data, str) else data.decode()
        if text not in self._files:
            file = Path(self._folder.name) / f"{len(self._files)}.pem"
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(text))
            self._files[text] = str(file)
        return self._files[text]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = _JSON,
        accept: str = _JSON,
        **query: str,
    ) -> dict[str, Any]:
        """Call the API, and return its answer. The token of a pod changes from time to time, so it is read again when
        it is refused.

        Raises:
            ClusterError: the call fails.
        """
        headers = {"Content-Type": kind, "Accept": accept}
        answer = self._send(method, path, body, headers, query)
        if answer.status_code == 401:
            self._login()
            answer = self._send(method, path, body, headers, query)
        if answer.status_code >= 400:
            hint = GRANT if answer.status_code == 403 else ""
            raise ClusterError(answer.status_code, f"{method} {path}: {_said(answer)}", hint)
        try:
            found: dict[str, Any] = answer.json()
        except ValueError:  # a proxy may answer in its place
            raise ClusterError(0, f"{method} {path}: the answer is no JSON") from None
        return found

    def list(self, path: str, accept: str = _JSON) -> Iterator[dict[str, Any]]:
        """The items of a collection, read page by page.

        Raises:
            ClusterError: a call fails.
        """
        query = {"limit": _PAGE}
        while True:
            answer = self.call("GET", path, accept=accept, **query)
            yield from answer["items"] or ()  # a list of metadata has null for none
            if not (more := answer["metadata"].get("continue")):
                return
            query["continue"] = more

    def _send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> requests.Response:
        try:
            return self._session().request(
                method,
                self._info.server.rstrip("/") + path,
                json=body,
                params=query,
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except (OSError, ValueError) as error:  # those of requests, and of files with certificates
            raise ClusterError(
                0,
                f"{self._info.server} does not answer ({type(error).__name__})",
                "check the kubeconfig and the network",
            ) from None


def _said(answer: requests.Response) -> str:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    message = document.get("message") if isinstance(document, dict) else None
    return str(message or f"HTTP {answer.status_code}")[:500]


def name_of(body: Mapping[str, Any]) -> str:
    """The name of an object in a namespace: ``NAMESPACE/NAME``."""
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def catalogs(namespace: str = "", name: str = "") -> str:
    """The path of one or all PersonaCatalogs, of one or all namespaces."""
    return _path(f"/apis/{GROUP}/{VERSION}", namespace, PLURAL, name)


def plans(namespace: str = "", name: str = "") -> str:
    """The path of one or all PersonaPlans, of one or all namespaces."""
    return _path(f"/apis/{GROUP}/{VERSION}", namespace, "personaplans", name)


def leases(namespace: str, name: str = "") -> str:
    """The path of a Lease."""
    return _path("/apis/coordination.k8s.io/v1", namespace, "leases", name)


def core(plural: str, namespace: str = "", name: str = "") -> str:
    """The path of a collection of the core API, or of one object in it."""
    return _path("/api/v1", namespace, plural, name)


def _path(api: str, namespace: str, plural: str, name: str) -> str:
    inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{api}{inside}/{plural}" + (f"/{quote(name, safe='')}" if name else "")
