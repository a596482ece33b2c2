"""How the contract encodes a call: its method, path, query and body."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from socket import socket
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support import CONTRACT, Answer, answering, calling, contract_with

TOKEN = "6f1c2d1e-0b57-4a0c-9d5e-2f6f0e2b9c11"
SESSION = {"session_id": 7, "session_token": TOKEN}


def sent(operation: str, given: Mapping[str, Any], **facts: Any) -> Any:
    """The request that a call makes, by the contract but for these facts of it."""
    with (
        answering(Answer({"status": 200})) as stub,
        calling(stub.url, contract=contract_with(operation, **facts)) as client,
    ):
        client.write(operation, given)
    (request,) = stub.asked
    return request


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/v1/session/{session_id}/", "/v1/session/7/"),
        ("/v1/session/{session_token}/del/", f"/v1/session/{TOKEN}/del/"),
        ("/v1/a/{session_id}/b/{session_token}", f"/v1/a/7/b/{TOKEN}"),
    ],
)
def test_a_path_names_the_session_by_id_token_or_both(path: str, arrives: str) -> None:
    request = sent("delete_session", SESSION, path=path, encoding="none", fields={})
    assert (request.command, request.path) == ("POST", arrives)
    assert request.headers["content-length"] == "0"


def test_a_token_cannot_lead_to_another_path() -> None:
    request = sent(
        "delete_session",
        {"session_token": "../../v1/session/?x=#"},
        path="/v1/session/{session_token}/del/",
        encoding="none",
        fields={},
    )
    assert request.path == "/v1/session/..%2F..%2Fv1%2Fsession%2F%3Fx%3D%23/del/"


def test_the_encoding_query_puts_all_fields_into_the_query_and_sends_no_body() -> None:
    fields = {**CONTRACT.operation("create_session").fields, "data": "config_data"}
    given = {
        "name": "顾掌柜",
        "prompt": "a=b&c\nd",
        "temperature": 0.5,
        "data": {"voice": "soft", "tags": [1, None]},
        "remark": None,
    }
    request = sent("create_session", given, encoding="query", fields=fields)
    assert request.headers["content-length"] == "0"
    assert "content-type" not in request.headers
    assert dict(parse_qsl(urlsplit(request.path).query, strict_parsing=True)) == {
        "session_name": "顾掌柜",
        "prompt": "a=b&c\nd",
        "temperature": "0.5",
        "config_data": '{"voice":"soft","tags":[1,null]}',
    }


def test_a_closed_client_leaves_no_connection() -> None:
    """Also before the garbage collector runs, which may be long in a process that plans all day."""
    with answering(*[Answer({"status": 200, "count": 0, "results": []})] * 20) as stub:
        port = urlsplit(stub.url).port
        gc.disable()
        try:
            with calling(stub.url) as client, ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: client.read("list_sessions", {"page": 1}), range(20)))
                assert _open(port)
            assert not _open(port)
        finally:
            gc.enable()


def _open(port: int | None) -> int:
    """How many connections to this port are open."""
    found = 0
    for one in gc.get_objects():
        if type(one) is socket and one.fileno() != -1:
            with suppress(OSError):
                found += one.getpeername()[1] == port
    return found
