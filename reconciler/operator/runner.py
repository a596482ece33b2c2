"""Runs the controller of one account. Resources come and go while it runs; another account needs another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from reconciler.controller.account_loop import OnCall
from reconciler.controller.controller import Controller
from reconciler.controller.events import Event, OnEvent
from reconciler.controller.rule import Rule
from reconciler.controller.settings import FULL_INTERVAL, WatchedCatalog
from reconciler.controller.trouble import described
from reconciler.errors import ReconcilerError
from reconciler.operator.inputs import Inputs
from reconciler.operator.resource import Account, Resource
from reconciler.operator.settings import full_interval, watched_account, watched_catalog
from reconciler.operator.wording import hinted
from reconciler.s3.store import S3Stores

#: How long to wait after an error that nobody expected (seconds).
_AFTER_A_BUG: Final = 60.0

#: How long to wait for more changes before the controller is started anew (seconds).
_QUIET: Final = 0.3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to watch: an account and its resources. It does not change when only the key or an approval does."""

    endpoint: str
    contract: str
    settings: Mapping[str, tuple[str, str]]  # name and settings by uid

    @classmethod
    def of(cls, account: Account | None, resources: Sequence[Resource]) -> Wanted | None:
        """What to watch; None if there is nothing, or no account."""
        if account is None or not resources:
            return None
        settings = {one.uid: (one.name, one.settings) for one in resources}
        return cls(account.endpoint, account.contract, settings)


