"""Runs the operator: the Lease first, then a full read, then the watch."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.controller.account_loop import OnCall
from reconciler.controller.events import OnEvent
from reconciler.errors import ReconcilerError
from reconciler.operator.cluster import DEFINE, Cluster, ClusterError, catalogs, core
from reconciler.operator.fleet import Fleet
from reconciler.operator.inputs import Inputs
from reconciler.operator.lease import Lease
from reconciler.operator.overview import Overview
from reconciler.operator.plans import Plans
from reconciler.operator.reporting import Reporter
from reconciler.operator.shards import WHOLE, Shard
from reconciler.operator.unexpected import Say
from reconciler.operator.watching import watch
from reconciler.operator.wording import worded
from reconciler.s3.bucket import Bucket
from reconciler.s3.store import S3Stores

#: How often it is looked whether the Lease is lost (seconds).
_LOOKED_AT_EVERY: Final = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What to run. Without ``namespaces``, all of them are watched. ``catalogs`` holds the folders that a resource may
    name by `source.path`. ``lease_namespace`` is the operator's own if it is empty. Journals and archives are kept in
    the ``bucket``, too, if there is one."""

    state: Path
    catalogs: Path | None
    namespaces: Sequence[str] = ()
    lease_namespace: str = ""
    shard: Shard = WHOLE
    bucket: Bucket | None = None


class Operator:
    """The operator. :meth:`run` is for the main thread, :meth:`stop` for any."""

    def __init__(
        self,
        options: Options,
        say: Say,
        on_event: Iterable[OnEvent],
        on_call: OnCall | None = None,
    ) -> None:
        self._options, self._say, self._on_event, self._on_call = options, say, tuple(on_event), on_call
        self._cluster = Cluster()
        holder = f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"
        namespace = options.lease_namespace or self._cluster.namespace
        self._lease = Lease(self._cluster, namespace, holder, options.shard)
        self._ended = threading.Event()
        self.overview = Overview(self._lease)

    def stop(self) -> None:
        """End: no further write starts, and those in flight finish."""
        self._lease.give_up()
        self._ended.set()

    def run(self) -> None:
        """Wait for the Lease, then follow the cluster until :meth:`stop` is called.

        Raises:
            ReconcilerError: the Lease was lost, or the cluster can't be read.
        """
        try:
            if not self._lease.acquire(self._say):
                return
            shard = self._options.shard
            self._say(
                f"leading: this process holds the lease{f' of shard {shard}' if shard.count > 1 else ''}"
            )
            self._lead()
        finally:
            self._cluster.close()

    def _lead(self) -> None:
        options = self._options
        plans = Plans(self._cluster, options.namespaces)
        reporter = Reporter(self._cluster, plans, self._lease.held, self._say)
        fleet = Fleet(
            options.state,
            options.catalogs,
            self._lease,
            (reporter, *map(worded, self._on_event)),
            Inputs(lambda path: self._cluster.call("GET", path)),
            self._say,
            self._on_call,
            None if options.bucket is None else S3Stores(options.bucket, self._lease.held),
        )
        reporting = threading.Thread(
            target=reporter.run, args=(fleet, lambda: self._read(fleet)), name="reporter", daemon=True
        )
        try:
            self._read_first(fleet)
            fleet.start()
            self.overview.lead(fleet, lambda: reporter.shown(fleet))
            reporting.start()
            watch(
                fleet,
                self._options.namespaces,
                self._say,
                relisted=reporter.read_again,
                goes_on=lambda: not self._lease.lost.is_set() and not self._ended.wait(_LOOKED_AT_EVERY),
            )
        finally:
            if self._lease.lost.is_set():
                self._say(f"stopping: the lease was lost: {self._lease.why_lost}")
            fleet.stop()
            reporter.stop()
            if reporting.ident is not None:
                reporting.join()
            lost = self._lease.lost.is_set()
            self._lease.release()
        if lost:
            raise ReconcilerError(
                f"the lease was lost, so another process may write now: {self._lease.why_lost}",
                "start it again: it stands by then",
            )

    def _read_first(self, fleet: Fleet) -> None:
        """Read all resources and Secrets. An API server that fails is asked again as long as the Lease is held.

        Raises:
            ReconcilerError: they can't be read.
        """
        told = ""
        while True:
            try:
                return self._read(fleet)
            except ClusterError as error:
                if not error.passing or not self._lease.held():
                    raise
                if self._ended.wait(1.0):
                    return None
                if (message := error.problems[0].message) != told:
                    told = message
                    self._say(f"trying again: {message}")

    def _read(self, fleet: Fleet) -> None:
        """Read all resources and Secrets."""
        before = fleet.known()
        resources: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for namespace in self._options.namespaces or [""]:
            try:
                resources += self._cluster.list(catalogs(namespace))
            except ClusterError as error:
                if error.status != 404:
                    raise
                raise ReconcilerError(
                    "the cluster has no resources of the kind PersonaCatalog",
                    DEFINE,
                ) from None
            found += self._cluster.list(core("secrets", namespace))
        fleet.listed(resources, found, before)
