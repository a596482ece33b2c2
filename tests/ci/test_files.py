"""The files that CI systems read: checked by their schemas and linters, and for what each must and must not contain."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.server import RunningServer
from tests.ci.action import ROOT, stub_tools
from tests.ci.forge import TOKEN, Forge
from tests.ci.test_action import ALICE, write
from tests.ci.test_comment import github
from tests.support import API_KEY

WORKFLOWS = sorted((ROOT / "examples" / "ci" / "github").glob("*.yml"))
GITLAB = [
    ROOT / "ci" / "gitlab" / "reconciler.gitlab-ci.yml",
    ROOT / "examples" / "ci" / "gitlab" / ".gitlab-ci.yml",
]
FORGEJO = ROOT / "examples" / "ci" / "forgejo" / "pull-request.yml"
ACTION = ROOT / "action.yml"
DOCS = ROOT / "docs" / "ci.md"


def read(path: Path) -> Any:
    """A YAML file as GitHub reads it: ``on`` is a text."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def tool(name: str, *arguments: object, stdin: str = "") -> None:
    """Run a tool of the development environment; it must find nothing."""
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def steps(path: Path) -> Iterator[dict[str, Any]]:
    document = read(path)
    if "runs" in document:
        yield from document["runs"]["steps"]
    for job in document.get("jobs", {}).values():
        yield from job["steps"]


# Schemas and linters


def test_the_action_is_one() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", ACTION)


@pytest.mark.parametrize("path", [*WORKFLOWS, FORGEJO], ids=lambda path: path.name)
def test_workflows_are_workflows(path: Path) -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
    tool("check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout", path)


@pytest.mark.parametrize("path", GITLAB, ids=lambda path: path.name)
def test_gitlab_files_are_such(path: Path) -> None:
    schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    tool("check-jsonschema", *schema, path)


def test_no_known_weakness_of_actions_is_in_them() -> None:
    config = ROOT / "tests" / "ci" / "zizmor.yml"
    tool("zizmor", "--offline", "--no-progress", "--persona=pedantic", "--config", config, ACTION, *WORKFLOWS)


def test_the_shell_of_actions_and_workflows() -> None:
    for path in (ACTION, *WORKFLOWS, FORGEJO):
        for step in steps(path):
            if "run" in step:
                script = step["run"].replace("$GITHUB_ACTION_PATH/ci/run.sh", "ci/run.sh")
                tool(
                    "shellcheck", "--shell=bash", "--external-sources", "--severity=style", "-", stdin=script
                )
    tool("shellcheck", "ci/run.sh")


def test_the_shell_of_gitlab() -> None:
    template = read(GITLAB[0])
    before = "\n".join(template[".reconciler"]["before_script"])
    for job in template.values():
        if "extends" in job:
            tool("shellcheck", "--shell=sh", "-", stdin=before + "\n".join(job["script"]))


def test_the_dockerfile() -> None:
    tool("hadolint", "--failure-threshold=style", "Dockerfile")


# What they must and must not say


def test_nothing_is_interpolated_into_shell() -> None:
    """What stands in ``${{ }}`` becomes a part of the script, whoever wrote it."""
    for path in (ACTION, *WORKFLOWS, FORGEJO):
        for step in steps(path):
            assert "${{" not in step.get("run", ""), step


def test_other_peoples_actions_are_pinned_to_commits() -> None:
    for path in (ACTION, *WORKFLOWS):
        used = re.findall(r"uses: (\S+)(.*)", path.read_text())
        assert used
        for name, comment in used:
            if not name.startswith("your-org/reconciler@v1"):
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", name)
                assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


