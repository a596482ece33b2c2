"""Running the server in a thread of this process, for tests, for ``--endpoint local`` and for ``reconciler server``."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from reconciler.contract import Contract, load_contract
from reconciler.errors import ReconcilerError
from reconciler.server.app import LOOPBACK, Desk, build_app
from reconciler.server.faults import Faults
from reconciler.server.log import Hook, LoggedRequest
from reconciler.server.quirks import Quirks, learned_quirks
from reconciler.server.service import Service
from reconciler.server.store import Store
from reconciler.server.wire import Protocol
from reconciler.text.hosts import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class RunningServer:
    """A server that listens. Made by :func:`running_server`.

    ``url`` has no slash at its end. ``log`` holds every request in the order of arrival. The hooks in
    ``before`` are called when a request has been read and before it is worked on, those in ``after`` when its
    work is done and before it is answered; an exception out of one of these is answered 500 and raised when the server
    stops. Those in ``done`` are called last of all, right before the answer goes out or the connection is broken.
    """

    def __init__(self, desk: Desk, thread: _Thread) -> None:
        self._desk = desk
        self._thread = thread
        self.url = thread.url
        self.store = desk.service.store

    @property
    def log(self) -> list[LoggedRequest]:
        return self._desk.log

    @property
    def before(self) -> list[Hook]:
        return self._desk.before

    @property
    def after(self) -> list[Hook]:
        return self._desk.after

    @property
    def done(self) -> list[Hook]:
        return self._desk.done

    @property
    def faults(self) -> Faults:
        return self._desk.faults

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """Refuse connections for a while, as a service does that is down; open ones are reset.

        The port stays taken, so that the server comes back under the same address. Not for hooks.
        """
        self._thread.ask(self._thread.server.close)
        try:
            yield
        finally:
            self._thread.ask(self._thread.server.reopen)


@contextmanager
def running_server(
    db: Path | None,
    *,
    contract: Contract | None = None,
    quirks: Quirks | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    require_key: str | None = None,
    latency: float = 0.0,
    keep_log: bool = True,
) -> Iterator[RunningServer]:
    """Serve a database until the block ends. It listens, and answers, when the block begins.

    Args:
        db: the database file, made where it is missing; ``None`` keeps everything in memory.
        quirks: how the service differs from the plainest one; ``None`` for what the contract says of it.
        port: 0 takes any free one.
        require_key: the key that every request must carry as a bearer.
        latency: seconds that every request waits before it is worked on.
        keep_log: whether requests are kept in the log.

    Raises:
        ReconcilerError: the database can't be opened, or the address can't be listened on.
    """
    contract = contract or load_contract()
    store = Store(db)
    try:
        desk = Desk(
            Service(store, contract, learned_quirks(contract) if quirks is None else quirks),
            require_key=require_key,
            hosts=LOOPBACK | {host.lower()} if is_loopback(host) else None,
            latency=latency,
            keep_log=keep_log,
        )
        thread = _Thread(build_app(desk), host, port)
        try:
            yield RunningServer(desk, thread)
        finally:
            thread.stop()
        if desk.errors:
            raise desk.errors[0]
    finally:
        store.close()


class _Thread:
    """The thread that the event loop runs in."""

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
        """Have something done in the loop, and wait for it."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a hook can't wait for the server: it is what the server is doing")
        asyncio.run_coroutine_threadsafe(work(), self.server.loop).result()

    def stop(self) -> None:
        self.server.loop.call_soon_threadsafe(self.server.stopping.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure


class _Server(uvicorn.Server):
    """Uvicorn's server, but one that starts and stops at once, and whose door can be shut meanwhile."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",  # what is wrong with a request is told to who sent it
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
        # Without the handling of signals, which is the affair of the program around.
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        await self._serve([self.listener])

    async def main_loop(self) -> None:
        self.ready.set()
        while not self.stopping.is_set():
            await self.on_tick(0)  # sets the Date of the answers
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
        # What was accepted becomes a connection two turns of the loop later. A server that is closed before fails on
        # it, and nobody closes it (CPython, gh-109564).
        self.loop.remove_reader(self.listener)
        for _ in range(2):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        # Bound but not listening: connections are refused, and nobody else gets the port.
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
        # A server that was stopped a moment ago leaves its address in a waiting state.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ReconcilerError(
            f"can't listen on {host}, port {port}: {error.strerror}",
            "is another server running there? choose another port, or 0 for any that is free",
        ) from None
    return listener
