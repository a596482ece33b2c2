"""A scripted controller, served on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from reconciler.web import HEADER, Feed, Metrics, serve
from tests.web.scripted import Scripted
from tests.webhook import Hook, listening_hook

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


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening_hook() as found:
        yield found
