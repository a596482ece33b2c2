"""What all that only looks has in common: calls that are GET and nothing else, and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.api.client import Client, Reply
from reconciler.api.rate_limit import backoff
from reconciler.contract import Contract, Operation
from reconciler.doctor.lessons import Lessons
from reconciler.doctor.report import Check, Verdict
from reconciler.domain import LiveSession
from reconciler.errors import Refused
from reconciler.values import as_number

_SHOWN = 5  # sessions named in a line


class Look:
    """One look at a service. ``part`` is the heading under which lines are said.

    Raises:
        Refused: the contract reads the list by another method than GET.
    """

    def __init__(self, client: Client, lessons: Lessons) -> None:
        self.client = client
        self.lessons = lessons
        self.contract: Contract = lessons.stated
        self.listing = self.contract.operation("list_sessions")
        self.checks: list[Check] = []
        self.part = ""
        if self.listing.method != "GET":
            raise Refused(
                f"the contract lists sessions by {self.listing.method}, and looking sends GET alone",
                "correct list_sessions in the contract file",
            )

    def say(self, name: str, verdict: Verdict, seen: str, follows: str = "") -> None:
        """Add a line."""
        self.checks.append(Check(self.part, name, verdict, seen, follows))

    def get(self, operation: Operation, fields: Mapping[str, Any]) -> Reply:
        """A call that only looks, sent again while the trouble may pass."""
        if operation.method != "GET":
            raise ValueError(f"{operation.name} is no GET")
        for attempt in range(1, self.client.tries + 1):
            reply = self.client.call(operation, fields)
            if reply.error is None or not reply.error.passing or attempt == self.client.tries:
                break
            self.client.limiter.sleep(reply.error.retry_after or backoff(attempt))
        return reply

    def list(self, **query: Any) -> Reply:
        """One page of the list, the newest first but for what the query says."""
        asked = {"ordering": "-session_id", "page": 1, "size": self.listing.page_size, **query}
        return self.get(self.listing, asked)


def count_of(reply: Reply) -> int | None:
    """The count in an answer, None where there is none."""
    found = as_number(reply.body.get("count")) if isinstance(reply.body, dict) else None
    return found if type(found) is int else None


def rows_of(reply: Reply) -> list[Any] | None:
    """The rows in an answer, None where there are none."""
    found = reply.body.get("results") if isinstance(reply.body, dict) else None
    return found if type(found) is list else None


def sessions(lives: Sequence[LiveSession]) -> str:
    """Some sessions by their numbers."""
    more = f" and {len(lives) - _SHOWN} more" if len(lives) > _SHOWN else ""
    return ", ".join(f"#{live.session_id}" for live in lives[:_SHOWN]) + more
