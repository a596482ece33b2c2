"""Every quirk, as a client sees it, and as the command line spells it."""

from __future__ import annotations

import re
import time

import pytest
import requests

from reconciler.contract import load_contract
from reconciler.server import Quirks
from reconciler.server.quirks import learned_quirks, parse_quirks, quirk_help
from tests.server.support import NEW, service


def test_fewer_rows_than_asked_for() -> None:
    with service("max-page-size=2") as one:
        for name in "abcde":
            one.create(session_name=name)
        first = one.listing(size=100)
        assert (first["count"], first["max_pages"], len(first["results"])) == (5, 3, 2)
        assert one.names(size=100, page=3) == ["e"]
        assert one.listing(size=1)["max_pages"] == 5


def test_a_filter_that_finds_parts_of_a_name() -> None:
    with service("name-filter=partial") as one:
        for name in ("test", "contest", "Test", "100%", "1000"):
            one.create(session_name=name)
        assert one.names(session_name="test") == ["test", "contest"]
        assert one.names(session_name="0%") == ["100%"]


def test_a_filter_that_is_ignored() -> None:
    with service("name-filter=none") as one:
        for name in "ab":
            one.create(session_name=name)
        assert one.names(session_name="a") == one.names(session_name="c") == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [("200/404", 200, 404), ("410", 410, None), ("500/7", 500, 7), ("204", 204, ...)],
)
def test_how_it_says_no(value: str, status: int, body: object) -> None:
    with service(f"not-found={value}") as one:
        _said(one.update(1, prompt="x"), status, body, "会话不存在")
        assert one.create(temperature="warm").status_code == 400
        assert one.http.get(f"{one.server.url}/v1/session/?page=9").status_code == 404
        assert one.http.get(f"{one.server.url}/v1/nothing").status_code == 404
    with service(f"bad-request={value}") as one:
        _said(one.create(temperature="warm"), status, body, "参数格式错误：temperature")
        _said(one.create(session_name=""), status, body, "缺少参数：session_name")
        assert one.update(1, prompt="x").status_code == 404


def _said(answer: requests.Response, status: int, body: object, message: str) -> None:
    assert answer.status_code == status
    if body is ...:
        assert answer.content == b""
    else:
        assert answer.json() == {"message": message, **({} if body is None else {"status": body})}


def test_an_ordering_that_is_ignored() -> None:
    with service("ordering-ignored") as one:
        for name in "abc":
            one.create(session_name=name)
        assert one.names(ordering="session_id") == one.names() == ["c", "b", "a"]


def test_a_new_session_is_late_by_calls() -> None:
    with service("late-calls=2") as one:
        one.server.store.insert_session(name="old")
        session_id = one.create().json()["data"]["session_id"]
        assert [one.names() for _ in range(4)] == [["old"], ["old"], ["old", "a"], ["old", "a"]]
        one.create(session_name="b")
        assert one.listing(session_name="b")["count"] == 0
        assert one.update(session_id + 1, prompt="x").status_code == 200


def test_a_new_session_is_late_by_seconds() -> None:
    with service("late-seconds=86400") as one:
        one.create()
        assert one.names() == []
    with service("late-seconds=0") as one:
        one.create()
        assert one.names() == ["a"]


def test_numbers_that_come_back_as_texts() -> None:
    with service("numbers-as-text") as one:
        created = one.create(temperature=0.30, max_tokens=10).json()["data"]
        config = created["session_config"]
        assert (config["temperature"], config["max_tokens"]) == ("0.3", "10")
        assert one.listing()["results"] == [created]
        assert created["session_id"] == 1


@pytest.mark.parametrize(
    ("quirk", "stored"),
    [
        ("trim-prompts", "a\r\nb\rc\n d"),
        ("trim-end", "  a\r\nb\rc\n d"),
        ("line-endings=lf", "  a\nb\nc\n d\n"),
        ("line-endings=crlf", "  a\r\nb\r\nc\r\n d\r\n"),
        ("line-endings=kept", "  a\r\nb\rc\n d\n"),
    ],
)
def test_prompts_that_are_rewritten(quirk: str, stored: str) -> None:
    with service(quirk) as one:
        data = one.create(prompt="  a\r\nb\rc\n d\n").json()["data"]
        assert data["session_config"]["prompt"] == stored
        data = one.update(1, prompt="  a\r\nb\rc\n d\n").json()["data"]
        assert data["session_config"]["prompt"] == stored


