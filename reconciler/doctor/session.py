"""The session that a probe writes to. A write that goes through here reaches that session or none.

Three rules protect the sessions of others:

- A write carries an id that the list showed under this probe's name or mark, and that did not exist before the probe
  began.
- The values in a write carry the probe's name. If a call turns out to create a session, that session is recognised
  and deleted.
- After each call that may have had an effect, the sessions are counted. If one is missing, the probe stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeAlias

from reconciler.api.addressing import Address, address, names
from reconciler.api.client import Client, Reply
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.polling import pause_before_retry, poll
from reconciler.contract import SESSION_NAMES, Operation
from reconciler.doctor.candidates import is_safe, says_which
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import probe_id, probe_name, probe_prompt, probe_remark
from reconciler.values import as_number

#: Whether a session, None for one that is not listed, is as expected.
Condition: TypeAlias = Callable[[LiveSession | None], bool]

#: How long (seconds) to wait for the effect of a success, once the service has answered success without any effect.
_SHORT_PATIENCE: Final = 1.0

#: The pauses between two looks at the list (seconds): short, since they bound how exactly its lag is measured.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class ProbeStopped(ReconcilerError):  # noqa: N818 - an end, not always an error
    """The probe cannot or must not continue. What it created is still deleted."""


class ProbeSession:
    """A probe's session: created, written to and deleted here, and nowhere else.

    ``others`` are the ids of all sessions that existed before. ``settle`` is how long (seconds) the list may lag
    behind a write, ``lag`` how long it was seen to lag, and ``was_late`` whether it lagged at the last wait.
    ``maybe_applied`` says whether the last write may have had an effect, whatever its answer was.
    """

    def __init__(self, client: Client, probe: str, others: Iterable[int], settle: float) -> None:
        self.client = client
        self.probe = probe
        self.name = probe_name(probe)
        self.others = frozenset(others)
        self.settle = settle
        self.lag = 0.0
        self.patience = settle  # how long to wait for the effect of a write that is answered with success
        self.was_late = False
        self.maybe_applied = False
        self.filter_works = True  # whether the list can be narrowed to our name
        self.id: int | None = None
        self.ids: set[int] = set()  # every session that this probe created, as the list showed them
        self.tokens: dict[int, str | None] = {}  # the token of each of them, if the list shows one
        self.overwritten: set[int] = set()  # sessions of others that now look like ours
        self.harm_seen = False  # whether a session of others went missing or was overwritten
        self.unlisted_creates = 0  # creates whose session has not been listed yet
        self._looks = 0  # how often the list was read for the new session

    def prompt(self, tail: str = "") -> str:
        """A prompt that identifies the session, with this ending."""
        return probe_prompt(self.probe) + tail

    def remark(self, size: int | None = None) -> str:
        """A remark that identifies the session, of this many bytes."""
        return probe_remark(self.probe, size)

    @property
    def token(self) -> str | None:
        """The session's token, if the list shows one."""
        return self.tokens.get(self.id or 0)

    @property
    def address(self) -> Address:
        """What is known of the session: every call about it names it by this."""
        return Address(self.id or 0, self.token)

    def can_address(self, operation: Operation) -> bool:
        """Whether a call can say that it means this session and no other."""
        return says_which(operation) and names(operation, self.address)

    # Writing

    def create(self, operation: Operation, fields: Mapping[str, Any]) -> Reply:
        """Send a create for the session."""
        if fields.get("name") != self.name or not is_safe(operation):
            raise ValueError("a probe creates sessions under its own name only")
        self.unlisted_creates += 1
        try:
            reply = self._send(operation, fields)
        except ProbeStopped:
            self.unlisted_creates -= 1  # the service did nothing: the key or the account is not good enough
            raise
        if reply.error is not None and reply.error.outcome == "not done":
            self.unlisted_creates -= 1
        return reply

    def write(self, operation: Operation, fields: Mapping[str, Any] | None = None) -> Reply:
        """Send a call about the session. If its outcome is unknown, it is sent a second time, which does no harm.

        A delete is not repeated: by then the id may belong to another session.
        """
        ours = self.id is not None and self.id in self.ids and self.id not in self.others
        if not ours or not self.can_address(operation):
            raise ValueError("a probe writes to its own session only")
        given = {name: value for name, value in (fields or {}).items() if name not in SESSION_NAMES}
        sent = {**given, **address(operation, self.address)}
        reply = self._send(operation, sent)
        self.maybe_applied = reply.error is None or reply.error.outcome == "unknown"
        unknown = self.maybe_applied and reply.error is not None
        return self._send(operation, sent) if unknown and operation.name != "delete_session" else reply

    def _send(self, operation: Operation, fields: Mapping[str, Any]) -> Reply:
        """Send a write once; again only if the server said that it did nothing and to try later."""
        client = self.client
        for attempt in count(1):
            reply = client.call(operation, fields)
            error = reply.error
            if error is None or not error.throttled:
                break
            if not pause_before_retry(client.limiter, error, attempt, client.tries):
                break
        if reply.error is not None and (reply.error.status in (401, 403) or reply.error.out_of_points):
            raise ProbeStopped(reply.error.problems)
        return reply

    # Reading

    def find(self, *, whole: bool = False) -> list[LiveSession]:
        """The sessions of this probe that the list shows. ``whole`` reads all of it, without the name filter."""
        found = []
        for live in self._list(whole):
            if not self._is_ours(live):
                continue
            if live.session_id in self.others:
                self.overwritten.add(live.session_id)
            else:
                found.append(live)
        if found:
            self.ids.update(live.session_id for live in found)
            self.unlisted_creates = 0
            if self.id is None:
                self.id = found[0].session_id
            self.tokens |= {live.session_id: live.session_token for live in found}
        return found

    def _list(self, whole: bool) -> Snapshot:
        if self.filter_works and not whole:
            try:
                return list_sessions(self.client, name=self.name)
            except ApiError as error:
                if error.passing or error.outcome == "unknown" or error.status in (401, 403):
                    raise
                self.filter_works = False  # the filter itself is refused
        return list_sessions(self.client)

    def _is_ours(self, live: LiveSession) -> bool:
        """Whether a session has this probe's name, its mark, the beginning of its prompts, or a token of ours.

        The id is not enough: an id that was ours may belong to another session by now.
        """
        token = self.tokens.get(live.session_id)
        return (
            live.name == self.name
            or probe_id(live) == self.probe
            or live.prompt.lstrip().startswith(probe_prompt(self.probe))
            or (token is not None and live.session_token == token)
        )

    def wait_until_listed(self) -> float | None:
        """Wait until the list shows the session. Returns how long it took (seconds), None if it never appeared."""
        at_once = False

        def shown() -> bool:
            nonlocal at_once
            self._looks += 1
            if self.find():
                at_once = self._looks == 1
                return True
            # A long list is not read as a whole each time.
            if self._looks & (self._looks - 1) or not self.find(whole=True):
                return False
            self.filter_works = bool(self.find())  # it may have appeared in between
            at_once = self._looks == 1 and not self.filter_works
            return True

        limiter = self.client.limiter
        started = limiter.now()
        for _ in self._poll(self.settle):
            if shown():
                self.lag = 0.0 if at_once else limiter.now() - started
                return self.lag
        return None

    def current(self) -> LiveSession | None:
        """The session as the list shows it now, None if it does not."""
        for whole in (False, True):
            for live in self.find(whole=whole):
                if live.session_id == self.id:
                    return live
        return None

    def require_listed(self) -> LiveSession:
        """The session as the list shows it now.

        Raises:
            ProbeStopped: it is not listed.
        """
        return self.require(self.current())

    def require(self, live: LiveSession | None) -> LiveSession:
        """The session as it was read.

        Raises:
            ProbeStopped: it was not listed.
        """
        if live is None:
            raise ProbeStopped(
                f"the probe's session #{self.id} is gone", "somebody deleted it: run the probe again"
            )
        return live

    def wait_until(self, condition: Condition, seconds: float | None = None) -> LiveSession | None:
        """The session once it meets a condition, or as it is when the time is up.

        The default is twice as long as the list has lagged so far.
        """
        timeout = min(self.settle, 2 * self.lag) if seconds is None else seconds
        limiter = self.client.limiter
        started = limiter.now()
        live = None
        for attempt, _ in enumerate(self._poll(timeout)):
            live = self.current()
            if condition(live):
                self.was_late = attempt > 0
                self.lag = max(self.lag, limiter.now() - started if self.was_late else 0.0)
                break
        return live

    def _poll(self, seconds: float) -> Iterator[None]:
        # The pauses are short, since a probe waits often and few services are slow.
        return poll(self.client.limiter, seconds, base=0.05, cap=1.0)

    def after_write(self, reply: Reply, condition: Condition) -> LiveSession | None:
        """The session once it meets a condition that a write was to bring about, or as it is when the time is up.

        The more likely the write had an effect, the longer the list is given to show it.
        """
        if not self.maybe_applied:
            return self.current()
        if reply.error is not None:
            return self.wait_until(condition)
        live = self.wait_until(condition, self.patience)
        if not condition(live):  # on this service, success does not mean that: do not wait so long each time
            self.patience = min(self.patience, max(2 * self.lag, _SHORT_PATIENCE))
        return live

    def check_other_sessions(self) -> None:
        """Check that no session of others is missing or overwritten.

        Raises:
            ProbeStopped: one is. Raised once: after that, no call is tried that might reach other sessions.
        """
        if self.harm_seen:
            return
        if self.overwritten:
            self.harm_seen = True
            raise ProbeStopped(
                f"{_numbers(self.overwritten)} existed before the probe, and now has the probe's name or mark",
                "the last call reached another session than the one that it named",
            )
        operation = self.client.contract.operation("list_sessions")
        query = {"ordering": "-session_id", "page": 1, "size": 1}
        count = as_number(self.client.read(operation.name, query).get("count"))
        if type(count) is int and count >= len(self.others) + len(self.ids):
            return
        gone = self.others - {live.session_id for live in list_sessions(self.client)}
        if gone:
            self.harm_seen = True
            raise ProbeStopped(
                f"{_numbers(gone)} disappeared during the probe",
                "somebody else may have deleted it: run the probe again when nobody writes to the account",
            )

    # Deleting

    def delete(self, calls: Iterable[Operation]) -> Deletion:
        """Delete the session with the first of these calls that works. The list decides whether one did."""
        tried: list[tuple[Operation, Reply]] = []
        refused: list[tuple[Operation, Reply]] = []
        for operation in calls:
            reply = self.write(operation)
            live = self.after_write(reply, _is_gone)
            maybe_applied = self.maybe_applied
            if live is not None and maybe_applied and reply.error is not None:
                # It is still listed under our name, so the call may be sent once more.
                reply = self.write(operation)
                live = self.after_write(reply, _is_gone)
            if maybe_applied:
                tried.append((operation, reply))
                self.check_other_sessions()
            else:
                refused.append((operation, reply))
            if live is None:
                break
        else:
            live = self.wait_until(_is_gone, self.settle) if tried else self.current()
        if live is None:
            self.ids.discard(self.id or 0)
            self.id = None
        return Deletion(live is None, tried, refused)


@dataclass(frozen=True, slots=True)
class Deletion:
    """The result of a delete: whether the session is gone, and the calls that may have done it, with their answers.

    ``refused`` are the calls that did not, with their answers.
    """

    gone: bool
    tried: Sequence[tuple[Operation, Reply]]
    refused: Sequence[tuple[Operation, Reply]]

    @property
    def by(self) -> tuple[Operation, Reply] | None:
        """The call that deleted the session, None if that is not certain."""
        succeeded = [one for one in self.tried if one[1].error is None] or self.tried
        return succeeded[0] if self.gone and len(succeeded) == 1 else None


def _is_gone(live: LiveSession | None) -> bool:
    return live is None


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(f"#{number}" for number in sorted(numbers))
