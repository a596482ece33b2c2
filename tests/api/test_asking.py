"""A client that asks before each write: right before its first byte, over a connection that stands."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from reconciler.api.cancellation import Interrupted
from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError
from tests.support import LEARNED

MADE: dict[str, Callable[[Client], Client]] = {
    "itself": lambda client: client,
    "uncancellable": lambda client: client.uncancellable(),
    "paced": lambda client: client.paced_by(client.limiter),
    "other contract": lambda client: client.with_contract(LEARNED),
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_write_that_is_not_permitted_sends_nothing(made: Callable[[Client], Client]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        accepted: list[socket.socket] = []

        def permit() -> None:
            accepted.append(listener.accept()[0])  # it has been connected to before
            raise Interrupted

        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(Endpoint(address, address, "", "a test"), LEARNED) as client:
            with pytest.raises(Interrupted):
                made(client.asking(permit)).write("create_session", {"name": "Alice"})
            (connection,) = accepted
            connection.settimeout(5)
            assert connection.recv(1) == b""  # closed, and not a byte of the request
            connection.close()


def test_a_read_is_not_asked_for() -> None:
    asked: list[None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint = Endpoint(address, address, "", "a test")
        with Client(endpoint, LEARNED, tries=1, read_timeout=0.1) as client, pytest.raises(ApiError):
            client.asking(lambda: asked.append(None)).read("list_sessions", {})
    assert asked == []
