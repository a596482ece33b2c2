"""Errors of calls, worded so that a person knows what to do."""

from __future__ import annotations

from typing import Literal, TypeAlias

from reconciler.errors import Problem, ReconcilerError

#: Whether a failed call was carried out: it was not, or that is unknown. See also
#: :attr:`ApiError.says_not_done`.
Outcome: TypeAlias = Literal["not done", "unknown"]

OPERATION_WORDS = {
    "list_sessions": "listing sessions",
    "create_session": "creating the session",
    "update_session": "updating the session",
    "delete_session": "deleting the session",
    "list_messages": "listing the messages",
    "create_message": "creating a message",
    "list_models": "listing models",
    "chat": "asking the model",
    "embed": "embedding a text",
}


class ApiError(ReconcilerError):
    """A call that failed.

    ``http_status`` and ``body_status`` are 0 if there was none. ``retry_after`` is in seconds, None if the server did
    not say. ``passing`` says whether the same call may succeed later.
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
        """The status that counts: that of the body if the HTTP status is a success, else the HTTP status."""
        return self.body_status if 200 <= self.http_status < 300 and self.body_status else self.http_status

    @property
    def says_not_done(self) -> bool:
        """Whether the response says that the call was not carried out, as a 503 does (RFC 9110, 15.6.4).

        A gateway may answer 503 to a request that it has passed on. So the ``outcome`` of a 503 is ``unknown``: the
        list is read before the write is sent again. After that, the 503 is believed.
        """
        return self.outcome == "not done" or self.status == 503

    @property
    def out_of_points(self) -> bool:
        """Whether the account has no points left, so that no retry helps. Source: the API contract, "Answers"."""
        return self.status in (402, 406)

    @property
    def throttled(self) -> bool:
        """Whether the server asked for a pause."""
        return self.status in (429, 503)


class UnreliableListError(ReconcilerError):
    """The list does not match its own count or order, so nothing can be concluded from it."""
