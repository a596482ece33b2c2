"""Shared by the tests of the core: shortcuts for wanted and live sessions, and services to call."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from reconciler.api.client import Client
from reconciler.api.decode import decode_session
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.rate_limit import RateLimiter
from reconciler.apply.beside import with_messages
from reconciler.apply.report import Report
from reconciler.apply.run import ApplyOptions, apply_plan
from reconciler.contract import SESSION_NAMES, Contract, load_contract
from reconciler.domain import Catalog, LiveSession, Session, Snapshot, Written
from reconciler.ownership.remark import compose_remark
from reconciler.ownership.tag import Identity, Tag, make_tag
from reconciler.plan import Plan, make_plan
from reconciler.server import Quirks, Store
from reconciler.server.answers import Refusal
from reconciler.server.arguments import Call
from reconciler.server.log import LoggedRequest
from reconciler.server.service import Service

CONTRACT = load_contract()

#: The contract with writes that are known to work: an apply tries none of them on one session first.
LEARNED = dataclasses.replace(
    CONTRACT,
    operations={
        name: dataclasses.replace(one, known="learned") if name.endswith("e_session") else one
        for name, one in CONTRACT.operations.items()
    },
)

#: A key that must never show up anywhere but in a request's header.
API_KEY = "sk-b00k5h0p-do-not-show"


def contract_with(operation: str, **facts: Any) -> Contract:
    """The contract with writes that are known to work, but for these facts of one call."""
    changed = dataclasses.replace(LEARNED.operation(operation), **facts)
    return dataclasses.replace(LEARNED, operations={**LEARNED.operations, operation: changed})


def learned_file(folder: Path) -> Path:
    """A contract file whose calls are all known to work, else as the built-in one."""
    text = resources.files("reconciler.contract").joinpath("mindcraft.yaml").read_text(encoding="utf-8")
    path = folder / "learned.yaml"
    path.write_text(re.sub(r"known: (seen|assumed)", "known: learned", text), encoding="utf-8")
    return path


# What is wanted


def wanted(key: str = "alice", **fields: Any) -> Session:
    """A session of a catalog: Alice, but for the given fields."""
    return Session(**{"key": key, "name": "Alice", "model": "deepseek-chat", "prompt": "Be kind.", **fields})


def catalog(*sessions: Session, **fields: Any) -> Catalog:
    """The catalog ``bookshop`` with these sessions."""
    return Catalog(
        **{
            "name": "bookshop",
            "environment": None,
            "sessions": {one.key: one for one in sessions},
            **fields,
        }
    )


# What is live


def row(session_id: int = 1, *, remark: Any = "", **fields: Any) -> dict[str, Any]:
    """A row of the list, as on the wire. ``name`` is its name, anything else stands in its config."""
    name = fields.pop("name", "Alice")
    config = {"data": {}, "model": "deepseek-chat", "prompt": "Be kind.", **fields}
    return {
        "session_id": session_id,
        "session_name": name,
        "session_config": config,
        "session_remark": remark,
    }


def live(session_id: int = 1, **fields: Any) -> LiveSession:
    """A live session, from :func:`row`."""
    return decode_session(row(session_id, **fields), CONTRACT.session)


def snapshot(*sessions: LiveSession) -> Snapshot:
    """A snapshot of these sessions."""
    return Snapshot(tuple(sessions), "local")


def identity(key: str = "alice", catalog: str = "bookshop", environment: str | None = None) -> Identity:
    """An identity in the catalog ``bookshop``."""
    return Identity(catalog, environment, key)


def tag_of(session: Session, **more: Any) -> Tag:
    """The tag of a session as it is right after it was written."""
    return make_tag(
        identity(session.key), session.fields(), protected=session.lifecycle.prevent_destroy, **more
    )


def written(session: Session, session_id: int = 1, **fields: Any) -> LiveSession:
    """A session as it is live right after it was written, but for the given fields (of :func:`row`)."""
    remark = compose_remark(None, dict(session.remark), tag_of(session))
    values = {"name": session.name, "model": session.model, "prompt": session.prompt, **session.parameters}
    return live(session_id, **{"remark": remark, "data": dict(session.data), **values, **fields})


# Whom to speak to


class Still(RateLimiter):
    """A pace that never really waits: its clock stands still but for what it is asked to wait.

    ``slept`` is that, in seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def uncancellable(self) -> RateLimiter:
        return self

    def now(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.slept.append(seconds)
        super().sleep(0)


@contextmanager
def calling(url: str, **options: Any) -> Iterator[Client]:
    """A client that never waits, for the service at this address."""
    endpoint = options.pop("endpoint", None) or Endpoint("https://api.example.com", url, API_KEY)
    with Client(endpoint, options.pop("contract", LEARNED), **{"limiter": Still(), **options}) as client:
        yield client


@dataclass
class Answer:
    """What a stub answers: bytes as they are, anything else as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    #: How many bytes the head promises; as many as there are where None.
    length: int | None = None


@dataclass
class Stub:
    """A server that gives the answers of a list, the last one again and again. ``asked`` holds the requests."""

    url: str
    answers: list[Answer]
    asked: list[Any] = field(default_factory=list)


@contextmanager
def answering(*answers: Answer) -> Iterator[Stub]:
    """A server on loopback that answers what it is told to, whatever it is asked."""
    stub = Stub("", list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stub.asked.append(self)
            given = stub.answers.pop(0) if len(stub.answers) > 1 else stub.answers[0]
            body = given.body if isinstance(given.body, bytes) else json.dumps(given.body).encode()
            self.send_response_only(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if given.length is None else given.length))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = given.length is not None

        do_GET = do_POST = answer  # noqa: N815 - the names that the library looks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        stub.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()


def listing(*rows: Any, **more: Any) -> dict[str, Any]:
    """The envelope of a list of one page."""
    return {
        "message": "",
        "status": 200,
        "count": len(rows),
        "max_pages": 1,
        "current_page": 1,
        "results": list(rows),
        **more,
    }


class Direct(Client):
    """A client that works on a store without a network in between. ``writes`` are the calls that changed something.

    ``lose`` is asked before each write and says whether its answer is lost after the work was done.
    """

    def __init__(self, store: Store, quirks: Quirks | None = None, contract: Contract = LEARNED) -> None:
        super().__init__(Endpoint("local", "http://127.0.0.1:1"), contract, connections=2, limiter=Still())
        self.store = store
        self.writes: list[tuple[str, Mapping[str, Any]]] = []
        self.lose: Callable[[str, Mapping[str, Any]], bool] = lambda name, fields: False
        self._service = Service(store, contract, quirks or Quirks())
        self._turn = threading.Lock()

    def _work(self, name: str, fields: Mapping[str, Any]) -> Any:
        operation = self.contract.operation(name)
        wire = {operation.fields[ours]: value for ours, value in fields.items() if ours in operation.fields}
        wire = json.loads(json.dumps(wire))
        path = {name: str(fields[name]) for name in SESSION_NAMES if f"{{{name}}}" in operation.path}
        in_query = operation.method == "GET" or operation.encoding == "query"
        call = Call(path, query=wire) if in_query else Call(path, body=wire)
        try:
            with self._turn:
                answer = self._service.work(name, call)
        except Refusal as refusal:
            raise ApiError(name, refusal.message, outcome="not done", http_status=refusal.status) from None
        return json.loads(json.dumps(answer.document))

    def uncancellable(self) -> Client:
        return self

    def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any:
        return self._work(name, fields)

    def write(
        self,
        name: str,
        fields: Mapping[str, Any],
        *,
        session: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> Any:
        check()
        body = self._work(name, fields)
        self.writes.append((name, fields))
        if self.lose(name, fields):
            raise ApiError(name, "the connection was cut", session=session, passing=True)
        return body


def session_of(entry: LoggedRequest) -> int | None:
    """The id of the session that a request names, in its path or its body; None where it names none by id."""
    in_path = re.search(r"/(\d+)(/|$)", entry.path)
    number = in_path.group(1) if in_path else (entry.body or {}).get("session_id")
    return None if number is None else int(str(number))


# How to apply


def options(state: Path, **more: Any) -> ApplyOptions:
    """How the tests apply: at once, and without waiting for a list that lags."""
    return ApplyOptions(**{"state": state, "settle": 0, "parallelism": 2, **more})


def reconcile(client: Client, now: Catalog, state: Path, **more: Any) -> tuple[Plan, Report]:
    """Plan, and apply the plan."""
    there = list_sessions(client)
    there = with_messages(there, now.name, now.environment, Written(), lambda: nullcontext(client))
    plan = make_plan(now, there, allow_empty=True, allow_destroy=now.sessions.keys() | all_keys(there))
    return plan, apply_plan(plan, client, options(state, **more), snapshot=there)


def all_keys(there: Snapshot) -> set[str]:
    """The keys of all tags in a snapshot."""
    return {one.remark.tag.identity.key for one in there if one.remark.tag}
