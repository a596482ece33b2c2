"""The ways in which services may list messages: filtered, paged, counted and ordered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.server.support import Service, service
from tests.support import contract_with

ALL = list(range(1, 8))

#: The messages of the two sessions of :func:`talking`.
MINE, OTHERS = [1, 2, 4, 5, 7], [3, 6]


@contextmanager
def talking(*quirks: str, **facts: Any) -> Iterator[tuple[Service, str]]:
    """A service with five messages in a session and two in another; with the token of the first."""
    with service(*quirks, contract=contract_with("list_messages", **facts)) as one:
        for _ in range(2):
            one.create()
        for number in ALL:
            one.server.store.insert_message(1 if number in MINE else 2)
        yield one, one.server.store.sessions()[0].session_token


def ids(one: Service, **query: object) -> list[int]:
    return [row["message_id"] for row in one.messages(**query).json()["results"]]


# Filters


def test_an_unknown_filter_is_ignored() -> None:
    with talking("message-filters=session_id") as (one, token):
        assert ids(one, session_token=token) == ALL
        assert ids(one) == ALL
        assert ids(one, session_id=2) == OTHERS
        assert ids(one, session_id=9) == []
        (row,) = {
            (row["session_id"], row["session_token"]) for row in one.messages(session_id=1).json()["results"]
        }
        assert row == (1, token)


def test_a_filter_by_token_with_all_messages_for_anything_else() -> None:
    with talking("message-filters=session_token") as (one, token):
        assert ids(one, session_token=token) == MINE
        assert ids(one, session_token="nobody's") == []
        assert ids(one, session_id=1) == ALL
        assert ids(one, session_id=1, size=2, ordering="-message_id", before_message_id=5) == [4, 3]


def test_filters_by_either_and_by_none() -> None:
    with talking("message-filters=both") as (one, token):
        assert ids(one, session_token=token) == ids(one, session_id=1) == MINE
        assert ids(one, session_id=2, session_token=token) == []
    with talking("message-filters=none") as (one, token):
        assert ids(one, session_token=token) == ids(one, session_id=9) == ALL


# Pages


NEWEST = {"ordering": "-message_id"}


@pytest.mark.parametrize(
    ("pages", "by_page", "by_cursor"),
    [
        ("page", [4, 2], [7, 5]),
        ("before", [7, 5], [2, 1]),
        ("both", [4, 2], [2, 1]),
        ("first", [7, 5], [7, 5]),
        ("all", MINE[::-1], MINE[::-1]),
    ],
)
def test_how_messages_are_paged(pages: str, by_page: list[int], by_cursor: list[int]) -> None:
    with talking(f"message-pages={pages}") as (one, token):
        query = {"session_token": token, "size": 2, **NEWEST}
        assert ids(one, **query, page=2) == by_page
        assert ids(one, **query, before_message_id=4) == by_cursor


def test_a_page_past_the_end_does_not_exist() -> None:
    with talking("message-pages=page") as (one, token):
        answer = one.messages(session_token=token, size=2, page=4)
        assert answer.json() == {"message": "页码超出范围", "status": 404}
        assert ids(one, session_token=token, size=2, page=3) == [7]
        assert one.messages(session_token=token, size=2, page=3).json()["current_page"] == 3
    with talking("message-pages=first") as (one, token):
        assert ids(one, session_token=token, size=2, page=4) == [1, 2]
        assert "current_page" not in one.messages(session_token=token).json()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"pages": "page", "fields": {"session_token": "session_token", "page": "p", "size": "n"}}, [4, 5]),
        ({"pages": "none", "fields": {"session_token": "session_token"}}, MINE),
        (
            {"pages": "before", "fields": {"session_token": "session_token", "size": "n", "before": "b"}},
            [1, 2],
        ),
    ],
)
def test_the_paging_of_a_contract_is_played(facts: dict[str, Any], expected: list[int]) -> None:
    with talking(**facts) as (one, token):
        assert ids(one, session_token=token, p=2, n=2, b=4) == expected


def test_pages_that_are_clamped() -> None:
    with talking("max-page-size=2") as (one, token):
        assert ids(one, session_token=token, size=100, **NEWEST) == [7, 5]


# Counts


@pytest.mark.parametrize(("counts", "count"), [("all", 5), ("left", 3), ("page", 2), ("none", None)])
@pytest.mark.parametrize(("of", "max_pages"), [("all", 3), ("left", 2), ("page", 1), ("none", None)])
def test_what_is_counted(counts: str, count: int | None, of: str, max_pages: int | None) -> None:
    with talking(f"message-counts={counts}", f"message-max-pages={of}") as (one, token):
        document = one.messages(session_token=token, size=2, before_message_id=5, **NEWEST).json()
        assert [row["message_id"] for row in document.pop("results")] == [4, 2]
        expected = {"message": "", "status": 200, "count": count, "max_pages": max_pages}
        assert document == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize(("counts", "count"), [("all", 5), ("page", 2), ("none", None), (None, None)])
def test_the_count_of_a_contract_is_played(counts: str | None, count: int | None) -> None:
    with talking(counts=counts) as (one, token):
        document = one.messages(session_token=token, size=2, before_message_id=4).json()
        assert document.get("count") == count


# Order


@pytest.mark.parametrize(
    ("order", "by_default", "newest"),
    [("asked", MINE, MINE[::-1]), ("newest", MINE[::-1], MINE[::-1]), ("oldest", MINE, MINE)],
)
def test_the_order_of_messages(order: str, by_default: list[int], newest: list[int]) -> None:
    with talking(f"message-order={order}") as (one, token):
        assert (
            ids(one, session_token=token)
            == ids(one, session_token=token, ordering="message_id")
            == by_default
        )
        assert ids(one, session_token=token, ordering="-message_id") == newest
