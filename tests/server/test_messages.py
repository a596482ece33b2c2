"""The calls about messages and models."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from reconciler.server import RunningServer


def messages(server: RunningServer) -> str:
    return server.url + "/v1/message/"


def test_messages_come_in_pages_oldest_first(server: RunningServer, http: requests.Session) -> None:
    other, session_id = server.store.insert_session(), server.store.insert_session()
    server.store.insert_message(other, content="not mine")
    for number in range(5):
        server.store.insert_message(session_id, content=str(number))
    seen = []
    for page in (1, 2, 3):
        document = http.get(
            messages(server), params={"session_id": session_id, "page": page, "size": 2}
        ).json()
        assert (document["count"], document["max_pages"], document["current_page"]) == (5, 3, page)
        seen += [row["message_content"] for row in document["results"]]
    assert seen == list("01234")
    beyond = http.get(messages(server), params={"session_id": session_id, "page": 4, "size": 2})
    assert beyond.json() == {"message": "页码超出范围", "status": 404}


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
def test_a_message_that_makes_no_sense(
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
