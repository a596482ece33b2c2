"""What a ``PersonaCatalog`` and the Secret of its account say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler.address import check_address
from reconciler.api.endpoint import api_key
from reconciler.controller.settings import Limits, WatchedAccount, WatchedCatalog
from reconciler.controller.status import Mode
from reconciler.controller.window import parse_window
from reconciler.domain import Limit
from reconciler.errors import ReconcilerError, UsageError
from reconciler.operator.cluster import DEFINE, GROUP, VERSION
from reconciler.operator.inputs import Inputs
from reconciler.operator.source import make_source
from reconciler.text.hosts import is_loopback
from reconciler.watch_file import parse_duration

#: Asks for a look now, by any new value.
REQUESTED_AT: Final = "reconciler.dev/requestedAt"

#: Holds a resource that is deleted with `deletionPolicy: Delete` until its sessions are gone.
FINALIZER: Final = "reconciler.dev/sessions"

#: With the value `true`, lets a resource go that is being deleted, and leaves its sessions.
FORCE_ORPHAN: Final = "reconciler.dev/force-orphan"

_MODES: Final[Mapping[str, Mode]] = {
    "Observe": "observe",
    "Repair": "repair",
    "Approve": "approve",
    "Apply": "apply",
}

#: The modes that write a removal, as any other plan.
_REMOVES: Final = ("Approve", "Apply")

_LIMITS: Final = {"maxDeletes": "max_deletes", "maxUpdates": "max_updates", "maxChanges": "max_changes"}


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


def watched_account(name: str, account: Account, key: Callable[[], str], folder: Path) -> WatchedAccount:
    """The account of a Secret. ``key`` returns the key that the Secret has now, and ``folder`` is for its contract.

    Raises:
        ReconcilerError: the address or the contract can't be used.
    """
    from reconciler.contract import load_contract
    from reconciler.disk import write_durably

    endpoint = check_address(account.endpoint)
    needed = not is_loopback(urlsplit(endpoint).hostname or "")

    def read() -> str:
        try:
            return api_key(None, {"MINDCRAFT_API_KEY": key()}, needed=needed)[0]
        except ReconcilerError as error:
            message = error.problems[0].message.replace("MINDCRAFT_API_KEY", f"`key` of the Secret {name}")
            raise ReconcilerError(message, f"set `key` in the Secret {name}") from None

    contract = None
    if account.contract:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / "contract.yaml"
        write_durably(file, account.contract + "\n")
        contract = load_contract(file)
    return WatchedAccount(name, endpoint, read, f"the Secret {name}", contract=contract)


def watched_catalog(resource: Resource, state: Path, catalogs: Path | None, inputs: Inputs) -> WatchedCatalog:
    """What to watch. ``state`` is the operator's state folder; ``catalogs`` holds the folders that a ``path`` may name,
    and ``inputs`` what sources read from the cluster.

    Raises:
        ReconcilerError: the spec can't be used.
    """
    spec, own = resource.spec, state / "catalogs" / resource.namespace / resource.short_name
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    window = spec.get("window")
    return WatchedCatalog(
        resource.name,
        make_source(resource.namespace, spec["source"], own, catalogs, inputs),
        resource.account,
        own,
        resource.environment,
        mode=_MODES[resource.mode],
        interval=_duration("interval", spec.get("interval", "5m")),
        window=None if window is None else parse_window(window),
        limits=_limits(spec.get("policy") or {}),
        suspended=resource.suspended,
        removal=resource.uid if resource.removing else "",
    )


def full_interval(resource: Resource) -> float:
    """How often the resource wants its account to be listed page by page (seconds).

    Raises:
        UsageError: it is no duration, or too short.
    """
    return _duration("fullInterval", resource.spec.get("fullInterval", "1h"))


def _duration(name: str, text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 1:
        raise UsageError(f"`{name}` is too short", "write 1s or more")
    return seconds


def _limits(policy: Mapping[str, Any]) -> Limits:
    given: dict[str, Any] = {_LIMITS[name]: _limit(policy[name]) for name in _LIMITS if name in policy}
    if "onConflict" in policy:
        given["on_conflict"] = policy["onConflict"]
    return Limits(**given)


def _limit(text: str) -> Limit:
    return Limit(percent=float(text[:-1])) if text.endswith("%") else Limit(count=int(text))
