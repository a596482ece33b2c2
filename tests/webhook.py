"""A webhook on loopback, for those who send notifications and traces."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hook:
    """A webhook on loopback: what it was sent, and what it answers, the last answer again and again."""

    url: str = ""
    answers: list[tuple[int, str]] = field(default_factory=lambda: [(200, "ok")])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    gate: threading.Event | None = None

    def wait(self, number: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= number, 60)

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]


@contextmanager
def listening_hook() -> Iterator[Hook]:
    """A webhook until the block ends."""
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with found.arrived:
                found.requests.append((self.path, dict(self.headers), body))
                status, text = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
                found.arrived.notify_all()
            if found.gate is not None:
                found.gate.wait()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.send_header("Location", found.url + "/elsewhere")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    if found.gate is not None:
        found.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()
