"""Health, status, plans and calls, over real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests

from reconciler.controller.status import Status
from reconciler.errors import ReconcilerError, UsageError
from reconciler.schemas import check_document
from reconciler.web import app, parse_listen, probes, serve
from reconciler.web.health import check
from tests.web.conftest import Outside
from tests.web.scripted import DIGEST, NOW, Scripted, pending, watched


def test_it_is_healthy_while_the_controller_answers(web: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (web.get("/healthz").status_code, web.get("/healthz").text) == (200, "ok\n")
    monkeypatch.setattr(app, "PATIENCE", 0.05)
    web.controller.stuck = threading.Event()
    try:
        answer = web.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["message"] == "the controller did not answer within 0.05 seconds"
    finally:
        web.controller.stuck.set()
    assert web.get("/healthz").status_code == 200


def test_it_is_not_healthy_when_a_look_is_long_overdue() -> None:
    def stuck(**given: Any) -> bool:
        one = watched(next_look=NOW, **given)
        other = watched("museum", next_look=None, state=given.get("state", "InSync"))
        return not probes.on_time(Status("", NOW, (), (one, other)), NOW + timedelta(minutes=16))

    assert stuck()
    assert stuck(state="Failing")
    assert not stuck(state="Applying")  # which may take long, and holds up the others of its account
    assert not stuck(state="Suspended")
    assert probes.on_time(Status("", NOW, (), (watched(next_look=NOW),)), NOW + timedelta(minutes=14))


def test_it_is_not_healthy_if_it_says_so(web: Outside) -> None:
    web.controller.set(next_look=NOW)
    assert (web.get("/healthz").status_code, web.get("/healthz").text) == (503, "stuck\n")


def test_it_is_ready_once_each_catalog_was_looked_at(web: Outside) -> None:
    web.controller.catalogs = {name: watched(name, last_look=None) for name in ("one", "two")}
    assert web.get("/readyz").status_code == 503
    web.controller.set("one", last_look=NOW)
    assert web.get("/readyz").text == "not ready\n"
    web.controller.set("two", standby=True)
    assert (web.get("/readyz").status_code, web.get("/readyz").text) == (200, "ready\n")
    web.controller.set("two", standby=False, state="Suspended")
    assert web.get("/readyz").status_code == 200


def test_the_status_fits_its_schema(web: Outside) -> None:
    web.controller.drift()
    web.controller.refused()
    document = web.get("/api/v1/status").json()
    assert check_document(document, "status") == []
    assert document["catalogs"][0]["plan"]["refusals"][0]["guard"] == "max_deletes"


def test_a_reconcile_of_one_and_of_all(web: Outside) -> None:
    answer = web.post("/api/v1/reconcile", {"catalog": "bookshop"})
    assert (answer.status_code, answer.json()) == (202, {"reconcile": "bookshop"})
    assert web.post("/api/v1/reconcile").status_code == 202
    assert web.controller.asked == [("reconcile", "bookshop"), ("reconcile", None)]
    answer = web.post("/api/v1/reconcile", {"catalog": "bookship"})
    assert (answer.status_code, answer.json()) == (
        404,
        {"message": "no watched catalog is named 'bookship'", "hint": "choose one: bookshop"},
    )


def test_an_approval_is_of_exactly_one_plan(web: Outside) -> None:
    web.controller.drift()
    answer = web.post("/api/v1/approve", {"digest": "f" * 64})
    assert answer.status_code == 409
    assert answer.json()["message"] == "no pending plan has the digest ffffffffffff"
    answer = web.post("/api/v1/approve", {"digest": DIGEST})
    assert (answer.status_code, answer.json()) == (202, {"approved": DIGEST})
    assert web.controller.asked == [("approve", DIGEST)]
    assert web.controller.approved_by == "127.0.0.1"
    answer = web.post("/api/v1/approve", data=b'{"digest": "\\ud800\\u001b"}')
    assert (answer.status_code, answer.json()["message"]) == (
        409,
        "no pending plan has the digest \ud800\x1b",
    )


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("approve", b"", "the digest is missing"),
        ("approve", b'{"digest": 5}', "the digest is missing"),
        ("approve", b"[]", "the body is not an object with the field digest"),
        ("approve", b'{"digest": "a", "force": true}', "the body is not an object with the field digest"),
        ("approve", b"\xff", "the body is not JSON"),
        ("approve", b"[" * 10_000, "the body is not JSON"),
        ("reconcile", b'{"catalog": []}', "catalog is not a string"),
        ("reconcile", b"\xef\xbb\xbf{", "the body is not JSON"),
    ],
)
def test_a_body_that_is_something_else(path: str, body: bytes, says: str, web: Outside) -> None:
    answer = web.post(f"/api/v1/{path}", data=body)
    assert (answer.status_code, answer.json()["message"]) == (400, says)
    assert web.controller.asked == []


def test_an_unknown_path_and_a_wrong_method(web: Outside) -> None:
    assert web.get("/api/v2/status").status_code == 404
    answer = web.get("/api/v1/approve")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert web.post("/").status_code == 405


def test_a_plan_is_shown_as_long_as_it_is_pending(web: Outside) -> None:
    web.controller.drift()
    answer = web.get(f"/plans/{DIGEST}")
    assert answer.status_code == 200
    assert "Sell everything!" in answer.text
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'; sandbox allow-scripts"
    other = "0" * 64
    assert web.get(f"/plans/{other}").status_code == 404
    plan = web.controller.catalogs["bookshop"].plan
    assert plan is not None
    web.controller.set(plan=replace(plan, digest=other))
    answer = web.get(f"/plans/{DIGEST}")
    assert answer.status_code == 404
    assert "is not pending" in answer.text


def test_a_plan_that_changes_while_it_is_read_is_not_shown(web: Outside) -> None:
    class Changing(Scripted):
        def plan_document(self, name: str) -> dict[str, object] | None:
            document = super().plan_document(name)
            self.set(name, plan=pending("0" * 64))
            return document

    web.controller.__class__ = Changing
    web.controller.drift()
    assert web.get(f"/plans/{DIGEST}").status_code == 404


# --- events --------------------------------------------------------------------------------------------------


def begun(response: requests.Response) -> Generator[str]:
    """The lines of a stream, once the server follows the events for it. The stream ends with them."""
    lines: Generator[str] = response.iter_lines(decode_unicode=True)
    assert next(lines) == "retry: 2000"
    return lines


def events(response: requests.Response) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Id, name and data of each event of a stream."""
    return parsed(begun(response))


