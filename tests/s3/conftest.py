"""An S3 on loopback: moto's server, behind a front that keeps a log and can refuse, cut and delay requests."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from reconciler.s3 import bucket as buckets
from reconciler.s3.bucket import Bucket, Place, open_bucket

NUMBERS = itertools.count(1)


@dataclass
class Asked:
    """A request: its number among those to the server, method, bucket and key."""

    number: int
    method: str
    path: str
    query: str

    def __str__(self) -> str:
        """What it is, without what is random in its name: ``PUT state/shop/00000001.json``."""
        return f"{self.method} {self.path}"


#: What becomes of a request: None (it is answered), a status and a code, "cut", or "short" (its
#: answer ends early).
Fate = tuple[int, str] | str | None


@dataclass
class S3:
    """The server. ``before`` decides before a request is processed, ``after`` when it is, but before its answer."""

    url: str = ""
    log: list[Asked] = field(default_factory=list)
    before: list[Callable[[Asked], Fate]] = field(default_factory=list)
    after: list[Callable[[Asked], Fate]] = field(default_factory=list)
    application: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        asked = Asked(
            len(self.log) + 1, environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]
        )
        self.log.append(asked)
        fate = next((found for hook in self.before if (found := hook(asked)) is not None), None)
        if fate is None:
            answered: dict[str, Any] = {}

            def kept(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], None]:
                answered.update(status=status, headers=headers)
                return lambda data: None

            body = b"".join(self.application(environ, kept))
            fate = next((found for hook in self.after if (found := hook(asked)) is not None), None)
            if fate in (None, "short"):
                start(answered["status"], answered["headers"])
                return [body[:-1] if fate else body]
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) if fate != "cut" else None
        if isinstance(fate, str):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        status, code = fate
        start(f"{status} {code}", [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>It is a test.</Message></Error>".encode()]


class Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def moto() -> Iterator[S3]:
    found = S3()
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = make_server("127.0.0.1", 0, found, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3(moto: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The server without faults; requests are tried once."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_CONFIG_FILE": "/",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(buckets, "_TRIES", 1)
    moto.log.clear()
    yield moto
    moto.before.clear()
    moto.after.clear()


@pytest.fixture(scope="session")
def clients() -> dict[str, Any]:
    """The client of most tests: it takes long to make."""
    return {}


@pytest.fixture
def bucket(s3: S3, clients: dict[str, Any]) -> Bucket:
    """An empty bucket, with a prefix."""
    place = Place(f"bucket-{next(NUMBERS)}", "team/one/")
    found = Bucket(place, clients.get("one") or open_bucket(place, s3.url).client)
    clients["one"] = found.client
    found.client.create_bucket(Bucket=found.place.bucket)
    s3.log.clear()
    return found
