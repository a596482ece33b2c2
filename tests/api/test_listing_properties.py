"""Whatever others do between two requests, a listing ends and contains every session that existed throughout."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.api import listing
from reconciler.api.errors import UnreliableListError
from reconciler.api.listing import PASSES, SWEEPS, Found, Ordering, read_list
from reconciler.domain import Listing
from tests.api.listing_model import Model, Move

POSITIONS = st.integers(0, 40)
WRITES = st.one_of(st.just("create"), st.just("update"), POSITIONS)


def shuffled(seed: int) -> Callable[[list[int]], list[int]]:
    """An order in which the pages of a pass are read."""
    return lambda numbers: random.Random(seed).sample(numbers, len(numbers))


def bound(model: Model) -> int:
    """How many calls a listing takes at most."""
    pages = -(-max(1, model.most) // model.size)
    return (PASSES + SWEEPS) * (pages + 1) + 2 * SWEEPS * pages + 3


def check(model: Model, found: Found) -> None:
    """Nothing is missed, nothing comes twice, nothing is made up, and it ended in time."""
    ids = [live.session_id for live in found.sessions]
    assert ids == sorted(set(ids))
    assert model.throughout <= set(ids) <= model.ever
    assert found.listing.calls == model.requests <= bound(model)


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 7),
    moves=st.lists(st.lists(WRITES, max_size=4), max_size=60),
    again=st.booleans(),
    seed=st.integers(0, 1000),
)
@example(count=9, size=2, moves=[[], [], [0], [], ["create"], [0]], again=True, seed=1)
def test_nothing_that_was_there_throughout_is_missed(
    count: int, size: int, moves: list[list[Move]], again: bool, seed: int
) -> None:
    """``again``: the same writes over and over, so that no pass is left in peace."""
    endless = iter(lambda: None, 0) if again and moves else iter(())  # type: ignore[var-annotated,arg-type]
    model = Model(list(range(1, count + 1)), size, _chain(moves, endless), shuffled(seed))
    check(model, read_list(model))


def _chain(moves: list[list[Move]], endless: Iterator[None]) -> Iterator[list[Move]]:
    yield from moves
    for _ in endless:
        yield from moves


@given(
    count=st.integers(0, 40),
    size=st.integers(2, 7),
    moves=st.lists(st.lists(st.one_of(WRITES, st.just("begin"), st.just("end")), max_size=4), max_size=60),
    seed=st.integers(0, 1000),
)
def test_ids_that_become_visible_late_hide_nothing(
    count: int, size: int, moves: list[list[Move]], seed: int
) -> None:
    model = Model(list(range(1, count + 1)), size, iter(moves), shuffled(seed))
    try:
        found = read_list(model)
    except UnreliableListError:
        # Two sweeps, with one that came late in each between the looks at the end: nothing is claimed then.
        assert model.requests <= bound(model)
        return
    check(model, found)


@pytest.mark.parametrize("connections", [1, 4, 16])
def test_a_list_on_which_nobody_deletes_takes_one_pass(connections: int) -> None:
    """New sessions come all the time: they shift no page of a pass that goes oldest first."""
    model = Model(list(range(1, 1001)), 10, iter(lambda: ["create"], None), shuffled(connections))
    found = read_list(model)
    check(model, found)
    assert (found.listing.passes, found.listing.way) == (1, "fast")
    assert found.listing.calls <= 1 + 99 + 14  # the pages, and the hundred new ones at the end
    assert found.sessions[-1].session_id > 1090


def test_a_deletion_costs_one_more_pass() -> None:
    """The session is deleted after its page was read, and shifts a row over the next page's edge."""
    model = Model(list(range(1, 31)), 3, iter([[], [], [0]]))
    found = read_list(model)
    check(model, found)
    assert found.listing == Listing(calls=1 + 9 + 1 + 9 + 1, passes=2, way="fast")


def test_two_passes_with_a_deletion_each_make_one_list() -> None:
    """What the first one missed, the second one has, although it misses something itself."""
    in_each = [[], [], [0], [], [], [], [], [], [], []]
    model = Model(list(range(1, 31)), 3, iter(in_each * 2))
    found = read_list(model)
    check(model, found)
    assert found.listing == Listing(calls=1 + 9 + 1 + 9 + 1, passes=2, way="united")


def test_a_session_that_is_deleted_unread_starts_the_count_afresh() -> None:
    """No pass of the first count can see it any more."""
    model = Model(list(range(1, 31)), 3, iter([[], [], [20, 0]]))
    found = read_list(model)
    check(model, found)
    assert (found.listing.passes, found.listing.way) == (2, "fast")
    assert {1, 21}.isdisjoint(live.session_id for live in found.sessions)


def test_deletions_all_the_time_lead_to_a_sweep() -> None:
    model = Model(list(range(1, 1001)), 10, iter(lambda: [0, "create"], None), shuffled(7))
    found = read_list(model)
    check(model, found)
    assert (found.listing.passes, found.listing.way) == (2, "sweep")


def test_new_sessions_are_in_the_result() -> None:
    """Those of ours among them are what matters."""
    model = Model(list(range(1, 31)), 3, iter([[], [], ["create"], ["create"] * 5]))
    found = read_list(model)
    assert [live.session_id for live in found.sessions] == list(range(1, 37))


