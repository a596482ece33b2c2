"""What was on the account before a probe: whether other sessions changed, and what killed probes left behind.

The list is kept in a file until it is clear that a probe changed nothing else. It contains every prompt of the
account, so it stays no longer than needed: the next run compares the files of earlier probes with the list, and
removes each of them that shows no change.
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
from reconciler.doctor.context import describe_answers
from reconciler.doctor.report import Check, Leftover
from reconciler.doctor.session import ProbeSession
from reconciler.domain import Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import probe_id, reserved_kind
from reconciler.state import open_state

#: The heading of the lines about earlier probes.
EARLIER: Final = "What earlier probes left behind"

_NAME: Final = re.compile(r"before-([0-9a-f]{12})\.json")


def save_baseline(state: Path, probe: str, snapshot: Snapshot, *, taken: str) -> Path:
    """Write the list to a file before a probe. ``taken`` is the time (UTC, ISO 8601).

    Raises:
        ReconcilerError: it can't be written.
    """
    path = open_state(state) / f"before-{probe}.json"
    write_snapshot(path, snapshot, taken=taken)
    return path


def delete_baseline(path: Path) -> bool:
    """Remove such a file. Returns whether it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def check_earlier_baselines(
    state: Path,
    contract: Contract,
    read_list: Callable[[], Snapshot],
    removed: Collection[str],
    skip: str = "",
) -> list[Check]:
    """Compare the files of earlier probes with the list, and remove those that show no change.

    ``read_list`` is called only if there is something to compare. ``removed`` are the ids of probes whose session was
    just deleted, ``skip`` is the id of a probe whose file is left alone.

    Raises:
        ReconcilerError: the list can't be read.
    """
    found = [
        (path, name[1])
        for path in (sorted(state.iterdir()) if state.is_dir() and not state.is_symlink() else ())
        if (name := _NAME.fullmatch(path.name)) and name[1] != skip and not path.is_symlink()
    ]
    if not found:
        return []
    after = read_list()
    return [_check_earlier(path, probe, contract, after, removed) for path, probe in found]


def _check_earlier(
    path: Path, probe: str, contract: Contract, after: Snapshot, removed: Collection[str]
) -> Check:
    def kept(why: str) -> Check:
        return Check(EARLIER, f"the list before probe {probe}", "unknown", f"kept in {path}: {why}", _DELETE)

    try:
        before = read_snapshot(path, contract)
    except ReconcilerError as error:
        return kept(error.problems[0].message)
    if before.endpoint != after.endpoint:
        return kept(f"it is from {before.endpoint}")
    left = [live for live in after if probe_id(live) == probe]
    if left:
        return kept(f"the probe's session #{left[0].session_id} still exists")
    # What a probe before that had left may have been deleted since.
    others = tuple(live for live in before if probe_id(live) is None)
    comparison = compare(replace(before, sessions=others), after)
    if comparison.untouched and delete_baseline(path):
        return Check(EARLIER, f"the other sessions since probe {probe}", "ok", str(comparison))
    if probe not in removed:
        return kept(str(comparison))
    return Check(
        EARLIER,
        f"the other sessions since probe {probe}",
        "differs",
        str(comparison),
        f"somebody else may have written at the same time; the list from before the probe is in {path}",
    )


_DELETE = "it contains every prompt: delete it when you no longer need it"


#: The fields of a session that a chat changes.
_USAGE_FIELDS: Final = frozenset(("api_use_count", "updated_at"))

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two lists, compared row by row.

    ``count`` is the number of sessions in the first. ``changed`` maps ids to the fields that changed; ``used`` counts
    the sessions that only a chat changed, which are not in it. ``new`` is how many only the second list has.
    """

    count: int
    gone: Collection[int]
    changed: Mapping[int, Collection[str]]
    used: int
    new: int = 0

    @property
    def untouched(self) -> bool:
        """Whether nothing changed but by chats."""
        return not self.gone and not self.changed

    def __str__(self) -> str:
        if self.untouched:
            count = self.count
            others = f"all {count} are unchanged, field by field" if count else "there were no others"
            return others + (f"; {self.used} used meanwhile" if self.used else "") + self._appeared
        words = []
        if self.gone:
            words.append(f"{_numbers(self.gone)} disappeared")
        if self.changed:
            where = sorted({name for names in self.changed.values() for name in names})
            words.append(f"{_numbers(self.changed)} changed in {', '.join(where)}")
        return "; ".join(words) + self._appeared

    @property
    def _appeared(self) -> str:
        return f"; {self.new} created by others meanwhile" if self.new else ""


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """What happened to the sessions of the first list. Sessions that only the second one has do not matter."""
    now = {live.session_id: live.row for live in after}
    differing = {
        live.session_id: names
        for live in before
        if live.session_id in now and (names := _differing(live.row, now[live.session_id]))
    }
    changed = {number: names for number, names in differing.items() if not names <= _USAGE_FIELDS}
    gone = [live.session_id for live in before if live.session_id not in now]
    known = {live.session_id for live in before}
    new = sum(live.session_id not in known and reserved_kind(live) is None for live in after)
    return Comparison(len(before), gone, changed, used=len(differing) - len(changed), new=new)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def _numbers(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(f"#{number}" for number in found[:_SHOWN]) + more


def find_leftovers(snapshot: Snapshot) -> list[Leftover]:
    """The sessions that a probe created, recognised by id, name and form."""
    return [
        Leftover(live.session_id, live.name, probe, str(live.row.get("created_at") or ""))
        for live in snapshot
        if (probe := probe_id(live)) is not None
    ]


def delete_leftovers(
    client: Client, contract: Contract, snapshot: Snapshot, leftovers: Iterable[Leftover], settle: float
) -> dict[Leftover, str]:
    """Delete these, with the contract's call or another candidate. Returns those that could not be deleted, and why.

    Raises:
        ProbeStopped: a session of others disappeared meanwhile.
        ReconcilerError: the list can't be read.
    """
    calls = candidates(contract, "delete_session")
    wanted = {one.session_id for one in leftovers}
    left = {}
    others = {live.session_id for live in snapshot if live.session_id not in wanted}
    for leftover in leftovers:
        session = ProbeSession(client, leftover.probe, others, settle)
        if not session.find(whole=True):
            continue  # it has been deleted in the meantime
        session.id = leftover.session_id
        own = [one for one in calls if session.can_address(one)]
        deletion = session.delete(own)
        if not deletion.gone:
            said = describe_answers([*deletion.tried, *deletion.refused])
            left[leftover] = f"none of {len(own)} calls deletes it: {said}"
    return left
