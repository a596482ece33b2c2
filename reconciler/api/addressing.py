"""How a call says which session it means: by id, by token, or by both, in its path or among its fields."""

from __future__ import annotations

from typing import Any, Protocol

from reconciler.api.errors import ApiError
from reconciler.contract import Operation


class Addressed(Protocol):
    """What a call can be about: a live session, or one of which only the names are known."""

    @property
    def session_id(self) -> int | None: ...
    @property
    def session_token(self) -> str | None: ...


def address(operation: Operation, session: Addressed) -> dict[str, Any]:
    """The fields, by our names, that name the session in this call. All that writes goes through here.

    Where the call takes the id and the token as fields, one of them is enough.

    Raises:
        ApiError: nothing that the call takes is known of the session; nothing was sent.
    """
    known = {"session_id": session.session_id, "session_token": session.session_token}
    given = {name: known[name] for name in operation.named_by if known[name] is not None}
    needed = [name for name in operation.named_by if f"{{{name}}}" in operation.path]
    missing = [name for name in needed if name not in given] or ([] if given else list(operation.named_by))
    if missing:
        raise ApiError(
            operation.name,
            f"the contract names a session by its {missing[0]}, and the list shows none for it",
            session="" if session.session_id is None else f"#{session.session_id}",
            hint="`reconciler doctor --probe` finds out how sessions are addressed on this account",
            outcome="not done",
        )
    return given
