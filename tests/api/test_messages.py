"""A session's messages are read whole and in order, or not at all: they are archived before the session is deleted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.messages import list_messages
from reconciler.contract import Contract
from reconciler.errors import Problem, ReconcilerError
from reconciler.server import Fault, RunningServer, running_server
from reconciler.server.log import LoggedRequest
from tests.support import CONTRACT, Answer, answering, calling, contract_with, live

AGAIN = (
    "somebody may be chatting in it: run the command again; if it says the same, "
    "`reconciler doctor --probe` finds out why"
)
PROBE = "`reconciler doctor --probe` finds out how messages are addressed, paged and counted on this account"

#: Our names of the fields of a list, by how it goes on.
FIELDS: Mapping[str, Mapping[str, str]] = {
    "before": {
        "session_token": "session_token",
        "size": "size",
        "ordering": "ordering",
        "before": "before_message_id",
    },
    "page": {"session_token": "session_token", "size": "size", "ordering": "ordering", "page": "page"},
    "none": {"session_token": "session_token", "size": "size"},
}


def contract(pages: str, *, size: int = 4, counts: str | None = None) -> Contract:
    """The contract, with messages that are listed in this way."""
    return contract_with("list_messages", pages=pages, fields=FIELDS[pages], page_size=size, counts=counts)


@dataclasses.dataclass
class Service:
    """A model of a message list: what a service of this kind answers to a query.

    ``lists`` is how it goes on (``cursor``, ``page``, ``same``: the first page again and again, ``all``: everything);
    ``order`` is ``asked``, ``newest`` or ``oldest``; ``count`` and ``max_pages`` say what is counted.
    """

    messages: list[dict[str, Any]]
    lists: str = "cursor"
    order: str = "asked"
    count: str = "none"
    max_pages: str = "none"
    filtered: bool = True
    largest: int = 50
    before_answer: Callable[[Service, int], None] = lambda service, number: None
    calls: int = 0
    contract: Contract = CONTRACT

    def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any:
        self.calls += 1
        self.before_answer(self, self.calls)
        rows = [row for row in self.messages if not self.filtered or row["session_id"] == 1]
        newest = {"asked": str(fields.get("ordering")).startswith("-")}.get(
            self.order, self.order == "newest"
        )
        rows = sorted(rows, key=lambda row: int(row["message_id"]), reverse=newest)
        total = len(rows)
        size = min(self.largest, int(fields["size"]))
        if self.lists == "cursor" and "before" in fields:
            rows = [row for row in rows if row["message_id"] < fields["before"]]
        rest = len(rows)
        if self.lists == "page":
            start = (int(fields.get("page", 1)) - 1) * size
            if start and start >= total:
                raise ApiError("list_messages", "HTTP 404", http_status=404)
            rows = rows[start:]
        rows = rows if self.lists == "all" else rows[:size]
        numbers = {"all": total, "page": len(rows), "rest": rest}
        body: dict[str, Any] = {"results": rows}
        if self.count in numbers:
            body["count"] = numbers[self.count]
        if self.max_pages in numbers:
            body["max_pages"] = max(1, -(-numbers[self.max_pages] // size))
        return body


def message(number: int, session: int = 1) -> dict[str, Any]:
    return {
        "message_id": number,
        "session_id": session,
        "session_token": f"token-{session}",
        "message_category": "user",
        "message_content": f"m{number}",
    }


SESSION = dataclasses.replace(live(1), session_token="token-1")


def read(service: Service, by: Contract) -> list[int]:
    """The ids that come of a service, read by this contract."""
    service.contract = by
    return [int(row["message_id"]) for row in list_messages(cast("Client", service), SESSION, "alice (#1)")]


def refusal(service: Service, by: Contract) -> tuple[str, str]:
    """What is said of messages that can't be read, and the hint."""
    with pytest.raises(ApiError) as caught:
        read(service, by)
    (problem,) = caught.value.problems
    assert problem.message.startswith("listing the messages alice (#1): ")
    return problem.message.removeprefix("listing the messages alice (#1): "), problem.hint


# Lists that are right


@pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 8, 9, 50])
@pytest.mark.parametrize("count", ["none", "all", "page", "rest"])
@pytest.mark.parametrize("largest", [50, 3])
def test_with_a_cursor_all_come_whatever_is_counted(number: int, count: str, largest: int) -> None:
    numbers = [7 * one for one in range(1, number + 1)]
    for max_pages in ("none", count):
        service = Service(
            [message(one) for one in numbers], count=count, max_pages=max_pages, largest=largest
        )
        assert read(service, contract("before")) == numbers


@pytest.mark.parametrize("number", [0, 1, 4, 5, 9, 50])
@pytest.mark.parametrize("count", ["none", "all", "page"])
@pytest.mark.parametrize("order", ["asked", "newest", "oldest"])
def test_by_page_all_come_oldest_first_whatever_is_counted(number: int, count: str, order: str) -> None:
    numbers = list(range(10, 10 + number))
    for max_pages in ("none", "all"):
        service = Service(
            [message(one) for one in numbers], "page", order=order, count=count, max_pages=max_pages
        )
        assert read(service, contract("page")) == numbers


