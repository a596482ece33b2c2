"""Keys, accounts and points, and the form of errors."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from reconciler.server import Fault, running_server
from tests.server.support import NEW, service


class Account:
    """What a key may do."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str, **query: str) -> requests.Response:
        return requests.get(self.url + path, params=query, headers=self.headers, timeout=10)

    def post(self, path: str, **fields: object) -> requests.Response:
        return requests.post(self.url + path, json=fields, headers=self.headers, timeout=10)


def test_each_key_is_an_account_that_sees_its_own_sessions_only() -> None:
    with running_server(None, require_key=["first", "second"]) as server:
        mine, theirs = Account(server.url, "first"), Account(server.url, "second")
        row = mine.post("/v1/session/", **NEW).json()["data"]
        assert (row["session_id"], row["api_id"]) == (1, 70)
        assert theirs.post("/v1/session/", **NEW).json()["data"]["api_id"] == 71
        assert mine.get("/v1/session/").json()["results"] == [row]
        assert [one["session_id"] for one in theirs.get("/v1/session/").json()["results"]] == [2]
        before = server.store.dump()
        message = {"message_category": "tip", "message_content": "hi", "session_token": row["session_token"]}
        for answer in (
            theirs.post("/v1/session/1/", prompt="x"),
            theirs.post("/v1/session/1/del/"),
            theirs.post("/v1/message/", **message),
            theirs.post("/v1/message/clear/", session_id=1),
            theirs.get("/v1/message/", session_token=row["session_token"]),
        ):
            assert answer.json() == {"message": "会话不存在", "status": 404}
        assert server.store.dump() == before
        assert mine.post("/v1/message/", **message).status_code == 201
        assert Account(server.url, "third").get("/v1/session/").status_code == 403


def test_the_messages_of_an_account() -> None:
    from reconciler.server import Quirks

    quirks = Quirks(message_filters="none", delete_hits="other", late_changes=60)
    with running_server(None, require_key=["first", "second"], quirks=quirks) as server:
        for api_id in (70, 71, 71):
            server.store.insert_message(server.store.insert_session(api_id=api_id))
        mine, theirs = Account(server.url, "first"), Account(server.url, "second")
        assert [row["message_id"] for row in mine.get("/v1/message/").json()["results"]] == [1]
        assert [row["message_id"] for row in theirs.get("/v1/message/").json()["results"]] == [2, 3]
        # Even a delete that misses stays within the account, and so does a list that shows it late.
        assert mine.post("/v1/session/1/del/").status_code == 200
        assert theirs.post("/v1/session/3/del/").status_code == 200
        assert [row.session_id for row in server.store.sessions()] == [1, 3]
        assert [row["session_id"] for row in mine.get("/v1/session/").json()["results"]] == [1]
        assert [row["session_id"] for row in theirs.get("/v1/session/").json()["results"]] == [2, 3]


def test_the_page_of_an_account() -> None:
    with running_server(None, require_key=["first", "second"]) as server:
        server.store.insert_session(name="Alice", api_id=70)
        server.store.insert_session(name="Bob", api_id=71)
        page = requests.get(server.url + "/", auth=("me", "second"), timeout=10).text
        assert "Bob" in page
        assert "Alice" not in page


def test_without_keys_there_is_one_account_that_sees_all() -> None:
    with service() as one:
        one.server.store.insert_session(api_id=99)
        assert one.create().json()["data"]["api_id"] == 70
        assert [row["api_id"] for row in one.listing()["results"]] == [99, 70]
        assert one.update(1, prompt="x").status_code == 200


# Points


def test_an_account_without_points() -> None:
    from reconciler.server import Quirks

    with running_server(None, require_key=["first", "second"], quirks=Quirks(points=2)) as server:
        mine, theirs = Account(server.url, "first"), Account(server.url, "second")
        assert mine.post("/v1/session/", **NEW).status_code == 201
        assert mine.post("/v1/session/1/", prompt="x").status_code == 200
        for answer in (mine.post("/v1/session/1/", prompt="y"), mine.post("/v1/session/1/del/")):
            assert answer.status_code == 406
            assert answer.json() == {"message": "积分不足", "status": 406}
        assert mine.get("/v1/session/").json()["results"][0]["session_config"]["prompt"] == "x"
        assert theirs.post("/v1/session/", **NEW).status_code == 201


@pytest.mark.parametrize(
    ("status", "http", "body"), [("402", 402, None), ("200/406", 200, 406), ("402/402", 402, 402)]
)
def test_how_a_write_without_points_is_answered(status: str, http: int, body: int | None) -> None:
    with service("points=0", f"out-of-points={status}") as one:
        answer = one.create()
        assert answer.status_code == http
        assert answer.json() == {"message": "积分不足", **({} if body is None else {"status": body})}


# Errors


def test_bare_errors_about_a_call() -> None:
    with service("bare-errors", "points=9", "remark-limit=3") as one:
        required = ["该字段是必填项。"]
        expected: list[tuple[requests.Response, int, Any]] = [
            (one.create(session_name="", model=""), 400, {"session_name": required, "model": required}),
            (one.create(temperature="warm"), 400, {"temperature": ["格式错误。"]}),
            (one.create(session_remark="long"), 400, {"session_remark": ["过长，最多 3 字节。"]}),
            (one.update(9, prompt="x"), 404, {"detail": "会话不存在"}),
            (one.messages(), 400, {"session_token": required}),
            (one.listing_answer(page=9), 404, {"detail": "页码超出范围"}),
            (one.listing_answer(ordering="name"), 400, {"detail": "不支持的排序字段：name"}),
            (one.http.get(one.server.url + "/v1/nothing/"), 404, {"detail": "接口不存在"}),
            (one.http.put(one.server.url + "/v1/session/"), 405, {"detail": "不支持的请求方法"}),
        ]
        for answer, status, document in expected:
            assert (answer.status_code, answer.json()) == (status, document)
        one.server.faults.add(Fault("status", status=429, retry_after=1))
        assert one.listing() == {"detail": "请求过于频繁"}


def test_success_has_an_envelope_even_if_errors_are_bare() -> None:
    with service("bare-errors", "points=1") as one:
        document = one.create().json()
        assert (document["status"], document["message"]) == (201, "")
        answer = one.create()
        assert (answer.status_code, answer.json()) == (406, {"detail": "积分不足"})


def test_bare_errors_about_a_key_and_a_body() -> None:
    from reconciler.server import Quirks

    with running_server(None, require_key="s3cret", quirks=Quirks(bare_errors=True)) as server:
        url, key = server.url + "/v1/session/", {"Authorization": "Bearer s3cret"}
        assert requests.get(url, timeout=10).json() == {"detail": "未提供 API Key"}
        answer = requests.post(
            url, data=b"[]", headers={**key, "Content-Type": "application/json"}, timeout=10
        )
        assert (answer.status_code, answer.json()) == (400, {"detail": "请求体无法解析：not a JSON object"})
        answer = requests.post(url, data=b"{}", headers={**key, "Content-Type": "text/xml"}, timeout=10)
        assert (answer.status_code, answer.json()) == (415, {"detail": "不支持的内容类型：text/xml"})
