"""The address of a service: its canonical form, and when two addresses are the same."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from reconciler.errors import UsageError
from reconciler.text.hosts import is_loopback

_BEFORE_PATH = re.compile(r"[^:/]*:?/*[^/?#]*")
#: A host name: labels of at most 63 characters (RFC 1035, 2.3.4), in any script.
_HOST_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})*\.?")
#: The port that an address without one means.
_PORTS: Final = {"https": 443, "http": 80}


def check_address(address: str) -> str:
    """An address in canonical form: scheme, host, port, and path without a trailing slash.

    Raises:
        UsageError: it has another form, or would send the key unencrypted over a network.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    # Checked first, since the other messages repeat the address, and with it a password.
    if "@" in _BEFORE_PATH.match(address)[0]:  # type: ignore[index]  # it matches any text
        raise UsageError(
            "the address holds a user name or password", "leave it out; the key comes from MINDCRAFT_API_KEY"
        )
    usable = bool(_HOST_NAME.fullmatch(host) or _is_ip(host)) and port != 0
    if parts.scheme not in ("http", "https") or not usable or parts.query or parts.fragment:
        raise UsageError(
            f"{address!r} is not the address of a service", "give one like https://api.example.com, or local"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"{address!r} would send the API key in clear over a network",
            "use https; plain http is allowed for this machine only",
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def same_address(one: str, other: str) -> bool:
    """Whether two addresses in canonical form reach the same service: a default port may be left out."""
    return _without_default_port(one) == _without_default_port(other)


def canonical(address: str) -> str:
    """One spelling of all that name the same service; the address itself if it can't be used."""
    try:
        return _without_default_port(check_address(address))
    except UsageError:
        return address


def _without_default_port(address: str) -> str:
    parts = urlsplit(address)
    port = _PORTS.get(parts.scheme)
    host = parts.netloc.removesuffix(f":{port}")
    return f"{parts.scheme}://{host}{parts.path}"
