"""Random steps: a few hundred, always the same, and with ``--full`` ten thousand new ones. A failure shows the seed."""

from __future__ import annotations

import secrets

import pytest


@pytest.fixture
def steps(pytestconfig: pytest.Config) -> int:
    """How many random steps a test takes."""
    return 10_000 if pytestconfig.getoption("--full") else 300


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """What decides the steps."""
    seed = secrets.randbelow(10**6) if pytestconfig.getoption("--full") else 19
    print(f"seed {seed}")
    return seed
