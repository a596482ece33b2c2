"""What another process or another catalog forbids."""

from __future__ import annotations

from pathlib import Path

from reconciler.controller.rule import Rule
from reconciler.server import Quirks
from tests.controller.world import World, shop, world


def test_who_does_not_hold_the_lease_writes_nothing(here: World) -> None:
    held = False
    with here.controller(here.watched(mode="apply"), rule=Rule(holding=lambda: held)) as controller:
        here.turn(controller, 600)
        assert here.writes() == []
        assert here.locking == set()
        assert shop(controller).reason == "waits for the lease, which this process does not hold now"
        held = True
        here.turn(controller, 5)  # not only with the next interval
        assert shop(controller).state == "InSync"


def test_what_ends_within_a_look_is_not_waited_for_until_the_next_one(here: World) -> None:
    answers = iter(["somebody else"])
    rule = Rule(forbids=lambda status: next(answers, ""))
    with here.controller(here.watched(mode="apply", interval=300.0), rule=rule) as controller:
        here.turn(controller, 1)
        assert shop(controller).state == "InSync"


def test_a_lease_that_is_lost_within_a_run_ends_it(here: World) -> None:
    left = 12

    def holding() -> bool:
        nonlocal left
        left -= 1
        return left > 0

    here.write(**{f"p{number}": "Be kind." for number in range(9)})
    one_by_one = [here.account(parallelism=1)]
    rule = Rule(holding=holding)
    with here.controller(here.watched(mode="apply"), accounts=one_by_one, rule=rule) as controller:
        here.turn(controller)
    assert 0 < len(here.writes()) < 9
    assert shop(controller).runs[0].exit_code != 0


def test_what_another_catalog_forbids_is_waited_for(here: World) -> None:
    why = "somebody else"
    with here.controller(here.watched(mode="apply"), rule=Rule(forbids=lambda status: why)) as controller:
        here.turn(controller)
        assert here.writes() == []
        assert shop(controller).reason == "waits for somebody else"
        why = ""
        here.turn(controller, 5)
        assert shop(controller).state == "InSync"


def test_after_a_take_over_the_list_is_waited_for(here: World) -> None:
    rule = Rule(since=here.clock.monotonic())
    with here.controller(here.watched(mode="apply", settle=10.0), rule=rule) as controller:
        here.turn(controller, 9)
        assert here.writes() == []
        assert shop(controller).reason.startswith("waits for the list, which may lag behind")
        here.turn(controller, 2)
        assert shop(controller).state == "InSync"


def test_a_list_that_still_shows_the_lock_of_the_run_before_keeps_nobody(tmp_path: Path) -> None:
    with world(tmp_path, quirks=Quirks(late_changes=60)) as here:
        here.write(alice="Be kind.")
        with here.controller(here.watched(mode="apply")) as controller:
            here.turn(controller, 5)
            here.write(alice="Be kind.", bob="Be brief.")
            here.turn(controller, 5)
            assert sorted(here.rows()) == ["Alice", "Bob"]  # and no lock
        assert here.said("standby") == []