def test_where_one_answer_holds_all_no_other_is_asked_for() -> None:
    service = Service([message(one) for one in range(1, 10)], "all", count="all")
    assert read(service, contract("none", counts="all")) == list(range(1, 10))
    assert service.calls == 1
    # More than was asked for: it does not go by pages.
    assert read(Service(service.messages, "all"), contract("none")) == list(range(1, 10))
    assert refusal(Service(service.messages[:3], "all"), contract("none")) == (
        "3 messages came in one answer, and nothing says that these are all",
        PROBE,
    )


# Lists that are wrong


def test_a_service_that_ignores_the_filter_is_found_out() -> None:
    service = Service([message(1), message(2, session=9)], filtered=False)
    assert refusal(service, contract("before")) == (
        "message 2 is of #9: the service ignores which session is asked for",
        PROBE,
    )
    for row in service.messages:
        del row["session_id"]
    assert refusal(service, contract("before")) == (
        "message 2 is of another session: the service ignores which session is asked for",
        PROBE,
    )


def test_a_message_that_does_not_say_whose_it_is_is_not_taken_for_ours() -> None:
    row = {"message_id": 1, "message_content": "m"}
    service = Service([row], filtered=False)
    assert refusal(service, contract("before")) == ("message 1 does not say of which session it is", PROBE)


def test_a_service_that_gives_the_same_page_again_is_found_out() -> None:
    """Two hundred messages, and the first hundred come twice: no count tells."""
    messages = [message(one) for one in range(1, 201)]
    service = Service(messages, "same", order="oldest", count="all", largest=100)
    assert refusal(service, contract("page", size=100)) == (
        "message 1 came twice, so others may be missing",
        AGAIN,
    )


def test_a_service_that_ignores_the_ordering_is_found_out() -> None:
    service = Service([message(one) for one in range(1, 201)], order="oldest")
    assert refusal(service, contract("before")) == (
        "they do not come newest first, so some may be missing",
        PROBE,
    )


def test_a_list_that_holds_less_than_it_counts_is_found_out() -> None:
    short = Service([message(one) for one in range(1, 9)], "all", count="all")
    short.contract = contract("none")

    class Cut(Service):
        def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any:
            body = super().read(name, fields, session=session)
            return {**body, "results": body["results"][:5]}

    cut = Cut(short.messages, "all", count="all")
    assert refusal(cut, contract("none")) == ("the service counts 8 messages, and 5 came", AGAIN)
    cut = Cut(short.messages, "all", max_pages="all")
    assert refusal(cut, contract("none")) == (
        "5 messages came in one answer, and nothing says that these are all",
        PROBE,
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"session_id": 1},
            "the answer does not fit the contract: a message has no whole number above 0 at message_id",
        ),
        ("hi", "the answer does not fit the contract: a message has no whole number above 0 at message_id"),
        ({**message(1), "message_id": "one"}, None),
    ],
)
def test_a_row_that_is_no_message(row: Any, said: str | None) -> None:
    class One(Service):
        def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any:
            return {"results": [row]}

    said = said or "the answer does not fit the contract: a message has no whole number above 0 at message_id"
    assert refusal(One([]), contract("before")) == (said, PROBE)


def test_a_contract_that_promises_a_count_is_held_to_it() -> None:
    service = Service([message(1)])
    assert refusal(service, contract("before", counts="all")) == (
        "the response does not fit the contract: it has no count",
        PROBE,
    )
    by_page = Service([message(one) for one in range(1, 9)], count="page")
    assert (
        refusal(by_page, contract("before", counts="all"))[0] == "the service counts 4 messages, and 8 came"
    )


# Sixty lists, right and wrong, and every contract


KINDS = list(
    product(
        ["cursor", "page", "same", "all"],
        ["asked", "newest", "oldest"],
        ["none", "all", "page"],
        [True, False],
    )
)


@pytest.mark.parametrize(
    ("lists", "order", "count", "filtered"), KINDS, ids=["-".join(map(str, one)) for one in KINDS]
)
@pytest.mark.parametrize("number", [0, 1, 4, 6, 13])
@pytest.mark.parametrize("pages", ["before", "page", "none"])
def test_no_list_is_ever_read_in_part(
    lists: str, order: str, count: str, filtered: bool, number: int, pages: str
) -> None:
    """Whatever the service is like, and whatever the contract says of it: all of them, in order, or an error."""
    ours = list(range(1, number + 1))
    messages = [message(one) for one in ours] + [message(100 + one, session=9) for one in range(3)]
    service = Service(messages, lists, order, count, count, filtered)
    try:
        found = read(service, contract(pages))
    except ApiError:
        found = ours if service.calls else []
    assert found == ours
    assert service.calls < 40


