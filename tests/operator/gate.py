"""A proxy in front of the API server, for what can go wrong in between. It has the server's own certificate."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias
from urllib.parse import urlsplit

from tests.operator.plane import Plane


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the API server, and who made it. ``time`` is by the clock of the service's log."""

    by: str
    method: str
    path: str
    time: float

    @property
    def watch(self) -> bool:
        return "watch=true" in self.path

    @property
    def lease(self) -> bool:
        return "/leases" in self.path


#: What to answer in place of the API server: a status, or all that a watch says; 0 closes the connection; None passes
#: the request on.
Rule: TypeAlias = Callable[[Asked], int | bytes | None]

#: What a watch says whose history is gone.
GONE = b'{"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"}}\n'

#: Which requests something concerns.
Which: TypeAlias = Callable[[Asked], bool]

_NOT_COPIED = {"transfer-encoding", "content-length", "connection"}


class Gate:
    """The proxy. ``asked`` has all requests in order of arrival, those that were not passed on, too."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.root = ""
        self.asked: list[Asked] = []
        self.rule: Rule = lambda _: None
        self._stalls: Which = lambda _: False
        self._flows = threading.Event()
        self._open: dict[socket.socket, Asked] = {}
        self._lock = threading.Lock()

    def url(self, name: str) -> str:
        """The address for the one with this name."""
        return f"{self.root}/{name}"

    def cut(self, which: Which = lambda _: True) -> None:
        """Reset the connections on which such requests are being answered."""
        with self._lock:
            found = [one for one, asked in self._open.items() if which(asked)]
        for one in found:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def stalled(self, which: Which = lambda _: True) -> Iterator[None]:
        """Pass nothing on for such requests, those under way included, and leave their connections open. What is not
        passed on is lost."""
        self._flows.clear()
        self._stalls = which
        try:
            yield
        finally:
            self._stalls = lambda _: False
            self._flows.set()

    @contextmanager
    def answering(self, rule: Rule) -> Iterator[None]:
        """Answer in place of the API server."""
        self.rule = rule
        try:
            yield
        finally:
            self.rule = lambda _: None

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Cut all connections, and take no more requests."""
        with self.answering(lambda _: 0):
            self.cut()
            yield

    def since(self, moment: float, which: Which = lambda _: True) -> list[Asked]:
        return [one for one in list(self.asked) if one.time >= moment and which(one)]

    # For the handler

    def waits(self, asked: Asked) -> bool:
        """Wait if the request is stalled. Returns whether it was."""
        if not self._stalls(asked):
            return False
        self._flows.wait(300)
        return True

    @contextmanager
    def under_way(self, asked: Asked, connection: socket.socket) -> Iterator[None]:
        self.asked.append(asked)
        with self._lock:
            self._open[connection] = asked
        try:
            yield
        finally:
            with self._lock:
                del self._open[connection]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gate: Gate

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, name, path = self.path.split("/", 2)
        asked = Asked(name, self.command, f"/{path}", time.time())
        self.close_connection = True
        with self.gate.under_way(asked, self.connection), suppress(OSError, http.client.HTTPException):
            if self.gate.waits(asked):
                return
            said = self.gate.rule(asked)
            if said is None:
                self._ask(asked, body)
            elif isinstance(said, bytes):
                self._answer(200, said)
            elif said:
                self._refuse(said)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815 - the names that the library looks for

    def _refuse(self, status: int) -> None:
        said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": status, "message": "not now"}
        self._answer(status, json.dumps({**said, "status": "Failure"}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def _ask(self, asked: Asked, body: bytes) -> None:
        plane = self.gate.plane
        to = urlsplit(plane.url)
        trust = ssl.create_default_context(cafile=str(plane.folder / "certs" / "apiserver.crt"))
        server = http.client.HTTPSConnection(to.hostname or "", to.port, context=trust)
        try:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"
            }
            server.request(asked.method, asked.path, body or None, headers)
            answer = server.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _NOT_COPIED:
                    self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while part := answer.read1(1 << 16):
                if self.gate.waits(asked):
                    return
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            self.close_connection = False
        finally:
            server.close()

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass  # a client that went away


@contextmanager
def gate(plane: Plane) -> Iterator[Gate]:
    """A gate that is open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        plane.folder / "certs" / "apiserver.crt", plane.folder / "certs" / "apiserver.key"
    )
    found = Gate(plane)
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"gate": found})) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        found.root = f"https://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            found.cut()
            found._flows.set()
            server.shutdown()
            thread.join()
