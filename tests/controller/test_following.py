"""Catalogs that come, go and change while their account is looked at."""

from __future__ import annotations

import pytest

from reconciler.controller.settings import FULL_INTERVAL
from reconciler.errors import UsageError
from reconciler.server import LoggedRequest
from tests.controller.world import World, main, shop


def test_a_catalog_that_comes_is_kept_beside_those_that_are_there(here: World) -> None:
    here.write("cafe", carol="Be quick.")
    first, second = here.watched(mode="apply"), here.watched("cafe", mode="apply")
    with here.controller(first) as controller:
        here.turn(controller)
        controller.follow([first, second], FULL_INTERVAL)
        assert not controller.watches(second)
        here.turn(controller)
        assert controller.watches(first)
        assert controller.watches(second)
        assert shop(controller, "cafe").state == "InSync"
    assert sorted(here.rows()) == ["Alice", "Bob", "Carol"]
    assert [one.watched for one in here.events if one.kind == "revision"] == ["shop", "cafe"]


def test_a_catalog_that_goes_begins_no_further_write_and_the_others_go_on(here: World) -> None:
    here.write(**{f"p{number}": "Be kind." for number in range(9)})
    here.write("cafe", carol="Be quick.")
    first, second = here.watched(mode="apply"), here.watched("cafe", mode="apply")
    with here.controller(first, second, accounts=[here.account(parallelism=1)]) as controller:

        def let_go(entry: LoggedRequest) -> None:
            if entry.operation == "create_session" and "P3" in here.rows():
                controller.follow([second], FULL_INTERVAL)

        here.server.before.append(let_go)
        here.turn(controller)
        assert controller.has("cafe")
        assert not controller.has("shop")
        assert shop(controller, "cafe").state == "InSync"
    names = set(here.rows())
    assert "Carol" in names
    assert "P8" not in names
    assert not any(name.startswith("reconciler lock") for name in names)


def test_other_settings_take_the_place_of_those_before(here: World) -> None:
    before = here.watched(mode="observe")
    with here.controller(before) as controller:
        here.turn(controller)
        assert shop(controller).state == "PlanPending"
        here.modes.add("apply")
        controller.follow([here.watched(mode="apply")], FULL_INTERVAL)
        assert controller.watches(before)
        assert controller.has("shop")
        here.turn(controller)
        assert not controller.watches(before)
        assert (shop(controller).mode, shop(controller).state) == ("apply", "InSync")
    assert len(here.writes()) == 2


def test_a_suspended_catalog_is_not_looked_at_any_more(here: World) -> None:
    with here.controller(here.watched()) as controller:
        here.turn(controller)
        controller.follow([here.watched(suspended=True)], FULL_INTERVAL)
        here.turn(controller, 600)
        calls = here.calls()
        here.turn(controller, 3600)
        assert here.calls() == calls
        assert shop(controller).state == "Suspended"


def test_the_account_is_listed_page_by_page_as_often_as_its_catalogs_say(here: World) -> None:
    watched = here.watched(interval=60.0)
    with here.controller(watched) as controller:
        here.turn(controller)
        controller.follow([watched], 100.0)
        here.turn(controller, 1000)
        assert main(controller).listings["full"] >= 5


def test_what_can_not_be_watched_is_refused_and_nothing_changes(here: World) -> None:
    watched = here.watched()
    with here.controller(watched) as controller:
        here.turn(controller)
        with pytest.raises(UsageError, match="two watched catalogs have the name 'shop'"):
            controller.follow([watched, here.watched()], FULL_INTERVAL)
        with pytest.raises(UsageError, match="names the account 'other', and there is none"):
            controller.follow([here.watched(account="other")], FULL_INTERVAL)
        here.turn(controller, 600)
        assert controller.watches(watched)
