"""A recorded run: every call is in it, and nothing that is nobody's business."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.contract import load_contract
from reconciler.doctor.record import redact
from reconciler.server import Fault, running_server
from tests.doctor.services import SERVICES
from tests.doctor.support import Doctor, playing
from tests.support import API_KEY, Answer, answering, listing

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
        (entry.method, entry.path) for entry in log
    )
    assert sorted(one["answer"]["status"] for one in files) == sorted(entry.status or 0 for entry in log)
    text = "".join(file.read_text() for file in folder.iterdir())
    assert not [secret for secret in (*SECRETS, *tokens, API_KEY) if secret in text]
    assert not re.search(r"\b[0-9a-f]{8}-[0-9a-f]{4}-", text)
    # What the probe did can be followed.
    assert re.search(r"reconciler doctor probe [0-9a-f]{12}: safe to delete", text)
    assert '"path": "/v1/session/update/"' in text
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
    assert redact(listing(row), load_contract()) == {
        "message": "",
        "status": 200,
        "count": 1,
        "max_pages": 1,
        "current_page": 1,
        "results": [
            {
                "session_id": 7,
                "session_token": "[text of 7 characters]",
                "device_id": None,
                "session_name": "[text of 3 characters]",
                "session_config": {
                    "data": "[dict of 8 characters]",
                    "model": "m",
                    "prompt": "[text of 7 characters]",
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
        assert "[key]" in file.read_text()


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
