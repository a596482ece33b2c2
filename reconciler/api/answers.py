"""Interprets a response: returns the body of a success, or raises an error that says what to do.

The status in the body counts as much as the HTTP status. Errors are read in three forms: the service's envelope, a bare
``detail``, and a mapping of fields to lists of texts, as Django REST framework writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from reconciler.api.endpoint import KEY_VARIABLE, Endpoint
from reconciler.api.errors import ApiError, Outcome
from reconciler.contract import Operation
from reconciler.values import as_number, parse_json

#: The longest message of the server that is shown, in characters.
MESSAGE_LENGTH = 300

#: The longest pause (seconds) that is kept when the server asks for one.
LONGEST_PAUSE = 120.0

_PROBE = "`reconciler doctor --probe` finds the call that this service has"

_HINTS = {
    402: "no retry helps: top up the account, then run the command again",
    404: "if the address and the key are right, the contract's path may be wrong: see --contract",
    405: "the contract's method or path may be wrong: see --contract",
    406: "no retry helps: top up the account, then run the command again",
    415: "the contract's encoding may be wrong: see --contract",
    429: "the server limits the request rate: lower --parallelism, or run the command again later",
}

#: The keys under which a response describes an error of the whole call.
_WHOLE = ("message", "detail", "error")

#: The key under which Django REST framework puts errors that concern no single field.
_ALL_FIELDS = "non_field_errors"


def read_answer(operation: Operation, response: requests.Response, endpoint: Endpoint, session: str) -> Any:
    """The body of a successful answer; None if it has none.

    Raises:
        ApiError: the response is not a success, or can't be understood.
    """
    status = response.status_code
    body, readable = read_body(response)
    body_status = as_number(body.get("status")) if isinstance(body, dict) else None
    body_status = body_status if type(body_status) is int else 0
    if 200 <= status < 300 and (body_status == 0 or 200 <= body_status < 300):
        bodiless = status == 204 or (operation.answer == "empty" and not response.content)
        if isinstance(body, dict) or (bodiless and operation.method != "GET"):
            return body
        what = "an empty answer" if not response.content else "an answer that is not a JSON object"
        raise ApiError(
            operation.name,
            f"HTTP {status} with {what}",
            session=session,
            http_status=status,
            passing=True,
        )
    effective = body_status if 200 <= status < 300 else status
    said = _passed_on("; ".join(_texts(body, operation)), endpoint)
    what = f"HTTP {status}" + (f", status {body_status}" if body_status and body_status != status else "")
    # 4xx is answered before any work is done (RFC 9110, 15.5; RFC 6585, 4).
    outcome: Outcome = "not done" if 300 <= effective < 500 or 300 <= status < 400 else "unknown"
    hint = _hint(operation, effective)
    passing = effective in (408, 425, 429) or effective >= 500
    retry_after = _retry_after(response) if effective in (429, 503) else None
    if effective in (401, 403):
        what, hint = what + _about_key(effective, endpoint), _about_key_source(endpoint)
    elif effective in (402, 406):
        what += " (the account is out of points)"
    elif 300 <= status < 400:
        what += ": the server redirects to another address"
        said = _passed_on(response.headers.get("Location", ""), endpoint)
        hint = "redirects are not followed, so that the key stays with the address that you gave"
    elif status >= 400 and not readable and not said:
        what += " with a page that is not JSON"
    if retry_after is not None and retry_after > LONGEST_PAUSE:
        passing = False
        hint = f"the server asks for a pause of {retry_after:g} s: run the command again after it"
    raise ApiError(
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


def read_body(response: requests.Response) -> tuple[Any, bool]:
    """The response's JSON, and whether the body is JSON at all."""
    try:
        return parse_json(response.content), True
    except ValueError:
        return None, False


def _hint(operation: Operation, status: int) -> str:
    if status in (404, 405, 415) and operation.known == "assumed":
        return f"this call is only assumed to exist: {_PROBE}"
    return _HINTS.get(status, "")


def _texts(body: Any, operation: Operation) -> Iterator[str]:
    """The messages of a failure. Fields have this program's names."""
    if isinstance(body, list):
        yield from (text for text in body if isinstance(text, str))
    if not isinstance(body, Mapping):
        return
    ours = {wire: name for name, wire in operation.fields.items()}
    by_field: dict[str, str] = {}
    for fields in (body, body.get("data")):
        for wire, texts in fields.items() if isinstance(fields, Mapping) else ():
            told = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
            if told and wire not in _WHOLE:
                by_field[wire] = " ".join(told)
    for name in _WHOLE:
        text = body.get(name)
        text = text.get("message") if isinstance(text, Mapping) else text
        # An envelope may repeat what it says of each field, under the service's names.
        if text and not (by_field and all(f"{wire}: {said}" in str(text) for wire, said in by_field.items())):
            yield str(text)
    for wire, said in by_field.items():
        yield said if wire == _ALL_FIELDS else f"{ours.get(wire, wire)}: {said}"


def _about_key(status: int, endpoint: Endpoint) -> str:
    if not endpoint.api_key:
        return " (no key was given)"
    return " (the key was not accepted)" if status == 401 else " (the key is not allowed to do this)"


def _about_key_source(endpoint: Endpoint) -> str:
    if endpoint.api_key:
        return f"the key came from {endpoint.key_source}; does it belong to {endpoint.name}?"
    return f"set {KEY_VARIABLE}, or name a file with --api-key-file"


def _passed_on(text: str, endpoint: Endpoint) -> str:
    """A message of the server, truncated, and with the key removed if it contains that."""
    if endpoint.api_key:
        text = text.replace(endpoint.api_key, "…")
    return text[:MESSAGE_LENGTH]


def _retry_after(response: requests.Response) -> float | None:
    """The pause that the server asks for, in seconds (RFC 9110, 10.2.3: a number or a date)."""
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
