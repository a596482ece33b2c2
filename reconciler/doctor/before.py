"""The list as it was before a probe, as a file: what a probe leaves behind where it could not be shown that all others
are as they were.

It holds every prompt of the account, so none stays for longer than it is good for. The next run compares those
of earlier probes, and removes each that tells of no change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.api.snapshot_file import read_snapshot, write_snapshot
from reconciler.contract import Contract
from reconciler.doctor.others import compare
from reconciler.doctor.report import Check
from reconciler.domain import Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import probe_id
from reconciler.state import open_state

#: The heading under which is said what became of it.
EARLIER: Final = "What earlier probes left"

_NAME: Final = re.compile(r"before-([0-9a-f]{12})\.json")


def keep_before(state: Path, probe: str, snapshot: Snapshot, *, taken: str) -> Path:
    """Write the list as it is before a probe. ``taken`` is a time (UTC, ISO 8601).

    Raises:
        ReconcilerError: it can't be written.
    """
    path = open_state(state) / f"before-{probe}.json"
    write_snapshot(path, snapshot, taken=taken)
    return path


def drop_before(path: Path) -> bool:
    """Remove such a file; whether it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def settle_earlier(
    state: Path, contract: Contract, now: Callable[[], Snapshot], removed: Collection[str], but: str = ""
) -> list[Check]:
    """Compare what earlier probes kept with the list, and remove what tells of no change.

    ``now`` gives the list, and is called where there is something to compare; ``removed`` are the ids of probes whose
    session was just deleted; ``but`` is the id of a probe to leave alone.

    Raises:
        ReconcilerError: the list can't be read.
    """
    found = [
        (path, name[1])
        for path in (sorted(state.iterdir()) if state.is_dir() and not state.is_symlink() else ())
        if (name := _NAME.fullmatch(path.name)) and name[1] != but and not path.is_symlink()
    ]
    after = now() if found else None
    return [] if after is None else [_settle(path, probe, contract, after, removed) for path, probe in found]


def _settle(path: Path, probe: str, contract: Contract, after: Snapshot, removed: Collection[str]) -> Check:
    def stays(why: str) -> Check:
        return Check(EARLIER, f"the list before probe {probe}", "unknown", f"stays in {path}: {why}", _DELETE)

    try:
        before = read_snapshot(path, contract)
    except ReconcilerError as error:
        return stays(error.problems[0].message)
    if before.endpoint != after.endpoint:
        return stays(f"it is that of {before.endpoint}")
    left = [live for live in after if probe_id(live) == probe]
    if left:
        return stays(f"the probe's session #{left[0].session_id} is still there")
    # What an earlier one had left may have been deleted since.
    others = tuple(live for live in before if probe_id(live) is None)
    comparison = compare(replace(before, sessions=others), after)
    if comparison.untouched and drop_before(path):
        return Check(EARLIER, f"the other sessions since probe {probe}", "ok", str(comparison))
    if probe not in removed:
        return stays(str(comparison))
    return Check(
        EARLIER,
        f"the other sessions since probe {probe}",
        "differs",
        str(comparison),
        f"somebody else may have written meanwhile; the list as it was before is in {path}",
    )


_DELETE = "it holds all prompts: delete it when it is of no use any more"
