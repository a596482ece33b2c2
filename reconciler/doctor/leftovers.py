"""What a killed probe left behind: finding it, and removing it when asked to."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.api.client import Client
from reconciler.contract import Contract
from reconciler.doctor.candidates import candidates
from reconciler.doctor.report import Leftover
from reconciler.doctor.subject import Subject
from reconciler.domain import Snapshot
from reconciler.ownership.reserved import probe_id


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
