"""Whatever others do between two requests, a listing ends and contains every session that existed throughout."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.api import listing, segments
from reconciler.api.errors import UnreliableListError
from reconciler.api.listing import TRIES, Found, Ordering, read_filtered, read_list
from reconciler.api.segments import in_turn, split
from reconciler.domain import Listing
from tests.api.listing_model import Model, Move

POSITIONS = st.integers(0, 40)
WRITES: st.SearchStrategy[Move] = st.one_of(st.just("create"), st.just("update"), POSITIONS)
LATE: st.SearchStrategy[Move] = st.one_of(WRITES, st.just("begin"), st.just("end"))
RENAMES: st.SearchStrategy[Move] = st.one_of(WRITES, st.tuples(st.just("join"), POSITIONS))


def writes(of: st.SearchStrategy[Move]) -> st.SearchStrategy[list[list[Move]]]:
    """What is done before each request."""
    return st.lists(st.lists(of, max_size=4), max_size=60)


def bound(model: Model) -> int:
    """How many calls a listing takes at most: the pages three times, the first page, and the new ones at the end."""
    pages = model.most // model.size + 1
    return TRIES * (4 * pages + 1) + 1


def check(model: Model, found: Found) -> None:
    """Nothing is missed, nothing comes twice, nothing is made up, and it ended in time."""
    ids = [live.session_id for live in found.sessions]
    assert ids == sorted(set(ids))
    assert model.throughout <= set(ids) <= model.ever
    assert found.listing.calls == model.requests <= bound(model)


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 7),
    moves=writes(WRITES),
    again=st.booleans(),
    seed=st.integers(0, 1000),
    ahead=st.integers(1, 9),
)
@example(count=9, size=2, moves=[[], [], [0], [], ["create"], [0]], again=True, seed=1, ahead=4)
def test_nothing_that_was_there_throughout_is_missed(
    count: int, size: int, moves: list[list[Move]], again: bool, seed: int, ahead: int
) -> None:
    """``again``: the same writes over and over, so that it is never left in peace."""
    endless = chain.from_iterable(repeat(moves)) if again and moves else iter(moves)
    model = Model(list(range(1, count + 1)), size, endless, seed, ahead)
    found = read_list(model)
    check(model, found)
    assert found.listing.passes == 1


@given(
    ids=st.sets(st.integers(1, 60), max_size=40),
    size=st.integers(2, 7),
    moves=writes(LATE),
    seed=st.integers(0, 1000),
)
def test_ids_that_become_visible_late_hide_nothing(
    ids: set[int], size: int, moves: list[list[Move]], seed: int
) -> None:
    model = Model(sorted(ids), size, iter(moves), seed)
    try:
        found = read_list(model)
    except UnreliableListError:
        # Each time, one came late between the looks at the end: nothing is claimed then.
        assert model.requests <= bound(model)
        return
    check(model, found)


@given(
    ids=st.sets(st.integers(1, 60), max_size=40),
    size=st.integers(1, 7),
    moves=writes(RENAMES),
    seed=st.integers(0, 1000),
    sized=st.booleans(),
)
def test_a_filter_that_sessions_are_renamed_into_and_out_of_hides_nothing(
    ids: set[int], size: int, moves: list[list[Move]], seed: int, sized: bool
) -> None:
    """None: it can't be proved, and all sessions are listed instead."""
    model = Model(sorted(ids), size, iter(moves), seed, sized=sized)
    found = read_filtered(model)
    assert model.requests <= TRIES * 2 * (model.most // model.size + 1)
    if found is not None:
        check(model, found)


@pytest.mark.parametrize("size", [10, 20, 100])
def test_a_filter_on_a_quiet_account_takes_about_two_calls_a_page(size: int) -> None:
    """However many pages there are: some size has the edge between any two of them near the middle of a page."""
    model = Model(list(range(2, size * 300, 2)), size)
    found = read_filtered(model)
    assert found is not None
    check(model, found)
    assert found.listing.calls <= 2 * 150


@pytest.mark.parametrize("connections", [1, 4, 16])
def test_a_list_on_which_nobody_deletes_takes_one_pass(connections: int) -> None:
    """New sessions come all the time: they shift no page of a pass that goes oldest first."""
    model = Model(list(range(1, 1001)), 10, repeat(["create"]), connections, 2 * connections)
    found = read_list(model)
    check(model, found)
    assert (found.listing.passes, found.listing.way) == (1, "fast")
    assert found.listing.calls <= 1 + 100 + 14  # the pages, and the hundred new ones at the end
    assert found.sessions[-1].session_id > 1090


def test_a_deletion_costs_a_page_for_each_gap() -> None:
    """Four segments with three gaps between them, and the session that is deleted shifts a row over each."""
    model = Model(list(range(2, 62, 2)), 3, iter([[], [], [], [], [], [0]]))
    found = read_list(model)
    check(model, found)
    assert found.listing == Listing(calls=1 + 10 + 3 + 1, passes=1, way="sweep")


def test_where_no_id_lies_between_two_pages_there_is_no_gap() -> None:
    """On an account where few sessions were deleted before, only the gaps above the one that is deleted now."""
    model = Model(list(range(1, 31)), 3, iter([[], [], [], [], [], [18]]))
    found = read_list(model)
    check(model, found)
    assert found.listing == Listing(calls=1 + 10 + 1 + 1, passes=1, way="sweep")


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.2])
def test_deletions_all_the_time_cost_little(rate: float) -> None:
    """About a page for each gap, as long as no more sessions are deleted meanwhile than there are on a page."""
    chance = random.Random(7)

    def moves() -> Iterator[list[Move]]:
        while True:
            yield ["create", *(0 for _ in range(int(rate + chance.random())))]

    model = Model(list(range(1, 5001)), 20, moves(), 7, ahead=8)
    found = read_list(model)
    check(model, found)
    assert found.listing.way == "sweep"
    assert found.listing.calls <= (1 + 250) + 7 * (1 + 50 * rate) + 250 / 20 + 5


