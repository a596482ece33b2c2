"""A service and a controller for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.world import World, world


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """A world with a catalog ``shop`` of two sessions."""
    with world(tmp_path) as found:
        found.write(alice="Be kind.", bob="Be brief.")
        yield found
