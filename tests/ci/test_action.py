"""``action.yml``, run: its shell by bash, against the embedded server and a stand-in for the forge."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.server import RunningServer
from tests.ci.action import ROOT, Runner, commands_in, interrupt
from tests.ci.forge import TOKEN, Forge
from tests.support import API_KEY

CATALOG = """\
version: 1
catalog: bookshop
policy: {max_deletes: 1}
"""
ALICE = "alice: {name: Alice, model: deepseek-chat, prompt: Be kind.}"
BOB = "bob: {name: Bob, model: deepseek-chat, prompt: Be brief.}"
CAROL = "carol: {name: Carol, model: deepseek-chat, prompt: Be quick.}"

VALIDATED = ["Prepare", "Set up Python", "Install", "Validate"]
NOT_VALID = [*VALIDATED, "Say that there is no plan"]
PLANNED = [*VALIDATED, "Plan", "Show the plan", "Collect the plan", "Keep the plan"]
APPLIED = [*PLANNED, "Apply", "Collect the archives", "Keep the archives"]

Start = Callable[..., Runner]


def write(folder: Path, *sessions: str) -> None:
    """A catalog of these sessions."""
    (folder / "sessions").mkdir(parents=True, exist_ok=True)
    (folder / "catalog.yaml").write_text(CATALOG)
    lines = "".join(f"  {one}\n" for one in sessions)
    (folder / "sessions" / "all.yaml").write_text(f"sessions:\n{lines}" if lines else "sessions: {}\n")


@pytest.fixture
def start(tmp_path: Path, forge: Forge, service: RunningServer) -> Start:
    """Makes runners whose checkout holds the catalog ``shop`` with Alice in it."""

    def make(
        event_name: str, ref: str = "refs/heads/main", *, fork: bool = False, private: bool = True
    ) -> Runner:
        github = {
            "event_name": event_name,
            "ref": ref,
            "repository": "bookshop/personas",
            "actor": "lery",
            "sha": "0123456789abcdef0123456789abcdef01234567",
            "run_id": "42",
            "run_attempt": "1",
            "server_url": "https://github.example",
            "api_url": forge.url,
            "token": TOKEN,
        }
        event: dict[str, Any] = {"repository": {"default_branch": "main", "private": private}}
        if event_name.startswith("pull_request"):
            head = {"repo": {"full_name": "stranger/personas" if fork else "bookshop/personas"}}
            event |= {"number": 7, "pull_request": {"head": {"sha": github["sha"], **head}}}
        if event_name == "schedule":
            event = {"schedule": "0 6 * * *"}
        runner = Runner(tmp_path, github, event, {"MINDCRAFT_ENDPOINT": service.url})
        write(runner.workspace / "shop", ALICE)
        return runner

    return make


def names(service: RunningServer) -> list[str]:
    return [one.name for one in service.store.sessions()]


def calls(service: RunningServer) -> list[str]:
    return [entry.operation for entry in service.log]


# Plan


def test_validate_needs_neither_key_nor_network(start: Start, service: RunningServer) -> None:
    done = start("push").run(command="validate", catalog="shop")
    assert done.ran == VALIDATED
    assert "bookshop: 1 session, all valid." in done.log
    assert done.summary == "### The catalog is valid\n\n    bookshop: 1 session, all valid.\n\n"
    assert (done.failed, done.commands, service.log) == ("", [], [])
    assert done.outputs["exit-code"] == "0"
    assert done.outputs["changes"] == ""


def test_problems_are_said_at_their_lines(start: Start, service: RunningServer) -> None:
    runner = start("pull_request")
    write(runner.workspace / "shop" / "a,b", "alice: {name: 100%, temprature: 1, prompt: Be kind.}")
    (runner.workspace / "shop" / "a,b" / "catalog.yaml").write_text('version: 1\ncatalog: "a:b"\n')
    done = runner.run(catalog="./shop/a,b", api_key=API_KEY)
    assert (done.ran, done.failed, done.outputs["exit-code"]) == (NOT_VALID, "Validate", "1")
    assert done.commands[0].startswith("::error file=shop/a%2Cb/catalog.yaml,line=2,col=10::")
    assert done.commands[1].startswith("::error file=shop/a%2Cb/sessions/all.yaml,line=2,col=")
    assert "temprature" in done.commands[1]
    assert service.log == []


def test_a_pull_request_gets_one_comment_that_follows_it(
    start: Start, forge: Forge, service: RunningServer
) -> None:
    runner = start("pull_request")
    first = runner.run(catalog="shop", api_key=API_KEY)
    assert (first.ran, first.failed) == (PLANNED, "")
    assert {name: first.outputs[name] for name in ("exit-code", "changes")} == {
        "exit-code": "2",
        "changes": "true",
    }
    assert "**1 to create, 0 to update, 0 to delete.**" in forge.comments[0]["body"]
    assert set(calls(service)) == {"list_sessions"}
    assert API_KEY not in first.log
    assert TOKEN not in first.log

    write(runner.workspace / "shop", ALICE, BOB)
    second = runner.run(catalog="shop", api_key=API_KEY)
    assert second.failed == ""
    assert len(forge.comments) == 1
    assert "**2 to create, 0 to update, 0 to delete.**" in forge.comments[0]["body"]
    assert forge.comments[0]["body"].endswith(
        "For commit `0123456789ab`, made by [this job](https://github.example/bookshop/personas/actions/runs/42).\n"
    )
    assert [command.split("::")[1] for command in second.commands] == ["notice title=Plan for bookshop"]


def test_a_commit_that_can_not_be_planned_is_said_above_the_earlier_plan(start: Start, forge: Forge) -> None:
    runner = start("pull_request")
    assert runner.run(catalog="shop", api_key=API_KEY).failed == ""
    later = runner.github["sha"] = runner.event["pull_request"]["head"]["sha"] = "b" * 40
    forge.head = later
    write(runner.workspace / "shop", "alice: {name: Alice, temprature: 1, prompt: Be kind.}")
    assert runner.run(catalog="./shop/", api_key=API_KEY).failed == "Validate"
    assert len(forge.comments) == 1
    body = forge.comments[0]["body"]
    assert (
        "> **Commit `bbbbbbbbbbbb` could not be planned.** The plan below is for commit `0123456789ab`."
        in body
    )
    assert "temprature" in body
    assert "**1 to create, 0 to update, 0 to delete.**" in body

    write(runner.workspace / "shop", ALICE)
    assert runner.run(catalog="shop", api_key="wrong").failed == "Plan"
    assert "temprature" not in forge.comments[0]["body"]
    assert "could not be planned" in forge.comments[0]["body"]
    done = runner.run(catalog="shop", api_key=API_KEY)
    assert (done.failed, "could not be planned" in forge.comments[0]["body"]) == ("", False)


def test_a_cancelled_plan_does_not_leave_the_earlier_one_as_it_is(
    start: Start, forge: Forge, service: RunningServer
) -> None:
    runner = start("pull_request")
    assert runner.run(catalog="shop", api_key=API_KEY).failed == ""
    listing, cancelled = threading.Event(), threading.Event()

    def hold(entry: Any) -> None:
        listing.set()
        cancelled.wait(60)

    def cancel(process: subprocess.Popen[bytes]) -> None:
        listing.wait(60)
        interrupt(process)
        cancelled.set()

    service.after.append(hold)
    runner.meanwhile = ("Plan", cancel)
    done = runner.run(catalog="shop", api_key=API_KEY)
    assert (done.failed, done.outputs["exit-code"]) == ("Plan", "130")
    assert "could not be planned" in forge.comments[0]["body"]
    assert "### No plan" in done.summary


def test_legs_have_comments_and_artifacts_of_their_own(
    start: Start, forge: Forge, service: RunningServer
) -> None:
    runner = start("pull_request")
    write(runner.workspace / "second", ALICE, BOB)
    for folder in ("shop", "second", "shop"):
        runner.run(catalog=folder, api_key=API_KEY)
    assert [one["body"].count("to create") for one in forge.comments] == [1, 1]
    for city in ("Wien", "上海"):
        done = runner.run(catalog="shop", api_key=API_KEY, catalog_flags=f"--var=city={city}")
        (name,) = done.artifacts
        assert re.fullmatch(r"reconciler-bookshop-[0-9]+-plan", name)
    assert len(forge.comments) == 4
    done = runner.run(catalog="shop", api_key=API_KEY, endpoint=service.url, comment_key="shop")
    assert list(done.artifacts) != [name]
    assert done.outputs["artifact"] == next(iter(done.artifacts))
    assert forge.comments[-1]["body"].startswith("<!-- reconciler comment key=shop ")


def test_the_name_of_an_environment_is_in_that_of_its_artifact(start: Start) -> None:
    runner = start("pull_request")
    (runner.workspace / "shop" / "catalog.yaml").write_text(CATALOG + "environments: {staging: {}}\n")
    done = runner.run(catalog="shop", api_key=API_KEY, catalog_flags="--env=staging")
    assert list(done.artifacts) == ["reconciler-bookshop-staging-plan"]


def test_a_merge_queue_is_planned_in_the_summary(start: Start, forge: Forge) -> None:
    runner = start("merge_group", "refs/heads/gh-readonly-queue/main/pr-7-abc")
    done = runner.run(catalog="shop", api_key=API_KEY)
    assert (done.failed, forge.calls) == ("", [])
    assert "**1 to create, 0 to update, 0 to delete.**" in done.summary


def test_a_review_updates_the_comment(start: Start, forge: Forge) -> None:
    runner = start("pull_request_review")
    del runner.event["number"]
    runner.event["pull_request"]["number"] = 7
    assert runner.run(catalog="shop", api_key=API_KEY).failed == ""
    assert len(forge.comments) == 1


def test_a_token_of_another_account_is_a_warning(start: Start, forge: Forge) -> None:
    forge.account = "persona-bot"
    done = start("pull_request").run(catalog="shop", api_key=API_KEY)
    warning = (
        "::warning title=reconciler::The token belongs to persona-bot, and its comments were not looked for"
    )
    assert any(command.startswith(warning) for command in done.commands)


def test_a_calm_plan_needs_no_new_comment_where_none_is_wanted(start: Start, forge: Forge) -> None:
    runner = start("pull_request")
    write(runner.workspace / "shop")
    done = runner.run(catalog="shop", api_key=API_KEY, comment_only_if_changes="true")
    assert (done.failed, forge.comments) == ("", [])
    assert "**No changes.**" in done.summary


def test_the_artifact_holds_the_page_and_the_plan_only_when_asked(start: Start) -> None:
    runner = start("pull_request")
    done = runner.run(catalog="shop", api_key=API_KEY)
    assert list(done.artifacts["reconciler-bookshop-plan"]) == ["plan.html"]
    done = runner.run(catalog="shop", api_key=API_KEY, save_plan="true", artifact_name="shop")
    assert list(done.artifacts["shop-plan"]) == ["plan.html", "plan.json"]
    done = runner.run(catalog="shop", api_key=API_KEY, save_plan="true", artifact="false")
    assert list(done.artifacts["reconciler-bookshop-plan"]) == ["plan.json"]
    done = runner.run(catalog="shop", api_key=API_KEY, artifact="false")
    assert done.artifacts == {}


def test_no_comment_when_none_is_wanted(start: Start, forge: Forge) -> None:
    done = start("pull_request").run(catalog="shop", api_key=API_KEY, comment="false")
    assert (done.failed, forge.calls) == ("", [])
    assert "### Plan for catalog `bookshop`" in done.summary


def test_without_a_pull_request_the_plan_is_in_the_summary(start: Start, forge: Forge) -> None:
    done = start("push", "refs/heads/else").run(catalog="shop", api_key=API_KEY)
    assert (done.failed, forge.calls) == ("", [])
    assert "### Plan for catalog `bookshop`" in done.summary


def test_a_refused_plan_is_shown_and_fails(start: Start, forge: Forge, service: RunningServer) -> None:
    runner = start("push")
    write(runner.workspace / "shop", ALICE, BOB, CAROL)
    assert runner.run(command="apply", catalog="shop", api_key=API_KEY).failed == ""
    write(runner.workspace / "shop", ALICE)
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert (done.ran, done.failed) == ([*PLANNED, "Verdict"], "Verdict")
    assert done.outputs["exit-code"] == "3"
    assert done.commands[0].startswith("::error title=Plan refused")
    assert "Refused" in done.summary
    assert sorted(names(service)) == ["Alice", "Bob", "Carol"]
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY, plan_flags="\n  --max-deletes=2\n\n")
    assert (done.failed, names(service)) == ("", ["Alice"])


STRICT = """\
version: 1
catalog: bookshop
policy: {max_deletes: 0, max_updates: 0, max_changes: 0, on_conflict: fail}
"""
PROTECTED = "bob: {name: Bob, model: deepseek-chat, prompt: Be brief., lifecycle: {prevent_destroy: true}}"


def strict(runner: Runner, service: RunningServer) -> None:
    """An update with a conflict and a protected delete, where the policy allows nothing."""
    write(runner.workspace / "shop", ALICE.replace("kind", "calm"))
    (runner.workspace / "shop" / "catalog.yaml").write_text(STRICT)
    alice = next(one for one in service.store.sessions() if one.name == "Alice")
    service.store.update_session(alice.session_id, prompt="Be rude.")


def empty(runner: Runner, service: RunningServer) -> None:
    """A catalog without sessions."""
    write(runner.workspace / "shop")


def renamed(runner: Runner, service: RunningServer) -> None:
    """A catalog of another name."""
    (runner.workspace / "shop" / "catalog.yaml").write_text("version: 1\ncatalog: library\n")


@pytest.mark.parametrize(
    ("change", "flags", "left"),
    [
        (
            strict,
            {
                "--max-deletes=1",
                "--max-updates=1",
                "--max-changes=2",
                "--allow-destroy=bob",
                "--on-conflict=overwrite",
            },
            ["Alice"],
        ),
        (empty, {"--allow-empty", "--max-deletes=2", "--allow-destroy=bob"}, []),
        (renamed, {"--allow-recreate"}, ["Alice", "Alice", "Bob", "Bob"]),
    ],
)
def test_each_flag_of_a_refusal_can_be_pasted_into_a_shell_and_into_the_inputs(
    start: Start,
    service: RunningServer,
    change: Callable[[Runner, RunningServer], None],
    flags: set[str],
    left: list[str],
) -> None:
    runner = start("push")
    write(runner.workspace / "shop", ALICE, PROTECTED)
    assert runner.run(command="apply", catalog="shop", api_key=API_KEY).failed == ""
    change(runner, service)
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert done.failed == "Verdict"
    # The same in the log, in the summary and in the annotations, each as one word.
    log = re.findall(r"to allow it: (--\S+)$", re.sub(r"\x1b\[[0-9;]*m", "", done.log), re.MULTILINE)
    summary = re.findall(r"To allow it: `(--[^` ]+)`", done.summary)
    annotations = [found for one in done.commands for found in re.findall(r"allow it: (--\S+?)\.?$", one)]
    assert set(log) == set(summary) == set(annotations) == flags

    words = ["plan", "--detailed-exitcode", "--catalog=shop", f"--endpoint={service.url}", *summary]
    shell = subprocess.run(
        ["bash", "-c", " ".join([str(runner.tools / "reconciler"), *words])],
        cwd=runner.workspace,
        env={"PATH": os.environ["PATH"], "MINDCRAFT_API_KEY": API_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shell.returncode, shell.stderr) == (2, "")
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY, plan_flags="\n".join(summary))
    assert (done.failed, sorted(names(service))) == ("", left)


def test_of_a_huge_refused_plan_the_summary_begins_with_the_refusal(
    start: Start, service: RunningServer
) -> None:
    runner = start("push")
    prompt = json.dumps("\n".join(["书" * 150] * 10))
    sessions = [f"p{n}: {{name: P{n}, model: m, prompt: {prompt}}}" for n in range(240)]
    write(runner.workspace / "shop", *sessions)
    flags = "--max-changes=1\n--max-bytes=9000000"
    done = runner.run(catalog="shop", api_key=API_KEY, plan_flags=flags)
    (markdown,) = runner.folder.rglob("plan.md")
    assert (done.failed, markdown.stat().st_size > 1 << 20) == ("Verdict", True)
    assert len(done.summary.encode()) < 1 << 20
    head, rest = done.summary.split("\n#### Creates (240)\n")
    assert "**240 to create, 0 to update, 0 to delete.**" in head
    assert "To allow it: `--max-changes=240`" in head
    assert rest.count("<details") == rest.count("</details>") > 150
    assert rest.endswith("too long for this page: see the log of the job.\n\n")


def test_the_comment_of_a_shortened_plan_names_the_artifact_only_where_there_is_one(
    start: Start, forge: Forge
) -> None:
    runner = start("pull_request")
    write(runner.workspace / "shop", *(f"p{n}: {{name: P{n}, model: m, prompt: '{n}'}}" for n in range(90)))
    for artifact in ("true", "false"):
        runner.run(catalog="shop", api_key=API_KEY, artifact=artifact, plan_flags="--max-bytes=4000")
        (body,) = (one["body"] for one in forge.comments)
        assert "Shortened to fit 4,000 bytes." in body
        assert ("artifact" in body) is (artifact == "true")


def test_why_there_is_no_plan_is_in_the_summary_of_any_command(start: Start, forge: Forge) -> None:
    runner = start("push")
    write(runner.workspace / "shop", "alice: {name: Alice, temprature: 1, prompt: Be kind.}")
    for command in ("plan", "apply", "drift"):
        done = runner.run(command=command, catalog="shop", api_key=API_KEY, comment="false")
        assert (done.ran, done.failed) == (NOT_VALID, "Validate")
        assert done.summary.startswith("### No plan for commit `0123456789ab`\n\n```text\n")
        assert "temprature" in done.summary
    assert forge.calls == []
    (runner.tools / "pip").write_text("#!/bin/sh\nexit 1\n")
    done = runner.run(command="plan", catalog="shop", api_key=API_KEY)
    assert done.failed == "Install"
    assert done.summary == (
        "**Nothing was planned:** reconciler could not be installed, see the log of the job.\n"
    )


def test_a_service_that_does_not_answer_fails_the_plan(start: Start, forge: Forge) -> None:
    done = start("pull_request").run(
        catalog="shop", api_key=API_KEY, endpoint="http://127.0.0.1:9", plan_flags="--retries=0"
    )
    assert (done.failed, done.outputs["exit-code"], done.outputs["changes"]) == ("Plan", "1", "")
    assert (forge.writes, done.artifacts) == ([], {})
    assert done.commands[0].startswith("::error title=reconciler::There is no plan: ")
    assert "### No plan for commit `0123456789ab`" in done.summary


def test_a_missing_key_is_an_error_where_there_should_be_one(start: Start) -> None:
    done = start("pull_request").run(catalog="shop", endpoint="https://api.example.com")
    assert (done.failed, done.outputs["exit-code"]) == ("Plan", "1")
    assert "there is no API key: MINDCRAFT_API_KEY is not set" in done.log


def test_the_key_may_come_from_the_workflows_environment(start: Start) -> None:
    runner = start("pull_request")
    runner.env["MINDCRAFT_API_KEY"] = API_KEY
    assert runner.run(catalog="shop").failed == ""


def test_drift_is_a_failure(start: Start, service: RunningServer) -> None:
    runner = start("schedule")
    assert runner.run(command="apply", catalog="shop", api_key=API_KEY, archives="none").failed == ""
    done = runner.run(command="drift", catalog="shop", api_key=API_KEY)
    assert (done.ran, done.failed, done.outputs["changes"]) == (PLANNED, "", "false")
    alice = service.store.sessions()[0]
    service.store.update_session(alice.session_id, prompt="Be rude.")
    done = runner.run(command="drift", catalog="shop", api_key=API_KEY)
    assert (done.failed, done.outputs["exit-code"], done.outputs["changes"]) == ("Verdict", "2", "true")
    assert "rude" in done.summary


def test_an_environment_of_the_catalog(start: Start, forge: Forge, service: RunningServer) -> None:
    runner = start("pull_request")
    catalog = runner.workspace / "shop" / "catalog.yaml"
    catalog.write_text(CATALOG + "environments: {staging: {}, production: {}}\n")
    for name in ("staging", "production", "staging"):
        done = runner.run(catalog="shop", api_key=API_KEY, catalog_flags=f"--env={name}")
        assert (done.failed, done.outputs["changes"]) == ("", "true")
        assert f"bookshop@{name}: 1 session, all valid." in done.log
    assert [re.findall(r"environment `(\w+)`", one["body"]) for one in forge.comments] == [
        ["staging"],
        ["production"],
    ]

    runner = Runner(runner.folder / "push", {**runner.github, "event_name": "push"}, runner.event, runner.env)
    write(runner.workspace / "shop", ALICE)
    (runner.workspace / "shop" / "catalog.yaml").write_text(catalog.read_text())
    runner.env["RECONCILER_ENV"] = "production"
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert (done.failed, names(service)) == ("", ["Alice"])


# Forks


def test_a_fork_has_no_key_and_is_validated(start: Start, forge: Forge, service: RunningServer) -> None:
    done = start("pull_request", fork=True).run(catalog="shop", api_key="")
    assert (done.ran, done.failed) == (VALIDATED, "")
    assert done.commands == [
        "::notice title=reconciler::Only validated: there is no key in a pull request from a fork."
    ]
    assert (forge.calls, service.log) == ([], [])


def test_nor_has_dependabot(start: Start) -> None:
    runner = start("pull_request")
    runner.github["actor"] = "dependabot[bot]"
    assert runner.run(catalog="shop").ran == VALIDATED


def test_a_fork_can_be_planned_against_a_snapshot(start: Start, forge: Forge, service: RunningServer) -> None:
    runner = start("push")
    assert runner.run(command="apply", catalog="shop", api_key=API_KEY).failed == ""
    command = [str(runner.tools / "reconciler"), "snapshot", "--endpoint", service.url, "snapshot.json"]
    env = {"MINDCRAFT_API_KEY": API_KEY, "PATH": os.environ["PATH"]}
    subprocess.run(command, cwd=runner.workspace, env=env, check=True)
    before = len(service.log)

    forge.read_only = True
    stranger = start("pull_request", fork=True)
    runner.github, runner.event = stranger.github, stranger.event
    write(runner.workspace / "shop", ALICE, BOB)
    runner.env["MINDCRAFT_ENDPOINT"] = "http://127.0.0.1:9"
    done = runner.run(catalog="shop", against="snapshot.json", save_plan="true")
    assert (done.ran, done.failed) == (PLANNED, "")
    assert "**1 to create, 0 to update, 0 to delete.**" in done.summary
    assert "::warning title=reconciler::No comment was posted (403, Resource not accessible" in done.log
    assert (forge.comments, forge.writes, len(service.log)) == ([], ["POST"], before)
    assert list(done.artifacts["reconciler-bookshop-plan"]) == ["plan.html"]


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_pull_request_target_is_refused(start: Start, service: RunningServer, command: str) -> None:
    done = start("pull_request_target", fork=True).run(command=command, catalog="shop", api_key=API_KEY)
    assert (done.ran, done.failed, service.log) == (["Prepare"], "Prepare", [])
    assert done.commands == [
        "::error title=reconciler::does not run on pull_request_target, use pull_request: see docs/ci.md, Forks"
    ]


# Apply


def test_the_default_branch_is_applied_exactly_as_planned(start: Start, service: RunningServer) -> None:
    runner = start("push")
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert (done.ran, done.failed, done.outputs["exit-code"]) == (APPLIED, "", "0")
    assert names(service) == ["Alice"]
    result, plan = done.summary.split("### Apply: exit code 0\n\n")[1].split("<details>")
    assert result == "    Ended: 1 applied.\n    Verified: the live list is what was written.\n\n"
    assert "\n    Plan for catalog bookshop" in plan
    assert re.search(r"\n      created alice #\d+\n", plan)
    page = done.artifacts["reconciler-bookshop-plan"]["plan.html"].decode()
    assert "0123456789ab<" in page
    assert 'href="https://github.example/bookshop/personas/actions/runs/42"' in page
    assert list(done.artifacts["reconciler-bookshop-archive-1"]) == ["archive/journal.jsonl"]
    assert "lock" in " ".join(str(entry.body) for entry in service.log)

    again = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert (again.ran, again.failed, again.outputs["changes"]) == (PLANNED, "", "false")
    assert "No changes" in again.summary


def summary_of(folder: Path, printed: str, code: int = 4) -> str:
    """What the summary holds of an apply that printed this."""
    (folder / "apply.txt").write_text(printed)
    script = f'. "{ROOT}/ci/run.sh"; apply_summary "{folder}/apply.txt" {code}'
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout


PRINTED = """Plan for catalog bookshop

  ~ alice  "Alice"  #1
      ~ prompt
        |   FAILED update nobody
        | - <b>Ended: all well</b>