def test_one_commit_an_action() -> None:
    text = "".join(path.read_text() for path in (ACTION, *WORKFLOWS))
    used = re.findall(r"uses: (actions/[\w-]+)@(.*)", text)
    assert len(set(used)) == len({name for name, _ in used})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_do_the_least(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["cancel-in-progress"] == ("false" if "deploy" in path.name else "true")
    triggers = workflow["on"] if isinstance(workflow["on"], dict) else {workflow["on"]: None}
    assert triggers.keys() <= {"pull_request", "merge_group", "push", "schedule", "workflow_dispatch"}
    for job in workflow["jobs"].values():
        writes = {name for name, access in job["permissions"].items() if access != "read"}
        assert writes == ({"pull-requests"} if path.name == "pull-request.yml" else set())
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false"


def test_where_forks_are_planned_there_is_no_secret() -> None:
    assert "secrets." not in (ROOT / "examples/ci/github/fork.yml").read_text()


def test_workflows_use_inputs_and_outputs_that_there_are() -> None:
    action = read(ACTION)
    for path in WORKFLOWS:
        ours = [step for step in steps(path) if step.get("uses", "").startswith("your-org/reconciler@")]
        assert ours
        for step in ours:
            assert step["with"].keys() <= action["inputs"].keys()
            for output in re.findall(
                rf"steps\.{step.get('id', 'none')}\.outputs\.([\w-]+)", path.read_text()
            ):
                assert output in action["outputs"]


def test_flags_in_workflows_are_flags() -> None:
    from reconciler.cli.commands.apply import command as apply
    from reconciler.cli.commands.plan import command as plan

    for path in WORKFLOWS:
        for step in steps(path):
            for name, command in (("plan-flags", plan), ("apply-flags", apply)):
                for line in step.get("with", {}).get(name, "").splitlines():
                    assert line.split("=")[0] in {flag for one in command.params for flag in one.opts}


def test_the_documentation_lists_every_input_and_output() -> None:
    text = DOCS.read_text(encoding="utf-8")
    action = read(ACTION)
    for name, one in action["inputs"].items():
        default = one.get("default", "")
        shown = "the job's own" if "${{" in default else f"`{default}`" if default else ""
        assert f"| `{name}` | {shown} | {one['description']} |\n" in text
    for name, one in action["outputs"].items():
        assert f"| `{name}` | {one['description']} |\n" in text
    for path in (*WORKFLOWS, FORGEJO, *GITLAB):
        assert str(path.relative_to(ROOT)) in text


def test_the_documentation_shows_the_examples_as_they_are() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    files = [re.sub(r"\A(#.*\n)+", "", path.read_text()) for path in (*WORKFLOWS, GITLAB[1])]
    whole = [block for block in shown if re.match(r"name:|include:", block)]
    assert len(whole) == 3
    for block in whole:
        assert block in files


def test_the_first_ten_minutes_work_as_written(tmp_path: Path) -> None:
    stub_tools(tmp_path)
    block = next(re.finditer(r"```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))[1]
    (tmp_path / "repository").mkdir()
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "NO_COLOR": "1"}
    command = ["bash", "-e", "-c", block]
    done = subprocess.run(
        command, cwd=tmp_path / "repository", env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bookshop: 1 session, all valid.\n")
    assert "1 to create, 0 to update, 0 to delete" in done.stdout


def test_the_script_for_other_systems_works_as_written(tmp_path: Path, service: RunningServer) -> None:
    stub_tools(tmp_path)
    block = re.findall(r"```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[-1]
    write(tmp_path / "repository", ALICE)
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "MINDCRAFT_API_KEY": API_KEY,
        "MINDCRAFT_ENDPOINT": service.url,
    }
    for _ in range(2):
        subprocess.run(["sh", "-e", "-c", block], cwd=tmp_path / "repository", env=env, check=True)
    assert [one.name for one in service.store.sessions()] == ["Alice"]
    assert (tmp_path / "repository" / "plan.html").exists()


def test_every_input_says_what_it_is() -> None:
    action = read(ACTION)
    for one in (*action["inputs"].values(), *action["outputs"].values()):
        assert one["description"].endswith(".")
    used = set(re.findall(r"inputs\.([\w-]+)", ACTION.read_text()))
    assert used == set(action["inputs"])


# The rest of the examples' shell


def test_the_snapshot_of_the_example(service: RunningServer, tmp_path: Path) -> None:
    stub_tools(tmp_path)
    step = next(one for one in steps(ROOT / "examples/ci/github/snapshot.yml") if "run" in one)
    assert step["env"].keys() == {"RECONCILER", "MINDCRAFT_API_KEY"}
    env = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(tmp_path),
        "RECONCILER": str(tmp_path / "reconciler"),
        "MINDCRAFT_API_KEY": API_KEY,
        "MINDCRAFT_ENDPOINT": service.url,
    }
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], env=env, check=True, cwd=tmp_path)
    assert '"sessions": []' in (tmp_path / "snapshot.json").read_text()


