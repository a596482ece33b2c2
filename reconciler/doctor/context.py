"""What all experiments of a probe share: the session, what was learned, what is to be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.api.client import Client, Reply, read_body
from reconciler.api.decode import value_at
from reconciler.api.rate_limit import backoff
from reconciler.contract import Contract, Operation, Status
from reconciler.doctor.learned import Lessons
from reconciler.doctor.report import Check, Verdict
from reconciler.doctor.session import Subject
from reconciler.domain import LiveSession
from reconciler.errors import Refused
from reconciler.values import as_number, same

PART = "By writing to one session"

#: Two sets of values that no service has for defaults, to tell what is taken in and what is left alone.
FIRST: Mapping[str, Any] = {
    "temperature": 0.5,
    "history_length": 7,
    "max_tokens": 1234,
    "data": {"probe": ["first", 1, None, {"爱": True}]},
}
SECOND: Mapping[str, Any] = {
    "temperature": 0.75,
    "history_length": 9,
    "max_tokens": 2345,
    "data": {"probe": ["second", 2.5]},
}


class Bench:
    """One probe's work. ``checks`` grows as it goes.

    ``model`` is one that the service takes. ``create_keeps`` is how many bytes of a remark were seen to be kept by
    the create, ``create_cut`` whether it cut it off there, and ``create_refused`` the shortest remark that it refused.
    ``update`` is the update call once it is found; a call that may work or not is not one. ``unclear`` says that what a
    contract can't do without could not be told. ``tell`` is told what is tried.
    """

    def __init__(
        self, client: Client, lessons: Lessons, subject: Subject, model: str, tell: Callable[[str], None]
    ) -> None:
        self.client = client
        self.lessons = lessons
        self.subject = subject
        self.model = model
        self.tell = tell
        self.checks: list[Check] = []
        self.create_keeps = 0
        self.create_cut = False
        self.create_refused: int | None = None
        self.update: Operation | None = None
        self.unclear = False
        self._steps = 0

    def say(self, name: str, verdict: Verdict, seen: str, follows: str = "") -> None:
        """Add a line."""
        self.checks.append(Check(PART, name, verdict, seen, follows))

    def amend(self, name: str, verdict: Verdict) -> None:
        """Judge a line anew, by what came out after it."""
        self.checks = [replace(one, verdict=verdict) if one.name == name else one for one in self.checks]

    def step(self) -> str:
        """A prompt by which one write is told from all others, so that the list shows when it shows that."""
        self._steps += 1
        return self.subject.prompt(f" Step {self._steps}.")

    def optional(self, operation: Operation) -> set[str]:
        """The fields beside name, model, prompt and remark that a call takes in and the list can show."""
        shown = {"data", *self.client.contract.session.parameters}
        return {name for name in FIRST if name in operation.fields and name in shown} - operation.ignores

    def plain(self, prompt: str | None = None) -> dict[str, Any]:
        """What goes into every create and update: if it makes a session, that is known as ours."""
        return {
            "name": self.subject.name,
            "model": self.model,
            "prompt": self.subject.prompt() if prompt is None else prompt,
        }

    def put(self, fields: Mapping[str, Any], prompt: Callable[[str], str] = str) -> tuple[Reply, LiveSession]:
        """Update the session, and see what it is then. ``prompt`` makes a prompt of the beginning that it is given."""
        assert self.update is not None
        step = self.step()
        reply = self.subject.write(self.update, {**self.plain(prompt(step)), **fields})
        live = self.subject.after(reply, lambda live: live is not None and step in live.prompt)
        live = self.subject.there(live)
        # What was answered counts for less than what is there.
        return (Reply(reply.body, reply.response) if step in live.prompt else reply), live

    def not_taken(self, sent: Mapping[str, Any], live: LiveSession) -> set[str]:
        """Those of the optional fields that were sent and are not as sent."""
        stored = {**live.parameters, "data": dict(live.data)}
        return {name for name, value in sent.items() if name in FIRST and not same(value, stored.get(name))}

    def raw(self, live: LiveSession, *path: str) -> Any:
        """What stands at a path of a listed row, to the letter."""
        return value_at(live.row, path)


def verdict(holds: bool) -> Verdict:
    """``ok`` where it holds."""
    return "ok" if holds else "differs"


def call(operation: Operation) -> str:
    """A call in a few words."""
    encoding = "" if operation.encoding == "none" else f", {operation.encoding}"
    return f"{operation.method} {operation.path}{encoding}"


def status_of(reply: Reply) -> Status | None:
    """What an answer says of itself; None where no answer came."""
    if reply.response is None:
        return None
    body, _ = read_body(reply.response)
    found = as_number(body.get("status")) if isinstance(body, dict) else 0
    return Status(reply.response.status_code, found if type(found) is int else 0)


def answer(reply: Reply) -> str:
    """An answer in a few words: its statuses, its form, and what the server said."""
    status = status_of(reply)
    if status is None or reply.response is None:
        return reply.error.what if reply.error else "no answer"
    body, readable = read_body(reply.response)
    if status.body:
        held = f"status {status.body}"
    elif not reply.response.content or isinstance(body, dict):
        held = "no status"
    else:
        held = "no JSON object" if readable else "no JSON"
    words = [f"HTTP {status.http}", f"{held} in the body"]
    said = reply.error.server_message if reply.error else ""
    return ", ".join(words) + (f": {said}" if said else "")


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
