"""The live list, from the service or from a snapshot file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.api.cancellation import Cancellation
from reconciler.api.endpoint import LOCAL, endpoint_name
from reconciler.api.listing import list_sessions, whole
from reconciler.cli.connect import Connection, check_address, connect
from reconciler.cli.progress import Step, progress
from reconciler.domain import Keep, Snapshot


def live_or_against(file: Path | None, connection: Connection, state: Path, keep: Keep = whole) -> Snapshot:
    """The live list, or the one in a snapshot file. ``keep`` says what to keep of each session.

    Raises:
        ReconcilerError: it can't be read.
    """
    if file is not None:
        from reconciler.api.snapshot_file import read_snapshot

        snapshot = read_snapshot(file, connection.read_contract())
        check_address(connection.service, snapshot.endpoint)
        return snapshot.reduced(keep)
    from reconciler.apply.beside import key_mark, with_key

    with connect(connection, state) as client, progress("listing") as step:
        key = key_mark(client, state)
        return with_key(list_sessions(client, keep=keep, on_rows=step), key)


@contextmanager
def listing(
    connection: Connection, state: Path, *, against: Path | None = None
) -> Iterator[Callable[[Keep], Snapshot]]:
    """Read the live list in the background while the block does something else. Yields a function that waits for it.
    Its argument says what to keep; until then, sessions are kept whole.

    That function raises the errors of the listing, so that errors which the block finds meanwhile come first. A file
    and the embedded server are read only when the function is called, because neither takes long.
    """
    if against is not None or endpoint_name(connection.endpoint) == LOCAL:
        yield lambda keep: live_or_against(against, connection, state, keep)
        return
    begun = _Listing(connection, state)
    begun.start()
    try:
        yield begun.wait
    finally:
        begun.stop.set("the list is no longer needed")


class _Listing(threading.Thread):
    """A thread that reads the live list. It is a daemon, so a run that ends early does not wait for the server."""

    def __init__(self, connection: Connection, state: Path) -> None:
        super().__init__(name="listing", daemon=True)
        self.stop = Cancellation()
        self._connection = connection
        self._state = state
        self._step: Step = _nothing
        self._keep: Keep = whole
        self._snapshot: Snapshot | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with connect(self._connection, self._state, stop=self.stop) as client:
                found = list_sessions(
                    client,
                    keep=lambda live: self._keep(live),
                    on_rows=lambda done, total: self._step(done, total),
                )
                from reconciler.apply.beside import key_mark, with_key  # after the list was asked for

                self._snapshot = with_key(found, key_mark(client, self._state))
        except BaseException as error:
            self._error = error

    def wait(self, keep: Keep) -> Snapshot:
        self._keep = keep
        with progress("listing") as step:
            self._step = step
            self.join()
            self._step = _nothing
        if self._error is not None:
            raise self._error
        assert self._snapshot is not None
        return self._snapshot.reduced(keep)


def _nothing(done: int, total: int) -> None:
    """Show no progress."""