def test_deletions_that_outrun_the_segments_lead_to_one_of_them() -> None:
    """For each page that is read, more than a page of sessions is deleted."""
    model = Model(list(range(1, 3001)), 3, repeat([0, 0, 0, 0]), 7, ahead=8)
    found = read_list(model)
    check(model, found)
    assert (found.listing.passes, found.listing.way) == (1, "sweep")


def test_new_sessions_are_in_the_result() -> None:
    """Those of ours among them are what matters."""
    model = Model(list(range(1, 31)), 3, iter([[], [], ["create"], ["create"] * 5]))
    found = read_list(model)
    assert [live.session_id for live in found.sessions] == list(range(1, 37))


def test_a_count_that_is_one_too_low_hides_nothing() -> None:
    """A server that counts, and then selects: a session was created in between."""
    model = Model(list(range(1, 31)), 3)

    def late(ordering: Ordering, number: int) -> Any:
        page = Model.one(model, ordering, number)
        assert page is not None
        return listing.Page(page.count - 1, page.ids, page.rows) if model.requests == 1 else page

    model.one = late  # type: ignore[method-assign]
    check(model, read_list(model))


@given(pages=st.integers(1, 60), most=st.integers(1, 20))
def test_each_page_of_a_segment_is_requested_after_the_one_before_was_answered(pages: int, most: int) -> None:
    runs = split(pages, most)
    wanted = in_turn(runs)
    assert sorted(number for _, number in wanted) == list(range(1, pages + 1))
    places = {number: place for place, (_, number) in enumerate(wanted)}
    for run in runs:
        for number in range(run.highest, run.lowest, -1):
            assert places[number - 1] - places[number] >= len(runs)


# Servers that do what they must not


def ignoring_order(model: Model, ordering: Ordering, number: int, ids: list[int]) -> list[int]:
    return sorted(ids, key=lambda one: one * 7 % 5)


def hiding(model: Model, ordering: Ordering, number: int, ids: list[int]) -> list[int]:
    return [4 if one == 5 else one for one in ids]


