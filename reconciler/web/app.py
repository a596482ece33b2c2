"""The HTTP application: one function for each address."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.controller.events import event_to_document
from reconciler.controller.status import Status, WatchedStatus, status_to_document
from reconciler.errors import ReconcilerError
from reconciler.web.admission import Admission, Logins
from reconciler.web.answers import SAFE, UnreadError, json_answer, read_body, refusal, refused_by
from reconciler.web.controlled import Controlled
from reconciler.web.feed import Feed, Numbered
from reconciler.web.metrics import Metrics
from reconciler.web.page import page_headers, plan_headers, render_login, render_missing, render_page
from reconciler.web.probes import WATCHER, Probes

#: How long the controller may take to answer, in seconds. Afterwards it counts as stuck.
PATIENCE = 10.0
#: How long the page of a plan may take, in seconds. It may have thousands of prompts.
RENDERING: Final = 60.0

#: How many followers of events there are at once.
FOLLOWERS = 32
#: How long one may follow, in seconds. A browser then connects again, and has to be logged in still.
FOLLOWED: Final = 3600.0
#: How often the status is looked at for followers, and how often they are sent something, in seconds.
GLANCE: Final = 1.0
HEARTBEAT: Final = 15.0

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


class _Places:
    """How many threads work at once. Pages of plans have places of their own, so that nobody else waits for them."""

    def __init__(self, number: int) -> None:
        self._number = number

    @cached_property
    def limiter(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(self._number)  # belongs to the event loop that runs by now


@dataclass(slots=True)
class WebApp:
    """A controller over HTTP. ``asgi`` is the application. ``on_bug`` gets what was answered with 500."""

    controller: Controlled
    metrics: Metrics
    feed: Feed
    logins: Logins
    admission: Admission = field(init=False)
    asgi: ASGIApp = field(init=False)
    on_bug: Callable[[Exception], None] = lambda error: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    probes: Probes = WATCHER
    approves: bool = True
    _questions: _Places = field(default_factory=lambda: _Places(8))
    _renders: _Places = field(default_factory=lambda: _Places(2))
    _followers: int = 0
    _glance: tuple[float, str] = (float("-inf"), "")

    # --- health and metrics ----------------------------------------------------------------------------------

    async def healthz(self, request: Request) -> Response:
        """Whether the process works: its controller answers, and nothing is stuck."""
        works = self.probes.works(await self._status(), self.now())
        return PlainTextResponse("ok\n" if works else "stuck\n", 200 if works else 503, headers=SAFE)

    async def readyz(self, request: Request) -> Response:
        """Whether the process does what it was started for."""
        ready = self.probes.ready(await self._status())
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503, headers=SAFE)

    async def metrics_text(self, request: Request) -> Response:
        status = await self._status()
        accept = request.headers.get("accept", "")
        body, media_type = await self._ask(partial(self.metrics.exposition, status, accept))
        return Response(body, headers={**SAFE, "Content-Type": media_type})

    # --- the API ---------------------------------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        return json_answer(status_to_document(await self._status()))

    async def reconcile(self, request: Request) -> Response:
        document = await _read_object(request, "catalog")
        name = document.get("catalog")
        if name is not None and not isinstance(name, str):
            return refusal(400, "catalog is not a string", 'send `{"catalog": "NAME"}`, or no body for all')
        try:
            await self._ask(partial(self.controller.reconcile, name))
        except ReconcilerError as error:
            return refused_by(error, 404)
        return json_answer({"reconcile": name}, 202)

    async def approve(self, request: Request) -> Response:
        digest = (await _read_object(request, "digest")).get("digest")
        if not isinstance(digest, str) or not digest:
            return refusal(400, "the digest is missing", 'send `{"digest": "DIGEST"}`')
        try:
            await self._ask(partial(self.controller.approve, digest, _address(request)))
        except ReconcilerError as error:
            return refused_by(error, 409)
        return json_answer({"approved": digest}, 202)

    async def events(self, request: Request) -> Response:
        if self._followers >= FOLLOWERS:
            response = refusal(503, f"{FOLLOWERS} clients follow the events already", "try again later")
            response.headers["Retry-After"] = "60"
            return response
        if request.method == "HEAD":
            return Response(headers=SAFE, media_type="text/event-stream")
        seen = request.headers.get("last-event-id")
        number = self.feed.last if seen is None else self.feed.number_of(seen)
        return StreamingResponse(
            self._follow(number), headers={**SAFE, "X-Accel-Buffering": "no"}, media_type="text/event-stream"
        )

    async def _follow(self, number: int) -> AsyncIterator[str]:
        self._followers += 1
        try:
            began = said = time.monotonic()
            shown = await self._glanced()
            yield "retry: 2000\n: connected\n\n"
            async for events in self.feed.after(number, GLANCE):
                now = time.monotonic()
                if now - began > FOLLOWED:
                    return
                text = "".join(_sent(self.feed.mark, one) for one in events)
                current = await self._glanced(fresh=bool(events))
                if current != shown:
                    shown = current
                    text += "event: status\ndata: {}\n\n"
                if not text and now - said >= HEARTBEAT:
                    text = ": still here\n\n"
                if text:
                    said = now
                    yield text
        finally:
            self._followers -= 1

    async def _glanced(self, *, fresh: bool = False) -> str:
        """A digest of the status, taken at most once in a while for all followers, or afresh."""
        now = time.monotonic()
        if fresh or now - self._glance[0] >= GLANCE:
            document = status_to_document(await self._status())
            self._glance = now, hashlib.sha256(json.dumps(document).encode()).hexdigest()
        return self._glance[1]

    # --- pages -----------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        status = await self._status()
        logged_in = self.admission.token is not None
        html = await self._ask(partial(render_page, status, logged_in=logged_in, approves=self.approves))
        return HTMLResponse(html.encode("utf-8", "replace"), headers=page_headers())

    async def plan(self, request: Request) -> Response:
        """The pending plan with a digest, and no other one, whenever that changes."""
        digest = request.path_params["digest"]
        document = None
        watched = _pending(await self._status(), digest)
        if watched is not None:
            document = await self._ask(partial(self.controller.plan_document, watched.name))
            watched = _pending(await self._status(), digest)
        if watched is None or document is None:
            return HTMLResponse(render_missing(digest), 404, headers=page_headers(framed=True))
        from reconciler.render import RenderOptions, render_plan

        render = partial(render_plan, document, "html", options=RenderOptions())
        html = await self._ask(render, self._renders, RENDERING)
        return HTMLResponse(html, headers=plan_headers())

    async def login_page(self, request: Request) -> Response:
        if self.admission.token is None:
            return RedirectResponse("/", 303, SAFE)
        return HTMLResponse(render_login(), headers=page_headers())

    async def login(self, request: Request) -> Response:
        fields = parse_qsl((await read_body(request)).decode("ascii", "replace"))
        given = dict(fields).get("token", "").strip()
        if self.admission.token is None or not self.admission.accepts(given):
            return HTMLResponse(render_login(wrong=True), 401, headers=page_headers())
        response = RedirectResponse("/", 303, SAFE)
        # Behind a proxy that ends TLS, the origin tells that the browser uses it.
        secure = request.headers.get("origin", "").lower().startswith("https://")
        response.set_cookie(
            self.admission.cookie,
            self.logins.begin(),
            httponly=True,
            samesite="strict",
            secure=secure,
        )
        return response

    async def logout(self, request: Request) -> Response:
        self.logins.end(request.cookies.get(self.admission.cookie, ""))
        response = RedirectResponse("/login", 303, SAFE)
        response.delete_cookie(self.admission.cookie, httponly=True, samesite="strict")
        return response

    # --- the controller --------------------------------------------------------------------------------------

    async def _status(self) -> Status:
        return await self._ask(self.controller.status)

    async def _ask(
        self, question: Callable[[], T], places: _Places | None = None, patience: float | None = None
    ) -> T:
        """Call the controller, or do something else that takes time, in a thread.

        Raises:
            HTTPException: it takes too long.
        """
        limiter = (places or self._questions).limiter
        seconds = PATIENCE if patience is None else patience
        try:
            with anyio.fail_after(seconds):
                return await anyio.to_thread.run_sync(question, limiter=limiter, abandon_on_cancel=True)
        except TimeoutError:
            raise HTTPException(503, f"the controller did not answer within {seconds:g} seconds") from None

    def answering(self, handler: Handler) -> Handler:
        """The handler, with every error as an answer."""

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except UnreadError as error:
                response = refusal(error.status, error.message)
                response.headers["Connection"] = "close"
                return response
            except HTTPException as error:
                return refusal(error.status_code, error.detail)
            except Exception as error:
                self.on_bug(error)
                return refusal(500, "this is a bug in reconciler")

        return answered


def build_app(
    controller: Controlled,
    *,
    metrics: Metrics,
    feed: Feed,
    token: str | None,
    hosts: frozenset[str] | None,
    cookie: str,
    probes: Probes = WATCHER,
    approves: bool = True,
    bare: bool = False,
) -> WebApp:
    """The application. ``hosts`` are the host names that requests may use if there is no token; None allows any.
    ``approves`` says whether plans are approved here, ``bare`` that only health and metrics are served."""
    app = WebApp(controller, metrics, feed, Logins(), probes=probes, approves=approves)
    measured: list[tuple[str, str, Handler]] = [
        ("GET", "/healthz", app.healthz),
        ("GET", "/readyz", app.readyz),
        ("GET", "/metrics", app.metrics_text),
    ]
    table = (
        measured
        if bare
        else [
            *measured,
            ("GET", "/api/v1/status", app.status),
            ("GET", "/api/v1/events", app.events),
            ("POST", "/api/v1/reconcile", app.reconcile),
            ("POST", "/api/v1/approve", app.approve),
            ("GET", "/", app.page),
            ("GET", "/plans/{digest}", app.plan),
            ("GET", "/login", app.login_page),
            ("POST", "/login", app.login),
            ("POST", "/logout", app.logout),
        ]
    )
    routes = [Route(path, app.answering(handler), methods=[method]) for method, path, handler in table]
    routes += [Route(path, _WrongMethod(app, path, table)) for path in dict.fromkeys(row[1] for row in table)]
    router = Router(routes, redirect_slashes=False, default=_not_found)
    app.admission = Admission(router, token, hosts, cookie, app.logins)
    app.asgi = app.admission
    return app


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    response = refusal(404, "there is nothing at this address", "see docs/watch.md for what there is")
    await response(scope, receive, send)


class _WrongMethod:
    """Answers a method that a path does not have."""

    def __init__(self, app: WebApp, path: str, table: list[tuple[str, str, Handler]]) -> None:
        self._allowed = ", ".join(method for method, other, _ in table if other == path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = refusal(405, "the method is not allowed here", f"use {self._allowed}")
        response.headers["Allow"] = self._allowed
        await response(scope, receive, send)


async def _read_object(request: Request, field: str) -> dict[str, Any]:
    """The JSON object in a body, with one known field; an empty body is an empty object.

    Raises:
        UnreadError: as by :func:`read_body`.
        HTTPException: the body is something else.
    """
    body = await read_body(request)
    try:
        document = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(document, dict) or set(document) - {field}:
        raise HTTPException(400, f"the body is not an object with the field {field}")
    return document


def _address(request: Request) -> str:
    """Where a request comes from; a proxy in front, if there is one."""
    return "" if request.client is None else request.client.host


def _pending(status: Status, digest: str) -> WatchedStatus | None:
    return next((one for one in status.catalogs if one.plan is not None and one.plan.digest == digest), None)


def _sent(mark: str, numbered: Numbered) -> str:
    """An event as it is sent: its JSON has no line ends, so a name can't begin another field."""
    number, event = numbered
    return f"id: {mark}-{number}\nevent: {event.kind}\ndata: {json.dumps(event_to_document(event))}\n\n"
