"""The list as it was before a probe, as a file: what a probe leaves behind where it could not be shown that all others
are as they were.

It holds every prompt of the account, so none stays for longer than it is good for. The next run compares those
of earlier probes, and removes each that tells of no change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reconciler.api.client import Client
from reconciler.api.snapshot_file import read_snapshot, write_snapshot
from reconciler.contract import Contract
from reconciler.doctor.candidates import candidates
from reconciler.doctor.report import Check, Leftover
from reconciler.doctor.session import Subject
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


#: What a chat moves in a session without anybody writing to it.
_MOVES: Final = frozenset(("api_use_count", "updated_at"))

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two lists, compared by row: how many sessions there were, and what became of them.

    ``changed`` holds the fields in which a session changed; those that were ``used`` alone are not in it.
    """

    count: int
    gone: Collection[int]
    changed: Mapping[int, Collection[str]]
    used: int

    @property
    def untouched(self) -> bool:
        """Whether all are as they were."""
        return not self.gone and not self.changed

    def __str__(self) -> str:
        if self.untouched:
            count = self.count
            others = f"all {count} are as they were, field by field" if count else "there were no others"
            return others + (f"; {self.used} were used meanwhile" if self.used else "")
        words = []
        if self.gone:
            words.append(f"{_numbers(self.gone)} went")
        if self.changed:
            where = sorted({name for names in self.changed.values() for name in names})
            words.append(f"{_numbers(self.changed)} changed in {', '.join(where)}")
        return "; ".join(words)


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """What became of the sessions of the first list. Those that the second one has beside them do not matter."""
    now = {live.session_id: live.row for live in after}
    moved = {
        live.session_id: names
        for live in before
        if live.session_id in now and (names := _differing(live.row, now[live.session_id]))
    }
    changed = {number: names for number, names in moved.items() if not names <= _MOVES}
    gone = [live.session_id for live in before if live.session_id not in now]
    return Comparison(len(before), gone, changed, used=len(moved) - len(changed))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def _numbers(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(f"#{number}" for number in found[:_SHOWN]) + more


def find_leftovers(snapshot: Snapshot) -> list[Leftover]:
    """The sessions that are a probe's, by the id, name and shape of it."""
    return [
        Leftover(live.session_id, live.name, probe, str(live.row.get("created_at") or ""))
        for live in snapshot
        if (probe := probe_id(live)) is not None
    ]


def remove_leftovers(
    client: Client, contract: Contract, snapshot: Snapshot, leftovers: Iterable[Leftover], settle: float
) -> list[Leftover]:
    """Delete these, by the contract's call or another of the candidates. Gives those that could not be.

    Raises:
        ProbeStopped: a session of others went meanwhile.
        ReconcilerError: the list can't be read.
    """
    calls = candidates(contract, "delete_session")
    wanted = {one.session_id for one in leftovers}
    left = []
    others = {live.session_id for live in snapshot if live.session_id not in wanted}
    for leftover in leftovers:
        subject = Subject(client, leftover.probe, others, settle)
        if not subject.find(whole=True):
            continue  # gone meanwhile
        subject.id = leftover.session_id
        if not subject.remove(calls).gone:
            left.append(leftover)
    return left
