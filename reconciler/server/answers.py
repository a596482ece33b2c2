"""What the calls of the API are answered with: a document in its envelope, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.values import JSON

#: Statuses whose responses have no body (RFC 9110, 15.3.5, 15.3.6, 15.4.5).
_BODILESS = (204, 205, 304)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a document; ``None`` means an empty body. ``stream`` is sent in place of the document."""

    status: int
    document: JSON
    stream: str = ""


class Refusal(Exception):  # noqa: N818 - a response like any other
    """The request is rejected. ``status`` is the HTTP status, ``body`` the one in the body, 0 for none.

    The message is sent to the client. ``fields`` holds what is wrong with each field, by wire name; it is empty if the
    refusal is about the call as a whole.
    """

    def __init__(
        self, status: int, message: str, body: int | None = None, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.body = status if body is None else body
        self.fields = dict(fields or {})

    def answer(self, *, bare: bool = False) -> Answer:
        """The refusal as a response: in the envelope, or bare, in the words of Django REST framework."""
        if self.status in _BODILESS:
            return Answer(self.status, None)
        if bare:
            texts = {name: [text] for name, text in self.fields.items()}
            return Answer(self.status, texts or {"detail": self.message})
        document = envelope(self.body, self.message)
        if not self.body:
            del document["status"]
        return Answer(self.status, document)


class SessionNotFound(Refusal):
    """The session of the call does not exist."""

    def __init__(self) -> None:
        super().__init__(404, "会话不存在")


class BadRequest(Refusal):
    """The call is invalid."""

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(400, message, fields=fields)


def envelope(status: int, message: str = "", **more: JSON) -> dict[str, JSON]:
    """The envelope of every response."""
    return {"message": message, "status": status, **more}
