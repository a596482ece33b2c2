"""One writer: whoever holds a Lease (``coordination.k8s.io``) looks and writes. Everybody else stands by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.operator.cluster import Cluster, ClusterError, leases

#: How long a Lease lasts, how often it is renewed, and how often a standby looks at it (seconds).
TERM: Final = 15
RENEWED_EVERY: Final = 5.0
LOOKED_AT_EVERY: Final = 2.0

#: How long after the last renewal began its holder still writes. The rest of the term is for a write in flight.
WRITES_FOR: Final = 10.0


class Lease:
    """A Lease that this process holds or waits for. ``holder`` names the process, and no other has that name.

    When it expires is measured by this process alone, from the last change that it saw: clocks need not agree.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, holder: str, *, name: str = "reconciler-operator"
    ) -> None:
        self.lost = threading.Event()
        self.since: float | None = (
            None  # when it was taken over (monotonic clock); None if nobody had it before
        )
        self._cluster, self._namespace, self._name, self._holder = cluster, namespace, name, holder
        self._stop = threading.Event()
        self._given_up = threading.Event()
        self._uid = ""  # of the Lease, which no other cluster has
        self._until = 0.0  # writes are allowed until then
        self._seen: tuple[Any, ...] = ()
        self._seen_at = 0.0
        self._thread: threading.Thread | None = None

    def held(self) -> bool:
        """Whether this process may write now."""
        return time.monotonic() < self._until and not self.lost.is_set()

    @property
    def mark(self) -> str:
        """What names this process in the locks of catalogs: a part of the Lease's uid, and the end of ``holder``."""
        return f"{self._family}{self._holder.rpartition('_')[2]}"

    def outlived(self, holder: str) -> bool:
        """Whether the holder of a lock is a process that had this Lease before. It writes no more."""
        return self.held() and holder.startswith(self._family) and not holder.startswith(f"{self.mark},")

    @property
    def _family(self) -> str:
        return f"operator {self._uid.partition('-')[0]}/"

    def acquire(self, say: Callable[[str], None]) -> bool:
        """Wait until the Lease is held, then keep renewing it. Returns False if :meth:`give_up` was called. What is
        waited for is said once for each reason."""
        told = ""
        while not self._given_up.is_set():
            try:
                why = self._try()
            except ClusterError as error:
                why = error.problems[0].message
            if not why:
                self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
                self._thread.start()
                return True
            if why != told:
                say(f"standing by: {why}")
                told = why
            self._given_up.wait(LOOKED_AT_EVERY)
        return False

    def give_up(self) -> None:
        """Do not wait for it any more. For any thread."""
        self._given_up.set()

    def release(self) -> None:
        """Let another process have it at once. To be called when nothing writes any more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._until = 0.0
        try:
            lease = self._cluster.call("GET", leases(self._namespace, self._name))
            if lease["spec"].get("holderIdentity") == self._holder:
                lease["spec"]["holderIdentity"] = ""
                self._cluster.call("PUT", leases(self._namespace, self._name), lease)
        except ClusterError:
            pass  # it expires

    def _keep(self) -> None:
        while not self._stop.wait(RENEWED_EVERY if self.held() else 0.0):
            try:
                why = self._try()
            except ClusterError:
                why = ""  # perhaps the next attempt gets through before the time is over
                self._stop.wait(1.0)
            if why or not self.held():
                self._until = 0.0
                self.lost.set()
                return

    def _try(self) -> str:
        """Take or renew the Lease. Returns why that is not possible.

        Raises:
            ClusterError: the cluster does not answer.
        """
        began = time.monotonic()
        try:
            lease = self._cluster.call("GET", leases(self._namespace, self._name))
        except ClusterError as error:
            if error.status != 404:
                raise
            lease = {"metadata": {"name": self._name}, "spec": {}}
        holder = lease["spec"].get("holderIdentity") or ""
        seen = (holder, lease["spec"].get("renewTime"), lease["spec"].get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, began
        if holder not in ("", self._holder) and began < self._seen_at + TERM:
            return f"{holder} holds the lease {self._namespace}/{self._name}"
        created = "resourceVersion" not in lease["metadata"]
        lease["spec"] = self._spec(lease["spec"], taken=holder != self._holder)
        path = leases(self._namespace, "" if created else self._name)
        try:
            lease = self._cluster.call("POST" if created else "PUT", path, lease)
        except ClusterError as error:
            if error.status == 409:  # another process was faster
                return "another process has just changed the lease"
            raise
        self._uid = lease["metadata"]["uid"]
        if not created and self._until == 0:
            self.since = began
        self._until = began + WRITES_FOR
        return ""

    def _spec(self, before: dict[str, Any], *, taken: bool) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            **before,
            "holderIdentity": self._holder,
            "leaseDurationSeconds": TERM,
            "renewTime": now,
        }
        if taken:
            spec |= {"acquireTime": now, "leaseTransitions": before.get("leaseTransitions", 0) + 1}
        return spec
