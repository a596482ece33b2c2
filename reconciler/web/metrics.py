"""The metrics at ``/metrics``: counted from events and calls, and read from the status when they are asked for.

``docs/watch.md`` lists them, and a test compares it. No text of a session, a prompt or an answer becomes a label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from reconciler.api.client import Observer, Reply
from reconciler.contract import Operation
from reconciler.controller.events import ANNOUNCED, Event
from reconciler.controller.states import LASTING
from reconciler.controller.status import Status, WatchedStatus
from reconciler.text.escape import visible

#: What tells a watched catalog apart: its name, its environment (empty if it has none), and the mark of its account.
CATALOG: Final = ("catalog", "environment", "account")

#: Upper bounds of the durations of a look, in seconds: from a look that changes nothing to a large apply.
SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

#: How long what is counted of a catalog or an account that is gone is still told, in seconds. A controller that is
#: started anew is gone for a moment.
KEPT: Final = 3600.0

#: The kinds of changes that are always there, so that a graph of them has no gaps.
_KINDS: Final = ("create", "update", "delete")
_OUTCOMES: Final = ("applied", "failed", "unknown", "not tried")
_HOW: Final = ("same", "delta", "full")


class Metrics:
    """Counts what happens. It is an ``OnEvent``, and may be called from any thread. ``more`` returns further metrics,
    read when they are asked for. What is counted of a catalog or an account that is gone is forgotten after
    :data:`KEPT` seconds of the monotonic ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.more: Callable[[], Iterable[Metric]] = lambda: ()
        self._clock = clock
        self._last: dict[tuple[str, ...], float] = {}  # when a catalog or an account was last there
        self._registry = CollectorRegistry()

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(f"reconciler_{name}", text, labels, registry=self._registry)

        self._looks = counter("reconcile", "Looks at a catalog, by their outcome.", (*CATALOG, "outcome"))
        self._seconds = Histogram(
            "reconciler_reconcile_duration_seconds",
            "How long a look at a catalog takes.",
            CATALOG,
            registry=self._registry,
            buckets=SECONDS,
        )
        self._actions = counter(
            "apply_actions", "Actions of applies, by kind and outcome.", (*CATALOG, "kind", "outcome")
        )
        self._requests = counter(
            "api_requests", "Calls of the service, by their status.", ("account", "operation", "code")
        )
        self._throttled = counter("api_throttled", "Calls that the service throttled.", ("account",))
        self._notifications = counter(
            "notifications", "Notifications, by event and outcome.", ("event", "outcome")
        )
        for announced, outcome in product(ANNOUNCED, ("sent", "failed", "dropped")):
            self._notifications.labels(announced, outcome)

    def __call__(self, event: Event) -> None:
        names = (visible(event.catalog), visible(event.environment or ""), event.account)
        if event.kind == "looked":
            self._looks.labels(*names, str(event.facts["outcome"])).inc()
            self._seconds.labels(*names).observe(float(event.facts["seconds"]))
        elif event.kind in ("applied", "interrupted"):
            for kind, outcome, number in actions(event.facts.get("actions", {})):
                self._actions.labels(*names, kind, outcome).inc(number)

    def _begin(self, status: Status) -> None:
        """Let counters begin at 0: the first increase of a series that is not there yet goes unseen."""
        for one in status.catalogs:
            for state in LASTING:
                self._looks.labels(*_labels(one), state)
            for kind, outcome in product(_KINDS, _OUTCOMES):
                self._actions.labels(*_labels(one), kind, outcome)

    def _forget(self, status: Status) -> None:
        """Drop what is counted of catalogs and accounts that have long been gone."""
        now = self._clock()
        for one in status.catalogs:
            self._last[_labels(one)] = self._last[one.account,] = now
        counted = (
            (self._looks, 3),
            (self._seconds, 3),
            (self._actions, 3),
            (self._requests, 1),
            (self._throttled, 1),
        )
        known = set()
        for metric, which in counted:
            for labels in _label_values(metric):
                known.add(labels[:which])
                if now - self._last.setdefault(labels[:which], now) > KEPT:
                    metric.remove(*labels)
        self._last = {key: at for key, at in self._last.items() if key in known and now - at <= KEPT}

    def observer(self, account: str) -> Observer:
        """Counts the calls of an account: give it to :meth:`reconciler.api.client.Client.observe`."""
        throttled = self._throttled.labels(account)

        def called(operation: Operation, fields: Mapping[str, Any], reply: Reply) -> None:
            self._requests.labels(account, operation.name, code_of(reply)).inc()
            if reply.error is not None and reply.error.throttled:
                throttled.inc()

        return called

    def notified(self, event: str, outcome: str) -> None:
        """Count a notification: its outcome is ``sent``, ``failed`` or ``dropped``."""
        self._notifications.labels(event, outcome).inc()

    def exposition(self, status: Status, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text, and its media type: OpenMetrics if it is accepted, else that of Prometheus."""
        self._begin(status)
        self._forget(status)
        encode, media_type = choose_encoder(accept)
        return encode(_Scrape(self._registry, status, self.more())), media_type


def _label_values(metric: Counter | Histogram) -> set[tuple[str, ...]]:
    """The values of the labels that a metric has, in the order of its labels."""
    names = metric._labelnames
    return {
        tuple(sample.labels[name] for name in names)
        for family in metric.collect()
        for sample in family.samples
    }


def code_of(reply: Reply) -> str:
    """The status of a call: that of the body if it counts, and ``none`` if no answer came."""
    if reply.error is not None:
        return str(reply.error.status or "none")
    return str(reply.response.status_code) if reply.response is not None else "none"


def actions(counted: Mapping[Any, Any]) -> Iterator[tuple[str, str, int]]:
    """Kind, outcome and number, from the ``actions`` of an ``applied`` event."""
    for kind, outcomes in counted.items():
        for outcome, number in outcomes.items():
            yield str(kind), str(outcome), int(number)


class _Scrape(CollectorRegistry):
    """What is counted, and what the status says, at one moment."""

    def __init__(self, counted: CollectorRegistry, status: Status, more: Iterable[Metric]) -> None:
        super().__init__()
        self._counted = counted
        self._status = status
        self._more = more

    def collect(self) -> Iterator[Metric]:
        for metric in self._counted.collect():
            # When a series began is of no use here, and doubles the number of series.
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric
        build = GaugeMetricFamily("reconciler_build_info", "The version, as a label.", labels=["version"])
        build.add_metric([visible(self._status.version)], 1)
        yield build
        yield from _of_accounts(self._status)
        yield from _of_catalogs(self._status)
        yield from self._more


def _of_accounts(status: Status) -> Iterator[Metric]:
    listings = CounterMetricFamily(
        "reconciler_listing",
        "Listings of an account: nothing had changed, changes were read, or all was read.",
        labels=["account", "how"],
    )
    mismatches = CounterMetricFamily(
        "reconciler_delta_mismatch",
        "Full listings that found a change which cheap looks had missed.",
        labels=["account"],
    )
    for one in {one.account: one for one in status.accounts}.values():
        for how in _HOW:
            listings.add_metric([one.account, how], one.listings.get(how, 0))
        mismatches.add_metric([one.account], one.mismatches)
    yield listings
    yield mismatches


def _of_catalogs(status: Status) -> Iterator[Metric]:
    # Two with the same labels would make the whole answer invalid.
    watched = {_labels(one): one for one in reversed(status.catalogs)}

    def family(name: str, text: str, label: str, read: Read) -> Metric:
        metric = GaugeMetricFamily(
            f"reconciler_{name}", text, labels=[*CATALOG, label] if label else list(CATALOG)
        )
        for labels, one in reversed(watched.items()):
            for value, number in read(one).items():
                metric.add_metric([*labels, visible(value)] if label else list(labels), number)
        return metric

    yield family(
        "last_success_timestamp_seconds",
        "When a look last succeeded, in seconds since 1970.",
        "",
        lambda one: {} if one.last_success is None else {"": one.last_success.timestamp()},
    )
    yield family(
        "sessions",
        "Sessions of the catalog: in_sync, drifted, pending or missing.",
        "state",
        lambda one: one.sessions,
    )
    yield family(
        "drifted_sessions",
        "Sessions that were changed outside git.",
        "",
        lambda one: {"": one.sessions.get("drifted", 0)},
    )
    yield family("pending_changes", "Changes of the pending plan, by kind.", "kind", _pending)
    yield family(
        "pending_since_timestamp_seconds",
        "Since when a plan is pending, in seconds since 1970; absent if none is.",
        "",
        lambda one: {} if one.plan is None else {"": one.plan.since.timestamp()},
    )
    yield family("refusals", "What each guard refuses of the pending plan.", "guard", _refusals)


#: Reads the values of a gauge from the status of a catalog, by label.
Read = Callable[[WatchedStatus], Mapping[str, float]]


def _labels(one: WatchedStatus) -> tuple[str, str, str]:
    return visible(one.catalog), visible(one.environment or ""), one.account


def _pending(one: WatchedStatus) -> Mapping[str, float]:
    return dict.fromkeys(_KINDS, 0) | (dict(one.plan.counts) if one.plan is not None else {})


def _refusals(one: WatchedStatus) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for refusal in one.plan.refusals if one.plan is not None else ():
        found[refusal.guard] = found.get(refusal.guard, 0) + 1
    return found
