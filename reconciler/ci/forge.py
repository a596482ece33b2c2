"""The comments of one pull or merge request, on GitHub, GitLab, Forgejo or Gitea.

Sources: https://docs.github.com/en/rest/issues/comments, https://docs.gitlab.com/api/notes, and the API of Forgejo and
Gitea (``/api/swagger`` of an instance), whose comments and job variables are those of GitHub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

from reconciler.ci.api import Api, ForbiddenError, GoneError, PassingError
from reconciler.errors import ReconcilerError
from reconciler.values import parse_json

#: The account of a job's own token on GitHub.
GITHUB_BOT = "github-actions[bot]"


@dataclass(frozen=True, slots=True)
class Comment:
    """One that is there.

    ``ours``: written by the account that is looked for. ``outdated``: by the account of an earlier token, which this
    one can't change.
    """

    id: int
    body: str
    author: str
    ours: bool
    address: str
    outdated: bool = False


class Forge(Protocol):
    """The comments of one pull or merge request."""

    #: The most characters of a comment.
    limit: int
    #: The commit that this job runs for, and the job's address.
    commit: str
    job: str
    #: Grows from run to run, and from attempt to attempt.
    run: tuple[int, int]

    def comments(self) -> Iterator[Comment]:
        """All comments, the oldest first."""

    def create(self, body: str) -> Comment:
        """Make a comment."""

    def update(self, comment: Comment, body: str) -> None:
        """Give a comment another text."""

    def delete(self, comment: Comment) -> None:
        """Delete a comment."""

    def head(self) -> str:
        """The newest commit of the request now; empty if it can't be told."""


def this_request(environ: Mapping[str, str] = os.environ, *, author: str = "") -> Forge | None:
    """The pull or merge request that this job runs for, or nothing if it runs for none.

    ``author`` is the account that writes our comments, where the forge does not say whose a token is. By default the
    account of a job's own token.

    Raises:
        ReconcilerError: this is a job of a pull or merge request, and its variables make no sense.
        ForbiddenError: there is no token.
    """
    if environ.get("GITHUB_ACTIONS") == "true":
        event = _event(environ)
        request = event.get("pull_request")
        number = request.get("number", event.get("number")) if isinstance(request, dict) else None
        if not isinstance(number, int):
            return None
        kind = Forgejo if _is_forgejo(environ) else GitHub
        return kind(environ, number, author)
    number_text = environ.get("CI_MERGE_REQUEST_IID", "")
    return GitLab(environ, int(number_text)) if number_text.isdecimal() else None


