"""The HTTP side: routes from a contract, and the handling of each request."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.bounded_server import other_site
from reconciler.server.answers import Answer, Refusal, envelope
from reconciler.server.arguments import Call
from reconciler.server.body import LARGEST, BadBody, decode_body, encoding_of
from reconciler.server.faults import Fault, Faults
from reconciler.server.log import Hook, LoggedRequest
from reconciler.server.service import Service
from reconciler.server.store import FIRST_ACCOUNT
from reconciler.server.wire import Closed, Half, Reset, gone
from reconciler.values import JSON

#: The error page of a proxy.
_PAGE = "<!doctype html>\n<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n"

#: The longest time (seconds) that the body of a request may take.
BODY_TIME = 60.0
#: How many bytes of bodies are held at once, over all requests.
MAX_HELD = 4 * LARGEST
#: How many bytes of the body of a refused request are read and dropped, so that its sender sees the answer.
DRAINED = 2**20


@dataclass(slots=True)
class RequestHandler:
    """Handles requests: authentication, faults, hooks, and the log.

    Args:
        keys: the keys of the accounts, of which every request must carry one. The first account has ``api_id``
            :data:`FIRST_ACCOUNT`, the next one more. Without any, requests need none and see every account.
        hosts: the host names that requests may use; ``None`` allows any. This stops DNS rebinding, where a page of
            another site makes a browser send requests to loopback under that site's name.
        keep_log: whether requests are kept in ``log``. Turn it off for servers that run for days.
    """

    service: Service
    keys: Sequence[str] = ()
    hosts: frozenset[str] | None = None
    latency: float = 0.0
    keep_log: bool = True
    faults: Faults = field(init=False)
    log: list[LoggedRequest] = field(default_factory=list)
    before: list[Hook] = field(default_factory=list)
    after: list[Hook] = field(default_factory=list)
    done: list[Hook] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    _requests: int = 0
    _held: int = 0  # bytes of bodies

    def __post_init__(self) -> None:
        self.faults = Faults(frozenset(self.service.operations))

    def enter(self, request: Request, operation: str) -> LoggedRequest:
        """Number a request and log it."""
        self._requests += 1
        entry = LoggedRequest(
            number=self._requests,
            time=time.time(),
            method=request.method,
            path=request.url.path,
            operation=operation,
            query=dict(request.query_params),
            headers=dict(request.headers),
        )
        if self.keep_log:
            self.log.append(entry)
        return entry

    async def answer(self, request: Request, operation: str) -> Response:
        """Handle one request; every error becomes an answer."""
        entry = self.enter(request, operation)
        try:
            response = await self._answer(request, entry)
        except ClientDisconnect:
            entry.fate = "gone"
            return Response()
        except Exception as error:
            response = self._failed(error)
            if isinstance(error, _Unread):
                response.headers["Connection"] = "close"
        if entry.fate in ("pending", "half"):
            entry.status = response.status_code
        if entry.fate == "pending":
            entry.fate = "answered"
        for hook in list(self.done):
            hook(entry)
        return response

    def page(self, request: Request) -> Response:
        """The page for a browser. Faults and hooks apply to the API only."""
        from reconciler.server.page import page_headers, render_page

        entry = self.enter(request, "page")
        try:
            page = render_page(self.service.store, entry.query, self._admit(request, page=True))
            response: Response = HTMLResponse(page, headers=page_headers())
        except (Refusal, sqlite3.Error) as error:
            response = self._failed(error)
        entry.status, entry.fate = response.status_code, "answered"
        return response

    async def _answer(self, request: Request, entry: LoggedRequest) -> Response:
        try:
            api_id = self._admit(request)
        except Refusal as refusal:
            if await _drained(request):
                raise
            raise _Unread(refusal.status, refusal.message) from None
        with self._holding() as hold:
            return await self._admitted(request, entry, api_id, await _read(request, hold))

    @contextmanager
    def _holding(self) -> Iterator[Callable[[int], None]]:
        """Yields a function that counts so many more bytes as held, until the block ends."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self._held + size > MAX_HELD:
                raise _Unread(503, "服务器繁忙：请求体过多")
            held += size
            self._held += size

        try:
            yield hold
        finally:
            self._held -= held

    async def _admitted(
        self, request: Request, entry: LoggedRequest, api_id: int | None, body: bytes
    ) -> Response:
        limit = self.service.quirks.query_limit
        if limit is not None and len(request.scope["query_string"]) > limit:
            return HTMLResponse(_PAGE.format(status=414), 414)  # as a proxy in front of the service answers
        fields = decode_body(request.headers.get("content-type", ""), body)
        entry.body = fields if body else None
        for hook in list(self.before):
            hook(entry)
        wait, fault = self.faults.pick(entry)
        if wait or self.latency:
            await asyncio.sleep(wait + self.latency)
        response = None
        if fault is not None and not fault.after_work:
            response = await self._break(fault, request, entry)
        if response is None:
            response = self._work(request, entry, fields, api_id)
            if fault is not None and fault.after_work:
                response = await self._break(fault, request, entry, response) or response
        return response

    def _work(
        self, request: Request, entry: LoggedRequest, fields: dict[str, JSON], api_id: int | None
    ) -> Response:
        try:
            if not entry.operation:
                raise Refusal(404, "接口不存在")
            if request.method not in self._methods(entry.operation):
                raise Refusal(405, "不支持的请求方法")
            if not self._reads_body(entry, request.headers.get("content-type", "")):
                fields = {}
            call = Call(path=request.path_params, query=entry.query, body=fields, api_id=api_id)
            response = respond(self.service.work(entry.operation, call))
        except (Refusal, sqlite3.Error) as error:
            return self._failed(error)
        entry.worked = True
        for hook in list(self.after):
            hook(entry)
        return response

    def _failed(self, error: Exception) -> Response:
        match error:
            case Refusal():
                refusal = error
            case BadBody():
                refusal = Refusal(400, f"请求体无法解析：{error}")
            case sqlite3.Error():
                refusal = Refusal(500, f"数据库错误：{error}")
            case _:
                # A bug, in this server or in a test's hook: running_server() raises it when it ends.
                self.errors.append(error)
                refusal = Refusal(500, "服务器内部错误")
        return respond(refusal.answer(bare=self.service.quirks.bare_errors))

    async def _break(
        self, fault: Fault, request: Request, entry: LoggedRequest, whole: Response | None = None
    ) -> Response | None:
        """Inject a fault. ``None`` if a request hung and was released: it is then handled as usual."""
        entry.fault = fault.kind
        status = fault.answered_status
        match fault.kind:
            case "cut":
                entry.fate = "cut"
                return Closed()
            case "reset":
                entry.fate = "reset"
                return Reset()
            case "half":
                assert whole is not None
                entry.fate = "half"
                return Half(whole)
            case "hang":
                entry.fate = "hung"
                if not await self.faults.hang(partial(gone, request.receive)):
                    return Closed()
                entry.fate = "pending"
                return None
            case "html":
                return HTMLResponse(_PAGE.format(status=status), status, _retry_after(fault))
            case "wrong-type":
                return HTMLResponse(_PAGE.format(status=200), 200)
            case "empty":
                return Response(status_code=200, media_type="application/json")
            case "body-status":
                return JSONResponse(envelope(status, fault.message or _message(status)), 200)
            case _:
                refusal = Refusal(status, fault.message or _message(status))
                document = refusal.answer(bare=self.service.quirks.bare_errors).document
                return JSONResponse(document, status, _retry_after(fault))

    def _methods(self, operation: str) -> tuple[str, ...]:
        method = self.service.operations[operation].method
        return ("GET", "HEAD") if method == "GET" else (method,)

    def _reads_body(self, entry: LoggedRequest, content_type: str) -> bool:
        """Whether the fields of a body are read. Any known encoding is, unless the service is strict."""
        quirks, wanted = self.service.quirks, self.service.operations[entry.operation].encoding
        encoding = encoding_of(content_type)
        strict = quirks.strict_encoding or quirks.unread_encoding
        fits = encoding is not None and (not strict or encoding == wanted or wanted in ("none", "query"))
        if entry.body is None or fits:
            return True
        if quirks.unread_encoding:
            return False
        raise Refusal(415, f"不支持的内容类型：{content_type}")

    def _admit(self, request: Request, *, page: bool = False) -> int | None:
        """The account that makes a request; ``None`` if no key is needed. A link of another site may lead to the page.

        Raises:
            Refusal: the request comes from another site, or without a key that it needs.
        """
        other = other_site(request.headers, self.hosts, page=page)
        if other is not None:
            raise Refusal(403, "不支持的主机名" if other == "host" else "不支持跨站请求")
        if not self.keys:
            return None
        authorization = request.headers.get("authorization")
        if authorization is None:
            raise Refusal(401, "未提供 API Key")
        given = _key(authorization).encode()
        for number, key in enumerate(self.keys):
            if hmac.compare_digest(given, key.encode()):
                return FIRST_ACCOUNT + number
        raise Refusal(403, "API Key 无效")


