"""The connection below HTTP: a protocol that exposes its transport, and responses that break the connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

import h11
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

#: How many connections may be open at once. A file descriptor each, of which a process has 1,024 on most systems.
MAX_CONNECTIONS = 512
#: The longest time (seconds) until a head is complete, from its first byte or the opening of the connection.
HEAD_TIME = 30.0

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
)


class Protocol(H11Protocol):
    """Uvicorn's HTTP/1.1, with limits. The transport is available in the request's state."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)
        self.app_state = {**self.app_state, "transport": wire}
        super().connection_made(wire)
        if len(self.connections) > MAX_CONNECTIONS:
            wire.write(_BUSY)
            wire.close()
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        """Uvicorn limits the time between two requests, but not that of a head."""
        if self.conn.their_state is not h11.IDLE:
            self._forget_head()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_TIME, self.transport.abort)

    def _forget_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Closed(Response):
    """No answer: the connection is closed normally."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _transport(scope).close()
        await gone(receive)


class Reset(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = _transport(scope)
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await gone(receive)


class Half(Response):
    """The head of a response and half of its body; then the connection is closed. Without a body, nothing is sent."""

    def __init__(self, whole: Response) -> None:
        super().__init__(bytes(whole.body), whole.status_code, media_type=None)
        self.raw_headers = whole.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytes(self.body)
        if body:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        _transport(scope).close()
        await gone(receive)


async def gone(receive: Receive) -> None:
    """Wait until the connection is closed. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    state: dict[str, Any] = scope["state"]
    return cast(asyncio.Transport, state["transport"])