Plan: 0 to create, 2 to update, 0 to delete.

  updated alice #1
  FAILED update bob #2: the service answers 500
      try again: reconciler apply
  not tried: update carol #3

Ended: 1 applied, 1 failed, 1 not tried.
The live list is not what was written: see above, and plan again.
"""


def test_the_summary_of_an_apply_has_the_result_first_then_what_failed(tmp_path: Path) -> None:
    top, folded = summary_of(tmp_path, PRINTED).split("<details>")
    assert top == (
        "### Apply: exit code 4\n\n"
        "    Ended: 1 applied, 1 failed, 1 not tried.\n"
        "    The live list is not what was written: see above, and plan again.\n\n"
        "**Not done, or not as planned:**\n\n"
        "      FAILED update bob #2: the service answers 500\n"
        "          try again: reconciler apply\n"
        "      not tried: update carol #3\n\n"
    )
    lines = folded.rstrip().splitlines()
    assert (lines[0], lines[-1]) == (
        "<summary>The plan, and everything that the apply printed</summary>",
        "</details>",
    )
    assert lines[2:-2] == [f"    {line}" for line in PRINTED.splitlines()]


def test_the_summary_of_an_apply_without_a_report_begins_with_why(tmp_path: Path) -> None:
    why = "refused: alice has changed since the plan was made\n      hint: plan again\n"
    top, _ = summary_of(tmp_path, f"contract: built in\n\n{why}", 3).split("<details>")
    assert top == "### Apply: exit code 3\n\n    " + why.replace("\n ", "\n     ") + "\n"
    assert "exit code 130" in summary_of(tmp_path, "", 130)


@pytest.mark.parametrize("line", ["x", "", "提示词" * 100, "x" * 5_000, "x" * 3_000_000])
def test_the_summary_of_an_apply_fits_after_indenting(tmp_path: Path, line: str) -> None:
    many = f"{line}\n" * (2_000_000 // (len(line.encode()) + 1) + 1)
    failed = "  FAILED update x: y\n" * 50_000
    text = summary_of(tmp_path, f"{many}\n{failed}\nEnded: 1 failed.\n")
    assert len(text.encode()) < 1 << 20
    assert text.startswith("### Apply: exit code 4\n\n    Ended: 1 failed.\n")
    assert text.endswith("more lines: see the log of the job\n\n</details>\n\n")


def test_without_a_lock(start: Start, service: RunningServer) -> None:
    done = start("push").run(command="apply", catalog="shop", api_key=API_KEY, lock="false")
    assert done.failed == ""
    assert [entry.operation for entry in service.log].count("create_session") == 1


def test_what_was_overwritten_is_in_the_artifact(start: Start, service: RunningServer) -> None:
    runner = start("push")
    runner.run(command="apply", catalog="shop", api_key=API_KEY)
    write(runner.workspace / "shop", ALICE.replace("kind", "calm"))
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    files = done.artifacts["reconciler-bookshop-archive-1"]
    assert [name for name in files if name != "archive/journal.jsonl"]
    assert any(b"Be kind." in content for content in files.values())


@pytest.mark.skipif(shutil.which("gpg") is None, reason="there is no gpg")
def test_the_archives_can_be_encrypted(start: Start, service: RunningServer, tmp_path: Path) -> None:
    passphrase = 'correct "horse" $(battery) staple'
    runner = start("push", private=False)
    runner.run(command="apply", catalog="shop", api_key=API_KEY, archive_passphrase=passphrase)
    write(runner.workspace / "shop", ALICE.replace("kind", "calm"))
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY, archive_passphrase=passphrase)
    assert done.failed == ""
    assert passphrase not in done.log
    files = done.artifacts["reconciler-bookshop-archive-1"]
    assert list(files) == ["archive.tar.gpg"]
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    env = {"PATH": os.environ["PATH"], "GNUPGHOME": str(home)}
    opened = subprocess.run(
        ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase, "--decrypt"],
        input=files["archive.tar.gpg"],
        env=env,
        capture_output=True,
        check=True,
    )
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=True)
    assert b"Be kind." in opened.stdout
    assert b"archive/journal.jsonl" in opened.stdout


@pytest.mark.parametrize("private", [False, None])
def test_chats_do_not_go_to_a_public_artifact(start: Start, service: RunningServer, private: Any) -> None:
    runner = start("push", private=private)
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert (done.ran, done.failed, service.log) == (["Prepare"], "Prepare", [])
    assert done.commands[1] == (
        "::error title=reconciler::archives hold people's chats: set archive-passphrase, or archives: none "
        "(see docs/ci.md)"
    )
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY, archives="none")
    assert (done.failed, list(done.artifacts)) == ("", ["reconciler-bookshop-plan"])


@pytest.mark.parametrize(
    ("event", "ref", "branch"),
    [
        ("pull_request", "refs/pull/7/merge", ""),
        ("pull_request", "refs/heads/main", ""),
        ("workflow_run", "refs/heads/main", ""),
        ("issue_comment", "refs/heads/main", ""),
        ("push", "refs/heads/else", ""),
        ("push", "refs/tags/main", ""),
        ("push", "refs/heads/main", "production"),
    ],
)
def test_nothing_else_is_applied(
    start: Start, service: RunningServer, event: str, ref: str, branch: str
) -> None:
    done = start(event, ref).run(command="apply", catalog="shop", api_key=API_KEY, branch=branch)
    assert (done.ran, done.failed, service.log) == (["Prepare"], "Prepare", [])


def test_another_branch_can_be_named(start: Start, service: RunningServer) -> None:
    runner = start("push", "refs/heads/production")
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY, branch="production")
    assert (done.failed, names(service)) == ("", ["Alice"])


def test_a_plan_of_an_earlier_job(start: Start, service: RunningServer) -> None:
    runner = start("push")
    planned = runner.run(command="plan", catalog="shop", api_key=API_KEY, save_plan="true")
    assert names(service) == []
    (runner.workspace / "plan.json").write_bytes(planned.artifacts["reconciler-bookshop-plan"]["plan.json"])
    write(runner.workspace / "shop", BOB)  # of no interest any more
    runner.env["RECONCILER_MAX_DELETES"] = "1"  # the plan's guards, not the apply's
    done = runner.run(command="apply", api_key=API_KEY, plan_file="plan.json")
    assert done.ran == [*VALIDATED[:3], "Apply", "Collect the archives", "Keep the archives"]
    assert (done.failed, names(service)) == ("", ["Alice"])


def test_a_stale_plan_is_refused(start: Start, service: RunningServer) -> None:
    runner = start("push")
    runner.run(command="apply", catalog="shop", api_key=API_KEY)
    write(runner.workspace / "shop", ALICE.replace("kind", "calm"))
    planned = runner.run(command="plan", catalog="shop", api_key=API_KEY, save_plan="true")
    (runner.workspace / "plan.json").write_bytes(planned.artifacts["reconciler-bookshop-plan"]["plan.json"])
    alice = service.store.sessions()[0]
    service.store.update_session(alice.session_id, prompt="Be rude.")
    done = runner.run(command="apply", api_key=API_KEY, plan_file="plan.json")
    assert (done.failed, done.outputs["exit-code"]) == ("Apply", "3")
    assert service.store.sessions()[0].prompt == "Be rude."


@pytest.mark.usefixtures("installed")  # a signal has to reach it
def test_a_cancelled_apply_stops_in_good_order_and_keeps_its_archives(
    start: Start, service: RunningServer
) -> None:
    runner = start("push")
    write(runner.workspace / "shop", ALICE, BOB, CAROL)
    writing, understood = threading.Event(), threading.Event()

    def hold(entry: Any) -> None:
        if entry.operation == "create_session" and not writing.is_set():
            writing.set()
            understood.wait(60)

    def cancel(process: subprocess.Popen[bytes]) -> None:
        writing.wait(60)
        interrupt(process)
        # Only once the command says that it stops may the write that is under way go on.
        for _ in range(6000):
            if "stopping" in next(runner.folder.rglob("apply.txt")).read_text():
                break
            time.sleep(0.01)
        understood.set()

    service.after.append(hold)
    runner.meanwhile = ("Apply", cancel)
    done = runner.run(
        command="apply", catalog="shop", api_key=API_KEY, lock="false", apply_flags="--parallelism=1"
    )
    assert (done.failed, done.outputs["exit-code"]) == ("Apply", "130")
    assert "### Apply: exit code 130" in done.summary
    assert "archive/journal.jsonl" in done.artifacts["reconciler-bookshop-archive-1"]
    assert names(service) == ["Alice"]


# What is not to be trusted


def test_inputs_are_data(start: Start, service: RunningServer, tmp_path: Path) -> None:
    runner = start("push")
    hostile = "$(touch pwned)`touch pwned`; touch pwned #'\""
    write(runner.workspace / hostile, ALICE)
    done = runner.run(
        command="apply",
        catalog=hostile,
        api_key=API_KEY,
        plan_flags=f"--whole={hostile}\n  --concise  ",
        artifact_name=hostile,
    )
    assert (done.failed, names(service)) == ("", ["Alice"])
    for name in ("command", "branch", "archives", "endpoint", "comment_author", "lock", "plan_file"):
        runner.run(**{"command": "apply", "catalog": "shop", "api_key": API_KEY, name: f"-h\n{hostile}"})
    assert not list(tmp_path.rglob("pwned"))


def test_a_catalog_does_not_speak_to_the_runner(start: Start, service: RunningServer) -> None:
    runner = start("push")
    hostile = "\\n::set-output name=a::b\\n::add-mask::e\\n##[group]x\\r::stop-commands::x\\n::error::x"
    write(
        runner.workspace / "shop",
        f'alice: {{name: "::error::{hostile}", model: "::warning::{hostile}", prompt: "{hostile}"}}',
    )
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert (done.failed, len(names(service))) == ("", 1)
    assert [re.match(r"::(\w+) title=[^:]*::", one)[0] for one in done.commands] == [  # type: ignore[index]
        "::notice title=Plan for bookshop::"
    ]
    (runner.workspace / "shop" / "sessions" / "all.yaml").write_text(
        f'sessions: {{"{hostile}": {{"{hostile}": 1}}}}'
    )
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert done.failed == "Validate"
    assert all(one.startswith("::error file=shop/sessions/all.yaml,line=1,col=") for one in done.commands)
    assert done.commands


def test_the_checkouts_own_state_folder_is_left_alone(start: Start, service: RunningServer) -> None:
    runner = start("push")
    (runner.workspace / "shop" / ".reconciler").symlink_to("/nowhere")
    done = runner.run(command="apply", catalog="shop", api_key=API_KEY)
    assert (done.failed, names(service)) == ("", ["Alice"])


def test_only_the_steps_that_speak_to_the_service_see_the_key() -> None:
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    seeing = [
        one["name"] for one in steps if any("inputs.api-key }" in str(v) for v in one.get("env", {}).values())
    ]
    assert seeing == ["Plan", "Apply"]
    seeing = [one["name"] for one in steps if "inputs.archive-passphrase }" in str(one.get("env"))]
    assert seeing == ["Collect the archives"]


def test_it_installs_from_its_own_checkout(start: Start) -> None:
    runner = start("push")
    runner.run(command="validate", catalog="shop", python_version="")
    runner.run(command="validate", catalog="shop")
    assert re.fullmatch(
        r"(-I -m venv --clear \S+/temp/reconciler-venv\n){2}", (runner.tools / "python3.txt").read_text()
    )
    quiet = ("-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    assert (runner.tools / "pip.txt").read_text().splitlines() == [
        *(*quiet, "--require-hashes", "--only-binary=:all:"),
        *(f"--requirement={ROOT}/requirements/{name}.txt" for name in ("build", "runtime")),
        *(*quiet, "--no-index", "--no-deps", "--no-build-isolation", str(ROOT)),
    ] * 2


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"command": "destroy"}, "command must be validate, plan, apply or drift"),
        ({"archives": "nowhere"}, "archives must be artifact or none"),
        ({"plan_file": "plan.json"}, "plan-file is for command: apply"),
        ({"command": "drift", "against": "x.json"}, "against is for command: plan"),
    ],
)
def test_inputs_that_make_no_sense(start: Start, inputs: dict[str, str], said: str) -> None:
    done = start("push").run(catalog="shop", api_key=API_KEY, **inputs)
    assert (done.ran, done.commands) == (["Prepare"], [f"::error title=reconciler::{said}"])


_TEST = "tests: [{name: brief, ask: Hi, expect: [{max_characters: 9}]}]"


def test_the_behaviour_tests_of_a_plan_are_in_its_comment(start: Start, service: RunningServer) -> None:
    from reconciler.server.chat import Rule

    service.chat.script = [Rule("", "Be brief", ("Hello.",)), Rule("", "", ("Good evening.",))]
    runner = start("push")
    write(runner.workspace / "shop", f"alice: {{name: Alice, model: m, prompt: Be brief., {_TEST}}}")
    assert not runner.run(command="apply", catalog="shop", api_key=API_KEY, archives="none").failed
    write(runner.workspace / "shop", f"alice: {{name: Alice, model: m, prompt: Tell a story., {_TEST}}}")
    done = runner.run(catalog="shop", api_key=API_KEY, tests="true")
    assert "#### Behaviour tests: 1 regressed" in done.summary
    assert "::warning title=1 test regressed::alice: brief: regressed" in done.commands
    assert "Behaviour tests" not in runner.run(catalog="shop", api_key=API_KEY).summary


def test_without_a_key_no_test_is_run_and_that_is_said(start: Start, service: RunningServer) -> None:
    runner = start("push")
    write(runner.workspace / "shop", f"alice: {{name: Alice, model: m, prompt: Be brief., {_TEST}}}")
    snapshot = {"endpoint": service.url, "sessions": []}
    (runner.workspace / "live.json").write_text(json.dumps(snapshot))
    done = runner.run(catalog="shop", against="live.json", tests="true")
    assert any("No behaviour test was run" in one for one in done.commands)


# ci/run.sh


def bash(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", f'. "{ROOT}/ci/run.sh"\n{script}'],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_passes_on_output_and_exit_code(tmp_path: Path) -> None:
    done = bash('run out.txt sh -c "echo ::error::a; echo b >&2; exit 7"; echo "code $code"', tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "out.txt").read_text() == "::error::a\nb\n"
    assert commands_in(done.stdout) == []
    assert done.stdout.splitlines()[1:3] == ["::error::a", "b"]
    assert done.stdout.endswith("::\ncode 7\n")


def test_run_says_when_there_is_no_such_command(tmp_path: Path) -> None:
    done = bash('run out.txt ./nothing; echo "code $code"', tmp_path)
    assert done.stdout.endswith("code 127\n")


def test_flags_are_lines(tmp_path: Path) -> None:
    (tmp_path / "flags.txt").write_text("\n  --a=b c  \n\n\t--d='$(x)'\\\r\n-- *")
    done = bash('flags "$(cat flags.txt)"; printf "<%s>\\n" "${flags[@]}"', tmp_path)
    assert done.stdout.splitlines() == ["<--a=b c>", "<--d='$(x)'\\>", "<-- *>"]


def test_no_flags(tmp_path: Path) -> None:
    assert bash('flags ""; echo "${#flags[@]}"', tmp_path).stdout == "0\n"


def test_a_file_name_with_colons_gets_its_annotation(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text(
        "sessions/a:b 1:2.yaml:3:5: no such field\nsessions/c.yaml:7:1: x:1:2: y\n"
    )
    done = bash('annotate out.txt shop "Not valid"', tmp_path)
    assert done.stdout.splitlines() == [
        "::error file=shop/sessions/a%3Ab 1%3A2.yaml,line=3,col=5::no such field",
        "::error file=shop/sessions/c.yaml,line=7,col=1::x:1:2: y",
    ]


def test_an_error_without_a_place_is_an_annotation_too(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("Error: 100% wrong\nhint\n")
    done = bash('annotate out.txt shop "There is no plan"', tmp_path)
    assert done.stdout == "::error title=reconciler::There is no plan: Error: 100%25 wrong\n"


@pytest.mark.parametrize("number", ["TERM", "INT"])
def test_a_signal_that_comes_before_the_command_is_ready_cancels_it(tmp_path: Path, number: str) -> None:
    done = bash(
        f'mkfifo() {{ command mkfifo "$1"; kill -{number} $$; }}\nrun out.txt sleep 60; echo "code $code"',
        tmp_path,
    )
    assert done.stdout.endswith("code 130\n")
