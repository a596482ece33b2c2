"""The process that imports a program once, and forks for each command.

``python -m tests.warm.forker SOCKET MAIN MODULE…`` imports the modules (``reconciler.*`` means all below it), and runs
``main()`` of the module MAIN in each fork. A client sends a line, ``{"words": […], "cwd": …, "env": {…}}``, with the
descriptors of the command's three streams. The answer is a line with the process id of the command and, once that has
ended, a line with its exit code.
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


def import_all(names: Sequence[str]) -> None:
    """Import whatever a command may come to import."""
    for name in names:
        module = import_module(name.removesuffix(".*"))
        if name.endswith(".*"):
            below = pkgutil.walk_packages(module.__path__, f"{module.__name__}.")
            import_all([one.name for one in below if not one.name.endswith("__main__")])


def next_command(listener: socket.socket) -> None:
    """Fork for each request. Returns in the process that is to run the command, ready for it."""
    while True:
        readable, _, _ = select.select([listener, 0], [], [])
        if 0 in readable:  # nobody writes to it: it was closed
            os._exit(0)
        connection, _ = listener.accept()
        message, fds, *_ = socket.recv_fds(connection, 1 << 16, 3)
        while message and not message.endswith(b"\n"):
            message += connection.recv(1 << 16)
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
    sys.argv[1:] = request["words"]
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
    with suppress(BrokenPipeError):  # where nobody waits for it any more
        connection.send(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        connection.send(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def reap() -> None:
    """Take leave of forks that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which ends this process
    _, address, main, *modules = sys.argv
    import_all(modules)
    gc.freeze()  # what is there by now is no garbage: a fork need not look through it
    with socket.socket(socket.AF_UNIX) as commands:
        commands.bind(address)
        commands.listen(128)
        print("ready", flush=True)
        next_command(commands)
    sys.argv[0] = main
    import_module(main).main()
