"""Who runs this command, for the journal and for saved plans: the CI job or the user, and the commit."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def who(root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``job`` (a URL) in CI, otherwise ``user``; and ``commit`` if the folder is in a git repository."""
    found = _job(environ) or {"user": _user()}
    commit = environ.get("GITHUB_SHA") or environ.get("CI_COMMIT_SHA") or _commit(root)
    return {**found, "commit": commit} if commit else found


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _job(environ: Mapping[str, str]) -> dict[str, str]:
    if environ.get("GITHUB_ACTIONS") == "true":
        server, repository, run = (
            environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
        )
        return {
            "job": f"{server}/{repository}/actions/runs/{run}",
            "user": environ.get("GITHUB_ACTOR", "unknown"),
        }
    if environ.get("CI_JOB_URL"):
        return {"job": environ["CI_JOB_URL"], "user": environ.get("GITLAB_USER_LOGIN", "unknown")}
    if environ.get("BUILD_URL"):
        return {"job": environ["BUILD_URL"]}
    return {}


def _commit(root: Path) -> str:
    try:
        # Without hooks, pagers or file system monitors, because the folder may be untrusted.
        done = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "-c", "core.fsmonitor=false", "-C", str(root), "rev-parse", "--verify", "HEAD"],  # noqa: S607
            capture_output=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""
