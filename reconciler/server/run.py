"""Runs the server in a thread of this process: for tests, ``--endpoint local`` and ``reconciler server``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reconciler.bounded_server import LOOPBACK, ServerThread
from reconciler.contract import Contract, load_contract
from reconciler.server.app import RequestHandler, build_app
from reconciler.server.chat import Chat, Rule
from reconciler.server.faults import Faults
from reconciler.server.log import Hook, LoggedRequest
from reconciler.server.quirks import Quirks, learned_quirks
from reconciler.server.service import Service
from reconciler.server.store import Store
from reconciler.text.hosts import is_loopback


class RunningServer:
    """A listening server, created by :func:`running_server`.

    ``url`` has no trailing slash. ``log`` holds every request in order of arrival. Hooks in ``before`` are called after
    a request is read and before it is processed; hooks in ``after`` once it is processed and before it is answered. An
    exception in one of them is answered with 500 and raised when the server stops. Hooks in ``done`` are called last,
    right before the response is sent or the connection is broken.
    """

    def __init__(self, handler: RequestHandler, thread: ServerThread) -> None:
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
        thread = ServerThread(build_app(handler), host, port)
        try:
            yield RunningServer(handler, thread)
        finally:
            thread.stop()
        if handler.errors:
            raise handler.errors[0]
    finally:
        store.close()
