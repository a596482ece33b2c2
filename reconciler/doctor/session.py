"""The session that a probe writes to. A write that goes through here reaches that session or none.

Three rules protect the sessions of others:

- A write carries an id that the list showed under this probe's name or mark, and that did not exist before the probe
  began.
- The values in a write carry the probe's name. If a call turns out to create a session, that session is recognised
  and deleted.
- After each call that may have had an effect, the list shows the other sessions. If the call may have harmed
  one, the probe stops.

Others use the account meanwhile, so a session may be gone for another reason than the call:

- *Proof of harm.* A session of others has what only this probe sends.
- *Doubt*, which ends the probe, too. A managed session is gone, or the next one to ours in the order of ids, or more
  than half of all; any session of others is gone after a delete that did not delete ours; or sessions do not vanish
  while the probe sends nothing, so that nobody else is known to delete any.
- *Neither.* Other sessions are gone, and more of them vanish while nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeAlias

from reconciler.api.addressing import Address, address, names
from reconciler.api.client import Client, Reply
from reconciler.api.decode import value_at
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.polling import poll
from reconciler.api.retry import pause_before_retry
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

#: The longest time (seconds) to watch whether sessions of others vanish while nothing is sent.
_WATCH: Final = 2.0

_SHOWN: Final = 5  # sessions named in a sentence


class ProbeStopped(ReconcilerError):  # noqa: N818 - an end, not always an error
    """The probe cannot or must not continue. What it created is still deleted."""


class ProbeSession:
    """A probe's session: created, written to and deleted here, and nowhere else.

    ``others`` are the ids of all sessions that existed before, ``managed`` those of them that have a tag. Sessions that
    others create meanwhile are added to ``others`` when the list shows them. ``settle`` is how long (seconds) the list
    may lag behind a write, ``lag`` how long it was seen to lag, and ``was_late`` whether it lagged at the last wait.
    ``maybe_applied`` says whether the last write may have had an effect, whatever its response was.
    """

    def __init__(
        self,
        client: Client,
        probe: str,
        others: Iterable[int],
        settle: float,
        managed: Iterable[int] = (),
    ) -> None:
        self.client = client
        self.probe = probe
        self.name = probe_name(probe)
        self.others = set(others)
        self.managed = frozenset(managed)
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
        self.harm_seen = False  # whether a call may have deleted or overwritten a session of others
        self.doubted: set[int] = set()  # sessions of others that a call may have deleted
        self._present = set(self.others)  # the sessions of others that the last look at the whole list showed
        self._restless: bool | None = (
            None  # whether they vanish while nothing is sent; None if that is not known
        )
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
        """The ids and token that calls name the session by."""
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

        A delete is not repeated, because the id may belong to another session then.
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
        return self._ours(self._list(whole))

    def _ours(self, lives: Iterable[LiveSession]) -> list[LiveSession]:
        found = []
        for live in lives:
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

        The id is not enough: it may belong to another session meanwhile.
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
        """The session once it meets a condition, or as it is at the time limit.

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
        return poll(self.client.limiter, seconds, base=_FIRST_PAUSE, cap=_LONGEST_PAUSE)

    def after_write(self, reply: Reply, condition: Condition) -> LiveSession | None:
        """The session once it meets the condition that a write should have established, or as it is at the time limit.

        The more likely the write had an effect, the longer the list is given to show it.
        """
        if not self.maybe_applied:
            return self.current()
        if reply.error is not None:
            return self.wait_until(condition)
        live = self.wait_until(condition, self.patience)
        if not condition(
            live
        ):  # this service answers success without an effect: do not wait that long each time
            self.patience = min(self.patience, max(2 * self.lag, _SHORT_PATIENCE))
        return live

    def note_others(self, *, only_created: bool = False) -> None:
        """Note which sessions of others exist, so that only what vanishes from now on is blamed on a call.

        ``only_created`` says that no call was sent so far that could have deleted any, so others did.
        """
        if self.harm_seen or self._nothing_is_gone():
            return
        if self._look() and only_created:
            self._restless = True

    def check_other_sessions(self, *, worked: bool = True) -> None:
        """Check that the last call neither deleted nor overwrote a session of others.

        ``worked`` says whether the call had the intended effect on our session.

        Raises:
            ProbeStopped: it may have. Raised once: after that, no call is tried that might reach other
                sessions.
        """
        if self.harm_seen:
            return
        before = frozenset(self._present)
        gone = frozenset[int]() if self.overwritten or self._nothing_is_gone() else self._look()
        if self.overwritten:
            self.harm_seen = True
            raise ProbeStopped(
                f"{some_numbers(self.overwritten)} existed before the probe, and now has the probe's name or mark",
                "the last call reached another session than the one that it named",
            )
        suspects = self._suspects(gone, before, worked)
        if suspects:
            self.harm_seen = True
            self.doubted |= suspects
            raise ProbeStopped(
                f"{some_numbers(suspects)} disappeared during the probe",
                "somebody else may have deleted it: run the probe again when nobody writes to the account",
            )

    def is_restless(self) -> bool:
        """Whether sessions of others vanish while nothing is sent. The list is watched until that is known."""
        if self._restless is None:
            watched = self._poll(_WATCH)
            # Where the list lags, what vanishes now may be the effect of an earlier call.
            self._restless = self.lag == 0 and any(self._look() for _ in watched)
        return self._restless

    def _suspects(self, gone: frozenset[int], before: frozenset[int], worked: bool) -> frozenset[int]:
        """The missing sessions that the last call may have deleted, as far as the list can tell."""
        number = self.id or 0
        lower = max((one for one in before if one < number), default=0)
        higher = min((one for one in before if one > number), default=0)
        conspicuous = gone & (self.managed | {lower, higher})
        if conspicuous or not gone:
            return conspicuous
        harmless = worked and 2 * len(gone) <= len(before) and self.is_restless()
        return frozenset() if harmless else gone

    def _nothing_is_gone(self) -> bool:
        """Whether one response proves that no session of others is gone: as many as before, and none is new."""
        query = {"ordering": "-session_id", "page": 1, "size": 1}
        body = self.client.read("list_sessions", query)
        rows = body.get("results")
        ids = [as_number(value_at(row, self.client.contract.session.session_id)) for row in rows or ()]
        newest = ids[0] if ids and type(ids[0]) is int else 0
        known = self._present | self.ids
        return as_number(body.get("count")) == len(known) and newest <= max(known, default=0)

    def _look(self) -> frozenset[int]:
        """Read the whole list. Returns which sessions of others are gone since the last time."""
        snapshot = list_sessions(self.client)
        self._ours(snapshot)
        listed = {live.session_id for live in snapshot}
        gone = frozenset(self._present - listed)
        self._present = listed - self.ids
        self.others |= self._present
        return gone

    # Deleting

    def delete(self, calls: Iterable[Operation]) -> Deletion:
        """Delete the session with the first of these calls that works. The list decides whether one did."""
        self.note_others()
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
                self.check_other_sessions(worked=live is None)
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


def some_numbers(numbers: Iterable[int]) -> str:
    """Sessions by their ids: the first few, and how many more."""
    found = sorted(numbers)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(f"#{number}" for number in found[:_SHOWN]) + more
