"""The second service in one of its variants, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.services.calling import Api
from tests.services.drf.running import Service, running_drf
from tests.services.drf.variant import read_variant
from tests.services.drf.variants import VARIANTS


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest) -> Iterator[tuple[str, Service]]:
    name = request.param
    with running_drf(**VARIANTS[name]) as service:
        yield name, service


@pytest.fixture
def api(world: tuple[str, Service]) -> Iterator[Api]:
    """An empty service, and somebody to call it."""
    name, service = world
    service.empty()
    variant = read_variant(
        {"DRF_API_KEYS": "k", **{"DRF_" + k.upper(): v for k, v in VARIANTS[name].items()}}
    )
    with requests.Session() as http:
        yield Api(service, variant, http)