@dataclass(frozen=True, slots=True)
class OperationApp:
    """An ASGI application that handles one operation; an empty name means an unknown path."""

    handler: RequestHandler
    operation: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.handler.answer(Request(scope, receive), self.operation)
        await response(scope, receive, send)


def build_app(handler: RequestHandler) -> ASGIApp:
    """The application: one route for each call of the contract, and the page."""

    async def page(request: Request) -> Response:
        return handler.page(request)

    operations = handler.service.operations.values()
    routes = [Route(one.path, OperationApp(handler, one.name), methods=[one.method]) for one in operations]
    # The same paths for any other method, so that the refusal has the API's form.
    routes += [Route(one.path, OperationApp(handler, one.name)) for one in operations]
    # /session/delete/ is not a session with the id "delete".
    routes.sort(key=lambda route: "{" in route.path)
    routes.append(Route("/", page))
    return Router(routes, redirect_slashes=False, default=OperationApp(handler, ""))


def _message(status: int) -> str:
    return {429: "请求过于频繁", 503: "服务暂不可用"}.get(status, "服务器内部错误")


def _retry_after(fault: Fault) -> dict[str, str] | None:
    after = fault.retry_after
    if after is None:
        return None
    return {"Retry-After": after if isinstance(after, str) else f"{after:g}"}


