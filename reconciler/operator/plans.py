"""Keeps the whole pending plan of a ``PersonaCatalog`` beside it: in the ``PersonaPlan`` of the same name.

A plan contains prompts, so it is no part of the status: who may read the one need not be one who may read the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.operator.cluster import GRANT, GROUP, VERSION, Cluster, ClusterError, plans
from reconciler.operator.conditions import counted
from reconciler.operator.resource import Resource
from reconciler.operator.wording import allowed, hinted, shown
from reconciler.render import RenderOptions, render_plan
from reconciler.render.options import Detail
from reconciler.text.paste import command
from reconciler.text.timestamps import read_timestamp

#: The largest text (bytes as JSON in UTF-8). etcd takes requests of 1.5 MiB, and holds 2 GiB by default.
LARGEST: Final = 500_000

#: How long a plan that its mode writes by itself may wait for that before it is stored (seconds).
_SOON: Final = 30.0

#: Names the plan in its metadata, so that it can be listed without its text.
_DIGEST: Final = f"{GROUP}/plan"

_APPLY: Final = "application/apply-patch+yaml"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_DETAILS: Final[tuple[Detail, ...]] = ("full", "normal", "concise")


@dataclass(frozen=True, slots=True)
class Pending:
    """A pending plan: its public JSON, and the revision that it leads to."""

    document: Mapping[str, Any]
    revision: str


class Plans:
    """The PersonaPlans of these namespaces, or of all if there are none. For one thread.

    Each plan is written once, as long as nobody else changes it.
    """

    def __init__(self, cluster: Cluster, namespaces: Sequence[str] = ()) -> None:
        self._cluster = cluster
        self._namespaces = tuple(namespaces)
        self._known: dict[str, tuple[str, int]] | None = None  # digest and generation, by the owner's uid
        self._written: dict[str, tuple[str, int]] = {}
        self._failed: dict[str, tuple[str, str]] = {}  # digest and message, by the owner's uid

    def refresh(self) -> None:
        """Read anew what there is, and try again what failed."""
        self._known = None
        self._failed.clear()

    def stored(
        self, resource: Resource, status: Mapping[str, Any], pending: Callable[[str], Pending | None]
    ) -> dict[str, Any] | None:
        """Store the plan of a status, or delete the one that is no longer pending. Returns the status with where it is;
        None if there is another plan by now. ``pending`` returns the plan with a digest.

        Raises:
            ClusterError: the cluster does not answer.
        """
        known = self._read()
        plan = status.get("plan")
        if plan is None:
            if resource.uid in known:
                self._delete(resource)
            return dict(status)
        digest = plan["digest"]
        there = known.get(resource.uid, ("", 0))[0] == digest
        if not there and not self._has_failed(resource, digest):
            if _written_soon(resource, status):
                return dict(status)
            found = pending(digest)
            if found is None:
                return None
            there = self._write(resource, plan, found)
        where = {"where": f"personaplan/{resource.short_name}"} if there else self._problem(resource)
        return {**status, "plan": {**plan, **where}}

    def _has_failed(self, resource: Resource, digest: str) -> bool:
        return resource.uid in self._failed and self._failed[resource.uid][0] == digest

    def _problem(self, resource: Resource) -> dict[str, str]:
        why = self._failed[resource.uid][1]
        return {"message": shown(f"the whole plan can't be stored in the cluster: {why}")}

    def _read(self) -> dict[str, tuple[str, int]]:
        """What there is, by the uid of its owner, without the texts."""
        if self._known is not None:
            return self._known
        found: dict[str, tuple[str, int]] = {}
        for namespace in self._namespaces or [""]:
            try:
                for one in self._cluster.list(plans(namespace), accept=_METADATA):
                    meta = one["metadata"]
                    digest = (meta.get("annotations") or {}).get(_DIGEST, "")
                    for owner in meta.get("ownerReferences") or []:
                        found[owner["uid"]] = digest, meta.get("generation", 0)
            except ClusterError as error:
                if error.status == 0:
                    raise
                # Then each pending plan is written, or its status tells why it can't be.
        # What somebody else has changed since is written again.
        for uid, (digest, generation) in self._written.items():
            if uid in found and found[uid] != (digest, generation):
                found[uid] = "", generation
        self._written = {uid: one for uid, one in self._written.items() if uid in found}
        self._known = found
        return found

    def _write(self, resource: Resource, plan: Mapping[str, Any], pending: Pending) -> bool:
        digest = plan["digest"]
        try:
            body = _body(resource, plan, pending)
        except Exception as error:  # the status tells it; else no status would be written any more
            self._failed[resource.uid] = digest, f"it can't be rendered ({type(error).__name__})"
            return False
        path = plans(resource.namespace, resource.short_name)
        query = {"fieldManager": "reconciler-operator", "force": "true"}
        answer = self._call(resource, digest, "PATCH", path, body, kind=_APPLY, **query)
        if answer is None:
            return False
        assert self._known is not None
        one = digest, answer["metadata"].get("generation", 0)
        self._known[resource.uid] = self._written[resource.uid] = one
        return True

    def _delete(self, resource: Resource) -> None:
        if self._has_failed(resource, ""):
            return
        path = plans(resource.namespace, resource.short_name)
        if self._call(resource, "", "DELETE", path) is not None:
            assert self._known is not None
            del self._known[resource.uid]
            self._written.pop(resource.uid, None)

    def _call(
        self, resource: Resource, digest: str, method: str, path: str, body: Any = None, **more: str
    ) -> Any:
        """The answer; None if the cluster refuses the call. It is not made again before :meth:`refresh`, or for
        another plan."""
        self._failed.pop(resource.uid, None)
        try:
            return self._cluster.call(method, path, body, **more)
        except ClusterError as error:
            if error.status == 0:
                raise
            if error.status == 404 and method == "DELETE":
                return {}
            self._failed[resource.uid] = digest, _told(error)
            return None


def _told(error: ClusterError) -> str:
    return hinted(str(error), GRANT if error.status in (403, 404) else "")


def _written_soon(resource: Resource, status: Mapping[str, Any]) -> bool:
    """Whether the operator writes the plan by itself, and probably soon: most plans are written right away."""
    plan = status["plan"]
    mode = resource.mode
    approved = mode == "Approve" and resource.approves(plan["digest"])
    reasons = {one["type"]: one["reason"] for one in status["conditions"]}
    if reasons["Synced"] != "PlanPending" or not (approved or mode in ("Repair", "Apply")):
        return False
    return (datetime.now(UTC) - read_timestamp(plan["since"])).total_seconds() < _SOON


def _body(resource: Resource, plan: Mapping[str, Any], pending: Pending) -> dict[str, Any]:
    environment = pending.document["environment"]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "PersonaPlan",
        "metadata": {
            "name": resource.short_name,
            "namespace": resource.namespace,
            "annotations": {_DIGEST: plan["digest"]},
            "ownerReferences": [resource.reference],
        },
        "catalog": str(pending.document["catalog"]),
        **({"environment": environment} if environment else {}),
        "revision": pending.revision,
        "digest": plan["digest"],
        "changes": counted(plan["counts"]),
        "since": plan["since"],
        "text": plan_text(pending.document),
    }


def plan_text(document: Mapping[str, Any], largest: int = LARGEST) -> str:
    """The plan as text, with every prompt as a whole if that fits into ``largest`` bytes of JSON, else shortened as
    little as needed. The last line then says so."""
    document = {**document, "refusals": _in_cluster(document)}
    text = ""
    for detail in _DETAILS:
        text = render_plan(document, "text", options=RenderOptions(detail=detail))
        note = "" if detail == "full" else _shortened(document)
        if _size(text) + _size(note) <= largest:
            return text + note
    lines = text.splitlines(keepends=True)
    room, kept = largest - _size(_cut(len(lines), document)), 0
    while kept < len(lines) and (room := room - _size(lines[kept])) >= 0:
        kept += 1
    return "".join(lines[:kept]) + _cut(len(lines) - kept, document)


def _in_cluster(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The refusals, each with what allows it in a cluster instead of a flag."""
    return [
        {**one, "allow": allowed(one["guard"], one["allow"], document["environment"])}
        for one in document["refusals"]
    ]


def _shortened(document: Mapping[str, Any]) -> str:
    return f"\nThis is shortened, because the whole plan is too large for the cluster. To see it: {_whole(document)}\n"


def _cut(lines: int, document: Mapping[str, Any]) -> str:
    actions = len(document["actions"])
    return (
        f"\n(… {lines:,} more lines: the plan of {actions:,} actions is too large for the cluster. "
        f"To see it: {_whole(document)})\n"
    )


def _whole(document: Mapping[str, Any]) -> str:
    return command("plan", "--full", environment=document["environment"] or None)


def _size(text: str) -> int:
    """How many bytes it takes in the API server's JSON, which also escapes what has a meaning in HTML."""
    return len(json.dumps(text, ensure_ascii=False).encode()) + 5 * sum(map(text.count, "<>&"))
