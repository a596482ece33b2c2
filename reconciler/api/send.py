"""Sending a write until it is certain what became of it.

The service has no idempotency keys, so an answer that never came leaves open whether the work was done. That is looked
up and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.api.polling import pause_before_retry

#: What is known of the work that a write asked for.
State: TypeAlias = Literal["done", "not done", "unknown"]


class Found(NamedTuple):
    """What looking up a write told, and the session that it was done to, where that is known."""

    state: State
    session_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a write.

    ``body`` is that of the answer, None where the answer was lost or has none. ``session_id`` is what was found by
    looking. ``error`` is the last one, None if the work was done.
    """

    state: State
    body: Any = None
    session_id: int | None = None
    error: ApiError | None = None


def send_until_certain(
    client: Client, send: Callable[[], Any], look: Callable[[ApiError], Found] | None, *, repeatable: bool
) -> Sent:
    """Send a write until it is known to be done or to have failed, or nobody can tell.

    ``send`` sends it once. ``look`` finds out what became of it after an error that leaves that open; without it, the
    write is simply sent again. ``repeatable`` says that a second one does no harm: a write that is not is sent again
    only if the server said that it did nothing.

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
            # A server that asks for pauses is at work, and gets to it: it is given twice as many tries.
            tries = 2 * client.tries if error.throttled else client.tries
            if not pause_before_retry(client.limiter, error, attempt, tries):
                return Sent(state, error=error)
        attempt += 1
