"""The session that a probe writes to. Whatever goes through here reaches that one, or none.

Three things keep the sessions of others out of it. A write carries an id that the list showed under this probe's name
or mark, and that was not there before the probe began. What a write sends bears the probe's name, so that a call
that turns out to make a session makes one that is known again and deleted. And after each call that may have done
something, the number of sessions is looked at: when one is missing, the probe ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from reconciler.api.client import Client, Reply
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.rate_limit import backoff
from reconciler.contract import Operation
from reconciler.doctor.candidates import safe
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import probe_id, probe_name, probe_prompt, probe_remark
from reconciler.values import as_number

#: Whether a session, None for one that is gone, is as it should be.
Fits: TypeAlias = Callable[[LiveSession | None], bool]

#: Seconds that success is still waited for on a service that said so once, and did nothing.
_IMPATIENT: Final = 1.0


class ProbeStopped(ReconcilerError):  # noqa: N818 - an end, not always an error
    """The probe can't or must not go on. What it made is still cleaned up."""


class Subject:
    """A probe's own session.

    ``before`` are the ids of all other sessions; ``settle`` is how long (seconds) a list may lag behind a write, and
    ``lag`` how long it did, as far as it was seen; ``late`` says whether it did at the last look. ``open`` says
    whether the last write may have done something, whatever it was answered.
    """

    def __init__(self, client: Client, probe: str, before: Iterable[int], settle: float) -> None:
        self.client = client
        self.probe = probe
        self.name = probe_name(probe)
        self.before = frozenset(before)
        self.settle = settle
        self.lag = 0.0
        self.patience = settle  # how long a write that is answered with success is waited for
        self.late = False
        self.open = False
        self.filtered = True  # whether the list can be narrowed to our name
        self.id: int | None = None
        self.ids: set[int] = set()  # all that this probe made, as the list showed them
        self.tokens: dict[int, str | None] = {}  # of each of them, where the list shows one
        self.taken_over: set[int] = set()  # sessions of others that have come to look like ours
        self.alarmed = False  # whether a session of others went or was overwritten
        self.creates = 0  # creates whose session has not been seen yet
        self.looks = 0  # how often it was looked for until it showed

    def prompt(self, tail: str = "") -> str:
        """A prompt by which the session is known, ending in this."""
        return probe_prompt(self.probe) + tail

    def remark(self, size: int | None = None) -> str:
        """A remark by which the session is known, of so many bytes."""
        return probe_remark(self.probe, size)

    # Writing

    def create(self, operation: Operation, fields: Mapping[str, Any]) -> Reply:
        """Send a create for the session."""
        if fields.get("name") != self.name or not safe(operation):
            raise ValueError("a probe makes sessions under its own name alone")
        self.creates += 1
        reply = self._send(operation, fields)
        if reply.error is not None and reply.error.outcome == "not done":
            self.creates -= 1
        return reply

    def write(self, operation: Operation, fields: Mapping[str, Any] | None = None) -> Reply:
        """Send a call about the session. One whose answer leaves it open is sent a second time, which does no harm.

        Not a delete: by then its id may be somebody else's.
        """
        number = self.id
        if number is None or number not in self.ids or number in self.before or not self.names(operation):
            raise ValueError("a probe writes to its own session alone")
        sent = {**(fields or {}), "session_id": number}
        sent.pop("session_token", None)
        if self.token is not None:
            sent["session_token"] = self.token
        reply = self._send(operation, sent)
        self.open = reply.error is None or reply.error.outcome == "unknown"
        again = self.open and reply.error is not None and operation.name != "delete_session"
        return self._send(operation, sent) if again else reply

    def names(self, operation: Operation) -> bool:
        """Whether a call about the session says which one is meant: by its id, or by its own token in the body."""
        by_token = "session_token" in operation.fields and operation.encoding != "none"
        return safe(operation) or (by_token and self.token is not None)

    def _send(self, operation: Operation, fields: Mapping[str, Any]) -> Reply:
        """Send a write once; more than once only where the server said that it did nothing and to come again."""
        for attempt in range(1, self.client.tries + 1):
            reply = self.client.call(operation, fields, session="the probe's session")
            error = reply.error
            if error is None or not (error.throttled and error.passing):
                break
            self.client.limiter.sleep(error.retry_after or backoff(attempt))
        if reply.error is not None and reply.error.status in (401, 403):
            raise ProbeStopped(reply.error.problems)
        return reply

    # Looking

    def find(self, *, whole: bool = False) -> list[LiveSession]:
        """The sessions of this probe that the list shows; ``whole`` looks through all of it."""
        found = []
        for live in self._list(whole):
            if not self._is_ours(live):
                continue
            if live.session_id in self.before:
                self.taken_over.add(live.session_id)
            else:
                found.append(live)
        if found:
            self.ids.update(live.session_id for live in found)
            self.creates = 0
            if self.id is None:
                self.id = found[0].session_id
            self.tokens |= {live.session_id: live.session_token for live in found}
        return found

    def _list(self, whole: bool) -> Snapshot:
        if self.filtered and not whole:
            try:
                return list_sessions(self.client, name=self.name)
            except ApiError as error:
                if error.passing or error.outcome == "unknown" or error.status in (401, 403):
                    raise
                self.filtered = False  # the question itself is refused
        return list_sessions(self.client)

    def _is_ours(self, live: LiveSession) -> bool:
        """Whether a session bears this probe's name, its mark, the beginning of its prompts, or a token of ours.

        An id is not enough: one that we had may be somebody else's by now.
        """
        token = self.tokens.get(live.session_id)
        return (
            live.name == self.name
            or probe_id(live) == self.probe
            or live.prompt.lstrip().startswith(probe_prompt(self.probe))
            or (token is not None and live.session_token == token)
        )

    @property
    def token(self) -> str | None:
        """The session's token, where it has one."""
        return self.tokens.get(self.id or 0)

    def appear(self) -> float | None:
        """Wait until the list shows the session. Gives how long that took (seconds), or None where it did not."""
        started = time.monotonic()
        while True:
            self.looks += 1
            shown = bool(self.find())
            at_once = self.looks == 1 and shown
            # Looking through all of a long list is not done each time.
            if not shown and self.looks & (self.looks - 1) == 0 and self.find(whole=True):
                shown = True
                self.filtered = bool(self.find())  # it may have come up in between
                at_once = self.looks == 1 and not self.filtered
            if shown:
                self.lag = 0.0 if at_once else time.monotonic() - started
                return self.lag
            left = self.settle - (time.monotonic() - started)
            if left <= 0:
                return None
            self.client.limiter.sleep(min(left, backoff(self.looks, base=0.05, cap=1.0)))

    def look(self) -> LiveSession | None:
        """The session as the list shows it now."""
        for whole in (False, True):
            for live in self.find(whole=whole):
                if live.session_id == self.id:
                    return live
        return None

    def see(self) -> LiveSession:
        """The session as the list shows it now.

        Raises:
            ProbeStopped: it does not.
        """
        return self.there(self.look())

    def there(self, live: LiveSession | None) -> LiveSession:
        """The session as it was found.

        Raises:
            ProbeStopped: it was not.
        """
        if live is None:
            raise ProbeStopped(
                f"the probe's session #{self.id} is gone", "somebody deleted it: run the probe again"
            )
        return live

    def wait(self, fits: Fits, seconds: float | None = None) -> LiveSession | None:
        """The session once it fits, or as it is after so long; by itself, twice as long as the list took before."""
        started = time.monotonic()
        patience = min(self.settle, 2 * self.lag) if seconds is None else seconds
        attempt = 1
        while True:
            live = self.look()
            waited = time.monotonic() - started
            if fits(live):
                self.late = attempt > 1
                self.lag = max(self.lag, waited if self.late else 0.0)
                return live
            if waited >= patience:
                return live
            self.client.limiter.sleep(min(patience - waited, backoff(attempt, base=0.05, cap=1.0)))
            attempt += 1

    def after(self, reply: Reply, fits: Fits) -> LiveSession | None:
        """The session once it fits, or as it is then. The list has the longer for it, the likelier it is to come."""
        if not self.open:
            return self.look()
        if reply.error is not None:
            return self.wait(fits)
        live = self.wait(fits, self.patience)
        if not fits(live):  # not what this service means by success: that is not waited for each time
            self.patience = min(self.patience, max(2 * self.lag, _IMPATIENT))
        return live

    def check_others(self) -> None:
        """See that no session of others is missing or overwritten.

        Raises:
            ProbeStopped: one is. Said once: from then on nothing is tried that might reach others.
        """
        if self.alarmed:
            return
        if self.taken_over:
            self.alarmed = True
            raise ProbeStopped(
                f"{_numbers(self.taken_over)}, which was there before, now bears the probe's name or mark",
                "the call before this one reached another session than the one that it named",
            )
        operation = self.client.contract.operation("list_sessions")
        query = {"ordering": "-session_id", "page": 1, "size": 1}
        count = as_number(self.client.read(operation.name, query).get("count"))
        if type(count) is int and count >= len(self.before) + len(self.ids):
            return
        gone = self.before - {live.session_id for live in list_sessions(self.client)}
        if gone:
            self.alarmed = True
            raise ProbeStopped(
                f"{_numbers(gone)} went while the probe ran",
                "somebody else may have deleted it: run the probe again when nobody writes to the account",
            )

    # Ending

    def remove(self, calls: Iterable[Operation]) -> Removal:
        """Delete the session by the first of these calls that does it; the list says whether one did."""
        tried: list[tuple[Operation, Reply]] = []
        for operation in calls:
            reply = self.write(operation)
            live = self.after(reply, _gone)
            possible = self.open
            if (
                live is not None and possible and reply.error is not None
            ):  # it is there: it may be sent once more
                reply = self.write(operation)
                live = self.after(reply, _gone)
            if possible:
                tried.append((operation, reply))
                self.check_others()
            if live is None:
                break
        else:
            live = self.wait(_gone, self.settle) if tried else self.look()
        if live is None:
            self.ids.discard(self.id or 0)
            self.id = None
        return Removal(live is None, tried)


@dataclass(frozen=True, slots=True)
class Removal:
    """What came of deleting: whether the session is gone, and the calls that may have done it, with their answers."""

    gone: bool
    tried: Sequence[tuple[Operation, Reply]]

    @property
    def by(self) -> tuple[Operation, Reply] | None:
        """The call that did it, where that is clear."""
        worked = [one for one in self.tried if one[1].error is None] or self.tried
        return worked[0] if self.gone and len(worked) == 1 else None


def _gone(live: LiveSession | None) -> bool:
    return live is None


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(f"#{number}" for number in sorted(numbers))
