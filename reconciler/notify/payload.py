"""What is sent for an event in each form, and whether the answer says that it arrived. Pure.

Sources: the services' own pages on incoming webhooks and custom robots.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from reconciler.controller.events import Event, Kind, event_to_document
from reconciler.notify.destination import Destination
from reconciler.text.escape import visible

#: The version of the JSON form.
VERSION: Final = "1.0"

#: How many characters of a message are sent as text.
LONGEST: Final = 1500

TITLES: Final[Mapping[Kind, str]] = {
    "drift_found": "Drift found",
    "plan_pending": "Plan pending",
    "applied": "Applied",
    "interrupted": "Interrupted run",
    "refused": "Refused by a guard",
    "failing": "Failing",
    "recovered": "Recovered",
}

#: What the codes of robots mean that are no success.
_CODES: Final = {
    310000: "the signature, a keyword or the address is not accepted",
    300001: "the token in the address is not accepted",
    19001: "the address is not accepted",
    19021: "the signature is not accepted, or the clocks differ by more than an hour",
    19022: "the address of this machine is not accepted",
    19024: "the keyword of the robot is missing",
}
#: The codes that say that the same message may succeed later: the service is busy, or too many came.
_LATER: Final = frozenset({-1, 130101, 9499, 11232})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request: POST ``body`` to ``url``."""

    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why a message did not arrive. It holds nothing of the address or the secret."""

    why: str
    passing: bool


def outgoing(destination: Destination, event: Event, delivery: str, now: float) -> Outgoing:
    """The request for an event. ``delivery`` names it, the same for each attempt; ``now`` is in seconds since 1970."""
    headers = {"Content-Type": "application/json", "User-Agent": "reconciler"}
    url, text, secret = destination.url, message(event), destination.secret
    document: dict[str, Any]
    match destination.form:
        case "slack":
            # Markup and mentions begin with these three (https://docs.slack.dev/messaging/formatting-message-text).
            for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                text = text.replace(sign, escaped)
            document = {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        case "feishu":
            # A mention is a tag, and there is no escape for its first character.
            document = {"msg_type": "text", "content": {"text": text.replace("<", "＜")}}
            if secret:
                stamp = str(int(now))
                document |= {"timestamp": stamp, "sign": _signed(f"{stamp}\n{secret}", b"")}
        case "dingtalk":
            document = {"msgtype": "text", "text": {"content": text}, "at": {"isAtAll": False}}
            if secret:
                stamp = str(int(now * 1000))
                sign = _signed(secret, f"{stamp}\n{secret}".encode())
                url += ("&" if "?" in url else "?") + urlencode({"timestamp": stamp, "sign": sign})
        case "json":
            document = {"format_version": VERSION, "id": delivery, **event_to_document(event)}
            headers |= {"X-Reconciler-Event": event.kind, "X-Reconciler-Delivery": delivery}
    body = json.dumps(document).encode()
    if destination.form == "json" and secret:
        headers["X-Reconciler-Signature"] = signature(secret, int(now), body)
    return Outgoing(url, body, headers)


def signature(secret: str, now: int, body: bytes) -> str:
    """The signature of a JSON notification: HMAC-SHA256 over the time, a full stop, and the body as sent."""
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={digest}"


def message(event: Event) -> str:
    """The event as one line of text, without anything that can't be seen."""
    name = event.watched or f"account {event.account}"
    where = f"{name} · {event.environment}" if event.environment else name
    said = f": {event.message}" if event.message else ""
    text = visible(f"[{where}] {TITLES.get(event.kind, event.kind)}{said}"[: LONGEST + 1])
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def undelivered(destination: Destination, status: int, body: bytes) -> Undelivered | None:
    """What an answer says; None if the message arrived."""
    if not 200 <= status < 300:
        return Undelivered(f"HTTP status {status}", status in (408, 425, 429) or status >= 500)
    if destination.form not in ("feishu", "dingtalk"):
        return None
    try:
        document = json.loads(body)
        codes = [document[name] for name in ("errcode", "code", "StatusCode") if name in document]
        code = int(codes[0])
    except (ValueError, TypeError, LookupError, RecursionError):
        return Undelivered("an answer that is not that of a robot", passing=False)
    if code == 0:
        return None
    meaning = _CODES.get(code)
    return Undelivered(f"code {code}" + (f", {meaning}" if meaning else ""), code in _LATER)


def _signed(key: str, text: bytes) -> str:
    return b64encode(hmac.new(key.encode(), text, hashlib.sha256).digest()).decode()