def respond(answer: Answer) -> Response:
    """The HTTP response of an answer."""
    if answer.stream:
        return Response(answer.stream, answer.status, media_type="text/event-stream")
    if answer.document is None:
        return Response(status_code=answer.status)
    headers = {"WWW-Authenticate": 'Basic realm="reconciler"'} if answer.status == 401 else None
    return JSONResponse(answer.document, answer.status, headers)


class _Unread(Refusal):
    """A refusal of a request whose body was not read to its end, so that its connection can't be used again."""


async def _read(request: Request, hold: Callable[[int], None]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.stream():
                size += len(chunk)
                if size > LARGEST:
                    # The rest is read and dropped: a client that is still sending would not see an answer.
                    chunks.clear()
                else:
                    hold(len(chunk))
                    chunks.append(chunk)
    except TimeoutError:
        raise _Unread(408, f"请求体未在 {BODY_TIME:g} 秒内到达") from None
    if size > LARGEST:
        raise Refusal(413, f"请求体过大，最多 {LARGEST} 字节")
    return b"".join(chunks)


async def _drained(request: Request) -> bool:
    """Whether the body of a refused request could be read to its end and dropped: a short one that comes at once."""
    if "expect" in request.headers:
        return False
    size = 0
    try:
        async with asyncio.timeout(min(1.0, BODY_TIME)):
            async for chunk in request.stream():
                size += len(chunk)
                if size > DRAINED:
                    return False
    except TimeoutError:
        return False
    return True


def _key(authorization: str) -> str:
    """The key in an ``Authorization`` header: a bearer token, or the password that a browser asked for."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""
