"""What is live: from the service, or from a file that a snapshot of it was written to."""

from __future__ import annotations

from pathlib import Path

from reconciler.api.listing import list_sessions
from reconciler.cli.connect import Connection, connect
from reconciler.cli.progress import progress
from reconciler.model import Snapshot


def live_or_against(file: Path | None, connection: Connection, state: Path) -> Snapshot:
    """The live list, or the one in a snapshot file.

    Raises:
        ReconcilerError: it can't be had.
    """
    if file is not None:
        from reconciler.api.snapshot_file import read_snapshot
        from reconciler.contract import load_contract

        return read_snapshot(file, load_contract(connection.contract))
    with connect(connection, state) as client, progress("listing") as step:
        return list_sessions(client, on_rows=step)
