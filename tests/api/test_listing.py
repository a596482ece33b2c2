"""A listing is one consistent state of the list, or an error: never a state that there was not."""

from __future__ import annotations

import dataclasses
import itertools
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.api import listing as module
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError, ListingUnsettledError
from reconciler.api.listing import LISTING_TRIES, list_sessions
from reconciler.contract import Contract
from reconciler.errors import Problem
from reconciler.server import Fault, Quirks, RunningServer, Store, running_server
from reconciler.server.log import LoggedRequest
from tests.support import CONTRACT, Answer, Still, answering, calling, listing, row

LATER = (
    "others write while it is read, or the server does not order by session_id: run the command again later"
)


def paged(size: int) -> Contract:
    """The contract, asking for pages of this size."""
    operation = dataclasses.replace(CONTRACT.operation("list_sessions"), page_size=size)
    return dataclasses.replace(CONTRACT, operations={**CONTRACT.operations, "list_sessions": operation})


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


def fill(store: Store, count: int) -> None:
    for number in range(count):
        store.insert_session(name=f"s{number}")


def ids(store: Store) -> tuple[int, ...]:
    return tuple(one.session_id for one in store.sessions())


def pages(server: RunningServer) -> list[tuple[str, str]]:
    """Page and size of each request."""
    return [(one.query["page"], one.query["size"]) for one in server.log]


def unsettled(server: RunningServer, size: int = 2) -> str:
    """What a listing that will not settle says."""
    one_by_one = calling(server.url, contract=paged(size), connections=1)
    with one_by_one as client, pytest.raises(ListingUnsettledError) as caught:
        list_sessions(client)
    (problem,) = caught.value.problems
    assert problem.hint == LATER
    start = f"the list of sessions would not settle in {LISTING_TRIES} tries: "
    assert problem.message.startswith(start)
    return problem.message.removeprefix(start)


# The plain ways


def test_nothing_there_takes_one_request(server: RunningServer) -> None:
    with calling(server.url) as client:
        found = list_sessions(client)
    assert (len(found), found.endpoint) == (0, "https://api.example.com")
    assert [one.query for one in server.log] == [{"ordering": "-session_id", "page": "1", "size": "100"}]


@pytest.mark.parametrize("count", [1, 99, 100])
def test_what_fits_on_a_page_takes_one_request(server: RunningServer, count: int) -> None:
    fill(server.store, count)
    with calling(server.url) as client:
        found = list_sessions(client)
    assert tuple(one.session_id for one in found) == ids(server.store)
    assert len(server.log) == 1


@pytest.mark.parametrize(("count", "size", "requests"), [(3, 2, 3), (4, 2, 3), (5, 2, 4), (101, 100, 3)])
def test_more_pages_are_followed_by_a_look_at_the_newest(
    server: RunningServer, count: int, size: int, requests: int
) -> None:
    fill(server.store, count)
    with calling(server.url, contract=paged(size)) as client:
        found = list_sessions(client)
    assert tuple(one.session_id for one in found) == ids(server.store)
    assert len(server.log) == requests
    assert pages(server)[0] == ("1", str(size))
    assert pages(server)[-1] == ("1", "1")


