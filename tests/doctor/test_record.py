"""A recorded run contains every call, and nothing private."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.contract import load_contract
from reconciler.doctor.record import redact_answer, redact_request
from reconciler.ownership.remark import compose_lock, compose_remark
from reconciler.ownership.reserved import probe_name, probe_prompt, probe_remark
from reconciler.ownership.tag import Identity, make_tag
from reconciler.server import Fault, running_server
from tests.doctor.services import SERVICES
from tests.doctor.support import Doctor, playing
from tests.support import API_KEY, Answer, answering, listing

CONTRACT = load_contract()

SECRETS = ("Dr. Wong", "a very private prompt", "the remark", "top secret", "the message", "x-internal")


def _fill(doctor: Doctor) -> None:
    number = doctor.server.store.insert_session(
        name="Dr. Wong",
        prompt="a very private prompt",
        remark="the remark",
        data={"top secret": ["top secret"]},
        extra={"note": "x-internal"},
        device_id="x-internal",
    )
    doctor.server.store.insert_message(number, content="the message", meta={"a": "top secret"})


def _files(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.iterdir())]


def test_every_call_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINDCRAFT_API_KEY", API_KEY)
    folder = tmp_path / "record"
    with running_server(None, require_key=API_KEY) as server:
        doctor = Doctor(server, tmp_path, capsys)
        _fill(doctor)
        code, out, _ = doctor.probe("--record", str(folder))
        assert code == 0
        assert f"The calls are recorded in {folder}." in out
        tokens = [row.session_token for row in server.store.sessions()]
        log = server.log
    files = _files(folder)
    assert [one["number"] for one in files] == list(range(1, len(log) + 1))
    assert sorted((one["request"]["method"], one["request"]["path"]) for one in files) == sorted(
        (entry.method, re.sub(r"[0-9a-f-]{36}", "{session_token}", entry.path)) for entry in log
    )
    assert sorted(one["answer"]["status"] for one in files) == sorted(entry.status or 0 for entry in log)
    text = "".join(file.read_text() for file in folder.iterdir())
    assert not [secret for secret in (*SECRETS, *tokens, API_KEY) if secret in text]
    assert not re.search(r"\b[0-9a-f]{8}-[0-9a-f]{4}-", text)
    # What the probe did can be followed.
    assert re.search(r"reconciler doctor probe [0-9a-f]{12}: safe to delete", text)
    assert '"path": "/v1/session/{session_token}"' in text
    assert "\\u63a5\\u53e3\\u4e0d\\u5b58\\u5728" in text  # 接口不存在


def test_what_is_left_of_a_session() -> None:
    row = {
        "session_id": 7,
        "session_token": "a token",
        "device_id": None,
        "session_name": "Ann",
        "session_config": {"data": {"a": 1}, "model": "m", "prompt": "You are", "max_tokens": "4000"},
        "session_remark": "",
        "created_at": "2024-09-12 15:13:22",
    }
    assert redact_answer(CONTRACT.operation("list_sessions"), {}, listing(row), CONTRACT) == {
        "message": "",
        "status": 200,
        "count": 1,
        "max_pages": 1,
        "current_page": 1,
        "results": [
            {
                "session_id": 7,
                "session_token": "[string of 7 characters]",
                "device_id": None,
                "session_name": "[string of 3 characters]",
                "session_config": {
                    "data": "[object of 8 characters]",
                    "model": "m",
                    "prompt": "[string of 7 characters]",
                    "max_tokens": "4000",
                },
                "session_remark": "",
                "created_at": "2024-09-12 15:13:22",
            }
        ],
    }


def test_a_server_that_says_the_key_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINDCRAFT_API_KEY", API_KEY)
    from reconciler.cli import run

    for number, body in enumerate(({"message": f"no such key: {API_KEY}"}, f"<p>{API_KEY}</p>".encode())):
        folder = tmp_path / f"record{number}"
        with answering(Answer(body, 401, {"Location": f"https://x/{API_KEY}"})) as stub:
            run(["doctor", str(tmp_path), "--endpoint", stub.url, "--record", str(folder)])
        (file,) = folder.iterdir()
        assert API_KEY not in file.read_text() + "".join(capsys.readouterr())
        assert (
            "[key]" in file.read_text()
        )  # in the redirect at least: a page that is no JSON is left out whole


def test_a_call_without_an_answer_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "record"
    with playing(SERVICES[0], tmp_path, capsys) as doctor:
        doctor.server.faults.add(Fault("cut", when="first"))
        doctor("doctor", "--record", str(folder))
        first = _files(folder)[0]
        assert first["answer"] == {"error": f"the connection to {doctor.server.url} was cut"}


def test_a_folder_that_is_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "mine").touch()
    with playing(SERVICES[0], tmp_path, capsys) as doctor:
        code, _, err = doctor("doctor", "--record", str(tmp_path / "record"))
        assert (code, err) == (
            1,
            f"{tmp_path}/record is not empty\n      hint: name a new folder for --record\n",
        )
        code, _, err = doctor("doctor", "--record", "/proc/record")
        assert code == 1
        assert err.startswith("/proc/record can't be written to: ")
        assert doctor.server.log == []


def test_a_disk_that_fills_up_does_not_get_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reconciler.doctor.record.write_durably", full)
    folder = tmp_path / "record"
    with playing(SERVICES[0], tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        code, _, err = doctor.probe("--record", str(folder))
        assert (code, err) == (0, f"{folder} can't be written to: No space left on device\n")
        assert doctor.server.store.dump() == before


# What an answer holds, and what of it reaches a record

SECRET = "Ann's own"
ID = "1f2e3d4c5b6a"

#: Texts of a session in every form that this program knows, with something private in each.
PRIVATE = st.sampled_from(
    [
        SECRET,
        f"reconciler {SECRET} probe",
        f"{probe_name(ID)} {SECRET}",
        f"{SECRET}{probe_name(ID)}",
        f"{probe_prompt(ID)} {SECRET}",
        compose_remark(None, {}, make_tag(Identity("probe", SECRET, "key"), {})),
        compose_lock({"catalog": "probe", "holder": SECRET, "expires": "2024-09-12"}),
        f'{{"reconciler":{{"probe":"{SECRET}"}}}}',
        probe_remark(ID)[:-1] + f',"mine":"{SECRET}"}}',
        probe_remark(ID, 80)[:-3] + SECRET,
    ]
)
KEYS = st.sampled_from(["message", "id", "status", "object", "created_at", "model", "data", SECRET])
FREE = st.recursive(
    PRIVATE | st.integers(0, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries(
    {
        "session_id": st.integers(1, 9),
        "session_token": PRIVATE,
        "session_name": FREE,
        "session_config": PRIVATE
        | st.lists(FREE, max_size=2)
        | st.fixed_dictionaries(
            {
                "model": st.just("m"),
                "prompt": FREE,
                "data": FREE,
                "max_tokens": PRIVATE | st.integers(1, 9),
                "status": FREE,
                "message": FREE,
                "object": FREE,
                "id": FREE,
            }
        ),
        "session_remark": FREE,
    },
    optional={"message": FREE, "id": FREE, "object": FREE, "data": FREE, "results": FREE, "status": FREE},
)
MESSAGES = st.fixed_dictionaries(
    {
        "message_id": st.just(1),
        "session_id": st.just(1),
        "message_category": st.just("tip"),
        "message_content": PRIVATE,
    },
    optional={"meta_data": FREE, "session_token": PRIVATE, "message": FREE, "id": FREE},
)
CALLS = (
    "list_sessions",
    "create_session",
    "update_session",
    "delete_session",
    "list_messages",
    "create_message",
)


def _bodies(row: Any) -> list[Any]:
    """A row in every place where an answer may hold it."""
    bodies = [row, [row], listing(row), {"message": "", "status": 201, "data": row}]
    return [*bodies, {"data": {"results": [row]}}, {"sessions": [row]}, {"status": 400, "detail": row}]


@given(name=st.sampled_from(CALLS), row=ROWS | MESSAGES)
def test_no_text_of_a_session_reaches_a_record(name: str, row: Any) -> None:
    for body in _bodies(row):
        answer = redact_answer(CONTRACT.operation(name), {}, body, CONTRACT)
        assert SECRET not in json.dumps(answer, ensure_ascii=False)


@given(name=st.sampled_from(CALLS), text=PRIVATE, free=FREE)
def test_no_text_of_a_session_reaches_a_record_by_a_request(name: str, text: str, free: Any) -> None:
    fields = {
        "name": text,
        "prompt": text,
        "remark": text,
        "data": free,
        "session_token": text,
        "content": text,
        "meta": free,
    }
    operation = CONTRACT.operation(name)
    assert SECRET not in json.dumps(redact_request(operation, fields, CONTRACT), ensure_ascii=False)
    said = {"message": f"nothing is called {text}, {text}", "status": 404}
    assert SECRET not in json.dumps(
        redact_answer(operation, {"name": text}, said, CONTRACT), ensure_ascii=False
    )


def test_the_shape_of_an_answer_stays() -> None:
    """What a create gives back is told by field, as are the models."""
    row = {
        "session_id": 8,
        "session_name": probe_name(ID),
        "session_config": {"model": "m", "prompt": probe_prompt(ID), "data": {"a": 1}, "max_tokens": "4000"},
        "session_remark": probe_remark(ID, 200),
        "created_at": "2024-09-12 15:13:22",
    }
    kept = {
        **row,
        "session_config": {
            "model": "m",
            "prompt": f"[string of {len(probe_prompt(ID))} characters]",
            "data": "[object of 8 characters]",
            "max_tokens": "4000",
        },
    }
    answer = {"message": "made", "status": 201, "data": row}
    assert redact_answer(CONTRACT.operation("create_session"), {}, answer, CONTRACT) == {
        **answer,
        "data": kept,
    }
    models = {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "o"}]}
    assert redact_answer(CONTRACT.operation("list_models"), {}, models, CONTRACT) == models


@pytest.mark.parametrize(
    ("remark", "stays"),
    [
        (probe_remark(ID), True),
        (probe_remark(ID, 70), True),
        (probe_remark(ID, 200)[:100], True),
        (probe_remark(ID)[:-1], True),
        (probe_remark(ID) + "}", False),
        (probe_remark(ID, 200)[:-3] + 'y"}}', False),
        (probe_remark("x" * 12), False),
    ],
)
def test_a_remark_is_a_probe_s_to_the_letter(remark: str, stays: bool) -> None:
    answer = redact_answer(
        CONTRACT.operation("update_session"), {}, {"data": {"session_remark": remark}}, CONTRACT
    )
    assert answer["data"]["session_remark"] == (remark if stays else f"[string of {len(remark)} characters]")


@pytest.mark.parametrize("encoding", ["gbk", "utf-16-le"])
def test_a_list_that_can_not_be_read_is_not_recorded(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from reconciler.cli import run

    folder = tmp_path / "record"
    row = {"session_id": 1, "session_name": "患者", "session_config": {"prompt": SECRET, "model": "m"}}
    body = json.dumps(listing(row), ensure_ascii=False).encode(encoding)[:-1]
    headers = {"Content-Type": "application/json", "Location": "https://x/list/?session_name=Ann's+own#Ann's"}
    with answering(Answer(body, headers=headers)) as stub:
        run(["doctor", str(tmp_path), "--endpoint", stub.url, "--retries", "0", "--record", str(folder)])
    (one,) = _files(folder)
    assert one["answer"]["text"] == f"[not JSON, {len(body)} bytes]"
    assert one["answer"]["headers"]["Location"] == "https://x/list/"
    assert "Ann" not in json.dumps(one)