@given(st.data())
def test_a_list_that_grows_or_shrinks_while_it_is_read_is_read_in_no_part(data: st.DataObject) -> None:
    """Whoever was there all the time comes, each once and in order, or nothing does."""
    lists, pages = data.draw(st.sampled_from([("cursor", "before"), ("page", "page")]))
    order = data.draw(st.sampled_from(["asked"] if lists == "cursor" else ["asked", "newest", "oldest"]))
    count = data.draw(st.sampled_from(["none", "all", "page"]))
    number = data.draw(st.integers(0, 14))
    events = data.draw(st.lists(st.sampled_from(["", "", "add", "clear"]), max_size=8))
    throughout = set(range(1, number + 1))

    def meddle(service: Service, call: int) -> None:
        event = events[call - 1] if call <= len(events) else ""
        if event == "add":
            service.messages.append(message(max([0, *(row["message_id"] for row in service.messages)]) + 1))
        elif event == "clear":
            service.messages.clear()
            throughout.clear()

    service = Service([message(one) for one in sorted(throughout)], lists, order, count, count)
    service.before_answer = meddle
    try:
        found = read(service, contract(pages))
    except ApiError:
        return
    assert found == sorted(set(found))
    assert throughout <= set(found)
    # Nothing that came before the last look is missing.
    assert {row["message_id"] for row in service.messages} - set(found) <= {
        row["message_id"] for row in service.messages[-events.count("add") :]
    }


# Against the embedded server


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        running.store.insert_session(name="Alice")
        yield running


def say(server: RunningServer, *contents: str) -> None:
    for content in contents:
        server.store.insert_message(1, content=content, meta={"mood": content})


def contents(server: RunningServer, size: int = 2) -> list[object]:
    with calling(server.url, contract=contract_with("list_messages", page_size=size)) as client:
        (session,) = list_sessions(client)
        return [row["message_content"] for row in list_messages(client, session, "alice (#1)")]


def cursors(server: RunningServer) -> list[str]:
    return [one.query.get("before_message_id", "") for one in server.log if one.operation == "list_messages"]


@pytest.mark.parametrize(
    ("count", "asked"),
    [(0, [""]), (1, ["", "1"]), (2, ["", "1"]), (3, ["", "2", "1", ""]), (5, ["", "4", "2", "1", ""])],
)
def test_they_are_asked_for_until_none_comes_and_more_than_a_page_is_looked_at_again(
    server: RunningServer, count: int, asked: list[str]
) -> None:
    say(server, *(f"m{number}" for number in range(count)))
    assert contents(server) == [f"m{number}" for number in range(count)]
    assert cursors(server) == asked


def test_a_row_is_kept_as_it_came(server: RunningServer) -> None:
    say(server, " 你好\n")
    with calling(server.url) as client:
        (session,) = list_sessions(client)
        (found,) = list_messages(client, session, "alice (#1)")
    assert found["message_content"] == " 你好\n"
    assert found["message_meta"] == {"mood": " 你好\n"}
    assert found["session_token"] == session.session_token


def meddling(server: RunningServer, page: int, times: int) -> None:
    """Others clear the messages and write five new ones before each such answer, so often."""
    left, seen = [times], [0]

    def hook(entry: LoggedRequest) -> None:
        if entry.operation == "list_messages":
            seen[0] = seen[0] + 1 if "before_message_id" in entry.query else 1
            if seen[0] == page and left[0]:
                left[0] -= 1
                server.store.clear_messages(1)
                say(server, *(f"n{left[0]}{number}" for number in range(5)))

    server.before.append(hook)


def test_messages_that_are_swapped_while_they_are_read_are_read_again(server: RunningServer) -> None:
    say(server, *"abcde")
    meddling(server, 2, 1)
    assert contents(server) == ["n00", "n01", "n02", "n03", "n04"]


def test_messages_that_never_settle_are_an_error(server: RunningServer) -> None:
    say(server, *"abcde")
    meddling(server, 3, 99)
    with pytest.raises(ApiError) as caught:
        contents(server)
    assert caught.value.problems == (
        Problem("listing the messages alice (#1): the service speaks of 3 pages, and 2 came", AGAIN),
    )


def test_a_page_that_can_not_be_had_is_an_error(server: RunningServer) -> None:
    say(server, "a")
    server.faults.add(Fault("status", operation="list_messages", status=403))
    with pytest.raises(ApiError) as caught:
        contents(server)
    assert str(caught.value) == (
        "listing the messages alice (#1): HTTP 403 (the key is not allowed to do this): 服务器内部错误"
    )


@pytest.mark.parametrize("body", [{}, {"count": 1}, {"count": 0, "results": {}}])
def test_an_answer_that_does_not_fit(body: object) -> None:
    with answering(Answer(body)) as stub, calling(stub.url) as client, pytest.raises(ApiError) as caught:
        list_messages(client, SESSION, "alice (#1)")
    assert str(caught.value) == (
        "listing the messages alice (#1): the answer does not fit the contract: there are no results"
    )


def test_a_session_without_a_token_can_not_be_asked_for_by_it() -> None:
    with answering(Answer({"results": []})) as stub, calling(stub.url) as client:
        with pytest.raises(ReconcilerError) as caught:
            list_messages(client, live(), "alice (#1)")
        assert stub.asked == []
    assert caught.value.problems == (
        Problem(
            "#1 has no session_token, and the contract's list_messages names a session by it",
            "`reconciler doctor --probe` finds out how the service names sessions",
        ),
    )
