"""What the server was asked and what became of it, one entry a request, in the order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.values import JSON

#: What became of the connection: the whole answer went out; it was closed without one, or in the midst of it
#: (``half``); it was reset; the request was left hanging until the end; or the client went away first.
Fate: TypeAlias = Literal["pending", "answered", "cut", "half", "reset", "hung", "gone"]


@dataclass(slots=True)
class LoggedRequest:
    """One request. What is about the answer is filled in before the answer goes out.

    ``number`` counts from 1 in the order of arrival. ``operation`` is the name of the call in the contract,
    ``page`` for the page at ``/``, or empty for a path that is none. ``body`` is the decoded body under wire
    names (texts where it was a form), ``None`` where there was none or it could not be read. ``worked`` says
    whether the work was done, whatever was answered; ``fault`` names the kind of fault that was carried out.
    """

    number: int
    time: float
    method: str
    path: str
    operation: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, JSON] | None = None
    status: int | None = None
    fate: Fate = "pending"
    worked: bool = False
    fault: str | None = None


#: Called with the entry of a request. Runs in the server's thread: what it blocks is the whole server.
Hook: TypeAlias = Callable[[LoggedRequest], None]
