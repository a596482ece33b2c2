"""A probe: one session is made, written to, and deleted.

The order of its experiments is from what the others stand on to what ends the session. Whatever comes in between,
an error or a signal, the session is deleted, and the list is read to see that it is gone; at the end it is read
once more, to see that all other sessions are as they were.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.contract import Operation
from reconciler.doctor.bench import Bench
from reconciler.doctor.candidates import PROVEN, candidates
from reconciler.doctor.deleting import delete
from reconciler.doctor.lessons import Lessons
from reconciler.doctor.making import find_by_name, make, usual_model
from reconciler.doctor.prompts import prompts
from reconciler.doctor.remarks import remark_length
from reconciler.doctor.report import Check
from reconciler.doctor.subject import Subject
from reconciler.doctor.talking import messages
from reconciler.doctor.updating import bad_request, find_update, left_out, update_takes
from reconciler.errors import Problem, ReconcilerError
from reconciler.model import Snapshot

_EXPERIMENTS: Final[tuple[Callable[[Bench], None], ...]] = (
    make,
    find_by_name,
    find_update,
    update_takes,
    left_out,
    remark_length,
    prompts,
    messages,
    bad_request,
    delete,
)

#: What a chat moves in a session without anybody writing to it.
_MOVES: Final = frozenset(("api_use_count", "updated_at"))

_SHOWN: Final = 5


def new_probe() -> str:
    """An id for a probe, that no other has."""
    return secrets.token_hex(6)


class Probe:
    """One probe.

    ``before`` is the list as it is; ``probe`` is the id by which what this makes is known; ``settle`` is how long
    (seconds) a list may lag behind a write. ``tell`` is told what is tried.

    Afterwards ``checks`` holds what came out, ``complete`` says whether all experiments were made, ``left`` are the ids
    of sessions that could not be deleted (``unseen`` where one may be there that the list did not show), and
    ``untouched`` says that all other sessions were seen to be as they were.
    """

    def __init__(
        self,
        client: Client,
        lessons: Lessons,
        before: Snapshot,
        *,
        probe: str,
        settle: float,
        tell: Callable[[str], None] = lambda step: None,
    ) -> None:
        subject = Subject(client, probe, (live.session_id for live in before), settle)
        self.bench = Bench(client, lessons, subject, usual_model(before), tell)
        self.before = before
        self.complete = False
        self.left: list[int] = []
        self.unseen = False
        self.untouched = False
        self._cleaned = False

    @property
    def checks(self) -> list[Check]:
        """What came out so far."""
        return self.bench.checks

    @property
    def name(self) -> str:
        """The name of the session that the probe makes."""
        return self.bench.subject.name

    def run(self) -> None:
        """Learn what there is to learn. What goes wrong becomes a check; a signal passes through after the clean-up."""
        try:
            self._learn()
        except BaseException:
            self._clean_up()
            raise
        try:
            self._clean_up()
        except KeyboardInterrupt:  # the first one, which only means that no more is to be learned
            self._clean_up()
            raise
        self._compare()

    def _learn(self) -> None:
        try:
            for experiment in _EXPERIMENTS:
                experiment(self.bench)
            self.complete = True
        except ReconcilerError as error:
            problem = error.problems[0] if error.problems else Problem(str(error))
            self.bench.say("the probe ended early", "differs", problem.message, problem.hint)

    def _clean_up(self) -> None:
        subject = self.bench.subject
        self.bench.tell("cleaning up")
        try:
            if subject.creates and subject.appear() is None:
                self.unseen = True
            calls = self._deletes()
            while found := [live for live in subject.find(whole=True) if live.session_id not in self.left]:
                subject.id = found[0].session_id
                if subject.remove(calls) is None:
                    self.left.append(found[0].session_id)
        except ReconcilerError as error:
            self.left = sorted({*self.left, *subject.ids})
            self.unseen = self.unseen or not self.left
            reason = error.problems[0].message if error.problems else str(error)
            self._cleaned = True
            self.bench.say("clean-up", "differs", f"{self.leftover}: {reason}", _CONSOLE)
            return
        self._cleaned = True
        if self.left or self.unseen:
            self.bench.say("clean-up", "differs", self.leftover, _CONSOLE)
        else:
            self.bench.say("clean-up", "ok", "the session is deleted, and the list does not show it any more")

    def _deletes(self) -> list[Operation]:
        """The calls that may delete what is left: after an alarm those alone that can't reach another session."""
        calls = candidates(self.bench.lessons.contract, "delete_session")
        if not self.bench.subject.alarmed:
            return calls
        return [one for one in calls if "{session_id}" in one.path or one.known in PROVEN]

    @property
    def leftover(self) -> str:
        """What is left, in words; empty where nothing is."""
        subject = self.bench.subject
        if not self._cleaned and (subject.ids or subject.creates):
            return f"the session {self.name!r} may be left"  # the clean-up was ended, too
        if self.left:
            numbers = ", ".join(f"#{number}" for number in self.left)
            return f"{numbers}, {self.name!r}, could not be deleted"
        if self.unseen:
            return f"a session {self.name!r} may be there that the list does not show yet"
        return ""

    def _compare(self) -> None:
        """See that all other sessions are as they were."""
        try:
            after = list_sessions(self.bench.client)
        except ReconcilerError as error:
            reason = error.problems[0].message if error.problems else str(error)
            self.bench.say("the other sessions", "unknown", f"the list can't be read again: {reason}")
            return
        now = {live.session_id: live.row for live in after}
        gone = [live.session_id for live in self.before if live.session_id not in now]
        moved = {
            live.session_id: names
            for live in self.before
            if live.session_id in now and (names := _changed(live.row, now[live.session_id]))
        }
        used = [number for number, names in moved.items() if names <= _MOVES]
        changed = {number: names for number, names in moved.items() if number not in used}
        count = len(self.before)
        self.untouched = not gone and not changed
        if self.untouched:
            others = "there were no others" if not count else f"all {count} are as they were, field by field"
            chatted = f"; {len(used)} were used meanwhile" if used else ""
            self.bench.say("the other sessions", "ok", others + chatted)
            return
        words = []
        if gone:
            words.append(f"{_numbers(gone)} went")
        if changed:
            where = sorted({name for names in changed.values() for name in names})
            words.append(f"{_numbers(changed)} changed in {', '.join(where)}")
        self.bench.say(
            "the other sessions",
            "differs",
            "; ".join(words),
            "somebody else may have written at the same time; the probe named no session but its own in any call",
        )


_CONSOLE = "delete it in the console, or run reconciler doctor again, which finds it and offers to remove it"


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def _numbers(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(f"#{number}" for number in found[:_SHOWN]) + more
