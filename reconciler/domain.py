"""The words that everything else speaks: what is wanted (:class:`Catalog`), what is live (:class:`Snapshot`).

Values only: nothing here reads a file, a clock or the network.

A *field* is named by a path: ``name``, ``model``, ``prompt``, ``parameters.<k>``, ``data.<k>`` or
``remark.<k>``. Only the first dot parts the name, so that ``data.a.b`` is the key ``a.b`` of ``data``.
The value of a field is always whole: lists and nested mappings are not looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from reconciler.ownership.remark import Remark
from reconciler.ownership.tag import Identity
from reconciler.values import JSON

if TYPE_CHECKING:
    from reconciler.contract import Contract

#: The groups of fields that hold keys of their own.
GROUPS = ("parameters", "data", "remark")

OnConflict: TypeAlias = Literal["overwrite", "keep-live", "fail"]


@dataclass(frozen=True, slots=True)
class Limit:
    """An upper bound, as a count or as a percentage of the managed sessions."""

    count: int | None = None
    percent: float | None = None

    def of(self, managed: int) -> int:
        """The bound as a count, given that so many sessions are managed."""
        if self.count is not None:
            return self.count
        from decimal import Decimal

        # As it is written: 32.3 % of 1000 are 323, and 322 to a float.
        return int(managed * Decimal(str(self.percent or 0)) / 100)

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an apply may do without being asked again. ``None`` means no bound."""

    max_deletes: Limit | None = Limit(count=10)
    max_updates: Limit | None = None
    max_changes: Limit | None = None
    on_conflict: OnConflict = "overwrite"
    lock: bool = False


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How one session may be changed. ``ignore_changes`` holds field paths, groups, or ``data.*``."""

    prevent_destroy: bool = False
    ignore_changes: tuple[str, ...] = ()

    def ignores(self, path: str) -> bool:
        """Whether differences of this field are to be left alone."""
        if not self.ignore_changes:
            return False
        group = path.partition(".")[0]
        return any(one in (path, group, f"{group}.*") for one in self.ignore_changes)


@dataclass(frozen=True, slots=True)
class Session:
    """One session as the catalog wants it, defaults merged. What is absent is not managed by us."""

    key: str
    name: str
    model: str
    prompt: str
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    data: Mapping[str, JSON] = field(default_factory=dict)
    remark: Mapping[str, JSON] = field(default_factory=dict)
    lifecycle: Lifecycle = Lifecycle()

    def fields(self) -> dict[str, JSON]:
        """All fields by path."""
        return flatten(self)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A text that the prompts of several sessions share, and their keys."""

    text: str
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What one catalog wants to be live, in one environment.

    ``adopt`` says which live session a key is to take over; ``moved`` maps the key that a session is to have to
    the identity that it had; ``handed_over`` maps a key that goes to the identity that another catalog or
    environment gives it; ``forgotten`` are keys whose sessions stay live without us. ``fragments`` tell which prompts
    share which text, by its name. ``id`` tells it from other catalogs of its name, and ``former_ids`` are those that it
    had.
    """

    name: str
    environment: str | None
    sessions: Mapping[str, Session]
    policy: Policy = Policy()
    adopt: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[str, Identity] = field(default_factory=dict)
    handed_over: Mapping[str, Identity] = field(default_factory=dict)
    forgotten: frozenset[str] = frozenset()
    fragments: Mapping[str, Fragment] = field(default_factory=dict)
    id: str | None = None
    former_ids: frozenset[str] = frozenset()

    def identity(self, key: str) -> Identity:
        """The identity of one of its sessions."""
        return Identity(self.name, self.environment, key)


@dataclass(frozen=True, slots=True)
class Written:
    """What this machine's journal says of a catalog: the ids of the sessions that it ``made``, and of all that it
    ``wrote``."""

    made: frozenset[int] = frozenset()
    wrote: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class LiveSession:
    """One session as the server listed it.

    ``prompt`` is normalised (:func:`reconciler.text.normalise.normalise_prompt`); numbers that came as text are
    numbers. ``row`` is the session as it came, to the letter, and ``config`` the part of it that holds the settings.
    ``raw_remark`` is the remark to the letter (None where the server gave null), ``remark`` what it means.
    """

    session_id: int
    name: str
    model: str
    prompt: str
    parameters: Mapping[str, JSON]
    data: Mapping[str, JSON]
    raw_remark: str | None
    remark: Remark
    row: Mapping[str, JSON]
    config: Mapping[str, JSON]
    session_token: str | None = None

    def fields(self) -> dict[str, JSON]:
        """All fields by path, those of others included."""
        found = flatten(self)
        for key, value in self.remark.keys.items():
            found[f"remark.{key}"] = value
        return found


#: Whose a session is that a listing counts and does not keep.
Others: TypeAlias = Literal["unmanaged", "foreign"]

#: What a listing keeps of a session: all or a part of it, or only whose it is, to be counted.
Keep: TypeAlias = Callable[[LiveSession], LiveSession | Others]

#: How a list was read (:mod:`reconciler.api.listing`): one pass in parallel, several of them united, or a sweep.
Way: TypeAlias = Literal["fast", "united", "sweep"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many sessions a listing counted and did not keep."""

    unmanaged: int = 0
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing took: calls of the service (retries aside), readings of the list, and the way that succeeded."""

    calls: int
    passes: int
    way: Way


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete listing, in the order of ``session_id``.

    It holds every session that was there throughout, but for those of others that were ``left_out`` on purpose.
    ``endpoint`` names where it came from, ``contract`` says what can be done there, ``listing`` how it was read; None
    where that is not known. ``messages`` says of some sessions, by id, how many messages they have.
    """

    sessions: tuple[LiveSession, ...]
    endpoint: str = ""
    contract: Contract | None = None
    left_out: LeftOut = LeftOut()
    listing: Listing | None = None
    messages: Mapping[int, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(self.sessions)

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def total(self) -> int:
        """How many sessions were listed, those that were left out included."""
        return len(self.sessions) + self.left_out.unmanaged + self.left_out.foreign

    def reduced(self, keep: Keep) -> Snapshot:
        """The snapshot with only what is kept of each session."""
        rows = [keep(live) for live in self.sessions]
        return replace(
            self,
            sessions=tuple(row for row in rows if isinstance(row, LiveSession)),
            left_out=LeftOut(
                self.left_out.unmanaged + rows.count("unmanaged"),
                self.left_out.foreign + rows.count("foreign"),
            ),
        )


def flatten(session: Session | LiveSession) -> dict[str, JSON]:
    """The fields of a session by path; of a live one, without those of its remark."""
    found: dict[str, JSON] = {"name": session.name, "model": session.model, "prompt": session.prompt}
    for key, value in session.parameters.items():
        found[f"parameters.{key}"] = value
    for key, value in session.data.items():
        found[f"data.{key}"] = value
    if isinstance(session, Session):
        for key, value in session.remark.items():
            found[f"remark.{key}"] = value
    return found
