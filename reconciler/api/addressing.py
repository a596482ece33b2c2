"""The fields by which a call names a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from reconciler.contract import Operation
from reconciler.errors import ReconcilerError


class Addressable(Protocol):
    """A session that a call can name: a live session, a lock's ticket, or an :class:`Address`."""

    @property
    def session_id(self) -> int: ...

    @property
    def session_token(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Address:
    """The names of a session. ``session_token`` is None until a listing has shown it."""

    session_id: int
    session_token: str | None = None


def address(operation: Operation, session: Addressable) -> dict[str, Any]:
    """The fields, by our names, by which a call names a session: id, token or both, as the contract says.

    Empty for a call that names none.

    Raises:
        ReconcilerError: the call needs the session's token, and there is none.
    """
    known = {"session_id": session.session_id, "session_token": session.session_token}
    found = {name: known[name] for name in operation.named_by if known[name] is not None}
    if not names(operation, session):
        raise ReconcilerError(
            f"#{session.session_id} has no session_token, and the contract's {operation.name} names a session by it",
            "`reconciler doctor --probe` finds out how the service names sessions",
        )
    return found


def names(operation: Operation, session: Addressable) -> bool:
    """Whether the call can name this session by what is known of it."""
    if session.session_token is not None:
        return True
    return "{session_token}" not in operation.path and operation.named_by != ("session_token",)