def parsed(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, object]]]:
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "data" in found:
            yield found.get("id", ""), found["event"], json.loads(found["data"])
            found = {}


def test_events_are_followed_and_replayed(web: Outside) -> None:
    web.controller.tell("looked", outcome="InSync", seconds=1)  # before: not sent
    with closing(web.get("/api/v1/events", stream=True)) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        follow = events(response)
        web.controller.drift()
        first, name, document = next(one for one in follow if one[1] != "status")
        assert name == "drift_found"
        assert document["message"] == "1 session of bookshop was changed outside git: alice"
        names: list[str] = []
        while not {"looked", "status"} <= {*names}:
            names.append(next(follow)[1])
        assert [one for one in names if one != "status"] == ["plan_pending", "looked"]
    with closing(web.get("/api/v1/events", stream=True, headers={"Last-Event-ID": first})) as response:
        replayed = (name for _, name, _ in events(response) if name != "status")
        assert [next(replayed), next(replayed)] == ["plan_pending", "looked"]
    with closing(web.get("/api/v1/events", stream=True, headers={"Last-Event-ID": "00000000-7"})) as response:
        assert next(events(response))[1] == "looked"  # an id of another process: all that is kept


def test_a_name_cannot_begin_an_event(web: Outside) -> None:
    hostile = 'a\n\nevent: applied\ndata: {"kind": "applied"}\r\n\u2028'
    web.controller.catalogs[hostile] = watched(hostile)
    with closing(web.get("/api/v1/events", stream=True, headers={"Last-Event-ID": ""})) as response:
        web.controller.tell("failing", hostile, hostile)
        _, name, document = next(events(response))
    assert (name, document["watched"], document["message"]) == ("failing", hostile, hostile)


