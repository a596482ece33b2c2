"""The controller: accounts and catalogs, looked at until it is asked to stop."""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from reconciler import __version__
from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.apply.report import INTERRUPTED
from reconciler.controller.account_loop import AccountLoop, OnCall
from reconciler.controller.clock import Clock, SystemClock
from reconciler.controller.events import Event, OnEvent
from reconciler.controller.removing import Removed
from reconciler.controller.rule import ALONE, Rule
from reconciler.controller.settings import WatchedAccount, WatchedCatalog
from reconciler.controller.status import Status, WatchedStatus
from reconciler.controller.watched import Watched
from reconciler.errors import Problem, ReconcilerError, Refused, UsageError
from reconciler.plan.document import plan_to_document
from reconciler.state import make_salt, read_salt

#: How long to wait after an error that nobody expected (seconds).
_AFTER_A_BUG: Final = 60.0


class UnknownDigestError(ReconcilerError):
    """No pending plan has the digest. ``pending`` are the digests of those that can be approved."""

    def __init__(self, digest: str, pending: Sequence[str]) -> None:
        shown = ", ".join(pending)
        super().__init__(
            f"no pending plan has the digest {digest[:80]}",
            f"these wait for an approval: {shown}" if shown else "no plan waits for an approval",
        )
        self.digest = digest
        self.pending = tuple(pending)


