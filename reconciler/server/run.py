"""Runs the server in a thread of this process: for tests, ``--endpoint local`` and ``reconciler server``."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from reconciler.contract import Contract, load_contract
from reconciler.errors import ReconcilerError
from reconciler.server.app import LOOPBACK, RequestHandler, build_app
from reconciler.server.chat import Chat, Rule
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
    """A listening server, created by :func:`running_server`.

    ``url`` has no trailing slash. ``log`` holds every request in order of arrival. Hooks in ``before`` are called after
    a request is read and before it is processed; hooks in ``after`` once it is processed and before it is answered. An
    exception in one of them is answered with 500 and raised when the server stops. Hooks in ``done`` are called last,
    right before the response is sent or the connection is broken.
    """

    def __init__(self, handler: RequestHandler, thread: _Thread) -> None:
        self._handler = handler
        self._thread = thread
        self.url = thread.url
        self.store = handler.service.store

    @property
    def chat(self) -> Chat:
        """What answers chat calls."""
        return self._handler.service.chat

    @property
    def log(self) -> list[LoggedRequest]:
        return self._handler.log

    @property
    def before(self) -> list[Hook]:
        return self._handler.before

    @property
    def after(self) -> list[Hook]:
        return self._handler.after

    @property
    def done(self) -> list[Hook]:
        return self._handler.done

    @property
    def faults(self) -> Faults:
        return self._handler.faults

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """Refuse connections until the block ends, as a service that is down does. Open connections are reset.

        The port stays bound, so the server comes back at the same address. Hooks must not call this.
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
    require_key: str | Sequence[str] | None = None,
    latency: float = 0.0,
    keep_log: bool = True,
    script: Sequence[Rule] = (),
) -> Iterator[RunningServer]:
    """Serve a database until the block ends. The server accepts requests once the block begins.

    Args:
        db: the database file, created if it does not exist; ``None`` keeps everything in memory.
        quirks: how the service behaves; ``None`` means what the contract says.
        port: 0 picks a free one.
        require_key: the API key that every request must carry as a bearer token. Several keys are as many accounts
            (``api_id`` 70, 71, …), each of which sees its own sessions only.
        latency: seconds that every request waits before it is processed.
        keep_log: whether requests are kept in the log.
        script: what chat calls are answered; the first rule that fits counts.

    Raises:
        ReconcilerError: the database can't be opened, or the address can't be listened on.
    """
    contract = contract or load_contract()
    store = Store(db)
    try:
        handler = RequestHandler(
            Service(store, contract, learned_quirks(contract) if quirks is None else quirks, script),
            keys=[require_key] if isinstance(require_key, str) else list(require_key or ()),
            hosts=LOOPBACK | {host.lower()} if is_loopback(host) else None,
            latency=latency,
            keep_log=keep_log,
        )
        thread = _Thread(build_app(handler), host, port)
        try:
            yield RunningServer(handler, thread)
        finally:
            thread.stop()
        if handler.errors:
            raise handler.errors[0]
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
