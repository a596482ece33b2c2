"""A watched catalog: what is known of it, what keeps its plan from being written, and its status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from reconciler.api.cancellation import Cancellation
from reconciler.api.client import Client
from reconciler.apply import journal as journals
from reconciler.apply.beside import key_mark, with_key
from reconciler.apply.journal import read_journal
from reconciler.apply.journal_facts import JournalFacts
from reconciler.controller.announcing import Announcer
from reconciler.controller.clock import Clock
from reconciler.controller.comparing import Comparison, compare, only_repairs
from reconciler.controller.events import Event, Kind
from reconciler.controller.hold import ASK_AGAIN, Approval, Hold, outside_window
from reconciler.controller.interrupted import interrupted
from reconciler.controller.loading import Found, Revision, load_revision
from reconciler.controller.memory import Memory
from reconciler.controller.removing import Removed
from reconciler.controller.settings import WatchedCatalog
from reconciler.controller.sources import NoCatalogError
from reconciler.controller.states import State
from reconciler.controller.status import (
    GuardRefusal,
    PendingPlan,
    Revisions,
    RunStatus,
    WatchedStatus,
)
from reconciler.controller.trouble import Trouble, after
from reconciler.domain import Keep, Snapshot
from reconciler.errors import CatalogError, ReconcilerError
from reconciler.plan.keep import keep_for_catalog

#: How many runs the status shows.
_RUNS: Final = 10


class Watched:
    """One watched catalog. Its account's thread works on it; :meth:`approve` and :attr:`status` are for any thread."""

    def __init__(
        self,
        settings: WatchedCatalog,
        account: str,
        clock: Clock,
        tell: Callable[[Event], None],
        spread: Callable[[], float],
        forbids: Callable[[WatchedStatus], str] = lambda status: "",
        stop: Cancellation | None = None,
    ) -> None:
        self.stop = stop or Cancellation()  # it begins no further write once this is set
        self.settings = settings
        self.revision: Revision | None = None  # the newest valid one
        self.attempted: str | None = None
        self.found: Comparison | None = None  # of the newest valid revision
        self.repair: Comparison | None = None  # of the applied revision, in the mode `repair`
        self.load_trouble: Trouble | None = None
        self.look_trouble: Trouble | None = None
        self.write_trouble: Trouble | None = None
        self.account_trouble: Trouble | None = None
        self.misplaced: ReconcilerError | None = None  # why the account is not the catalog's
        self.standby: str = ""  # the holder of the lock that is waited for
        self.held_until = 0.0  # nothing is written before that (by the monotonic clock)
        self.held_for = ""
        self.settles_at = 0.0  # when the list shows what an earlier run created (by the monotonic clock)
        self.asked = True  # somebody wants it looked at
        self.again = False  # somebody wants a revision that failed to be tried again
        self.approval: Approval | None = None
        self.removed: Removed | None = None
        self._account = account
        self._clock = clock
        self._tell = tell
        self._spread = spread
        self._forbids = forbids
        self._memory = Memory(settings.state, settings.name, settings.store)
        self._applied: str | None = None
        self._applied_revision: Revision | None = None
        self._invalid: str | None = None  # the newest revision, if it is not valid
        self._missing = False  # the source has no catalog any more, or only a part of one
        self._facts: tuple[Any, JournalFacts] | None = None
        self._keeps: dict[str, tuple[JournalFacts, Keep]] = {}  # by revision
        self._compared: tuple[Any, ...] = ()
        self._since: dict[str, datetime] = {}  # when each pending plan was first seen, by digest
        self._announcer = Announcer(self.say)
        self._runs: tuple[RunStatus, ...] = ()
        self._lock = threading.Lock()
        self._was_held = self.held_back = False  # something kept the plan from being written
        self._status = WatchedStatus(
            name=settings.name,
            catalog="",
            environment=settings.environment,
            account=account,
            source=settings.source.describe(),
            mode=settings.mode,
            state="Suspended" if settings.suspended else "Pending",
            reason="suspended by its settings" if settings.suspended else "",
        )

    # What others see

    @property
    def status(self) -> WatchedStatus:
        return self._status

    @property
    def pending(self) -> Comparison | None:
        """The plan that is not written: the repair if there is one, else what leads to the newest valid revision."""
        if self.repair is not None and not self.repair.plan.empty:
            return self.repair
        return None if self.found is None or self.found.in_sync else self.found

    def leads_to(self, pending: Comparison) -> str:
        """The revision that is live once this plan is written."""
        newest = "" if self.revision is None else self.revision.name
        return (self._applied or newest) if pending is self.repair else newest

    @property
    def last_run(self) -> RunStatus | None:
        return self._runs[0] if self._runs else None

    def approve(self, digest: str, by: str) -> None:
        """Approve the pending plan, which has this digest."""
        with self._lock:
            self.approval = Approval(digest, by)
            self.asked, self.held_until = True, 0.0
            plan = self._status.plan
            if plan is not None and plan.digest == digest:
                self._status = replace(self._status, plan=replace(plan, approved=True))

    def say(self, kind: Kind, message: str = "", **facts: Any) -> None:
        """Tell an event of this catalog."""
        self._tell(
            Event(
                kind,
                self._clock.now(),
                self._account,
                self.settings.name,
                self._status.catalog,
                self.settings.environment,
                message,
                facts,
            )
        )

    def show(self, state: State, **more: Any) -> None:
        """Show a step of a look."""
        with self._lock:
            self._status = replace(self._status, state=state, **more)

    # Revisions

    def take(self, found: Found) -> None:
        """Note what the source had. Only a valid revision takes the place of the one before."""
        self.again = False
        missing = isinstance(found.error, NoCatalogError)
        self._missing = missing or (self._missing and found.newest is None)
        if found.newest is not None:
            self.attempted = found.newest
        if found.error is not None:
            self._fall_back(found.error)
            # An invalid revision says what git wants, and that it can't be had. A source that fails says nothing.
            self._invalid = found.newest if isinstance(found.error, CatalogError) else self._invalid
            self.load_trouble = after(found.error, self.load_trouble, self._clock, self._spread())
            return
        if found.loaded is not None:
            self.revision = found.loaded
            self.asked = True
            self.write_trouble, self.held_until = None, 0.0
            self.show(self.status.state, catalog=found.loaded.catalog.name)
            self.say("revision", f"revision {found.loaded.name[:12]} is loaded", revision=found.loaded.name)
        if self.revision is not None and found.newest == self.revision.name:
            self.load_trouble, self._invalid = None, None

    def _fall_back(self, error: Exception) -> None:
        """A removal follows the applied revision if the source is gone, but not that of an earlier catalog."""
        if self.settings.removal and self.revision is None and not isinstance(error, CatalogError):
            with suppress(ReconcilerError, OSError):  # then the error of the source tells
                if (applied := self._memory.applied()) is not None:
                    revision = load_revision(self.settings, applied)
                    if revision.catalog.name == self.settings.kept:
                        self.take(Found(applied, revision))

    def known(self, now: float) -> str | None:
        """The revision that need not be loaded again: one that failed not before its next attempt, or before somebody
        asks for it."""
        if self.load_trouble is not None and now < self.load_trouble.at and not self.again:
            return self.attempted
        return None if self.revision is None else self.revision.name

    def retain(self) -> None:
        """Let the source forget the revisions that are not needed any more.

        Raises:
            ReconcilerError: it can't be told which one was applied last.
        """
        if self._applied is None:
            self._applied = self._memory.applied()
        kept = {self._applied, self.attempted, self.revision.name if self.revision else None}
        self.settings.source.retain({one for one in kept if one is not None})

    def applied_now(self, revision: str) -> None:
        """Note that a revision is live as a whole.

        Raises:
            ReconcilerError: it can't be remembered.
        """
        if revision != self._applied:
            self._memory.remember(revision)
            self._applied = revision
            self.retain()

    # Looking

    def facts(self) -> JournalFacts:
        """What the journal says. It is read again if it has changed.

        Raises:
            ReconcilerError: it is there and can't be read.
        """
        assert self.revision is not None
        path = self.settings.state / journals.FILE
        try:
            seen = path.stat()
            stamp: Any = (seen.st_mtime_ns, seen.st_size, seen.st_ino, self.revision.catalog.name)
        except OSError:
            stamp = (None, self.revision.catalog.name)
        if self._facts is None or self._facts[0] != stamp:
            catalog = self.revision.catalog
            entries = read_journal(path)
            self._facts = (stamp, JournalFacts(entries, catalog.name, catalog.environment, path.parent))
        return self._facts[1]

    def keep(self) -> Keep:
        """What a listing has to keep of each session.

        Raises:
            ReconcilerError: the journal can't be read.
        """
        assert self.revision is not None
        return self._keep_for(self.revision)

    def _keep_for(self, revision: Revision) -> Keep:
        facts = self.facts()
        known = self._keeps.get(revision.name)
        if known is None or known[0] is not facts:
            keep = keep_for_catalog(revision.catalog, ids=facts.ids())
            wanted = (revision, self._applied_revision)
            self._keeps = {
                name: one
                for name, one in self._keeps.items()
                if name in [one.name for one in wanted if one is not None]
            }
            known = self._keeps[revision.name] = facts, keep
        return known[1]

    def compare(self, listed: Callable[[Keep], Snapshot], client: Client) -> None:
        """Compare with the live sessions, as they are ``listed``. Nothing is done if nothing has changed.

        Raises:
            ReconcilerError: the list, the journal, the applied revision or the messages can't be read.
        """
        assert self.revision is not None
        if self._applied is None:
            self._applied = self._memory.applied()
        snapshot = listed(self.keep())
        self.show("Comparing")
        facts = self.facts()
        key = (snapshot, self.revision, facts, self._applied)
        if len(key) == len(self._compared) and all(
            one is other for one, other in zip(key, self._compared, strict=True)
        ):
            return
        self._compared = ()
        if self.found is None and (ended := interrupted(facts, snapshot.endpoint)) is not None:
            self._runs = (ended.status,)
            self.say("interrupted", ended.sentence, run=ended.status.run, exit_code=4, actions=ended.actions)
        found = self._comparison(self.revision, snapshot, client, self.found)
        if (found.in_sync or found.only_drift) and not self.settings.removal:
            self.applied_now(self.revision.name)
        self.repair = self._repair(found, listed, client)
        self.found = found
        self._compared = (snapshot, self.revision, facts, self._applied)
        if not self.settings.removal:
            self._announcer.drift(found)

    def _comparison(
        self, revision: Revision, snapshot: Snapshot, client: Client, before: Comparison | None
    ) -> Comparison:
        marked = with_key(snapshot, key_mark(client, self.settings.state))
        catalog, removal = self.settings.limits.limited(revision.catalog), bool(self.settings.removal)
        return compare(catalog, marked, self.facts(), client, before, removal=removal)

    def _repair(
        self, found: Comparison, listed: Callable[[Keep], Snapshot], client: Client
    ) -> Comparison | None:
        """What only undoes drift, in the mode `repair`; None if the applied revision is not known."""
        if self.settings.mode != "repair" or self._applied is None or self.revision is None:
            return None
        if self._applied == self.revision.name:
            return only_repairs(found)
        if self._applied_revision is None or self._applied_revision.name != self._applied:
            self._applied_revision = load_revision(self.settings, self._applied)
        if (applied := self._applied_revision).catalog.name != self.revision.catalog.name:
            return None  # it was here before
        return only_repairs(self._comparison(applied, listed(self._keep_for(applied)), client, self.repair))

    # Writing

    def to_write(self) -> Comparison | None:
        """What this mode writes, if nothing holds it back; None if there is nothing."""
        mode = self.settings.mode
        chosen = self.repair if mode == "repair" else self.found if mode in ("approve", "apply") else None
        return None if chosen is None or chosen.plan.empty else chosen

    def to_confirm(self) -> bool:
        """Whether a removal has come to its end, if a list that can be relied on says so, too."""
        done = self.found is not None and self.found.in_sync and self.look_trouble is None
        return bool(self.settings.removal) and self.removed is None and done and self.misplaced is None

    def hold(self) -> Hold | None:
        """What keeps the pending plan from being written; None if it may be written now."""
        pending, mode, now = self.pending, self.settings.mode, self._clock.monotonic()
        if pending is None:
            return None
        if pending.plan.refusals:
            guards = ", ".join(dict.fromkeys(one.guard for one in pending.plan.refusals))
            return Hold("Refused", f"another plan: this one is refused by {guards}")
        if pending.plan.empty:
            return Hold("PlanPending", f"somebody to decide: {pending.plan.undone[0].message}")
        if mode == "observe":
            return Hold("PlanPending", "somebody who applies it: the mode `observe` writes nothing")
        if self.to_write() is not pending:
            return Hold("PlanPending", self._why_not_repaired(pending))
        if self._missing and not self.settings.removal:
            return Hold("PlanPending", "its source, which has no whole catalog")
        if mode != "repair" and self._invalid is not None:
            return Hold("PlanPending", f"a valid revision: {self._invalid[:12]}, the newest one, is invalid")
        if mode == "approve" and (self.approval is None or self.approval.digest != pending.digest):
            return Hold("PlanPending", f"an approval: reconciler approve {pending.digest}")
        if why := self._forbids(self._status):
            return Hold("PlanPending", why, now + ASK_AGAIN)
        if (closed := outside_window(self.settings.window, self._clock)) is not None:
            return closed
        if now < self.held_until:
            return Hold("PlanPending", self.held_for, self.held_until)
        return None

    def settles(self, seconds: float, waits_for: str) -> None:
        """Write nothing until the list shows what an earlier run created, or that would be created twice."""
        self.held(seconds, waits_for)
        self.settles_at = self.held_until

    def held(self, seconds: float, waits_for: str) -> None:
        """Write nothing for so many seconds."""
        self.held_until, self.held_for = self._clock.monotonic() + seconds, waits_for

    def _why_not_repaired(self, pending: Comparison) -> str:
        if self._applied is None and pending.drifted:
            return (
                "a first apply: which revision was applied last is not known, so no drift is repaired "
                "(reconciler apply, or the mode `apply`)"
            )
        return "somebody who applies it: the mode `repair` writes only what drifted"

    def wrote(self, run: RunStatus, actions: Mapping[str, Mapping[str, int]], revision: str | None) -> None:
        """Note a run. ``revision`` is the one that is live as a whole now, if one is.

        Raises:
            ReconcilerError: it can't be remembered.
        """
        self._runs = (run, *self._runs)[:_RUNS]
        self.approval = None
        if run.exit_code == 0:  # else it is tried again as after every failure
            self.held(self.settings.interval, "the next interval: a run has just ended")
        done = ", ".join(f"{count} {outcome}" for outcome, count in sorted(run.outcomes.items()))
        self.say(
            "applied",
            f"{done} (run {run.run}, exit code {run.exit_code})",
            run=run.run,
            exit_code=run.exit_code,
            actions=actions,
        )
        if revision is not None:
            self.applied_now(revision)

    # The end of a look

    def wake_at(self) -> float | None:
        """When it wants to be looked at by itself (by the monotonic clock); None if it just follows its interval."""
        if self.settings.suspended:
            return None
        troubles = (self.look_trouble, self.write_trouble)
        times = [one.at for one in troubles if one is not None]
        hold = None if self.pending is None else self.hold()
        if hold is None and self._was_held and not times:
            return 0.0  # what held the plan back is over
        if hold is not None and hold.until is not None:
            times.append(hold.until)
        if self.to_confirm() and self.settles_at:
            times.append(self.settles_at)
        return 0.0 if self.asked and self.revision is not None else min(times, default=None)

    def publish(self, next_look: datetime | None) -> None:
        """Set the status after a look, and announce what is new."""
        hold = self.hold()
        self._was_held = (hold is not None or self.held_back) and self.to_write() is not None
        trouble = self.account_trouble or self.load_trouble or self.write_trouble or self.look_trouble
        state: State = "InSync" if hold is None else hold.state
        reason = "" if hold is None else f"waits for {hold.waits_for}"
        if trouble is not None:
            state, reason = "Failing", trouble.message
        elif self.found is None:
            state, reason = "Pending", ""
        elif self.pending is not None and hold is None:  # what is written next
            state, reason = "PlanPending", "it is written with the next look"
        now = self._clock.now()
        with self._lock:
            plan = self._pending_plan(hold, now)
            self._status = replace(
                self._status,
                state=state,
                reason=reason,
                standby=bool(self.standby),
                revision=Revisions(
                    self._applied, self.attempted, self.revision.name if self.revision else None
                ),
                sessions={} if self.found is None else self.found.sessions(),
                plan=plan,
                failure=None if trouble is None else trouble.failure(),
                last_look=now,
                last_success=now if trouble is None else self._status.last_success,
                next_look=next_look,
                runs=self._runs,
            )
        self._announcer.plan(self.pending, reason if hold is None else f"waits for {hold.waits_for}")
        self._announcer.trouble(trouble, self.account_trouble)

    def _pending_plan(self, hold: Hold | None, now: datetime) -> PendingPlan | None:
        pending = self.pending
        if pending is None:
            self._since.clear()
            return None
        since = self._since.get(pending.digest, now)
        self._since = {pending.digest: since}
        return PendingPlan(
            pending.digest,
            pending.counts(),
            since,
            "" if hold is None else hold.waits_for,
            pending.drifted,
            tuple(GuardRefusal(one.guard, one.message, one.allow) for one in pending.plan.refusals),
            approved=self.approval is not None and self.approval.digest == pending.digest,
        )

    def standing_by(self, holder: str) -> None:
        """Note who holds the lock; empty if nobody else does. Tells when that changes."""
        if holder and not self.standby:
            self.say("standby", f"the lock is held by {holder}")
        elif self.standby and not holder:
            self.say("leading", "no other watcher holds the lock")
        self.standby = holder