class Controller:
    """Looks at catalogs again and again, and writes what their modes allow.

    ``state`` is a state folder, for the salt of the accounts' marks. ``on_event`` are called with each event, from any
    thread. ``on_call`` is given the mark of an account, and returns what sees each call of the service for it
    (:meth:`reconciler.api.client.Client.observe`). ``random`` returns numbers from 0 to 1; looks are spread by it.
    Without ``beside``, git is waited for in the account's thread. ``rule`` says what another process or catalog may
    forbid. Nothing is printed, and no signal is handled.

    Raises:
        UsageError: two catalogs have one name, or a catalog names an account that there is not.
    """

    def __init__(
        self,
        accounts: Iterable[WatchedAccount],
        catalogs: Iterable[WatchedCatalog],
        *,
        state: Path,
        clock: Clock | None = None,
        on_event: Iterable[OnEvent] = (),
        on_call: OnCall | None = None,
        random: Callable[[], float] = random.random,
        beside: bool = True,
        rule: Rule = ALONE,
    ) -> None:
        self._rule = rule
        self._stop = Cancellation()
        self._clock: Clock = clock or SystemClock()
        self._on_event = tuple(on_event)
        self._on_call = on_call
        self._random = random
        self._started = self._clock.now()
        make_salt(state)
        self._salt = read_salt(state) or secrets.token_bytes(32)
        self._loops = self._make_loops(tuple(accounts), tuple(catalogs), beside)

    # Running

    def run(self) -> None:
        """Look until :meth:`stop` is called, with one thread for each account. Returns when the writes in flight have
        ended."""
        self._in_threads(self._run)

    def run_once(self) -> None:
        """Look at each catalog once."""
        self._in_threads(self._once)

    def _in_threads(self, work: Callable[[AccountLoop], None]) -> None:
        # Daemons: a call that only reads, and is never answered, does not keep a process that was asked to end.
        threads = {
            loop: threading.Thread(target=work, args=(loop,), name=f"account {loop.mark}", daemon=True)
            for loop in self._loops
        }
        for thread in threads.values():
            thread.start()
        for loop, thread in threads.items():
            while thread.is_alive() and (loop.writing or not self._stop.is_set()):
                # Not for ever: a signal that comes right before the wait would be handled only after it.
                thread.join(0.2)

    def step(self) -> float:
        """Do what is due now, in this thread. Returns in how many seconds the next step is due."""
        return min((loop.step() for loop in self._loops), default=0.0)

    def stop(self, reason: str = INTERRUPTED) -> None:
        """Ask the controller to end: no further write starts, and those in flight finish. For any thread, and for a
        signal handler."""
        self._stop.set(reason)
        for loop in self._loops:
            loop.wake.set()

    def close(self) -> None:
        """Close all connections."""
        for loop in self._loops:
            loop.close()

    def _run(self, loop: AccountLoop) -> None:
        try:
            while not self._stop.is_set():
                loop.wake.clear()
                try:
                    wait = loop.step()
                except Exception as error:  # a thread that ended would look at nothing, and tell nobody
                    loop.failed(error)
                    wait = _AFTER_A_BUG
                if not self._stop.is_set():
                    loop.wake.wait(wait)
        except Interrupted:
            pass
        finally:
            loop.close()

    def _once(self, loop: AccountLoop) -> None:
        try:
            loop.step()
            while loop.loading and not self._stop.is_set():
                loop.wake.wait()
                loop.wake.clear()
                loop.step()
            if (wait := loop.settles_in) > 0:
                self._clock.sleep(wait, self._stop)
                loop.ask(None)
                loop.step()
        except Interrupted:
            pass
        finally:
            loop.close()

    # For any thread

    def reconcile(self, name: str | None = None) -> None:
        """Look at a catalog, or at all of them, now.

        Raises:
            UsageError: no catalog has this name.
        """
        if name is not None:
            self._watched(name)
        for loop in self._loops:
            if name is None or any(one.settings.name == name for one in loop.watched):
                loop.ask(name)

    def follow(self, catalogs: Sequence[WatchedCatalog], full_interval: float) -> None:
        """Watch these catalogs from now on, on the accounts that there are. What is already watched goes on as it is;
        what is not among them begins no further write. ``full_interval`` is that of the accounts (seconds).

        Raises:
            UsageError: two catalogs have one name, or a catalog is on another account.
        """
        self._check(tuple(loop.account for loop in self._loops), catalogs)
        for loop in self._loops:
            known = {id(one.settings): one for one in loop.following}
            loop.follow(
                [
                    known.get(id(one)) or self._make_watched(one, loop.mark)
                    for one in catalogs
                    if one.account == loop.account.name
                ],
                full_interval,
            )

    def watches(self, catalog: WatchedCatalog) -> bool:
        """Whether a catalog is watched with exactly these settings."""
        return any(one.settings is catalog for loop in self._loops for one in loop.watched)

    def has(self, name: str) -> bool:
        """Whether a catalog of this name is watched, or was until a moment ago, and may still write."""
        return any(
            one.settings.name == name for loop in self._loops for one in (*loop.watched, *loop.following)
        )

    def source_changed(self, name: str) -> None:
        """Read the source of a catalog now: somebody knows that it changed. Nothing happens if the catalog is not
        watched, or if its source turns out to be as it was."""
        for loop in self._loops:
            if any(one.settings.name == name for one in loop.watched):
                loop.source_changed(name)

    def approve(self, digest: str, by: str = "") -> None:
        """Approve exactly the pending plan with this digest.

        An approval holds until the plan is written, until there is another plan, or until the controller ends.

        Raises:
            UnknownDigestError: no pending plan has it.
            Refused: a guard refuses the plan, or the mode of the catalog takes no approvals.
        """
        waiting = []
        for loop in self._loops:
            for one in loop.watched:
                plan = one.status.plan
                if plan is None:
                    continue
                if plan.digest == digest:
                    if one.settings.mode != "approve":
                        raise Refused(
                            f"{one.settings.name} takes no approvals: its mode is {one.settings.mode}",
                            "watch it with the mode `approve`",
                        )
                    if plan.refusals:
                        raise Refused(
                            [
                                Problem(refused.message, f"{refused.allow} would allow it")
                                for refused in plan.refusals
                            ]
                        )
                    one.approve(digest, by)
                    loop.wake.set()
                    return
                if one.settings.mode == "approve" and not plan.refusals:
                    waiting.append(plan.digest)
        raise UnknownDigestError(digest, waiting)

    def status(self) -> Status:
        """What is known now."""
        return Status(
            __version__,
            self._started,
            tuple(loop.status for loop in self._loops),
            tuple(one.status for loop in self._loops for one in loop.watched),
        )

    def catalog(self, name: str) -> WatchedStatus | None:
        """What is known of a catalog now; None if none has this name."""
        found = self._find(name)
        return None if found is None else found.status

    def compares(self, name: str) -> bool:
        """Whether looks at a catalog compare its newest valid revision with the live sessions, whatever else fails."""
        return any(
            one.found is not None and one.account_trouble is None and one.look_trouble is None
            for loop in self._loops
            for one in loop.watched
            if one.settings.name == name
        )

    @property
    def marks(self) -> frozenset[str]:
        """The marks of the accounts."""
        return frozenset(loop.mark for loop in self._loops)

    @property
    def key_refused(self) -> bool:
        """Whether the service refuses the key of an account, or there are no points left (401, 402, 403, 406)."""
        return any(loop.key_refused for loop in self._loops)

    def removed(self, name: str) -> Removed | None:
        """What the removal of a catalog's sessions did; None if it is not done.

        Raises:
            UsageError: no catalog has this name.
        """
        return self._watched(name).removed

    def plan_document(self, name: str) -> dict[str, Any] | None:
        """The public JSON of a catalog's pending plan; None if there is none.

        Raises:
            UsageError: no catalog has this name.
        """
        pending = self._watched(name).pending
        return None if pending is None else plan_to_document(pending.plan)

    def pending(self, name: str, digest: str) -> tuple[dict[str, Any], str] | None:
        """The public JSON of a catalog's pending plan with this digest, and the revision that it leads to; None if
        there is another plan, or none.

        Raises:
            UsageError: no catalog has this name.
        """
        watched = self._watched(name)
        pending = watched.pending
        if pending is None or pending.digest != digest:
            return None
        return plan_to_document(pending.plan), watched.leads_to(pending)

    def _watched(self, name: str) -> Watched:
        found = self._find(name)
        if found is None:
            raise UsageError(f"no watched catalog has the name {name!r}")
        return found

    def _find(self, name: str) -> Watched | None:
        return next((one for loop in self._loops for one in loop.watched if one.settings.name == name), None)

    # Making

    def _make_loops(
        self, accounts: tuple[WatchedAccount, ...], catalogs: tuple[WatchedCatalog, ...], beside: bool
    ) -> tuple[AccountLoop, ...]:
        self._check(accounts, catalogs)
        return tuple(
            self._make_loop(account, [one for one in catalogs if one.account == account.name], beside)
            for account in accounts
            if any(one.account == account.name for one in catalogs)
        )

    @staticmethod
    def _check(accounts: Sequence[WatchedAccount], catalogs: Sequence[WatchedCatalog]) -> None:
        for name, count in Counter(one.name for one in catalogs).items():
            if count > 1:
                raise UsageError(
                    f"two watched catalogs have the name {name!r}", "give each a name of its own"
                )
        known = {account.name for account in accounts}
        for one in catalogs:
            if one.account not in known:
                raise UsageError(f"{one.name} names the account {one.account!r}, and there is none")

    def _make_loop(
        self, account: WatchedAccount, catalogs: Sequence[WatchedCatalog], beside: bool
    ) -> AccountLoop:
        mark = hashlib.sha256(self._salt + f"{account.endpoint}\0{account.name}".encode()).hexdigest()[:8]
        watched = [self._make_watched(one, mark) for one in catalogs]
        return AccountLoop(
            account,
            mark,
            watched,
            clock=self._clock,
            stop=self._stop,
            tell=self._emit,
            on_call=self._on_call,
            spread=self._spread,
            beside=beside,
            rule=self._rule,
        )

    def _make_watched(self, one: WatchedCatalog, mark: str) -> Watched:
        forbids, stop = self._rule.forbids, self._stop.part()
        return Watched(one, mark, self._clock, self._emit, self._spread, forbids, stop)

    def _spread(self) -> float:
        return 2 * self._random() - 1

    def _emit(self, event: Event) -> None:
        for one in self._on_event:
            one(event)
