"""An HTTP server in a thread of this process, within limits: of connections, and of the time for a head.

It starts and stops at once, and handles no signal: the surrounding program does.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: How many connections may be open at once. A file descriptor each, of which a process has 1,024 on most systems.
MAX_CONNECTIONS = 512
#: The longest time (seconds) until a head is complete, from its first byte or the opening of the connection.
HEAD_TIME = 30.0

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
)


#: The host names that requests may use if the server listens on loopback.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def other_site(
    headers: Mapping[str, str], hosts: frozenset[str] | None, *, page: bool = False
) -> Literal["host", "origin"] | None:
    """What shows that a page of another site makes a browser send this request; None if nothing does.

    ``hosts`` are the host names that requests may use; None allows any. Naming them stops DNS rebinding, where a page
    makes a browser send requests to this machine under that page's own name. A link of another site may lead to a
    ``page``.
    """
    host = headers.get("host", "").lower()
    if hosts is not None and host.rpartition(":")[0] not in hosts and host not in hosts:
        return "host"
    origin = headers.get("origin")
    if origin is not None and origin.lower().partition("://")[2] != host:
        return "origin"
    # A browser sends no Origin with some requests, such as that of an image, but this (Fetch Metadata, 2.4).
    site = headers.get("sec-fetch-site", "none").lower()
    linked = page and headers.get("sec-fetch-dest", "").lower() == "document"
    return None if site in ("none", "same-origin") or linked else "origin"


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


class ServerThread:
    """The thread that the event loop runs in. The server accepts requests once this is constructed.

    Args:
        port: 0 picks a free one; ``url`` says which. It has no trailing slash.
        grace: how many seconds a stop waits for responses that are being sent.

    Raises:
        ReconcilerError: the address can't be listened on.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        listener = _bind(host, port)
        listener.listen(1024)
        port = listener.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.server = _Server(app, listener)
        self._thread = threading.Thread(target=self._run, name="reconciler-server", daemon=True)
        self._failure: BaseException | None = None
        self._thread.start()
        self.server.ready.wait()
        if self._failure is not None:
            self._thread.join()
            listener.close()
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self.server.serve())
        except BaseException as error:
            self._failure = error
            self.server.ready.set()

    def ask(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine in the event loop, and wait for it."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a hook can't wait for the server, which is running the hook")
        asyncio.run_coroutine_threadsafe(work(), self.server.loop).result()

    def stop(self) -> None:
        self.server.loop.call_soon_threadsafe(self.server.stopping.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure


class _Server(uvicorn.Server):
    """Uvicorn's server, with immediate start and stop, and able to refuse connections for a while."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",  # what is wrong with a request is reported to the client
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
            )
        )
        self.listener = listener
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop
        self.stopping: asyncio.Event

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        # Unlike uvicorn's own serve(), this handles no signals: the surrounding program does.
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        await self._serve([self.listener])

    async def main_loop(self) -> None:
        self.ready.set()
        while not self.stopping.is_set():
            await self.on_tick(0)  # sets the Date of the responses
            try:
                await asyncio.wait_for(self.stopping.wait(), 1)
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.close()
        self.listener.close()
        for task in list(self.server_state.tasks):
            task.cancel()
        while self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks)

    async def close(self) -> None:
        """Stop listening, and drop every connection."""
        address = self.listener.getsockname()
        # An accepted socket becomes a connection two turns of the loop later. A server that is closed before that fails
        # on it and leaves it open (CPython, gh-109564).
        self.loop.remove_reader(self.listener)
        for _ in range(2):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        # Bound but not listening: connections are refused, and no other process gets the port.
        self.listener = _bind(*address[:2])
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    async def reopen(self) -> None:
        """Listen again."""
        await self.startup([self.listener])


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ReconcilerError(f"can't listen on {host}: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        # The address of a server that has just stopped stays in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ReconcilerError(
            f"can't listen on {host}, port {port}: {error.strerror}",
            "is another server running there? choose another port, or 0 for any free one",
        ) from None
    return listener