def test_progress_is_told_by_rows(server: RunningServer) -> None:
    fill(server.store, 5)
    told: list[tuple[int, int]] = []
    with calling(server.url, contract=paged(2)) as client:
        list_sessions(client, on_rows=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_a_name_is_a_filter_of_the_server_alone(server: RunningServer) -> None:
    fill(server.store, 3)
    with calling(server.url) as client:
        assert [one.name for one in list_sessions(client, name="s1")] == ["s1"]
    assert server.log[0].query["session_name"] == "s1"


def test_a_server_may_give_fewer_rows_than_asked() -> None:
    with running_server(None, quirks=Quirks(max_page_size=2)) as server:
        fill(server.store, 7)
        with calling(server.url) as client:
            assert tuple(one.session_id for one in list_sessions(client)) == ids(server.store)


def test_a_server_may_give_fewer_rows_than_asked_and_count_its_pages_by_what_was_asked() -> None:
    def page(*numbers: int) -> Answer:
        return Answer(listing(*(row(one) for one in numbers), count=5, max_pages=1))

    with answering(page(9, 8), page(5, 3), page(1), page(9)) as stub:
        with calling(stub.url, connections=1) as client:
            assert [one.session_id for one in list_sessions(client)] == [1, 3, 5, 8, 9]
        assert len(stub.asked) == 4


def test_numbers_that_came_as_text_are_numbers() -> None:
    rows = [
        {**row(2, temperature="0.20", max_tokens="4000"), "session_id": "2"},
        row(1, temperature=0.2, max_tokens=4000),
    ]
    with answering(Answer(listing(*rows, count="2", max_pages="1"))) as stub, calling(stub.url) as client:
        one, two = list_sessions(client)
    assert (one.session_id, two.session_id) == (1, 2)
    assert one.parameters == two.parameters == {"temperature": 0.2, "max_tokens": 4000}


def test_a_page_that_fails_is_read_again_and_not_the_whole_list(server: RunningServer) -> None:
    fill(server.store, 5)
    server.faults.add(Fault("status", when="nth 2", status=500))
    with calling(server.url, contract=paged(2), connections=1) as client:
        assert len(list_sessions(client)) == 5
    assert pages(server) == [("1", "2"), ("2", "2"), ("2", "2"), ("3", "2"), ("1", "1")]


def test_a_page_that_can_not_be_had_is_an_error(server: RunningServer) -> None:
    fill(server.store, 5)
    server.faults.add(Fault("status", status=403, where=lambda entry: entry.query["page"] == "3"))
    with calling(server.url, contract=paged(2)) as client, pytest.raises(ApiError) as caught:
        list_sessions(client)
    assert (
        str(caught.value) == "listing sessions: HTTP 403 (the key is not allowed to do this): 服务器内部错误"
    )


# When it does not hold, once


#: What others do between two pages: positions that go, and how many come, in this order.
CHANGES: dict[str, tuple[int | str, ...]] = {
    "the newest goes": (-1,),
    "the oldest goes": (0,),
    "one in the middle goes": (3,),
    "most go": (0, 0, 0, 0, 0),
    "one comes": ("one more",),
    "one comes and the oldest goes": ("one more", 0),
    "the newest goes and one comes": (-1, "one more"),
    "one that was read goes and one comes": (-2, "one more"),
    "one comes and goes": ("one more", -1),
}


def meddle(store: Store, *moves: int | str) -> None:
    """Insert sessions, and delete those at these positions."""
    for move in moves:
        if isinstance(move, int):
            store.delete_session(ids(store)[move])
        else:
            fill(store, 1)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("at", [2, 3, 4, 5])
def test_a_change_while_it_is_read_is_seen_and_the_list_read_again(
    server: RunningServer, change: str, at: int
) -> None:
    fill(server.store, 7)
    before = ids(server.store)
    server.before.append(lambda entry: meddle(server.store, *CHANGES[change]) if entry.number == at else None)
    with calling(server.url, contract=paged(2), connections=1) as client:
        found = tuple(one.session_id for one in list_sessions(client))
    assert found == ids(server.store)
    harmless = before == ids(server.store)
    assert (pages(server).count(("1", "2")) == 1) == harmless


# When it never holds


def always(change: Callable[[], None]) -> Callable[[LoggedRequest], None]:
    """A hook that changes something before every page but the first."""
    return lambda entry: change() if entry.query["page"] != "1" else None


def test_a_count_that_changes(server: RunningServer) -> None:
    fill(server.store, 5)
    server.before.append(always(lambda: fill(server.store, 1)))
    found = re.fullmatch(
        r"page 2 counts (\d+) sessions on \d pages, and page 1 (\d+) on \d", unsettled(server)
    )
    assert found is not None
    assert int(found[1]) == int(found[2]) + 1


def test_a_page_that_is_gone(server: RunningServer) -> None:
    fill(server.store, 5)

    def shrink(entry: LoggedRequest) -> None:
        while len(server.store.sessions()) > (2 if entry.query["page"] != "1" else 0):
            meddle(server.store, 0)
        if entry.query["page"] == "1":
            fill(server.store, 5)

    server.before.append(shrink)
    assert unsettled(server) == "page 2 is not there any more"


def test_rows_that_move_over_a_pages_edge(server: RunningServer) -> None:
    """One comes and one goes before each page: the count stays, and a row comes twice."""
    fill(server.store, 5)
    server.before.append(always(lambda: meddle(server.store, 0, "one more")))
    assert re.fullmatch(r"#(\d+) came after #\1, so pages overlap or are not in order", unsettled(server))


def test_a_server_that_does_not_order_as_asked() -> None:
    with running_server(None, quirks=Quirks(ordering_ignored=True)) as server:
        for number in range(5):
            server.store.insert_session(updated_at=f"2024-09-12 15:13:{number * 7 % 5:02}")
        said = unsettled(server)
    assert said == "#5 came after #3, so pages overlap or are not in order"


def test_an_order_that_is_wrong_on_one_page_alone() -> None:
    answer = Answer(listing(row(1), row(2)))
    with answering(answer) as stub, calling(stub.url) as client:
        with pytest.raises(ListingUnsettledError) as caught:
            list_sessions(client)
        assert len(stub.asked) == LISTING_TRIES
        assert len(client.limiter.slept) == LISTING_TRIES - 1  # type: ignore[attr-defined]
    assert caught.value.problems == (
        Problem(
            "the list of sessions would not settle in 6 tries: "
            "#2 came after #1, so pages overlap or are not in order",
            LATER,
        ),
    )


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([listing(row(3), row(3))], "#3 came after #3, so pages overlap or are not in order"),
        ([listing(row(3), row(2), count=1)], "the server counts 1, and 2 rows came"),
        ([listing(count=3)], "the first page is empty, and the server counts 3"),
        ([listing(row(3), count=2), listing(count=2)], "the server counts 2, and 1 rows came"),
        (
            [listing(row(3), count=2, max_pages=2), listing(row(1), count=2, max_pages=3)],
            "page 2 counts 2 sessions on 3 pages, and page 1 2 on 2",
        ),
        (
            [listing(row(3), count=2), listing(row(1), count=2), listing(row(4), count=2)],
            "sessions were made or deleted while it was read",
        ),
        (
            [listing(row(3), count=2), listing(row(1), count=2), listing(row(3), count=1)],
            "sessions were made or deleted while it was read",
        ),
        (
            [listing(row(3), count=2), listing(row(1), count=2), listing(count=2)],
            "sessions were made or deleted while it was read",
        ),
    ],
)
def test_pages_that_do_not_fit_together(answers: list[Any], said: str) -> None:
    with (
        answering(*(Answer(one) for one in answers * LISTING_TRIES)) as stub,
        calling(stub.url, connections=1) as client,
        pytest.raises(ListingUnsettledError) as caught,
    ):
        list_sessions(client)
    assert str(caught.value) == f"the list of sessions would not settle in 6 tries: {said}"