def test_a_request_for_the_head_does_not_follow(web: Outside) -> None:
    for path in ("/api/v1/events", "/", "/metrics"):
        answer = requests.head(web.url + path, timeout=20)
        assert (answer.status_code, answer.content) == (200, b"")


def test_followers_are_limited_and_leave(web: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "FOLLOWERS", 1)
    with closing(web.get("/api/v1/events", stream=True)) as response:
        lines = begun(response)
        assert web.get("/api/v1/events", stream=True).status_code == 503
        lines.close()
    for _ in range(500):  # until the server has noticed
        web.controller.tell("looked", outcome="InSync", seconds=1)
        with closing(web.get("/api/v1/events", stream=True)) as response:
            if response.status_code == 200:
                break
    else:
        pytest.fail("the follower is still counted")


# --- where it listens ----------------------------------------------------------------------------------------


def test_addresses_to_listen_on() -> None:
    assert parse_listen("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert parse_listen("[::1]:0") == ("::1", 0)
    assert parse_listen(":9464") == ("0.0.0.0", 9464)
    assert parse_listen("localhost:80") == ("localhost", 80)
    for wrong in ("9464", "127.0.0.1", "::1:9464", "a b:1", "http://127.0.0.1:9464", "127.0.0.1:65536", ""):
        with pytest.raises(UsageError, match="is not an address to listen on"):
            parse_listen(wrong)


def test_a_port_in_use_is_an_error(web: Outside) -> None:
    port = web.url.rpartition(":")[2]
    with (
        pytest.raises(ReconcilerError, match=f"can't listen on 127.0.0.1, port {port}"),
        serve(Scripted(), f"127.0.0.1:{port}", metrics=web.metrics, feed=web.feed),
    ):
        pytest.fail("it listens")


def test_a_bug_is_an_answer_and_is_told(web: Outside) -> None:
    class Buggy(Scripted):
        def reconcile(self, name: str | None = None) -> None:
            raise ZeroDivisionError("no traceback for strangers")

    told: list[Exception] = []
    with serve(Buggy(), "127.0.0.1:0", metrics=web.metrics, feed=web.feed, on_bug=told.append) as url:
        answer = Outside(web.controller, url).post("/api/v1/reconcile")
    assert (answer.status_code, answer.json()["message"]) == (500, "this is a bug in reconciler")
    assert isinstance(told[0], ZeroDivisionError)
    with (
        pytest.raises(ZeroDivisionError),
        serve(Buggy(), "127.0.0.1:0", metrics=web.metrics, feed=web.feed) as url,
    ):
        Outside(web.controller, url).post("/api/v1/reconcile")


def test_the_health_check_of_a_container(web: Outside, locked: Outside) -> None:
    assert check({}) == ""  # serves nothing, and is none the worse for it
    for served in (web, locked):
        port = served.url.rpartition(":")[2]
        assert check({"RECONCILER_LISTEN": f"127.0.0.1:{port}"}) == ""
        assert check({"RECONCILER_LISTEN": f"0.0.0.0:{port}"}) == ""
    assert check({"RECONCILER_LISTEN": "127.0.0.1:1"}).startswith("no answer at 127.0.0.1:1: ")
    assert check({"RECONCILER_LISTEN": "nonsense"}) == "'nonsense' is not an address to listen on"
    module = [sys.executable, "-m", "reconciler.web.health"]
    done = subprocess.run(module, env={"RECONCILER_LISTEN": "127.0.0.1:1"}, capture_output=True, check=False)
    assert done.returncode == 1


def test_pages_of_plans_hold_up_no_other_request(web: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    going, gate = threading.Semaphore(0), threading.Event()

    def slow(*_: Any, **__: Any) -> str:
        going.release()
        gate.wait()
        return "a page"

    monkeypatch.setattr("reconciler.render.render_plan", slow)
    web.controller.drift()
    with ThreadPoolExecutor(20) as pool:
        pages = [pool.submit(web.get, f"/plans/{DIGEST}") for _ in range(20)]
        going.acquire()
        assert web.get("/healthz").status_code == 200
        gate.set()
        assert {one.result().text for one in pages} == {"a page"}
