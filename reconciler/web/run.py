"""Serves a controller in a thread of this process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.bounded_server import LOOPBACK, ServerThread
from reconciler.errors import UsageError
from reconciler.text.hosts import is_loopback
from reconciler.web.app import build_app
from reconciler.web.controlled import Controlled
from reconciler.web.feed import Feed
from reconciler.web.metrics import Metrics
from reconciler.web.probes import WATCHER, Probes


def parse_listen(listen: str) -> tuple[str, int]:
    """The host and the port in ``HOST:PORT``, such as ``127.0.0.1:9464``, ``[::1]:9464`` or ``:9464`` (any address).

    Raises:
        UsageError: it has another form.
    """
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/@\s]*)):([0-9]{1,5})", listen)
    if match is None or int(match[3]) > 65535:
        raise UsageError(
            f"{listen!r} is not an address to listen on", "give a host and a port, like 127.0.0.1:9464"
        )
    return match[1] or match[2] or "0.0.0.0", int(match[3])  # noqa: S104 - asked for, and only with a token


@contextmanager
def serve(
    controller: Controlled,
    listen: str,
    token: str | None = None,
    *,
    metrics: Metrics,
    feed: Feed,
    on_bug: Callable[[Exception], None] | None = None,
    probes: Probes = WATCHER,
    approves: bool = True,
    open_metrics: bool = False,
) -> Iterator[str]:
    """Serve a controller until the block ends. Yields the address, without a trailing slash.

    Args:
        listen: as for :func:`parse_listen`; port 0 picks a free one.
        token: what every request needs, as a bearer token or by a login; None needs none. See :func:`read_token`.
        metrics: what ``/metrics`` shows. Give it to the controller as an ``OnEvent``.
        feed: what ``/api/v1/events`` shows. Give it to the controller as an ``OnEvent``.
        on_bug: called with each exception that was answered with 500. Without it, the first is raised in the end.
        probes: what ``/healthz`` and ``/readyz`` say.
        approves: whether the page offers to approve plans.
        open_metrics: without a token, on an address that others can reach, serve health and metrics alone.

    Raises:
        UsageError: ``listen`` has another form, or the address is not loopback, and neither a token nor
            ``open_metrics`` is given.
        ReconcilerError: the address can't be listened on.
    """
    host, port = parse_listen(listen)
    loopback = is_loopback(host)
    bare = token is None and not loopback
    if bare and not open_metrics:
        raise UsageError(
            f"{listen} can be reached from other machines, and no token is set",
            "add `--token-file=FILE`, or listen on 127.0.0.1",
        )
    name = f"[{host}]" if ":" in host else host.lower()
    app = build_app(
        controller,
        metrics=metrics,
        feed=feed,
        token=token,
        hosts=LOOPBACK | {name} if loopback else None,
        cookie=f"reconciler_{port}",
        probes=probes,
        approves=approves,
        bare=bare,
    )
    bugs: list[Exception] = []
    app.on_bug = on_bug or bugs.append
    thread = ServerThread(app.asgi, host, port)
    try:
        yield thread.url
    finally:
        thread.stop()
    if bugs:
        raise bugs[0]
