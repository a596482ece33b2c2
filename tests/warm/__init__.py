"""The command in a process of its own, forked from one that has imported everything.

Most of the time that a command takes in a test goes into starting Python and importing. Here one process does both
once, and forks for each command (:mod:`tests.warm.forker`). The command still has its own process, environment, working
folder, streams, signals and exit code, and ends as Python ends. ``--full`` runs the installed command instead, and so
does an environment in which Python would start in another way.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from tests import suggestions
from tests.warm.script import ask

#: What ``pip install`` put beside the interpreter.
COMMAND = Path(sys.executable).with_name("reconciler")

_ROOT = Path(__file__).parents[2]
_TURN = threading.Lock()

#: The arguments of the process that forks the command: what to run, and what to import before.
FORKER = (
    "reconciler.cli",
    "reconciler.*",
    # What the program imports inside functions.
    *(
        "deepdiff",
        "jinja2",
        "jsonschema",
        "requests",
        "rich.console",
        "rich.progress",
        "starlette",
        "uvicorn",
    ),
)

#: Whether commands are forked at all. ``--full`` says no.
enabled = True


class Forked:
    """A command that runs. ``returncode`` is as in ``subprocess``: negative where a signal ended it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._said = connection.makefile("rb")
        self.pid = int(self._said.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float) -> int:
        """The exit code, at the latest after ``timeout`` (seconds).

        Raises:
            TimeoutError: the command still runs.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            self.returncode = int(self._said.readline())
            self._said.close()
            self._connection.close()
        return self.returncode

    def kill(self) -> None:
        """End it, and wait until it has ended."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(60)


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a forked command does what the installed one would in this environment."""

    def same(name: str, value: str) -> bool:
        if name == "PYTHONPATH":
            return value in ("", str(_ROOT), os.environ.get(name))
        if name in ("LANG", "LC_ALL"):
            return value.upper().endswith("UTF-8")
        return not name.startswith(("PYTHON", "LC_")) or value == os.environ.get(name)

    return enabled and sys.platform == "linux" and all(same(name, value) for name, value in env.items())


def start(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    forker: tuple[str, ...] = FORKER,
) -> Forked:
    """Start a command. The streams are file descriptors, which stay open here. ``forker`` are its arguments."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address(forker))
    request = {"words": list(map(str, words)), "cwd": str(cwd), "env": dict(env)}
    ask(connection, request, [stdin, stdout, stderr])
    return Forked(connection)


@contextmanager
def running(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> Iterator[tuple[Forked, IO[bytes], IO[bytes]]]:
    """A command with nothing to read, and the files that it writes to. It does not outlive the block."""
    with open(os.devnull, "rb") as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = {"stdin": nothing.fileno(), "stdout": out.fileno(), "stderr": err.fileno()}
        process = start(words, cwd=cwd, env=env, **streams)
        try:
            yield process, out, err
        finally:
            process.kill()


def run(
    words: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with nothing to read: as ``subprocess.run`` does, forked where that can be.

    Each command that its output suggests is checked (:mod:`tests.suggestions`).
    """
    env = os.environ if env is None else env
    cwd = cwd or Path.cwd()
    if can_fork(env):
        with running(words, cwd=cwd, env=env) as (process, out, err):
            code = process.wait(timeout)
            done = subprocess.CompletedProcess([COMMAND, *words], code, text(out), text(err))
    else:
        done = subprocess.run(
            [COMMAND, *words],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
    suggestions.check(done.stdout + done.stderr)
    return done


def text(file: IO[bytes]) -> str:
    """All that was written to a file, as ``subprocess`` gives it."""
    file.seek(0)
    return file.read().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def script(file: Path) -> None:
    """Make a file that runs the command: forked where that can be. For what finds commands in ``PATH``."""
    words = [sys.executable, "-IS", str(Path(__file__).with_name("script.py")), address()]
    command = " ".join(f'"{word}"' for word in (words if can_fork({}) else [str(COMMAND)]))
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    file.chmod(0o755)


def address(forker: tuple[str, ...] = FORKER) -> str:
    """The socket to ask for commands at."""
    with _TURN:
        return _start_forker(forker)


@cache
def _start_forker(arguments: tuple[str, ...]) -> str:
    """Start a process that forks. It ends when its stdin does."""
    folder = tempfile.TemporaryDirectory(prefix="reconciler-")
    path = f"{folder.name}/commands"
    command = [sys.executable, "-m", f"{__name__}.forker", path, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
    assert process.stdin and process.stdout
    assert process.stdout.readline() == b"ready\n"

    def end() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(end)
    return path
