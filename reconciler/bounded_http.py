"""Answers over HTTP, read within limits: of bytes, as sent and as decoded, and of time for a whole call.

Whoever answers may be hostile, or broken. Requests limits the time between two bytes, but not their number, and
inflates whatever it is sent. So its connections get a deadline for each call, which also ends a head that never ends,
and the body is read and inflated here.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.response import HTTPResponse

#: The largest body that is accepted, in bytes, as sent and as decoded.
LARGEST: Final = 64 * 2**20

#: The ``Accept-Encoding`` of a request: what is decoded here.
ACCEPTED: Final = "gzip, deflate"

#: Bytes read at once. Requests' own pieces of 10 KB take as long as the rest of a call.
_PIECE: Final = 2**20


class UnacceptableAnswerError(Exception):
    """A response whose body is too large, or encoded in a way that is not accepted.

    ``what`` is "an answer that …". ``passing`` says whether the same call may succeed later.
    """

    def __init__(self, what: str, status: int, *, passing: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.status = status
        self.passing = passing


class SlowAnswerError(Exception):
    """A call that was not complete at its deadline. ``limit`` is in seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(f"no complete answer within {limit:g} s")
        self.limit = limit


class BoundedAdapter(HTTPAdapter):
    """An adapter whose connections keep the deadline of :func:`send_within`."""

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        pool.ConnectionCls = _TLSConnection if pool.scheme == "https" else _PlainConnection
        return pool

    def close(self) -> None:
        """Close all connections. Urllib3 only forgets them: they would stay open until the garbage collector runs."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in list(manager.pools.keys()):
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()


class BoundedSession(requests.Session):
    """A session for :func:`send_within`. It ignores the target of a redirect, which may not be a valid address."""

    def __init__(self) -> None:
        super().__init__()
        self.headers["Accept-Encoding"] = ACCEPTED
        for scheme in ("https://", "http://"):
            self.mount(scheme, BoundedAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def send_within(
    session: BoundedSession,
    request: requests.PreparedRequest,
    limit: float,
    *,
    permit: Callable[[], None] | None = None,
    **settings: Any,
) -> requests.Response:
    """Send one request, and read its whole answer, whatever its status.

    ``limit`` is in seconds, from the start of the call to its last byte. ``permit`` is called right before bytes are
    sent, over a connection that stands; if it raises, they are not. ``settings`` are those of
    :meth:`requests.Session.send`.

    Raises:
        UnacceptableAnswerError: the body is larger than :data:`LARGEST`, or its encoding is not accepted.
        SlowAnswerError: the answer was not complete in time.
        requests.RequestException, urllib3.exceptions.HTTPError: no response came, or only a part of one.
    """
    _call.deadline, _call.permit = time.monotonic() + limit, permit
    try:
        response = session.send(request, **{**settings, "stream": True})
        try:
            response._content = _decoded(_read(response), response)
        except BaseException:
            response.close()  # with the connection: the rest of the body is still to come
            raise
        return response
    except (requests.RequestException, HTTPError) as error:
        timed_out = isinstance(error, requests.Timeout | ReadTimeoutError)
        if timed_out and not isinstance(error, requests.ConnectTimeout) and _left() <= 0:
            raise SlowAnswerError(limit) from None
        raise
    finally:
        _call.deadline = _call.permit = None


class _Call(threading.local):
    deadline: float | None = None  # of time.monotonic(); None outside of calls
    permit: Callable[[], None] | None = None


_call = _Call()


def _left() -> float:
    """The seconds until the deadline of this thread's call."""
    return float("inf") if _call.deadline is None else _call.deadline - time.monotonic()


def _read(response: requests.Response) -> bytes:
    """The body as sent."""
    raw: HTTPResponse = response.raw
    if (raw.length_remaining or 0) > LARGEST:
        raise _too_large(response)
    pieces: list[bytes] = []
    size = 0
    while piece := raw.read(_PIECE, decode_content=False):
        size += len(piece)
        if size > LARGEST:
            raise _too_large(response)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decoded(body: bytes, response: requests.Response) -> bytes:
    """The body without its content encoding, of which there may be one."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity") or not body:
        return body
    if encoding in ("gzip", "x-gzip"):
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    elif encoding == "deflate":
        # Meant to be zlib's format (RFC 9110, 8.4.1.2). Some servers send the bare stream.
        wrapped = body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
    else:
        raise UnacceptableAnswerError(
            f"an answer in the content encoding {encoding[:40]!r}; only one of gzip and deflate is read",
            response.status_code,
        )
    try:
        text = inflater.decompress(body, LARGEST + 1)
    except zlib.error:
        text = b""
    if len(text) > LARGEST:
        raise _too_large(response)
    if not inflater.eof or inflater.unused_data:
        raise UnacceptableAnswerError(
            f"an answer that is not complete {encoding} data", response.status_code, passing=True
        )
    return text


def _too_large(response: requests.Response) -> UnacceptableAnswerError:
    return UnacceptableAnswerError(f"an answer of more than {LARGEST // 2**20} MiB", response.status_code)


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until the deadline of the call that it was made in."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: float) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = deadline
        self._usual = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        if self._usual is None or left < self._usual:
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            with suppress(OSError):  # the next call over this connection sends with its own time
                self._sock.settimeout(self._usual)
            self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *rest: Any, **named: Any) -> None:
        super().__init__(sock, *rest, **named)
        if _call.deadline is not None:
            plain: io.BufferedReader = self.fp
            self.fp = io.BufferedReader(_DeadlineReader(sock, plain.detach(), _call.deadline))


class _Permitted:
    """A connection that asks before it sends."""

    sock: Any
    connect: Callable[[], None]

    def send(self, data: Any) -> None:
        if _call.permit is not None:
            if self.sock is None:
                self.connect()  # which may take seconds
            _call.permit()
        super().send(data)  # type: ignore[misc]  # of the connection


class _PlainConnection(_Permitted, HTTPConnection):
    response_class = _Response


class _TLSConnection(_Permitted, HTTPSConnection):
    response_class = _Response
