"""The second service: what each of its variants does, as seen by a plain HTTP client."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import pytest
import requests

from tests.services.calling import ALICE, MESSAGES, REQUIRED, SESSIONS, Api, contents, encoded, ids_of, of
from tests.services.drf import variant as variant_module
from tests.services.drf.running import ROOT, needs_drf, running_drf
from tests.services.drf.variant import Variant, VariantError, read_variant
from tests.services.drf.variants import VARIANTS

pytestmark = needs_drf

# The command


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "DRF_API_KEYS: required"),
        ({"DRF_PATHS": "ids"}, "DRF_PATHS=ids: none of id, token, verbs"),
        ({"DRF_PATH": "id"}, "DRF_PATH: no such variable"),
        ({"DRF_CREATE": "json,xml"}, "DRF_CREATE=xml: none of json, form, multipart, query"),
        ({"DRF_CREATE": "json,query"}, "DRF_CREATE: query stands alone"),
        ({"DRF_WRITE": "query"}, "DRF_WRITE: query is for creates alone"),
        ({"DRF_MAX_SIZE": "many"}, "DRF_MAX_SIZE=many: neither a number nor unlimited"),
        ({"DRF_THROTTLE": "60/minute"}, "DRF_THROTTLE=60/minute: not off, and not like 60/min"),
        (
            {"DRF_PATHS": "verbs", "DRF_DELETE": "http"},
            "DRF_DELETE=http needs a path for each session, which DRF_PATHS=verbs has not",
        ),
        ({"DRF_BODY_IDS": "id"}, "DRF_BODY_IDS is for DRF_PATHS=verbs"),
        ({"DRF_REMARK_OVER": "cut"}, "DRF_REMARK_OVER needs a DRF_REMARK_LIMIT"),
    ],
)
def test_an_invalid_variant(environ: dict[str, str], said: str) -> None:
    with pytest.raises(VariantError) as error:
        read_variant({"DRF_API_KEYS": "k"} | environ if environ else {})
    assert str(error.value) == said


def test_a_typo_ends_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.services.drf"],
        cwd=ROOT,
        env={**os.environ, "DRF_API_KEYS": "k", "DRF_PATHS": "tokn"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith("error: DRF_PATHS=tokn: none of id, token, verbs\n")
    with (
        pytest.raises(RuntimeError, match=r"(?s)did not start:\n.*DRF_ERORS: no such variable"),
        running_drf(erors="bare"),
    ):
        pass


def test_in_memory() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.services.drf", "--watch-stdin"],
        cwd=ROOT,
        env={**os.environ, "DRF_API_KEYS": "k"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        headers = {"Authorization": "Bearer k"}
        assert requests.post(url + SESSIONS, json=ALICE, headers=headers, timeout=30).status_code == 201
        assert requests.get(url + SESSIONS, headers=headers, timeout=30).json()["count"] == 1
        process.stdin.close()
        assert process.wait(10) == 0


def test_the_variables_are_documented_with_their_values() -> None:
    text = variant_module.__doc__ or ""
    kinds = get_type_hints(Variant)
    for one in fields(Variant):
        entry = re.search(rf"``DRF_{one.name.upper()}``.*(?:\n    .*)*", text)
        assert entry, one.name
        choices = get_args(kinds[one.name])
        for choice in choices if all(isinstance(one, str) for one in choices) else ():
            assert choice in entry[0], (one.name, choice)


def test_it_shares_no_code_with_what_it_tests() -> None:
    for source in (ROOT / "tests/services/drf").glob("*.py"):
        assert not re.search(r"^\s*(from|import) reconciler", source.read_text(encoding="utf-8"), re.M), (
            source
        )


# Every variant, as somebody would use it who knows it


@of(*(name for name in VARIANTS if name != "out-of-points"))
def test_the_life_of_a_session(api: Api) -> None:
    mine = api.service.put_session(session_name="bystander")
    others = api.service.put_session(session_name="bystander", api_id=71)
    api.service.put_messages(mine, ["hello"])
    api.service.put_messages(others, ["hello"])
    before = api.service.picture([mine, others])

    row = api.created()
    config = {name: ALICE[name] for name in ALICE if not name.startswith(("session_", "config_"))}
    assert row["session_config"] == {"data": {"shelf": 3}, **config}
    assert (row["session_name"], row["session_remark"]) == ("Alice", '{"team":"books"}')
    assert (
        api.update(row, {**ALICE, "prompt": "Be stern."}).json()["data"]["session_config"]["prompt"]
        == "Be stern."
    )
    assert api.say(row, "hi").json()["status"] == 201
    assert contents(api.messages(row)) == ["hi"]
    assert api.delete(row).status_code in (200, 204)

    assert api.service.picture([mine, others]) == before
    assert {one["session_id"] for one in api.service.sessions()} == {mine, others}
    assert len(api.service.messages()) == 2  # those of the session went with it


# Sessions


@of("rest-id")
def test_the_list(api: Api) -> None:
    row = api.created(session_remark="")
    times = {name: row.pop(name) for name in ("created_at", "updated_at")}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", one) for one in times.values())
    uuid.UUID(row["session_token"])
    assert row == {
        "session_id": 1,
        "session_token": row["session_token"],
        "api_id": 70,
        "device_id": None,
        "session_name": "Alice",
        "session_config": {
            "data": {"shelf": 3},
            "model": "deepseek-chat",
            "prompt": "Be kind.\nBe brief.",
            "max_tokens": 1000,
            "temperature": 0.2,
            "history_length": 8,
        },
        "session_remark": "",
    }
    document = api.get(SESSIONS).json()
    assert {name: document[name] for name in document if name != "results"} == {
        "message": "",
        "status": 200,
        "count": 1,
        "max_pages": 1,
        "current_page": 1,
    }


@of("rest-id")
def test_pages_and_order_of_the_list(api: Api) -> None:
    for number in range(1, 6):
        api.service.put_session(updated_at=f"2024-09-12 15:13:2{9 - number}")

    def ids(**query: Any) -> list[int]:
        return [row["session_id"] for row in api.get(SESSIONS, **query).json()["results"]]

    assert ids() == ids(ordering="api_use_count") == [1, 2, 3, 4, 5]
    assert ids(ordering="-session_id") == ids(ordering="updated_at") == [5, 4, 3, 2, 1]
    assert [ids(page=page, size=2) for page in (1, 2, 3)] == [[1, 2], [3, 4], [5]]
    assert api.get(SESSIONS, size=2).json()["max_pages"] == 3
    past = api.get(SESSIONS, page=4, size=2)
    assert (past.status_code, past.json()["message"]) == (404, "无效页面。")


@of("clamped-50")
def test_clamped_pages(api: Api) -> None:
    first, *_ = [api.service.put_session() for _ in range(51)]
    api.service.put_messages(first, [str(n) for n in range(51)])
    document = api.get(SESSIONS, size=500).json()
    assert (len(document["results"]), document["count"], document["max_pages"]) == (50, 51, 2)
    row = document["results"][0]
    assert len(api.messages(row, size=500)["results"]) == 50
    assert contents(api.messages(row, size=500, page=2)) == ["0"]


@of("rest-id", "name-contains")
def test_the_filter_for_a_name(api: Api) -> None:
    for name in ("Alice", "Alice 2", "Bob"):
        api.service.put_session(session_name=name)
    found = [row["session_name"] for row in api.get(SESSIONS, session_name="Alice").json()["results"]]
    assert found == (["Alice"] if api.variant.name_filter == "exact" else ["Alice", "Alice 2"])


@of("rest-id")
def test_each_key_is_an_account(api: Api) -> None:
    second = api.service.keys[1]
    made = api("POST", SESSIONS, json=ALICE, key=second).json()["data"]
    assert made["api_id"] == 71
    row = api.created()
    assert [one["session_id"] for one in api.get(SESSIONS).json()["results"]] == [row["session_id"]]
    assert api.update(made, {"prompt": "mine now"}).status_code == 404
    assert api.delete(made).status_code == 404
    assert api.say(made, "hello?").status_code == 404
    assert api("GET", SESSIONS, key=second).json()["count"] == 1


@of("rest-id", "rest-token", "http-delete", "http-delete-token")
def test_paths_of_one_session(api: Api) -> None:
    row = api.created()
    here, there = row["session_id"], row["session_token"]
    if api.variant.paths == "token":
        here, there = there, here
    assert api.post(f"{SESSIONS}{there}/", json={"prompt": "x"}).status_code in (404, 405)
    assert api.post(f"{SESSIONS}{there}/del/").status_code == 404
    assert api.post(f"{SESSIONS}{here}/delete/").status_code == 404
    assert api.post(f"{SESSIONS}update/", json={**ids_of(row, "both"), "prompt": "x"}).status_code == 404
    assert api.post(f"{SESSIONS}del/", json=ids_of(row, "both")).status_code == 404
    got = api.get(f"{SESSIONS}{here}/")
    if api.variant.get_one == "absent":
        assert got.status_code == 405
    else:
        assert got.json() == {"message": "", "status": 200, "data": row}
    if api.variant.delete == "http":
        assert api.post(f"{SESSIONS}{here}/del/").status_code == 404
        done = api("DELETE", f"{SESSIONS}{here}/")
        assert (done.status_code, done.content) == (204, b"")
    else:
        assert api("DELETE", f"{SESSIONS}{here}/").status_code == 405
        assert api.post(f"{SESSIONS}{here}/del/").json() == {"message": "", "status": 200, "data": {}}
    assert api.service.sessions() == []
    assert api.delete(row).status_code == 404


@of("verbs-token-body", "verbs-id-body", "verbs-both-ids", "verbs-either-id")
def test_verbs_want_the_session_in_the_body(api: Api) -> None:
    row, other = api.created(), api.created()
    sent = {
        "token": ids_of(row, "token"),
        "id": ids_of(row, "id"),
        "both": ids_of(row, "both"),
        "mixed": {"session_id": row["session_id"], "session_token": other["session_token"]},
        "none": {},
    }
    by = api.variant.body_ids
    works = {"token": ["token", "both", "mixed"], "id": ["id", "both", "mixed"], "both": ["both"]}
    for what, ids in sent.items():
        answer = api.post(SESSIONS + "update/", json={**ids, "prompt": what})
        if what in works.get(by, ["token", "id", "both"]):
            assert answer.json()["data"]["session_config"]["prompt"] == what
        elif what == "mixed":
            assert answer.status_code == 404
        else:
            assert answer.status_code == 400
    needed = {"token": {"session_token"}, "id": {"session_id"}, "both": {"session_id", "session_token"}}
    missing = api.post(f"{SESSIONS}{api.variant.delete}/").json()["data"]
    assert missing.keys() == needed.get(by, {"non_field_errors"})
    assert len(api.service.sessions()) == 2
    assert api.get(f"{SESSIONS}{row['session_id']}/").status_code == 404


@pytest.mark.parametrize("encoding", ["json", "form", "multipart", "query"])
@of("rest-id", "query-create", "multipart-create", "multipart-unread", "json-only")
def test_encodings_of_a_create(api: Api, encoding: str) -> None:
    answer = api.post(SESSIONS, **encoded(encoding, ALICE))
    if encoding in api.variant.create:
        assert answer.status_code == 201
        assert api.service.sessions()[0]["config_data"] == {"shelf": 3}
        return
    if api.variant.create == ("query",) or api.variant.other_encodings == "unread" or encoding == "query":
        assert answer.status_code == 400
        assert answer.json()["data"]["session_name"] in (REQUIRED, ["该字段不能为空。"])
    else:
        assert answer.status_code == 415
    assert api.service.sessions() == []


@of("query-create")
def test_a_query_that_is_too_long(api: Api) -> None:
    answer = api.create({**ALICE, "prompt": "好" * 1000})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (414, "text/html")


@of("rest-id")
def test_what_a_create_refuses_and_what_it_ignores(api: Api) -> None:
    refused = api.post(SESSIONS, json={"config_data": "{}", "temperature": "warm"})
    assert refused.status_code == 400
    assert refused.json()["data"] == {
        "session_name": REQUIRED,
        "model": REQUIRED,
        "temperature": ["请填写合法的数字。"],
        "config_data": ["期望是包含类目的字典，得到类型为 “str”。"],
    }
    made = api.post(SESSIONS, json={"session_name": " A ", "model": "m", "data": {"a": 1}, "colour": "red"})
    row = made.json()["data"]
    assert (row["session_name"], row["session_config"]["data"]) == ("A", {})


@of("white-space-kept")
def test_white_space_kept(api: Api) -> None:
    assert api.created(prompt="\n two \n")["session_config"]["prompt"] == "\n two \n"


@of("data-field")
def test_data_under_another_name(api: Api) -> None:
    made = api.post(SESSIONS, json={**ALICE, "data": {"right": 1}}).json()["data"]
    assert made["session_config"]["data"] == {"right": 1}


@of("rest-id", "reset-updates", "refusing-updates")
@pytest.mark.parametrize("encoding", ["json", "form"])
def test_what_an_update_leaves_out(api: Api, encoding: str) -> None:
    row = api.created()
    answer = api.post(f"{SESSIONS}{row['session_id']}/", **encoded(encoding, {"prompt": "New."}))
    after = api.get(SESSIONS).json()["results"][0]
    config = after["session_config"]
    if api.variant.left_out == "refused":
        assert answer.status_code == 400
        assert answer.json()["data"]["temperature"] == REQUIRED
        assert answer.json()["data"]["model"] in (REQUIRED, ["该字段不能为空。"])
        assert after == row
    elif api.variant.left_out == "reset":
        assert answer.json()["data"] == after
        assert (after["session_name"], after["session_remark"], config["prompt"]) == ("", "", "New.")
        assert (config["data"], config["temperature"], config["model"]) == ({}, 0.7, "deepseek-chat")
    else:
        assert (after["session_name"], after["session_remark"]) == ("Alice", ALICE["session_remark"])
        assert config == {**row["session_config"], "prompt": "New."}


@of("rest-id", "no-id-in-answer", "id-and-token-in-answer")
def test_what_a_create_answers(api: Api) -> None:
    answer = api.create(ALICE)
    row = api.get(SESSIONS).json()["results"][0]
    shown = {"token": ids_of(row, "token"), "both": ids_of(row, "both"), "row": row}
    assert answer.status_code == 201
    assert answer.json() == {"message": "", "status": 201, "data": shown[api.variant.create_answer]}


@of("rest-id", "remark-255-cut", "remark-255-refused")
def test_long_remarks(api: Api) -> None:
    assert api.created(session_remark="好" * 255)["session_remark"] == "好" * 255
    answer = api.create({**ALICE, "session_remark": "好" * 256})
    if api.variant.remark_limit is None:
        assert answer.json()["data"]["session_remark"] == "好" * 256
    elif api.variant.remark_over == "cut":
        assert answer.json()["data"]["session_remark"] == "好" * 255
    else:
        assert answer.status_code == 400
        assert answer.json()["data"] == {"session_remark": ["请确保这个字段不能超过 255 个字符。"]}


@of("rest-id", "local-times")
def test_times_have_no_zone(api: Api) -> None:
    shown = datetime.fromisoformat(api.created()["created_at"])
    assert shown.tzinfo is None and shown.microsecond == 0
    ahead = shown - datetime.now(UTC).replace(tzinfo=None)
    hours = 8 if api.variant.time_zone == "Asia/Shanghai" else 0
    assert abs(ahead - timedelta(hours=hours)) < timedelta(minutes=10)


@of("rest-id", "times-with-messages", "times-never-move")
def test_when_updated_at_moves(api: Api) -> None:
    long_ago = "2024-09-12 15:13:22"
    session_id = api.service.put_session()

    def moved() -> bool:
        row = api.get(SESSIONS).json()["results"][0]
        assert row["created_at"] == long_ago
        return bool(row["updated_at"] != long_ago)

    row = api.get(SESSIONS).json()["results"][0]
    api.say(row, "hello")
    assert moved() == (api.variant.updated_at == "messages")
    api.service.change_session(session_id, updated_at=long_ago)
    api.update(row, {"prompt": "New."})
    assert moved() == (api.variant.updated_at != "never")


# Errors and limits


@of("rest-id", "bare-errors", "english-errors", "http200-errors")
def test_errors(api: Api) -> None:
    english = api.variant.language == "en"
    missing = "This field is required." if english else "该字段是必填项。"
    page = "Invalid page." if english else "无效页面。"
    cases: list[tuple[requests.Response, int, dict[str, Any], str]] = [
        (
            api.post(SESSIONS, json={"session_name": "A"}),
            400,
            {"model": [missing]},
            f"model: {missing}",
        ),
        (api.get(SESSIONS, page=9), 404, {"detail": page}, page),
        (api("GET", SESSIONS, key="wrong"), 401, {"detail": "无效的 API Key"}, "无效的 API Key"),
    ]
    for answer, status, problem, text in cases:
        assert answer.status_code == (200 if api.variant.errors == "http200" else status)
        if api.variant.errors == "bare":
            assert answer.json() == problem
        else:
            assert answer.json() == {"message": text, "status": status, "data": problem}
    assert cases[-1][0].headers.get("WWW-Authenticate") == "Bearer"
    unknown = api.get("/v1/nothing/")
    assert (unknown.status_code, unknown.headers["Content-Type"][:9]) == (404, "text/html")


@of("rest-id")
def test_without_a_key(api: Api) -> None:
    assert requests.get(api.service.url + SESSIONS, timeout=30).status_code == 401


@of("throttled")
def test_sixty_calls_a_minute(api: Api) -> None:
    second = api.service.keys[1]
    answers = [api("GET", SESSIONS, key=second) for _ in range(61)]
    assert [one.status_code for one in answers] == [200] * 60 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json()["status"] == 429
    assert api.get(SESSIONS).status_code == 200  # an account of its own


@of("out-of-points")
def test_out_of_points(api: Api) -> None:
    api.service.put_session()
    (row,) = api.get(SESSIONS).json()["results"]
    for answer in (api.create(ALICE), api.update(row, ALICE), api.say(row, "hi"), api.delete(row)):
        assert answer.status_code == 406
        assert answer.json() == {"message": "积分不足", "status": 406, "data": {"detail": "积分不足"}}
    assert len(api.service.sessions()) == 1


def test_points_run_out() -> None:
    with running_drf(points="2") as service:
        headers = {"Authorization": "Bearer " + service.key}
        codes = [
            requests.post(service.url + SESSIONS, json=ALICE, headers=headers, timeout=30).status_code
            for _ in range(3)
        ]
    assert codes == [201, 201, 406]


# Models and chat


@of("rest-id")
def test_models_and_chat(api: Api) -> None:
    models = api.get("/v1/models").json()["data"]
    assert {"deepseek-chat"} <= {one["id"] for one in models}
    sent = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "你好"}]}
    answer = api.post("/v1/chat/completions", json=sent).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "你好"}
    stream = api.post("/v1/chat/completions", json={**sent, "stream": True})
    lines = [line for line in stream.content.decode().split("\n\n") if line]
    assert json.loads(lines[0].removeprefix("data: "))["choices"][0]["delta"]["content"] == "你好"
    assert lines[-1] == "data: [DONE]"


# What the tests look at from behind


@of("rest-id")
def test_the_truth_from_behind(api: Api) -> None:
    row = api.created()
    api.say(row, "hi")
    (stored,) = api.service.sessions(api_id=70)
    assert (stored["session_token"], stored["config_data"]) == (row["session_token"], {"shelf": 3})
    (message,) = api.service.messages(row["session_id"])
    assert (message["message_content"], message["meta_data"]) == ("hi", {"n": 1})
    before = api.service.picture([row["session_id"]])
    assert len(before) == 2
    api.service.change_session(row["session_id"], prompt="by hand", config_data={"by": "hand"})
    assert api.service.picture([row["session_id"]]) != before
    seen = api.get(SESSIONS).json()["results"][0]["session_config"]
    assert (seen["prompt"], seen["data"]) == ("by hand", {"by": "hand"})
    asked = [(one["method"], one["path"], one["status"]) for one in api.service.requests()]
    assert asked[0] == ("POST", SESSIONS, 201) and asked[2] == ("POST", MESSAGES, 201)
    api.service.remove_session(row["session_id"])
    assert api.get(SESSIONS).json()["count"] == 0 and api.service.messages() == []
