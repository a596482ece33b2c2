"""What becomes of a resource that is deleted: its finalizer, which holds it until its sessions are gone or are left."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Final

from reconciler.controller.removing import Removed
from reconciler.operator.cluster import JSON_PATCH, Cluster, ClusterError, catalogs
from reconciler.operator.fleet import Fleet
from reconciler.operator.resource import FINALIZER, Resource
from reconciler.operator.unexpected import sentence

#: Tells an event: type, reason and message.
Post = Callable[[Resource, str, str, str], None]

#: How long to wait after the cluster has forbidden a change (seconds).
_AGAIN: Final = 60.0

#: How many keys an event names.
_NAMED: Final = 20


class Finalizers:
    """Sets and removes the finalizer of resources. ``post`` tells an event."""

    def __init__(self, cluster: Cluster, post: Post) -> None:
        self._cluster, self._post = cluster, post
        self._forbidden: dict[str, float] = {}  # when to try again (monotonic clock), by uid

    def forget(self, known: Collection[str]) -> None:
        """Forget all resources but those with these uids."""
        self._forbidden = {uid: until for uid, until in self._forbidden.items() if uid in known}

    def handle(self, fleet: Fleet, resource: Resource) -> bool:
        """Set or remove the finalizer if it is time. Returns whether a deleted resource was let go.

        Raises:
            ClusterError: the cluster does not answer.
        """
        if not resource.deleted:
            if resource.has_finalizer != resource.wants_finalizer:
                self._set(fleet, resource, wanted=resource.wants_finalizer)
        elif resource.has_finalizer and (ending := _ending(fleet, resource)) is not None:
            # The event first: afterwards, there is nothing left that it could be about.
            self._post(resource, "Normal", *ending)
            self._set(fleet, resource, wanted=False)
            return True
        return False

    def _set(self, fleet: Fleet, resource: Resource, *, wanted: bool) -> None:
        if time.monotonic() < self._forbidden.get(resource.uid, 0.0):
            return
        path = catalogs(resource.namespace, resource.short_name)
        try:
            found = self._cluster.call("PATCH", path, _patch(resource, wanted=wanted), kind=JSON_PATCH)
        except ClusterError as error:
            if error.status == 404:
                fleet.gone(resource.uid)
            elif error.status == 403:
                self._forbidden[resource.uid] = time.monotonic() + _AGAIN
                self._post(resource, "Warning", "Forbidden", sentence(error))
            elif error.status not in (409, 422):  # it has changed: what it is now will be seen
                raise
            return
        if wanted or not resource.deleted:
            fleet.resource(found)
        elif not found["metadata"].get("finalizers"):
            fleet.gone(resource.uid)


def _ending(fleet: Fleet, resource: Resource) -> tuple[str, str] | None:
    """Reason and message of the event with which a deleted resource may go; None if it may not yet."""
    if why := fleet.spared(resource):
        # A run that was begun ends before: what it deletes has its outcome on record.
        return None if fleet.looked_at(resource) else ("Orphaned", f"its sessions stay: {why}")
    removed = fleet.removed(resource)
    return None if removed is None else ("Removed", _told(removed))


def _told(removed: Removed) -> str:
    count, keys = len(removed.keys), ", ".join(removed.keys[:_NAMED])
    more = ", …" if count > _NAMED else ""
    where = f"{removed.catalog} ({removed.environment})" if removed.environment else removed.catalog
    sessions = f"{count} session{'' if count == 1 else 's'} of {where} archived and deleted"
    left = f"; left alone: {removed.left_alone}" if removed.left_alone else ""
    return f"{sessions}{': ' if keys else ''}{keys}{more}{left}"


def _patch(resource: Resource, *, wanted: bool) -> list[dict[str, Any]]:
    """The patch that sets or removes the finalizer, if the resource and its finalizers are still what they were: those
    of others stay."""
    place, before = "/metadata/finalizers", list(resource.finalizers)
    patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": resource.uid}]
    if not before:
        # That there are none can't be tested.
        patch.append({"op": "test", "path": "/metadata/resourceVersion", "value": resource.version})
        return [*patch, {"op": "add", "path": place, "value": [FINALIZER]}]
    patch.append({"op": "test", "path": place, "value": before})
    if wanted:
        return [*patch, {"op": "add", "path": f"{place}/-", "value": FINALIZER}]
    return [*patch, {"op": "remove", "path": f"{place}/{before.index(FINALIZER)}"}]
