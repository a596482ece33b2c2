"""One call at a time: send it, and read the answer for what it is.

Reads are tried again where the trouble may pass. Writes are sent once: whoever sends them decides what to do about an
answer that never came, since the service has no idempotency keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from reconciler.api.endpoint import KEY_VARIABLE, Endpoint
from reconciler.api.errors import ApiError, Outcome
from reconciler.api.polling import pause_before_retry
from reconciler.api.rate_limit import RateLimiter
from reconciler.api.transport import Transport
from reconciler.contract import Contract, Operation
from reconciler.values import as_number

#: Longest server message that is passed on, in characters.
_MESSAGE_LENGTH = 300

#: A server that asks for a longer pause than this (seconds) is not waited for.
LONGEST_PAUSE = 120.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one call: the body of an answer that says success, or an error.

    ``response`` is None where no answer came. It holds the request, and with it the key.
    """

    body: Any
    response: requests.Response | None = field(default=None, repr=False)
    error: ApiError | None = None


#: Told of each call when its answer is there, from the thread that made it.
Observer: TypeAlias = Callable[[Operation, Mapping[str, Any], Reply], None]


class Client:
    """Calls the service. Safe to use from many threads; close it, or use it in a ``with``.

    ``connect_timeout`` and ``read_timeout`` are in seconds per call. ``tries`` is how often a read is sent at most.
    ``transport`` shares the connections of another client, which closes them. Set ``observer`` to see each call.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        contract: Contract,
        *,
        connections: int = 8,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        tries: int = 6,
        limiter: RateLimiter | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.contract = contract
        self.connections = connections
        self.tries = tries
        self.limiter = limiter or RateLimiter()
        self._shared = transport is not None
        self._transport = transport or Transport(endpoint, connections, connect_timeout, read_timeout)
        self.observer: Observer | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, unless they are another client's."""
        if not self._shared:
            self._transport.close()

    def uncancellable(self) -> Client:
        """A client over the same connections whose calls go on when the run is asked to stop."""
        client = Client(
            self.endpoint,
            self.contract,
            connections=self.connections,
            tries=self.tries,
            limiter=self.limiter.uncancellable(),
            transport=self._transport,
        )
        client.observer = self.observer
        return client

    def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any:
        """A call that changes nothing, tried again while the trouble may pass. Returns the answer's body.

        Raises:
            ApiError: it failed for good, or too often.
        """
        operation = self.contract.operation(name)
        attempt = 1
        while True:
            try:
                return self._send(operation, fields, session)
            except ApiError as error:
                if not pause_before_retry(self.limiter, error, attempt, self.tries):
                    raise
            attempt += 1

    def write(
        self,
        name: str,
        fields: Mapping[str, Any],
        *,
        session: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> Any:
        """A call that changes something, sent once. Returns the answer's body, None where it has none.

        ``check`` is called when its turn has come, which may be minutes after it was asked for; what that raises is
        raised with nothing sent.

        Raises:
            ApiError: it failed; its ``outcome`` says whether the work may have been done all the same.
        """
        return self._send(self.contract.operation(name), fields, session, check)

    def call(
        self,
        operation: Operation,
        fields: Mapping[str, Any],
        *,
        session: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> Reply:
        """Any call, sent once, with whatever came of it as a value. ``check`` is as in :meth:`write`."""
        started = self.limiter.wait()
        check()
        response: requests.Response | None = None
        try:
            response = self._answer(operation, fields, session)
            reply = Reply(self._read(operation, session, response), response)
        except ApiError as error:
            if error.throttled:
                # A pause that is too long is not waited for by anybody.
                self.limiter.throttled(started, error.retry_after if error.passing else None)
            reply = Reply(None, response, error)
        else:
            self.limiter.succeeded()
        if self.observer is not None:
            self.observer(operation, fields, reply)
        return reply

    def _send(
        self,
        operation: Operation,
        fields: Mapping[str, Any],
        session: str,
        check: Callable[[], None] = lambda: None,
    ) -> Any:
        reply = self.call(operation, fields, session=session, check=check)
        if reply.error is not None:
            raise reply.error
        return reply.body

    def _answer(self, operation: Operation, fields: Mapping[str, Any], session: str) -> requests.Response:
        try:
            return self._transport.send(operation, fields)
        except ValueError:
            # An address or a key that HTTP can't carry. The error's own text may hold the key.
            raise ApiError(
                operation.name,
                f"no call to {self.endpoint.name} can be made",
                session=session,
                hint=f"check the address, and the key from {self.endpoint.key_source}"
                if self.endpoint.api_key
                else "check the address",
            ) from None
        except (requests.RequestException, HTTPError) as error:
            raise self._unsent(operation, session, error) from None

    def _unsent(self, operation: Operation, session: str, error: Exception) -> ApiError:
        """The error for a call that got no answer."""
        where = self.endpoint.name
        outcome: Outcome = "unknown"
        if isinstance(error, requests.exceptions.SSLError | SSLError):
            return ApiError(
                operation.name,
                f"no safe connection to {where}",
                session=session,
                hint="its certificate can't be verified; REQUESTS_CA_BUNDLE names further authorities",
                outcome="not done",
                server_message=_reason(error),
            )
        if isinstance(error, requests.ConnectTimeout) or _caused_by(
            error, NewConnectionError, ConnectTimeoutError
        ):
            what, outcome = f"no connection to {where}", "not done"
        elif isinstance(error, requests.Timeout | ReadTimeoutError):
            what = f"no answer from {where} within {self._transport.read_timeout:g} s"
        else:
            what = f"the connection to {where} was cut"
        return ApiError(
            operation.name,
            what,
            session=session,
            hint="check the address and the network, then run the command again",
            outcome=outcome,
            passing=True,
        )

    def _read(self, operation: Operation, session: str, response: requests.Response) -> Any:
        """The body of an answer that says success.

        Raises:
            ApiError: it says anything else, or can't be understood.
        """
        status = response.status_code
        body, readable = read_body(response)
        body_status = as_number(body.get("status")) if isinstance(body, dict) else None
        body_status = body_status if type(body_status) is int else 0
        said = self._passed_on(str(body.get("message") or "")) if isinstance(body, dict) else ""
        if 200 <= status < 300 and (body_status == 0 or 200 <= body_status < 300):
            bodiless = status == 204 or (operation.answer == "empty" and not response.content)
            if isinstance(body, dict) or (bodiless and operation.method != "GET"):
                return body
            what = "an empty answer" if not response.content else "an answer that is no JSON object"
            raise self._fail(
                operation, session, f"HTTP {status} with {what}", "unknown", status, passing=True
            )
        what = f"HTTP {status}" + (f", status {body_status}" if body_status and body_status != status else "")
        effective = body_status if 200 <= status < 300 else status
        if effective in (401, 403):
            raise self._fail(
                operation,
                session,
                what + self._about_key(effective),
                "not done",
                status,
                body_status=body_status,
                said=said,
                hint=self._about_key_source(),
            )
        if 300 <= status < 400:
            location = self._passed_on(response.headers.get("Location", ""))
            raise self._fail(
                operation,
                session,
                f"{what}: the server wants to be spoken to elsewhere",
                "not done",
                status,
                said=location,
                hint="redirects are not followed, so that the key stays with the address that you gave",
            )
        if status >= 400 and not readable and not said:
            what += " with a page that is no JSON"
        # 429 and other 4xx are answered before any work is done (RFC 9110, 15.5; RFC 6585, 4).
        outcome: Outcome = "not done" if 400 <= effective < 500 else "unknown"
        raise self._fail(
            operation,
            session,
            what,
            outcome,
            status,
            body_status=body_status,
            said=said,
            hint=_HINTS.get(effective, ""),
            retry_after=_retry_after(response) if effective in (429, 503) else None,
            passing=effective in (408, 425, 429) or effective >= 500,
        )

    def _about_key(self, status: int) -> str:
        if not self.endpoint.api_key:
            return " (no key was given)"
        return " (the key was not accepted)" if status == 401 else " (the key may not do this)"

    def _about_key_source(self) -> str:
        if self.endpoint.api_key:
            return f"the key came from {self.endpoint.key_source}; does it belong to {self.endpoint.name}?"
        return f"set {KEY_VARIABLE}, or name a file with --api-key-file"

    def _passed_on(self, text: str) -> str:
        """A text of the server's as it may be shown: short, and without the key, should it hold that."""
        if self.endpoint.api_key:
            text = text.replace(self.endpoint.api_key, "…")
        return text[:_MESSAGE_LENGTH]

    def _fail(
        self,
        operation: Operation,
        session: str,
        what: str,
        outcome: Outcome,
        status: int,
        *,
        body_status: int = 0,
        said: str = "",
        hint: str = "",
        retry_after: float | None = None,
        passing: bool = False,
    ) -> ApiError:
        """The error for an answer that does not say success."""
        if retry_after is not None and retry_after > LONGEST_PAUSE:
            passing, hint = (
                False,
                f"the server asks for a pause of {retry_after:g} s: run the command again after it",
            )
        return ApiError(
            operation.name,
            what,
            session=session,
            hint=hint,
            outcome=outcome,
            http_status=status,
            body_status=body_status,
            server_message=said,
            retry_after=retry_after,
            passing=passing,
        )


_HINTS = {
    429: "the server limits how many calls it takes: lower --parallelism, or run the command again later",
    404: "if the address and the key are right, the contract's path may be wrong: see --contract",
    405: "the contract's method or path may be wrong: see --contract",
    415: "the contract's encoding may be wrong: see --contract",
}


def read_body(response: requests.Response) -> tuple[Any, bool]:
    """The answer's JSON, and whether it is any."""
    try:
        return json.loads(response.content), True
    except (ValueError, RecursionError):
        return None, False


def _retry_after(response: requests.Response) -> float | None:
    """The pause that the server asks for, in seconds (RFC 9110, 10.2.3: a number, or a date)."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else 1e9
    try:
        when = parsedate_to_datetime(text)
        now = parsedate_to_datetime(response.headers["Date"])
        return max(0.0, (when - now).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None


def _caused_by(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Whether one of these is behind an error: requests wraps urllib3's errors, some in ``reason``."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return False
        if isinstance(seen, kinds):
            return True
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = (
                seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else seen.__context__
            )
        seen = inner
    return False


def _reason(error: Exception) -> str:
    return str(error)[:_MESSAGE_LENGTH]
