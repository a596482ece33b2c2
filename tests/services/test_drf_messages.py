"""The second service: its lists of messages, as seen by a plain HTTP client."""

from __future__ import annotations

import uuid
from typing import Any

from tests.services.calling import MESSAGES, REQUIRED, SESSIONS, Api, contents, encoded, ids_of, of
from tests.services.drf.running import needs_drf

pytestmark = needs_drf

OTHER_TOKEN = str(uuid.UUID(int=7))


def chat_of(api: Api, count: int = 5) -> dict[str, Any]:
    """A session with messages 1, 2, …, beside one of somebody else that has one, too. Its row."""
    session_id = api.service.put_session(session_name="chat")
    other = api.service.put_session(session_name="other")
    api.service.put_messages(session_id, [str(n) for n in range(1, count)])
    api.service.put_messages(other, ["private"])
    api.service.put_messages(session_id, [str(count)])
    row: dict[str, Any] = api.get(SESSIONS).json()["results"][0]
    return row


@of("rest-id")
def test_a_message(api: Api) -> None:
    row = api.created()
    made = api.say(row, "hi").json()["data"]
    assert made.pop("created_at")
    assert made == {
        "message_id": 1,
        "session_id": row["session_id"],
        "session_token": row["session_token"],
        "message_category": "user",
        "message_content": "hi",
        "message_meta": {"n": 1},
    }
    wrong = api.post(MESSAGES, json={**ids_of(row, "token"), "message_category": "robot"})
    assert wrong.json()["data"] == {
        "message_category": ["“robot” 不是合法选项。"],
        "message_content": REQUIRED,
    }


CURSORS = (
    "cursor-no-count",
    "cursor-page-count",
    "cursor-rest-count",
    "cursor-whole-count",
    "cursor-no-pages",
)


@of(*CURSORS)
def test_a_cursor(api: Api) -> None:
    row = chat_of(api)
    seen, counts, pages = [], [], []
    cursor: dict[str, int] = {}
    while (document := api.messages(row, size=2, ordering="-message_id", **cursor))["results"]:
        seen.append(contents(document))
        counts.append(document.get("count"))
        pages.append(document.get("max_pages"))
        cursor = {"before_message_id": document["results"][-1]["message_id"]}
    assert seen == [["5", "4"], ["3", "2"], ["1"]]
    none = [None] * 3
    assert (
        counts
        == {"none": none, "page": [2, 2, 1], "rest": [5, 3, 1], "whole": [5, 5, 5]}[api.variant.message_count]
    )
    assert pages == {"absent": none, "rest": [3, 2, 1], "whole": [3, 3, 3]}[api.variant.message_max_pages]
    assert contents(api.messages(row, size=2, page=2)) == ["5", "4"]  # a page is nothing that it knows
    assert contents(api.messages(row, ordering="message_id")) == ["1", "2", "3", "4", "5"]
    assert api.messages(row, before_message_id="x")["status"] == 400


@of("pages-whole-count", "pages-page-count", "pages-ordering-ignored")
def test_numbered_pages(api: Api) -> None:
    row = chat_of(api)
    documents = [api.messages(row, size=2, page=page) for page in (1, 2, 3)]
    newest = [["5", "4"], ["3", "2"], ["1"]]
    oldest = [["1", "2"], ["3", "4"], ["5"]]
    assert [contents(one) for one in documents] == (
        newest if api.variant.message_order == "newest" else oldest
    )
    whole = api.variant.message_count == "whole"
    assert [one["count"] for one in documents] == ([5, 5, 5] if whole else [2, 2, 1])
    assert api.messages(row, size=2, page=4)["status"] == 404
    first = api.messages(row, size=2, page=1, before_message_id=2)  # nothing that it knows
    assert contents(first) == contents(documents[0])
    turned = contents(api.messages(row, size=2, ordering="message_id"))
    assert turned == (["5", "4"] if api.variant.message_ordering == "ignored" else ["1", "2"])


@of("pages-ignored", "messages-all-at-once")
def test_pages_that_are_not_known(api: Api) -> None:
    row = chat_of(api)
    sizes = ["5", "4"] if api.variant.message_pages == "first" else ["5", "4", "3", "2", "1"]
    for query in ({}, {"page": 2}, {"before_message_id": 2}):
        document = api.messages(row, size=2, **query)
        assert (contents(document), document["count"]) == (sizes, 5)


@of("cursor-oldest-first")
def test_the_oldest_first(api: Api) -> None:
    row = chat_of(api)
    assert contents(api.messages(row, size=2)) == ["1", "2"]
    assert contents(api.messages(row, size=2, ordering="-message_id")) == ["5", "4"]


@of("rest-id", "filter-ignored", "verbs-both-ids", "filter-required")
def test_which_filters_are_known(api: Api) -> None:
    row = chat_of(api)
    api.service.put_messages(api.service.put_session(api_id=71), ["another account's"])
    for name in ("session_token", "session_id"):
        answer = api.get(MESSAGES, **{name: row[name]})
        if name in api.variant.message_filters:
            assert contents(answer.json()) == ["5", "4", "3", "2", "1"]
        elif api.variant.message_filter == "required":
            assert answer.json()["data"] == {"session_token": REQUIRED}
        else:  # not known, so ignored: every message of the account
            assert contents(answer.json()) == ["5", "private", "4", "3", "2", "1"]


@of("rest-id", "filter-required")
def test_the_messages_of_no_session(api: Api) -> None:
    chat_of(api)
    nowhere = api.get(MESSAGES, session_token=OTHER_TOKEN)
    if api.variant.unknown_session == "404":
        assert nowhere.status_code == 404
    else:
        assert (nowhere.status_code, nowhere.json()["results"]) == (200, [])
    assert api.get(MESSAGES, session_token="none").json()["data"] == {"session_token": ["请输入有效UUID。"]}


@of("rest-id", "verbs-id-body", "verbs-both-ids", "verbs-either-id")
def test_how_a_message_and_a_clear_name_the_session(api: Api) -> None:
    row = chat_of(api)
    works = {"either": ("token", "id", "both"), "both": ("both",)}
    said = {"message_category": "user", "message_content": "more"}
    for by in ("token", "id", "both"):
        fits = by in works.get(api.variant.message_ids, (api.variant.message_ids, "both"))
        for way in ("json", "query"):
            api.service.put_messages(row["session_id"], ["again"])
            cleared = api.post(MESSAGES + "clear/", **encoded(way, ids_of(row, by)))
            assert cleared.status_code == (200 if fits else 400)
            assert (api.service.messages(row["session_id"]) == []) == fits
        added = api.post(MESSAGES, json={**ids_of(row, by), **said})
        assert added.status_code == (201 if fits else 400)
    assert [
        one["message_content"] for one in api.service.messages() if one["session_id"] != row["session_id"]
    ] == ["private"]
