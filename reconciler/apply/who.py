"""Who runs this command, for the journal and for saved plans: the CI job or the user, and the state of git."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reconciler.state import FOLDER


def who(root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str | bool]:
    """``job`` (an address) in CI, else ``user``; and ``commit`` if the folder is in a git repository.

    ``dirty`` is set if the folder holds what no commit does: changed files, or new ones that git does not ignore.
    """
    found: dict[str, str | bool] = {**(_job(environ) or {"user": _user()})}
    commit = (
        environ.get("GITHUB_SHA")
        or environ.get("CI_COMMIT_SHA")
        or _git(root, "rev-parse", "--verify", "HEAD")
    )
    if commit:
        found["commit"] = commit
    # What this program keeps beside a catalog is no change of it.
    if _git(root, "status", "--porcelain", "--ignore-submodules=all", "--", ".", f":(exclude){FOLDER}"):
        found["dirty"] = True
    return found


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


def _git(root: Path, *words: str) -> str:
    """What git prints; empty if it fails, or there is none."""
    # Without hooks, pagers, locks or file system monitors, and without keys or GIT_ variables: the folder may be
    # somebody else's. A bare repository inside it could name a commit of its choice, so none is used.
    off = ("core.fsmonitor=false", "safe.bareRepository=explicit")
    settings = [word for one in off for word in ("-c", one)]
    call = ["git", "--no-optional-locks", *settings, "-C", str(root), *words]
    alone = {"PATH": os.environ.get("PATH", os.defpath)}
    try:
        done = subprocess.run(call, capture_output=True, timeout=5, check=False, env=alone)  # noqa: S603 - a fixed command
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""
