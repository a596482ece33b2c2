"""A snapshot as a file, to plan without a key: in a pull request from a fork, or offline.

It holds every session of the account as listed, prompts and remarks included.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.api.decode import decode_session
from reconciler.contract import Contract
from reconciler.disk import MAX_DOCUMENT, read_named, write_out
from reconciler.domain import Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.account import Account, account_from_json, account_to_json
from reconciler.values import parse_json

SNAPSHOT_VERSION = 1


def write_snapshot(path: Path, snapshot: Snapshot, *, taken: str) -> None:
    """Write a snapshot to a file that only its owner can read. ``taken`` is a time (UTC, ISO 8601).

    Raises:
        ReconcilerError: the file can't be written.
    """
    document = {
        "snapshot_version": SNAPSHOT_VERSION,
        "taken": taken,
        "endpoint": snapshot.endpoint,
        "account": account_to_json(snapshot.account),
        "sessions": [live.row for live in snapshot],
    }
    try:
        write_out(path, json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise ReconcilerError(f"the snapshot can't be written to {path}: {error.strerror}") from None


def read_snapshot(path: Path, contract: Contract) -> Snapshot:
    """Read a snapshot.

    Raises:
        ReconcilerError: the file can't be read, or is not a snapshot of this version.
    """
    try:
        document: Any = parse_json(read_named(path, MAX_DOCUMENT))
    except OSError as error:
        raise ReconcilerError(f"the snapshot {path} can't be read: {error.strerror}") from None
    except ValueError:
        raise ReconcilerError(f"{path} is not a snapshot: it is not complete JSON", _MAKE) from None
    version = document.get("snapshot_version") if isinstance(document, dict) else None
    if version != SNAPSHOT_VERSION or not isinstance(document.get("sessions"), list):
        raise ReconcilerError(f"{path} is not a snapshot that this version knows", _MAKE)
    lives = sorted(
        (decode_session(row, contract.session) for row in document["sessions"]), key=lambda s: s.session_id
    )
    account = account_from_json(document.get("account")) or Account()
    return Snapshot(tuple(lives), str(document.get("endpoint", "")), contract, account=account)


_MAKE = "`reconciler snapshot FILE` makes one"
