"""One writer: whoever holds a Lease (``coordination.k8s.io``) looks and writes. Everybody else stands by.

With several shards, each has a Lease of its own. If their number changes, an account changes its shard. So a process
leads only when no Lease of another number is alive:

- It takes its Lease first, then looks for others. Of two that do so at the same time, at least one sees the other.
- Of two that see each other, the one with fewer shards gives its Lease back. So they do not wait for each other.
- A process that did not renew its Lease in time has lost it, even if nobody took it: another number may lead by now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.operator.cluster import Cluster, ClusterError, leases
from reconciler.operator.shards import WHOLE, Shard, count_of_lease
from reconciler.operator.unexpected import sentence

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
        self, cluster: Cluster, namespace: str, holder: str, shard: Shard = WHOLE, *, name: str = ""
    ) -> None:
        self.lost = threading.Event()
        self.why_lost = ""
        #: When it was taken over (monotonic clock); None if nobody had it before.
        self.since: float | None = None
        #: When the cluster last showed a lease (monotonic clock).
        self.answered: float | None = None
        self.shard = shard
        self._cluster, self._namespace, self._holder = cluster, namespace, holder
        self._name = name or shard.lease
        self._stop = threading.Event()
        self._given_up = threading.Event()
        self._uid = ""  # of the Lease, which no other cluster has
        self._renewed: tuple[float, float] | None = None  # when the last renewal began, by both clocks
        self._leading = False
        self._first = True  # nobody had it before
        self._seen = _Seen()
        self._others: dict[str, _Seen] = {}  # the Leases of other numbers of shards, by name
        self._former: set[str] = set()  # and their uids
        self._thread: threading.Thread | None = None

    def held(self) -> bool:
        """Whether this process may write now."""
        return not self._passed(WRITES_FOR) and not self.lost.is_set()

    @property
    def leading(self) -> bool:
        """Whether this process leads: it holds the Lease, and has nobody else to stand by for."""
        return self._leading and self.held()

    @property
    def signature(self) -> str:
        """What begins this process's name in the locks of catalogs: a part of the Lease's uid, and the end of
        ``holder``."""
        return f"{_family(self._uid)}{self._holder.rpartition('_')[2]}"

    def outlived(self, holder: str) -> bool:
        """Whether the holder of a lock is a process that had this Lease before, or one of another number of shards. It
        writes no more."""
        former = tuple(map(_family, [self._uid, *self._former]))
        return self.held() and holder.startswith(former) and not holder.startswith(f"{self.signature},")

    def acquire(self, say: Callable[[str], None]) -> bool:
        """Wait until the Lease is held and this process may lead, then keep renewing it. Returns False if
        :meth:`give_up` was called. What is waited for is said once for each reason."""
        told: str | int = ""
        while not self._given_up.is_set():
            try:
                reason: str | int = (why := self._try_to_lead())
            except Exception as error:  # a process that ended would not stand by
                reason = getattr(error, "status", 0)  # the server may word it anew each time
                why = sentence(error)
            if not why:
                self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
                self._thread.start()
                return True
            if reason != told:
                say(f"standing by: {why}")
                told = reason
            self._given_up.wait(LOOKED_AT_EVERY)
        self._give_back()
        return False

    def give_up(self) -> None:
        """Do not wait for it any more. For any thread."""
        self._given_up.set()

    def release(self) -> None:
        """Let another process have it at once. To be called when nothing writes any more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._give_back()

    def _give_back(self) -> None:
        if self._renewed is None:
            return
        self._renewed, self._leading = None, False
        try:
            lease = self._cluster.call("GET", leases(self._namespace, self._name))
            if lease["spec"].get("holderIdentity") == self._holder:
                lease["spec"]["holderIdentity"] = ""
                self._cluster.call("PUT", leases(self._namespace, self._name), lease)
        except ClusterError:
            pass  # it expires

    def _passed(self, seconds: float) -> bool:
        """Whether so much time has passed since the last renewal began, or there was none. By both clocks: one is
        never set, and the other runs on while the machine is suspended."""
        renewed = self._renewed
        if renewed is None:
            return True
        return any(now - then >= seconds for now, then in zip(_clocks(), renewed, strict=True))

    def _keep(self) -> None:
        wait, failure = RENEWED_EVERY, ""
        while not self._stop.wait(wait):
            wait, why = RENEWED_EVERY, ""
            try:
                why = self._try()
            except Exception as error:  # no answer, or somebody has just changed the Lease
                failure = sentence(error)
                wait = RENEWED_EVERY / 5  # perhaps another attempt gets through in time
            if why or not self.held():
                self.why_lost = why or failure or "it was not renewed in time"
                self.lost.set()
                return

    def _try_to_lead(self) -> str:
        """Take or renew the Lease, unless shards of a larger number come first. Returns what this process stands by
        for; empty if it leads.

        Raises:
            ClusterError: the cluster does not answer.
        """
        if why := self._rival(self.shard.count):
            self._give_back()
            return why
        if why := self._try() or self._rival():
            return why
        self._leading = True
        if self._others or not self._first:
            self.since = time.monotonic()
        return ""

    def _rival(self, more_than: int = 0) -> str:
        """Who holds a Lease of another number of shards, of those with ``more_than`` so many; empty if nobody does.

        Raises:
            ClusterError: the cluster does not answer.
        """
        found = list(self._cluster.list(leases(self._namespace)))
        self.answered = time.monotonic()
        for lease in found:
            name = lease["metadata"]["name"]
            count = count_of_lease(name)
            if count is None or count == self.shard.count or name == self._name:
                continue
            self._former.add(lease["metadata"]["uid"])
            holder = self._others.setdefault(name, _Seen()).alive(lease)
            if holder and count > more_than:
                shards = "1 shard" if count == 1 else f"{count} shards"
                return f"{holder} holds the lease {self._namespace}/{name}: {shards}, and here are {self.shard.count}"
        return ""

    def _try(self) -> str:
        """Take or renew the Lease. Returns why that is not possible.

        Raises:
            ClusterError: the cluster does not answer.
        """
        began, path = _clocks(), leases(self._namespace, self._name)
        try:
            found: dict[str, Any] | None = self._cluster.call("GET", path)
        except ClusterError as error:
            if error.status != 404:
                raise
            found = None
        self.answered = time.monotonic()
        known = self._seen.at is not None
        holder = self._seen.alive(found)
        if holder not in ("", self._holder):
            return f"{holder} holds the lease {self._namespace}/{self._name}"
        lease = found or {"metadata": {"name": self._name}}
        lease["spec"] = self._spec(lease.get("spec") or {})
        try:
            if found is None:
                path = leases(self._namespace)
            lease = self._cluster.call("POST" if found is None else "PUT", path, lease)
        except ClusterError as error:
            if error.status == 409 and not self._leading:  # another process was faster
                return "another process has just changed the lease"
            raise
        self._uid = lease["metadata"]["uid"]
        if self._leading and self._passed(TERM):
            return "it was not renewed in time"
        if self._renewed is None:
            self._first = found is None and not known
        self._renewed = began
        return ""

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            **before,
            "holderIdentity": self._holder,
            "leaseDurationSeconds": TERM,
            "renewTime": now,
        }
        if before.get("holderIdentity") != self._holder:
            spec |= {"acquireTime": now, "leaseTransitions": (before.get("leaseTransitions") or 0) + 1}
        return spec


@dataclass(slots=True)
class _Seen:
    """What was last seen of a Lease, and since when (monotonic clock); None if it was never there."""

    at: float | None = None
    _spec: tuple[Any, ...] = ()

    def alive(self, lease: dict[str, Any] | None) -> str:
        """Who holds it; empty if nobody does, or its holder does not renew it. If it was deleted (None), its holder
        may still write."""
        if lease is not None:
            spec = lease.get("spec") or {}
            found = tuple(spec.get(name) for name in ("holderIdentity", "renewTime", "leaseTransitions"))
            if found != self._spec or self.at is None:
                # After the answer, not before it: so a renewal ends later here than for whoever renewed.
                self._spec, self.at = found, time.monotonic()
        if self.at is None or time.monotonic() >= self.at + TERM:
            return ""
        return self._spec[0] or ""


def _family(uid: str) -> str:
    """What the signatures of all holders of a Lease begin with."""
    return f"operator {uid.partition('-')[0]}/"


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()
