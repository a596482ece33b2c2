"""Catalogs that are written at the same time share their looks, and each gets a list that was read after it asked."""

from __future__ import annotations

import random
import threading
from functools import partial
from typing import Any

import pytest

from reconciler.api.cancellation import Interrupted
from reconciler.controller.together import Member, write_together
from reconciler.domain import Keep
from tests.controller.world import World, main, shop


class Counter:
    """A list whose content is how often the account was looked at."""

    def __init__(self) -> None:
        self.number = 0
        self.looking = threading.Lock()
        self.full: list[bool] = []

    def look(self, keep: Keep, full: bool) -> Any:
        with self.looking:
            self.number += 1
            self.full.append(full)

    def expect(self, keep: Keep) -> None:
        pass

    def sessions(self, *, keep: Keep, recent: float) -> Any:
        return self.number


def together(lister: Counter, works: list[Any], most: int) -> bool:
    return write_together(lister, lister.look, works, most)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [1, 3, 8])
def test_each_gets_a_list_that_was_read_after_it_asked(seed: int, most: int) -> None:
    chance, lister = random.Random(seed), Counter()
    wrong: list[int] = []

    def work(looks: int, member: Member) -> bool:
        for _ in range(looks):
            before = lister.number
            found: Any = member.sessions(full=chance.random() < 0.2)
            if found <= before:
                wrong.append(found)
        return looks > 0

    counts = [chance.choice([0, 1, 2, 2, 2, 3]) for _ in range(20)]
    assert together(lister, [partial(work, count) for count in counts], most) is (max(counts) > 0)
    assert wrong == []
    assert lister.number <= sum(counts)


def test_what_verifies_some_is_what_the_next_ones_begin_with() -> None:
    lister = Counter()

    def work(member: Member) -> bool:
        member.sessions()
        member.sessions()
        return True

    assert together(lister, [work] * 12, 4)
    assert lister.number == 4


def test_a_page_by_page_list_for_one_is_read_page_by_page() -> None:
    lister = Counter()

    def work(number: int, member: Member) -> bool:
        member.sessions(full=number == 1)
        member.sessions()
        return True

    together(lister, [partial(work, number) for number in range(3)], 3)
    assert lister.full == [True, False]


@pytest.mark.parametrize("error", [ValueError("no"), Interrupted()])
def test_a_look_that_fails_fails_for_all_who_wait_and_nobody_begins(error: BaseException) -> None:
    lister = Counter()
    begun: list[int] = []

    def look(keep: Keep, full: bool) -> Any:
        raise error

    def work(number: int, member: Member) -> bool:
        begun.append(number)
        member.sessions()
        return True

    works = [partial(work, number) for number in range(9)]
    with pytest.raises(type(error)):
        write_together(lister, look, works, 3)  # type: ignore[arg-type]
    assert sorted(begun) == [0, 1, 2]


def test_many_catalogs_take_few_calls_beside_their_writes(here: World) -> None:
    names = [f"shop-{number}" for number in range(16)]
    for name in names:
        here.write(name, **{f"{name}-{one}": "Be kind." for one in ("alice", "bob")})
    with here.controller(*(here.watched(name, mode="apply") for name in names)) as controller:
        here.turn(controller)
        assert {shop(controller, name).state for name in names} == {"InSync"}
        looks = sum(main(controller).listings.values())
    assert len(here.writes()) == 2 * len(names)
    assert looks == 5  # what there is, before and after each half, and what came of it
    locks = 3 * len(names)
    assert here.calls() - len(here.writes()) - locks <= looks
