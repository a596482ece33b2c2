"""The status of a controller, and its JSON (``schemas/status.schema.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from reconciler.controller.states import State
from reconciler.text.timestamps import write_timestamp

STATUS_VERSION = "1.0"

#: ``repair`` writes only what drifted, back to the last applied revision. ``approve`` writes a plan whose digest was
#: approved.
Mode: TypeAlias = Literal["observe", "repair", "approve", "apply"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why looks fail: since when, how often in a row, and when the next attempt is."""

    message: str
    hint: str
    since: datetime
    failures: int
    next_attempt: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account. ``account`` is its mark: eight hexadecimal digits of a salted digest.

    ``sessions`` is how many live sessions it has, None if it was not listed yet. ``listings`` counts the listings by
    how they were made. ``deltas`` says whether cheap looks are used: ``off`` if they missed a change, ``unlearned`` if
    the contract does not say that they can be relied on.
    """

    account: str
    endpoint: str
    sessions: int | None = None
    last_look: datetime | None = None
    listings: Mapping[Literal["same", "delta", "full"], int] = field(default_factory=dict)
    mismatches: int = 0
    deltas: Literal["on", "off", "unlearned"] = "unlearned"
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Revisions:
    """Revisions of a catalog: a commit, or the digest of the files of a folder.

    ``applied`` is the last one that is live as a whole, ``attempted`` the newest that was seen, ``loaded`` the newest
    valid one.
    """

    applied: str | None = None
    attempted: str | None = None
    loaded: str | None = None


@dataclass(frozen=True, slots=True)
class GuardRefusal:
    """A guard that refuses the pending plan, and the flag that would allow it."""

    guard: str
    message: str
    allow: str


@dataclass(frozen=True, slots=True)
class PendingPlan:
    """A plan that was not applied. ``counts`` are actions by kind, ``drifted`` the keys that changed outside git.

    ``waits_for`` says in one sentence what keeps it from being applied.
    """

    digest: str
    counts: Mapping[str, int]
    since: datetime
    waits_for: str
    drifted: tuple[str, ...] = ()
    refusals: tuple[GuardRefusal, ...] = ()
    approved: bool = False


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run that wrote. ``outcomes`` counts its actions by outcome. ``digest`` is that of its plan; it is
    empty for a run of an earlier process that has no end on record. ``stopped`` says why it ended before it had tried
    everything."""

    run: str
    at: datetime
    exit_code: int
    outcomes: Mapping[str, int]
    digest: str = ""
    approved_by: str = ""
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class WatchedStatus:
    """A watched catalog. ``name`` is unique in the process.

    ``sessions`` counts those of the catalog: ``in_sync``, ``drifted``, ``pending`` (differ because git changed),
    ``missing``. ``standby`` says that another watcher holds the lock. ``runs`` has the last ones, newest first.
    """

    name: str
    catalog: str
    environment: str | None
    account: str
    source: str
    mode: Mode
    state: State
    reason: str = ""
    standby: bool = False
    revision: Revisions = field(default_factory=Revisions)
    sessions: Mapping[str, int] = field(default_factory=dict)
    plan: PendingPlan | None = None
    failure: Failure | None = None
    last_look: datetime | None = None
    last_success: datetime | None = None
    next_look: datetime | None = None
    runs: tuple[RunStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """A controller at one moment."""

    version: str
    started: datetime
    accounts: tuple[AccountStatus, ...]
    catalogs: tuple[WatchedStatus, ...]


def status_to_document(status: Status) -> dict[str, Any]:
    """The status as JSON values. Points in time are RFC 3339 texts in UTC."""
    return {"format_version": STATUS_VERSION, **_plain(asdict(status))}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return write_timestamp(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
