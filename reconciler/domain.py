"""The shared vocabulary: what is wanted (:class:`Catalog`) and what is live (:class:`Snapshot`), as frozen values.

A *field* is named by a path: ``name``, ``model``, ``prompt``, ``parameters.<k>``, ``data.<k>`` or
``remark.<k>``. Only the first dot is a separator: ``data.a.b`` is the key ``a.b`` of ``data``. A field's value
may be a list or a mapping; their items are not fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, runtime_checkable

from reconciler.behaviour.case import Case
from reconciler.ownership.account import UNKNOWN, Account
from reconciler.ownership.key import EVERY_KEY
from reconciler.ownership.remark import Remark
from reconciler.ownership.tag import Identity, Tag
from reconciler.values import JSON

if TYPE_CHECKING:
    from reconciler.contract import Contract, ContractFile

#: The groups of fields. All other fields are at the top level.
GROUPS = ("parameters", "data", "remark")

#: The name of the embedded server among endpoints.
LOCAL: Final = "local"

OnConflict: TypeAlias = Literal["overwrite", "keep-live", "fail"]


@dataclass(frozen=True, slots=True)
class Limit:
    """An upper bound, as a count or as a percentage of the managed sessions."""

    count: int | None = None
    percent: float | None = None

    def of(self, managed: int) -> int:
        """The bound as a count, for this number of managed sessions."""
        if self.count is not None:
            return self.count
        from decimal import Decimal

        # In decimal arithmetic: 32.3 % of 1000 is 323, but floats give 322.
        return int(managed * Decimal(str(self.percent or 0)) / 100)

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an apply may do without being asked again. ``None`` means no bound.

    ``canary`` is how many writes of each kind are sent alone first and checked in the list; None means as many as the
    contract calls for (:func:`reconciler.plan.canaries.canaries_due`). ``tests`` says that behaviour tests of what a
    plan changes have to be run, and must not regress. ``shared_account`` says that the environments of the catalog may
    live in one account.
    """

    max_deletes: Limit | None = Limit(count=10)
    max_updates: Limit | None = None
    max_changes: Limit | None = None
    on_conflict: OnConflict = "overwrite"
    lock: bool = False
    canary: int | None = None
    tests: Literal["required"] | None = None
    shared_account: bool = False


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How one session may be changed. ``ignore_changes`` holds field paths, groups, or ``data.*``."""

    prevent_destroy: bool = False
    ignore_changes: tuple[str, ...] = ()

    def ignores(self, path: str) -> bool:
        """Whether differences of this field are ignored."""
        if not self.ignore_changes:
            return False
        group = path.partition(".")[0]
        return any(one in (path, group, f"{group}.*") for one in self.ignore_changes)


@dataclass(frozen=True, slots=True)
class Session:
    """One session as the catalog wants it, with defaults merged. Fields that it does not have are not managed."""

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
    """A text that the prompts of several sessions share. ``keys`` are those of the sessions."""

    text: str
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What one catalog wants to be live, in one environment.

    Attributes:
        adopt: the id of the live session that a key takes over.
        moved: the key that the session of this identity gets. Several may lead to one key: entries that are done stay
            in the file, and a session has only one of these identities.
        handed_over: the identity in another catalog or environment that the session of this key gets;
            :data:`~reconciler.ownership.key.EVERY_KEY` stands for all sessions.
        forgotten: the keys of sessions that stay live, but are not managed any more.
        fragments: the texts that several prompts share, by name.
        environments: all environments that the catalog declares.
        id: what tells it from other catalogs of its name.
        former_ids: the ids that it had before.
        moved_elsewhere: what ``moved`` gives to another environment than this one;
            :data:`~reconciler.ownership.key.EVERY_KEY` stands for all sessions.
        tests: the behaviour tests of the sessions that have some, by key.
        moved_every: from where ``moved`` brings every session here, with
            :data:`~reconciler.ownership.key.EVERY_KEY` as the key.
        generated: the keys of the sessions that a table or a matrix makes. They have no lines of their own in a file.
    """

    name: str
    environment: str | None
    sessions: Mapping[str, Session]
    policy: Policy = Policy()
    adopt: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[Identity, str] = field(default_factory=dict)
    handed_over: Mapping[str, Identity] = field(default_factory=dict)
    forgotten: frozenset[str] = frozenset()
    fragments: Mapping[str, Fragment] = field(default_factory=dict)
    environments: frozenset[str] = frozenset()
    id: str | None = None
    former_ids: frozenset[str] = frozenset()
    moved_elsewhere: frozenset[Identity] = frozenset()
    tests: Mapping[str, Sequence[Case]] = field(default_factory=dict)
    moved_every: Identity | None = None
    generated: frozenset[str] = frozenset()

    def successor(self, identity: Identity) -> Identity | None:
        """The identity that ``moved`` gives here to a session of this identity; None if it gives none."""
        key = self.moved.get(identity)
        if key is None and self.moved_every == replace(identity, key=EVERY_KEY):
            key = identity.key
        return None if key is None else self.identity(key)

    def receiver(self, key: str) -> Identity | None:
        """The identity under which another catalog or environment gets the session of a key, if one does."""
        every = self.handed_over.get(EVERY_KEY)
        return self.handed_over.get(key) or (every and replace(every, key=key))

    def identity(self, key: str) -> Identity:
        """The identity of the session with this key."""
        return Identity(self.name, self.environment, key)


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What a catalog says of the service in one environment. ``expected`` is an address in canonical form."""

    environment: str | None = None
    expected: str | None = None
    contract: ContractFile | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What this machine's journal says of a catalog: the ids of the sessions that it ``made``, and of all that it
    ``wrote``.

    ``keys`` has the key that each live session was last written under. ``unsettled`` are keys with a create of which
    the journal does not know which session it made, if any, and that no later run wrote to. ``copies`` are sessions
    that a run called copies: they stay so when the original is gone.
    """

    made: frozenset[int] = frozenset()
    wrote: frozenset[int] = frozenset()
    keys: Mapping[int, str] = field(default_factory=dict)
    unsettled: frozenset[str] = frozenset()
    copies: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class LiveSession:
    """One session as the server listed it.

    ``prompt`` is normalised (:func:`reconciler.text.normalise.normalise_prompt`), and numbers that the server returned
    as strings are numbers. ``row`` is the unchanged row, and ``config`` the part of it that holds the settings.
    ``raw_remark`` is the unchanged remark (None if the server returned null), and ``remark`` the parsed one.
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

    @property
    def own_tag(self) -> Tag | None:
        """The tag, if it was not written on another session. On a copy made outside git, it was."""
        tag = self.remark.tag
        return tag if tag is not None and tag.session_id in (None, self.session_id) else None

    @property
    def is_copy(self) -> bool:
        """Whether its tag was written on another session: somebody copied that one, remark and all."""
        return self.remark.tag is not None and self.own_tag is None

    def fields(self) -> dict[str, JSON]:
        """All fields by path, including other people's keys in the remark."""
        found = flatten(self)
        for key, value in self.remark.keys.items():
            found[f"remark.{key}"] = value
        return found


