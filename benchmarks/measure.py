"""Measures a command as a process: wall time, CPU time and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).parent

# As on an ordinary machine: with PYTHONDONTWRITEBYTECODE, every start would compile the sources.
_ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are in seconds; ``cpu`` is user and system time, ``peak`` the largest resident size in bytes.

    ``writes`` is, of an apply, the time from its first intent to its last result, by its journal.
    """

    wall: float
    cpu: float
    peak: int
    writes: float | None = None


class FailedError(Exception):
    """A command failed. The message has its output."""


def run(
    command: Sequence[str], *, expect: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Run:
    """Run a command to its end, with its output in a file, as in CI.

    Raises:
        FailedError: it failed, or its output does not contain the expected text.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_ENVIRON, **(environ or {})},
            cwd=cwd,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode or expect not in text:
        raise FailedError(f"{Path(command[0]).name} ended with {process.returncode}:\n{text[-2000:]}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * scale)


def writing(journal: Path) -> float | None:
    """How long (seconds) the run in a journal was writing; None if there is no run."""
    if not journal.exists():
        return None
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    moments = [
        datetime.fromisoformat(entry["at"]) for entry in entries if entry["event"] not in ("start", "end")
    ]
    return (max(moments) - min(moments)).total_seconds()


@contextmanager
def pages(rows: Path | None, latency: int, creates: int = 0) -> Iterator[str]:
    """The address of a page server in a process of its own. ``latency`` is in milliseconds.

    Others create so many sessions as ``creates`` a second.
    """
    command = [sys.executable, str(HERE / "pages.py"), "--latency", str(latency), "--creates", str(creates)]
    if rows is not None:
        command.append(str(rows))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
