"""A single call: its errors, its retries, and where the key goes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import __version__
from reconciler.api.answers import LONGEST_PAUSE
from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.rate_limit import RateLimiter
from reconciler.api.retry import backoff
from reconciler.errors import Problem
from reconciler.server import Fault, RunningServer, running_server
from tests.support import API_KEY, CONTRACT, Answer, Still, answering, calling, listing, row

HTML = b"<!doctype html><title>502 Bad Gateway</title>"
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
LATER = "Wed, 21 Oct 2015 07:28:07 GMT"

NO_FIT = "listing sessions: the answer does not fit the contract: "
IS_IT = "is the address that of the session API?"
FORM = "is the address that of the session API? If so, describe its form in a file for --contract"
CHECK = "check the address and the network, then run the command again"
WHOSE = "the key came from MINDCRAFT_API_KEY; does it belong to https://api.example.com?"
PATH = "if the address and the key are right, the contract's path may be wrong: see --contract"
LIMITS = "the server limits the request rate: lower --parallelism, or run the command again later"
REDIRECT = "redirects are not followed, so that the key stays with the address that you gave"

#: What a server answered to a list, and all that is said of it.
BAD_ANSWERS: list[tuple[Answer, str, str]] = [
    # It does not want us.
    (
        Answer({"message": "未提供 API Key", "status": 401}, 401),
        "listing sessions: HTTP 401 (the key was not accepted): 未提供 API Key",
        WHOSE,
    ),
    (
        Answer({"message": f"bad key {API_KEY}!", "status": 403}, 403),
        "listing sessions: HTTP 403 (the key is not allowed to do this): bad key …!",
        WHOSE,
    ),
    (Answer(HTML, 401), "listing sessions: HTTP 401 (the key was not accepted)", WHOSE),
    (
        Answer({"message": "expired", "status": 401}),
        "listing sessions: HTTP 200, status 401 (the key was not accepted): expired",
        WHOSE,
    ),
    # It says no.
    (Answer({"message": "参数错误", "status": 400}), "listing sessions: HTTP 200, status 400: 参数错误", ""),
    (Answer({"message": "no", "status": "400"}), "listing sessions: HTTP 200, status 400: no", ""),
    (Answer({"message": "no", "status": 400}, 422), "listing sessions: HTTP 422, status 400: no", ""),
    (Answer({"message": ["a", {"b": 1}]}, 400), "listing sessions: HTTP 400: ['a', {'b': 1}]", ""),
    (Answer({"message": "x" * 400}, 400), f"listing sessions: HTTP 400: {'x' * 300}", ""),
    (Answer({"detail": "Not found."}, 404), "listing sessions: HTTP 404: Not found.", PATH),
    (
        Answer({"size": ["请输入合法的整数。", "x"], "non_field_errors": ["y"]}, 400),
        "listing sessions: HTTP 400: size: 请输入合法的整数。 x; y",
        "",
    ),
    (
        Answer({"message": "参数错误", "status": 400, "data": {"session_name": ["too long"]}}),
        "listing sessions: HTTP 200, status 400: 参数错误; name: too long",
        "",
    ),
    (
        Answer({"message": "积分不足", "status": 406}),
        "listing sessions: HTTP 200, status 406 (the account is out of points): 积分不足",
        "no retry helps: top up the account, then run the command again",
    ),
    (Answer(HTML, 404), "listing sessions: HTTP 404 with a page that is not JSON", PATH),
    (
        Answer({"status": 405}, 405),
        "listing sessions: HTTP 405",
        "the contract's method or path may be wrong: see --contract",
    ),
    (
        Answer({}, 415),
        "listing sessions: HTTP 415",
        "the contract's encoding may be wrong: see --contract",
    ),
    # It is in trouble.
    (Answer(HTML, 502), "listing sessions: HTTP 502 with a page that is not JSON", ""),
    (Answer({"message": "维护中"}, 503), "listing sessions: HTTP 503: 维护中", ""),
    (Answer({"status": 500}), "listing sessions: HTTP 200, status 500", ""),
    (Answer({}, 429), "listing sessions: HTTP 429", LIMITS),
    (Answer({}, 429, {"Retry-After": "²"}), "listing sessions: HTTP 429", LIMITS),
    (Answer({}, 429, {"Retry-After": "soon"}), "listing sessions: HTTP 429", LIMITS),
    (
        Answer({}, 429, {"Retry-After": "121"}),
        "listing sessions: HTTP 429",
        "the server asks for a pause of 121 s: run the command again after it",
    ),
    (Answer({}, 599), "listing sessions: HTTP 599", ""),
    # It sends us elsewhere.
    (
        Answer(b"", 302, {"Location": "https://evil.example/v1/session/"}),
        "listing sessions: HTTP 302: the server redirects to another address: https://evil.example/v1/session/",
        REDIRECT,
    ),
    (
        Answer(b"", 308, {"Location": "http://[no-address"}),
        "listing sessions: HTTP 308: the server redirects to another address: http://[no-address",
        REDIRECT,
    ),
    (
        Answer(b"", 307, {"Location": f"https://evil.example/?key={API_KEY}"}),
        "listing sessions: HTTP 307: the server redirects to another address: https://evil.example/?key=…",
        REDIRECT,
    ),
    (Answer(b"", 304), "listing sessions: HTTP 304: the server redirects to another address", REDIRECT),
    # It can't be understood.
    (Answer(b""), "listing sessions: HTTP 200 with an empty answer", ""),
    (Answer(b"", 204), "listing sessions: HTTP 204 with an empty answer", ""),
    (Answer(HTML), "listing sessions: HTTP 200 with an answer that is not a JSON object", ""),
    (Answer(b'{"count": 1, '), "listing sessions: HTTP 200 with an answer that is not a JSON object", ""),
    (Answer([]), "listing sessions: HTTP 200 with an answer that is not a JSON object", ""),
    (Answer(b"[" * 100_000), "listing sessions: HTTP 200 with an answer that is not a JSON object", ""),
    (Answer(b"\xff\xfe\xff"), "listing sessions: HTTP 200 with an answer that is not a JSON object", ""),
    (
        Answer(b"not gzip", headers={"Content-Encoding": "gzip"}),
        "listing sessions: HTTP 200 with an answer that is not complete gzip data",
        "is https://api.example.com the address of the session API?",
    ),
    (
        Answer(b'{"count": 1', length=400),
        "listing sessions: the connection to https://api.example.com was cut",
        CHECK,
    ),
    # It is another service's.
    (Answer({}), NO_FIT + "count and results are not both there", IS_IT),
    (
        Answer({"count": True, "max_pages": 1, "results": []}),
        NO_FIT + "count and results are not both there",
        IS_IT,
    ),
    (
        Answer({"count": 0, "max_pages": 1, "results": {}}),
        NO_FIT + "count and results are not both there",
        IS_IT,
    ),
    (
        Answer(listing(row(7), count=10**12)),
        NO_FIT + "1000000000000 sessions on 1000000000000 pages",
        IS_IT,
    ),
    (Answer(listing("a row")), NO_FIT + "a row of the list is not an object", FORM),
    (Answer(listing({})), NO_FIT + "a row of the list has no whole number above 0 at session_id", FORM),
    (
        Answer(listing({"session_id": "7a"})),
        NO_FIT + "a row of the list has no whole number above 0 at session_id",
        FORM,
    ),
    (
        Answer(listing({"session_id": True})),
        NO_FIT + "a row of the list has no whole number above 0 at session_id",
        FORM,
    ),
    (
        Answer(listing({"session_id": 2**63})),
        NO_FIT + "a row of the list has a number of more than 64 bits at session_id",
        FORM,
    ),
    (
        Answer(b'{"count": 1, "results": [NaN]}'),
        "listing sessions: HTTP 200 with an answer that is not a JSON object",
        "",
    ),
    (Answer(listing({"session_id": 7})), NO_FIT + "#7 has no object at session_config", FORM),
    (Answer(listing(row(7, prompt=1))), NO_FIT + "#7 has no text at session_config.prompt", FORM),
    (Answer(listing(row(7, model=[]))), NO_FIT + "#7 has no text at session_config.model", FORM),
    (Answer(listing(row(7, name={}))), NO_FIT + "#7 has no text at session_name", FORM),
    (Answer(listing(row(7, remark=["a"]))), NO_FIT + "#7 has no text at session_remark", FORM),
    (
        Answer(listing(row(7, data=json.loads("[" * 201 + "]" * 201)))),
        NO_FIT + "#7 holds values more than 200 levels deep",
        FORM,
    ),
]


def _name(case: tuple[Answer, str, str]) -> str:
    return f"{case[0].status} {case[0].body!r:.30}"


@pytest.mark.parametrize("case", BAD_ANSWERS, ids=map(_name, BAD_ANSWERS))
def test_a_bad_answer_is_an_error_that_says_what_to_do(case: tuple[Answer, str, str]) -> None:
    answer, message, hint = case
    with answering(answer) as stub, calling(stub.url, tries=1) as client:
        with pytest.raises(ApiError) as caught:
            list_sessions(client)
        assert caught.value.problems == (Problem(message, hint),)
        assert API_KEY not in message + hint
        assert [one.headers["Authorization"] for one in stub.asked] == [f"Bearer {API_KEY}"]


def test_an_answer_in_any_encoding_of_json_is_understood() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        body = json.dumps(listing(row(7, name="顾掌柜")), ensure_ascii=False).encode(encoding)
        with answering(Answer(body)) as stub, calling(stub.url) as client:
            assert [one.name for one in list_sessions(client)] == ["顾掌柜"]


def test_nobody_listens() -> None:
    calls = []
    with calling("http://127.0.0.1:9", tries=2) as client:
        client.observer = lambda *call: calls.append(call)
        with pytest.raises(ApiError) as caught:
            client.read("list_sessions", {})
        assert caught.value.problems == (
            Problem("listing sessions: no connection to https://api.example.com", CHECK),
        )
        assert caught.value.outcome == "not done"
        assert len(calls) == 2


def test_an_answer_that_does_not_come_in_time() -> None:
    with running_server(None) as server:
        server.faults.add(Fault("hang"))
        with calling(server.url, tries=1, read_timeout=0.05) as client:
            with pytest.raises(ApiError) as caught:
                client.read("list_sessions", {})
            assert caught.value.problems == (
                Problem("listing sessions: no answer from https://api.example.com within 0.05 s", CHECK),
            )
            assert caught.value.outcome == "unknown"


def test_a_server_that_does_not_speak_tls() -> None:
    with answering(Answer({})) as stub:
        url = stub.url.replace("http:", "https:")
        endpoint = Endpoint(url, url, API_KEY)
        with calling(url, endpoint=endpoint, tries=1) as client, pytest.raises(ApiError) as caught:
            client.read("list_sessions", {})
    (problem,) = caught.value.problems
    assert problem.message == f"listing sessions: no secure connection to {url}: it does not answer in TLS"
    assert problem.hint == "check the address and its port: is it http and not https?"
    assert caught.value.outcome == "not done"


# What is tried again


@pytest.fixture
def server() -> Any:
    with running_server(None) as running:
        yield running


PASSING = [
    Fault("status", when="first 2", status=500),
    Fault("status", when="first 2", status=429),
    Fault("status", when="first 2", status=408),
    Fault("html", when="first 2", status=502),
    Fault("body-status", when="first 2", status=503),
    Fault("cut", when="first 2"),
    Fault("reset", when="first 2"),
    Fault("half", when="first 2"),
    Fault("empty", when="first 2"),
    Fault("wrong-type", when="first 2"),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_a_read_is_tried_again_while_the_trouble_may_pass(server: RunningServer, fault: Fault) -> None:
    server.store.insert_session(name="Alice")
    server.faults.add(fault)
    with calling(server.url) as client:
        assert [one.name for one in list_sessions(client)] == ["Alice"]
    assert len(server.log) == 3


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_a_write_is_sent_once_whatever_comes_of_it(server: RunningServer, fault: Fault) -> None:
    server.faults.add(fault)
    with calling(server.url) as client, pytest.raises(ApiError):
        client.write("create_session", {"name": "Alice", "model": "m", "prompt": ""})
    assert len(server.log) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_what_will_not_pass_is_not_tried_again(server: RunningServer, status: int) -> None:
    server.faults.add(Fault("status", status=status))
    with calling(server.url) as client, pytest.raises(ApiError):
        client.read("list_sessions", {})
    assert len(server.log) == 1


def test_a_read_is_given_up_after_so_many_tries(server: RunningServer) -> None:
    server.faults.add(Fault("status", status=500))
    with calling(server.url, tries=4) as client:
        with pytest.raises(ApiError) as caught:
            client.read("list_sessions", {})
        assert str(caught.value) == "listing sessions: HTTP 500: 服务器内部错误"
        assert len(server.log) == 4
        slept = client.limiter.slept  # type: ignore[attr-defined]
    assert len(slept) == 3
    for pause, longest in zip(slept, (0.25, 0.5, 1.0), strict=True):
        assert longest / 2 <= pause <= longest


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [({"Retry-After": "7"}, 7.0), ({"Retry-After": "0"}, 0.0), ({"Retry-After": LATER, "Date": DATE}, 7.0),
     ({"Retry-After": DATE, "Date": LATER}, 0.0), ({"Retry-After": "120"}, 120.0)],
)  # fmt: skip
def test_a_pause_that_the_server_asks_for_is_made(
    status: int, header: dict[str, str], seconds: float
) -> None:
    busy = Answer({}, status, header)
    with answering(busy, Answer(listing())) as stub, calling(stub.url) as client:
        assert len(list_sessions(client)) == 0
        slept = client.limiter.slept  # type: ignore[attr-defined]
        assert len(stub.asked) == 2
    if seconds:
        assert slept[0] == seconds
        assert sum(pause > 1 for pause in slept) == 1  # the rate limiter's; the reader makes none of its own


def test_a_pause_that_is_too_long_is_not_waited_for() -> None:
    busy = Answer({}, 429, {"Retry-After": str(int(LONGEST_PAUSE) + 1)})
    with answering(busy, Answer(listing())) as stub, calling(stub.url) as client:
        with pytest.raises(ApiError):
            list_sessions(client)
        assert len(stub.asked) == 1


def test_retry_after_means_nothing_where_the_server_is_not_busy() -> None:
    failed = Answer({}, 500, {"Retry-After": "3600"})
    with answering(failed, Answer(listing())) as stub, calling(stub.url) as client:
        assert len(list_sessions(client)) == 0


# What is known of the work


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer({}, 400), "not done"),
        (Answer({}, 401), "not done"),
        (Answer({}, 404), "not done"),
        (Answer({}, 429), "not done"),
        (Answer({"status": 400}), "not done"),
        (Answer({}, 302, {"Location": "/elsewhere"}), "not done"),
        (Answer({}, 500), "unknown"),
        (Answer(HTML, 502), "unknown"),
        (Answer({}, 503), "unknown"),
        (Answer({"status": 500}), "unknown"),
        (Answer(b""), "unknown"),
        (Answer(HTML), "unknown"),
        (Answer(b"{}", length=100), "unknown"),
    ],
    ids=lambda value: f"{value.status} {value.body!r:.20}" if isinstance(value, Answer) else value,
)
def test_a_failed_write_tells_whether_the_work_may_have_been_done(answer: Answer, outcome: str) -> None:
    with answering(answer) as stub, calling(stub.url) as client:
        with pytest.raises(ApiError) as caught:
            client.write("create_session", {"name": "Alice"}, session="alice")
        assert caught.value.outcome == outcome
        assert str(caught.value).startswith("creating the session alice: ")
        assert len(stub.asked) == 1


def test_a_write_may_be_answered_without_a_body() -> None:
    with answering(Answer(b"", 204)) as stub, calling(stub.url) as client:
        assert client.write("delete_session", {"session_id": 7}) is None


# Where the key goes


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else() -> None:
    with answering(Answer(listing())) as other:
        away = Answer(b"", 307, {"Location": f"{other.url}/v1/session/"})
        with answering(away) as stub, calling(stub.url) as client:
            for call in (client.read, client.write):
                with pytest.raises(ApiError):
                    call("list_sessions", {})
        assert other.asked == []


def test_a_netrc_does_not_overrule_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hers\ndefault login m password n\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for key, header in ((API_KEY, f"Bearer {API_KEY}"), ("", None)):
        with answering(Answer(listing())) as stub:
            with calling(stub.url, endpoint=Endpoint("local", stub.url, key)) as client:
                list_sessions(client)
            assert [one.headers["Authorization"] for one in stub.asked] == [header]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_this_machine_is_not_spoken_to_through_a_proxy(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(Answer(listing())) as proxy, answering(Answer(listing())) as stub:
        monkeypatch.setenv(variable, proxy.url)
        with calling(stub.url) as client:
            list_sessions(client)
        assert (len(proxy.asked), len(stub.asked)) == (0, 1)


@pytest.mark.parametrize("key", [f"{API_KEY}\nHost: evil", "ключ"])
def test_a_key_that_no_header_can_carry_is_an_error_without_it(key: str) -> None:
    with answering(Answer(listing())) as stub:
        endpoint = Endpoint("https://api.example.com", stub.url, key)
        with calling(stub.url, endpoint=endpoint) as client, pytest.raises(ApiError) as caught:
            client.read("list_sessions", {})
        assert stub.asked == []
    assert caught.value.problems == (
        Problem(
            "listing sessions: no request can be sent to https://api.example.com",
            "check the address, and the key from MINDCRAFT_API_KEY",
        ),
    )


def test_a_client_says_who_it_is() -> None:
    with answering(Answer(listing())) as stub, calling(stub.url) as client:
        list_sessions(client)
        assert stub.asked[0].headers["User-Agent"] == f"reconciler/{__version__}"


# How it is said on the wire


def test_bodies_are_what_the_contract_says(server: RunningServer) -> None:
    fields = {
        "name": "爱丽丝",
        "model": "m",
        "prompt": " {{char}}\n",
        "temperature": 0.5,
        "data": {"语": [1, None]},
        "remark": '{"a":1}',
    }
    with calling(server.url) as client:
        body = client.write("create_session", fields)
        client.write("update_session", {"session_id": body["data"]["session_id"], "data": {"a": 1.5}})
    create, update = server.log
    assert create.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert create.body == {
        "session_name": "爱丽丝",
        "model": "m",
        "prompt": " {{char}}\n",
        "temperature": "0.5",
        "config_data": '{"语":[1,null]}',
        "session_remark": '{"a":1}',
    }
    assert update.headers["content-type"] == "application/json"
    assert (update.path, update.body) == ("/v1/session/1/", {"config_data": {"a": 1.5}})


# The limiter


def test_pauses_grow_and_are_never_the_same_twice() -> None:
    for attempt, longest in zip(range(1, 9), (0.25, 0.5, 1, 2, 4, 8, 8, 8), strict=True):
        pauses = {backoff(attempt) for _ in range(50)}
        assert len(pauses) > 40
        assert all(longest / 2 <= pause <= longest for pause in pauses)


def test_a_run_that_is_to_stop_makes_no_further_call(server: RunningServer) -> None:
    stop = Cancellation()
    with calling(server.url, limiter=RateLimiter(stop)) as client:
        client.read("list_sessions", {})
        stop.set("interrupted")
        with pytest.raises(Interrupted):
            client.read("list_sessions", {})
        # What has to be given back is given back all the same.
        client.uncancellable().read("list_sessions", {})
    assert len(server.log) == 2


def test_a_server_that_is_busy_slows_everybody_down(server: RunningServer) -> None:
    """After a 429 every caller waits for its turn; each success makes the turns come a little faster."""
    server.faults.add(Fault("status", when="first", status=429))
    limiter = Still()
    with calling(server.url, limiter=limiter) as client:
        client.read("list_sessions", {})
        throttled = len(limiter.slept)
        assert throttled >= 2
        for _ in range(5):
            client.read("list_sessions", {})
    turns = limiter.slept[throttled:]
    assert len(turns) == 5
    assert all(earlier > later for earlier, later in itertools.pairwise(turns))


def test_the_built_in_contract_is_the_default() -> None:
    assert CONTRACT.name == "mindcraft"
