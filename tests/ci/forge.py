"""A stand-in for the API of a forge, over real HTTP on loopback: comments on GitHub, notes on GitLab.

It knows what the clients use of it: pages by the Link header, tokens, limits of length, and whose comment is whose.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_0nly-f0r-c0mments"
BOT = "github-actions[bot]"


@dataclass
class Fault:
    """An answer in place of the work, or, with ``worked``, in place of the answer to work that was done."""

    method: str
    status: int
    message: str = "no"
    headers: Mapping[str, str] = field(default_factory=dict)
    worked: bool = False
    #: What happens meanwhile.
    then: Callable[[], object] = lambda: None


@dataclass
class Forge:
    """What is on the forge. ``calls`` are the requests, as ``METHOD path``; ``faults`` come up once each."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    limit: int = 65_536
    #: At most so many rows a page, whatever was asked for.
    page: int = 100
    #: What a token of a fork's pull request gets.
    read_only: bool = False
    #: The newest commit of the request.
    head: str = ""
    #: The account that the token belongs to.
    account: str = BOT
    #: The address that links to further pages begin with: a forge behind a proxy may not know its own.
    links: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, body: str, login: str = BOT) -> dict[str, Any]:
        number = 501 + max((one["id"] - 500 for one in self.comments), default=0)
        comment = {
            "id": number,
            "body": body,
            "user": {
                "login": login,
                "type": "Bot" if login.endswith("[bot]") else "User",
                "id": -2 if login == "forgejo-actions" else 7,
            },
            "author": {"id": 1 if login == self.account else 2, "username": login},
            "html_url": f"https://github.example/bookshop/personas/pull/7#issuecomment-{number}",
        }
        self.comments.append(comment)
        return comment

    @property
    def writes(self) -> list[str]:
        return [call.split()[0] for call in self.calls if not call.startswith("GET")]

    def fault(self, method: str) -> Fault | None:
        found = next((one for one in self.faults if one.method in (method, "*")), None)
        if found:
            self.faults.remove(found)
            found.then()
        return found

    def work(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> tuple[int, Any, str]:
        """The status, the answer, and the Link header."""
        if path == "/api/v4/user":
            return 200, {"id": 1, "username": "project_12_bot"}, ""
        path = path.removeprefix("/api/v1")
        if re.fullmatch(r"/repos/bookshop/personas/pulls/7|/api/v4/projects/12/merge_requests/7", path):
            return 200, {"head": {"sha": self.head}, "sha": self.head}, ""
        rows = re.fullmatch(
            r"/repos/bookshop/personas/issues/7/comments|/api/v4/projects/12/merge_requests/7/notes", path
        )
        one = re.fullmatch(
            r"/repos/bookshop/personas/issues/comments/(\d+)|/api/v4/projects/12/merge_requests/7/notes/(\d+)",
            path,
        )
        if rows and method == "GET":
            return self._page(path, query)
        if self.read_only and (rows or one):
            return 403, {"message": "Resource not accessible by integration"}, ""
        if body is not None and len(body["body"]) > self.limit:
            errors = [{"message": f"Body is too long (maximum is {self.limit} characters)"}]
            return 422, {"message": "Validation Failed", "errors": errors}, ""
        if rows and method == "POST":
            return 201, self.add(body["body"], self.account), ""
        if one:
            number = int(one[1] or one[2])
            found = next((c for c in self.comments if c["id"] == number), None)
            if found is not None and method in ("PATCH", "PUT"):
                found["body"] = body["body"]
                return 200, found, ""
            if found is not None and method == "DELETE":
                self.comments.remove(found)
                return 204, None, ""
        return 404, {"message": "Not Found"}, ""

    def _page(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, Any, str]:
        size = min(self.page, int(query.get("per_page", query.get("limit", ["30"]))[0]))
        page = int(query.get("page", ["1"])[0])
        rows = self.comments[(page - 1) * size : page * size]
        link = ""
        if page * size < len(self.comments):
            base = f"{self.links or self.url}{path}"
            link = f'<{base}?per_page={size}&page={page + 1}>; rel="next", <{base}>; rel="first"'
        return 200, rows, link


@contextmanager
def running_forge() -> Iterator[Forge]:
    """A forge that listens until the block ends."""
    forge = Forge()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            with forge.lock:
                forge.calls.append(f"{self.command} {parts.path}")
                fault = forge.fault(self.command)
                given = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                if not given and self.headers.get("PRIVATE-TOKEN") != TOKEN:
                    status, answer, link = 401, {"message": "Bad credentials"}, ""
                elif fault and not fault.worked:
                    status, answer, link = fault.status, {"message": fault.message}, ""
                else:
                    status, answer, link = forge.work(self.command, parts.path, parse_qs(parts.query), body)
                    if fault:
                        status, answer, link = fault.status, {"message": fault.message}, ""
            payload = b"" if status == 204 else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in (fault.headers if fault else {}).items():
                self.send_header(name, value)
            if link:
                self.send_header("Link", link)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815 - the names that are looked for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        forge.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield forge
        finally:
            server.shutdown()
            thread.join()