@pytest.fixture
def forgejo(service: RunningServer, forge: Forge, tmp_path: Path) -> Callable[..., Any]:
    """Runs the example for Forgejo, on a repository ``bookshop/personas.git`` and a stand-in for its API."""
    forge.account = "forgejo-actions"
    repository = tmp_path / "bookshop" / "personas.git"
    write(repository, ALICE)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.example", "-C", str(repository)]
    stub_tools(tmp_path)
    (step,) = steps(FORGEJO)

    def run(**env: str) -> subprocess.CompletedProcess[str]:
        for words in (
            "init --quiet",
            "add --all",
            "commit --quiet --allow-empty -m x",
            "update-ref refs/pull/7/head HEAD",
        ):
            subprocess.run([*git, *words.split()], check=True)
        commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
        job = github(
            forge,
            tmp_path,
            GITHUB_API_URL=f"{forge.url}/api/v1",
            GITHUB_SERVER_URL=f"file://{tmp_path}",
            GITHUB_RUN_NUMBER="9",
            FORGEJO_ACTIONS="true",
        )
        event = {"number": 7, "pull_request": {"head": {"sha": commit}}}
        (tmp_path / "event.json").write_text(json.dumps(event))
        given = {
            "CATALOG": ".",
            "COMMIT": commit,
            "PULL": "refs/pull/7/head",
            "TOKEN": job.pop("GITHUB_TOKEN"),
        }
        given |= {"MINDCRAFT_API_KEY": API_KEY}
        assert step["env"].keys() == given.keys()
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            env={**path, **job, **given, "MINDCRAFT_ENDPOINT": service.url, **env},
            capture_output=True,
            text=True,
            check=False,
        )

    run.repository = repository  # type: ignore[attr-defined]
    return run


def test_the_example_for_forgejo(forgejo: Any, forge: Forge, service: RunningServer) -> None:
    done = forgejo()
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("#issuecomment-501\n")
    assert "**1 to create, 0 to update, 0 to delete.**" in forge.comments[0]["body"]
    assert TOKEN not in done.stdout + done.stderr
    # A later commit can't be planned.
    (forgejo.repository / "catalog.yaml").write_text("version: 2\n")
    done = forgejo()
    assert done.returncode == 1
    (one,) = forge.comments
    assert "could not be planned.**" in one["body"]
    assert "catalog.yaml:1:10" in one["body"]
    assert "**1 to create," in one["body"]
    assert "\x1b" not in one["body"].replace("\\x1b", "!")
    # A fork has no key.
    calls = len(service.log)
    (forgejo.repository / "catalog.yaml").unlink()
    write(forgejo.repository, ALICE)
    done = forgejo(MINDCRAFT_API_KEY="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Only validated: there is no key in a pull request from a fork.\n")
    assert len(service.log) == calls
    assert service.store.sessions() == []


@pytest.mark.parametrize(("found", "code"), [("4711", 0), ("", 1)])
def test_the_newest_snapshot_is_found(tmp_path: Path, found: str, code: int) -> None:
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/asked"\necho {found}\n')
    gh.chmod(0o755)
    step = next(one for one in steps(ROOT / "examples/ci/github/fork.yml") if "run" in one)
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REPOSITORY": "bookshop/personas",
        "BRANCH": "$(touch pwned)",
    }
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]], env=env, cwd=tmp_path, check=False
    )
    assert done.returncode == code
    assert "--branch $(touch pwned) --status success" in (tmp_path / "asked").read_text()
    assert (tmp_path / "output").exists() == (code == 0)
    if code == 0:
        assert (tmp_path / "output").read_text() == "run=4711\n"


# pre-commit and Docker


def test_the_pre_commit_hook(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"], hook["pass_filenames"]) == ("reconciler-validate", "python", False)
    stub_tools(tmp_path)
    shutil.copytree(ROOT / "examples" / "bookshop", tmp_path / "bookshop")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [*hook["entry"].split(), "bookshop"]
    assert subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode == 0
    write(tmp_path / "bookshop", ALICE, "bob: {}")
    assert subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode == 1


def test_the_image_is_made_of_what_the_package_needs(tmp_path: Path) -> None:
    """Docker copies what .dockerignore lets through; pip builds the package from that alone."""
    text = (ROOT / "Dockerfile").read_text()
    copied = {
        name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for name in line.split()
    }
    let_through = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == let_through
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed |= {*wheel["packages"], *wheel["force-include"], "requirements"}
    assert needed == copied


def test_the_image_does_not_run_as_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["65534:65534"]
