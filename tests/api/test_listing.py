"""Listing over HTTP: its calls, its errors about unreliable servers, and what it keeps."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.api.client import Client
from reconciler.api.errors import ApiError, UnreliableListError
from reconciler.api.listing import list_sessions
from reconciler.contract import Contract
from reconciler.domain import LeftOut, Listing, LiveSession, Others
from reconciler.server import Fault, Quirks, RunningServer, Store, running_server
from reconciler.server.log import LoggedRequest
from tests.support import CONTRACT, Answer, answering, calling, listing, row

AGAIN = (
    "the server does not order by session_id, or lists a session twice or not at all: "
    "run the command again, and `reconciler doctor` if it says the same"
)
UNRELIABLE = "the list of sessions can't be relied on: "


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


def unreliable(client: Client) -> str:
    """What a listing says of a server that can't be relied on."""
    with pytest.raises(UnreliableListError) as caught:
        list_sessions(client)
    (problem,) = caught.value.problems
    assert problem.hint == AGAIN
    assert problem.message.startswith(UNRELIABLE)
    return problem.message.removeprefix(UNRELIABLE)


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


@pytest.mark.parametrize(("count", "size", "requests"), [(3, 2, 3), (4, 2, 4), (5, 2, 4), (101, 100, 3)])
def test_more_pages_are_followed_by_a_look_at_the_newest(
    server: RunningServer, count: int, size: int, requests: int
) -> None:
    fill(server.store, count)
    with calling(server.url, contract=paged(size)) as client:
        found = list_sessions(client)
    assert tuple(one.session_id for one in found) == ids(server.store)
    assert len(server.log) == requests
    assert pages(server)[0] == ("1", str(size))
    assert pages(server)[-1] == ("1", str(size))
    ways = [one.query["ordering"] for one in server.log]
    assert ways == ["-session_id", *["session_id"] * (requests - 2), "-session_id"]
    assert found.listing == Listing(requests, 1, "fast")


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


# By name


@pytest.mark.parametrize(("same", "size", "calls"), [(9, 10, 1), (30, 10, 6), (200, 20, 20)])
def test_a_name_that_many_sessions_have_takes_two_calls_a_page(
    server: RunningServer, same: int, size: int, calls: int
) -> None:
    """And not the whole account."""
    fill(server.store, 500)
    wanted = [server.store.insert_session(name="chat") for _ in range(same)]
    with calling(server.url, contract=paged(size)) as client:
        found = list_sessions(client, name="chat")
    assert [one.session_id for one in found] == wanted
    assert found.left_out == LeftOut()
    assert len(server.log) == calls


@pytest.mark.parametrize("seed", range(5))
def test_a_name_that_others_give_and_take_meanwhile_hides_nothing(server: RunningServer, seed: int) -> None:
    chance = random.Random(seed)
    others = [server.store.insert_session(name=chance.choice(["chat", "old"])) for _ in range(300)]
    ours = set(chance.sample(others, 20))
    for session_id in ours:
        server.store.update_session(session_id, name="chat")

    def write(entry: LoggedRequest) -> None:
        for session_id in set(chance.sample(others, 6)) - ours:
            server.store.update_session(session_id, name=chance.choice(["chat", "old"]))
        server.store.insert_session(name="chat")

    server.before.append(write)
    with calling(server.url, contract=paged(20), connections=4) as client:
        found = [one.session_id for one in list_sessions(client, name="chat")]
    assert len(found) == len(set(found))
    assert ours <= set(found)
    assert {entry.query.get("session_name") for entry in server.log} == {"chat"}


def test_a_name_of_which_nothing_can_be_proved_is_looked_for_in_the_whole_list() -> None:
    """No page of two rows, or of one, has the edge between two pages in its middle."""
    with running_server(None, quirks=Quirks(max_page_size=2)) as server:
        ids = [server.store.insert_session(name=name) for name in ["chat", "old"] * 5]
        with calling(server.url) as client:
            found = list_sessions(client, name="chat")
        assert [one.session_id for one in found] == ids[::2]
        assert found.left_out == LeftOut()
        assert "session_name" not in server.log[-1].query


def test_a_server_that_ignores_the_name_is_listed_once() -> None:
    with running_server(None, quirks=Quirks(name_filter="none")) as server:
        fill(server.store, 200)
        with calling(server.url, contract=paged(10)) as client:
            assert len(list_sessions(client, name="chat")) == 200
        assert len(server.log) == 1 + 1 + 20 + 1


def test_a_server_may_give_fewer_rows_than_asked() -> None:
    with running_server(None, quirks=Quirks(max_page_size=2)) as server:
        fill(server.store, 7)
        with calling(server.url) as client:
            assert tuple(one.session_id for one in list_sessions(client)) == ids(server.store)


def test_a_server_may_give_fewer_rows_than_asked_and_count_its_pages_by_what_was_asked() -> None:
    def page(*numbers: int) -> Answer:
        return Answer(listing(*(row(one) for one in numbers), count=5, max_pages=1))

    with answering(page(9, 8), page(5, 8), page(1, 3), page(9, 8)) as stub:
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
    assert pages(server) == [("1", "2"), ("2", "2"), ("2", "2"), ("1", "2"), ("1", "2")]


