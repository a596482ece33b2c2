"""What sources read from the cluster: ConfigMaps, and Secrets with credentials for git.

Nothing of their contents is kept here. The watch only tells which of them changed; they are read when they are needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from reconciler.operator.cluster import ClusterError, core


class Input(NamedTuple):
    """A ConfigMap or a Secret. ``plural`` is as in the API: ``configmaps`` or ``secrets``."""

    plural: str
    namespace: str
    name: str

    def __str__(self) -> str:
        kind = "ConfigMap" if self.plural == "configmaps" else "Secret"
        return f"the {kind} {self.namespace}/{self.name}"


def named_by(namespace: str, source: Mapping[str, Any]) -> frozenset[Input]:
    """What the source of a resource reads. All of it is in the resource's namespace."""
    found = set()
    if "configMapRef" in source:
        found.add(Input("configmaps", namespace, source["configMapRef"]["name"]))
    if "secretRef" in source.get("git", {}):
        found.add(Input("secrets", namespace, source["git"]["secretRef"]["name"]))
    return frozenset(found)


class Inputs:
    """Which resources use which inputs, and in which version they were last seen. For any thread.

    ``get`` gets a path of the API, and raises ClusterError.
    """

    def __init__(self, get: Callable[[str], dict[str, Any]]) -> None:
        self._get = get
        self._users: dict[Input, set[str]] = {}
        self._versions: dict[Input, str] = {}  # of those in use; empty if there is no such object
        self._lock = threading.Lock()

    def use(self, uid: str, names: Collection[Input]) -> None:
        """The resource with this uid uses these inputs, and no others."""
        with self._lock:
            for one in [one for one, users in self._users.items() if uid in users and one not in names]:
                self._users[one].discard(uid)
                if not self._users[one]:
                    del self._users[one]
                    self._versions.pop(one, None)
            for one in names:
                self._users.setdefault(one, set()).add(uid)

    def forget(self, uid: str) -> None:
        """Let what this resource uses be read anew, whatever the watch has said."""
        with self._lock:
            for one in [one for one, users in self._users.items() if uid in users]:
                self._versions.pop(one, None)

    def changed(self, plural: str, body: Mapping[str, Any], *, gone: bool) -> frozenset[str]:
        """The uids of the resources that have to read an input anew, since it is there, was changed, or is ``gone``."""
        meta = body["metadata"]
        one = Input(plural, meta["namespace"], meta["name"])
        version = "" if gone else str(meta["resourceVersion"])
        with self._lock:
            if one not in self._users or self._versions.get(one) == version:
                return frozenset()
            self._versions[one] = version
            return frozenset(self._users[one])

    def version(self, one: Input) -> str | None:
        """The version in which an input was last seen: empty if there is none, None if it was not looked at yet."""
        with self._lock:
            return self._versions.get(one)

    def read(self, one: Input) -> tuple[str, dict[str, Any] | None]:
        """An input as it is now, with its version; None if there is none.

        Raises:
            ClusterError: the cluster does not say.
        """
        before = self.version(one)
        try:
            body: dict[str, Any] | None = self._get(core(one.plural, one.namespace, one.name))
        except ClusterError as error:
            if error.status != 404:
                raise
            body = None
        version = "" if body is None else str(body["metadata"]["resourceVersion"])
        with self._lock:
            # What the watch has said in between is newer, perhaps, and has to be read, too.
            if one in self._users and self._versions.get(one) == before:
                self._versions[one] = version
        return version, body
