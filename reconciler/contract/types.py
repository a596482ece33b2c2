"""What a contract says: the calls, the shape of a listed session, and how the service behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from reconciler.errors import ReconcilerError

Encoding: TypeAlias = Literal["none", "json", "form", "multipart"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. ``fields`` maps our names to the wire's; a path may hold ``{session_id}``.

    ``ignores`` are fields, by our names, that the call is known not to take in, so they are not sent; ``remark_limit``
    is how many bytes of a remark are known to be kept, None where there is no known limit.
    """

    name: str
    method: str
    path: str
    encoding: Encoding
    known: str
    fields: Mapping[str, str]
    page_size: int = 100
    left_out: Literal["kept", "reset"] = "kept"
    ignores: frozenset[str] = frozenset()
    answer: Literal["document", "empty"] = "document"
    remark_limit: int | None = None

    @property
    def names_session(self) -> bool:
        """Whether the call says which session is meant."""
        return "{session_id}" in self.path or "session_id" in self.fields


@dataclass(frozen=True, slots=True)
class SessionShape:
    """Where the fields stand in a listed session, each as a path of keys."""

    session_id: tuple[str, ...]
    session_token: tuple[str, ...]
    name: tuple[str, ...]
    config: tuple[str, ...]
    model: tuple[str, ...]
    prompt: tuple[str, ...]
    data: tuple[str, ...]
    remark: tuple[str, ...]
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """What an answer says of itself: the HTTP status, and the one in its body (0 where there is none)."""

    http: int
    body: int = 0


#: How long (seconds) a list may lag behind a write where nothing is known of it.
LEAST_SETTLE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """How the service behaves beyond its calls, as far as it was learned. ``None``: not known.

    ``remark_limit`` is in bytes of UTF-8, ``largest_page`` in rows, ``late_seconds`` how long a new session took to be
    listed. ``prompt_ends`` is ``end`` where white space goes at the end alone, ``both`` where at both ends.
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


@dataclass(frozen=True, slots=True)
class Learned:
    """When a contract was learned (UTC, ISO 8601), against which address, and by which version."""

    at: str
    endpoint: str
    by: str


@dataclass(frozen=True, slots=True)
class Contract:
    """The whole table. ``operations`` lacks a call that the service does not have.

    ``learned`` is None for a contract that no doctor wrote.
    """

    name: str
    operations: Mapping[str, Operation]
    session: SessionShape
    service: Service = Service()
    learned: Learned | None = None

    @property
    def settle(self) -> float:
        """How long (seconds) a list is given to show a write: well over what it was seen to take."""
        return max(LEAST_SETTLE, 4 * (self.service.late_seconds or 0.0))

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
