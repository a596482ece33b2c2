"""One list for all catalogs of an account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

from reconciler.api.client import Client
from reconciler.api.lister import ClientLister
from reconciler.api.listing import OnRows, whole
from reconciler.domain import Keep, Snapshot


class SharedList:
    """A lister whose list several catalogs share, each with its own view of it. ``clock`` returns seconds."""

    def __init__(self, client: Client, *, clock: Callable[[], float], full_interval: float) -> None:
        self.looks: Counter[Literal["same", "delta", "full"]] = Counter()
        self.mismatches = 0
        self.deltas: Literal["on", "off", "not learned"] = "not learned"
        self._lister = ClientLister(client)
        self._clock = clock
        self._at = 0.0
        self._whole: Snapshot | None = None
        self._views: dict[Keep, Snapshot] = {}

    def expect(self, keep: Keep) -> None:
        """Say that somebody is going to ask for this."""

    def sessions(
        self,
        *,
        keep: Keep = whole,
        on_rows: OnRows | None = None,
        full: bool = False,
        recent: float = 0.0,
    ) -> Snapshot:
        """All sessions, as they are now, or were at most ``recent`` seconds ago."""
        now = self._clock()
        if self._whole is None or full or not (recent > 0 and now <= self._at + recent):
            self._whole, self._at, self._views = self._lister.sessions(on_rows=on_rows), now, {}
            self.looks["full"] += 1
        if keep is whole:
            return self._whole
        if keep not in self._views:
            self._views[keep] = self._whole.reduced(keep)
        return self._views[keep]

    def named(self, name: str, *, keep: Keep = whole) -> Snapshot:
        """The sessions that the server finds for a name."""
        return self._lister.named(name, keep=keep)
