"""What the checks of a survey share, and those of a probe: the client, what was learned, and the report's lines."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final

from reconciler.api.answers import read_body
from reconciler.api.client import Client, Reply
from reconciler.api.decode import read_stamp, value_at
from reconciler.api.retry import pause_before_retry
from reconciler.contract import Contract, Operation, Status
from reconciler.doctor.learned import LearnedFacts
from reconciler.doctor.report import Check, Verdict
from reconciler.doctor.session import ProbeSession
from reconciler.domain import LiveSession
from reconciler.errors import Refused
from reconciler.values import as_number, same

#: The heading of a probe's lines in the report.
PROBE_PART: Final = "By writing to one session"

#: Two sets of values that no service has as defaults, to see which fields are stored and which are ignored.
FIRST_VALUES: Final[Mapping[str, Any]] = {
    "temperature": 0.5,
    "history_length": 7,
    "max_tokens": 1234,
    "data": {"probe": ["first", 1, None, {"爱": True}]},
}
SECOND_VALUES: Final[Mapping[str, Any]] = {
    "temperature": 0.75,
    "history_length": 9,
    "max_tokens": 2345,
    "data": {"probe": ["second", 2.5]},
}

_SHOWN: Final = 5  # sessions that a line names


class SurveyContext:
    """One survey of a service: calls that are GET and nothing else. ``part`` is the heading of the next lines.

    Raises:
        Refused: the contract reads the list by another method than GET.
    """

    def __init__(self, client: Client, learned: LearnedFacts) -> None:
        self.client = client
        self.learned = learned
        self.contract: Contract = learned.in_use
        self.listing = self.contract.operation("list_sessions")
        self.checks: list[Check] = []
        self.part = ""
        if self.listing.method != "GET":
            raise Refused(
                f"the contract lists sessions by {self.listing.method}, but without --probe the doctor sends only GET",
                "correct list_sessions in the contract file",
            )

    def report(self, name: str, verdict: Verdict, seen: str, follows: str = "") -> None:
        """Add a line."""
        self.checks.append(Check(self.part, name, verdict, seen, follows))

    def get(self, operation: Operation, fields: Mapping[str, Any]) -> Reply:
        """A read, sent again while the trouble may pass.

        Raises:
            ApiError: the account is out of points.
        """
        if operation.method != "GET":
            raise ValueError(f"{operation.name} is not a GET")
        client = self.client
        for attempt in count(1):
            reply = client.call(operation, fields)
            error = reply.error
            if error is None or not pause_before_retry(client.limiter, error, attempt, client.tries):
                break
        if reply.error is not None and reply.error.out_of_points:
            raise reply.error
        return reply

    def list(self, **query: Any) -> Reply:
        """One page of the list, by default the newest sessions."""
        asked = {"ordering": "-session_id", "page": 1, "size": self.listing.page_size, **query}
        return self.get(self.listing, asked)


class ProbeContext:
    """One probe. ``checks`` grows as it proceeds; ``progress`` is called with the current step.

    ``model`` is one that the service accepts. ``update`` is the update call once it is known.
    ``create_remark_kept`` is how many bytes of a remark the create kept, ``create_remark_cut`` whether it cut the
    remark off there, and ``create_remark_refused`` the shortest remark that it refused. ``unknown`` names what could
    not be found out although a contract should say it. ``times`` are the values of ``updated_at`` after the create and
    after the last update. ``stamps`` are when (seconds by this machine's clock) the list showed a write, and the
    ``updated_at`` that it had then (microseconds).
    """

    def __init__(
        self,
        client: Client,
        learned: LearnedFacts,
        session: ProbeSession,
        model: str,
        progress: Callable[[str], None],
    ) -> None:
        self.client = client
        self.learned = learned
        self.session = session
        self.model = model
        self.progress = progress
        self.checks: list[Check] = []
        self.create_remark_kept = 0
        self.create_remark_cut = False
        self.create_remark_refused: int | None = None
        self.update: Operation | None = None
        self.unknown: list[str] = []
        self.times: list[str] = []
        self.stamps: list[tuple[float, int]] = []
        self._prompts = 0

    def report(self, name: str, verdict: Verdict, seen: str, follows: str = "") -> None:
        """Add a line."""
        self.checks.append(Check(PROBE_PART, name, verdict, seen, follows))

    def change_verdict(self, name: str, verdict: Verdict) -> None:
        """Change the verdict of an earlier line, because of a later result."""
        self.checks = [replace(one, verdict=verdict) if one.name == name else one for one in self.checks]

    def next_prompt(self) -> str:
        """A prompt that no other write has, so that the list shows which writes were applied."""
        self._prompts += 1
        return self.session.prompt(f" Step {self._prompts}.")

    def optional_fields(self, operation: Operation) -> set[str]:
        """The fields that a call stores and the list can show, besides name, model, prompt and remark."""
        shown = {"data", *self.client.contract.session.parameters}
        return {
            name for name in FIRST_VALUES if name in operation.fields and name in shown
        } - operation.ignores

    def all_fields(self, operation: Operation) -> dict[str, Any]:
        """A value for every field of an update that :meth:`base_fields` does not give."""
        fields = {name: SECOND_VALUES[name] for name in self.optional_fields(operation)}
        if "remark" in operation.fields and "remark" not in operation.ignores:
            fields["remark"] = self.session.remark()
        return fields

    def base_fields(self, prompt: str | None = None) -> dict[str, Any]:
        """The fields that every create and update carries. They identify a session that the call creates."""
        return {
            "name": self.session.name,
            "model": self.model,
            "prompt": self.session.prompt() if prompt is None else prompt,
        }

    def apply_update(
        self, fields: Mapping[str, Any], make_prompt: Callable[[str], str] = str
    ) -> tuple[Reply, LiveSession]:
        """Update the session and read it back. ``make_prompt`` is given the beginning of the prompt to send.

        If an update has to carry all fields, the missing ones are added.
        """
        assert self.update is not None
        start = self.next_prompt()
        others = self.all_fields(self.update) if self.update.wants_all_fields else {}
        reply = self.session.write(self.update, {**self.base_fields(make_prompt(start)), **others, **fields})
        live = self.session.after_write(reply, lambda live: live is not None and start in live.prompt)
        live = self.session.require(live)
        self.note_stamp(live)
        # The list outweighs the response.
        return (Reply(reply.body, reply.response) if start in live.prompt else reply), live

    def note_stamp(self, live: LiveSession) -> None:
        """Note when the list showed what was just written."""
        stamp = read_stamp(live.row, self.client.contract.session)
        if stamp is not None:
            self.stamps.append((time.time(), stamp))

    def not_stored(self, sent: Mapping[str, Any], live: LiveSession) -> set[str]:
        """The optional fields that came back with other values than were sent."""
        stored = {**live.parameters, "data": dict(live.data)}
        return {
            name for name, value in sent.items() if name in FIRST_VALUES and not same(value, stored.get(name))
        }

    def raw_value(self, live: LiveSession, *path: str) -> Any:
        """The value at a path of a listed row, exactly as it was sent."""
        return value_at(live.row, path)


def ok_if(holds: bool) -> Verdict:
    """``ok`` or ``differs``."""
    return "ok" if holds else "differs"


def describe_call(operation: Operation) -> str:
    """A call in a few words."""
    encoding = "" if operation.encoding == "none" else f", {operation.encoding}"
    by = [name for name in operation.named_by if f"{{{name}}}" not in operation.path]
    named = f", by {' and '.join(by)}" if by else ""
    return f"{operation.method} {operation.path}{encoding}{named}"


def describe_answer(reply: Reply) -> str:
    """A response in a few words: its statuses, its form, and the server's message."""
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
    message = reply.error.server_message if reply.error else ""
    return f"HTTP {status.http}, {held} in the body" + (f": {message}" if message else "")


def describe_answers(replies: Sequence[tuple[Operation, Reply]]) -> str:
    """How calls were answered: those that do not exist by their number, the others with what the service said."""
    absent = [one for one in replies if one[1].error is not None and one[1].error.status in (404, 405)]
    said: dict[str, list[Operation]] = {}
    for operation, reply in replies:
        if (operation, reply) not in absent:
            said.setdefault(describe_answer(reply), []).append(operation)
    parts = []
    if absent:
        statuses = sorted({reply.error.status for _, reply in absent if reply.error is not None})
        parts.append(f"{len(absent)} of them are answered {' or '.join(map(str, statuses))}")
    for answer, operations in list(said.items())[:_SHOWN]:
        more = f" and {len(operations) - 1} more" if len(operations) > 1 else ""
        are = "are" if more else "is"
        parts.append(f"{describe_call(operations[0])}{more} {are} answered {answer}")
    return "; ".join(parts)


def named_fields(operation: Operation, reply: Reply) -> set[str]:
    """The fields, by our names, that a refusal names: as members of its document, or as words in its texts."""
    body = read_body(reply.response)[0] if reply.response is not None else None
    found: set[str] = set()
    for members in (body, body.get("data") if isinstance(body, dict) else None):
        found |= {name for name in members if isinstance(name, str)} if isinstance(members, dict) else set()
    found |= (
        set(re.findall(r"\w+", reply.error.server_message, re.ASCII)) if reply.error is not None else set()
    )
    return {ours for ours, wire in operation.fields.items() if wire in found}


def status_of(reply: Reply) -> Status | None:
    """The statuses of a response; None if no response came."""
    if reply.response is None:
        return None
    body, _ = read_body(reply.response)
    found = as_number(body.get("status")) if isinstance(body, dict) else 0
    return Status(reply.response.status_code, found if type(found) is int else 0)


def count_of(reply: Reply) -> int | None:
    """The count in a response, None if there is none."""
    found = as_number(reply.body.get("count")) if isinstance(reply.body, dict) else None
    return found if type(found) is int else None


def rows_of(reply: Reply) -> list[Any] | None:
    """The rows in a response, None if there are none."""
    found = reply.body.get("results") if isinstance(reply.body, dict) else None
    return found if type(found) is list else None


def session_numbers(lives: Sequence[LiveSession]) -> str:
    """Sessions by their ids: the first few, and how many more."""
    more = f" and {len(lives) - _SHOWN} more" if len(lives) > _SHOWN else ""
    return ", ".join(f"#{live.session_id}" for live in lives[:_SHOWN]) + more