@dataclass(frozen=True, slots=True)
class Running:
    """A controller and what it is to watch: ``catalogs`` by uid. ``invalid`` are the specs that can't be used, by uid.
    ``broken`` is an error that nobody expected."""

    wanted: Wanted | None = None
    controller: Controller | None = None
    invalid: dict[str, ReconcilerError] | None = None
    invalid_account: ReconcilerError | None = None
    broken: str = ""
    catalogs: Mapping[str, WatchedCatalog] = field(default_factory=dict)

    def watches(self, resource: Resource) -> bool:
        """Whether the resource is watched as it is now, or found to be of no use."""
        if self.wanted is None or self.wanted.settings.get(resource.uid) != (
            resource.name,
            resource.settings,
        ):
            return False
        catalog = self.catalogs.get(resource.uid)
        return self.controller is None or catalog is None or self.controller.watches(catalog)

    def has(self, resource: Resource) -> bool:
        """Whether its controller runs with the resource, as it is now or was before."""
        return self.controller is not None and self.controller.has(resource.name)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all runners share. ``rule`` and ``key`` return those of an account, by its name; ``inputs`` are read by
    sources, and ``stores`` are where state folders outlive the machine, if anywhere."""

    state: Path
    catalogs: Path | None
    rule: Callable[[str], Rule]
    on_event: tuple[OnEvent, ...]
    key: Callable[[str], str]
    inputs: Inputs
    on_call: OnCall | None = None
    stores: S3Stores | None = None

    def watched(self, resource: Resource) -> WatchedCatalog:
        """What to watch of a resource.

        Raises:
            ReconcilerError: the spec can't be used.
        """
        found = watched_catalog(resource, self.state, self.catalogs, self.inputs)
        return found if self.stores is None else replace(found, store=self.stores.of(found.name, found.state))


class Runner:
    """One account's thread. :meth:`want` is for any thread."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self.running = Running()
        self._around = around
        self._wanted: Wanted | None = None
        self._account: Account | None = None
        self._resources: tuple[Resource, ...] = ()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"runner {name}", daemon=True)
        self._thread.start()

    def want(self, account: Account | None, resources: Sequence[Resource]) -> None:
        """Watch these resources, and no others."""
        wanted = Wanted.of(account, resources)
        with self._lock:
            self._account, self._resources = account, tuple(resources)
            if wanted == self._wanted:
                return
            self._wanted = wanted
            if self._follow():
                return
            self._changed.set()
            if self.running.controller is not None:
                self.running.controller.stop()

    def _follow(self) -> bool:
        """Let the controller that runs watch what is wanted now; False if that takes another one."""
        running, wanted = self.running, self._wanted
        if running.controller is None or running.wanted is None or wanted is None or self._changed.is_set():
            return False
        if (running.wanted.endpoint, running.wanted.contract) != (wanted.endpoint, wanted.contract):
            return False
        catalogs, invalid, full = self._catalogs(running)
        if not catalogs:
            return False
        running.controller.follow([*catalogs.values()], full)
        self.running = replace(running, wanted=wanted, invalid=invalid, catalogs=catalogs)
        return True

    def _catalogs(
        self, before: Running
    ) -> tuple[dict[str, WatchedCatalog], dict[str, ReconcilerError], float]:
        """What to watch, by uid; the specs that can't be used; and how often to list the account page by page. What
        has not changed ``before`` stays the same."""
        catalogs: dict[str, WatchedCatalog] = {}
        invalid: dict[str, ReconcilerError] = {}
        full = []
        around, known = self._around, {} if before.wanted is None else before.wanted.settings
        for one in self._resources:
            try:
                catalog = before.catalogs.get(one.uid)
                if catalog is None or known.get(one.uid) != (one.name, one.settings):
                    catalog = around.watched(one)
                full.append(full_interval(one))
                catalogs[one.uid] = catalog
            except Exception as error:  # the others are watched nevertheless
                invalid[one.uid] = _told(error)
        return catalogs, invalid, min(full, default=FULL_INTERVAL)

    def close(self) -> None:
        """Start no more writes; :meth:`join` waits for those in flight."""
        with self._lock:
            self._closed.set()
            self._changed.set()
            if self.running.controller is not None:
                self.running.controller.stop()

    def retired(self) -> bool:
        """Close it if it has nothing to watch, and nothing is written any more. Returns whether it is closed."""
        with self._lock:
            idle = self._wanted is None and self.running.controller is None and not self._changed.is_set()
            if idle:
                self._closed.set()
                self._changed.set()
            return idle

    def join(self) -> None:
        """Wait until nothing is written any more."""
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._watch()
            except Exception as error:  # a thread that ended would look at nothing, and tell nobody
                self._broke(error)

    def _watch(self) -> None:
        """Watch what is wanted, until something else is."""
        self._changed.wait()
        self._closed.wait(_QUIET)
        with self._lock:
            self._changed.clear()
            if self._closed.is_set():
                return
            running = self._make()
            self.running = running
        if running.controller is not None:
            running.controller.run()
            with self._lock:
                self.running = replace(running, wanted=None, controller=None)
            if not self._changed.is_set():
                raise ReconcilerError(
                    "the loop of the account has ended by itself", "this is a bug: please report it"
                )

    def _broke(self, error: Exception) -> None:
        """Tell an error that nobody expected, and wait before the next attempt."""
        message, hint = described(error)
        with self._lock:
            if self.running.controller is not None:
                self.running.controller.stop()
            self.running = Running(self._wanted, broken=hinted(message, hint))
            concerned = self._resources
        for one in concerned:
            event = Event(
                "failing",
                datetime.now(UTC),
                "",
                one.name,
                "",
                one.environment,
                message,
                {"hint": hint},
            )
            for tell in self._around.on_event:
                with suppress(Exception):  # perhaps it is what broke
                    tell(event)
        self._changed.wait(_AFTER_A_BUG)
        self._changed.set()

    def _make(self) -> Running:
        wanted, account = self._wanted, self._account
        if wanted is None or account is None:
            return Running()
        around = self._around
        catalogs, invalid, full = self._catalogs(Running())
        folder = around.state / "accounts" / self.name
        try:
            watched = watched_account(self.name, account, lambda: around.key(self.name), folder)
            controller = Controller(
                [replace(watched, full_interval=full)],
                catalogs.values(),
                state=around.state,
                on_event=around.on_event,
                on_call=around.on_call,
                rule=around.rule(self.name),
            )
        except (ReconcilerError, OSError) as error:
            return Running(wanted, None, invalid, _told(error))
        return Running(wanted, controller if catalogs else None, invalid, catalogs=catalogs)


def _told(error: Exception) -> ReconcilerError:
    if isinstance(error, ReconcilerError):
        return error
    if not isinstance(error, OSError):
        return ReconcilerError(*described(error))
    return ReconcilerError(
        f"the operator's state folder can't be used: {error.strerror}",
        "make room or correct its permissions, then restart the operator",
    )
