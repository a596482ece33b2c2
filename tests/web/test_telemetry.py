"""Traces: which spans there are, and that nothing is imported without a reason."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reconciler.api.client import Reply
from reconciler.api.errors import ApiError
from reconciler.contract import load_contract
from reconciler.controller.events import Event
from reconciler.telemetry import ENDPOINTS, KEPT, Tracing, start_tracing
from tests.web.scripted import ACCOUNT, NOW
from tests.webhook import Hook

SECOND = 1_000_000_000
START = int(NOW.timestamp()) * SECOND


class Traced:
    """A tracing whose clock a test sets, and its spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.now = START
        self.tracing = Tracing(provider, lambda: self.now)

    def call(self, operation: str, at: float, took: float = 0.0, error: ApiError | None = None) -> None:
        self.now = START + int(at * SECOND)
        response = None
        if error is None or error.http_status:
            response = requests.Response()
            response.status_code = error.http_status if error else 200
            response.elapsed = timedelta(seconds=took)
            response.url = "https://api.example.com/v1/session/?session_name=a-prompt"
        fields = {"prompt": "a prompt"}
        self.tracing.observer(ACCOUNT)(
            load_contract().operation(operation), fields, Reply({}, response, error)
        )

    def tell(self, kind: Any, at: float, catalog: str = "bookshop", **facts: Any) -> None:
        moment = NOW + timedelta(seconds=at)
        self.tracing(Event(kind, moment, ACCOUNT, catalog, catalog, None, "a sentence", facts))

    def tree(self) -> dict[str, tuple[str | None, float, float]]:
        """Each span's parent, start and end."""
        spans = self.exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans if span.context}
        return {
            span.name: (
                names[span.parent.span_id] if span.parent else None,
                ((span.start_time or 0) - START) / SECOND,
                ((span.end_time or 0) - START) / SECOND,
            )
            for span in spans
        }


def test_a_look_with_its_listing_its_apply_and_their_calls() -> None:
    traced = Traced()
    traced.call("list_sessions", 1.0, 0.25)
    traced.tell("listed", 1.5, "", how="delta")
    traced.call("update_session", 3.0, 0.5)
    traced.tell("applied", 3.5, run="r-1", exit_code=0, actions={})
    traced.tell("looked", 4.0, outcome="InSync", seconds=3.5)
    assert traced.tree() == {
        "look": (None, 0.5, 4.0),
        "listing": ("look", 0.75, 1.5),
        "list_sessions": ("listing", 0.75, 1.0),
        "apply": ("look", 2.5, 3.5),
        "update_session": ("apply", 2.5, 3.0),
    }
    spans = {span.name: span for span in traced.exporter.get_finished_spans()}
    assert spans["look"].attributes == {
        "reconciler.account": ACCOUNT,
        "reconciler.catalog": "bookshop",
        "reconciler.watched": "bookshop",
        "reconciler.outcome": "InSync",
    }
    assert spans["list_sessions"].attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "api.example.com",
        "reconciler.account": ACCOUNT,
    }
    assert (spans["listing"].attributes or {})["reconciler.how"] == "delta"
    assert (spans["apply"].attributes or {})["reconciler.run"] == "r-1"


def test_catalogs_that_were_looked_at_together_are_linked() -> None:
    traced = Traced()
    traced.call("list_sessions", 1.0)
    for catalog in ("one", "two"):
        traced.tell("looked", 2.0, catalog, outcome="InSync", seconds=1.5)
    traced.tell("looked", 9.0, "one", outcome="InSync", seconds=0.5)
    first, second, later = [one for one in traced.exporter.get_finished_spans() if one.name == "look"]
    assert [link.context.span_id for link in second.links] == [first.context.span_id]  # type: ignore[union-attr]
    assert not first.links
    assert not later.links


def test_what_failed_says_so_without_a_word_of_the_answer() -> None:
    traced = Traced()
    refused = ApiError("list_sessions", "secret words", http_status=401, server_message="secret words")
    traced.call("list_sessions", 1.0, 0.1, refused)
    traced.call("create_session", 1.0, 0.1, ApiError("create_session", "no answer"))
    traced.tell("looked", 2.0, outcome="Failing", seconds=1.5)
    spans = {span.name: span for span in traced.exporter.get_finished_spans()}
    assert {name: span.status.is_ok for name, span in spans.items()} == dict.fromkeys(spans, False)
    assert (spans["list_sessions"].attributes or {})["error.type"] == "401"
    assert (spans["create_session"].attributes or {})["error.type"] == "no answer"
    text = str([span.to_json() for span in spans.values()])
    assert "secret" not in text
    assert "prompt" not in text


def test_calls_without_a_look_are_not_kept_for_ever() -> None:
    traced = Traced()
    for _ in range(KEPT + 10):
        traced.call("list_sessions", 1.0)
    traced.tell("looked", 2.0, outcome="InSync", seconds=1.5)
    assert len(traced.exporter.get_finished_spans()) == KEPT + 1


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, []),
        ({ENDPOINTS[0]: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, []),
        ({ENDPOINTS[0]: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, []),
        (
            {ENDPOINTS[1]: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            [
                "no traces are sent: only OTLP over HTTP is supported "
                "(OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)"
            ],
        ),
    ],
)
def test_there_are_no_traces_unless_asked_for(environ: dict[str, str], said: list[str]) -> None:
    told: list[str] = []
    assert start_tracing(environ, told.append) is None
    assert told == said


def test_traces_go_to_where_the_variables_say(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINTS[0], hook.url)
    tracing = start_tracing()
    assert tracing is not None
    tracing(Event("looked", NOW, ACCOUNT, "bookshop", facts={"outcome": "InSync", "seconds": 1}))
    tracing.close()
    path, _, body = hook.requests[0]
    assert path == "/v1/traces"
    assert b"reconciler" in body  # the name of the service
    assert b"look" in body


def test_without_the_extra_it_is_said_and_without_the_variables_nothing_is_imported() -> None:
    program = """
import sys
sys.modules.update(dict.fromkeys(("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter")))
from reconciler.telemetry import start_tracing
print(start_tracing({}), start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, print))
print([name for name, one in sys.modules.items() if name.startswith("opentelemetry") and one])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == (
        "no traces are sent: OpenTelemetry is not installed (`pip install 'persona-reconciler[otel]'`)\n"
        "None None\n[]\n"
    )
