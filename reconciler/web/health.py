"""The health check of a container: ``python -I -m reconciler.web.health``.

It asks ``/healthz`` at the address in ``RECONCILER_LISTEN``. Without it nothing is served, so there is nothing to ask:
the same image also runs single commands. The exit code is 0 if it is healthy, else 1.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from typing import Final

from reconciler.errors import ReconcilerError
from reconciler.web.run import parse_listen

#: How long an answer may take, in seconds: more than the watcher takes to find out that it is stuck.
_PATIENCE: Final = 15.0

_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to replace


def check(environ: Mapping[str, str] = os.environ) -> str:
    """What is wrong; empty if nothing is."""
    listen = environ.get("RECONCILER_LISTEN", "")
    if not listen:
        return ""
    try:
        host, port = parse_listen(listen)
    except ReconcilerError as error:
        return str(error)
    connection = http.client.HTTPConnection(_ANY.get(host, host), port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer at {listen}: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"HTTP status {status}"


if __name__ == "__main__":
    sys.exit(check() or 0)
