"""The service's address and the API key: from the flag, the environment, or the built-in default.

They never come from a file of the catalog: a pull request must not be able to send the key elsewhere.
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
#: A host name: labels of at most 63 characters (RFC 1035, 2.3.4), in any script.
_HOST_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})*\.?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address and the key of a service. ``name`` identifies it in plans and messages; the key is never shown."""

    name: str
    url: str
    api_key: str = field(default="", repr=False)
    key_source: str = KEY_VARIABLE


def endpoint_name(flag: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The address of the service: from the flag, else from the environment, else the service's own.

    Raises:
        UsageError: the address is invalid, or may not be used.
    """
    chosen = flag or environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT
    return chosen if chosen == LOCAL else check_address(chosen)


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
    """The key, and where it came from. If it is not ``needed``, it may be empty: a local server requires none.

    Raises:
        ReconcilerError: there is no key, or it is invalid. The key itself is never in the message.
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
