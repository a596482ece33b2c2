"""The types that a plan consists of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from reconciler.behaviour.results import Tested
from reconciler.domain import Listing, LiveSession
from reconciler.ownership.account import UNKNOWN, Account
from reconciler.ownership.tag import CREATED, Identity, Tag, Was
from reconciler.values import MISSING

ActionKind: TypeAlias = Literal["create", "update", "delete", "adopt", "move", "forget"]
About: TypeAlias = Literal["drift", "environments", "part"]
Cause: TypeAlias = Literal["git", "drift", "conflict", "unknown", "released", "renewed"]

#: What happened to a whole session outside git: it was deleted, lost its tag, has another or a broken one, or is live
#: twice.
Outside: TypeAlias = Literal["deleted", "tag-removed", "tag-altered", "double"]

#: The order in which a plan lists its actions.
KINDS: Final[tuple[ActionKind, ...]] = ("delete", "forget", "move", "adopt", "update", "create")

#: The kind of the note on sessions with one identity, none of which may be deleted yet.
UNDECIDED: Final = "undecided-duplicate"

#: The kind of the note on a session to adopt that is gone.
GONE: Final = "adopt-gone"

#: The kinds of notes on keys that an apply does nothing about, although what is live is not what the catalog wants.
UNDONE: Final = (GONE, UNDECIDED)

#: The path of the one managed value that lives in the tag alone.
PROTECTION: Final = "lifecycle.prevent_destroy"


@dataclass(frozen=True, slots=True)
class Detail:
    """Where two nested values differ. ``path`` has the form ``a.b[0]``."""

    path: str
    before: Any = MISSING
    after: Any = MISSING


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that an action changes, from the live value to the wanted one."""

    path: str
    before: Any
    after: Any
    cause: Cause | None = None
    detail: tuple[Detail, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """One change to one session.

    ``identity`` is the session's identity afterwards (for a delete: before). ``managed`` are the paths whose values
    the tag will have digests of, ``held`` those whose digests stay as they are: ignored fields, fields that policy
    keeps live, and fields that the server stores in another form. ``fingerprint`` and ``against`` describe the live
    session that the action was planned against; both are empty for a create. ``keeper`` is the session with the same
    identity that stays if this one is deleted, ``messages`` how many messages a session to delete has (None if that is
    not known), and ``own_double`` says that this catalog's own journal made it. ``catalog_id`` is the id that the tag
    will have. ``outside`` says what happened outside git to the whole session.
    """

    kind: ActionKind
    identity: Identity
    session_id: int | None
    name: str
    reason: str
    fields: tuple[FieldChange, ...] = ()
    managed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    protected: bool = False
    was: Was = CREATED
    moved_from: Identity | None = None
    fingerprint: str = ""
    against: Mapping[str, Any] = field(default_factory=dict)
    keeper: int | None = None
    outside: Outside | None = None
    messages: int | None = None
    own_double: bool = False
    catalog_id: str | None = None

    @property
    def key(self) -> str:
        """The session's key."""
        return self.identity.key

    @property
    def unchanged(self) -> int:
        """How many managed fields stay as they are."""
        changed = {change.path for change in self.fields}
        return sum(path not in changed for path in (*self.managed, *self.held))

    def caused(self, cause: Cause) -> bool:
        """Whether some field changes for this cause."""
        return any(change.cause == cause for change in self.fields)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reviewer should know and that no action shows. ``drift``: it happened outside git."""

    kind: str
    message: str
    key: str | None = None
    session_id: int | None = None
    drift: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A guard that refuses the plan, why, and what would allow it. ``key`` is set if it is about one session."""

    guard: str
    message: str
    allow: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a plan that a command is about: one kind of action, or any, on the sessions with these keys."""

    kind: ActionKind | None
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many live sessions there are of each kind, and how many need no change.

    ``foreign`` counts those of other catalogs and of other environments, and ``other_environments`` those of them that
    belong to this catalog. ``not_looked_at`` are sessions of the catalog, live or wanted, that a plan of some keys
    leaves out.
    ``rewritten`` is the number of fields that the service keeps in another form than they were sent, or not at all.
    """

    no_op: int = 0
    managed: int = 0
    unmanaged: int = 0
    foreign: int = 0
    other_environments: int = 0
    unreadable: int = 0
    not_looked_at: int = 0
    copies: int = 0
    rewritten: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply would do. Apply refuses the plan unless ``refusals`` is empty.

    ``about`` is set on a plan that does not show everything that an apply would do. ``lock`` says that an apply has to
    hold the catalog's lock. ``listing`` says how the list was read; None if it came from a file. ``canary`` is the
    policy's of that name. ``account`` is the mark of the account that was listed. ``tests`` are the
    results of the behaviour tests that it concerns, None if they were not run.
    """

    catalog: str
    environment: str | None
    endpoint: str
    actions: tuple[Action, ...]
    counts: Counts
    notes: tuple[Note, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    about: About | None = None
    lock: bool = False
    canary: int | None = None
    listing: Listing | None = None
    account: Account = UNKNOWN
    tests: tuple[Tested, ...] | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.actions

    @property
    def copies(self) -> frozenset[int]:
        """The sessions that are copies, as a tag or this machine's journal says: none of them is anybody's session."""
        return frozenset(
            note.session_id for note in self.notes if note.kind == "copy" and note.session_id is not None
        )

    def tagged(self, lives: Iterable[LiveSession]) -> Iterator[tuple[LiveSession, Tag]]:
        """The sessions that have a tag of their own, with that tag: copies have another session's."""
        copies = self.copies
        for live in lives:
            if (tag := live.own_tag) is not None and live.session_id not in copies:
                yield live, tag

    @property
    def undone(self) -> tuple[Note, ...]:
        """The notes on keys that an apply does nothing about, although what is live is not what the catalog wants."""
        return tuple(note for note in self.notes if note.kind in UNDONE)

    def count(self, kind: ActionKind) -> int:
        """How many actions are of a kind."""
        return sum(action.kind == kind for action in self.actions)
