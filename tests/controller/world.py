"""A service, catalogs in folders, and a controller that a test drives by a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from reconciler.api.cancellation import Cancellation
from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.controller.controller import Controller
from reconciler.controller.events import Event
from reconciler.controller.settings import WatchedAccount, WatchedCatalog
from reconciler.controller.sources import FolderSource
from reconciler.controller.status import AccountStatus, WatchedStatus
from reconciler.server import LoggedRequest, Quirks, RunningServer, SessionRow, running_server
from tests.support import API_KEY, LEARNED, session_of

#: Monday, 9 o'clock in UTC.
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

WRITES = frozenset({"create_session", "update_session", "delete_session", "create_message", "clear_messages"})


class Clock:
    """A clock that only a test moves. Whoever sleeps by it does not wait."""

    def __init__(self, start: datetime = MONDAY) -> None:
        self._start = start
        self.seconds = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float, stop: Cancellation) -> None:
        self.seconds += max(0.0, seconds)
        stop.sleep(0)


@dataclass
class World:
    """A server and catalogs beside it. ``events`` are those of all controllers."""

    folder: Path
    server: RunningServer
    clock: Clock = field(default_factory=Clock)
    events: list[Event] = field(default_factory=list)
    keys: dict[str, Callable[[], str]] = field(default_factory=dict)
    locking: set[int] = field(default_factory=set)
    modes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.server.before.append(self._note_lock)

    def _note_lock(self, entry: LoggedRequest) -> None:
        """Remember the requests that are about locks."""
        number = session_of(entry) if entry.operation in ("update_session", "delete_session") else None
        row = None if number is None else self.server.store.session(number)
        named = str((entry.body or {}).get("session_name", "")) + str(entry.query.get("session_name", ""))
        if (named if row is None else row.name).startswith("reconciler lock"):
            self.locking.add(entry.number)

    def write(self, name: str = "shop", text: str | None = None, /, **prompts: str) -> Path:
        """A catalog with these sessions, each with a prompt; or with this text as its manifest."""
        root = self.folder / name
        (root / "sessions").mkdir(parents=True, exist_ok=True)
        head = {"version": 1, "catalog": name, "defaults": {"model": "deepseek-chat"}}
        (root / "catalog.yaml").write_text(yaml.safe_dump(head))
        sessions = {key: {"name": key.title(), "prompt": prompt} for key, prompt in prompts.items()}
        manifest = yaml.safe_dump({"sessions": sessions}) if text is None else text
        (root / "sessions" / "all.yaml").write_text(manifest)
        return root

    def watched(self, name: str = "shop", **more: Any) -> WatchedCatalog:
        """A catalog to watch; its folder is called like it."""
        root = self.folder / name
        state = more.pop("state", root / ".reconciler")
        given = {"name": name, "source": FolderSource(root, state, name), "account": "main", "state": state}
        return WatchedCatalog(**{**given, "settle": 0.0, "root": root, **more})

    def account(self, name: str = "main", **more: Any) -> WatchedAccount:
        """An account of the server."""
        given: dict[str, Any] = {
            "name": name,
            "endpoint": self.server.url,
            "key": self.keys.get(name, lambda: API_KEY),
            "key_source": "a test",
            "contract": LEARNED,
            "retries": 0,
        }
        return WatchedAccount(**{**given, **more})

    @contextmanager
    def controller(
        self, *catalogs: WatchedCatalog, accounts: Sequence[WatchedAccount] = (), **more: Any
    ) -> Iterator[Controller]:
        """A controller that :func:`turn` drives."""
        self.modes |= {one.mode for one in catalogs}
        given: Mapping[str, Any] = {
            "state": self.folder / "state",
            "clock": self.clock,
            "on_event": [self.events.append],
            "random": lambda: 0.5,
            "beside": False,
        }
        controller = Controller(accounts or [self.account()], catalogs, **{**given, **more})
        try:
            yield controller
        finally:
            controller.close()

    def turn(self, controller: Controller, seconds: float = 0.0) -> None:
        """Let time pass: each step when it is due."""
        until = self.clock.seconds + seconds
        busy = 0
        while busy < 20:
            wait = controller.step()
            if self.clock.seconds + wait > until:
                self.clock.seconds = max(self.clock.seconds, until)
                return
            self.clock.seconds += wait
            busy = 0 if wait else busy + 1
        raise AssertionError("it never waits")

    def client(self) -> Client:
        """A client of somebody else."""
        return Client(Endpoint(self.server.url, self.server.url, API_KEY), LEARNED)

    # What the service has

    def rows(self) -> dict[str, SessionRow]:
        """The live sessions by name."""
        return {row.name: row for row in self.server.store.sessions()}

    def prompt(self, name: str) -> str:
        return str(self.rows()[name].prompt)

    def drift(self, name: str, **changes: Any) -> None:
        """Change a session in a console."""
        assert self.server.store.update_session(self.rows()[name].session_id, **changes)

    def writes(self) -> list[LoggedRequest]:
        """The requests that wrote to the service, without those for locks."""
        return [one for one in self.server.log if one.operation in WRITES and one.number not in self.locking]

    def calls(self) -> int:
        return len(self.server.log)

    def said(self, *kinds: str) -> list[str]:
        """The kinds of the events, in order; only these if some are named."""
        return [
            one.kind
            for one in self.events
            if one.kind in kinds or (not kinds and one.kind not in ("looked", "listed"))
        ]


def shop(controller: Controller, name: str = "shop") -> WatchedStatus:
    """The status of a catalog."""
    return next(one for one in controller.status().catalogs if one.name == name)


def main(controller: Controller) -> AccountStatus:
    """The status of the first account."""
    return controller.status().accounts[0]


@contextmanager
def world(folder: Path, **more: Any) -> Iterator[World]:
    """A world of its own."""
    given: dict[str, Any] = {"contract": LEARNED, "require_key": API_KEY, "quirks": Quirks()}
    with running_server(None, **{**given, **more}) as server:
        found = World(folder, server)
        changing: list[str] = []

        def note(entry: LoggedRequest) -> None:
            if found.modes == {"observe"} and entry.method != "GET":
                changing.append(entry.operation)

        server.done.append(note)
        yield found
        assert not changing, "the mode `observe` wrote"
