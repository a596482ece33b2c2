"""Odd, broken and forbidden requests: each gets an envelope, never a traceback."""

from __future__ import annotations

import base64
import json
import socket

import pytest
import requests

from reconciler.server import RunningServer, running_server

JSON_TYPE = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="session_name"\r\n\r\n'


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (JSON_TYPE, b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (JSON_TYPE, b"[]", "not a JSON object"),
        (JSON_TYPE, b'"a"', "not a JSON object"),
        (JSON_TYPE, b'{"temperature": NaN}', "NaN is no JSON"),
        (JSON_TYPE, b'{"a": "\xff"}', "not UTF-8: invalid start byte"),
        (JSON_TYPE, b'{"a": {"b": "\\ud800"}}', "not UTF-8: surrogates not allowed"),
        (JSON_TYPE, b'{"a": ' + b"[" * 100_000, "nested too deep"),
        (FORM, b"session_name=\xff", "not UTF-8: invalid start byte"),
        (FORM, b"session_name=%FF", "not UTF-8: invalid start byte"),
        (FORM, b"&".join(b"a%d=1" % n for n in range(1001)), "Max number of fields exceeded"),
        (MULTIPART, PART + b"\xff\r\n--b--\r\n", "not UTF-8: invalid start byte"),
        (MULTIPART, PART + b"a", "the last boundary is missing"),
        (MULTIPART, b"nothing of the kind", ""),
        (MULTIPART, b"--b\r\n\r\na\r\n--b--\r\n", "a part has no name"),
        ("multipart/form-data", PART + b"a\r\n--b--\r\n", "no boundary in the content type"),
    ],
)
def test_a_body_that_can_not_be_read(
    server: RunningServer, http: requests.Session, content_type: str, body: bytes, message: str
) -> None:
    answer = http.post(server.url + "/v1/session/", data=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    document = answer.json()
    assert document["status"] == 400
    assert document["message"].startswith("请求体无法解析：" + message)
    assert server.store.sessions() == []


def test_a_number_of_thousands_of_digits(server: RunningServer, http: requests.Session) -> None:
    for digits in (400, 5000):
        answer = http.post(
            server.url + "/v1/message/clear/",
            data=b'{"session_id": ' + b"9" * digits + b"}",
            headers={"Content-Type": JSON_TYPE},
        )
        assert answer.status_code in (400, 404)


def test_an_unsupported_content_type(server: RunningServer, http: requests.Session) -> None:
    answer = http.post(server.url + "/v1/session/", data=b"<a/>", headers={"Content-Type": "text/xml"})
    assert answer.json()["status"] in (400, 415)
    answer = http.post(server.url + "/v1/session/", data=b"{}", headers={"Content-Type": "text/xml"})
    assert answer.status_code == 415
    assert answer.json() == {"message": "不支持的内容类型：text/xml", "status": 415}


def test_an_unknown_path_or_method(server: RunningServer, http: requests.Session) -> None:
    for path in ("/v1/session", "/v1/nothing/", "/v1/session/1/2/", "/%00", "/v1/sessions/%FF/"):
        answer = http.get(server.url + path)
        assert answer.status_code == 404
        assert answer.json() == {"message": "接口不存在", "status": 404}
    for answer in (http.put(server.url + "/v1/session/"), http.get(server.url + "/v1/session/1/")):
        assert answer.status_code == 405
        assert answer.json() == {"message": "不支持的请求方法", "status": 405}
    for name in ("del", "-1", "1.5", "%00", "%FF"):  # no number, so no path of the service
        answer = http.post(f"{server.url}/v1/session/{name}/")
        assert answer.status_code == 404
        assert answer.json() == {"message": "接口不存在", "status": 404}


def test_a_body_that_is_too_large(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.server.app.LARGEST", 1_000_000)
    for size, status in ((999_000, 201), (1_000_001, 413), (3_000_000, 413)):
        prompt = "x" * (size - 200)
        body = json.dumps({"session_name": "a", "model": "m", "prompt": prompt}).encode()
        body += b" " * (size - len(body))
        answer = requests.post(
            server.url + "/v1/session/", data=body, headers={"Content-Type": JSON_TYPE}, timeout=30
        )
        assert answer.status_code == status
    assert len(server.store.sessions()) == 1


def test_a_client_that_leaves_in_the_middle_of_its_body(
    server: RunningServer, http: requests.Session
) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall(
            b"POST /v1/session/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"session_name"'
        )
        while not server.log:
            assert http.get(server.url + "/v1/models").status_code == 200
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall(b"not even HTTP\r\n\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 400 ")
    assert http.get(server.url + "/v1/session/").json()["count"] == 0


def test_what_a_form_carries_comes_back_to_the_byte(server: RunningServer, http: requests.Session) -> None:
    prompt = "".join(map(chr, range(1, 0x250))) + "\x00\u2028\u2029\ufeff🐇\r\n\r\n--b--\r\n" + "长" * 100_000
    fields = {"session_name": "名", "model": "m", "prompt": prompt}
    for answer in (
        http.post(server.url + "/v1/session/", json=fields),
        http.post(server.url + "/v1/session/", data=fields),
        http.post(server.url + "/v1/session/", files={k: (None, v.encode()) for k, v in fields.items()}),
    ):
        assert answer.status_code == 201
        assert answer.json()["data"]["session_config"]["prompt"] == prompt


def test_the_log_lists_the_requests_in_order(server: RunningServer, http: requests.Session) -> None:
    seen: list[tuple[int, bool]] = []
    server.before.append(lambda entry: seen.append((entry.number, entry.worked)))
    server.after.append(lambda entry: seen.append((entry.number, entry.worked)))
    http.get(server.url + "/v1/session/", params={"session_name": "a"})
    http.post(
        server.url + "/v1/session/",
        data={"session_name": "a", "model": "m"},
        headers={"Authorization": "Bearer k"},
    )
    http.get(server.url + "/nowhere")
    first, second, third = server.log
    assert (first.number, first.method, first.path) == (1, "GET", "/v1/session/")
    assert (first.operation, first.query, first.body) == ("list_sessions", {"session_name": "a"}, None)
    assert (first.status, first.fate, first.worked) == (200, "answered", True)
    assert (second.number, second.operation, second.status) == (2, "create_session", 201)
    assert second.body == {"session_name": "a", "model": "m"}
    assert second.headers["authorization"] == "Bearer k"
    assert (third.operation, third.status, third.worked) == ("", 404, False)
    assert seen == [(1, False), (1, True), (2, False), (2, True), (3, False)]


def test_rows_can_be_moved_between_two_pages(server: RunningServer, http: requests.Session) -> None:
    for name in "abc":
        server.store.insert_session(name=name)
    pages = []

    def vanish(entry: object) -> None:
        if len(server.log) == 2:
            server.store.delete_session(1)

    server.before.append(vanish)
    for page in (1, 2):
        document = http.get(
            server.url + "/v1/session/", params={"page": str(page), "size": "1", "ordering": "session_id"}
        ).json()
        pages.append((document["count"], [row["session_name"] for row in document["results"]]))
    assert pages == [(3, ["a"]), (2, ["c"])]


@pytest.mark.parametrize(
    ("authorization", "status", "message"),
    [
        (None, 401, "未提供 API Key"),
        ("Bearer wrong", 403, "API Key 无效"),
        ("Bearer ", 403, "API Key 无效"),
        ("sécret", 403, "API Key 无效"),
        ("Basic ???", 403, "API Key 无效"),
        ("Bearer s3cret", 200, ""),
        ("Basic " + base64.b64encode(b"me:s3cret").decode(), 200, ""),
    ],
)
def test_a_key_can_be_required(authorization: str | None, status: int, message: str) -> None:
    with running_server(None, require_key="s3cret") as server:
        headers = {} if authorization is None else {"Authorization": authorization.encode()}
        answer = requests.get(server.url + "/v1/session/", headers=headers, timeout=10)
    assert answer.status_code == status
    assert (answer.json()["status"], answer.json()["message"]) == (status, message)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "attacker.example"}, 403),
        ({"Host": "attacker.example:8421"}, 403),
        ({"Host": "Localhost:8421"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8421", "Origin": "http://localhost:8421"}, 200),
    ],
)
def test_another_site_can_not_make_a_browser_speak_to_it(
    server: RunningServer, http: requests.Session, headers: dict[str, str], status: int
) -> None:
    assert http.get(server.url + "/v1/session/", headers=headers).status_code == status


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_any_name_of_loopback_can_be_listened_on(host: str) -> None:
    with running_server(None, host=host) as server:
        assert server.url.startswith(f"http://{host}:")
        assert requests.get(server.url + "/v1/session/", timeout=10).status_code == 200
