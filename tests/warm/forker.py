"""The process that imports a program once, and forks for each command.

``python -m tests.warm.forker SOCKET MAIN MODULE…`` imports the modules (``reconciler.*`` means all below it), and runs
``main()`` of the module MAIN in each fork. A client sends a line, ``{"words": […], "cwd": …, "env": {…}}``, with the
descriptors of the command's three streams. The answer is a line with the process id of the command and, once that has
ended, a line with its exit code. It needs Linux.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any


def import_all(names: Sequence[str]) -> None:
    """Import whatever a command may come to import."""
    for name in names:
        module = import_module(name.removesuffix(".*"))
        if name.endswith(".*"):
            below = pkgutil.walk_packages(module.__path__, f"{module.__name__}.")
            import_all([one.name for one in below if not one.name.endswith("__main__")])


def next_command(listener: socket.socket) -> None:
    """Fork for each request. Returns in the process that is to run the command, ready for it."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by a descriptor that can be read once it has ended
    while True:
        readable, _, _ = select.select([0, listener, *running], [], [])
        if 0 in readable:  # nobody writes to it: it was closed
            os._exit(0)
        for ended in running.keys() & set(readable):
            pid, connection = running.pop(ended)
            os.close(ended)
            _, status = os.waitpid(pid, 0)
            tell(connection, os.waitstatus_to_exitcode(status))
            connection.close()
        if listener not in readable:
            continue
        connection, _ = listener.accept()
        message, streams, *_ = socket.recv_fds(connection, 1 << 16, 3)
        while message and not message.endswith(b"\n"):
            message += connection.recv(1 << 16)
        pid = os.fork()
        if pid == 0:
            break
        running[os.pidfd_open(pid)] = pid, connection
        for stream in streams:
            os.close(stream)
        tell(connection, pid)
    for inherited in (listener, connection, *(other for _, other in running.values())):
        inherited.close()
    for inherited_fd in running:
        os.close(inherited_fd)
    become(json.loads(message), streams)


def tell(connection: socket.socket, number: int) -> None:
    """Tell a client a number, unless it is gone."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(b"%d\n" % number)


def become(request: Any, streams: Sequence[int]) -> None:
    """Make this process what a client asked for."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[1:] = request["words"]
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run_to_the_end(main: Callable[[], object]) -> None:
    """What Python does with a program, but for taking apart what was imported, which takes as long as most commands."""
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except OSError:
        code = 120
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which ends this process
    _, address, name, *modules = sys.argv
    import_all(modules)
    gc.freeze()  # what is there by now is no garbage: a fork need not look through it
    with socket.socket(socket.AF_UNIX) as commands:
        commands.bind(address)
        commands.listen(128)
        print("ready", flush=True)
        next_command(commands)
    sys.argv[0] = name
    run_to_the_end(import_module(name).main)
