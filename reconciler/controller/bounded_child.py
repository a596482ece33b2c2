"""Talks to a child process that may print, write or take more than it should: it works on what strangers sent."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import IO

#: How much of what a child says of errors is kept (bytes).
_SAID = 2**16


class TooMuchError(Exception):
    """The child printed more than it may."""


def limit(pid: int, most: int) -> None:
    """Let a child, and those that it starts, write no file of more bytes, where the system can do that."""
    try:
        import resource

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    except (ImportError, AttributeError, OSError, ValueError):  # it has ended, or the limit already is lower
        pass


def exchange(child: subprocess.Popen[bytes], send: bytes, timeout: float, most: int) -> tuple[bytes, bytes]:
    """What a child prints, and what it says of errors. It is sent ``send``, is a group of its own, and has pipes, but
    perhaps a file for what it prints. It has ended afterwards.

    Raises:
        subprocess.TimeoutExpired: it did not end in time (seconds).
        TooMuchError: it printed more than ``most`` bytes.
    """
    out, err = bytearray(), bytearray()
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(child)

    threads = [
        threading.Thread(target=_write, args=(child.stdin, send), daemon=True),
        threading.Thread(target=_read, args=(child.stderr, err, None), daemon=True),
    ]
    timer = threading.Timer(timeout, end)
    timer.daemon = True
    for one in (*threads, timer):
        one.start()
    try:
        whole = child.stdout is None or _read(child.stdout, out, most)
        if not whole:
            _kill(child)
        child.wait()
    except BaseException:
        _kill(child)
        child.wait()
        raise
    finally:
        timer.cancel()
        for one in threads:
            one.join()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
    if late.is_set():
        raise subprocess.TimeoutExpired(child.args, timeout)
    if not whole:
        raise TooMuchError
    return bytes(out), bytes(err)


def _read(pipe: IO[bytes] | None, into: bytearray, most: int | None) -> bool:
    """Read all. Returns False after more than ``most`` bytes; without that, just the end is kept."""
    assert pipe is not None
    while piece := os.read(pipe.fileno(), 2**16):
        into += piece
        if most is None:
            del into[:-_SAID]
        elif len(into) > most:
            return False
    return True


def _write(pipe: IO[bytes] | None, send: bytes) -> None:
    assert pipe is not None
    with suppress(OSError):  # it has ended: its answer says why
        pipe.write(send)
        pipe.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
