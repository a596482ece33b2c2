"""A probe: it creates one session, writes to it, and deletes it.

Each experiment relies on the ones before it; the last one deletes the session. Whatever happens in between, an error
or a signal, the session is deleted, and the list is read to check that it is gone. At the end the list is read once
more, to check that the probe changed no other session.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.contract import Operation
from reconciler.doctor.baseline import compare, is_managed
from reconciler.doctor.candidates import PROVEN, candidates, names_in_path
from reconciler.doctor.context import ProbeContext, ok_if
from reconciler.doctor.create import create_session, find_by_name, most_used_model
from reconciler.doctor.delete import find_delete
from reconciler.doctor.get import get_one
from reconciler.doctor.learned import LearnedFacts
from reconciler.doctor.messages import probe_messages
from reconciler.doctor.prompts import stored_prompts
from reconciler.doctor.remarks import remark_length
from reconciler.doctor.report import Check
from reconciler.doctor.session import ProbeSession
from reconciler.doctor.times import moved_times, note_times
from reconciler.doctor.update import bad_request, find_update, omitted_fields, updated_fields
from reconciler.domain import Snapshot
from reconciler.errors import Problem, ReconcilerError

#: Each with what a contract does not know if it was not made.
_EXPERIMENTS: Final[tuple[tuple[Callable[[ProbeContext], None], str], ...]] = (
    (create_session, "create_session"),
    (find_by_name, "name_filter"),
    (find_update, "update_session"),
    (updated_fields, "ignores of update_session"),
    (omitted_fields, "left_out of update_session"),
    (remark_length, "remark_limit"),
    (stored_prompts, "prompts"),
    (get_one, "get_session"),
    (note_times, "updated_at"),
    (probe_messages, "list_messages"),
    (moved_times, "updated_at"),
    (bad_request, "bad_request"),
    (find_delete, "delete_session"),
)


def new_probe() -> str:
    """A new, unique id for a probe."""
    return secrets.token_hex(6)


class Probe:
    """One probe.

    ``before`` is the list before it. ``probe`` is the id that identifies what the probe creates. ``settle`` is how long
    (seconds) the list may lag behind a write. ``progress`` is told what is being tried.

    Afterwards ``checks`` are the results. ``unknown`` names what a contract should say and could not be found out.
    ``left`` are the ids of sessions that could not be deleted; ``unseen`` says that one may exist that the list did not
    show.
    ``untouched`` says that no other session was changed by the probe: each is unchanged, or was changed or deleted by
    somebody else.
    """

    def __init__(
        self,
        client: Client,
        learned: LearnedFacts,
        before: Snapshot,
        *,
        probe: str,
        settle: float,
        progress: Callable[[str], None] = lambda step: None,
    ) -> None:
        managed = [live.session_id for live in before if is_managed(live)]
        subject = ProbeSession(client, probe, (live.session_id for live in before), settle, managed)
        self.context = ProbeContext(client, learned, subject, most_used_model(before), progress)
        self.before = before
        self.left: list[int] = []
        self.unseen = False
        self.untouched = False
        self._cleaned = False
        self._may_be_deleted = False

    @property
    def checks(self) -> list[Check]:
        """The results so far."""
        return self.context.checks

    @property
    def unknown(self) -> Sequence[str]:
        """What could not be found out, although a contract should say it."""
        return tuple(dict.fromkeys(self.context.unknown))

    @property
    def name(self) -> str:
        """The name of the session that the probe creates."""
        return self.context.session.name

    def run(self) -> None:
        """Run the experiments, clean up, and compare the other sessions. An error becomes a check.

        A signal ends the experiments, and is raised again at the end; a second signal is raised at once.
        """
        stopped: BaseException | None = None
        for step in (self._run_experiments, self._clean_up, self._compare):
            try:
                step()
            except BaseException as error:
                if stopped is not None:
                    raise
                stopped = error
                if step != self._run_experiments:
                    step()  # the first signal ends the experiments, not the clean-up
        if stopped is not None:
            raise stopped

    def _run_experiments(self) -> None:
        made = 0
        try:
            for number, (experiment, _) in enumerate(_EXPERIMENTS):
                made = number
                experiment(self.context)
            made = len(_EXPERIMENTS)
        except ReconcilerError as error:
            problem = error.problems[0] if error.problems else Problem(str(error))
            self.context.report("the probe ended early", "differs", problem.message, problem.hint)
        finally:
            self.context.unknown += [subject for _, subject in _EXPERIMENTS[made:]]

    def _clean_up(self) -> None:
        session = self.context.session
        self.context.progress("cleaning up")
        try:
            if session.unlisted_creates and session.wait_until_listed() is None:
                self.unseen = True
            calls = self._deletes()
            while found := [live for live in session.find(whole=True) if live.session_id not in self.left]:
                session.id = found[0].session_id
                deletion = session.delete(calls)
                if not deletion.gone:
                    self.left.append(found[0].session_id)
                    self._may_be_deleted = self._may_be_deleted or bool(deletion.tried) or session.harm_seen
        except ReconcilerError as error:
            self.left = sorted({*self.left, *session.ids})
            self.unseen = self.unseen or not self.left
            reason = error.problems[0].message if error.problems else str(error)
            self._cleaned = True
            self.context.report("clean-up", "differs", f"{self.leftover}: {reason}", _AGAIN)
            return
        self._cleaned = True
        if self.left or self.unseen:
            # Where no call deletes a session, another run of the doctor has none either.
            follows = NO_DELETE if self.left and not self._may_be_deleted else _AGAIN
            self.context.report("clean-up", "differs", self.leftover, follows)
        else:
            self.context.report("clean-up", "ok", "the session is deleted and no longer listed")

    def _deletes(self) -> list[Operation]:
        """The calls to clean up with. After harm, only those that can't reach another session."""
        session = self.context.session
        calls = candidates(self.context.learned.contract, "delete_session")
        calls = [one for one in calls if session.can_address(one)]
        if not session.harm_seen:
            return calls
        return [one for one in calls if names_in_path(one) or one.known in PROVEN]

    @property
    def leftover(self) -> str:
        """A sentence on what could not be deleted; empty if nothing is left."""
        session = self.context.session
        if not self._cleaned and (session.ids or session.unlisted_creates):
            return f"the session {self.name!r} may still exist"  # the clean-up was interrupted, too
        if self.left:
            numbers = ", ".join(f"#{number}" for number in self.left)
            return f"{numbers}, {self.name!r}, could not be deleted"
        if self.unseen:
            return f"a session {self.name!r} may exist that the list does not show yet"
        return ""

    def _others_vanish(self) -> bool:
        try:
            return self.context.session.is_restless()
        except ReconcilerError:
            return False

    def _compare(self) -> None:
        """Check that all other sessions are unchanged."""
        try:
            after = list_sessions(self.context.client)
        except ReconcilerError as error:
            reason = error.problems[0].message if error.problems else str(error)
            self.context.report("the other sessions", "unknown", f"the list can't be read again: {reason}")
            return
        found = compare(self.before, after, self.context.session.probe)
        session = self.context.session
        gone = {*found.gone, *session.doubted} - {live.session_id for live in after}
        suspects = gone & (session.managed | session.doubted)
        others = gone != suspects and self._others_vanish()
        found = found.blaming(suspects if others else gone)
        self.untouched = found.untouched
        follows = "somebody else may have written at the same time; each call of the probe named its own session only"
        self.context.report(
            "the other sessions", ok_if(found.untouched), str(found), "" if found.untouched else follows
        )


_AGAIN: Final = "run `reconciler doctor` again a little later: it finds the session and offers to delete it"
#: What to do where no call deletes a session.
NO_DELETE: Final = (
    "delete it in the console: no call that deletes a session was found. Somebody who knows the call can describe it "
    "in a contract file; `reconciler doctor --contract=FILE` then deletes the session"
)
