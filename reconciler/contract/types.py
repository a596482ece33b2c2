"""What a contract says: the calls, the shape of a listed session, and how the service behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from reconciler.errors import ReconcilerError

#: How the fields of a call travel: not at all in a body (``none``; those of a GET are its query), as a JSON
#: object, as a form, as multipart form data, or all in the query with an empty body (``query``).
Encoding: TypeAlias = Literal["none", "json", "form", "multipart", "query"]

#: What names a session in a path or among the fields of a call.
SESSION_NAMES: Final = ("session_id", "session_token")

#: The longest query, in bytes, that is sent where none is known to be too long. Source: the smallest default of the
#: servers that applications of this family run on (gunicorn's ``limit_request_line`` is 4,094, path included).
SAFE_QUERY: Final = 3_500


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API. ``fields`` maps our field names to those on the wire; a path may hold ``{session_id}`` or
    ``{session_token}``.

    ``left_out`` is what an update does to a field that it leaves out: ``kept``, ``reset``, or the whole call is
    ``refused``. ``ignores`` are fields, by our names, that the call is known not to store, so they are not sent.
    ``remark_limit`` is how many bytes of a remark are known to be kept, None where no limit is known.
    ``longest_query`` is the longest query (bytes) that the service takes, for the encoding ``query``.
    ``answer_in`` is where the session is in the response, as a path of keys; empty if it is the response itself.

    Of a list of messages, ``pages`` says how to get at the next rows: by number (``page``), by the id of the oldest
    row so far (``before``), or not at all, since one response holds all (``none``). ``counts`` is what ``count`` in
    its response counts: ``all`` rows, those of the ``page``, or nothing, since there is ``none``; None: not known.
    """

    name: str
    method: str
    path: str
    encoding: Encoding
    known: str
    fields: Mapping[str, str]
    page_size: int = 100
    left_out: Literal["kept", "reset", "refused"] = "kept"
    ignores: frozenset[str] = frozenset()
    answer: Literal["document", "empty"] = "document"
    answer_in: tuple[str, ...] = ("data",)
    pages: Literal["page", "before", "none"] = "page"
    counts: Literal["all", "page", "none"] | None = None
    longest_query: int | None = None
    remark_limit: int | None = None

    @property
    def named_by(self) -> tuple[str, ...]:
        """What the call names a session by, of :data:`SESSION_NAMES`; empty if it names none."""
        return tuple(one for one in SESSION_NAMES if f"{{{one}}}" in self.path or one in self.fields)

    @property
    def proven(self) -> bool:
        """Whether the call is known to work, from its documentation or from the service itself."""
        return self.known in ("documented", "learned")

    @property
    def wants_all_fields(self) -> bool:
        """Whether an update has to carry every field, since what it leaves out is lost or not allowed."""
        return self.left_out != "kept"


@dataclass(frozen=True, slots=True)
class SessionShape:
    """Where the fields of a listed session are, each as a path of keys.

    ``account`` is the number of its account, ``updated_at`` the time of its last change.
    """

    session_id: tuple[str, ...]
    session_token: tuple[str, ...]
    name: tuple[str, ...]
    config: tuple[str, ...]
    model: tuple[str, ...]
    prompt: tuple[str, ...]
    data: tuple[str, ...]
    remark: tuple[str, ...]
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    account: tuple[str, ...] = ("api_id",)
    updated_at: tuple[str, ...] = ("updated_at",)


@dataclass(frozen=True, slots=True)
class MessageShape:
    """Where the fields of a listed message are, each as a path of keys. The defaults are those of the service."""

    id: tuple[str, ...] = ("message_id",)
    session_id: tuple[str, ...] = ("session_id",)
    session_token: tuple[str, ...] = ("session_token",)
    category: tuple[str, ...] = ("message_category",)
    content: tuple[str, ...] = ("message_content",)
    meta: tuple[str, ...] = ("message_meta",)


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a response: the HTTP status, and the one in the body (0 if there is none)."""

    http: int
    body: int = 0


#: How long, in seconds, the list may lag behind a write if nothing else is known.
LEAST_SETTLE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """How the service behaves, as far as it was learned. ``None`` means unknown.

    ``remark_limit`` is in bytes of UTF-8, ``largest_page`` in rows, ``late_seconds`` how long a new session took to be
    listed. ``time_zone`` is an offset such as ``+08:00``. ``updated_at`` moves with ``updates``, with ``messages`` and
    updates, or ``never``; it is a multiple of ``updated_at_seconds`` (0 for a fraction of a second), and a change is
    listed at most ``updated_at_lag`` seconds later than it says. ``updated_at_order`` is whether the list can be
    ordered by it. ``prompt_ends`` is ``end`` if white space is removed at the end only, ``both`` if at both ends.
    """

    remark_limit: int | None = None
    remark_over: Literal["refuse", "cut"] | None = None
    largest_page: int | None = None
    name_filter: Literal["exact", "partial", "none"] | None = None
    ordering: Literal["honoured", "ignored"] | None = None
    late_seconds: float | None = None
    numbers: Literal["number", "text"] | None = None
    prompt_ends: Literal["kept", "end", "both", "changed", "refused"] | None = None
    prompt_line_endings: Literal["kept", "lf", "crlf", "changed", "refused"] | None = None
    prompt_characters: Literal["kept", "changed", "refused"] | None = None
    prompt_length: int | None = None
    not_found: Status | None = None
    bad_request: Status | None = None
    time_zone: str | None = None
    updated_at: Literal["updates", "messages", "never"] | None = None
    updated_at_seconds: float | None = None
    updated_at_lag: float | None = None
    updated_at_order: Literal["honoured", "ignored"] | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """When a contract was learned (UTC, ISO 8601), from which address, and by which version of this program.

    ``partial`` names what could not be learned; the contract then says the same of it as the one before.
    """

    at: str
    endpoint: str
    by: str
    partial: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """How to call a service. ``operations`` lacks the calls that the service does not have.

    ``learned`` is None unless ``reconciler doctor`` wrote the contract.
    """

    name: str
    operations: Mapping[str, Operation]
    session: SessionShape
    message: MessageShape = MessageShape()
    service: Service = Service()
    learned: Learned | None = None

    @property
    def settle(self) -> float:
        """How long, in seconds, to wait for the list to show a write: well over the longest delay that was measured."""
        return max(LEAST_SETTLE, 4 * (self.service.late_seconds or 0.0))

    @property
    def stamp_margin(self) -> float | None:
        """How long, in seconds, a change may be listed after the time that its ``updated_at`` says, with a reserve.

        None: what changes can't be told from ``updated_at``, or that is not known.
        """
        facts = self.service
        seconds, lag = facts.updated_at_seconds, facts.updated_at_lag
        if facts.updated_at not in ("updates", "messages") or facts.updated_at_order != "honoured":
            return None
        if seconds is None or lag is None or facts.ordering == "ignored":
            return None
        return max(self.settle, 4 * lag) + seconds + 1.0

    def operation(self, name: str) -> Operation:
        """The call of this name.

        Raises:
            ReconcilerError: the contract has no such call.
        """
        try:
            return self.operations[name]
        except KeyError:
            raise ReconcilerError(
                f"the contract {self.name!r} has no call for {name}",
                "describe the call in the contract file, or use a contract that has it",
            ) from None
