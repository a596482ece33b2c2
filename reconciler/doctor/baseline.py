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
from reconciler.doctor.context import FIRST_VALUES, SECOND_VALUES, describe_answers
from reconciler.doctor.report import Check, Leftover
from reconciler.doctor.session import ProbeSession, some_numbers
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import probe_id, probe_name, probe_prompt, reserved_kind
from reconciler.state import open_state
from reconciler.values import same

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
    comparison = compare(replace(before, sessions=others), after, probe)
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two lists, compared row by row.

    ``count`` is the number of sessions in the first. ``gone`` and ``changed`` are those that the probe may have taken
    or changed; the latter with the names of the fields. ``deleted`` and ``edited`` count those that somebody else
    deleted or changed; ``used`` those that only a chat changed. ``new`` is how many only the second list has.
    """

    count: int
    gone: Collection[int]
    changed: Mapping[int, Collection[str]]
    used: int
    new: int = 0
    deleted: int = 0
    edited: int = 0

    @property
    def untouched(self) -> bool:
        """Whether nothing changed but by chats and by others."""
        return not self.gone and not self.changed

    def blaming(self, gone: Collection[int]) -> Comparison:
        """The same, where the probe may have taken only these. Others deleted the rest of those that are gone."""
        return replace(self, gone=gone, deleted=len({*self.gone} - {*gone}))

    def __str__(self) -> str:
        words = []
        if self.gone:
            words.append(f"{some_numbers(self.gone)} disappeared")
        if self.changed:
            where = sorted({name for names in self.changed.values() for name in names})
            words.append(f"{some_numbers(self.changed)} changed in {', '.join(where)}")
        if self.untouched:
            same = self.count - self.deleted - self.edited
            share = "all" if same == self.count else f"{same} of"
            words.append(
                f"{share} {self.count} are unchanged, field by field"
                if self.count
                else "there were no others"
            )
            words += [f"{self.used} used meanwhile"] if self.used else []
        if self.deleted:
            words.append(f"{self.deleted} deleted by others meanwhile")
        if self.edited:
            words.append(f"{self.edited} changed by others meanwhile, to nothing that the probe sent")
        return "; ".join([*words, *([f"{self.new} created by others meanwhile"] if self.new else [])])


def compare(before: Snapshot, after: Snapshot, probe: str) -> Comparison:
    """What happened to the sessions of the first list during a probe. Those that only the second one has do not matter.

    A session that is gone counts as taken by the probe, since one list can't tell who deleted it. A change counts as
    the probe's if the session is managed, or if every field that changed is now empty or what the probe sends. A call
    can't write what it does not carry, so any other change was made by somebody else.
    """
    now = {live.session_id: live for live in after}
    differing = {
        live.session_id: (live, names)
        for live in before
        if live.session_id in now and (names := _differing(live.row, now[live.session_id].row))
    }
    written = {number: both for number, both in differing.items() if not both[1] <= _USAGE_FIELDS}
    changed = {
        number: names
        for number, (was, names) in written.items()
        if is_managed(was) or _may_be_of(probe, was, now[number])
    }
    gone = [live.session_id for live in before if live.session_id not in now]
    known = {live.session_id for live in before}
    new = sum(live.session_id not in known and reserved_kind(live) is None for live in after)
    edited = len(written) - len(changed)
    return Comparison(len(before), gone, changed, len(differing) - len(written), new, edited=edited)


def is_managed(live: LiveSession) -> bool:
    """Whether a session has the tag of a catalog, so that no end user deletes or edits it."""
    return live.remark.tag is not None


def _may_be_of(probe: str, was: LiveSession, now: LiveSession) -> bool:
    """Whether a probe may have changed a session in this way."""
    if now.name == probe_name(probe) or probe_id(now) == probe or probe_prompt(probe) in now.prompt:
        return True
    before, after = _written_fields(was), _written_fields(now)
    changes = {name for name in before.keys() | after.keys() if not same(before.get(name), after.get(name))}
    return bool(changes) and all(_is_sent(name, after.get(name)) for name in changes)


def _written_fields(live: LiveSession) -> dict[str, Any]:
    return {
        **live.parameters,
        "name": live.name,
        "model": live.model,
        "prompt": live.prompt,
        "data": dict(live.data),
        "remark": live.raw_remark,
    }


def _is_sent(name: str, value: Any) -> bool:
    """Whether a field is empty, or has a value that a probe writes. What it writes to the others has its mark."""
    sent = [values[name] for values in (FIRST_VALUES, SECOND_VALUES) if name in values]
    return value in (None, "", {}, []) or any(same(value, one) for one in sent)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


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
    managed = {live.session_id for live in snapshot if is_managed(live)}
    for leftover in leftovers:
        session = ProbeSession(client, leftover.probe, others, settle, managed)
        if not session.find(whole=True):
            continue  # it has been deleted in the meantime
        session.id = leftover.session_id
        own = [one for one in calls if session.can_address(one)]
        deletion = session.delete(own)
        if not deletion.gone:
            said = describe_answers([*deletion.tried, *deletion.refused])
            left[leftover] = f"none of {len(own)} calls deletes it: {said}"
    return left
