"""A model of the service's list by the latest change, for the tests of a list that is kept."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from reconciler.api.account_list import AccountList
from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.contract import Contract, Service
from reconciler.domain import Snapshot
from tests.support import LEARNED

_START = datetime(2026, 1, 1, tzinfo=UTC)

#: What the doctor learns of a service with whole seconds whose changes are listed at once.
FACTS = Service(
    name_filter="exact",
    ordering="honoured",
    updated_at="updates",
    updated_at_seconds=1,
    updated_at_lag=0,
    updated_at_order="honoured",
)


def contract(page: int, **facts: Any) -> Contract:
    """A contract that knows what moves ``updated_at``, with pages of so many rows."""
    listing = dataclasses.replace(LEARNED.operation("list_sessions"), page_size=page)
    return dataclasses.replace(
        LEARNED,
        operations={**LEARNED.operations, "list_sessions": listing},
        service=dataclasses.replace(FACTS, **facts),
    )


@dataclass
class Live:
    """A session: how often it was written, and when (seconds) by the service's clock."""

    version: int
    stamp: float
    remark: str = ""
    prompt: str = ""


@dataclass
class Account:
    """An account. ``lag``: a change is stamped up to so many seconds before it can be seen.

    ``meanwhile`` is called before each request. ``order`` decides what a request is answered that asks for an ordering.
    """

    chance: random.Random = field(default_factory=lambda: random.Random(0))
    lag: float = 0.0
    clock: float = 1000.0
    lives: dict[int, Live] = field(default_factory=dict)
    newest: int = 0
    calls: int = 0
    largest: int = 10_000
    meanwhile: Callable[[], None] = field(default=lambda: None)
    order: Callable[[str], str] = field(default=lambda ordering: ordering)
    moves_stamp: bool = True

    # Writing

    def stamp(self) -> float:
        return self.clock - self.chance.random() * self.lag

    def create(self) -> int:
        self.newest += 1
        self.lives[self.newest] = Live(1, self.stamp())
        return self.newest

    def update(self, session_id: int) -> None:
        live = self.lives[session_id]
        live.version += 1
        if self.moves_stamp:
            live.stamp = self.stamp()

    def delete(self, session_id: int) -> None:
        del self.lives[session_id]

    def some(self) -> int:
        return self.chance.choice(list(self.lives))

    def fill(self, count: int) -> None:
        """Sessions that were created a second apart, the last one a minute ago."""
        for _ in range(count):
            self.clock += 1.0
            self.create()
        self.clock += 60.0

    # Reading

    def read(self, name: str, query: Mapping[str, Any]) -> Any:
        """A response of the service. Sessions that share a stamp come in any order, in another one each time."""
        assert name == "list_sessions"
        self.meanwhile()
        self.calls += 1
        ordering, number, size = (
            self.order(query["ordering"]),
            query["page"],
            min(query["size"], self.largest),
        )
        if ordering.endswith("session_id"):
            ids = sorted(self.lives, reverse=ordering.startswith("-"))
        else:
            shuffled = {one: (int(live.stamp), self.chance.random()) for one, live in self.lives.items()}
            ids = sorted(self.lives, key=shuffled.__getitem__, reverse=True)
        start = (number - 1) * size
        if number > 1 and start >= len(ids):
            raise ApiError("list_sessions", "past the end", http_status=404)
        return {"count": len(ids), "results": [self._row(one) for one in ids[start : start + size]]}

    def _row(self, session_id: int) -> dict[str, Any]:
        live = self.lives[session_id]
        return {
            "session_id": session_id,
            "session_name": f"v{live.version}",
            "session_config": {"data": {}, "model": "m", "prompt": live.prompt},
            "session_remark": live.remark,
            "updated_at": f"{_START + timedelta(seconds=int(live.stamp)):%Y-%m-%d %H:%M:%S}",
            "api_id": 70,
        }

    # Comparing

    def kept(self, page: int = 8, *, full_interval: float = 1e9, **facts: Any) -> AccountList:
        """A list of this account that is kept."""
        facts = {"updated_at_lag": self.lag, **facts}
        client = SimpleNamespace(
            contract=contract(page, **facts),
            endpoint=SimpleNamespace(name="model"),
            connections=2,
            read=self.read,
        )
        return AccountList(cast(Client, client), clock=lambda: self.clock, full_interval=full_interval)

    def versions(self) -> dict[int, int]:
        """The truth."""
        return {session_id: live.version for session_id, live in self.lives.items()}


def listed(snapshot: Snapshot) -> dict[int, int]:
    """How often each session of a snapshot had been written."""
    return {live.session_id: int(live.name[1:]) for live in snapshot}
