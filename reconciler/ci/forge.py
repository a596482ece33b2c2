"""The comments of one pull or merge request, by the REST API of its forge, GitHub or GitLab.

What goes wrong is sorted by what to do about it: :class:`ForbiddenError` and :class:`TooLargeError` have another way,
:class:`PassingError` is worth another try, :class:`GoneError` another look, and everything else is an error.

Sources: https://docs.github.com/en/rest/issues/comments, https://docs.github.com/en/rest/using-the-rest-api
(rate limits, pagination), https://docs.gitlab.com/api/notes, https://docs.gitlab.com/api/rest (pagination).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

import requests

from reconciler import __version__
from reconciler.errors import ReconcilerError
from reconciler.text.hosts import is_loopback

#: Seconds to connect, and to wait for an answer.
TIMEOUT = (10, 30)
#: Pages of 100 comments that are looked through.
PAGES = 100


class ForbiddenError(Exception):
    """The token may not do this. In a fork's pull request, no token may."""


class TooLargeError(Exception):
    """The forge takes no text of this length."""


class GoneError(Exception):
    """The comment is not there any more."""


class PassingError(Exception):
    """May pass: no answer, a server's error, or a rate limit. ``wait`` is in seconds where the forge says it."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Comment:
    """One that is there. ``ours``: written by the one who writes now."""

    id: int
    body: str
    ours: bool


class Forge(Protocol):
    """The comments of one pull or merge request."""

    #: The most characters of a comment.
    limit: int
    commit: str
    job: str

    def comments(self) -> Iterator[Comment]:
        """All comments, the oldest first."""

    def create(self, body: str) -> str:
        """Make a comment; gives its address."""

    def update(self, comment: Comment, body: str) -> str:
        """Give a comment another text; gives its address."""

    def delete(self, comment: Comment) -> None:
        """Delete a comment."""


def this_request(environ: Mapping[str, str] = os.environ, *, author: str) -> Forge | None:
    """The pull or merge request that this job runs for, or nothing if it runs for none.

    ``author`` is who writes our comments on GitHub. A job's own token belongs to ``github-actions[bot]``.

    Raises:
        ReconcilerError: this is a job of a pull or merge request, and its variables make no sense.
        ForbiddenError: there is no token.
    """
    if environ.get("GITHUB_ACTIONS") == "true":
        event = _event(environ)
        number = event.get("number") if "pull_request" in event else None
        if not isinstance(number, int):
            return None
        return GitHub(environ, number, event["pull_request"], author)
    number_text = environ.get("CI_MERGE_REQUEST_IID", "")
    return GitLab(environ, int(number_text)) if number_text.isdecimal() else None


def _event(environ: Mapping[str, str]) -> dict[str, Any]:
    path = environ.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        event = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ReconcilerError(f"the event in GITHUB_EVENT_PATH can't be read: {error}") from None
    return event if isinstance(event, dict) else {}


def _token(environ: Mapping[str, str], name: str) -> str:
    token = environ.get(name, "").strip()
    if not token:
        raise ForbiddenError(f"{name} is empty, and without a token nobody may comment")
    return token


class GitHub:
    """A pull request on GitHub or GitHub Enterprise. Its comments are those of an issue."""

    limit = 65_536

    def __init__(self, environ: Mapping[str, str], number: int, request: Any, author: str) -> None:
        repository = environ.get("GITHUB_REPOSITORY", "")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise ReconcilerError(f"GITHUB_REPOSITORY is {repository!r}, and should be like owner/name")
        head = request.get("head") if isinstance(request, dict) else None
        self.commit = str((head or {}).get("sha") or environ.get("GITHUB_SHA", ""))
        self.job = (
            f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
            f"/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
        )
        self._author = author
        self._issues = f"/repos/{repository}/issues"
        self._comments = f"{self._issues}/{number}/comments"
        self._api = Api(
            environ.get("GITHUB_API_URL") or "https://api.github.com",
            {
                "Authorization": f"Bearer {_token(environ, 'GITHUB_TOKEN')}",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            too_large=(422,),
        )

    def comments(self) -> Iterator[Comment]:
        for row in self._api.rows(self._comments):
            user = row.get("user") or {}  # none where the account is deleted
            yield Comment(int(row["id"]), str(row.get("body") or ""), user.get("login") == self._author)

    def create(self, body: str) -> str:
        return str(self._api.call("POST", self._comments, {"body": body}).get("html_url", ""))

    def update(self, comment: Comment, body: str) -> str:
        answer = self._api.call("PATCH", f"{self._issues}/comments/{comment.id}", {"body": body})
        return str(answer.get("html_url", ""))

    def delete(self, comment: Comment) -> None:
        self._api.call("DELETE", f"{self._issues}/comments/{comment.id}")


class GitLab:
    """A merge request on GitLab. Its comments are its notes."""

    limit = 1_000_000

    def __init__(self, environ: Mapping[str, str], number: int) -> None:
        # A fork's pipeline runs in the fork; its merge request is in the project that it is for.
        project = environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", "")
        self.commit = environ.get("CI_COMMIT_SHA", "")
        self.job = environ.get("CI_JOB_URL", "")
        self._page = f"{environ.get('CI_MERGE_REQUEST_PROJECT_URL', '')}/-/merge_requests/{number}"
        self._notes = f"/projects/{quote(project, safe='')}/merge_requests/{number}/notes"
        self._api = Api(
            environ.get("CI_API_V4_URL") or "https://gitlab.com/api/v4",
            {"PRIVATE-TOKEN": _token(environ, "GITLAB_TOKEN")},
            too_large=(400, 413, 422),
        )

    def comments(self) -> Iterator[Comment]:
        ours = self._api.call("GET", "/user").get("id")
        for row in self._api.rows(self._notes, sort="asc", order_by="created_at"):
            author = row.get("author") or {}
            yield Comment(int(row["id"]), str(row.get("body") or ""), author.get("id") == ours)

    def create(self, body: str) -> str:
        return self._address(self._api.call("POST", self._notes, {"body": _no_orders(body)}))

    def update(self, comment: Comment, body: str) -> str:
        return self._address(self._api.call("PUT", f"{self._notes}/{comment.id}", {"body": _no_orders(body)}))

    def delete(self, comment: Comment) -> None:
        self._api.call("DELETE", f"{self._notes}/{comment.id}")

    def _address(self, note: Mapping[str, Any]) -> str:
        return f"{self._page}#note_{note.get('id')}"


def _no_orders(body: str) -> str:
    """The text without a line that GitLab takes for a quick action, such as ``/merge``. A plan has none; be sure."""
    return re.sub(r"^([ \t]*)/", r"\1&#47;", body, flags=re.MULTILINE)


class Api:
    """JSON over HTTP to one address, with one token, and with answers sorted by what to do about them."""

    def __init__(self, base: str, secret: Mapping[str, str], *, too_large: tuple[int, ...]) -> None:
        self.base = base.rstrip("/")
        parts = urlsplit(self.base)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ReconcilerError(
                f"the forge's address {self.base!r} would send the token in clear over a network"
            )
        self._secret = dict(secret)
        self._too_large = too_large
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"reconciler/{__version__}"
        # Set as auth and not as a header: requests would let a .netrc overrule the header.
        self._session.auth = self._authorize

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._secret)
        return request

    def rows(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """The rows of all pages."""
        address = self.base + path
        response = self._send("GET", address, None, {"per_page": "100", **query})
        for _ in range(PAGES):
            found = _json(response)
            if not isinstance(found, list):
                raise ReconcilerError(f"{path} answered with something that is no list")
            yield from (row for row in found if isinstance(row, dict))
            following = response.links.get("next", {}).get("url")
            if not following:
                return
            following = urljoin(address, following)
            if urlsplit(following)[:2] != urlsplit(self.base)[:2]:
                raise ReconcilerError(f"the next page of {path} is said to be on another host")
            response = self._send("GET", following)

    def call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One call's answer."""
        answer = _json(self._send(method, self.base + path, body))
        return answer if isinstance(answer, dict) else {}

    def _send(
        self,
        method: str,
        address: str,
        body: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> requests.Response:
        try:
            response = self._session.request(
                method, address, json=body, params=query, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            raise PassingError(
                f"{urlsplit(address).hostname} does not answer: {type(error).__name__}"
            ) from None
        if response.status_code in (200, 201, 204):
            return response
        raise self._sorted(method, response, sent=body is not None)

    def _sorted(self, method: str, response: requests.Response, *, sent: bool) -> Exception:
        status = response.status_code
        message = self._said(response)
        wait = _wait(response)
        limited = wait is not None or "rate limit" in message.lower()
        if status == 429 or status >= 500 or (status == 403 and limited):
            return PassingError(message, wait)
        if status == 403:
            return ForbiddenError(message)
        if sent and status in self._too_large:
            return TooLargeError(message)
        if status == 404 and method in ("PATCH", "PUT", "DELETE"):
            return GoneError(message)
        hint = ""
        if status in (401, 404):
            hint = "the token is not accepted, or may not see this repository"
        return ReconcilerError(f"{method} {urlsplit(response.url).path}: {message}", hint)

    def _said(self, response: requests.Response) -> str:
        found = _json(response)
        text = found.get("message") or found.get("error") if isinstance(found, dict) else ""
        if text and not isinstance(text, str):
            text = json.dumps(text)
        text = (text or "no message")[:300]
        for secret in self._secret.values():
            text = text.replace(secret.removeprefix("Bearer "), "***")
        return f"{response.status_code}, {text}"


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _wait(response: requests.Response) -> float | None:
    """Seconds to wait before the next call, as far as the answer says so."""
    headers = response.headers
    after = headers.get("Retry-After", "")
    if after.isdecimal():
        return float(after)
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    left = headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining")
    if left == "0" and reset.isdecimal():
        return max(0.0, float(reset) - time.time())
    return None
