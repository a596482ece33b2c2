"""The process that imports the program once, and forks for each command: ``python -m tests.warm.forker SOCKET``.

Whoever connects sends one message, ``{"words": […], "cwd": …, "env": {…}}``, with the descriptors of the command's
three streams, and is told the process id of the command and, when that has ended, its exit code.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

#: Third-party modules that the program imports inside functions.
LAZY = (
    "deepdiff",
    "jinja2",
    "jsonschema",
    "requests",
    "rich.console",
    "rich.progress",
    "starlette",
    "uvicorn",
)

#: The most bytes of a message.
LARGEST = 1 << 20


def import_all() -> None:
    """Import whatever a command may come to import."""
    import reconciler

    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for name in LAZY:
        import_module(name)
    gc.freeze()  # what is there by now is no garbage: a fork need not look through it


def next_command(listener: socket.socket) -> None:
    """Fork for each request. Returns in the process that is to run the command, ready for it."""
    while True:
        readable, _, _ = select.select([listener, 0], [], [])
        if 0 in readable:  # nobody writes to it: it was closed
            os._exit(0)
        connection, _ = listener.accept()
        message, fds, *_ = socket.recv_fds(connection, LARGEST, 3)
        if os.fork() == 0:
            break
        connection.close()
        for fd in fds:
            os.close(fd)
        reap()
    listener.close()
    stay_behind(connection, fds)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    request: Any = json.loads(message)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["reconciler", *request["words"]]
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def stay_behind(connection: socket.socket, streams: Sequence[int]) -> None:
    """Fork once more. The parent stays to tell how the command ended; the child returns."""
    pid = os.fork()
    if pid == 0:
        connection.close()
        return
    for fd in (0, 1, *streams):  # or a pipe that the command has closed would still be open
        os.close(fd)
    connection.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # where nobody waits for it any more
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def reap() -> None:
    """Take leave of forks that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which ends this process
    import_all()
    del sys.path[0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as commands:
        commands.bind(sys.argv[1])
        commands.listen(128)
        print("ready", flush=True)
        next_command(commands)
    from reconciler.cli import main

    main()
