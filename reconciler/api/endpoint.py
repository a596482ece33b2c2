"""Where the service is, and with which key: from the flag, the environment, or the built-in default.

Never from a file of the catalog: a pull request must not be able to send the key elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.domain import LOCAL as LOCAL
from reconciler.errors import ReconcilerError, UsageError
from reconciler.text.hosts import is_loopback

DEFAULT_ENDPOINT = "https://api.mindcraft.com.cn"
ENDPOINT_VARIABLE = "MINDCRAFT_ENDPOINT"
KEY_VARIABLE = "MINDCRAFT_API_KEY"

_BEFORE_PATH = re.compile(r"[^:/]*:?/*[^/?#]*")
#: A host as a name: labels of at most 63 characters (RFC 1035, 2.3.4), other scripts than Latin included.
_HOST_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})*\.?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to speak to. ``name`` identifies it in plans and messages; the key is never shown."""

    name: str
    url: str
    api_key: str = field(default="", repr=False)
    key_source: str = KEY_VARIABLE


def endpoint_name(flag: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The address that is meant: the flag's, the environment's, or the service's own.

    Raises:
        UsageError: it is no address that may be used.
    """
    chosen = flag or environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT
    return chosen if chosen == LOCAL else check_address(chosen)


def check_address(address: str) -> str:
    """An address in its plain form: scheme, host, port, path without a slash at its end.

    Raises:
        UsageError: it has another form, or would send the key in clear over a network.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    # Before anything is said that repeats the address: a password in it is nobody's business.
    if "@" in _BEFORE_PATH.match(address)[0]:  # type: ignore[index]  # it matches any text
        raise UsageError(
            "the address holds a user name or password", f"leave it out; the key comes from {KEY_VARIABLE}"
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


def api_key(
    key_file: Path | None, environ: Mapping[str, str] = os.environ, *, needed: bool = True
) -> tuple[str, str]:
    """The key, and where it came from. One that is not ``needed`` may be empty: a server on this machine takes none.

    Raises:
        ReconcilerError: there is none, or it can't be one. The key itself is never in the message.
    """
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ReconcilerError(f"the key file {key_file} can't be read: {reason}") from None
        source = str(key_file)
    else:
        key, source = environ.get(KEY_VARIABLE, "").strip(), KEY_VARIABLE
    if not key and not needed:
        return "", source
    if not key:
        raise ReconcilerError(
            f"there is no API key: {source} is empty"
            if key_file
            else f"there is no API key: {KEY_VARIABLE} is not set",
            f"set {KEY_VARIABLE}, name a file with --api-key-file, or try it out with --endpoint local",
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ReconcilerError(
            f"the API key from {source} contains characters that no key has", "copy it again"
        )
    return key, source
