"""Responses that break the connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


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
