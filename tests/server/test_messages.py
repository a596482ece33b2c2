"""The calls about messages and models."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from reconciler.server import RunningServer


def messages(server: RunningServer) -> str:
    return server.url + "/v1/message/"


def test_messages_are_listed_by_token_with_a_cursor(server: RunningServer, http: requests.Session) -> None:
    other, session_id = server.store.insert_session(), server.store.insert_session()
    server.store.insert_message(other, content="not mine")
    for number in range(5):
        server.store.insert_message(session_id, content=str(number))
    row = server.store.session(session_id)
    assert row is not None
    query = {"session_token": row.session_token, "size": "2", "ordering": "-message_id"}
    seen, pages = [], []
    while True:
        document = http.get(messages(server), params=query).json()
        assert document.keys() == {"message", "status", "max_pages", "results"}
        if not document["results"]:
            break
        seen += [row["message_content"] for row in document["results"]]
        pages.append(document["max_pages"])
        query["before_message_id"] = document["results"][-1]["message_id"]
    assert seen == list("43210")
    assert pages == [3, 2, 1]


def test_messages_come_oldest_first_by_default(server: RunningServer, http: requests.Session) -> None:
    session_id = server.store.insert_session()
    for number in range(3):
        server.store.insert_message(session_id, content=str(number))
    row = server.store.session(session_id)
    assert row is not None
    found = http.get(messages(server), params={"session_token": row.session_token}).json()["results"]
    assert [message["message_content"] for message in found] == list("012")


@pytest.mark.parametrize("cursor", ["0", "-5", str(-(2**70)), str(2**70)])
def test_a_cursor_may_be_any_whole_number(server: RunningServer, http: requests.Session, cursor: str) -> None:
    session_id = server.store.insert_session()
    server.store.insert_message(session_id)
    row = server.store.session(session_id)
    assert row is not None
    query = {"session_token": row.session_token, "before_message_id": cursor}
    found = http.get(messages(server), params=query).json()["results"]
    assert len(found) == (int(cursor) > 0)


def test_a_list_of_messages_needs_a_token(server: RunningServer, http: requests.Session) -> None:
    session_id = server.store.insert_session()
    answer = http.get(messages(server), params={"session_id": session_id})
    assert answer.json() == {"message": "缺少参数：session_token", "status": 400}
    answer = http.get(messages(server), params={"session_token": "nobody's"})
    assert answer.json() == {"message": "会话不存在", "status": 404}


@pytest.mark.parametrize("encoding", ["json", "form", "multipart"])
def test_a_message_is_created_from_any_encoding(
    server: RunningServer, http: requests.Session, encoding: str
) -> None:
    session_id = server.store.insert_session()
    row = server.store.session(session_id)
    assert row is not None
    fields: dict[str, Any] = {
        "session_id": session_id,
        "session_token": row.session_token,
        "message_category": "assistant",
        "message_content": " 你好\r\n",
        "meta_data": {"a": 1},
    }
    if encoding == "json":
        answer = http.post(messages(server), json=fields)
    elif encoding == "form":
        answer = http.post(messages(server), data={**fields, "meta_data": '{"a":1}'})
    else:
        parts = {name: (None, str(value)) for name, value in fields.items()}
        answer = http.post(messages(server), files={**parts, "meta_data": (None, '{"a":1}')})
    assert answer.status_code == 201
    data = answer.json()["data"]
    created_at = data.pop("created_at")
    assert created_at
    fields["message_meta"] = fields.pop(
        "meta_data"
    )  # the service takes it under another name than it gives it
    assert data == {"message_id": 1, **fields}
    listed = http.get(messages(server), params={"session_token": row.session_token}).json()["results"]
    assert listed == [{**data, "created_at": created_at}]


def test_clearing_takes_the_messages_of_one_session(server: RunningServer, http: requests.Session) -> None:
    first, second = server.store.insert_session(), server.store.insert_session()
    for session_id in (first, first, second):
        server.store.insert_message(session_id)
    answer = http.post(messages(server) + "clear/", json={"session_id": first})
    assert answer.json() == {"message": "", "status": 200}
    assert (len(server.store.messages(first)), len(server.store.messages(second))) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({}, 400, "缺少参数：session_id"),
        ({"session_id": 9}, 404, "会话不存在"),
        ({"session_id": "x"}, 400, "参数格式错误：session_id"),
        ({"session_token": "nobody's"}, 404, "会话不存在"),
        ({"session_id": 1, "session_token": "another's"}, 404, "会话不存在"),
        (
            {"session_id": 1, "message_category": "system", "message_content": ""},
            400,
            "参数格式错误：message_category",
        ),
        ({"session_id": 1, "message_category": "tip"}, 400, "参数格式错误：message_content"),
        (
            {"session_id": 1, "message_category": "tip", "message_content": "", "meta_data": 3},
            400,
            "参数格式错误：meta_data",
        ),
    ],
)
def test_an_invalid_message(
    server: RunningServer, http: requests.Session, fields: dict[str, Any], status: int, message: str
) -> None:
    server.store.insert_session()
    answer = http.post(messages(server), json=fields)
    assert answer.status_code == status
    assert answer.json() == {"message": message, "status": status}
    assert server.store.dump()["message"] == []


def test_models_are_listed_as_elsewhere(server: RunningServer, http: requests.Session) -> None:
    server.store.insert_session(model="qwen-max")
    document = http.get(server.url + "/v1/models").json()
    assert document["object"] == "list"
    assert [row["id"] for row in document["data"]] == ["deepseek-chat", "deepseek-reasoner", "qwen-max"]
    assert {row["object"] for row in document["data"]} == {"model"}
