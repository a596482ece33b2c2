"""Who may ask, and how much."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from reconciler import bounded_server
from reconciler.errors import ReconcilerError, UsageError
from reconciler.web import HEADER, Feed, Metrics, answers, app, read_token, serve
from reconciler.web.admission import LOGIN_TIME, LOGINS, SHORTEST, Logins
from tests.web.conftest import TOKEN, Outside
from tests.web.scripted import DIGEST, Scripted

BEARER = {"Authorization": f"Bearer {TOKEN}"}
EVERYTHING = [
    ("GET", "/"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/events"),
    ("GET", f"/plans/{DIGEST}"),
    ("GET", "/nothing"),
    ("POST", "/api/v1/reconcile"),
    ("POST", "/api/v1/approve"),
]


def asked(web: Outside, method: str, path: str, headers: dict[str, str], **given: Any) -> requests.Response:
    return requests.request(
        method, web.url + path, headers={HEADER: "1"} | headers, timeout=20, allow_redirects=False, **given
    )


# --- other sites ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "169.254.1.1"]
)
def test_another_host_name_is_refused(host: str, web: Outside) -> None:
    for method, path in [*EVERYTHING, ("GET", "/healthz"), ("POST", "/login")]:
        answer = asked(web, method, path, {"Host": host})
        assert (answer.status_code, answer.json()["message"]) == (403, "this host name is not accepted")
    assert web.controller.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_can_ask_for_nothing(headers: dict[str, str], web: Outside) -> None:
    for method, path in EVERYTHING:
        assert asked(web, method, path, headers).status_code == 403
    assert web.controller.asked == []


def test_a_link_of_another_site_leads_to_the_page(web: Outside) -> None:
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert web.get("/", headers=linked).status_code == 200
    assert web.get("/api/v1/status", headers=linked).status_code == 403
    assert web.get("/", headers={**linked, "Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_no_form_changes_anything(web: Outside) -> None:
    web.controller.drift()
    for body in ({"digest": DIGEST}, f'{{"digest": "{DIGEST}"}}'):
        answer = requests.post(f"{web.url}/api/v1/approve", data=body, timeout=20)
        assert (answer.status_code, answer.json()) == (
            403,
            {"message": f"the header {HEADER} is missing", "hint": f"send `{HEADER}: 1`"},
        )
    assert web.controller.asked == []


def test_no_other_site_gets_leave_to_send_the_header(web: Outside) -> None:
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Headers": HEADER}
    answer = asked(web, "OPTIONS", "/api/v1/approve", preflight)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_every_answer_forbids_what_it_does_not_need(web: Outside) -> None:
    for path in ("/", "/healthz", "/metrics", "/api/v1/status", "/nothing", "/login", "/plans/x"):
        headers = web.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        assert "unsafe" not in headers["Content-Security-Policy"]


# --- the token -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0"])
def test_off_loopback_there_must_be_a_token(listen: str) -> None:
    with (
        pytest.raises(UsageError, match="no token is set"),
        serve(Scripted(), listen, metrics=Metrics(), feed=Feed()),
    ):
        pytest.fail("it listens")


def test_without_the_token_only_health_is_told(locked: Outside) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        for method, path in EVERYTHING:
            answer = asked(locked, method, path, headers)
            if path == "/":
                assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
            else:
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
                assert "bookshop" not in answer.text
    assert locked.get("/healthz").text == "ok\n"
    assert locked.get("/readyz").text == "ready\n"
    assert locked.controller.asked == []


@pytest.mark.parametrize(
    "host", ["x/healthz?", "x/healthz#", "/healthz?", "x/login?", "x/healthz?@127.0.0.1"]
)
def test_a_host_name_does_not_open_another_path(host: str, locked: Outside) -> None:
    """What is asked for is the path of the request, not that of an address that is joined with its host."""
    for method, path in EVERYTHING:
        answer = asked(locked, method, path, {"Host": host})
        assert answer.status_code in (303, 400, 401, 403), (host, method, path)
        assert "bookshop" not in answer.text
    for path in (
        "/healthz%3F/../metrics",
        "/healthz/../metrics",
        "/%2e/metrics",
        "//metrics",
        "/healthz;/metrics",
    ):
        assert locked.get(path).status_code in (400, 401, 404)


def test_with_the_token_all_is_there(locked: Outside) -> None:
    assert locked.get("/metrics", headers=BEARER).status_code == 200
    assert locked.post("/api/v1/reconcile", headers=BEARER).status_code == 202
    # A form does not get further with a token.
    answer = requests.post(f"{locked.url}/api/v1/reconcile", headers=BEARER, timeout=20)
    assert answer.status_code == 403
    assert (
        locked.get("/api/v1/status", headers={**BEARER, "Origin": "https://evil.example"}).status_code == 403
    )
    # A proxy in front passes on the name that its users see.
    assert locked.get("/api/v1/status", headers={**BEARER, "Host": "watch.example.com"}).status_code == 200


def test_a_login_is_a_cookie_that_no_script_reads(locked: Outside) -> None:
    assert "Log in" in locked.get("/login").text
    wrong = locked.post("/login", data={"token": TOKEN + "x"})
    assert (wrong.status_code, "Set-Cookie" in wrong.headers) == (401, False)
    assert "This is not the token." in wrong.text
    for body in (b"", b"token", b"&".join([b"a=1"] * 4000), b"token=%ff&token=%00", b"\xff\x00"):
        assert locked.post("/login", data=body).status_code == 401
    right = locked.post("/login", data={"token": f" {TOKEN}\n"}, headers={"Origin": locked.url})
    assert (right.status_code, right.headers["Location"]) == (303, "/")
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    jar = {"Cookie": cookie.partition(";")[0]}
    assert locked.get("/", headers=jar).status_code == 200
    assert locked.get("/api/v1/status", headers=jar).status_code == 200
    assert locked.post("/logout", headers=jar).status_code == 303
    assert locked.get("/api/v1/status", headers=jar).status_code == 401


def test_a_cookie_of_tls_stays_with_tls(locked: Outside) -> None:
    behind = {"Host": "watch.example.com", "Origin": "https://watch.example.com"}
    answer = locked.post("/login", data={"token": TOKEN}, headers=behind)
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_link_of_another_site_finds_the_login_again(locked: Outside) -> None:
    """A browser leaves a strict cookie out at first, and sends it on the next step, within the site."""
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    answer = locked.get("/", headers=linked)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/"' in answer.text
    assert "bookshop" not in answer.text


def test_another_site_cannot_log_in(locked: Outside) -> None:
    answer = locked.post("/login", data={"token": TOKEN}, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


def test_logins_end() -> None:
    now = [0.0]
    logins = Logins(lambda: now[0])
    first = logins.begin()
    assert logins.holds(first)
    now[0] = LOGIN_TIME
    assert not logins.holds(first)
    second = logins.begin()
    for _ in range(LOGINS):
        logins.begin()
    assert not logins.holds(second)
    assert not logins.holds("")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"short", "it needs 16 characters or more, and no spaces"),
        (b"", "it needs 16 characters"),
        (b"two words of a token", "no spaces"),
        ("令牌令牌令牌令牌令牌".encode(), "is not ASCII"),
    ],
)
def test_a_token_that_is_not_usable(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ReconcilerError, match=says) as raised:
        read_token(file)
    assert raised.value.problems[0].hint == "create one with `openssl rand -hex 32`"
    assert "short" not in str(raised.value)


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert read_token(file) == TOKEN
    with pytest.raises(ReconcilerError, match="can't be read: No such file"):
        read_token(tmp_path / "none")


# --- how much, and how long ----------------------------------------------------------------------------------


def sent(web: Outside, head: str, body: bytes = b"") -> bytes:
    """What comes back for a request that is written by hand, until the server closes the connection."""
    host, _, port = web.url.removeprefix("http://").partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=20)) as peer:
        peer.sendall(head.format(host=f"{host}:{port}").replace("\n", "\r\n").encode() + body)
        found = b""
        try:
            while piece := peer.recv(65536):
                found += piece
        except ConnectionResetError:
            pass
        return found


POST = "POST /api/v1/approve HTTP/1.1\nHost: {host}\n" + HEADER + ": 1\nContent-Length: 1000000000\n\n"


def test_a_body_cannot_take_for_ever(web: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BODY_TIME", 0.05)
    said = sent(web, POST, b"{")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in said.lower()


def test_a_refused_body_cannot_take_for_ever(locked: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BODY_TIME", 0.05)
    said = sent(locked, POST, b"{")
    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in said.lower()


def test_a_body_cannot_be_huge(web: Outside) -> None:
    answer = web.post("/api/v1/approve", data=b" " * (answers.LARGEST + 1))
    assert (answer.status_code, answer.json()["message"]) == (413, "the body is larger than 16,384 bytes")
    assert web.post("/login", data=b"a" * (answers.LARGEST + 1)).status_code == 413


def test_the_documentation_names_the_limits() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8").split())
    assert (
        f"At once there are at most {bounded_server.MAX_CONNECTIONS} connections, {app.FOLLOWERS} of which follow "
        "events. "
        f"A request's head may take {bounded_server.HEAD_TIME:g} seconds, its body {answers.BODY_TIME:g} seconds and "
        f"{answers.LARGEST // 2**10} KiB. If the controller does not answer within {app.PATIENCE:g} seconds"
    ) in page
    assert f"a token of {SHORTEST} characters" in page
    assert f"logged in for {LOGIN_TIME / 3600:g} hours" in page


def test_a_head_cannot_take_for_ever(web: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_server, "HEAD_TIME", 0.05)
    assert sent(web, "GET / HTTP/1.1\nHost: {host}\nX: ") == b""


def test_health_and_metrics_can_be_open_to_others_and_nothing_else(tmp_path: Path) -> None:
    controller = Scripted()
    controller.drift()
    with serve(controller, "0.0.0.0:0", metrics=Metrics(), feed=Feed(), open_metrics=True) as url:
        web = Outside(controller, url.replace("0.0.0.0", "127.0.0.1"))
        assert web.get("/healthz").text == "ok\n"
        assert web.get("/readyz").text == "ready\n"
        assert "reconciler_drifted_sessions" in web.get("/metrics", headers={"Host": "10.0.0.7:9464"}).text
        for method, path in [*EVERYTHING, ("GET", "/login"), ("POST", "/login")]:
            if path != "/metrics":
                assert asked(web, method, path, {}).status_code == 404
        assert controller.asked == []


def test_with_a_token_open_metrics_are_not_open() -> None:
    with serve(Scripted(), "127.0.0.1:0", TOKEN, metrics=Metrics(), feed=Feed(), open_metrics=True) as url:
        assert requests.get(f"{url}/metrics", timeout=20).status_code == 401
