"""A list that is kept, of a service that runs, for tests that compare each look with a listing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from reconciler.api.account_list import AccountList
from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.contract import Contract
from tests.api.account_model import FACTS
from tests.support import LEARNED

#: When the sessions that a test begins with were changed last.
OLD = "2026-01-01 12:00:00"


@dataclass
class Kept:
    """A list, with what it is a list of. Its clock can be moved on."""

    client: Client
    ahead: float = 0.0
    calls: int = 0
    list: AccountList = field(init=False)

    def __post_init__(self) -> None:
        self.list = AccountList(self.client, clock=lambda: self.ahead)
        self.client.observe(self._called)

    def _called(self, *_: object) -> None:
        self.calls += 1

    def look(self) -> int:
        """Look, and see that it is what a listing gives. Returns how many calls it took."""
        self.calls = 0
        found = self.list.sessions()
        calls = self.calls
        assert found.sessions == list_sessions(self.client).sessions
        return calls

    def is_right(self) -> bool:
        """Whether a look gives what a listing gives."""
        return self.list.sessions().sessions == list_sessions(self.client).sessions

    def close_stamps(self) -> None:
        """Long after the last change, a look closes its stamp."""
        self.look()
        self.ahead += 300
        self.look()
        self.ahead += 300


def contract(page: int) -> Contract:
    listing = dataclasses.replace(LEARNED.operation("list_sessions"), page_size=page)
    return dataclasses.replace(
        LEARNED, operations={**LEARNED.operations, "list_sessions": listing}, service=FACTS
    )
