"""The log of requests: one entry a request, in order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.values import JSON

#: What happened to the connection: the response was sent in full; it was closed without a response (``cut``) or in the
#: middle of one (``half``); it was reset; the request hung until the end; or the client disconnected first (``gone``).
Fate: TypeAlias = Literal["pending", "answered", "cut", "half", "reset", "hung", "gone"]


@dataclass(slots=True)
class LoggedRequest:
    """One request. The fields about the response are set before the response is sent.

    ``number`` counts from 1 in the order of arrival. ``operation`` is the name of the call in the contract,
    ``page`` for the page at ``/``, or empty for an unknown path. ``body`` is the decoded body by wire name (strings
    if it was a form), or ``None`` if it was empty or could not be read. ``worked`` says whether the call was carried
    out, whatever was answered; ``fault`` is the kind of the injected fault.
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


#: Called with the entry of a request, in the server's thread: a hook that blocks, blocks the whole server.
Hook: TypeAlias = Callable[[LoggedRequest], None]
