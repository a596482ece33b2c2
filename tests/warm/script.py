"""``reconciler`` in a folder of PATH: runs a command in a fork of :mod:`tests.warm.forker`. Needs no site-packages."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence


def ask(connection: socket.socket, request: dict[str, object], streams: Sequence[int]) -> None:
    """Send a request, with descriptors of the streams."""
    line = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(connection, [line], streams)
    if sent < len(line):  # even nothing can't be sent once a quick command has ended
        connection.sendall(line[sent:])


def main() -> None:
    """Run the command, and end as it does."""
    _, address, *words = sys.argv
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    ask(connection, {"words": words, "cwd": os.getcwd(), "env": dict(os.environ)}, [0, 1, 2])
    said = connection.makefile("rb")
    said.readline()  # the process id
    for stream in (0, 1, 2):  # the command has them
        os.close(stream)
    code = int(said.readline())
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
