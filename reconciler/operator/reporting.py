"""Writes statuses and events to the cluster, and only what is new."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from reconciler.controller.events import Event, Kind
from reconciler.operator.cluster import JSON_PATCH, Cluster, ClusterError, catalogs, core
from reconciler.operator.conditions import timed
from reconciler.operator.fleet import Fleet
from reconciler.operator.plans import Plans
from reconciler.operator.removal import Finalizers
from reconciler.operator.resource import Resource
from reconciler.operator.unexpected import Say, sentence
from reconciler.operator.wording import hinted, shown
from reconciler.text.timestamps import write_timestamp

#: How often statuses are compared with what was written at least (seconds), how long events are gathered before that,
#: and how often all resources are read anew: usually, and if somebody asks for it.
_EVERY: Final = 1.0
_GATHERED: Final = 0.1
_RESYNC: Final = 300.0
_SOON: Final = 2.0

#: How long to wait after an error that another attempt will hardly end (seconds), and at first: an API server that has
#: just been started refuses what it will allow.
_AFTER_A_BUG: Final = 60.0
_AT_FIRST: Final = 4.0

#: The longest wait after an error that may be over by itself (seconds), and after how many in a row the API server
#: itself is taken to fail.
_PASSING: Final = 15.0
_IN_A_ROW: Final = 3

#: The events of Kubernetes by those of the controller: type and reason.
EVENTS: Final[dict[Kind, tuple[str, str]]] = {
    "drift_found": ("Warning", "DriftFound"),
    "plan_pending": ("Normal", "PlanPending"),
    "applied": ("Normal", "Applied"),
    "interrupted": ("Warning", "Interrupted"),
    "refused": ("Warning", "Refused"),
    "failing": ("Warning", "Failing"),
    "recovered": ("Normal", "Recovered"),
}

#: What the API server says of a namespace that is being deleted.
_ENDS: Final = "because it is being terminated"

#: The event of a plan that can't be stored in the cluster.
NOT_STORED: Final = "PlanNotStored"

#: The reasons of Ready that are told as an event when the status gets them.
_TOLD_BY_STATUS: Final = ("Conflict", "AccountMissing", "InvalidAccount", "InvalidSpec", "Unauthorized")


class Reporter:
    """The thread that reports. :meth:`__call__` takes the events of controllers, from any thread.

    ``holding`` says whether this process still holds the Lease: else another one reports. ``say`` tells what can't be
    written to the cluster.
    """

    def __init__(self, cluster: Cluster, plans: Plans, holding: Callable[[], bool], say: Say) -> None:
        self._holding, self._say = holding, say
        self._cluster = cluster
        self._plans = plans
        self._events: queue.Queue[Event] = queue.Queue(10_000)
        self._written: dict[str, dict[str, Any]] = {}
        self._stamps: dict[str, tuple[object, ...]] = {}  # what the written status was made of, by uid
        self._said: dict[tuple[str, str], str] = {}  # the last message of each reason, by uid
        self._finalizers = Finalizers(cluster, self._post)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._complained = ""
        self._untold: Event | None = None  # what could not be posted yet
        self._again = False  # all has to be read soon
        self._read_at = 0.0  # when all was read (monotonic clock)
        #: Resources that can't be reported: until when (monotonic clock), and how long that is.
        self._put_off: dict[str, tuple[float, float]] = {}

    def __call__(self, event: Event) -> None:
        if event.kind in EVENTS or event.kind == "looked":
            with suppress(queue.Full):  # the status tells the same
                self._events.put_nowait(event)
            self._wake.set()

    def read_again(self) -> None:
        """Read all resources soon. For any thread."""
        self._again = True
        self._wake.set()

    def stop(self) -> None:
        """End :meth:`run`, after what is new has been written."""
        self._stop.set()
        self._wake.set()

    def shown(self, fleet: Fleet) -> list[dict[str, Any]]:
        """The status of each resource as the cluster has it. For any thread."""
        written = self._written
        return [written.get(one.uid, dict(one.status)) for one in fleet.resources()]

    def run(self, fleet: Fleet, resync: Callable[[], None]) -> None:
        """Report until :meth:`stop` is called. ``resync`` reads all resources anew."""
        self._read_at = time.monotonic()
        while True:
            self._wake.wait(_EVERY)
            self._wake.clear()
            ending = self._stop.wait(_GATHERED)
            try:
                if self._holding():
                    if not ending:  # first: nothing that the cluster refuses keeps it from being read
                        self._read_after(_RESYNC, resync)
                    try:
                        self._tell(fleet)
                    finally:  # an event that is not taken keeps no status back
                        self._write(fleet)
                    if self._again and not ending:  # an outage is over
                        self._read_after(_SOON, resync)
                    self._complained = ""
            except Exception as error:  # everything is tried again
                if isinstance(error, ClusterError) and error.passing:
                    self._again = True  # something may have been missed
                self._complain(f"the cluster can't be told what was found: {sentence(error)}")
                self._stop.wait(2.0)
            if ending:
                return

    def _read_after(self, seconds: float, resync: Callable[[], None]) -> None:
        """Read everything anew if it was read so long ago."""
        now = time.monotonic()
        if now - self._read_at <= seconds:
            return
        self._again = False
        self._read_at = now - _RESYNC + _AFTER_A_BUG  # if it fails, it is tried again then
        resync()
        self._stamps.clear()
        self._plans.refresh()
        self._read_at = time.monotonic()

    def _complain(self, text: str) -> None:
        if text != self._complained:
            self._complained = text
            self._say(text)

    def _write(self, fleet: Fleet) -> None:
        resources, now = fleet.resources(), time.monotonic()
        stamps: dict[str, tuple[object, ...]] = {}
        failed = 0
        for one in resources:
            until, waited = self._put_off.get(one.uid, (now, _AT_FIRST / 4))
            if now < until or not self._holding():
                continue
            try:
                stamp = fleet.stamp(one)
                if _is_same(stamp, self._stamps.get(one.uid, ())) or self._write_one(fleet, one):
                    stamps[one.uid] = stamp
            except Exception as error:
                if isinstance(error, ClusterError) and not error.status:
                    raise
                # The others are reported nevertheless: the status of a resource that is as large as etcd allows does
                # not fit beside it, and the API server answers that as if etcd had failed.
                passes = isinstance(error, ClusterError) and error.passing
                wait = min(4 * waited, _PASSING if passes else _AFTER_A_BUG)
                self._put_off[one.uid] = now + wait, wait
                failed += passes
                if failed == _IN_A_ROW:
                    raise
                if wait > waited or not passes:
                    self._say(f"{one.name} can't be reported: {sentence(error)}")
            else:
                self._put_off.pop(one.uid, None)
                failed = 0
        self._stamps = stamps
        uids = {one.uid for one in resources}
        self._put_off = {uid: waits for uid, waits in self._put_off.items() if uid in uids}
        self._written = {uid: status for uid, status in self._written.items() if uid in uids}
        self._said = {key: message for key, message in self._said.items() if key[0] in uids}
        self._finalizers.forget(uids)

    def _write_one(self, fleet: Fleet, one: Resource) -> bool:
        """Write the status of a resource if it is new. Returns whether it holds as long as what it was made of."""
        if self._finalizers.handle(fleet, one):
            return False
        fleet.approve(one)
        found = fleet.status(one)
        if found is not None:
            found = self._plans.stored(one, found, partial(fleet.plan, one))
        if found is None:
            return False
        plan = found.get("plan", {})
        # Else there still is a finalizer to set, or a plan to store.
        lasts = not one.deleted and one.has_finalizer == one.wants_finalizer and (not plan or "where" in plan)
        before = self._written.get(one.uid, dict(one.status))
        status = timed(found, before, write_timestamp(datetime.now(UTC)))
        if status == before:
            return lasts
        self._patch(fleet, one, status)
        if before.get("conditions") != status["conditions"]:
            self._tell_of_status(one, status)
        if message := plan.get("message"):
            self._post(one, "Warning", NOT_STORED, message)
        return lasts

    def _patch(self, fleet: Fleet, resource: Resource, status: dict[str, Any]) -> None:
        path = catalogs(resource.namespace, resource.short_name) + "/status"
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": resource.uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        try:
            self._cluster.call("PATCH", path, patch, kind=JSON_PATCH)
        except ClusterError as error:
            if error.status == 404:
                fleet.gone(resource.uid)
                return
            raise
        self._written[resource.uid] = status

    def _tell_of_status(self, resource: Resource, status: dict[str, Any]) -> None:
        """Events for what no controller tells, since none runs."""
        ready = status["conditions"][0]
        if resource.removing:
            if ready["status"] == "False":
                self._post(resource, "Warning", "RemovalBlocked", ready["message"])
        elif ready["reason"] in _TOLD_BY_STATUS:
            self._post(resource, "Warning", ready["reason"], ready["message"])
        elif ready["reason"] in ("Succeeded", "Suspended"):
            for reason in _TOLD_BY_STATUS:
                self._said.pop((resource.uid, reason), None)

    def _tell(self, fleet: Fleet) -> None:
        while True:
            try:
                event = self._untold = self._untold or self._events.get_nowait()
            except queue.Empty:
                return
            name = event.watched
            concerned = fleet.named(name) if name else fleet.of_account(event.account)
            for one in concerned:
                if event.kind != "looked":
                    kind, reason = EVENTS[event.kind]
                    if event.kind == "failing" and fleet.key_refused(one):
                        reason = "Unauthorized"  # as its status says
                    self._post(one, kind, reason, hinted(event.message, event.facts.get("hint", "")))
                elif event.facts.get("outcome") == "InSync":  # what happens from now on is new
                    for reason in ("DriftFound", "PlanPending", "Refused", "Failing", "Recovered"):
                        self._said.pop((one.uid, reason), None)
            self._untold = None

    def _post(self, resource: Resource, kind: str, reason: str, message: str) -> None:
        """Post an event, unless it was the last one of its kind: a controller that was started anew tells it again."""
        text = shown(message) or reason
        if self._said.get((resource.uid, reason)) == text:
            return
        now = write_timestamp(datetime.now(UTC))
        body = {
            "metadata": {
                "name": f"{resource.short_name[:200]}.{uuid.uuid4().hex[:16]}",
                "namespace": resource.namespace,
            },
            "involvedObject": {**resource.reference, "namespace": resource.namespace},
            "type": kind,
            "reason": reason,
            "message": text,
            "source": {"component": "reconciler-operator"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._cluster.call("POST", core("events", resource.namespace), body)
        except ClusterError as error:
            if error.passing:
                raise
            # A namespace that ends takes no events any more.
            if error.status != 404 and _ENDS not in error.problems[0].message:
                self._say(f"an event of {resource.name} is not taken: {error.problems[0].message}")
            return
        self._said[resource.uid, reason] = text


def _is_same(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether both hold the same objects, or equal numbers."""
    return len(one) == len(other) and all(
        a is b or (isinstance(a, int) and a == b) for a, b in zip(one, other, strict=True)
    )
