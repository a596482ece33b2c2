"""A list that is kept, of the second service. It sorts sessions with the same time in no particular order."""

from __future__ import annotations

from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from tests.api.kept import OLD, Kept, contract
from tests.services.calling import Api, of
from tests.services.drf.running import needs_drf

pytestmark = needs_drf

LATER = "2026-01-02 12:00:00"


@of("rest-id")
def test_each_kind_of_change_is_seen_and_costs_little(api: Api) -> None:
    service = api.service
    ids = [service.put_session(created_at=OLD, updated_at=OLD) for _ in range(100)]
    with Client(Endpoint("drf", service.url, api_key=service.key), contract(10)) as client:
        kept = Kept(client)
        kept.close_stamps()
        assert kept.look() == 2
        service.change_session(ids[5], prompt="x", updated_at=LATER)
        assert kept.look() == 3
        service.put_session(created_at=LATER, updated_at=LATER)
        assert kept.look() == 2
        service.remove_session(ids[70])
        assert kept.look() <= 10
        assert kept.list.looks["full"] == 2  # all shared one stamp at first, which the second look closed