def test_a_page_that_can_not_be_had_is_an_error(server: RunningServer) -> None:
    fill(server.store, 5)
    server.faults.add(Fault("status", status=403, where=lambda entry: entry.query["page"] == "2"))
    with calling(server.url, contract=paged(2)) as client, pytest.raises(ApiError) as caught:
        list_sessions(client)
    assert (
        str(caught.value) == "listing sessions: HTTP 403 (the key is not allowed to do this): 服务器内部错误"
    )


# Others write meanwhile (tests/api/test_listing_properties.py has every way)


@pytest.mark.parametrize("connections", [1, 4])
def test_while_others_write_it_takes_a_few_calls_more_and_misses_nothing(
    server: RunningServer, connections: int
) -> None:
    fill(server.store, 9)

    def write(entry: LoggedRequest) -> None:
        fill(server.store, 1)
        if entry.number == 3:
            server.store.delete_session(ids(server.store)[0])

    server.before.append(write)
    with calling(server.url, contract=paged(2), connections=connections) as client:
        found = list_sessions(client)
    assert found.listing is not None
    assert (found.listing.passes, found.listing.way) == (1, "sweep")
    assert {2, 3, 4, 5, 6, 7, 8, 9} <= {one.session_id for one in found} <= set(ids(server.store)) | {1}


def test_deletions_that_outrun_the_segments_lead_to_one_sweep_from_the_last_page_to_the_first(
    server: RunningServer,
) -> None:
    fill(server.store, 120)

    def delete(entry: LoggedRequest) -> None:
        for session_id in ids(server.store)[:2]:
            server.store.delete_session(session_id)

    server.before.append(delete)
    with calling(server.url, contract=paged(2), connections=2) as client:
        found = list_sessions(client)
    assert found.listing is not None
    assert found.listing.way == "sweep"
    assert set(ids(server.store)) <= {one.session_id for one in found}
    numbers = [int(one.query["page"]) for one in server.log if one.query["ordering"] == "session_id"]
    sweep = numbers[-max(numbers) :]
    assert sweep == list(range(max(numbers), 0, -1))


def test_what_was_made_meanwhile_is_there(server: RunningServer) -> None:
    fill(server.store, 5)
    server.before.append(lambda entry: fill(server.store, 3) if entry.number == 3 else None)
    with calling(server.url, contract=paged(2), connections=1) as client:
        assert [one.session_id for one in list_sessions(client)] == list(range(1, 9))


def test_a_count_that_lags_behind_its_rows_is_asked_for_again() -> None:
    """Some servers count and select in two statements, and a session may be made in between."""
    answers = (listing(row(2), row(1), count=1), listing(row(2), row(1)))
    with answering(*map(Answer, answers)) as stub, calling(stub.url) as client:
        assert [one.session_id for one in list_sessions(client)] == [1, 2]
        assert len(stub.asked) == 2


# Servers that can't be relied on


def test_a_server_that_does_not_order_as_asked() -> None:
    with running_server(None, quirks=Quirks(ordering_ignored=True)) as server:
        for number in range(5):
            server.store.insert_session(updated_at=f"2024-09-12 15:13:{number * 7 % 5:02}")
        with calling(server.url, contract=paged(2)) as client:
            said = unreliable(client)
        assert said == "#5 came after #3, where ordering=-session_id was asked for"
        assert len(server.log) == 1


@pytest.mark.parametrize(
    ("answers", "said", "calls"),
    [
        ([listing(row(3), row(3))], "#3 came after #3, where ordering=-session_id was asked for", 1),
        (
            [listing(row(3), count=3), listing(row(2), row(1), count=3)],
            "#1 came after #2, where ordering=session_id was asked for",
            3,
        ),
        ([listing(row(3), row(2), count=1)], "the server counts 1, and 2 rows came", 3),
        ([listing(count=3)], "the server counts 3, and 0 rows came", 3),
        (
            [listing(row(3), count=2), listing(count=2), listing(count=2)] * 3 + [listing(row(3), count=2)],
            "the server counts 2, and 1 came, though others did not delete the rest",
            10,
        ),
    ],
)
def test_pages_that_do_not_fit_together(answers: list[Any], said: str, calls: int) -> None:
    with answering(*map(Answer, answers)) as stub, calling(stub.url, connections=1) as client:
        assert unreliable(client) == said
        assert len(stub.asked) == calls


# What is kept


def test_what_is_not_kept_is_counted(server: RunningServer) -> None:
    fill(server.store, 7)

    def keep(live: LiveSession) -> LiveSession | Others:
        if live.session_id == 3:
            return live
        return "foreign" if live.session_id < 3 else "unmanaged"

    with calling(server.url, contract=paged(2)) as client:
        found = list_sessions(client, keep=keep)
    assert [one.name for one in found] == ["s2"]
    assert (found.left_out, found.total, found.newest) == (LeftOut(unmanaged=4, foreign=2), 7, 7)
