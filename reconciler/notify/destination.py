"""Where a notification goes, and in which form. An address is a secret: whoever has it can send. So is no part of one
ever shown but its host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast, get_args
from urllib.parse import parse_qs, urlsplit, urlunsplit

from reconciler.errors import UsageError
from reconciler.text.escape import visible
from reconciler.text.hosts import is_loopback

Form: TypeAlias = Literal["json", "slack", "feishu", "dingtalk"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)

#: The forms of the services that are known by their hosts.
_HOSTS: Final[dict[str, Form]] = {
    "hooks.slack.com": "slack",
    "hooks.slack-gov.com": "slack",
    "open.feishu.cn": "feishu",
    "open.larksuite.com": "feishu",
    "oapi.dingtalk.com": "dingtalk",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """A webhook. ``url`` and ``secret`` are never shown, ``name`` is."""

    form: Form
    name: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)


def parse_destination(text: str, secret: str = "") -> Destination:
    """A destination from ``[FORM+]URL[#secret=SECRET]``.

    Without a form, it follows from the host: Slack's, Feishu's and DingTalk's are known, and any other gets JSON. The
    secret of the URL counts before the other one. It is not sent: it signs.

    Raises:
        UsageError: it is something else, or would be sent unencrypted over a network. No part of it is in the message
            but its host.
    """
    form, plus, rest = text.partition("+")
    given = plus and form in FORMS
    try:
        parts = urlsplit(rest if given else text)
        host = parts.hostname or ""
        own = parse_qs(parts.fragment, strict_parsing=True) if parts.fragment else {}
        _ = parts.port
    except ValueError:
        raise UsageError("a --notify address is not a URL", _FORM) from None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or set(own) - {"secret"}:
        raise UsageError("a --notify address is not a URL that can be used", _FORM)
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"the --notify address at {visible(host)} would send its secret in clear over a network",
            "use https",
        )
    chosen = cast(Form, form) if given else _HOSTS.get(host.lower(), "json")
    url = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", parts.query, ""))
    return Destination(chosen, f"{chosen} at {visible(host)}", url, own.get("secret", [secret])[0])


_FORM: Final = f"give one like https://example.com/hook or FORM+https://…; FORM is one of {', '.join(FORMS)}"