@pytest.mark.parametrize("busy", [False, True])
def test_a_server_that_does_not_order_is_an_error_at_once(busy: bool) -> None:
    model = Model(list(range(1, 31)), 5, repeat([0] if busy else []), distort=ignoring_order)
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
    assert model.requests == 1 + TRIES * 16


def test_and_in_one_where_others_create_as_well() -> None:
    """A sweep sees fewer sessions than the count says are left."""
    model = Model(list(range(1, 31)), 2, repeat(["create"]), 3, distort=hiding)
    with pytest.raises(UnreliableListError, match="the list of sessions can't be relied on: "):
        read_list(model)
    assert TRIES * 15 < model.requests <= bound(model)


def shrunk(model: Model, ordering: Ordering, number: int, ids: list[int]) -> list[int]:
    """A page that gives half of its rows to nobody."""
    return ids[:5] if ordering == "session_id" and number == 4 else ids


def test_a_page_size_that_changes_is_seen() -> None:
    model = Model(list(range(1, 101)), 10, repeat([0]), distort=shrunk)
    with pytest.raises(UnreliableListError, match="changes the number of rows on a page while it is read"):
        read_list(model)


def test_without_that_check_rows_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the order nor the count of such a page shows it."""
    monkeypatch.setattr(listing._Reading, "steady", property(lambda self: True, lambda self, value: None))
    monkeypatch.setattr(listing._Reading, "_see_new", lambda self, start, first: None)
    model = Model(list(range(1, 101)), 10, repeat([0]), ahead=2, distort=shrunk)
    found = {live.session_id for live in read_list(model).sessions}
    assert not model.throughout <= found


# Each check matters: without it, the model finds a session that is missed


def _disturbed(seed: int, moves: Callable[[random.Random], Move]) -> Model:
    chance = random.Random(seed)

    def writes() -> Iterator[list[Move]]:
        while True:
            yield [moves(chance) for _ in range(chance.choice([0, 0, 0, 1, 2]))]

    ids = sorted(chance.sample(range(1, 100), chance.randrange(10, 60)))
    return Model(ids, chance.randrange(3, 6), writes(), seed, chance.randrange(1, 9))


def _missed(seed: int) -> bool:
    model = _disturbed(seed, lambda chance: chance.choice(["create", chance.randrange(40)]))
    try:
        found = read_list(model)
    except UnreliableListError:
        return False
    return not model.throughout <= {live.session_id for live in found.sessions}


def _all_at_once(runs: Any) -> Any:
    """The pages of a segment one beside the other, in flight together."""
    return sorted(in_turn(runs), key=lambda pair: -pair[1])


@pytest.mark.parametrize(
    ("place", "name", "mutant"),
    [
        (None, "", None),
        (listing._Reading, "_sweep", lambda self, start, runs: None),
        (listing, "with_gap", lambda runs: []),
        (listing, "in_turn", _all_at_once),
    ],
)
def test_each_check_matters(place: Any, name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if place is not None:
        monkeypatch.setattr(place, name, mutant)
        # The look at the end would notice some of it.
        monkeypatch.setattr(listing._Reading, "_see_new", lambda self, start, first: None)
    assert any(map(_missed, range(400))) == (place is not None)


def _missed_by_name(seed: int) -> bool:
    """Renames out of the filter are deletions."""
    model = _disturbed(
        seed, lambda chance: chance.choice([("join", chance.randrange(40)), chance.randrange(40)])
    )
    found = read_filtered(model)
    return found is not None and not model.throughout <= {live.session_id for live in found.sessions}


@pytest.mark.parametrize("checked", [True, False])
def test_the_ranges_of_a_filtered_list_matter(checked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not checked:
        monkeypatch.setattr(listing, "_without_gap", lambda ranges: True)
    assert any(map(_missed_by_name, range(400))) != checked


def test_a_full_segment_is_no_end_of_the_list() -> None:
    """Only a page that is not full says that nothing comes after it."""
    run = segments.Segment(2, 1, 2)
    run.add([4, 5, 6], 3)
    assert run.high == 6