# Others write between the pages: at random, and in every way there is


@pytest.mark.parametrize("block", range(4))
def test_whatever_others_do_meanwhile_the_result_is_a_state_of_the_list_or_an_error(block: int) -> None:
    """200 random interleavings of inserts and deletes with the pages of a listing."""
    outcomes: dict[str, int] = {"settled": 0, "unsettled": 0}
    for seed in range(block * 50, block * 50 + 50):
        with running_server(None) as server:
            outcomes[_interleave(server, random.Random(seed))] += 1
    assert outcomes["settled"] > 5
    assert outcomes["unsettled"] > 5


def _interleave(server: RunningServer, chance: random.Random) -> str:
    store = server.store
    fill(store, chance.randint(3, 14))
    eager = chance.choice([0.1, 0.3, 0.7])
    states = [ids(store)]

    def write(_: LoggedRequest) -> None:
        while chance.random() < eager:
            here = ids(store)
            if here and chance.random() < 0.5:
                # Mostly at the ends, where a change that undoes another does the most harm.
                store.delete_session(chance.choice([here[0], here[-1], chance.choice(here)]))
            else:
                fill(store, 1)
            states.append(ids(store))

    server.before.append(write)
    size, connections = chance.randint(1, 4), chance.choice([1, 4])
    with calling(server.url, contract=paged(size), connections=connections) as client:
        try:
            found = list_sessions(client)
        except ListingUnsettledError:
            return "unsettled"
    assert tuple(one.session_id for one in found) in states
    return "settled"


def test_in_every_way_that_others_can_write_between_three_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five sessions, pages of two: every insert, delete or pair of them in every gap. One pass, no second try."""
    monkeypatch.setattr(module, "LISTING_TRIES", 1)
    gone = range(5)
    moves: list[tuple[int | str, ...]] = [(), ("one more",), *((one,) for one in gone)]
    moves += [("one more", one) for one in range(6)]
    moves += [(one, "one more") for one in gone]
    settled = 0
    for gaps in itertools.product(moves, repeat=3):
        client = _Meddled(gaps)
        try:
            found = [one.session_id for one in list_sessions(client)]  # type: ignore[arg-type]
        except ListingUnsettledError:
            continue
        assert found in client.states, gaps
        settled += 1
    assert settled == 8  # in each gap nothing, or one that comes and goes


class _Meddled:
    """A client of a list on which others write before each call but the first."""

    contract, connections = paged(2), 1
    endpoint, pace = Endpoint("local", "http://127.0.0.1:1"), Still()

    def __init__(self, gaps: Any) -> None:
        self.gaps = [(), *gaps]
        self.states = [[1, 2, 3, 4, 5]]
        self.newest = 5

    def read(self, _name: str, query: Any) -> Any:
        for move in self.gaps.pop(0) if self.gaps else ():
            here = list(self.states[-1])
            if isinstance(move, int):
                del here[move : move + 1]
            else:
                self.newest += 1
                here.append(self.newest)
            self.states.append(here)
        here, page, size = self.states[-1], query["page"], query["size"]
        count = max(1, -(-len(here) // size))
        if page > count:
            raise ApiError("list_sessions", "HTTP 404", http_status=404)
        found = here[::-1][(page - 1) * size : page * size]
        return listing(*(row(one) for one in found), count=len(here), max_pages=count)
