"""``reconciler`` in a folder of PATH: runs a command in a fork of :mod:`tests.warm.forker`. Needs no site-packages."""

import json
import os
import socket
import sys

_, address, *words = sys.argv
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect(address)
request = {"words": words, "cwd": os.getcwd(), "env": dict(os.environ)}
socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
connection.recv(32)  # the process id
for stream in (0, 1, 2):  # the command has them
    os.close(stream)
code = int(connection.recv(32))
if code < 0:
    os.kill(os.getpid(), -code)
os._exit(code)
