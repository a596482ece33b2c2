"""The GitLab template's jobs, run: by sh and by bash, against the embedded server and a stand-in for the forge."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.server import RunningServer
from tests.ci.action import ROOT, stub_tools
from tests.ci.forge import TOKEN, Forge
from tests.ci.test_action import ALICE, BOB, CAROL, write
from tests.ci.test_comment import gitlab
from tests.support import API_KEY

TEMPLATE: dict[str, Any] = yaml.safe_load((ROOT / "ci" / "gitlab" / "reconciler.gitlab-ci.yml").read_text())


class Pipeline:
    """A checkout whose jobs can be run. ``env`` is what GitLab tells them."""

    def __init__(self, folder: Path, forge: Forge, service: RunningServer, shell: str) -> None:
        self.folder, self.service, self.shell = folder, service, shell
        self.checkout = folder / "checkout"
        self.tools = folder / "tools"
        self.tools.mkdir()
        stub_tools(self.tools)
        (folder / "tmp").mkdir()
        write(self.checkout / "shop", ALICE)
        variables = {**TEMPLATE["variables"], "RECONCILER_CI_CATALOG": "shop"}
        self.env = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "TMPDIR": str(folder / "tmp"),
            **variables,
            **gitlab(forge),
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "12",
            "MINDCRAFT_API_KEY": API_KEY,
            "MINDCRAFT_ENDPOINT": service.url,
        }

    def run(self, job: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a job: its scripts one after the other in one shell, as the runner does."""
        assert TEMPLATE[job]["extends"] == ".reconciler"
        scripts = [*TEMPLATE[".reconciler"]["before_script"], *TEMPLATE[job]["script"]]
        return subprocess.run(
            [*self.shell.split(), "-c", "\n".join(scripts)],
            cwd=self.checkout,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def artifacts(self, job: str) -> list[str]:
        """The files that GitLab would keep."""
        found: list[Path] = []
        for path in TEMPLATE[job]["artifacts"]["paths"]:
            there = self.checkout / path
            found += [one for one in there.rglob("*") if one.is_file()] if there.is_dir() else [there]
        return sorted(str(one.relative_to(self.checkout)) for one in found if one.exists())

    @property
    def names(self) -> list[str]:
        return sorted(one.name for one in self.service.store.sessions())


@pytest.fixture(params=["sh -e", "bash -e -o pipefail"])
def pipeline(
    tmp_path: Path, forge: Forge, service: RunningServer, request: pytest.FixtureRequest
) -> Pipeline:
    return Pipeline(tmp_path, forge, service, request.param)


def test_a_merge_request_gets_one_note_that_follows_it(pipeline: Pipeline, forge: Forge) -> None:
    done = pipeline.run("reconciler:plan")
    assert done.returncode == 0, done.stderr
    assert "**1 to create, 0 to update, 0 to delete.**" in forge.comments[0]["body"]
    write(pipeline.checkout / "shop", ALICE, BOB)
    assert pipeline.run("reconciler:plan").returncode == 0
    assert len(forge.comments) == 1
    assert "**2 to create, 0 to update, 0 to delete.**" in forge.comments[0]["body"]
    assert pipeline.artifacts("reconciler:plan") == ["reconciler-ci/plan.html"]
    page = (pipeline.checkout / "reconciler-ci" / "plan.html").read_text()
    assert "0123456789ab<" in page
    assert 'href="https://gitlab.example/bookshop/personas/-/jobs/42"' in page
    assert API_KEY not in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert pipeline.names == []


def test_legs_of_a_pipeline_have_a_note_and_an_artifact_each(pipeline: Pipeline, forge: Forge) -> None:
    """Two catalogs of one name, another endpoint, and two values of a variable: jobs of one ``parallel:matrix``."""
    write(pipeline.checkout / "second" / "shop", ALICE, BOB)
    other = pipeline.service.url.replace("127.0.0.1", "localhost")
    legs: list[dict[str, str]] = [
        {"RECONCILER_CI_CATALOG": "shop"},
        {"RECONCILER_CI_CATALOG": "second/shop"},
        {"RECONCILER_CI_CATALOG": "shop", "MINDCRAFT_ENDPOINT": other},
        {"RECONCILER_CI_CATALOG": "shop", "RECONCILER_VAR": "city=Wien"},
        {"RECONCILER_CI_CATALOG": "shop", "RECONCILER_VAR": "city=上海"},
    ]
    for pushes in (1, 2):
        for leg in legs:
            done = pipeline.run("reconciler:plan", CI_PIPELINE_ID=str(pushes), **leg)
            assert (done.returncode, done.stderr) == (0, "")
    assert len(forge.comments) == len(legs) == len({one["body"].split("\n")[0] for one in forge.comments})
    assert forge.writes == ["POST"] * len(legs) + ["PUT"] * len(legs)
    assert "**2 to create," in forge.comments[1]["body"]
    # One leg that fails says so in its own note.
    (pipeline.checkout / "second" / "shop" / "catalog.yaml").write_text("version: 2\n")
    assert pipeline.run("reconciler:plan", CI_PIPELINE_ID="3", **legs[1]).returncode == 1
    assert [number for number, one in enumerate(forge.comments) if "[!WARNING]" in one["body"]] == [1]
    for job in ("reconciler:plan", "reconciler:apply", "reconciler:drift"):
        # A job's name contains the values of its leg.
        assert TEMPLATE[job]["artifacts"]["name"] == "$CI_JOB_NAME_SLUG"


def test_without_a_token_the_plan_is_an_artifact(pipeline: Pipeline, forge: Forge) -> None:
    done = pipeline.run("reconciler:plan", GITLAB_TOKEN="")
    assert (done.returncode, forge.calls) == (0, [])
    assert "The plan is in reconciler-ci/plan.md." in done.stderr
    assert pipeline.artifacts("reconciler:plan") == ["reconciler-ci/plan.html"]


def test_a_fork_is_validated(pipeline: Pipeline, forge: Forge, service: RunningServer) -> None:
    done = pipeline.run("reconciler:plan", CI_MERGE_REQUEST_SOURCE_PROJECT_ID="99", MINDCRAFT_API_KEY="")
    assert done.returncode == 0
    assert done.stdout == (
        "bookshop: 1 session, all valid.\nOnly validated: there is no key in a merge request from a fork.\n"
    )
    assert (forge.calls, service.log) == ([], [])


def test_a_broken_catalog_fails(pipeline: Pipeline, service: RunningServer) -> None:
    (pipeline.checkout / "shop" / "catalog.yaml").write_text("version: 2\n")
    for job in ("reconciler:plan", "reconciler:apply", "reconciler:drift"):
        assert pipeline.run(job).returncode == 1
    assert service.log == []


def test_the_default_branch_is_applied(pipeline: Pipeline) -> None:
    done = pipeline.run("reconciler:apply", RECONCILER_AGAINST="snapshot.json")
    assert done.returncode == 0, done.stderr
    assert pipeline.names == ["Alice"]
    write(pipeline.checkout / "shop", ALICE.replace("kind", "calm"))
    assert pipeline.run("reconciler:apply", RECONCILER_MAX_DELETES="3").returncode == 0
    kept = pipeline.artifacts("reconciler:apply")
    assert "reconciler-ci/plan.html" in kept
    assert "reconciler-ci/state/journal.jsonl" in kept
    assert [one for one in kept if one.startswith("reconciler-ci/archive/")]
    assert not any("plan.json" in one for one in kept)
    before = len(pipeline.service.log)
    assert pipeline.run("reconciler:apply").returncode == 0
    assert {entry.operation for entry in pipeline.service.log[before:]} == {"list_sessions"}


def test_a_refused_plan_is_not_applied(pipeline: Pipeline) -> None:
    write(pipeline.checkout / "shop", ALICE, BOB, CAROL)
    pipeline.run("reconciler:apply")
    write(pipeline.checkout / "shop", ALICE)
    assert pipeline.run("reconciler:apply").returncode == 3
    assert pipeline.names == ["Alice", "Bob", "Carol"]
    assert pipeline.run("reconciler:apply", RECONCILER_MAX_DELETES="2").returncode == 0
    assert pipeline.names == ["Alice"]


def test_drift_fails_the_schedule(pipeline: Pipeline, service: RunningServer) -> None:
    pipeline.run("reconciler:apply")
    assert pipeline.run("reconciler:drift").returncode == 0
    service.store.update_session(service.store.sessions()[0].session_id, prompt="Be rude.")
    done = pipeline.run("reconciler:drift")
    assert done.returncode == 2
    assert "rude" in done.stdout


def test_it_is_installed_where_it_is_not_there(pipeline: Pipeline, tmp_path: Path) -> None:
    """PATH holds what the scripts need and no reconciler."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for tool in ("mktemp", "rm", "mkdir", "cat", "cp", "env"):
        found = next(Path(p, tool) for p in os.environ["PATH"].split(":") if Path(p, tool).exists())
        (bare / tool).symlink_to(found)
    (bare / "python3").symlink_to(pipeline.tools / "python3")
    pipeline.shell = "/bin/" + pipeline.shell
    done = pipeline.run("reconciler:plan", PATH=str(bare))
    assert (done.returncode, done.stdout) == (
        1,
        "There is no reconciler in this image: set RECONCILER_CI_IMAGE or RECONCILER_CI_PACKAGE (see docs/ci.md).\n",
    )
    done = pipeline.run("reconciler:plan", PATH=str(bare), RECONCILER_CI_PACKAGE="$(touch pwned) x.whl")
    assert done.returncode == 0, done.stderr
    assert (pipeline.tools / "pip.txt").read_text().splitlines() == [
        *("-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "$(touch pwned) x.whl")
    ]
    assert not list(tmp_path.rglob("pwned"))


def test_the_checkout_does_not_choose_where_things_go(pipeline: Pipeline, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (pipeline.checkout / "reconciler-ci").symlink_to(elsewhere)
    (pipeline.checkout / "shop" / ".reconciler").symlink_to(elsewhere)
    assert pipeline.run("reconciler:apply").returncode == 0
    assert list(elsewhere.iterdir()) == []
    assert "reconciler-ci/plan.html" in pipeline.artifacts("reconciler:apply")


@pytest.mark.parametrize("job", [name for name in TEMPLATE if name.startswith("reconciler:")])
def test_artifacts_are_for_members_alone(job: str) -> None:
    assert TEMPLATE[job]["artifacts"]["access"] == "developer"
    assert TEMPLATE[job]["artifacts"]["when"] == "always"
