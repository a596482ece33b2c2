"""A scripted controller, served on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from reconciler.web import HEADER, Feed, Metrics, serve
from tests.web.scripted import Scripted

TOKEN = "correct-horse-battery-staple"


@dataclass
class Outside:
    """A served controller, and the requests that a test sends it."""

    controller: Scripted
    url: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    feed: Feed = field(default_factory=Feed)

    def get(self, path: str, **given: Any) -> requests.Response:
        return requests.get(self.url + path, **{"timeout": 20, "allow_redirects": False} | given)

    def post(self, path: str, document: Any = None, **given: Any) -> requests.Response:
        headers = {HEADER: "1"} | given.pop("headers", {})
        usual = {"timeout": 20, "allow_redirects": False, "json": document, "headers": headers}
        return requests.post(self.url + path, **usual | given)

    def shown(self) -> dict[str, float]:
        """The metrics, by name and labels as they stand there."""
        lines = self.get("/metrics").text.splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}


def outside(token: str | None = None, listen: str = "127.0.0.1:0") -> Iterator[Outside]:
    started = Outside(Scripted())
    started.controller.listeners += [started.metrics, started.feed]
    with serve(started.controller, listen, token, metrics=started.metrics, feed=started.feed) as url:
        started.url = url
        yield started


@pytest.fixture
def web() -> Iterator[Outside]:
    yield from outside()


@pytest.fixture
def locked() -> Iterator[Outside]:
    """One that needs a token."""
    yield from outside(TOKEN)


@dataclass
class Hook:
    """A webhook on loopback: what it was sent, and what it answers, the last answer again and again."""

    url: str = ""
    answers: list[tuple[int, str]] = field(default_factory=lambda: [(200, "ok")])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    gate: threading.Event | None = None

    def wait(self, number: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= number, 60)

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with found.arrived:
                found.requests.append((self.path, dict(self.headers), body))
                status, text = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
                found.arrived.notify_all()
            if found.gate is not None:
                found.gate.wait()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.send_header("Location", found.url + "/elsewhere")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    if found.gate is not None:
        found.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()
