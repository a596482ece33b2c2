"""The calls about sessions, as documented for the API."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from reconciler.server import RunningServer

ALICE: dict[str, Any] = {
    "session_name": "爱丽丝",
    "model": "deepseek-chat",
    "prompt": "  You are Alice.\r\n\u2028🐇 {{char}}\n ",
    "temperature": 0.3,
    "history_length": 6,
    "max_tokens": 500,
    "session_remark": '{"created_user":"lery"}',
}


def sessions(server: RunningServer) -> str:
    return server.url + "/v1/session/"


def names(answer: requests.Response) -> list[str]:
    return [row["session_name"] for row in answer.json()["results"]]


def test_a_listing_is_an_envelope_around_the_documented_rows(
    server: RunningServer, http: requests.Session
) -> None:
    session_id = server.store.insert_session(
        name="test",
        prompt="Hi",
        extra={"voice": "low"},
        remark=None,
        created_at="2024-09-12 15:13:22",
    )
    row = server.store.session(session_id)
    assert row is not None
    answer = http.get(sessions(server))
    assert answer.status_code == 200
    assert answer.json() == {
        "message": "",
        "status": 200,
        "count": 1,
        "max_pages": 1,
        "current_page": 1,
        "results": [
            {
                "session_id": 1,
                "session_token": row.session_token,
                "api_id": 70,
                "device_id": None,
                "session_name": "test",
                "session_config": {
                    "voice": "low",
                    "data": {},
                    "model": "deepseek-chat",
                    "prompt": "Hi",
                    "max_tokens": 4000,
                    "temperature": 0.2,
                    "history_length": 4,
                },
                "session_remark": None,
                "created_at": "2024-09-12 15:13:22",
                "updated_at": "2024-09-12 15:13:22",
            }
        ],
    }


@pytest.mark.parametrize("encoding", ["json", "form", "multipart", "query"])
def test_a_session_is_created_from_any_encoding(
    server: RunningServer, http: requests.Session, encoding: str
) -> None:
    if encoding == "json":
        answer = http.post(sessions(server), json={**ALICE, "config_data": {"a": [1]}})
    elif encoding == "query":
        answer = http.post(sessions(server), params={**ALICE, "config_data": '{"a":[1]}'})
    elif encoding == "form":
        answer = http.post(sessions(server), data={**ALICE, "config_data": '{"a":[1]}'})
    else:
        fields = {name: (None, str(value)) for name, value in ALICE.items()}
        answer = http.post(sessions(server), files={**fields, "config_data": (None, '{"a":[1]}')})
    assert answer.status_code == 201
    document = answer.json()
    assert (document["status"], document["message"]) == (201, "")
    data = document["data"]
    assert data["session_id"] == 1
    assert re.fullmatch(r"[0-9a-f-]{36}", data["session_token"])
    assert data["session_name"] == "爱丽丝"
    assert data["session_remark"] == '{"created_user":"lery"}'
    assert data["session_config"] == {
        "data": {"a": [1]},
        "model": "deepseek-chat",
        "prompt": ALICE["prompt"],
        "temperature": 0.3,
        "max_tokens": 500,
        "history_length": 6,
    }
    assert http.get(sessions(server)).json()["results"] == [data]


def test_what_a_create_leaves_out_has_a_default(server: RunningServer, http: requests.Session) -> None:
    data = http.post(sessions(server), json={"session_name": "a", "model": "m"}).json()["data"]
    assert data["session_remark"] == ""
    assert data["session_config"] == {
        "data": {},
        "model": "m",
        "prompt": "",
        "max_tokens": 4000,
        "temperature": 0.2,
        "history_length": 4,
    }


def test_an_update_changes_what_it_names_and_keeps_the_rest(
    server: RunningServer, http: requests.Session
) -> None:
    session_id = server.store.insert_session(
        name="a", prompt="old", remark="prose", extra={"voice": "low"}, created_at="2024-09-12 15:13:22"
    )
    before = http.get(sessions(server)).json()["results"][0]
    answer = http.post(f"{sessions(server)}{session_id}/", json={"prompt": "new", "temperature": 1})
    assert answer.status_code == 200
    after = answer.json()["data"]
    assert after["updated_at"] > before["updated_at"]
    before["updated_at"] = after["updated_at"]
    before["session_config"] |= {"prompt": "new", "temperature": 1}
    assert after == before
    assert http.get(sessions(server)).json()["results"] == [after]


def test_a_delete_takes_the_messages_along_and_its_id_is_never_given_again(
    server: RunningServer, http: requests.Session
) -> None:
    session_id = server.store.insert_session()
    server.store.insert_message(session_id, content="hello")
    answer = http.post(f"{sessions(server)}{session_id}/del/")
    assert answer.json() == {"message": "", "status": 200, "data": {"session_id": session_id}}
    assert server.store.dump() == {"session": [], "message": []}
    assert server.store.insert_session() == session_id + 1


@pytest.mark.parametrize("call", ["", "del/"])
@pytest.mark.parametrize("session_id", [7, 2**70])
def test_a_missing_session(server: RunningServer, http: requests.Session, call: str, session_id: int) -> None:
    answer = http.post(f"{sessions(server)}{session_id}/{call}")
    assert answer.status_code == 404
    assert answer.json() == {"message": "会话不存在", "status": 404}


@pytest.mark.parametrize("column", ["session_id", "api_use_count", "created_at", "updated_at"])
def test_a_listing_is_ordered_by_any_of_eight(
    server: RunningServer, http: requests.Session, column: str
) -> None:
    columns: dict[str, list[Any]] = {
        "api_use_count": [2, 3, 1],
        "created_at": ["3", "1", "2"],
        "updated_at": ["1", "3", "2"],
    }
    for index, name in enumerate("abc"):
        server.store.insert_session(
            name=name,
            api_use_count=columns["api_use_count"][index],
            created_at=columns["created_at"][index],
            updated_at=columns["updated_at"][index],
        )
    expected = [name for _, name in sorted(zip(columns.get(column, [1, 2, 3]), "abc", strict=True))]
    assert names(http.get(sessions(server), params={"ordering": column})) == expected
    assert names(http.get(sessions(server), params={"ordering": "-" + column})) == expected[::-1]


def test_a_listing_comes_in_pages(server: RunningServer, http: requests.Session) -> None:
    for name in "abcde":
        server.store.insert_session(name=name)
    seen = []
    for page in (1, 2, 3):
        answer = http.get(sessions(server), params={"page": page, "size": 2})
        document = answer.json()
        assert (document["count"], document["max_pages"], document["current_page"]) == (5, 3, page)
        seen += names(answer)
    assert seen == list("abcde")
    beyond = http.get(sessions(server), params={"page": 4, "size": 2})
    assert beyond.status_code == 404
    assert beyond.json() == {"message": "页码超出范围", "status": 404}


def test_a_page_has_twenty_rows_by_default(server: RunningServer, http: requests.Session) -> None:
    for _ in range(21):
        server.store.insert_session()
    assert len(names(http.get(sessions(server)))) == 20


def test_the_first_page_of_an_empty_list_is_empty(server: RunningServer, http: requests.Session) -> None:
    document = http.get(sessions(server)).json()
    assert document == {
        "message": "",
        "status": 200,
        "count": 0,
        "max_pages": 1,
        "current_page": 1,
        "results": [],
    }


def test_a_name_filters_exactly(server: RunningServer, http: requests.Session) -> None:
    for name in ("test", "test", "testing"):
        server.store.insert_session(name=name)
    document = http.get(sessions(server), params={"session_name": "test"}).json()
    assert document["count"] == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"ordering": "name"}, "不支持的排序字段：name"),
        ({"page": "0"}, "参数格式错误：page"),
        ({"page": "x"}, "参数格式错误：page"),
        ({"size": "-1"}, "参数格式错误：size"),
        ({"size": "1.5"}, "参数格式错误：size"),
        ({"page": "99999999999"}, "参数格式错误：page"),
    ],
)
def test_an_invalid_listing(
    server: RunningServer, http: requests.Session, query: dict[str, str], message: str
) -> None:
    answer = http.get(sessions(server), params=query)
    assert answer.status_code == 400
    assert answer.json() == {"message": message, "status": 400}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "m"}, "缺少参数：session_name"),
        ({"session_name": "", "model": "m"}, "缺少参数：session_name"),
        ({"session_name": "a"}, "缺少参数：model"),
        ({"session_name": 1, "model": "m"}, "参数格式错误：session_name"),
        ({"session_name": "a", "model": "m", "prompt": None}, "参数格式错误：prompt"),
        ({"session_name": "a", "model": "m", "temperature": "warm"}, "参数格式错误：temperature"),
        ({"session_name": "a", "model": "m", "temperature": True}, "参数格式错误：temperature"),
        ({"session_name": "a", "model": "m", "temperature": "1e999"}, "参数格式错误：temperature"),
        ({"session_name": "a", "model": "m", "max_tokens": 1.5}, "参数格式错误：max_tokens"),
        ({"session_name": "a", "model": "m", "config_data": "[]"}, "参数格式错误：config_data"),
        ({"session_name": "a", "model": "m", "config_data": "{"}, "参数格式错误：config_data"),
        ({"session_name": "a", "model": "m", "config_data": '{"a":"\\ud800"}'}, "参数格式错误：config_data"),
        ({"session_name": "a", "model": "m", "session_remark": {}}, "参数格式错误：session_remark"),
    ],
)
def test_an_invalid_create(
    server: RunningServer, http: requests.Session, fields: dict[str, Any], message: str
) -> None:
    answer = http.post(sessions(server), json=fields)
    assert answer.status_code == 400
    assert answer.json() == {"message": message, "status": 400}
    assert server.store.sessions() == []