#: Who owns a session that a listing counts but does not keep: nobody, or another catalog.
Others: TypeAlias = Literal["unmanaged", "foreign"]

#: Decides what a listing keeps of a session: all of it, a part of it, or only who owns it, to be counted.
Keep: TypeAlias = Callable[[LiveSession], LiveSession | Others]


@runtime_checkable
class KnownKeep(Protocol):
    """A :data:`Keep` that can tell how it differs from another. Two of them are equal if they keep the same.

    All sessions with a tag of the ``scope`` (a catalog's name and environment) are kept whole. A session without a tag
    that has none of these ``ids`` and ``names`` is treated by all of them alike, and not kept in part.
    """

    @property
    def scope(self) -> tuple[str, str | None]: ...

    @property
    def ids(self) -> Collection[int]: ...

    @property
    def names(self) -> Collection[str]: ...

    def __call__(self, live: LiveSession, /) -> LiveSession | Others: ...

    def beyond(self, other: Keep) -> frozenset[int] | None:
        """The ids of sessions that this keeps, and the other maybe not, or in part. None: they are not known by id.

        Of all other sessions, this keeps the same of what the other one keeps as of the whole. It counts what the
        other one counts.
        """


#: What proved that a list is complete: its count, or that its pages leave no gap (:mod:`reconciler.api.listing`), or
#: that all changes of a complete list are known (:mod:`reconciler.api.changes`).
Way: TypeAlias = Literal["fast", "sweep", "changes"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many sessions a listing counted but did not keep."""

    unmanaged: int = 0
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing took: requests (without retries), how often the list was read, and what proved it complete."""

    calls: int
    passes: int
    way: Way


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete listing, in the order of ``session_id``.

    It holds every session that existed throughout, except those of others that were ``left_out`` on purpose.
    ``endpoint`` is the service's address, ``contract`` says what can be done there, and ``listing`` how the list was
    read; None if that is not known. ``account`` is the mark of the account that was listed, ``messages`` how many
    messages some of the sessions have, by id, and ``uncounted`` are the sessions that were too many to be counted.
    ``newest`` is the highest id of all, also of those that were left out; 0 if that is not known.
    """

    sessions: tuple[LiveSession, ...]
    endpoint: str = ""
    contract: Contract | None = None
    left_out: LeftOut = LeftOut()
    listing: Listing | None = None
    account: Account = UNKNOWN
    messages: Mapping[int, int] = field(default_factory=dict)
    uncounted: frozenset[int] = frozenset()
    newest: int = 0

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(self.sessions)

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def total(self) -> int:
        """How many sessions were listed, including those that were left out."""
        out = self.left_out
        return len(self.sessions) + out.unmanaged + out.foreign

    def reduced(self, keep: Keep) -> Snapshot:
        """The snapshot with only those parts of each session that ``keep`` keeps."""
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
    """The fields of a session by path; those of a live session without its remark."""
    found: dict[str, JSON] = {"name": session.name, "model": session.model, "prompt": session.prompt}
    for key, value in session.parameters.items():
        found[f"parameters.{key}"] = value
    for key, value in session.data.items():
        found[f"data.{key}"] = value
    if isinstance(session, Session):
        for key, value in session.remark.items():
            found[f"remark.{key}"] = value
    return found
