"""The operator seen from outside: all accounts and resources at once, for its health, its metrics and its page."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric

from reconciler import __version__
from reconciler.controller.controller import Controller
from reconciler.controller.status import Status, WatchedStatus
from reconciler.errors import Refused, UsageError
from reconciler.operator.conditions import REASONS
from reconciler.operator.fleet import Fleet
from reconciler.operator.lease import Lease
from reconciler.text.escape import visible

#: How long the API server may be silent before the process counts as not ready (seconds).
_SILENT: Final = 60.0


class Overview:
    """What the process knows at this moment. For any thread.

    It does not lead before :meth:`lead` is called, and then there are no accounts and no resources: a standby knows
    none. ``shown`` returns the status that the cluster has of each resource.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._started = datetime.now(UTC)
        self._fleet: Fleet | None = None
        self._shown: Callable[[], list[dict[str, Any]]] = list

    def lead(self, fleet: Fleet, shown: Callable[[], list[dict[str, Any]]]) -> None:
        """The process holds the lease, and has read the cluster."""
        self._fleet, self._shown = fleet, shown

    # For a page and for programs

    def status(self) -> Status:
        """The status of all controllers, the accounts and the resources by their names."""
        found = [one.status() for one in self._controllers()]
        catalogs = [one for status in found for one in status.catalogs]
        return Status(
            __version__,
            self._started,
            tuple(one for status in found for one in status.accounts),
            tuple(sorted(catalogs, key=lambda one: one.name)),
        )

    def plan_document(self, name: str) -> dict[str, Any] | None:
        """The public JSON of the pending plan of a resource; None if there is none."""
        controller = self._controller_of(name)
        return None if controller is None else controller.plan_document(name)

    def reconcile(self, name: str | None = None) -> None:
        """Look at a resource soon, or at all of them.

        Raises:
            UsageError: no resource that is looked at has this name.
        """
        if name is None:
            for one in self._controllers():
                one.reconcile()
            return
        controller = self._controller_of(name)
        if controller is None:
            raise UsageError(
                f"no resource that is looked at has the name {name!r}", "name it as NAMESPACE/NAME"
            )
        controller.reconcile(name)

    def approve(self, digest: str, by: str = "") -> object:
        """A plan is approved in its resource, where rights are checked and a restart does not forget it.

        Raises:
            Refused: always.
        """
        pending = (
            one for one in self.status().catalogs if one.plan is not None and one.plan.digest == digest
        )
        namespace, _, name = next((one.name for one in pending), "NAMESPACE/NAME").partition("/")
        patch = shlex.quote(f'{{"spec": {{"approve": "sha256:{digest[:80]}"}}}}')
        raise Refused(
            "the operator takes approvals from resources alone",
            f"`kubectl -n {namespace} patch personacatalog {name} --type=merge -p {patch}`",
        )

    # For probes

    def ready(self, _: Status) -> bool:
        """Whether it leads, or stands by for the one that does. A rolling update waits for the new pod before it ends
        the old one, which leads meanwhile: so a standby is ready."""
        answered = self._lease.answered
        return (
            answered is not None
            and (self._fleet is not None or not self._lease.leading)
            and (time.monotonic() - answered < _SILENT)
        )

    # For Prometheus

    def metrics(self) -> Iterator[Metric]:
        """What the metrics of the controllers do not say."""
        leading = GaugeMetricFamily(
            "reconciler_operator_leading",
            "1 if this process leads its shard, and so looks and writes; 0 if it stands by.",
            labels=["shard"],
        )
        leading.add_metric([str(self._lease.shard)], float(self._lease.leading))
        yield leading
        reasons = Counter(
            one["reason"]
            for status in self._shown()
            for one in status.get("conditions", [{"type": "Ready", "reason": "Progressing"}])
            if one["type"] == "Ready"
        )
        family = GaugeMetricFamily(
            "reconciler_operator_resources",
            "PersonaCatalog resources, by the reason of their condition Ready.",
            labels=["reason"],
        )
        for reason in REASONS["Ready"] if self._fleet is not None else ():
            family.add_metric([reason], reasons[reason])
        yield family
        yield _info(self.status().catalogs)

    def _controllers(self) -> list[Controller]:
        return [] if self._fleet is None else self._fleet.controllers()

    def _controller_of(self, name: str) -> Controller | None:
        return next((one for one in self._controllers() if one.catalog(name) is not None), None)


def _info(catalogs: tuple[WatchedStatus, ...]) -> Metric:
    family = GaugeMetricFamily(
        "reconciler_operator_resource_info",
        "1 for each resource that is looked at, with the labels that its other metrics have.",
        labels=["namespace", "name", "catalog", "environment", "account"],
    )
    for one in catalogs:
        namespace, _, name = one.name.partition("/")
        labels = [namespace, name, visible(one.catalog), visible(one.environment or ""), one.account]
        family.add_metric(labels, 1)
    return family
