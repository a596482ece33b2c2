"""A session's messages are read whole or not at all: they are archived before the session is deleted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.messages import list_messages
from reconciler.contract import Contract
from reconciler.errors import Problem
from reconciler.server import Fault, Quirks, RunningServer, running_server
from reconciler.server.log import LoggedRequest
from tests.support import CONTRACT, Answer, answering, calling, live

CHATTING = "somebody may be chatting in it: run the command again"


def paged(size: int) -> Contract:
    operation = dataclasses.replace(CONTRACT.operation("list_messages"), page_size=size)
    return dataclasses.replace(CONTRACT, operations={**CONTRACT.operations, "list_messages": operation})


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        running.store.insert_session(name="Alice")
        yield running


def say(server: RunningServer, *contents: str) -> None:
    for content in contents:
        server.store.insert_message(1, content=content, meta={"mood": content})


def read(server: RunningServer, size: int = 2) -> list[object]:
    with calling(server.url, contract=paged(size)) as client:
        (session,) = list_sessions(client)
        return [row["message_content"] for row in list_messages(client, session, "alice (#1)")]


def requests(server: RunningServer) -> list[str]:
    return [one.query["page"] for one in server.log if one.operation == "list_messages"]


@pytest.mark.parametrize(
    ("count", "asked"),
    [(0, ["1"]), (1, ["1"]), (2, ["1"]), (3, ["1", "2", "1", "2"]), (5, ["1", "2", "3", "1", "2", "3"])],
)
def test_they_come_in_order_and_more_than_a_page_is_read_twice(
    server: RunningServer, count: int, asked: list[str]
) -> None:
    say(server, *(f"m{number}" for number in range(count)))
    assert read(server) == [f"m{number}" for number in range(count)]
    assert requests(server) == asked


def test_a_row_is_kept_as_it_came(server: RunningServer) -> None:
    say(server, " 你好\n")
    with calling(server.url) as client:
        (session,) = list_sessions(client)
        (found,) = list_messages(client, session, "alice (#1)")
    assert found["message_content"] == " 你好\n"
    assert found["meta_data"] == {"mood": " 你好\n"}
    assert found["session_token"] == session.session_token


def test_a_service_may_know_sessions_by_their_token_alone() -> None:
    operation = CONTRACT.operation("list_messages")
    fields = {"session_token": "session_token", "page": "page", "size": "size"}
    changed = dataclasses.replace(operation, fields=fields)
    contract = dataclasses.replace(CONTRACT, operations={**CONTRACT.operations, "list_messages": changed})
    with running_server(None, quirks=Quirks(messages_by_token=True)) as server:
        server.store.insert_session()
        say(server, "a")
        with calling(server.url, contract=contract) as client:
            (session,) = list_sessions(client)
            assert len(list_messages(client, session, "alice (#1)")) == 1


def meddling(server: RunningServer, page: str, times: int) -> None:
    """Others clear the messages and write five new ones before this page, so often."""
    left = [times]

    def hook(entry: LoggedRequest) -> None:
        if entry.operation == "list_messages" and entry.query["page"] == page and left[0]:
            left[0] -= 1
            server.store.clear_messages(1)
            say(server, *(f"n{left[0]}{number}" for number in range(5)))

    server.before.append(hook)


def test_messages_that_are_swapped_while_they_are_read_are_read_again(server: RunningServer) -> None:
    """The count is right, and yet what came is of two conversations: reading twice finds it out."""
    say(server, *"abcde")
    meddling(server, "2", 1)
    assert read(server) == ["n00", "n01", "n02", "n03", "n04"]
    assert requests(server) == ["1", "2", "3"] * 3


def test_messages_that_never_settle_are_an_error(server: RunningServer) -> None:
    say(server, *"abcde")
    meddling(server, "2", 99)
    with pytest.raises(ApiError) as caught:
        read(server)
    assert caught.value.problems == (
        Problem(
            "listing the messages alice (#1): they changed while they were read; the server counts 5, and 5 came",
            CHATTING,
        ),
    )


def test_messages_that_become_fewer_are_read_again(server: RunningServer) -> None:
    say(server, *"abcde")

    def hook(entry: LoggedRequest) -> None:
        if entry.operation == "list_messages" and entry.query["page"] == "3":
            server.store.clear_messages(1)

    server.before.append(hook)
    assert read(server) == []


def test_a_page_that_can_not_be_had_is_an_error(server: RunningServer) -> None:
    say(server, "a")
    server.faults.add(Fault("status", operation="list_messages", status=403))
    with pytest.raises(ApiError) as caught:
        read(server)
    assert str(caught.value) == (
        "listing the messages alice (#1): HTTP 403 (the key is not allowed to do this): 服务器内部错误"
    )


@pytest.mark.parametrize(
    "body", [{}, {"count": 1}, {"count": "one", "results": []}, {"count": 0, "results": {}}]
)
def test_an_answer_that_does_not_fit(body: object) -> None:
    with answering(Answer(body)) as stub, calling(stub.url) as client, pytest.raises(ApiError) as caught:
        list_messages(client, live(), "alice (#1)")
    assert str(caught.value) == (
        "listing the messages alice (#1): the answer does not fit the contract: count and results are not there"
    )


def test_a_count_that_is_wrong_is_an_error() -> None:
    answer = Answer({"count": 3, "results": []})
    with answering(answer) as stub, calling(stub.url) as client, pytest.raises(ApiError) as caught:
        list_messages(client, live(), "alice (#1)")
    assert str(caught.value) == (
        "listing the messages alice (#1): they changed while they were read; the server counts 3, and 0 came"
    )