def job_commit(environ: Mapping[str, str] = os.environ) -> str:
    """The commit that this job runs for; empty if that can't be told. In a job of a request, the commit that the CI
    system names may be a merge that nobody made."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or environ.get("CI_COMMIT_SHA", "")
    try:
        request = _event(environ).get("pull_request")
    except ReconcilerError:
        request = None
    head = request.get("head") if isinstance(request, dict) else None
    return str((head or {}).get("sha") or environ.get("GITHUB_SHA", ""))


def without_comments(environ: Mapping[str, str] = os.environ) -> str:
    """The CI system of this job, if it is one on whose requests no comment can be posted from here; else empty."""
    if environ.get("BITBUCKET_BUILD_NUMBER"):
        return "Bitbucket Pipelines"
    return "Azure Pipelines" if environ.get("TF_BUILD") else ""


def _is_forgejo(environ: Mapping[str, str]) -> bool:
    named = any(environ.get(f"{name}_ACTIONS") == "true" for name in ("FORGEJO", "GITEA"))
    return named or environ.get("GITHUB_API_URL", "").rstrip("/").endswith("/api/v1")


def _event(environ: Mapping[str, str]) -> dict[str, Any]:
    path = environ.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        event = parse_json(Path(path).read_bytes())
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
    _page: ClassVar[Mapping[str, str]] = {"per_page": "100"}
    _base: ClassVar[str] = "https://api.github.com"
    _headers: ClassVar[Mapping[str, str]] = {"X-GitHub-Api-Version": "2022-11-28"}

    def __init__(self, environ: Mapping[str, str], number: int, author: str) -> None:
        repository = environ.get("GITHUB_REPOSITORY", "")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise ReconcilerError(f"GITHUB_REPOSITORY is {repository!r}, and should be like owner/name")
        self.commit = job_commit(environ)
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        self.job = f"{server}/{repository}/actions/runs/{self._run_in_address(environ)}"
        self.run = (_number(environ, "GITHUB_RUN_ID"), _number(environ, "GITHUB_RUN_ATTEMPT"))
        self._author = author.casefold()
        self._issues = f"/repos/{repository}/issues"
        self._comments = f"{self._issues}/{number}/comments"
        self._pull = f"/repos/{repository}/pulls/{number}"
        self._api = Api(
            environ.get("GITHUB_API_URL") or self._base,
            {"Authorization": f"Bearer {_token(environ, 'GITHUB_TOKEN')}", **self._headers},
            too_large=(413, 422),
        )

    def _run_in_address(self, environ: Mapping[str, str]) -> str:
        return environ.get("GITHUB_RUN_ID", "")

    def comments(self) -> Iterator[Comment]:
        return map(self._comment, self._api.rows(self._comments, **self._page))

    def create(self, body: str) -> Comment:
        return self._comment(self._api.call("POST", self._comments, {"body": body}))

    def update(self, comment: Comment, body: str) -> None:
        self._api.call("PATCH", f"{self._issues}/comments/{comment.id}", {"body": body})

    def delete(self, comment: Comment) -> None:
        self._api.call("DELETE", f"{self._issues}/comments/{comment.id}")

    def head(self) -> str:
        return str(_mapping(_looked_up(self._api, self._pull).get("head")).get("sha") or "")

    def _comment(self, row: Mapping[str, Any]) -> Comment:
        user = _mapping(row.get("user"))  # none where the account is deleted
        login = str(user.get("login") or "")
        return Comment(
            _integer(row.get("id")),
            str(row.get("body") or ""),
            login,
            self._is_ours(login.casefold(), user),
            str(row.get("html_url") or ""),
        )

    def _is_ours(self, login: str, user: Mapping[str, Any]) -> bool:
        wanted = self._author or GITHUB_BOT
        # An app may be named without its suffix. A person of that name is somebody else.
        return login == wanted or (user.get("type") == "Bot" and login == f"{wanted}[bot]")


class Forgejo(GitHub):
    """A pull request on Forgejo or Gitea."""

    _page = MappingProxyType({"limit": "50"})
    _base = ""
    _headers = MappingProxyType({})

    def _run_in_address(self, environ: Mapping[str, str]) -> str:
        return environ.get("GITHUB_RUN_NUMBER", "")

    def _is_ours(self, login: str, user: Mapping[str, Any]) -> bool:
        if self._author and self._author != GITHUB_BOT:
            return login == self._author
        # The account of a job's own token is built in, with a number that no account of a person has.
        return login in ("forgejo-actions", "gitea-actions") and _integer(user.get("id")) < 0


class GitLab:
    """A merge request on GitLab. Its comments are its notes."""

    limit = 1_000_000

    def __init__(self, environ: Mapping[str, str], number: int) -> None:
        # A fork's pipeline runs in the fork; its merge request is in the project that it is for.
        project = environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", "")
        self.commit = job_commit(environ)
        self.job = environ.get("CI_JOB_URL", "")
        self.run = (_number(environ, "CI_PIPELINE_ID"), _number(environ, "CI_JOB_ID"))
        self._page = f"{environ.get('CI_MERGE_REQUEST_PROJECT_URL', '')}/-/merge_requests/{number}"
        self._request = f"/projects/{quote(project, safe='')}/merge_requests/{number}"
        self._notes = f"{self._request}/notes"
        self._api = Api(
            environ.get("CI_API_V4_URL") or "https://gitlab.com/api/v4",
            {"PRIVATE-TOKEN": _token(environ, "GITLAB_TOKEN")},
            too_large=(400, 413, 422),
        )
        self._user: Any = None

    def comments(self) -> Iterator[Comment]:
        self._user = self._api.call("GET", "/user").get("id")
        rows = self._api.rows(self._notes, sort="asc", order_by="created_at", per_page="100")
        return map(self._comment, rows)

    def create(self, body: str) -> Comment:
        return self._comment(self._api.call("POST", self._notes, {"body": _no_orders(body)}))

    def update(self, comment: Comment, body: str) -> None:
        self._api.call("PUT", f"{self._notes}/{comment.id}", {"body": _no_orders(body)})

    def delete(self, comment: Comment) -> None:
        self._api.call("DELETE", f"{self._notes}/{comment.id}")

    def head(self) -> str:
        return str(_looked_up(self._api, self._request).get("sha") or "")

    def _comment(self, row: Mapping[str, Any]) -> Comment:
        author = _mapping(row.get("author"))
        number, name = _integer(row.get("id")), str(author.get("username") or "")
        ours = self._user is not None and author.get("id") == self._user
        # Each access token of a project or group has an account of its own, with such a name.
        outdated = not ours and bool(re.fullmatch(r"(project|group)_\d+_bot\w*", name))
        body = str(row.get("body") or "")
        return Comment(number, body, name, ours, f"{self._page}#note_{number}", outdated)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _integer(value: Any) -> int:
    """An id in an answer: 0 for whatever is none."""
    return value if type(value) is int else 0


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def _looked_up(api: Api, path: str) -> dict[str, Any]:
    try:
        return api.call("GET", path)
    except (ForbiddenError, PassingError, GoneError, ReconcilerError):
        return {}


def _no_orders(body: str) -> str:
    """The text without a line that GitLab takes for a quick action, such as ``/merge``. A plan has none; be sure."""
    return re.sub(r"^([ \t]*)/", r"\1&#47;", body, flags=re.MULTILINE)
