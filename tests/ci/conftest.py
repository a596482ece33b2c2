from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.server import RunningServer, running_server
from tests.ci.forge import Forge, running_forge
from tests.support import API_KEY


@pytest.fixture
def forge() -> Iterator[Forge]:
    """A forge with nothing on it."""
    with running_forge() as running:
        yield running


@pytest.fixture
def service() -> Iterator[RunningServer]:
    """A service with no sessions, for those who have the key."""
    with running_server(None, require_key=API_KEY) as running:
        yield running
