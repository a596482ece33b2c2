"""How services may differ in what a create, an update or a delete accepts and does."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from reconciler.contract import Contract
from reconciler.server.quirks import Quirks, learned_quirks
from tests.server.support import NEW, Service, service
from tests.support import contract_with

FULL = {
    "session_name": "a",
    "model": "m",
    "prompt": "p",
    "temperature": 1,
    "history_length": 2,
    "max_tokens": 3,
    "config_data": {},
    "session_remark": "r",
}


def rows(one: Service) -> dict[int, str]:
    """The prompts in the database by session id."""
    return {row.session_id: row.prompt for row in one.server.store.sessions()}


# What names a session


def test_a_path_that_holds_the_token() -> None:
    with service("path-names=token") as one:
        token = one.create().json()["data"]["session_token"]
        assert one.update(1, prompt="x").status_code == 404
        assert one.update(token, prompt="x").json()["data"]["session_config"]["prompt"] == "x"
        assert one.delete("nobody's").json() == {"message": "会话不存在", "status": 404}
        assert one.delete(token).status_code == 200
        assert rows(one) == {}


def test_a_path_that_holds_the_id_whatever_the_contract_says() -> None:
    contract = contract_with("delete_session", path="/v1/session/{session_token}/del/")
    with service(contract=contract) as one:
        one.create()
        assert one.delete(1).status_code == 404
    with service("path-names=id", contract=contract) as one:
        one.create()
        assert one.delete(1).status_code == 200


NAMES = {"session_id": "session_id", "session_token": "session_token"}


@pytest.mark.parametrize("names", [("session_id",), ("session_token",), ("session_id", "session_token")])
def test_a_session_named_in_the_body(names: tuple[str, ...]) -> None:
    """By id, by token, or by either, as the contract says; what the contract does not name is not read."""
    contract = contract_with(
        "delete_session", path="/v1/session/del/", encoding="json", fields={name: name for name in names}
    )
    for given in NAMES:
        with service(contract=contract) as one:
            data = one.create().json()["data"]
            answer = one.http.post(one.server.url + "/v1/session/del/", json={given: data[given]})
            if given in names:
                assert answer.json() == {"message": "", "status": 200, "data": {"session_id": 1}}
            else:
                assert answer.json() == {"message": f"缺少参数：{names[0]}", "status": 400}
                assert rows(one) == {1: ""}


def test_names_that_do_not_agree_name_no_session() -> None:
    contract = contract_with("delete_session", path="/v1/session/del/", encoding="json", fields=NAMES)
    with service(contract=contract) as one:
        first, second = (one.create().json()["data"] for _ in range(2))
        body = {"session_id": first["session_id"], "session_token": second["session_token"]}
        assert one.http.post(one.server.url + "/v1/session/del/", json=body).status_code == 404
        assert rows(one) == {1: "", 2: ""}


def test_a_call_that_needs_both_names() -> None:
    contract = contract_with("delete_session", path="/v1/session/del/", encoding="json", fields=NAMES)
    with service("both-names", contract=contract) as one:
        data = one.create().json()["data"]
        url, both = one.server.url + "/v1/session/del/", {name: data[name] for name in NAMES}
        for name, other in (("session_id", "session_token"), ("session_token", "session_id")):
            answer = one.http.post(url, json={name: both[name]})
            assert answer.json() == {"message": f"缺少参数：{other}", "status": 400}
        message = {"session_token": data["session_token"], "message_category": "tip", "message_content": ""}
        assert one.http.post(one.server.url + "/v1/message/", json=message).status_code == 400
        assert one.http.post(url, json=both).status_code == 200


# Encodings


def query(fields: dict[str, Any]) -> dict[str, str]:
    return {name: "{}" if value == {} else str(value) for name, value in fields.items()}


def test_a_create_by_query_alone() -> None:
    with service("strict-encoding", contract=contract_with("create_session", encoding="query")) as one:
        url = one.server.url + "/v1/session/"
        for body in ({"json": FULL}, {"data": FULL}, {"files": dict.fromkeys(FULL, (None, "x"))}):
            answer = one.http.post(url, **body)  # type: ignore[arg-type]
            assert answer.json() == {"message": "缺少参数：session_name、model", "status": 400}
        data = one.http.post(url, params=query(FULL) | {"config_data": '{"a": [1]}'}).json()["data"]
        assert (data["session_name"], data["session_remark"]) == ("a", "r")
        assert data["session_config"] == {
            "data": {"a": [1]},
            "model": "m",
            "prompt": "p",
            "temperature": 1,
            "history_length": 2,
            "max_tokens": 3,
        }


def test_a_body_in_another_encoding_that_is_taken_for_an_empty_one() -> None:
    with service("unread-encoding") as one:
        url = one.server.url + "/v1/session/"
        for answer in (one.http.post(url, json=NEW), one.http.post(url, params=NEW)):
            assert answer.json() == {"message": "缺少参数：session_name、model", "status": 400}
        assert one.http.post(url, files={name: (None, value) for name, value in NEW.items()}).ok
        one.http.post(url + "1/", data={"prompt": "x"})
        assert rows(one) == {1: ""}
        one.update(1, prompt="x")
        assert rows(one) == {1: "x"}


def test_a_query_that_is_too_long() -> None:
    with service("query-limit=100") as one:
        url = one.server.url + "/v1/session/"
        answer = one.http.post(f"{url}?session_name=a&model={'m' * 80}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (414, "text/html; charset=utf-8")
        assert one.http.post(f"{url}?session_name=a&model={'m' * 79}").status_code == 201
        assert one.server.log[0].status == 414
        assert len(rows(one)) == 1


def test_the_longest_query_of_a_contract_is_played() -> None:
    contract = contract_with("create_session", encoding="query", longest_query=4000)
    assert learned_quirks(contract).query_limit == 4000
    assert Quirks().query_limit is None


# What a create and an update take in


def test_data_under_another_name_than_the_contract_says() -> None:
    with service("data-field=data") as one:
        config = one.create(config_data={"a": 1}).json()["data"]["session_config"]
        assert config["data"] == {}
        config = one.update(1, data={"a": 1}).json()["data"]["session_config"]
        assert config["data"] == {"a": 1}
        config = one.update(1, config_data={"b": 1}).json()["data"]["session_config"]
        assert config["data"] == {"a": 1}


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        ("row", None),
        ("both", {"session_id", "session_token"}),
        ("token", {"session_token"}),
        ("none", set()),
    ],
)
def test_what_a_create_answers(answer: str, fields: set[str] | None) -> None:
    with service(f"create-answer={answer}") as one:
        document = one.create().json()
        (row,) = one.listing()["results"]
        assert document["status"] == 201
        assert document["data"] == {name: row[name] for name in (row if fields is None else fields)}


def with_left_out(left_out: str) -> Contract:
    return contract_with("update_session", left_out=left_out)


@pytest.mark.parametrize("contract", [None, with_left_out("refused")])
def test_an_update_that_wants_all_fields(contract: Contract | None) -> None:
    with service(*(["update-wants-all"] if contract is None else []), contract=contract) as one:
        one.create(prompt="old")
        for name in FULL:
            answer = one.update(1, **{ours: value for ours, value in FULL.items() if ours != name})
            assert answer.json() == {"message": f"缺少参数：{name}", "status": 400}
        answer = one.update(1, prompt="new", session_name="b")
        assert answer.json()["message"] == (
            "缺少参数：model、temperature、history_length、max_tokens、config_data、session_remark"
        )
        assert rows(one) == {1: "old"}
        assert one.update(1, **FULL).status_code == 200
        assert rows(one) == {1: "p"}


def test_a_contract_whose_update_resets() -> None:
    with service(contract=with_left_out("reset")) as one:
        one.create(prompt="old", session_remark="r", config_data={"a": 1})
        data = one.update(1, max_tokens=7).json()["data"]
        assert (data["session_remark"], data["session_config"]["prompt"]) == ("", "")


@pytest.mark.parametrize(
    ("quirks", "stored"),
    [
        (("remark-characters=3", "remark-over=cut"), '爱"爱'),
        (("remark-escaped",), "爱&quot;爱&lt;&#x27;&gt;&amp;"),
        (("remark-escaped", "remark-characters=5", "remark-over=cut"), "爱&quo"),
    ],
)
def test_remarks_that_are_not_kept_as_they_are(quirks: tuple[str, ...], stored: str) -> None:
    with service(*quirks) as one:
        remark = "爱\"爱<'>&"
        assert one.create(session_remark=remark).json()["data"]["session_remark"] == stored
        assert one.update(1, session_remark=remark).json()["data"]["session_remark"] == stored


def test_remarks_up_to_a_number_of_characters() -> None:
    with service("remark-characters=3") as one:
        assert one.create(session_remark="爱爱爱").status_code == 201
        answer = one.update(1, session_remark="爱爱爱爱")
        assert answer.json() == {"message": "session_remark 过长，最多 3 字符", "status": 400}


# Times


def test_times_that_are_local_and_do_not_say_so() -> None:
    with service("utc-offset=8") as one:
        one.server.store.insert_session(created_at="2024-09-12 15:13:22", updated_at="2024-09-12 16:30:00")
        (row,) = one.listing()["results"]
        assert (row["created_at"], row["updated_at"]) == ("2024-09-12 23:13:22", "2024-09-13 00:30:00")
        one.server.store.insert_message(1)
        token = row["session_token"]
        (message,) = one.messages(session_token=token).json()["results"]
        (stored,) = one.server.store.messages(1)
        assert message["created_at"] != stored.created_at
    with service("utc-offset=-3.5") as one:
        one.server.store.insert_session(created_at="2024-09-12 01:00:00", updated_at="yesterday")
        (row,) = one.listing()["results"]
        assert (row["created_at"], row["updated_at"]) == ("2024-09-11 21:30:00", "yesterday")


@pytest.mark.parametrize(
    ("resolution", "created_at"),
    [
        ("second", "2024-09-12 23:13:22"),
        ("minute", "2024-09-12 23:13:00"),
        ("day", "2024-09-12 00:00:00"),
    ],
)
def test_times_that_are_truncated(resolution: str, created_at: str) -> None:
    with service(f"time-resolution={resolution}", "utc-offset=8") as one:
        one.server.store.insert_session(created_at="2024-09-12 15:13:22")
        assert one.listing()["results"][0]["created_at"] == created_at


@pytest.mark.parametrize(
    ("moves", "by_update", "by_message"),
    [("updates", True, False), ("messages", True, True), ("never", False, False)],
)
def test_what_moves_updated_at(moves: str, by_update: bool, by_message: bool) -> None:
    with service(f"updated-at={moves}") as one:
        old = "2024-09-12 15:13:22"
        for _ in range(2):
            one.server.store.insert_session(created_at=old)
        one.update(1, prompt="x")
        body = {"session_id": 2, "message_category": "tip", "message_content": "hi"}
        assert one.http.post(one.server.url + "/v1/message/", json=body).status_code == 201
        updated, told = one.listing()["results"]
        assert updated["session_config"]["prompt"] == "x"
        assert (updated["updated_at"] > old, told["updated_at"] > old) == (by_update, by_message)


# Writes that lie


@pytest.mark.parametrize(
    ("hits", "changed"), [("named", {2}), ("other", {3}), ("both", {2, 3}), ("none", set())]
)
def test_an_update_that_changes_other_sessions(hits: str, changed: set[int]) -> None:
    with service(f"update-hits={hits}") as one:
        for name in "abc":
            one.create(session_name=name, prompt="old")
        answer = one.update(2, prompt="new").json()
        assert answer["status"] == 200
        assert (answer["data"]["session_id"], answer["data"]["session_config"]["prompt"]) == (2, "new")
        assert rows(one) == {number: "new" if number in changed else "old" for number in (1, 2, 3)}
        assert one.update(9, prompt="new").status_code == 404


@pytest.mark.parametrize(
    ("hits", "left"), [("named", {1, 3}), ("other", {1, 2}), ("both", {1}), ("none", {1, 2, 3})]
)
def test_a_delete_that_removes_other_sessions(hits: str, left: set[int]) -> None:
    with service(f"delete-hits={hits}") as one:
        for name in "abc":
            one.create(session_name=name)
        assert one.delete(2).json() == {"message": "", "status": 200, "data": {"session_id": 2}}
        assert rows(one).keys() == left


def test_the_neighbour_of_the_last_session_is_the_one_before_it() -> None:
    with service("delete-hits=other") as one:
        for name in "abc":
            one.create(session_name=name)
        one.delete(3)
        assert rows(one).keys() == {1, 3}
        one.delete(3)
        one.delete(3)
        assert rows(one).keys() == {3}


# One session


@pytest.mark.parametrize("answer_in", [("data",), (), ("result", "session")])
@pytest.mark.parametrize("name", ["session_id", "session_token"])
def test_one_session_is_read_where_the_contract_has_such_a_call(
    answer_in: tuple[str, ...], name: str, http: requests.Session
) -> None:
    contract = contract_with(
        "delete_session",
        name="get_session",
        method="GET",
        path=f"/v1/session/{{{name}}}/",
        encoding="none",
        answer_in=answer_in,
    )
    operations = {**contract.operations, "get_session": contract.operations["delete_session"]}
    operations["delete_session"] = contract_with("delete_session").operations["delete_session"]
    with service(contract=Contract(contract.name, operations, contract.session)) as one:
        row = one.create().json()["data"]
        answer = one.http.get(f"{one.server.url}/v1/session/{row[name]}/")
        found: Any = answer.json()
        if answer_in:
            assert found["status"] == 200
        for step in answer_in:
            found = found[step]
        assert found == row
        assert one.http.get(f"{one.server.url}/v1/session/9/").json()["message"] == "会话不存在"
        assert one.update(1, prompt="x").status_code == 200  # the same path, by POST
        assert [entry.operation for entry in one.server.log[1:]] == [
            "get_session",
            "get_session",
            "update_session",
        ]
