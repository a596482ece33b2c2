"""What whoever answers in place of the service could do: fill the memory, or never end."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from reconciler import bounded_http
from reconciler.api.chat import ask
from reconciler.api.errors import ApiError
from reconciler.ci import api
from reconciler.ci.api import Api, PassingError
from reconciler.contract import load_contract
from reconciler.errors import Problem
from tests.support import Answer, answering, calling, listing, row

HERE = "is https://api.example.com the address of the session API?"
AGAIN = "check the address and the network, then run the command again"
OK = b"HTTP/1.1 200 OK\r\n"
MIB = 2**20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of 1 MiB in place of 64, so that the tests take less time."""
    assert bounded_http.LARGEST == 64 * MIB
    monkeypatch.setattr(bounded_http, "LARGEST", MIB)


@contextmanager
def speaking(said: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """A server that reads a request and then says these bytes, one by one, until the client hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, suppress(OSError):
                peer.settimeout(10)
                peer.recv(65536)
                for one in said():
                    peer.sendall(one)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def refused(url: str, **options: float) -> Problem:
    with calling(url, tries=1, **options) as client, pytest.raises(ApiError) as caught:
        client.read("list_sessions", {})
    assert caught.value.outcome == "unknown"
    (problem,) = caught.value.problems
    return problem


def bomb(encode: Callable[[bytes], bytes], size: int = 2 * MIB) -> bytes:
    return encode(b" " * size)


def with_body(body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (*headers, f"Content-Length: {len(body)}"))
    return OK + lines.encode() + b"\r\n" + body


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


BODY = json.dumps(listing(row(1))).encode()
TOO_LARGE = "an answer of more than 1 MiB"

LARGE = {
    "gzip": (with_body(bomb(gzip.compress), "Content-Encoding: gzip"), TOO_LARGE),
    "deflate": (with_body(bomb(zlib.compress), "Content-Encoding: deflate"), TOO_LARGE),
    "bare deflate": (with_body(bomb(bare_deflate), "Content-Encoding: deflate"), TOO_LARGE),
    "three-fold gzip": (
        with_body(
            gzip.compress(gzip.compress(gzip.compress(b" " * MIB))), "Content-Encoding: gzip, gzip, gzip"
        ),
        "an answer in the content encoding 'gzip, gzip, gzip'; only one of gzip and deflate is read",
    ),
    "two encodings in two lines": (
        with_body(gzip.compress(BODY), "Content-Encoding: deflate", "Content-Encoding: gzip"),
        "an answer in the content encoding 'deflate, gzip'; only one of gzip and deflate is read",
    ),
    "an encoding that is not read": (
        with_body(BODY, "Content-Encoding: br"),
        "an answer in the content encoding 'br'; only one of gzip and deflate is read",
    ),
    "half of a stream": (
        with_body(gzip.compress(BODY)[:-4], "Content-Encoding: gzip"),
        "an answer that is not complete gzip data",
    ),
    "a thousand streams": (
        with_body(gzip.compress(b"") * 1000, "Content-Encoding: gzip"),
        "an answer that is not complete gzip data",
    ),
    "10 GB announced": (OK + b"Content-Length: 10000000000\r\n\r\n{", TOO_LARGE),
    "more than a machine word announced": (OK + b"Content-Length: %d\r\n\r\n{" % 10**30, TOO_LARGE),
}


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_cannot_fill_the_memory(name: str) -> None:
    said, what = LARGE[name]
    with speaking(lambda: [said]) as url:
        assert refused(url) == Problem(f"listing sessions: HTTP 200 with {what}", HERE)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_without_a_length_cannot_fill_the_memory(chunked: bool) -> None:
    def said() -> Iterator[bytes]:
        yield OK + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Connection: close\r\n\r\n")
        yield from itertools.repeat(b"100000\r\n" + b" " * MIB + b"\r\n" if chunked else b" " * MIB)

    with speaking(said) as url:
        assert refused(url) == Problem(f"listing sessions: HTTP 200 with {TOO_LARGE}", HERE)


def _slowly(start: bytes, then: bytes) -> Callable[[], Iterator[bytes]]:
    def said() -> Iterator[bytes]:
        yield start
        pause = threading.Event()
        while not pause.wait(0.02):
            yield then

    return said


ENDLESS: dict[str, Callable[[], Iterable[bytes]]] = {
    "a body byte by byte": _slowly(OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "a status line byte by byte": _slowly(b"HTTP/1.1 200 ", b"O"),
    "a header byte by byte": _slowly(OK + b"X-Slow: ", b"o"),
    "chunks of one byte": _slowly(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers": _slowly(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "100 Continue": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_cannot_last_for_ever(name: str) -> None:
    with speaking(ENDLESS[name]) as url:
        assert refused(url, read_timeout=0.2) == Problem(
            "listing sessions: no complete answer from https://api.example.com within 0.4 s", AGAIN
        )


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("X-Gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare_deflate),
        ("identity", bytes),
    ],
)
def test_what_one_encoding_says_is_read(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    with (
        speaking(lambda: [with_body(encode(BODY), f"Content-Encoding: {encoding}")]) as url,
        calling(url) as client,
    ):
        assert client.read("list_sessions", {}) == json.loads(BODY)


def test_a_call_after_a_refused_answer_does_not_read_the_rest_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "LARGEST", 100)
    with (
        answering(Answer(b" " * 200), Answer({"results": []})) as stub,
        calling(stub.url, tries=1, connections=1) as client,
    ):
        with pytest.raises(ApiError):
            client.read("list_sessions", {})
        assert client.read("list_sessions", {}) == {"results": []}


def ask_model(url: str, **options: float) -> Problem:
    """What a chat call is refused with."""
    with (
        calling(url, tries=1, contract=load_contract(), **options) as client,
        pytest.raises(ApiError) as caught,
    ):
        ask(client, "deepseek-chat", [("user", "Which book?")], {}, before_each=lambda: None)
    (problem,) = caught.value.problems
    return problem


STREAM = OK + b"Content-Type: text/event-stream\r\n"
PART = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_of_a_model_cannot_fill_the_memory(name: str) -> None:
    said, what = LARGE[name]
    for head in (OK, STREAM):
        with speaking(lambda head=head: [head + said.removeprefix(OK)]) as url:
            assert ask_model(url).message == f"asking the model: HTTP 200 with {what}"


def test_a_stream_without_end_cannot_fill_the_memory() -> None:
    with speaking(lambda: itertools.chain([STREAM + b"\r\n"], itertools.repeat(PART * 10_000))) as url:
        assert ask_model(url).message == f"asking the model: HTTP 200 with {TOO_LARGE}"


@pytest.mark.parametrize(
    "said", [_slowly(STREAM + b"\r\n", PART), ENDLESS["100 Continue"]], ids=["parts", "100 Continue"]
)
def test_an_answer_of_a_model_cannot_last_for_ever(said: Callable[[], Iterable[bytes]]) -> None:
    with speaking(said) as url:
        assert ask_model(url, read_timeout=0.2) == Problem(
            "asking the model: no complete answer from https://api.example.com within 0.4 s", AGAIN
        )


def call_forge(url: str) -> str:
    """What a call of the comment command is refused with."""
    forge = Api(url, {"Authorization": "Bearer secret"}, too_large=(422,))
    with pytest.raises(PassingError) as caught:
        forge.call("GET", "/repos/a/b/issues/1")
    return str(caught.value)


@pytest.mark.parametrize("name", LARGE)
def test_a_forge_cannot_fill_the_memory_of_the_comment_command(name: str) -> None:
    said, what = LARGE[name]
    with speaking(lambda: [said]) as url:
        assert call_forge(url) == f"127.0.0.1 gives {what}"


@pytest.mark.parametrize("name", ["a body byte by byte", "100 Continue"])
def test_a_forge_cannot_hold_up_the_comment_command_for_ever(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CALL_TIMEOUT", 0.1)
    with speaking(ENDLESS[name]) as url:
        assert call_forge(url) == "127.0.0.1 does not answer: SlowAnswerError"
