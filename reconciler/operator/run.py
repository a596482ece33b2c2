"""Runs the operator: the Lease first, then kopf, which watches the cluster."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from reconciler.controller.account_loop import OnCall
from reconciler.controller.events import OnEvent
from reconciler.errors import ReconcilerError
from reconciler.operator.cluster import GROUP, PLURAL, VERSION, Cluster, ClusterError, catalogs, core
from reconciler.operator.fleet import Fleet
from reconciler.operator.inputs import Inputs
from reconciler.operator.lease import Lease
from reconciler.operator.overview import Overview
from reconciler.operator.plans import Plans
from reconciler.operator.reporting import Reporter
from reconciler.operator.shards import WHOLE, Shard
from reconciler.operator.unexpected import Say, in_sentences, sentence, survived
from reconciler.operator.watch_settings import watch_settings
from reconciler.operator.wording import worded
from reconciler.s3.bucket import Bucket
from reconciler.s3.store import S3Stores


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
        say: Callable[[str], None],
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
            self._watch(fleet, reporter.read_again)
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
                    "kubectl apply -f deploy/kubernetes/crd.yaml",
                ) from None
            found += self._cluster.list(core("secrets", namespace))
        fleet.all(resources, found, before)

    def _watch(self, fleet: Fleet, relisted: Callable[[], None]) -> None:
        """Let kopf watch until the operator ends or the Lease is lost. ``relisted`` is called if kopf has to list anew.

        Raises:
            ReconcilerError: kopf ended by itself.
        """
        flag = threading.Event()
        why: list[str] = []

        def watch() -> None:
            try:
                with in_sentences(self._say, "kopf", "asyncio"):
                    kopf.run(
                        registry=_registry(fleet, self._say, relisted),
                        settings=watch_settings(),
                        standalone=True,  # the Lease elects, not kopf's peering
                        clusterwide=not self._options.namespaces,
                        namespaces=self._options.namespaces,
                        stop_flag=flag,
                    )
            except Exception as error:
                why.append(f" ({sentence(error)})")

        # In a thread of its own, because in the main thread it would take over the signals.
        thread = threading.Thread(target=watch, name="kopf", daemon=True)
        thread.start()
        while thread.is_alive() and not self._lease.lost.is_set() and not self._ended.wait(0.2):
            pass
        ended = not thread.is_alive()
        flag.set()
        if ended:
            raise ReconcilerError(
                f"the cluster is no longer watched: kopf has ended{''.join(why)}",
                "start it again; the log above says what it could not do",
            )


def _registry(fleet: Fleet, say: Say, relisted: Callable[[], None]) -> kopf.OperatorRegistry:
    """kopf's handlers: raw events alone, so that kopf itself writes nothing to the cluster.

    If the history of a watch is gone, kopf lists what there is (events without a type), and does not tell what was
    deleted: then ``relisted`` is called.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def resource(event: Any, **_: Any) -> None:
        if event["type"] is None:
            relisted()
        with survived(say, event["object"]):
            if event["type"] == "DELETED":
                fleet.gone(event["object"]["metadata"]["uid"])
            else:
                fleet.resource(event["object"])

    @kopf.on.event("", "v1", "secrets", registry=registry)
    async def secret(event: Any, **_: Any) -> None:
        if event["type"] is None:
            relisted()
        gone = event["type"] == "DELETED"
        with survived(say, event["object"]):
            fleet.secret(event["object"], gone=gone)
            fleet.input("secrets", event["object"], gone=gone)

    @kopf.on.event("", "v1", "configmaps", registry=registry)
    async def config_map(event: Any, **_: Any) -> None:
        with survived(say, event["object"]):
            fleet.input("configmaps", event["object"], gone=event["type"] == "DELETED")

    @kopf.on.login(registry=registry)
    async def login(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)

    return registry
