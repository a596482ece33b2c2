"""Sends a write until its outcome is certain.

The service has no idempotency keys. If no response comes, the write may or may not have been carried out. The list
decides; the outcome is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.api.retry import pause_before_retry

#: Whether a write was carried out.
State: TypeAlias = Literal["done", "not done", "unknown"]


class Found(NamedTuple):
    """What the list shows of a write, and the session that was written, if that is known."""

    state: State
    session_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome of a write.

    ``body`` is that of the response; None if the response was lost or has none. ``session_id`` is the session that was
    found in the list. ``error`` is the last error; None if the write was carried out.
    """

    state: State
    body: Any = None
    session_id: int | None = None
    error: ApiError | None = None


def send_until_certain(
    client: Client, send: Callable[[], Any], look: Callable[[ApiError], Found] | None, *, repeatable: bool
) -> Sent:
    """Send a write until it is known to have succeeded or failed, or stays unknown.

    ``send`` sends it once. ``look`` finds out whether it was carried out after an error that leaves that open; without
    it, the write is sent again. ``repeatable`` says that a second write does no harm. Any other write is sent again
    only if the server said that it was not carried out.

    Raises:
        Interrupted: the run was asked to stop while it waited to send.
    """
    attempt = 1
    while True:
        try:
            return Sent("done", send())
        except ApiError as error:
            state: State = error.outcome
            if state == "unknown" and look is not None:
                found = look(error)
                if found.state == "done":
                    return Sent("done", session_id=found.session_id)
                if found.state == "unknown" or not (repeatable or error.says_not_done):
                    return Sent("unknown", error=error)
                state = "not done"
            # A server that asks for pauses is working, so it gets twice as many tries.
            tries = 2 * client.tries if error.throttled else client.tries
            if not pause_before_retry(client.limiter, error, attempt, tries):
                return Sent(state, error=error)
        attempt += 1