def test_prompts_up_to_a_limit() -> None:
    with service("prompt-limit=3") as one:
        assert one.create(prompt="爱爱爱").status_code == 201
        answer = one.update(1, prompt="爱爱爱爱")
        assert (answer.status_code, answer.json()["message"]) == (400, "prompt 过长，最多 3 字符")


@pytest.mark.parametrize("limit", [0, 64, 255, 65535])
def test_remarks_up_to_a_limit(limit: int) -> None:
    with service(f"remark-limit={limit}") as one:
        assert one.create(session_remark="x" * limit).status_code == 201
        answer = one.create(session_remark="x" * (limit + 1))
        assert answer.status_code == 400
        assert answer.json() == {"message": f"session_remark 过长，最多 {limit} 字节", "status": 400}
        assert one.update(1, session_remark="x" * (limit + 1)).status_code == 400
        assert one.listing()["count"] == 1


def test_remarks_that_are_cut_off_between_letters() -> None:
    with service("remark-limit=64", "remark-over=cut") as one:
        remark = one.create(session_remark="爱" * 22).json()["data"]["session_remark"]
        assert remark == "爱" * 21


def test_a_create_that_ignores_fields() -> None:
    with service("create-ignores=remark,max_tokens,data") as one:
        data = one.create(session_remark="x", max_tokens=7, config_data={"a": 1}, temperature=1).json()[
            "data"
        ]
        assert data["session_remark"] == ""
        assert data["session_config"] == {
            "data": {},
            "model": "m",
            "prompt": "",
            "max_tokens": 4000,
            "temperature": 1,
            "history_length": 4,
        }
        data = one.update(1, session_remark="x", max_tokens=7).json()["data"]
        assert (data["session_remark"], data["session_config"]["max_tokens"]) == ("x", 7)


def test_an_update_that_resets_what_it_leaves_out() -> None:
    with service("update-resets") as one:
        one.create(prompt="p", session_remark="r", config_data={"a": 1}, temperature=1)
        data = one.update(1, max_tokens=7).json()["data"]
        assert (data["session_name"], data["session_remark"]) == ("a", "")
        assert data["session_config"] == {
            "data": {},
            "model": "m",
            "prompt": "",
            "max_tokens": 7,
            "temperature": 0.2,
            "history_length": 4,
        }


def test_an_update_that_empties_some_of_what_it_leaves_out() -> None:
    with service("update-empties=prompt,name") as one:
        one.create(prompt="p", session_remark="r", config_data={"a": 1})
        data = one.update(1, session_name="b").json()["data"]
        assert (data["session_name"], data["session_remark"]) == ("b", "r")
        assert (data["session_config"]["prompt"], data["session_config"]["data"]) == ("", {"a": 1})
        assert one.update(1, prompt="p").json()["data"]["session_name"] == ""


def test_an_update_that_ignores_fields() -> None:
    with service("update-ignores=max_tokens,data") as one:
        one.create(prompt="p", max_tokens=5, config_data={"a": 1})
        config = one.update(1, prompt="q", max_tokens=7, config_data={}).json()["data"]["session_config"]
        assert (config["prompt"], config["max_tokens"], config["data"]) == ("q", 5, {"a": 1})


def test_a_create_that_refuses_what_it_does_not_know() -> None:
    with service("create-refuses=data,max_tokens") as one:
        answer = one.create(config_data={"a": 1})
        assert (answer.status_code, answer.json()["message"]) == (400, "不支持的参数：config_data")
        assert one.create(temperature=1).status_code == 201
        assert one.update(1, config_data={"a": 1}).status_code == 200


def test_a_create_that_takes_shorter_remarks_than_an_update() -> None:
    with service("create-remark-limit=100") as one:
        answer = one.create(session_remark="x" * 101)
        assert (answer.status_code, answer.json()["message"]) == (400, "session_remark 过长，最多 100 字节")
        assert one.create(session_remark="x" * 100).status_code == 201
        assert one.update(1, session_remark="x" * 60_000).status_code == 200


def test_a_list_that_shows_changes_late() -> None:
    with service("late-changes=0.5", "name-filter=partial") as one:
        for name in ("anna", "anne", "bob"):
            one.create(session_name=name)
        one.update(1, session_name="zoe")
        one.update(1, session_name="zoë")
        assert one.delete(3).status_code == 200
        listing = one.listing(ordering="-session_id")
        assert [row["session_name"] for row in listing["results"]] == ["bob", "anne", "anna"]
        assert one.listing(session_name="ann", size=1, page=2)["results"][0]["session_name"] == "anne"
        assert one.update(3, session_name="x").status_code == 404
        while one.listing()["count"] == 3:
            time.sleep(0.02)
        assert [row["session_name"] for row in one.listing()["results"]] == ["zoë", "anne"]


