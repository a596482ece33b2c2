"""What a ``PersonaCatalog`` and the Secret of its account say."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.errors import ReconcilerError
from reconciler.operator.cluster import DEFINE, GROUP, VERSION

#: Asks for a look now, by any new value.
REQUESTED_AT: Final = "reconciler.dev/requestedAt"

#: Holds a resource that is deleted with `deletionPolicy: Delete` until its sessions are gone.
FINALIZER: Final = "reconciler.dev/sessions"

#: With the value `true`, lets a resource go that is being deleted, and leaves its sessions.
FORCE_ORPHAN: Final = "reconciler.dev/force-orphan"

#: The guards by the fields of `spec.policy` that set them.
LIMITS: Final = {"maxDeletes": "max_deletes", "maxUpdates": "max_updates", "maxChanges": "max_changes"}

#: The modes that write a removal, as any other plan.
_REMOVES: Final = ("Approve", "Apply")


@dataclass(frozen=True, slots=True)
class Resource:
    """A PersonaCatalog as it is in the cluster. ``name`` is ``NAMESPACE/NAME``; ``account`` is that of its Secret.
    ``version`` is its resourceVersion. It is ``deleted`` if it only waits for its finalizers to be removed.

    ``settings`` is what the spec says, apart from the approval, which changes nothing of what is watched, and whether
    the sessions are to be removed.
    """

    uid: str
    namespace: str
    short_name: str
    generation: int
    created: str
    spec: Mapping[str, Any]
    requested: str
    status: Mapping[str, Any]
    version: str
    deleted: bool
    finalizers: tuple[str, ...]
    forced: bool
    settings: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = {**self.spec, "approve": None, "removing": self.removing}
        object.__setattr__(self, "settings", json.dumps(settings, sort_keys=True))

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.short_name}"

    @property
    def account(self) -> str:
        return f"{self.namespace}/{self.spec['accountRef']['name']}"

    @property
    def mode(self) -> str:
        return str(self.spec.get("mode", "Observe"))

    @property
    def environment(self) -> str | None:
        found: str | None = self.spec.get("environment")
        return found

    @property
    def suspended(self) -> bool:
        return bool(self.spec.get("suspend", False))

    @property
    def reference(self) -> dict[str, str]:
        """What names it in other objects of its namespace."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "PersonaCatalog",
            "name": self.short_name,
            "uid": self.uid,
        }

    def approves(self, digest: str) -> bool:
        """Whether its spec names the plan with this digest, which may begin with ``sha256:``."""
        named = self.spec.get("approve") or ""
        return bool(named) and named.removeprefix("sha256:") == digest.removeprefix("sha256:")

    @property
    def age(self) -> tuple[str, str]:
        """Sorts older resources before younger ones."""
        return self.created, self.uid

    @property
    def has_finalizer(self) -> bool:
        """Whether it is held until its sessions are gone or left."""
        return FINALIZER in self.finalizers

    @property
    def wants_finalizer(self) -> bool:
        """Whether its sessions are to be removed when it is deleted."""
        return bool(self.spec.get("deletionPolicy") == "Delete")

    @property
    def spared(self) -> str:
        """Why its sessions stay when it is deleted, as far as the resource itself says; empty if they are removed."""
        if self.forced:
            return f"the annotation {FORCE_ORPHAN} says so"
        if not self.wants_finalizer:
            return "its deletionPolicy is Orphan"
        if self.suspended:
            return "it is suspended"
        if self.mode not in _REMOVES:
            return f"the mode {self.mode} removes nothing"
        return "" if self.has_finalizer else "it was deleted before its finalizer was set"

    @property
    def removing(self) -> bool:
        """Whether it is deleted, and its sessions are removed before it is gone."""
        return self.deleted and not self.spared


def read_resource(body: Mapping[str, Any]) -> Resource:
    """A PersonaCatalog of the API, which has checked it against the schema.

    Raises:
        ReconcilerError: it was stored under another schema.
    """
    meta, spec = body["metadata"], body.get("spec") or {}
    if not spec.get("source") or not (spec.get("accountRef") or {}).get("name"):
        raise ReconcilerError(
            "its spec does not fit the resource definition",
            f"{DEFINE}, then correct the resource",
        )
    return Resource(
        meta["uid"],
        meta["namespace"],
        meta["name"],
        meta.get("generation", 0),
        meta["creationTimestamp"],
        json.loads(json.dumps(spec, default=dict)),
        (meta.get("annotations") or {}).get(REQUESTED_AT, ""),
        json.loads(json.dumps(body.get("status") or {}, default=dict)),
        meta.get("resourceVersion", ""),
        meta.get("deletionTimestamp") is not None,
        tuple(meta.get("finalizers") or ()),
        (meta.get("annotations") or {}).get(FORCE_ORPHAN) == "true",
    )


@dataclass(frozen=True, slots=True)
class Account:
    """The Secret of an account. Its key is never shown."""

    endpoint: str
    key: str
    contract: str
    created: str = ""

    def __repr__(self) -> str:
        return f"Account({self.endpoint!r})"


def read_account(body: Mapping[str, Any]) -> Account | None:
    """What a Secret of the API says of an account; None if it is not about one: it has no ``endpoint``."""
    data = body.get("data") or {}
    if "endpoint" not in data:
        return None
    endpoint, key, contract = (
        base64.b64decode(data.get(name) or "").decode("utf-8", "replace").strip()
        for name in ("endpoint", "key", "contract")
    )
    return Account(endpoint, key, contract, body["metadata"].get("creationTimestamp") or "")
