"""What the controller is told to watch, from a ``PersonaCatalog`` and the Secret of its account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from reconciler.operator.inputs import Inputs
from reconciler.operator.resource import LIMITS, Account, Resource
from reconciler.operator.source import make_source
from reconciler.text.hosts import is_loopback
from reconciler.watch_file import parse_duration

_MODES: Final[Mapping[str, Mode]] = {
    "Observe": "observe",
    "Repair": "repair",
    "Approve": "approve",
    "Apply": "apply",
}


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
        kept=str(resource.status.get("catalog", "")),
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
    given: dict[str, Any] = {LIMITS[name]: _limit(policy[name]) for name in LIMITS if name in policy}
    if "onConflict" in policy:
        given["on_conflict"] = policy["onConflict"]
    return Limits(**given)


def _limit(text: str) -> Limit:
    return Limit(percent=float(text[:-1])) if text.endswith("%") else Limit(count=int(text))
