"""``reconciler server`` as a user runs it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from reconciler.cli import run

MAIN = [sys.executable, "-c", "from reconciler.cli import main; main()", "server"]


@contextmanager
def started(*flags: object, cwd: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command in the foreground of another process, its first line, and the address in that."""
    process = subprocess.Popen(
        [*MAIN, "--port", "0", *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    try:
        assert found is not None, process.communicate()
        yield process, line, found[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path) as (process, line, url):
        assert line == f"Serving {tmp_path}/.reconciler/local.db at {url} (Ctrl-C ends it)\n"
        assert url.startswith("http://127.0.0.1:")
        new = {"session_name": "a", "model": "m"}
        assert requests.post(url + "/v1/session/", json=new, timeout=10).status_code == 201
        process.send_signal(number)
        assert process.communicate() == ("", "")
        assert process.returncode == 0
    folder = tmp_path / ".reconciler"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    with started(tmp_path) as (_, _, url):
        assert requests.get(url + "/v1/session/", timeout=10).json()["count"] == 1


def test_its_flags_reach_the_server(tmp_path: Path) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text(
        "- {kind: status, operation: create_session, when: first, status: 503, retry_after: 3}\n"
    )
    flags = ["--db", tmp_path / "other.db", "--faults", faults, "--latency", 1, "--require-key", "k"]
    with started(*flags, "--quirk", "delete-204", "--quirk", "max-page-size=1", "--verbose") as (
        process,
        _,
        url,
    ):
        headers = {"Authorization": "Bearer k"}
        new = {"session_name": "a", "model": "m"}
        answers = [
            requests.post(url + "/v1/session/", json=new, headers=headers, timeout=10) for _ in range(2)
        ]
        assert [answer.status_code for answer in answers] == [503, 201]
        assert answers[0].headers["Retry-After"] == "3"
        requests.get(url + "/v1/models", timeout=10)
        requests.get(url + "/%1b[31mred", timeout=10)
        delete = requests.post(url + "/v1/session/1/del/", headers=headers, timeout=10)
        assert delete.status_code == 204
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1].splitlines() == [
            "POST /v1/session/ create_session 503 (status)",
            "POST /v1/session/ create_session 201",
            "GET /v1/models list_models 401",
            r"GET /\x1b[31mred - 401",
            "POST /v1/session/1/del/ delete_session 204",
        ]
    assert (tmp_path / "other.db").exists()


def test_each_key_has_an_account_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(url: str, key: str) -> requests.Response:
        new = {"session_name": "a", "model": "m"}
        return requests.post(
            url + "/v1/session/", json=new, headers={"Authorization": f"Bearer {key}"}, timeout=10
        )

    with started(tmp_path, "--require-key", "first", "--require-key", "second") as (_, _, url):
        assert [create(url, key).status_code for key in ("first", "second", "third")] == [201, 201, 403]
    monkeypatch.setenv("RECONCILER_REQUIRE_KEY", "first\nsecond")
    with started(tmp_path) as (_, _, url):
        assert [create(url, key).json()["data"]["api_id"] for key in ("first", "second")] == [70, 71]
        listed = requests.get(url + "/v1/session/", headers={"Authorization": "Bearer second"}, timeout=10)
        assert listed.json()["count"] == 2


def test_a_wide_address_is_warned_about(tmp_path: Path) -> None:
    with started(tmp_path, "--host", "0.0.0.0") as (process, line, url):
        assert "http://0.0.0.0:" in line
        answer = requests.get(
            url.replace("0.0.0.0", "127.0.0.1") + "/v1/models", headers={"Host": "me.example"}, timeout=10
        )
        assert answer.status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == (
            "warning: everyone who can reach 0.0.0.0 can read and change these sessions; "
            "--require-key-file FILE protects them\n"
        )


def test_a_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["server", str(tmp_path), "--port", str(port)]) == 1
    assert f"can't listen on 127.0.0.1, port {port}: Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--quirk", "late-call=2"], 64, "there is no quirk 'late-call'; did you mean 'late-calls'?"),
        (["--quirk", "late-calls=x"], 64, "the quirk 'late-calls': 'x' is not an integer of at least 0"),
        (["--port", "70000"], 64, "70000 is not in the range"),
        (["--faults", "nowhere.yaml"], 64, "'nowhere.yaml' does not exist"),
        (["--host", "256.0.0.1"], 1, "can't listen on 256.0.0.1"),
        (["--db", "nowhere/local.db"], 1, "nowhere/local.db can't be opened: No such file or directory"),
    ],
)
def test_an_invalid_flag(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["server", *flags]) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_fault_for_an_unknown_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {kind: cut}\n- {kind: cut, operation: list_session}\n")
    assert run(["server", str(tmp_path), "--port", "0", "--faults", str(faults)]) == 1
    assert capsys.readouterr().err == (
        f"{faults}:2:26: `list_session` is not an operation of the API\n"
        "    2 | - {kind: cut, operation: list_session}\n"
        "      |                          ^\n"
        "      hint: did you mean `list_sessions`?\n"
    )


def test_a_fault_for_a_call_that_a_quirk_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {kind: cut, operation: update_session}\n")
    flags = ["--port", "0", "--quirk", "no-update", "--faults", str(faults)]
    assert run(["server", str(tmp_path), *flags]) == 1
    assert f"{faults}:1:26: `update_session` is not an operation of the API" in capsys.readouterr().err


def test_its_help_lists_every_quirk(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["server", "--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"Quirks:\n +max-page-size=ROWS +The largest number of rows on a page\.\n", text)
    assert "strict-encoding" in text
