"""What lists the sessions of an account, for those who should not care how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reconciler.api.client import Client
from reconciler.api.listing import OnRows, list_sessions, whole
from reconciler.domain import Keep, Snapshot


class Lister(Protocol):
    """Lists the sessions of one account. Safe to use from many threads."""

    def sessions(self, *, keep: Keep = whole, on_rows: OnRows | None = None, full: bool = False) -> Snapshot:
        """All sessions, as they are now. ``keep`` decides what is kept of each, as in :func:`list_sessions`.

        ``full``: read every page, even if a lister knows the list already. Ask for it before a delete.

        Raises:
            UnreliableListError: the server does not list what it counts, or not in order.
            ApiError: a page could not be read.
        """

    def named(self, name: str, *, keep: Keep = whole) -> Snapshot:
        """The sessions that the server finds for a name. Filter these again: how it matches is not promised.

        Raises:
            UnreliableListError, ApiError: as in :meth:`sessions`.
        """

    def calls(self, sessions: int) -> int:
        """About how many calls :meth:`sessions` takes if there are so many sessions."""


@dataclass(frozen=True, slots=True)
class ClientLister:
    """Reads every page, each time."""

    client: Client

    def sessions(self, *, keep: Keep = whole, on_rows: OnRows | None = None, full: bool = False) -> Snapshot:
        """All sessions; see :class:`Lister`."""
        return list_sessions(self.client, keep=keep, on_rows=on_rows)

    def named(self, name: str, *, keep: Keep = whole) -> Snapshot:
        """The sessions of a name; see :class:`Lister`."""
        return list_sessions(self.client, name=name, keep=keep)

    def calls(self, sessions: int) -> int:
        """One for each page, and one to look at the newest again."""
        return 1 + sessions // self.client.contract.operation("list_sessions").page_size
