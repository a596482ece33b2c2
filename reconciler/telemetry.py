"""Traces of `reconciler watch` by OpenTelemetry, if the extra ``otel`` is installed and its variables ask for them.

Events and calls are reported when they are over. So the spans of a look are kept until it ends. They become its
children then, with the times that they had.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from reconciler import __version__
from reconciler.api.client import Observer, Reply
from reconciler.contract import Operation
from reconciler.controller.events import Event
from reconciler.text.escape import visible

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanContext

#: The variables that say where traces go. Without one of them, nothing is imported and nothing is sent.
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

#: How many calls and listings of an account are kept until the end of a look. Older ones are dropped.
KEPT: Final = 2000

_NANO: Final = 1_000_000_000


def start_tracing(
    environ: Mapping[str, str] = os.environ, say: Callable[[str], None] = lambda sentence: None
) -> Tracing | None:
    """Traces to where the variables of OpenTelemetry say; None if they name no place, or switch traces off.

    ``say`` gets a sentence if they name one, but nothing can be sent.
    """
    exporter, disabled = environ.get("OTEL_TRACES_EXPORTER", "otlp"), environ.get("OTEL_SDK_DISABLED", "")
    if not any(map(environ.get, ENDPOINTS)) or exporter == "none" or disabled.lower() == "true":
        return None
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if exporter != "otlp" or protocol not in (None, "", "http/protobuf"):
        say(
            "no traces are sent: only OTLP over HTTP is supported (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)"
        )
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        say("no traces are sent: OpenTelemetry is not installed (`pip install 'persona-reconciler[otel]'`)")
        return None
    attributes = {"service.version": __version__}
    if not environ.get("OTEL_SERVICE_NAME") and "service.name=" not in environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        attributes["service.name"] = "reconciler"
    provider = TracerProvider(resource=Resource.create(attributes))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


@dataclass(slots=True)
class _Done:
    """A span that is over: its times are in nanoseconds since 1970."""

    name: str
    start: int
    end: int
    attributes: dict[str, Any]
    failed: bool = False
    call: bool = False
    parts: list[_Done] = field(default_factory=list)


@dataclass(slots=True)
class _Account:
    """What is over in an account, and belongs to a look that is not, and the last look."""

    done: deque[_Done] = field(default_factory=lambda: deque(maxlen=KEPT))
    look: tuple[float, SpanContext] | None = None

    def gather(self, name: str, end: int, attributes: dict[str, Any]) -> None:
        """Make one span of the calls so far."""
        calls = [one for one in self.done if one.call]
        rest = [one for one in self.done if not one.call]
        start = min((one.start for one in calls), default=end)
        self.done.clear()
        self.done.extend([*rest, _Done(name, start, max(end, start), attributes, parts=calls)])


class Tracing:
    """Makes spans of looks, listings, applies and calls. It is an ``OnEvent``; give :meth:`observer` to clients."""

    def __init__(self, provider: TracerProvider, now: Callable[[], int] = time.time_ns) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("reconciler", __version__)
        self._now = now
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Send what is left. The variables of OpenTelemetry limit how long that takes."""
        self._provider.shutdown()

    def observer(self, account: str) -> Observer:
        """Sees the calls of an account. Neither a query nor a body becomes an attribute."""

        def called(operation: Operation, fields: Mapping[str, Any], reply: Reply) -> None:
            end = self._now()
            attributes: dict[str, Any] = {
                "http.request.method": operation.method,
                "reconciler.account": account,
            }
            took = 0.0
            if reply.response is not None:
                took = reply.response.elapsed.total_seconds()
                attributes["http.response.status_code"] = reply.response.status_code
                attributes["server.address"] = urlsplit(reply.response.url or "").hostname or ""
            failed = reply.error is not None
            if reply.error is not None:
                attributes["error.type"] = str(reply.error.status or "no answer")
            done = _Done(operation.name, end - int(took * _NANO), end, attributes, failed, call=True)
            with self._lock:
                self._of(account).done.append(done)

        return called

    def __call__(self, event: Event) -> None:
        with self._lock:
            account = self._of(event.account)
            end = _nanoseconds(event.at)
            about = {"reconciler.account": event.account} | _named(event)
            if event.kind == "listed":
                account.gather("listing", end, about | {"reconciler.how": str(event.facts.get("how", ""))})
            elif event.kind == "applied":
                facts = {f"reconciler.{name}": event.facts[name] for name in ("run", "exit_code")}
                account.gather("apply", end, about | facts)
            elif event.kind == "looked":
                self._look(account, event, end, about)

    def _of(self, account: str) -> _Account:
        return self._accounts.setdefault(account, _Account())

    def _look(self, account: _Account, event: Event, end: int, about: dict[str, Any]) -> None:
        """The spans of a look. Catalogs that were looked at together are linked to the first of them."""
        from opentelemetry.trace import Link

        seconds, outcome = float(event.facts["seconds"]), str(event.facts["outcome"])
        done = _Done(
            "look",
            end - int(seconds * _NANO),
            end,
            about | {"reconciler.outcome": outcome},
            failed=outcome == "Failing",
            parts=list(account.done),
        )
        account.done.clear()
        together = account.look is not None and account.look[0] == seconds
        links = [Link(account.look[1])] if together and account.look is not None else []
        span = self._emit(done, None, links)
        if not together:
            account.look = seconds, span.get_span_context()

    def _emit(self, done: _Done, parent: Span | None, links: list[Any] | None = None) -> Span:
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        span = self._tracer.start_span(
            done.name,
            context=None if parent is None else set_span_in_context(parent),
            kind=SpanKind.CLIENT if done.call else SpanKind.INTERNAL,
            attributes=done.attributes,
            links=links or [],
            start_time=done.start,
        )
        if done.failed:
            span.set_status(StatusCode.ERROR)
        for part in done.parts:
            self._emit(part, span)
        span.end(done.end)
        return span


def _named(event: Event) -> dict[str, str]:
    names = {"catalog": event.catalog, "environment": event.environment or "", "watched": event.watched}
    return {f"reconciler.{name}": visible(value) for name, value in names.items() if value}


def _nanoseconds(moment: datetime) -> int:
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * _NANO + since.microseconds * 1000
