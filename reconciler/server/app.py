"""The HTTP side: routes made from a contract, and the way of a request from its arrival to its answer."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
import time
from base64 import b64decode
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.server.body import LARGEST, BadBody, decode_body, encoding_of
from reconciler.server.log import Hook, LoggedRequest
from reconciler.server.service import Answer, Call, Refusal, Service, envelope

#: What a browser may call the server by, where it listens on loopback.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(slots=True)
class Desk:
    """Where requests come in: what they pass on their way, and what is kept of them.

    Args:
        require_key: the key that every request must carry; ``None`` asks for none.
        hosts: host names that requests may be addressed to; ``None`` takes any. A page on another site can make a
            browser speak to loopback under a name of its own; this is what keeps it out.
        keep_log: whether requests are kept in ``log``. A server that runs for days must not.
    """

    service: Service
    require_key: str | None = None
    hosts: frozenset[str] | None = None
    latency: float = 0.0
    keep_log: bool = True
    log: list[LoggedRequest] = field(default_factory=list)
    before: list[Hook] = field(default_factory=list)
    after: list[Hook] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    _requests: int = 0

    def enter(self, request: Request, operation: str) -> LoggedRequest:
        """Number a request and keep it."""
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
        """Work one request; whatever goes wrong becomes an answer."""
        entry = self.enter(request, operation)
        try:
            response = await self._answer(request, entry)
        except Refusal as refusal:
            response = respond(Answer(refusal.status, envelope(refusal.status, refusal.message)))
        except ClientDisconnect:
            entry.fate = "gone"
            return Response()
        except sqlite3.Error as error:
            response = respond(Answer(500, envelope(500, f"数据库错误：{error}")))
        except Exception as error:
            # A mistake of ours, or of a test's hook: the caller gets an answer, running_server() raises it at its end.
            self.errors.append(error)
            response = respond(Answer(500, envelope(500, "服务器内部错误")))
        if entry.fate == "pending":
            entry.status = response.status_code
            entry.fate = "answered"
        return response

    async def _answer(self, request: Request, entry: LoggedRequest) -> Response:
        content_type = request.headers.get("content-type", "")
        body = await _read(request)
        try:
            fields = decode_body(content_type, body)
        except BadBody as bad:
            raise Refusal(400, f"请求体无法解析：{bad}") from None
        entry.body = fields if body else None
        for hook in list(self.before):
            hook(entry)
        if self.latency:
            await asyncio.sleep(self.latency)
        self._admit(request)
        if not entry.operation:
            raise Refusal(404, "接口不存在")
        if request.method not in self._methods(entry.operation):
            raise Refusal(405, "不支持的请求方法")
        if body:
            self._check_encoding(entry.operation, content_type)
        call = Call(path=request.path_params, query=entry.query, body=fields)
        answer = self.service.work(entry.operation, call)
        entry.worked = True
        for hook in list(self.after):
            hook(entry)
        return respond(answer)

    def _methods(self, operation: str) -> tuple[str, ...]:
        method = self.service.operations[operation].method
        return ("GET", "HEAD") if method == "GET" else (method,)

    def _check_encoding(self, operation: str, content_type: str) -> None:
        """Any known encoding does, unless the service is strict about it."""
        encoding = encoding_of(content_type)
        wanted = self.service.operations[operation].encoding
        if encoding is None or (self.service.quirks.strict_encoding and encoding != wanted != "none"):
            raise Refusal(415, f"不支持的内容类型：{content_type}")

    def _admit(self, request: Request) -> None:
        host = request.headers.get("host", "")
        if self.hosts is not None and host.rpartition(":")[0] not in self.hosts and host not in self.hosts:
            raise Refusal(403, "不支持的主机名")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refusal(403, "不支持跨站请求")
        if self.require_key is None:
            return
        authorization = request.headers.get("authorization")
        if authorization is None:
            raise Refusal(401, "未提供 API Key")
        if not hmac.compare_digest(_key(authorization).encode(), self.require_key.encode()):
            raise Refusal(403, "API Key 无效")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An ASGI application that works one operation; the empty one is a path that is none."""

    desk: Desk
    operation: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.desk.answer(Request(scope, receive), self.operation)
        await response(scope, receive, send)


def build_app(desk: Desk) -> ASGIApp:
    """The application: one route for each call of the contract."""
    operations = desk.service.operations.values()
    routes = [Route(one.path, Endpoint(desk, one.name), methods=[one.method]) for one in operations]
    # The paths once more for any other method, which is then refused in our own form.
    routes += [Route(one.path, Endpoint(desk, one.name)) for one in operations]
    # /session/delete/ is no session whose id is "delete".
    routes.sort(key=lambda route: "{" in route.path)
    return Router(routes, redirect_slashes=False, default=Endpoint(desk, ""))


def respond(answer: Answer) -> Response:
    """An answer as HTTP."""
    if answer.document is None:
        return Response(status_code=answer.status)
    headers = {"WWW-Authenticate": 'Basic realm="reconciler"'} if answer.status == 401 else None
    return JSONResponse(answer.document, answer.status, headers)


async def _read(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST:
            # The rest is read and dropped: who is still sending would not see an answer.
            chunks.clear()
        else:
            chunks.append(chunk)
    if size > LARGEST:
        raise Refusal(413, f"请求体过大，最多 {LARGEST} 字节")
    return b"".join(chunks)


def _key(authorization: str) -> str:
    """The key in an ``Authorization`` header: a bearer's, or the password that a browser asked for."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""
