"""The loop over one account: one client, one pace and one list for all of its catalogs.

A step does what is due now and returns; the controller's thread for the account waits in between. So a test can drive
the loop by a clock of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from reconciler.api.account_list import AccountList
from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.client import Client, Observer
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError, UnreliableListError
from reconciler.contract import Contract, load_contract
from reconciler.controller.clock import Clock, ClockLimiter
from reconciler.controller.events import Event, Kind
from reconciler.controller.loading import Loader
from reconciler.controller.placing import named_contract, why_contradicting, why_misplaced
from reconciler.controller.rule import ALONE, Rule
from reconciler.controller.settings import WatchedAccount
from reconciler.controller.sources import FolderSource
from reconciler.controller.status import AccountStatus
from reconciler.controller.together import Member, write_together
from reconciler.controller.trouble import Trouble, after, of_account
from reconciler.controller.watched import Watched
from reconciler.controller.writing import Hands, write
from reconciler.domain import Keep, Snapshot
from reconciler.errors import ReconcilerError

#: How often a folder is looked at for changes, and a key that was refused for another one (seconds).
POLL: Final = 2.0

#: How many calls a look takes that finds nothing new.
_CHEAP: Final = 2

_LET_GO: Final = "it is not watched any more, or with other settings"

#: The shortest wait (seconds): clocks and time zones round.
_SHORTEST: Final = 0.01

#: The longest time that a step asks to be waited for (seconds).
_LONGEST: Final = 3600.0

#: What the status calls the states of the cheap looks.
_DELTAS: Final[Mapping[str, Literal["on", "off", "unlearned"]]] = {
    "on": "on",
    "off": "off",
    "not learned": "unlearned",
}

#: What sees each call of the service, by the mark of the account.
OnCall: TypeAlias = Callable[[str], Observer]


class AccountLoop:
    """The loop of one account. Only one thread steps it; :meth:`ask` and :meth:`follow` are for any thread."""

    def __init__(
        self,
        account: WatchedAccount,
        mark: str,
        watched: Sequence[Watched],
        *,
        clock: Clock,
        stop: Cancellation,
        tell: Callable[[Event], None],
        on_call: OnCall | None,
        spread: Callable[[], float],
        beside: bool,
        rule: Rule = ALONE,
    ) -> None:
        self.account = account
        self.mark = mark
        self.watched: tuple[Watched, ...] = ()
        self.following = tuple(watched)  # what the next step watches
        self._beside = beside
        self.wake = threading.Event()
        self._rule = rule
        self._handing = threading.Lock()
        self.writing = False  # what was begun has to be ended
        self._clock, self._stop, self._tell, self._on_call, self._spread = clock, stop, tell, on_call, spread
        self._client: Client | None = None
        self._list: AccountList | None = None
        self._key = ""
        self._contract: Contract | None = None
        self._trouble: Trouble | None = None
        self._told_failing = False
        self._told_why = ""
        self._asked = True
        self._next_look = 0.0
        self._polls: dict[str, float] = {}
        self._changed: set[str] = set()  # the catalogs whose sources are known to have changed
        self._loaders: dict[str, Loader] = {}
        self.status = AccountStatus(mark, account.endpoint)
        self._take_over()

    # For any thread

    def ask(self, name: str | None) -> None:
        """Look at one catalog or at all of them now, even if failures are waited out."""
        for one in self.watched:
            if name in (None, one.settings.name):
                one.asked, one.again, one.held_until = True, True, 0.0
                self._polls.pop(one.settings.name, None)
        self._asked = True
        self.wake.set()

    def source_changed(self, name: str) -> None:
        """Read the source of a catalog now, even if failures are waited out. The account is looked at only if there is
        something new."""
        self._changed.add(name)
        self.wake.set()

    def follow(self, watched: Sequence[Watched], full_interval: float) -> None:
        """Watch these catalogs from the next step on. One that is not among them any more begins no further write."""
        with self._handing:
            for one in self.following:
                if one not in watched:
                    one.stop.set(_LET_GO)
            self.following = tuple(watched)
            self.account = replace(self.account, full_interval=full_interval)
        self.wake.set()

    def _take_over(self) -> None:
        """Watch what is to be watched from now on."""
        with self._handing:
            before, self.watched = self.watched, self.following
            full_interval = self.account.full_interval
        if before is self.watched:
            return
        if self._list is not None:
            self._list.full_interval = full_interval
        for one in before:
            if one not in self.watched:
                self._loaders.pop(one.settings.name, None)
                self._polls.pop(one.settings.name, None)
        for one in self.watched:
            if one not in before and not one.settings.suspended:
                local = isinstance(one.settings.source, FolderSource)
                beside = self._beside and not local
                self._loaders[one.settings.name] = Loader(one.settings, self.wake.set, beside=beside)
        if not any(one.revision is not None and one.revision.service.contract for one in self.watched):
            self._contract = None  # that of a catalog that is gone
        for one in self.watched:
            if one.misplaced is not None:
                self._check_service(one)

    # One step

    def step(self) -> float:
        """Do what is due. Returns how many seconds later the next step is due.

        Raises:
            Interrupted: the controller is asked to stop.
        """
        self._take_over()
        now = self._clock.monotonic()
        for one in self.watched:
            if not one.settings.suspended:
                self._load(one, now)
        if self._look_is_due(now):
            self._look()
        return self._wait()

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = self._list = None

    @property
    def loading(self) -> bool:
        """Whether some source is still being read."""
        return any(loader.running for loader in self._loaders.values())

    @property
    def settles_in(self) -> float:
        """How many seconds the list may still lag behind what an earlier run created; 0 if nobody waits for that."""
        now = self._clock.monotonic()
        return max((one.settles_at - now for one in self.watched if one.to_write() is not None), default=0.0)

    def _load(self, one: Watched, now: float) -> None:
        name = one.settings.name
        loader = self._loaders[name]
        if (now >= self._polls.get(name, 0.0) or name in self._changed) and not loader.running:
            if name in self._changed:  # before it is read: what changes from now on is read again
                self._changed.discard(name)
                one.again = True
            if one.revision is None:
                one.show("Loading")
            local = isinstance(one.settings.source, FolderSource)
            self._polls[name] = now + (POLL if local else one.settings.interval * (1 + self._spread() / 10))
            loader.begin(one.known(now))
        found = loader.take()
        if found is None:
            return
        before, revision = one.load_trouble, one.revision
        one.take(found)
        if one.revision is not revision:
            self._check_service(one)
            with suppress(ReconcilerError):  # comparing tells
                one.retain()
        if one.load_trouble is not None and found.newest is None:
            self._polls[name] = one.load_trouble.at
        if one.load_trouble is not before and (one.revision is None or self._trouble is not None):
            one.publish(self._moment(self._polls.get(name, now)))
        elif one.load_trouble is not before:
            one.asked = True

    def _check_service(self, one: Watched) -> None:
        """Note what a new revision says of its service."""
        contract, error = named_contract(one), why_misplaced(one, self.account)
        own = contract if error is None and self.account.contract is None else None
        if own is not None and own != self._contract:
            error = why_contradicting(one, self.watched)
            if error is None:
                self._contract = own
                self.close()
        one.misplaced = error

    def _look_is_due(self, now: float) -> bool:
        if self._asked:
            return any(one.revision is not None for one in self.watched)
        if self._trouble is not None:
            return now >= self._trouble.at or (self._waits_for_key and self._key_changed())
        wakes = (one.wake_at() for one in self.watched)
        return now >= self._next_look or any(at is not None and now >= at for at in wakes)

    def _wait(self) -> float:
        now = self._clock.monotonic()
        # Somebody may ask for a catalog at any moment, which makes its poll due.
        times = [
            now if name in self._changed else self._polls.get(name, now)
            for name, loader in self._loaders.items()
            if not loader.running
        ]
        if self._trouble is not None:
            times.append(self._trouble.at)
            if self._waits_for_key:
                times.append(now + POLL)
        elif any(one.revision is not None for one in self.watched):
            times.append(self._next_look)
            times += [at for one in self.watched if (at := one.wake_at()) is not None]
        wait = min(times, default=now + _LONGEST) - now
        return 0.0 if wait <= 0 or self.following is not self.watched else max(wait, _SHORTEST)

    # Looking

    def _look(self) -> None:
        """Look at all catalogs of the account: one listing serves them all."""
        self._asked = False
        looked = [one for one in self.watched if one.revision is not None and not one.settings.suspended]
        began = self._clock.monotonic()
        interval = min((one.settings.interval for one in looked), default=_LONGEST)
        self._next_look = began + interval * (1 - abs(self._spread()) / 10)
        for one in looked:
            one.asked = False
            one.show("Listing")
        try:
            self._compare(looked)
            if self._write_all(looked):
                self._compare(looked)
                self._write_all([one for one in looked if one.to_confirm()])
        except Exception as error:
            self.failed(error)
        else:
            self._succeeded()
        seconds = self._clock.monotonic() - began
        for one in looked:
            one.account_trouble = self._trouble
            one.publish(self._moment(self._trouble.at if self._trouble else self._next_look))
            one.say("looked", outcome=one.status.state, seconds=seconds)

    def _compare(self, looked: Sequence[Watched]) -> None:
        """Compare all catalogs with the live sessions. Only the first of them asks the service.

        Raises:
            ReconcilerError: the account fails.
        """
        self._open()
        client = self._client
        assert client is not None
        recent = 0.0

        def listed(keep: Keep) -> Snapshot:
            nonlocal recent
            snapshot = self._listed(keep, recent=recent, full=False)
            recent = _LONGEST
            return snapshot

        for one in looked:
            self._try_to_expect(one)
        for one in looked:
            try:
                if one.misplaced is not None:
                    raise one.misplaced
                one.compare(listed, client)
            except (ApiError, UnreliableListError):
                raise
            except Exception as error:
                one.look_trouble = after(error, one.look_trouble, self._clock, self._spread())
            else:
                one.look_trouble = None

    def _try_to_expect(self, one: Watched) -> None:
        assert self._list is not None
        with suppress(ReconcilerError):  # comparing tells
            self._list.expect(one.keep())

    def _write_all(self, looked: Sequence[Watched]) -> bool:
        """Write what may be written, as many catalogs at a time as there are connections. Returns whether a run was
        made.

        Raises:
            ReconcilerError: the account fails.
        """
        ready = [one for one in looked if self._may_write(one)]
        if not ready:
            return False
        client, lister, most = self._client, self._list, self.account.parallelism
        assert client is not None and lister is not None
        parallelism = -(-most // len(ready))

        def work(one: Watched, member: Member) -> bool:
            return self._write(one, Hands(client, member, self._clock, one.stop, self._rule, parallelism))

        def look(keep: Keep, full: bool) -> Snapshot:
            return self._listed(keep, recent=0, full=full)

        self.writing = True
        try:
            return write_together(lister, look, [partial(work, one) for one in ready], most)
        finally:
            self.writing = False

    def _may_write(self, one: Watched) -> bool:
        """Whether there is something to write, and nothing holds it back."""
        if one.stop.is_set():
            return False
        if one.to_write() is None:
            one.standing_by("")
        one.held_back = (
            one.hold() is not None
        )  # if that is over by the end of the look, the next one follows at once
        if not one.to_confirm() and (one.to_write() is None or one.held_back):
            one.write_trouble = None
            return False
        if one.look_trouble is not None or one.misplaced is not None:
            return False
        return one.write_trouble is None or self._clock.monotonic() >= one.write_trouble.at

    def _write(self, one: Watched, hands: Hands) -> bool:
        """Write a catalog, and note how that failed. Returns whether a run was made.

        Raises:
            ReconcilerError: the account fails.
        """
        try:
            wrote = write(one, hands)
        except Interrupted:
            if self._stop.is_set():
                raise
            return False  # it alone is let go
        except Exception as error:
            if of_account(error):
                raise
            one.write_trouble = after(error, one.write_trouble, self._clock, self._spread())
            return False
        last = one.last_run
        if wrote and last is not None and last.exit_code != 0 and not one.stop.is_set():
            partly = ReconcilerError(
                f"run {last.run} ended with exit code {last.exit_code}{last.stopped and f': {last.stopped}'}",
                "`reconciler history` shows what was not done",
            )
            one.write_trouble = after(partly, one.write_trouble, self._clock, self._spread())
        else:
            one.write_trouble = None
        return wrote

    def _listed(self, keep: Keep, *, recent: float, full: bool) -> Snapshot:
        """The sessions of the account, as they are now, or were in this look.

        Raises:
            ReconcilerError: the list can't be read.
        """
        assert self._list is not None
        before, mismatches = dict(self._list.looks), self._list.mismatches
        snapshot = self._list.sessions(keep=keep, recent=recent, full=full)
        for how, count in self._list.looks.items():
            if count != before.get(how, 0):
                listings = {**self.status.listings, how: self.status.listings.get(how, 0) + 1}
                self.status = replace(self.status, listings=listings, last_look=self._clock.now())
                self._say("listed", self._why_not_cheap(snapshot), how=how)
        if self._list.mismatches != mismatches:
            self.status = replace(self.status, mismatches=self.status.mismatches + 1)
            self._say("mismatch", "a full listing found changes that the cheap looks had missed")
        deltas = _DELTAS[self._list.deltas]
        self.status = replace(self.status, sessions=snapshot.total, deltas=deltas)
        return snapshot

    def _why_not_cheap(self, snapshot: Snapshot) -> str:
        """Why looks are not cheap, once for each reason; else nothing. A short list takes no more calls as a whole."""
        assert self._list is not None
        why, calls = self._list.why, 0 if snapshot.listing is None else snapshot.listing.calls
        if not why or why == self._told_why or calls <= _CHEAP:
            return ""
        self._told_why = why
        return f"each look reads the whole list: {why}"

    def _open(self) -> None:
        """Make the client, and make it anew if the key has changed.

        Raises:
            ReconcilerError: there is no key.
        """
        if self._client is not None and not self._key_changed() and self._trouble is None:
            return
        key = self.account.key()
        if self._client is not None and key == self._key:
            return
        self.close()
        account = self.account
        client = Client(
            Endpoint(account.endpoint, account.url or account.endpoint, key, account.key_source),
            account.contract or self._contract or load_contract(),
            connections=account.parallelism,
            connect_timeout=account.connect_timeout,
            read_timeout=account.read_timeout,
            tries=account.retries + 1,
            limiter=ClockLimiter(self._clock, self._stop),
        )
        if self._on_call is not None:
            client.observe(self._on_call(self.mark))
        self._key, self._client = key, client
        self._list = AccountList(client, clock=self._clock.monotonic, full_interval=account.full_interval)
        client.observe(self._list.called)

    @property
    def key_refused(self) -> bool:
        """Whether the service refuses the key, or there are no points left."""
        return self._trouble is not None and self._trouble.refused_key

    @property
    def _waits_for_key(self) -> bool:
        """Whether another key could end the failures: reading it costs no call."""
        return self._trouble is not None and (self._trouble.refused_key or self._client is None)

    def _key_changed(self) -> bool:
        try:
            return self.account.key() != self._key
        except ReconcilerError:
            return False

    # Failures

    def failed(self, error: Exception) -> None:
        """Note that the account failed, and wait before the next attempt."""
        self._trouble = after(error, self._trouble, self._clock, self._spread())
        self.status = replace(self.status, failure=self._trouble.failure())
        if not self._told_failing:
            self._told_failing = True
            self._say("failing", self._trouble.message, hint=self._trouble.hint)

    def _succeeded(self) -> None:
        self._trouble = None
        self.status = replace(self.status, failure=None)
        if self._told_failing:
            self._told_failing = False
            self._say("recovered", "the account can be listed again")

    def _say(self, kind: Kind, message: str = "", **facts: Any) -> None:
        self._tell(Event(kind, self._clock.now(), self.mark, message=message, facts=facts))

    def _moment(self, at: float) -> datetime:
        return self._clock.now() + timedelta(seconds=max(0.0, at - self._clock.monotonic()))
