"""What can go wrong between us and the service, said so that a person knows what to do."""

from __future__ import annotations

from typing import Literal, TypeAlias

from reconciler.errors import Problem, ReconcilerError

#: What is known of the work that a failed call asked for: it was not done, or nobody can tell.
Outcome: TypeAlias = Literal["not done", "unknown"]

OPERATION_WORDS = {
    "list_sessions": "listing sessions",
    "create_session": "creating the session",
    "update_session": "updating the session",
    "delete_session": "deleting the session",
    "list_messages": "listing the messages",
    "create_message": "creating a message",
    "list_models": "listing models",
}


class ApiError(ReconcilerError):
    """A call that failed.

    ``http_status`` and ``body_status`` are 0 where there was none; ``retry_after`` is in seconds, None where the
    server did not say. ``throttled`` is set where the server asked for a pause.
    """

    def __init__(
        self,
        operation: str,
        what: str,
        *,
        session: str = "",
        hint: str = "",
        outcome: Outcome = "unknown",
        http_status: int = 0,
        body_status: int = 0,
        server_message: str = "",
        retry_after: float | None = None,
        passing: bool = False,
    ) -> None:
        doing = OPERATION_WORDS.get(operation, operation)
        of = f" {session}" if session else ""
        said = f": {server_message}" if server_message else ""
        super().__init__(Problem(f"{doing}{of}: {what}{said}", hint))
        self.operation = operation
        self.session = session
        self.what = what
        self.outcome = outcome
        self.http_status = http_status
        self.body_status = body_status
        self.server_message = server_message
        self.retry_after = retry_after
        self.passing = passing

    @property
    def status(self) -> int:
        """The status that counts: the body's where the HTTP status claims success, else HTTP's."""
        return self.body_status if 200 <= self.http_status < 300 and self.body_status else self.http_status

    @property
    def throttled(self) -> bool:
        """Whether the server asked for a pause."""
        return self.status in (429, 503)


class UnreliableListError(ReconcilerError):
    """The server lists something else than it counts, or not in order: nothing can be concluded from the list."""
