"""The service's address and the API key: from the flag, the environment, or the built-in default.

They never come from a file of the catalog: a pull request must not be able to send the key elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.address import check_address
from reconciler.disk import read_secret
from reconciler.domain import LOCAL as LOCAL
from reconciler.errors import ReconcilerError

DEFAULT_ENDPOINT = "https://api.mindcraft.com.cn"
ENDPOINT_VARIABLE = "MINDCRAFT_ENDPOINT"
KEY_VARIABLE = "MINDCRAFT_API_KEY"


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


def api_key(
    key_file: Path | None, environ: Mapping[str, str] = os.environ, *, needed: bool = True
) -> tuple[str, str]:
    """The key, and where it came from. If it is not ``needed``, it may be empty: a local server requires none.

    Raises:
        ReconcilerError: there is no key, or it is invalid. The key itself is never in the message.
    """
    if key_file is not None:
        try:
            key = read_secret(key_file).decode().strip()
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
            f"set {KEY_VARIABLE}, name a file with --api-key-file, or try it out with --endpoint=local",
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ReconcilerError(
            f"the API key from {source} contains characters that no key has", "copy it again"
        )
    return key, source
