"""The command, run in a separate process against a server in this one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.server import RunningServer, running_server
from tests import warm
from tests.support import API_KEY
from tests.warm import COMMAND


@dataclass
class Started:
    """A command that runs beside the test."""

    process: subprocess.Popen[bytes]
    terminal: int
    out: Path
    err: Path

    def wait_for(self, text: str) -> None:
        """Wait until it has said something on stderr."""
        until(lambda: text in self.err.read_text())

    def answer(self, line: str) -> None:
        """Type a line."""
        os.write(self.terminal, line.encode() + b"\n")

    def ended(self) -> tuple[int, str, str]:
        """Its exit code, what it printed and what it said, once it has ended."""
        code = self.process.wait(60)
        return code, self.out.read_text(), self.err.read_text()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another process is about to do."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def writes(server: RunningServer) -> list[str]:
    """The operations of the requests that wrote something, in order."""
    return [one.operation for one in server.log if one.method != "GET"]


@dataclass
class Shell:
    """Runs ``reconciler`` in an empty environment, in the folder that holds the catalog ``shop``."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "shop"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            name: os.environ[name]
            for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "RECONCILER_PATIENCE")
            if name in os.environ
        }
        return {**kept, "HOME": str(self.folder), **self.environ, **more}

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = warm.run(words, cwd=self.folder, env=self.environment(**environ))
        assert API_KEY not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    @contextmanager
    def started(self, *words: str) -> Iterator[Started]:
        """A command that runs beside the test, with a terminal to answer on."""
        here, there = pty.openpty()
        out, err = self.folder / "out", self.folder / "err"
        with out.open("w") as to_out, err.open("w") as to_err:
            process = subprocess.Popen(
                [COMMAND, *words],
                cwd=self.folder,
                env=self.environment(),
                stdin=there,
                stdout=to_out,
                stderr=to_err,
            )
            try:
                yield Started(process, here, out, err)
            finally:
                process.kill()
                process.wait()
                os.close(here)
                os.close(there)

    def json(self, *words: str, code: int = 0, **environ: str) -> Any:
        """What a command prints with ``--format json``."""
        done = self.run(*words, "--format", "json", **environ)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def write(self, sessions: Mapping[str, Any], **head: Any) -> None:
        """The catalog ``shop/``, with these sessions in one manifest."""
        folder = self.root / "sessions"
        folder.mkdir(parents=True, exist_ok=True)
        top = {"version": 1, "catalog": "bookshop", "defaults": {"model": "deepseek-chat"}, **head}
        for path, document in (
            (self.root / "catalog.yaml", top),
            (folder / "all.yaml", {"sessions": sessions}),
        ):
            path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell without a server."""
    return Shell(tmp_path)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server that wants the key."""
    with running_server(None, require_key=API_KEY) as running:
        yield running


@pytest.fixture
def shop(shell: Shell, server: RunningServer) -> Shell:
    """A shell that speaks to the server, with a catalog of two sessions."""
    shell.environ = {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": API_KEY}
    shell.write(
        {
            "alice": {"name": "Alice", "prompt": "Be kind."},
            "bob": {"name": "Bob", "prompt": "Be brief.", "parameters": {"temperature": 0.5}},
        }
    )
    return shell
