"""The embedded server: the session API of the contract over SQLite, for demos, tests and offline work.

In a test::

    from reconciler.server import Fault, running_server

    with running_server(None) as server:
        server.store.insert_session(name="Alice")
        server.faults.add(Fault("status", operation="list_sessions", when="first", status=503))
        requests.get(server.url + "/v1/session/", timeout=5)
        assert [one.status for one in server.log] == [503]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.server.faults import Fault as Fault
    from reconciler.server.faults import Faults as Faults
    from reconciler.server.log import Hook as Hook
    from reconciler.server.log import LoggedRequest as LoggedRequest
    from reconciler.server.quirks import Quirks as Quirks
    from reconciler.server.rows import MessageRow as MessageRow
    from reconciler.server.rows import SessionRow as SessionRow
    from reconciler.server.run import RunningServer as RunningServer
    from reconciler.server.run import running_server as running_server
    from reconciler.server.store import Store as Store

_HOMES = {
    "Fault": "faults",
    "Faults": "faults",
    "Hook": "log",
    "LoggedRequest": "log",
    "MessageRow": "store",
    "Quirks": "quirks",
    "RunningServer": "run",
    "SessionRow": "store",
    "Store": "store",
    "running_server": "run",
}

__all__ = [
    "Fault",
    "Faults",
    "Hook",
    "LoggedRequest",
    "MessageRow",
    "Quirks",
    "RunningServer",
    "SessionRow",
    "Store",
    "running_server",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: the help of the command line needs none of it."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
