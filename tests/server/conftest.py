from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from reconciler.server import RunningServer, running_server


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with nothing in it."""
    with running_server(None) as running:
        yield running


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """A client that keeps its connection, as real ones do."""
    with requests.Session() as session:
        yield session
