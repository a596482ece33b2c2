"""Bodies read within limits, and the answers that several calls share."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from reconciler.errors import ReconcilerError
from reconciler.text.printable_json import json_text

#: The largest body of a request, in bytes.
LARGEST: Final = 16 * 2**10
#: The longest time (seconds) that the body of a request may take.
BODY_TIME = 10.0

#: The headers of every answer; a page has a policy of its own.
SAFE: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser sends no origin with a form
    "X-Content-Type-Options": "nosniff",
}


class UnreadError(Exception):
    """A body that was not read to its end, so that its connection can't be used again. ``status`` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def read_body(request: Request) -> bytes:
    """The body of a request.

    Raises:
        UnreadError: it is too large, or did not come in time.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise UnreadError(413, f"the body is larger than {LARGEST:,} bytes")
    except TimeoutError:
        raise UnreadError(408, f"the body did not arrive within {BODY_TIME:g} seconds") from None
    except ClientDisconnect:
        raise UnreadError(400, "the body is not complete") from None
    return bytes(body)


def json_answer(document: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json_text(document), status, SAFE, "application/json")


def refusal(status: int, message: str, hint: str = "") -> Response:
    """What is wrong with a request, and what to do."""
    return json_answer({"message": message, "hint": hint}, status)


def refused_by(error: ReconcilerError, status: int) -> Response:
    """The answer to a request that the controller refuses."""
    first = error.problems[0]
    return refusal(status, first.message, first.hint)


def interstitial() -> Response:
    """A page that leads to ``/``."""
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
        '<title>reconciler</title><a href="/">Continue</a></html>\n',
        headers=SAFE,
    )
