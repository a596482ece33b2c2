"""A probe: one session is made, written to, and deleted.

The order of its experiments is from what the others stand on to what ends the session. Whatever comes in between,
an error or a signal, the session is deleted, and the list is read to see that it is gone; at the end it is read
once more, to see that all other sessions are as they were.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.contract import Operation
from reconciler.doctor.baseline import compare
from reconciler.doctor.candidates import PROVEN, candidates
from reconciler.doctor.context import Bench, verdict
from reconciler.doctor.create import find_by_name, make, usual_model
from reconciler.doctor.delete import delete
from reconciler.doctor.learned import Lessons
from reconciler.doctor.messages import messages
from reconciler.doctor.prompts import prompts
from reconciler.doctor.remarks import remark_length
from reconciler.doctor.report import Check
from reconciler.doctor.session import Subject
from reconciler.doctor.update import bad_request, find_update, left_out, update_takes
from reconciler.domain import Snapshot
from reconciler.errors import Problem, ReconcilerError

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


def new_probe() -> str:
    """An id for a probe, that no other has."""
    return secrets.token_hex(6)


class Probe:
    """One probe.

    ``before`` is the list as it is; ``probe`` is the id by which what this makes is known; ``settle`` is how long
    (seconds) a list may lag behind a write. ``tell`` is told what is tried.

    Afterwards ``checks`` holds what came out, ``complete`` says whether all experiments were made and told what they
    should, ``left`` are the ids of sessions that could not be deleted (``unseen`` where one may be there that the list
    did not show), and ``untouched`` says that all other sessions were seen to be as they were.
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
        """Learn what there is to learn, clean up, and look at the others. What goes wrong becomes a check.

        A signal ends the learning, and passes through at the end; a second one passes through at once.
        """
        stopped: BaseException | None = None
        for step in (self._learn, self._clean_up, self._compare):
            try:
                step()
            except BaseException as error:
                if stopped is not None:
                    raise
                stopped = error
                if step != self._learn:
                    step()  # the signal only meant that no more is to be learned
        if stopped is not None:
            raise stopped

    def _learn(self) -> None:
        try:
            for experiment in _EXPERIMENTS:
                experiment(self.bench)
            self.complete = not self.bench.unclear
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
                if not subject.remove(calls).gone:
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
        found = compare(self.before, after)
        self.untouched = found.untouched
        follows = "somebody else may have written at the same time; the probe named no session but its own in any call"
        self.bench.say(
            "the other sessions", verdict(found.untouched), str(found), "" if found.untouched else follows
        )


_CONSOLE = "delete it in the console, or run reconciler doctor again, which finds it and offers to remove it"
