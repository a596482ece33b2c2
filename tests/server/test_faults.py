"""Every fault, as a client sees it, and which calls it affects."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from reconciler.contract import load_contract
from reconciler.errors import ReconcilerError
from reconciler.server import Fault, RunningServer, running_server
from reconciler.server.faults import Faults, load_faults
from reconciler.server.log import LoggedRequest

NEW = {"session_name": "a", "model": "m"}


def create(server: RunningServer, http: requests.Session) -> requests.Response:
    return http.post(server.url + "/v1/session/", json=NEW, timeout=10)


def statuses(server: RunningServer, http: requests.Session, count: int) -> list[int]:
    return [http.get(server.url + "/v1/session/", timeout=10).status_code for _ in range(count)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("all", [503, 503, 503, 503, 503]),
        ("first", [503, 200, 200, 200, 200]),
        ("first 2", [503, 503, 200, 200, 200]),
        ("nth 3", [200, 200, 503, 200, 200]),
        ("every 2", [200, 503, 200, 503, 200]),
    ],
)
def test_when_a_fault_strikes(
    server: RunningServer, http: requests.Session, when: str, expected: list[int]
) -> None:
    statuses(server, http, 3)  # before the rule was added: not counted
    fault = server.faults.add(Fault("status", operation="list_sessions", when=when, status=503))
    assert statuses(server, http, 5) == expected
    assert server.faults.struck(fault) == expected.count(503)
    server.faults.remove(fault)
    assert statuses(server, http, 1) == [200]


def test_a_fault_meets_its_operation_alone(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("status", operation="create_session", when="nth 2"))
    assert statuses(server, http, 2) == [200, 200]
    assert [create(server, http).status_code for _ in range(3)] == [201, 500, 201]


def test_a_fault_can_be_narrowed_to_some_requests(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("status", where=lambda entry: (entry.body or {}).get("session_name") == "b"))
    assert create(server, http).status_code == 201
    assert http.post(server.url + "/v1/session/", json={**NEW, "session_name": "b"}).status_code == 500


def test_the_first_rule_that_applies_is_carried_out(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("latency", seconds=0.001))
    server.faults.add(Fault("status", when="nth 2", status=500))
    server.faults.add(Fault("status", when="first 2", status=502))
    assert statuses(server, http, 3) == [502, 500, 200]
    server.faults.clear()
    assert statuses(server, http, 1) == [200]


@pytest.mark.parametrize(
    ("status", "message"), [(429, "请求过于频繁"), (500, "服务器内部错误"), (503, "服务暂不可用")]
)
def test_a_status_comes_in_an_envelope(
    server: RunningServer, http: requests.Session, status: int, message: str
) -> None:
    server.faults.add(Fault("status", status=status))
    answer = create(server, http)
    assert answer.status_code == status
    assert answer.json() == {"message": message, "status": status}
    assert "Retry-After" not in answer.headers
    assert server.store.sessions() == []


@pytest.mark.parametrize("retry_after", [2, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_status_with_retry_after(
    server: RunningServer, http: requests.Session, retry_after: float | str
) -> None:
    server.faults.add(Fault("status", status=503, retry_after=retry_after, message="维护中"))
    answer = create(server, http)
    assert answer.headers["Retry-After"] == str(retry_after)
    assert answer.json() == {"message": "维护中", "status": 503}


def test_a_page_of_html_with_a_bad_status(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("html"))
    answer = create(server, http)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert "<h1>502</h1>" in answer.text


def test_a_page_of_html_with_a_good_status(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("wrong-type"))
    answer = create(server, http)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_a_bad_status_in_the_body_alone(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("body-status"))
    answer = create(server, http)
    assert answer.status_code == 200
    assert answer.json() == {"message": "服务器内部错误", "status": 500}


def test_no_body(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("empty"))
    answer = create(server, http)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("worked", [False, True])
def test_a_connection_that_is_cut(server: RunningServer, http: requests.Session, worked: bool) -> None:
    server.faults.add(Fault("cut", when="first", worked=worked))
    with pytest.raises(requests.ConnectionError, match="closed connection without response"):
        create(server, http)
    assert len(server.store.sessions()) == int(worked)
    assert (server.log[0].fate, server.log[0].worked, server.log[0].status) == ("cut", worked, None)
    assert create(server, http).status_code == 201


def test_a_connection_that_is_reset(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("reset", when="first"))
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        create(server, http)
    assert server.store.sessions() == []
    assert server.log[0].fate == "reset"
    assert create(server, http).status_code == 201


def test_half_an_answer(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("half", when="first"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match=r"IncompleteRead"):
        create(server, http)
    assert len(server.store.sessions()) == 1
    assert (server.log[0].fate, server.log[0].status) == ("half", 201)
    assert create(server, http).status_code == 201


@pytest.mark.parametrize("worked", [False, True])
def test_a_request_that_hangs_until_it_is_released(
    server: RunningServer, http: requests.Session, worked: bool
) -> None:
    server.faults.add(Fault("hang", when="first", worked=worked))
    found: list[requests.Response] = []
    asking = threading.Thread(target=lambda: found.append(create(server, http)))
    asking.start()
    until(lambda: server.faults.hanging == 1)
    assert [entry.fate for entry in server.log] == ["hung"]
    assert len(server.store.sessions()) == int(worked)
    server.faults.release()
    asking.join()
    assert found[0].status_code == 201
    assert len(server.store.sessions()) == 1
    assert [entry.fate for entry in server.log] == ["answered"]


def test_a_client_that_does_not_wait(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("hang", when="first"))
    with pytest.raises(requests.exceptions.ReadTimeout):
        http.post(server.url + "/v1/session/", json=NEW, timeout=0.05)
    until(lambda: server.faults.hanging == 0)
    assert (server.log[0].fate, server.store.sessions()) == ("hung", [])


def test_stopping_lets_go_of_what_hangs() -> None:
    found: list[object] = []

    def ask(url: str) -> None:
        try:
            requests.get(url + "/v1/session/", timeout=30)
        except requests.ConnectionError as error:
            found.append(error)

    with running_server(None) as server:
        server.faults.add(Fault("hang"))
        asking = threading.Thread(target=ask, args=(server.url,))
        asking.start()
        until(lambda: server.faults.hanging == 1)
    asking.join()
    assert len(found) == 1


def test_a_rate_limit_lets_through_so_many_a_second(server: RunningServer, http: requests.Session) -> None:
    now = [100.0]
    server.faults.clock = lambda: now[0]
    server.faults.add(Fault("rate-limit", rate=2, retry_after=1))
    assert statuses(server, http, 3) == [200, 200, 429]
    now[0] += 0.9
    assert statuses(server, http, 1) == [429]
    now[0] += 0.1
    assert statuses(server, http, 3) == [200, 200, 429]
    answer = create(server, http)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


def test_latency_holds_up_one_request_and_not_the_next(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("latency", operation="create_session", seconds=3600))
    with pytest.raises(requests.exceptions.ReadTimeout):
        http.post(server.url + "/v1/session/", json=NEW, timeout=0.05)
    assert statuses(server, http, 1) == [200]
    assert [entry.fate for entry in server.log] == ["pending", "answered"]


def test_a_hook_can_not_wait_for_the_server_that_it_runs_in() -> None:
    def shut(server: RunningServer) -> None:
        with server.refuse():
            raise AssertionError("unreachable")

    def scenario() -> None:
        with running_server(None) as server:
            server.before.append(lambda _: shut(server))
            assert requests.get(server.url + "/v1/session/", timeout=10).status_code == 500

    with pytest.raises(RuntimeError, match="a hook can't wait for the server"):
        scenario()


def test_latency_ends(server: RunningServer, http: requests.Session) -> None:
    server.faults.add(Fault("latency", seconds=0.001))
    server.faults.add(Fault("latency", seconds=0.001))
    assert create(server, http).status_code == 201


def test_connections_can_be_refused_for_a_while(server: RunningServer, http: requests.Session) -> None:
    assert statuses(server, http, 1) == [200]
    with server.refuse():
        for _ in range(2):
            with pytest.raises(requests.ConnectionError, match="Connection refused"):
                create(server, http)
    assert statuses(server, http, 1) == [200]
    assert len(server.log) == 2


@pytest.mark.parametrize("turns", range(6))
def test_who_comes_as_the_door_shuts_is_shown_out(server: RunningServer, turns: int) -> None:
    """However far the loop is with a connection, shutting the door ends it, and nothing of it is left open."""
    running = server._thread.server
    peer = socket.socket()
    peer.setblocking(False)

    async def knock_and_shut() -> None:
        with suppress(BlockingIOError):
            peer.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        for _ in range(turns):
            await asyncio.sleep(0)
        await running.close()
        await running.reopen()

    server._thread.ask(knock_and_shut)
    peer.settimeout(10)
    with peer, suppress(ConnectionError):
        assert peer.recv(1) == b""
    gc.collect()  # what nobody closed is told of here, and fails the test


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            {"kind": "flood"},
            "no such kind of fault: 'flood'; there are: latency, status, html, rate-limit, cut, reset, hang, "
            "half, body-status, empty, wrong-type",
        ),
        (
            {"kind": "cut", "when": "sometimes"},
            "when: 'sometimes' is none of: all, first, first N, nth N, every N",
        ),
        ({"kind": "cut", "when": "nth 0"}, "when: 'nth 0' is none of: all, first, first N, nth N, every N"),
        ({"kind": "rate-limit"}, "rate-limit needs a rate of at least 1"),
        ({"kind": "latency"}, "latency needs seconds, more than 0"),
        ({"kind": "status", "status": 200}, "status: 200 is not an error status, 400 to 599"),
        (
            {"kind": "half", "worked": False},
            "`half` needs the call to be carried out: `worked` can't be false",
        ),
        ({"kind": "latency", "seconds": 1, "worked": True}, "latency comes before the call is carried out"),
    ],
)
def test_an_invalid_rule(fault: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Fault(**fault)


def test_a_rule_for_an_unknown_call() -> None:
    with pytest.raises(
        ValueError, match="no such operation: 'list'; there are: create_session, list_sessions"
    ):
        Faults(frozenset({"list_sessions", "create_session"})).add(Fault("cut", operation="list"))


OPERATIONS = load_contract().operations


def test_rules_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(
        "- {kind: status, operation: create_session, when: every 2, status: 503, retry_after: 2}\n"
        "- {kind: cut, worked: true}\n"
    )
    first, second = load_faults(file, OPERATIONS)
    assert (first.kind, first.operation, first.when, first.status, first.retry_after) == (
        "status",
        "create_session",
        "every 2",
        503,
        2,
    )
    assert (second.kind, second.operation, second.worked) == ("cut", None, True)


#: What a fault file may get wrong: the file, and what is said, with its place.
BAD_FILES = {
    "no YAML": ("- {kind: cut", ["1:3: this `{` is never closed"]),
    "no list": ("kind: cut", ["1:1: the fault file must be a list of rules"]),
    "empty": ("", ["1:1: the fault file must be a list of rules"]),
    "no mapping": ("- {kind: cut}\n- cut", ["2:3: this rule is not a mapping"]),
    "no kind": ("- {when: all}", ["1:3: this rule has no `kind`"]),
    "unknown kind": ("- kind: flood", ["1:9: `flood` is not a kind of fault"]),
    "unknown field": ("- {kind: cut, often: 3}", ["1:15: `often` is not a field of a rule"]),
    "unknown operation": (
        "- {kind: cut, operation: list}",
        ["1:26: `list` is not an operation of the API"],
    ),
    "wrong type": ("- {kind: cut, status: '500'}", ["1:23: `status` has to be an integer"]),
    "a boolean is no number": (
        "- {kind: latency, seconds: true}",
        ["1:28: `seconds` has to be an integer or a number"],
    ),
    "yes is a string": ("- {kind: cut, worked: yes}", ["1:23: `worked` has to be true or false"]),
    "not a status": (
        "- {kind: status, status: 200}",
        ["1:26: status: 200 is not an error status, 400 to 599"],
    ),
    "when": (
        "- kind: cut\n  when: sometimes",
        ["2:9: when: 'sometimes' is none of: all, first, first N, nth N, every N"],
    ),
    "duplicate key": (
        "- kind: cut\n  when: all\n  kind: reset",
        ["3:3: the key `kind` is given twice, first in line 1"],
    ),
    "tag": (
        "- {kind: !!str cut}",
        ["1:10: the tag `!!str` is not supported: only plain values are allowed"],
    ),
    "two documents": (
        "- {kind: cut}\n---\n- {kind: reset}",
        ["2:1: a second document starts here; a file can hold only one"],
    ),
    "every one": (
        "- {kind: cut, oftn: 1}\n- {kind: cut}\n- 5",
        ["1:15: `oftn` is not a field of a rule", "3:3: this rule is not a mapping"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, expected: list[str]) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ReconcilerError) as found:
        load_faults(file, OPERATIONS)
    problems = found.value.problems
    assert [f"{problem.line}:{problem.column}: {problem.message}" for problem in problems] == expected
    lines = text.splitlines() or [""]
    for problem in problems:
        assert (problem.file, problem.source) == (str(file), lines[problem.line - 1])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReconcilerError, match=r"the fault file .* can't be read: No such file or directory"):
        load_faults(tmp_path / "faults.yaml", OPERATIONS)


def test_a_rule_may_not_blow_up_unseen() -> None:
    def broken(entry: LoggedRequest) -> bool:
        raise LookupError(entry.operation)

    def scenario() -> None:
        with running_server(None) as server:
            server.faults.add(Fault("cut", where=broken))
            answer = requests.get(server.url + "/v1/session/", timeout=10)
            assert answer.json() == {"message": "服务器内部错误", "status": 500}

    with pytest.raises(LookupError, match="list_sessions"):
        scenario()
