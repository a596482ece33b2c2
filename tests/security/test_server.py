"""What a web page, or whoever reaches the embedded server, could do to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from reconciler import bounded_server
from reconciler.cli.commands.server import command
from reconciler.server import RunningServer, app, running_server

KEY = "s3cret"
BODY = b'{"session_name": "x"}'


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(None, require_key=KEY) as running:
        yield running


def connect(server: RunningServer) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    peer = socket.create_connection((host, int(port)), timeout=10)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def answered(peer: socket.socket) -> bytes:
    """All that the server says until it closes the connection."""
    said = b""
    while piece := peer.recv(65536):
        said += piece
    return said


def head(server: RunningServer, *lines: str, length: int) -> bytes:
    host = server.url.removeprefix("http://")
    usual = [] if any(line.startswith("Host:") for line in lines) else [f"Host: {host}"]
    head = ["POST /v1/session/ HTTP/1.1", *usual, *lines, f"Content-Length: {length}", "", ""]
    return "\r\n".join(head).encode()


ALLOWED = f"Authorization: Bearer {KEY}"
STRANGERS = {
    "no key": ((), 401),
    "another key": (("Authorization: Bearer other",), 403),
    "another host": ((ALLOWED, "Host: evil.example"), 403),
    "another origin": ((ALLOWED, "Origin: https://evil.example"), 403),
    "a page of another site": ((ALLOWED, "Sec-Fetch-Site: cross-site"), 403),
    "a page of a sibling site": ((ALLOWED, "Sec-Fetch-Site: same-site"), 403),
}


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("lead", ["Expect: 100-continue", "X-Body: sent"])
def test_a_stranger_cannot_make_the_server_read_a_body(
    name: str, lead: str, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DRAINED", 1000)
    lines, status = STRANGERS[name]
    with closing(connect(server)) as peer:
        peer.sendall(head(server, *lines, lead, length=10**9))
        if "Expect" not in lead:
            peer.sendall(b" " * 2000)
        said = answered(peer)
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"connection: close" in said.lower()
    assert server.log[-1].body is None


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_with_a_short_body_gets_an_answer_and_nothing_is_written(
    name: str, server: RunningServer
) -> None:
    lines, status = STRANGERS[name]
    headers = dict(line.split(": ", 1) for line in lines)
    answer = requests.post(f"{server.url}/v1/session/", data=BODY, headers=headers, timeout=10)
    assert answer.status_code == status
    listed = requests.get(f"{server.url}/v1/session/", headers={"Authorization": f"Bearer {KEY}"}, timeout=10)
    assert listed.json()["count"] == 0


@pytest.mark.parametrize(
    ("dest", "status"),
    [("document", 200), ("iframe", 403), ("image", 403), ("empty", 403)],
)
def test_another_site_can_link_to_the_page_and_not_embed_it(dest: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": dest}
    with running_server(None) as server:
        assert requests.get(server.url, headers=headers, timeout=10).status_code == status


def test_a_request_of_the_page_itself_and_one_that_was_typed_are_answered(server: RunningServer) -> None:
    for site in ("same-origin", "none"):
        headers = {"Sec-Fetch-Site": site, "Authorization": f"Bearer {KEY}"}
        assert requests.get(f"{server.url}/v1/session/", headers=headers, timeout=10).status_code == 200


def test_bodies_cannot_fill_the_memory_together(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MAX_HELD", 10_000)
    with closing(connect(server)) as first, closing(connect(server)) as second:
        first.sendall(head(server, ALLOWED, length=8001) + b" " * 8000)
        until(lambda: held(server) == 8000)
        second.sendall(head(server, ALLOWED, length=8001) + b" " * 8000)
        assert answered(second).startswith(b"HTTP/1.1 503 ")
    until(lambda: held(server) == 0)


def held(server: RunningServer) -> int:
    return server._handler._held


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


def test_a_body_cannot_take_for_ever(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_TIME", 0.05)
    with closing(connect(server)) as peer:
        peer.sendall(head(server, ALLOWED, length=100) + b" ")
        said = answered(peer)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in said.lower()


@pytest.mark.parametrize("start", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_head_cannot_take_for_ever(
    start: bytes, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_server, "HEAD_TIME", 0.05)
    with closing(connect(server)) as peer:
        peer.sendall(start)
        assert ended(peer)


def test_a_second_head_cannot_take_for_ever(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(connect(server)) as peer:
        peer.sendall(head(server, length=len(BODY)) + BODY)
        assert peer.recv(65536).startswith(b"HTTP/1.1 401 ")
        monkeypatch.setattr(bounded_server, "HEAD_TIME", 0.05)
        peer.sendall(b"\r\n")
        assert ended(peer)


def ended(peer: socket.socket) -> bool:
    try:
        return answered(peer) is not None
    except ConnectionResetError:
        return True


def test_connections_cannot_use_up_the_file_descriptors(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_server, "MAX_CONNECTIONS", 2)
    with closing(connect(server)), closing(connect(server)), closing(connect(server)) as third:
        assert answered(third).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    until(lambda: not server._thread.server.server_state.connections)
    assert requests.get(f"{server.url}/v1/session/", timeout=10).status_code == 401


def test_the_key_need_not_be_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first").write_text("first\n")
    (tmp_path / "second").write_text("second\n")
    given: list[list[str]] = []
    monkeypatch.setattr(
        "reconciler.cli.commands.server.serve", lambda db, *, require_keys, **_: given.append(require_keys)
    )
    flags = [f"--require-key-file={tmp_path / name}" for name in ("first", "second")]
    result = CliRunner().invoke(command, [str(tmp_path), *flags])
    assert result.exit_code == 0, result.output
    assert given == [["first", "second"]]


def test_an_empty_key_file_does_not_leave_the_server_open(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    result = CliRunner().invoke(command, [str(tmp_path), "--require-key-file", str(tmp_path / "key")])
    assert result.exit_code == 1
    assert f"there is no API key: {tmp_path / 'key'} is empty" in str(result.exception or result.output)
