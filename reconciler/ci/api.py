"""JSON over HTTP to the API of a forge, with answers sorted by what to do about them.

:class:`ForbiddenError` and :class:`TooLargeError` have another way, :class:`PassingError` is worth another try,
:class:`GoneError` another look, and everything else is an error.

Sources: https://docs.github.com/en/rest/using-the-rest-api (rate limits, pagination, redirects),
https://docs.gitlab.com/api/rest (pagination), https://docs.gitea.com/development/api-usage (pagination).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from urllib3.exceptions import HTTPError, SSLError

from reconciler import __version__
from reconciler.bounded_http import BoundedSession, SlowAnswerError, UnacceptableAnswerError, send_within
from reconciler.errors import ReconcilerError
from reconciler.text.hosts import is_loopback
from reconciler.tls import what_is_wrong
from reconciler.values import DEEPEST, parse_json

#: Seconds to connect, and to wait for an answer.
TIMEOUT = (10, 30)
#: Seconds for a whole call.
CALL_TIMEOUT = 60
#: Seconds for all calls of a command together.
TOTAL_TIMEOUT = 300
#: Pages of 100 comments that are looked through.
PAGES = 100


class NotPostedError(Exception):
    """There is no comment, and that is not the plan's fault.

    ``advice`` says what to do, as a sentence part. ``earlier`` says what an earlier comment still shows, as a sentence.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice
        self.earlier = ""


class ForbiddenError(NotPostedError):
    """The token may not comment here. In a fork's pull request, no token may."""


class PassingError(NotPostedError):
    """May pass: no answer, a server's error, or a rate limit. ``wait`` is in seconds where the forge says it."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message, "run the job again later")
        self.wait = wait


class TooLargeError(Exception):
    """The forge takes no text of this length."""


class GoneError(Exception):
    """The comment is not there any more."""


class Api:
    """JSON over HTTP to one address, with one token, and with answers sorted by what to do about them."""

    def __init__(self, base: str, secret: Mapping[str, str], *, too_large: tuple[int, ...]) -> None:
        self.base = base.rstrip("/")
        parts = urlsplit(self.base)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ReconcilerError(
                f"the forge's address {self.base!r} would send the token in clear over a network"
            )
        self._secret = dict(secret)
        self._too_large = too_large
        self._end = time.monotonic() + TOTAL_TIMEOUT
        self._session = BoundedSession()
        self._session.headers["User-Agent"] = f"reconciler/{__version__}"
        # Set as auth and not as a header: requests would let a .netrc overrule the header.
        self._session.auth = self._authorize

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._secret)
        return request

    def rows(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """The rows of all pages."""
        for _ in range(PAGES):
            response = self._send("GET", self.base + path, None, query)
            found = _json(response)
            if not isinstance(found, list):
                raise ReconcilerError(f"{path} answered with something that is no list")
            yield from (row for row in found if isinstance(row, dict))
            following = response.links.get("next", {}).get("url")
            if not following:
                return
            # Only the query is taken from the link: behind a proxy, a forge may not know its own scheme, host and port,
            # and the token goes to no other address.
            query = dict(parse_qsl(following.partition("#")[0].partition("?")[2]))

    def call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One call's answer."""
        answer = _json(self._send(method, self.base + path, body))
        return answer if isinstance(answer, dict) else {}

    def _send(
        self,
        method: str,
        address: str,
        body: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> requests.Response:
        host = urlsplit(address).hostname
        left = self._end - time.monotonic()
        if left <= 0:
            raise PassingError(f"{host} took more than {TOTAL_TIMEOUT} s in all", math.inf)
        try:
            request = self._session.prepare_request(
                requests.Request(method, address, json=body, params=query)
            )
            settings = self._session.merge_environment_settings(request.url, {}, True, None, None)
            response = send_within(
                self._session,
                request,
                min(CALL_TIMEOUT, left),
                timeout=TIMEOUT,
                allow_redirects=False,
                **settings,
            )
        except UnacceptableAnswerError as error:
            raise PassingError(f"{host} gives {error.what}") from None
        except (requests.exceptions.SSLError, SSLError) as error:
            what, hint, _ = what_is_wrong(error)
            raise ReconcilerError(f"no secure connection to {host}: {what}", hint) from None
        except (requests.RequestException, HTTPError, SlowAnswerError) as error:
            raise PassingError(f"{host} does not answer: {type(error).__name__}") from None
        if response.status_code in (200, 201, 204):
            return response
        raise self._sorted(method, response, sent=body is not None)

    def _sorted(self, method: str, response: requests.Response, *, sent: bool) -> Exception:
        status = response.status_code
        message = self._said(response)
        wait = _wait(response)
        limited = wait is not None or "rate limit" in message.lower()
        if status == 429 or status >= 500 or (status == 403 and limited):
            return PassingError(message, wait)
        if status == 403:
            return ForbiddenError(message, _advice(message))
        if status in (301, 302, 307, 308):
            return ForbiddenError(message, "the repository was renamed or moved: start a new run of the job")
        if status == 410:
            return ForbiddenError(
                message, "turn on issues, and so comments, in the settings of the repository"
            )
        if sent and status in self._too_large:
            return TooLargeError(message)
        if status == 404 and method in ("PATCH", "PUT", "DELETE"):
            return GoneError(message)
        hint = ""
        if status in (401, 404):
            hint = "the token is not accepted, or may not see this repository"
        return ReconcilerError(f"{method} {urlsplit(response.url).path}: {message}", hint)

    def _said(self, response: requests.Response) -> str:
        found = _json(response)
        text = found.get("message") or found.get("error") if isinstance(found, dict) else ""
        if text and not isinstance(text, str):
            text = json.dumps(text)
        text = text or "no message"
        for secret in self._secret.values():  # before it is cut, which would leave the beginning of one
            text = text.replace(secret.removeprefix("Bearer "), "***")
        return f"{response.status_code}, {text[:300]}"


def _json(response: requests.Response) -> Any:
    try:
        return parse_json(response.content, levels=DEEPEST)
    except ValueError:
        return None


def _advice(message: str) -> str:
    if "locked" in message:
        return "unlock the conversation, and run the job again"
    return "give the job the permission to write comments (pull-requests: write); a fork's job can't have it"


def _wait(response: requests.Response) -> float | None:
    """Seconds to wait before the next call, as far as the answer says so."""
    headers = response.headers
    after = headers.get("Retry-After", "")
    if after.isdecimal():
        return float(after)
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    left = headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining")
    if left == "0" and reset.isdecimal():
        return max(0.0, float(reset) - time.time())
    return None