def test_no_update_call() -> None:
    with service("no-update") as one:
        one.create()
        answer = one.update(1, prompt="x")
        assert (answer.status_code, answer.json()["message"]) == (404, "接口不存在")


def test_a_delete_without_a_body() -> None:
    with service("delete-204") as one:
        one.create()
        answer = one.delete()
        assert (answer.status_code, answer.content) == (204, b"")
        assert one.delete().status_code == 404


def test_messages_addressed_by_token() -> None:
    with service("messages-by-token") as one:
        token = one.create().json()["data"]["session_token"]
        url = one.server.url + "/v1/message/"
        answer = one.http.get(url, params={"session_id": 1})
        assert answer.status_code == 400
        assert answer.json() == {"message": "缺少参数：session_token", "status": 400}
        message = {"session_token": token, "message_category": "tip", "message_content": "hi"}
        assert one.http.post(url, json=message).status_code == 201
        assert one.http.get(url, params={"session_token": token}).json()["max_pages"] == 1


def test_only_the_encoding_of_the_contract() -> None:
    with service("strict-encoding") as one:
        url = one.server.url + "/v1/session/"
        assert one.http.post(url, json=NEW).status_code == 415
        assert one.http.post(url, data=NEW).status_code == 415
        assert one.http.post(url, files={k: (None, v) for k, v in NEW.items()}).status_code == 201
        assert one.http.post(url + "1/", data={"prompt": "x"}).status_code == 415
        assert one.http.post(url + "1/", json={"prompt": "x"}).status_code == 200
        # What is left to the query is not read.
        assert one.http.post(url, params=NEW).json()["message"] == "缺少参数：session_name、model"


def test_the_built_in_contract_is_that_of_the_plainest_service() -> None:
    assert learned_quirks(load_contract()) == Quirks()


def test_every_quirk_can_be_spelled() -> None:
    assert parse_quirks([]) == Quirks()
    examples = {
        "ROWS": "3",
        "SECONDS": "0.5",
        "CALLS": "2",
        "BYTES": "0",
        "FIELD,…": "data,remark",
        "HTTP[/BODY]": "410/7",
        "CHARACTERS": "9",
        "EMPTIED,…": "name,prompt",
        "NAME": "data",
        "NAME,…": "mood,tone",
        "HOURS": "-3.5",
        "WRITES": "0",
    }
    for spelled, _ in quirk_help():
        name, sign, value = spelled.partition("=")
        for word in examples.get(value, value).split("|"):
            field = getattr(parse_quirks([name + sign + word]), name.replace("-", "_"))
            assert field is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max-page-sise=3", "there is no quirk 'max-page-sise'; did you mean 'max-page-size'?"),
        ("max-page-size", "the quirk 'max-page-size' needs a value: max-page-size=ROWS"),
        ("max-page-size=0", "the quirk 'max-page-size': '0' is not an integer of at least 1"),
        ("remark-limit=-1", "the quirk 'remark-limit': '-1' is not an integer of at least 0"),
        ("late-seconds=nan", "the quirk 'late-seconds': 'nan' is not a number of seconds"),
        ("name-filter=fuzzy", "the quirk 'name-filter': 'fuzzy' is none of: exact, partial, none"),
        ("utc-offset=25", "the quirk 'utc-offset': '25' is not a number of hours between -24 and 24"),
        ("data-field=a b", "the quirk 'data-field': 'a b' is not the name of a field"),
        ("trim-prompts=yes", "the quirk 'trim-prompts' takes no value"),
        ("not-found=404/x", "the quirk 'not-found': 'x' is not an integer of at least 0"),
        ("not-found=100", "the quirk 'not-found': '100' is not an integer of at least 200"),
        ("bad-request=600/1", "the quirk 'bad-request': '600/1' is not the status of a final response"),
        (
            "create-ignores=model",
            "the quirk 'create-ignores': 'model' is none of: prompt, remark, data, temperature, max_tokens, "
            "history_length",
        ),
        (
            "zzz",
            "there is no quirk 'zzz'; there are: "
            + ", ".join(name.partition("=")[0] for name, _ in quirk_help()),
        ),
    ],
)
def test_an_unknown_quirk(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_quirks([text])