@pytest.mark.parametrize("filtered", [True, False])
def test_one_that_is_renamed_into_the_filter_does_not_stand_in_for_one_that_is_missed(filtered: bool) -> None:
    """Pages are read from the last on, and before the first one a session joins that shifts a row to the second."""
    joining: list[list[Move]] = [[]] * 9 + [["join"]]
    model = Model(list(range(1, 31)), 3, iter(joining), lambda numbers: numbers[::-1])
    found = {live.session_id for live in read_list(model, filtered=filtered).sessions}
    assert (model.throughout <= found) == filtered


# Servers that do what they must not


def ignoring_order(model: Model, ordering: Ordering, number: int, ids: list[int]) -> list[int]:
    return sorted(ids, key=lambda one: one * 7 % 5)


def hiding(model: Model, ordering: Ordering, number: int, ids: list[int]) -> list[int]:
    return [4 if one == 5 else one for one in ids]


@pytest.mark.parametrize("busy", [False, True])
def test_a_server_that_does_not_order_is_an_error_at_once(busy: bool) -> None:
    model = Model(list(range(1, 31)), 5, iter(lambda: [0] if busy else [], None), distort=ignoring_order)
    with pytest.raises(
        UnreliableListError, match=r"#\d+ came after #\d+, where ordering=-session_id was asked for"
    ):
        read_list(model)
    assert model.requests == 1


def test_a_server_that_gives_an_id_twice_in_a_quiet_list_is_an_error() -> None:
    """Pages of two: #4 stands on the second page and, in place of #5, on the third."""
    model = Model(list(range(1, 31)), 2, distort=hiding)
    with pytest.raises(UnreliableListError) as caught:
        read_list(model)
    assert str(caught.value) == (
        "the list of sessions can't be relied on: #4 is on two pages, and others of 30 on none"
    )
    assert model.requests == 1 + PASSES * 15


def test_and_in_one_where_others_create_as_well() -> None:
    """A sweep sees fewer sessions than the count says are left."""
    model = Model(list(range(1, 31)), 2, iter(lambda: ["create"], None), shuffled(3), hiding)
    with pytest.raises(UnreliableListError, match="the list of sessions can't be relied on: "):
        read_list(model)
    assert PASSES * 15 < model.requests <= bound(model)


def test_a_page_size_that_changes_is_seen() -> None:
    model = Model(list(range(1, 101)), 10, iter(lambda: [0], None))

    def shrink(model: Model, ordering: Ordering, number: int, ids: list[int]) -> list[int]:
        return ids[:5] if ordering == "session_id" and number == 4 else ids

    model.distort = shrink
    with pytest.raises(UnreliableListError, match="changes the number of rows on a page while it is read"):
        read_list(model)


def _whatever_their_size(self: Any, start: Any) -> bool:
    for number in range(start.pages, 0, -1):
        self.calls += 1
        page = self.pages.one("session_id", number)
        if page is not None:
            self._add(page)
    return True


def test_without_that_check_rows_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that gives half its rows to nobody: neither the order nor the count of it shows that."""
    monkeypatch.setattr(listing._Reading, "_sweep", _whatever_their_size)
    monkeypatch.setattr(listing._Reading, "_see_new", lambda self, start, first: None)
    model = Model(list(range(1, 101)), 10, iter(lambda: [0], None))
    model.distort = lambda model, ordering, number, ids: ids[:5] if number == 4 else ids
    found = {live.session_id for live in read_list(model).sessions}
    assert not model.throughout <= found


# Each check matters: without it, the model finds a session that is missed


def _complete_anyway(self: Any, starts: Any) -> Any:
    return starts[-1]


def _count_all_passes(self: Any, starts: Any) -> Any:
    """As if rows from before a first page counted for it."""
    start = starts[-1]
    return start if self.seen.count(0, start.edge) == start.below else None


def _upwards(self: Any, start: Any) -> bool:
    for number in range(1, start.pages + 1):
        self.calls += 1
        page = self.pages.one("session_id", number)
        if page is not None:
            self._add(page)
    return True


def _missed(seed: int) -> bool:
    chance = random.Random(seed)

    def writes() -> Iterator[list[Move]]:
        while True:
            yield [
                chance.choice(["create", chance.randrange(40)]) for _ in range(chance.choice([0, 0, 0, 1, 2]))
            ]

    model = Model(list(range(1, chance.randrange(10, 60))), chance.randrange(2, 6), writes(), shuffled(seed))
    try:
        found = read_list(model)
    except UnreliableListError:
        return False
    return not model.throughout <= {live.session_id for live in found.sessions}


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        (None, None),
        ("_complete", _complete_anyway),
        ("_complete", _count_all_passes),
        ("_sweep", _upwards),
    ],
)
def test_each_check_matters(name: str | None, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if name is not None:
        monkeypatch.setattr(listing._Reading, name, mutant)
        # The look at the end would notice some of it.
        monkeypatch.setattr(listing._Reading, "_see_new", lambda self, start, first: None)
    assert any(map(_missed, range(400))) == (name is not None)
