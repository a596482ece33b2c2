"""A git server over http, which can ask for credentials."""

from __future__ import annotations

import base64
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final


class GitServer(http.server.BaseHTTPRequestHandler):
    """Serves the repositories in ``root`` by git itself. ``credentials`` are those to ask for (``user:password``);
    without any, it serves everybody. ``seen`` has those that came with each request, as a header."""

    root: Path
    credentials: ClassVar[list[str]]
    seen: ClassVar[list[str]]

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.seen.append(given)
        wanted = [f"Basic {base64.b64encode(one.encode()).decode()}" for one in self.credentials]
        if wanted and given not in wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        env = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH": os.environ["PATH"],
        }
        sent = self.rfile.read(length)
        out = subprocess.run(["git", "http-backend"], input=sent, env=env, capture_output=True, check=True)
        head, _, body = out.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Served:
    """A folder of repositories, and the address at which they are served: see :class:`GitServer`."""

    root: Path
    url: str
    credentials: list[str]
    seen: list[str]


@contextmanager
def serving_repositories(root: Path) -> Iterator[Served]:
    """An empty folder of repositories, served."""
    root.mkdir()
    credentials: list[str] = []
    seen: list[str] = []
    handler = type("Handler", (GitServer,), {"root": root, "credentials": credentials, "seen": seen})
    with serving(handler) as url:
        yield Served(root, url, credentials, seen)


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on loopback, and its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def git(folder: Path, *words: str) -> str:
    """What git prints in a folder."""
    who = ("-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    """Commit all of a folder, as a repository. Returns the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=personas")
    return git(folder, "rev-parse", "HEAD")


_SSH: Final = """#!/bin/sh
{
    printf '%s\\n' "$@"
    echo "agent: ${SSH_AUTH_SOCK:-none}"
    for word; do case $word in IdentityFile=*|UserKnownHostsFile=*)
        stat -c '%a' "${word#*=}" "$(dirname "${word#*=}")"; cat "${word#*=}" ;;
    esac; done
} >> "$(dirname "$0")/log"
for last; do :; done
exec sh -c "$last"
"""


def fake_ssh(folder: Path) -> Path:
    """A program ``ssh`` in a new folder, which runs the command here in place of a host. Returns its log: the words
    that it was given, and the files that they name, with their permissions."""
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(_SSH)
    program.chmod(0o755)
    return folder / "log"
