"""The command in a separate process, to be killed. A server forks it, so it starts at once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import pytest

from reconciler.cli import run
from reconciler.server import Fault, LoggedRequest, RunningServer
from tests.clock import put_in

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.doctor.child", "reconciler.cli.commands.doctor", "reconciler.doctor.probe"]
)


def start(arguments: Sequence[str]) -> BaseProcess:
    """Run the command in a process of its own, with nothing to see of it."""
    process = _CONTEXT.Process(target=_run, args=(list(arguments),), daemon=True)
    process.start()
    return process


def _run(arguments: list[str]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    put_in(pytest.MonkeyPatch())
    sys.exit(run(arguments))


@contextmanager
def at_request(
    server: RunningServer, number: int, act: Callable[[], None], *, worked: bool | None = None
) -> Iterator[list[LoggedRequest]]:
    """Act when the server has the request of this number (from 1), and then cut the connection.

    ``worked`` says whether the work is done before that; with None nothing is cut. Gives the request; when the block
    ends, the server is through with it.
    """
    number += len(server.log)
    met: list[LoggedRequest] = []
    through = threading.Event()

    def before(entry: LoggedRequest) -> None:
        if entry.number == number:
            met.append(entry)
            act()

    def done(entry: LoggedRequest) -> None:
        if entry.number == number:
            through.set()

    server.before.append(before)
    server.done.append(done)
    if worked is not None:
        server.faults.add(Fault("cut", worked=worked, where=lambda entry: entry.number == number))
    try:
        yield met
        if met:
            through.wait()
    finally:
        server.before.remove(before)
        server.done.remove(done)
        server.faults.clear()
