"""Asks a watcher that runs elsewhere, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from reconciler.address import check_address
from reconciler.bounded_http import BoundedSession, SlowAnswerError, UnacceptableAnswerError, send_within
from reconciler.disk import read_named
from reconciler.errors import Problem, ReconcilerError, Refused
from reconciler.text.hosts import is_loopback

#: How long an answer may take (seconds).
_PATIENCE: Final = 30.0


def approve_remotely(address: str, digest: str, token_file: Path | None) -> None:
    """Approve the pending plan with this digest at a watcher. The token is only sent to this address.

    Raises:
        Refused: it does not accept the approval.
        ReconcilerError: it does not answer, or the token can't be read.
    """
    token = None if token_file is None else _token(token_file)
    status, answer = _post(check_address(address), digest, token)
    if status >= 400:
        error = answer.get("error")
        said = error if isinstance(error, dict) else answer
        problem = Problem(str(said.get("message") or f"HTTP {status}"), str(said.get("hint") or ""))
        raise Refused(problem) if status in (403, 409) else ReconcilerError(problem)


def _token(file: Path) -> str:
    try:
        return read_named(file, 4096).decode("ascii").strip()
    except OSError as error:
        raise ReconcilerError(f"the token file {file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ReconcilerError(f"the token in {file} is not ASCII", "create it anew") from None


def _post(address: str, digest: str, token: str | None) -> tuple[int, dict[str, Any]]:
    """The status and the body of the watcher's answer.

    Raises:
        ReconcilerError: it does not answer.
    """
    headers = {"Content-Type": "application/json", "X-Reconciler-Request": "approve"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    call = requests.Request(
        "POST", f"{address}/api/v1/approve", headers=headers, data=json.dumps({"digest": digest})
    )
    with BoundedSession() as session:
        session.trust_env = not is_loopback(urlsplit(address).hostname or "")
        try:
            answer = send_within(
                session, session.prepare_request(call), _PATIENCE, timeout=_PATIENCE, allow_redirects=False
            )
        except (requests.RequestException, SlowAnswerError, UnacceptableAnswerError, ValueError):
            raise ReconcilerError(
                f"no watcher answers at {address}",
                "name its address with --address=URL; it answers only if it was started with --listen",
            ) from None
    try:
        document = answer.json()
    except ValueError:
        document = {}
    return answer.status_code, document if isinstance(document, dict) else {}
