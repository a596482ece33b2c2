"""Who may ask: host, origin, token, and the header that no form sends."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.bounded_server import other_site
from reconciler.disk import read_named
from reconciler.errors import ReconcilerError
from reconciler.web.answers import UnreadError, interstitial, read_body, refusal

#: What each POST that changes something carries, with any value. A form can't send it, and a page of another site may
#: not, since no preflight request is answered.
HEADER: Final = "X-Reconciler-Request"

#: The shortest token, in characters: 96 random bits as Base64. No number of attempts guesses it.
SHORTEST: Final = 16

#: How long a login lasts, in seconds.
LOGIN_TIME: Final = 12 * 3600.0
#: How many logins there are at once. The oldest one ends first.
LOGINS: Final = 256

#: What probes ask for. It tells nothing but yes or no, so it needs no token.
_OPEN: Final = frozenset({"/healthz", "/readyz"})
#: What is sent by a form, and changes nothing but who is logged in.
_FORMS: Final = frozenset({"/login", "/logout"})
#: What a link of another site may lead to.
_PAGES: Final = frozenset({"/", "/login"})


def read_token(file: Path) -> str:
    """The token in a file.

    Raises:
        ReconcilerError: the file can't be read, or the token is too short or no printable ASCII. The token itself is
            never in the message.
    """
    try:
        token = read_named(file, 4096).decode("ascii").strip()
    except OSError as error:
        raise ReconcilerError(f"the token file {file} can't be read: {error.strerror}", _MAKE) from None
    except UnicodeDecodeError:
        raise ReconcilerError(f"the token in {file} is not ASCII", _MAKE) from None
    if len(token) < SHORTEST or not token.isprintable() or " " in token:
        raise ReconcilerError(
            f"the token in {file} is not usable: it needs {SHORTEST} characters or more, and no spaces", _MAKE
        )
    return token


_MAKE: Final = "create one with `openssl rand -hex 32`"


@dataclass(slots=True)
class Logins:
    """Who is logged in, by the digest of the random value in the cookie. ``clock`` is monotonic, in seconds."""

    clock: Callable[[], float] = time.monotonic
    _ends: OrderedDict[bytes, float] = field(default_factory=OrderedDict)

    def begin(self) -> str:
        """A new login: the value of its cookie."""
        value = secrets.token_urlsafe(32)
        self._ends[_digest(value)] = self.clock() + LOGIN_TIME
        while len(self._ends) > LOGINS:
            self._ends.popitem(last=False)
        return value

    def holds(self, value: str) -> bool:
        """Whether a cookie's value is that of a login."""
        ends = self._ends.get(_digest(value))
        if ends is not None and ends <= self.clock():
            del self._ends[_digest(value)]
            return False
        return ends is not None

    def end(self, value: str) -> None:
        """Log out."""
        self._ends.pop(_digest(value), None)


def _path(request: Request) -> str:
    """The path that is routed. That of ``request.url`` depends on the host name, which a client chooses."""
    return str(request.scope["path"])


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()


@dataclass(slots=True)
class Admission:
    """Lets requests through to an application, or refuses them.

    Without a token, requests must use one of the host names. With one, requests may use any name: a page that rebinds
    its own name to this address has neither the token nor, under that name, the cookie.
    """

    app: ASGIApp
    token: str | None
    hosts: frozenset[str] | None
    cookie: str
    logins: Logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = self._refused(request)
        if response is None:
            await self.app(scope, receive, send)
            return
        try:  # so that whoever is still sending sees the answer
            await read_body(request)
        except UnreadError:
            response.headers["Connection"] = "close"
        await response(scope, receive, send)

    def _refused(self, request: Request) -> Response | None:
        path = _path(request)
        hosts = self.hosts if self.token is None else None
        other = other_site(request.headers, hosts, page=request.method == "GET" and path in _PAGES)
        if other == "host":
            return refusal(
                403,
                "this host name is not accepted",
                "use localhost, or listen with --token-file for other names",
            )
        if other == "origin":
            return refusal(403, "requests from other sites are not accepted")
        if self.token is not None and path not in _OPEN | _FORMS and not self._known(request):
            return self._unknown(request)
        if request.method == "POST" and path not in _FORMS and HEADER not in request.headers:
            return refusal(403, f"the header {HEADER} is missing", f"send `{HEADER}: 1`")
        return None

    def accepts(self, token: str) -> bool:
        """Whether this is the token."""
        expected = self.token or ""
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), expected.encode())

    def _known(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.accepts(given.strip())
        return self.logins.holds(request.cookies.get(self.cookie, ""))

    def _unknown(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD") and _path(request) == "/":
            # A browser leaves the cookie out when a link of another site leads here, but not on the next step.
            if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                return interstitial()
            return RedirectResponse("/login", 303)
        response = refusal(401, "the token is missing or wrong", "send `Authorization: Bearer TOKEN`")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
