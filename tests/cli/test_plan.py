"""``reconciler plan``: what it prints and where, and what it writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from reconciler.disk import write_out
from reconciler.domain import Listing
from reconciler.plan.saved import saved_to_plan
from reconciler.schemas import check_document
from reconciler.server import RunningServer
from tests.cli.conftest import COMMAND, Shell, writes


def test_a_plan_is_shown_and_nothing_is_written(shop: Shell, server: RunningServer) -> None:
    done = shop.run("plan", "shop")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "+ alice" in done.stdout
    assert "Plan: 2 to create, 0 to update, 0 to delete." in done.stdout
    assert "\x1b" not in done.stdout
    assert [one.operation for one in server.log] == ["list_sessions"]
    assert not (shop.root / ".reconciler").exists()


def test_a_plan_as_json_is_the_public_document(shop: Shell, server: RunningServer) -> None:
    document = shop.json("plan", "shop")
    assert check_document(document, "plan") == []
    assert document["endpoint"] == server.url
    assert [one["key"] for one in document["actions"]] == ["alice", "bob"]
    assert document["listing"] == {"calls": 1, "passes": 1, "way": "fast"}


def test_a_plan_says_what_its_listing_took(shop: Shell, server: RunningServer) -> None:
    """A session is deleted while the list is read. The saved plan says it, too; one against a file lists nothing."""
    for number in range(250):
        server.store.insert_session(name=f"chat {number}")
    server.before.append(lambda entry: server.store.delete_session(1) if entry.number == 3 else None)
    document = shop.json("plan", "shop", "--parallelism", "1", "--out", "plan.json")
    assert document["summary"]["unmanaged"] == 249
    assert document["listing"] == {"calls": 4, "passes": 1, "way": "sweep"}
    plan, saved = saved_to_plan((shop.folder / "plan.json").read_bytes(), "plan.json")
    assert plan.listing == Listing(4, 1, "sweep")
    assert saved["listing"] == document["listing"]
    shop.run("snapshot", "list.json")
    assert "listing" not in shop.json("plan", "shop", "--against", "list.json")


def test_a_name_that_many_sessions_have_is_told_in_one_line(shop: Shell, server: RunningServer) -> None:
    for _ in range(7):
        server.store.insert_session(name="Alice")
    canary, note = shop.json("plan", "shop")["notes"]
    assert canary["kind"] == "canary"
    assert "has the same name as #1, #2, #3, #4, #5 or one of 2 more, which is unmanaged" in note["message"]


def test_a_plan_is_written_into_what_is_no_file(shop: Shell) -> None:
    """A pipe, a device, and what the process has open: none of them is replaced by a file."""
    pipe, device = shop.folder / "pipe", shop.folder / "device"
    os.mkfifo(pipe)
    device.symlink_to("/dev/null")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    shop.run("plan", "shop", "--out", "plan.json")
    size = (shop.folder / "plan.json").stat().st_size
    try:
        assert size < 60_000  # it fits into the pipe
        assert shop.run("plan", "shop", "--out", "pipe", "--out-file", "html=device").returncode == 0
        assert json.loads(os.read(reader, 65536))["catalog"] == "bookshop"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and device.is_symlink()
    done = shop.run("plan", "shop", "--format", "json", "--out", "/dev/fd/1")
    saved, shown = (json.loads(text) for text in done.stdout.replace("}\n{", "}\n\0{").split("\0"))
    assert (done.returncode, "digest" in saved, "digest" in shown) == (0, True, False)
    with (shop.folder / "both").open("w") as both:
        both.write("before\n")
        both.flush()
        words = [COMMAND, "plan", "shop", "--out", "/dev/fd/1", "--concise"]
        subprocess.run(words, cwd=shop.folder, env=shop.environment(), stdout=both, check=True)
    text = (shop.folder / "both").read_text()
    assert text.startswith("before\n{") and text.endswith("0 to delete.\n")


def test_a_disk_is_not_written_to(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stat.S_ISBLK", lambda _: True)
    with pytest.raises(OSError, match="it is a block device"):
        write_out(Path("/dev/null"), "plan")


@pytest.mark.parametrize(
    "words", [("plan", "shop", "--out", "-"), ("plan", "shop", "--out-file", "json=-"), ("snapshot", "-")]
)
def test_a_dash_is_no_file(shop: Shell, server: RunningServer, words: tuple[str, ...]) -> None:
    done = shop.run(*words)
    assert (done.returncode, done.stdout, server.log) == (64, "", [])
    assert done.stderr.endswith(
        "'-' is not a file. Use /dev/stdout for stdout, or ./- for a file of that name.\n"
    )
    assert not (shop.folder / "-").exists()


def test_changes_are_an_exit_code_only_where_it_is_asked_for(shop: Shell) -> None:
    assert shop.run("plan", "shop").returncode == 0
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 2
    assert shop.run("plan", "shop", RECONCILER_DETAILED_EXITCODE="1").returncode == 2
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    done = shop.run("plan", "shop", "--detailed-exitcode")
    assert done.returncode == 0
    assert "No changes. The live list matches the catalog." in done.stdout


def test_a_plan_that_a_guard_refuses_is_shown_whole(shop: Shell, server: RunningServer) -> None:
    shop.run("apply", "shop", "--auto-approve")
    shop.write({})
    for words in (("plan", "shop", "--detailed-exitcode"), ("apply", "shop", "--auto-approve")):
        done = shop.run(*words)
        assert done.returncode == 3
        assert "- alice" in done.stdout
        assert "2 to delete" in done.stdout
        assert "--allow-empty" in done.stdout
    document = shop.json("apply", "shop", "--auto-approve", code=3)
    assert [one["guard"] for one in document["refusals"]] == ["allow_empty"]
    assert writes(server) == ["create_session"] * 2
    assert shop.run("apply", "shop", "--auto-approve", "--allow-empty").returncode == 0
    assert server.store.sessions() == []


def test_the_page_says_when_by_which_job_and_from_which_commit_it_was_made(shop: Shell) -> None:
    def page(*words: str, **env: str) -> str:
        return shop.run(*words, "--format", "html", **env).stdout

    def job(text: str) -> list[str]:
        return re.findall('<a href="(http[^"]*)"', text)

    commit = "0123456789abcdef0123456789abcdef01234567"
    ci = {"CI_COMMIT_SHA": commit, "CI_JOB_URL": "https://ci.example/jobs/1"}
    made = page("plan", "shop", **ci)
    assert f'<bdi class="mono" title="{commit}">0123456789ab</bdi>' in made
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ">', made)
    assert job(made) == ["https://ci.example/jobs/1"]
    told = page("plan", "shop", "--commit=fedcba9876543210", "--job-url=https://ci.example/2", **ci)
    assert 'title="fedcba9876543210"' in told
    assert job(told) == ["https://ci.example/2"]
    assert job(page("plan", "shop", "--job-url=", **ci)) == []

    assert shop.run("plan", "shop", "--out", "plan.json", **ci).returncode == 0
    saved = page("show", "plan.json")
    created = json.loads((shop.folder / "plan.json").read_text())["created"]
    assert f'title="{commit}"' in saved
    assert f'<time datetime="{created}">' in saved
    assert job(saved) == ["https://ci.example/jobs/1"]


@pytest.mark.parametrize("flag", [("--commit", "0123456"), ("--job-url", "https://ci.example")])
def test_the_flags_for_html_need_html(shop: Shell, flag: tuple[str, str]) -> None:
    done = shop.run("plan", "shop", "--out-file", "markdown=plan.md", *flag)
    assert (done.returncode, done.stderr) == (
        64,
        f"{flag[0]} is for HTML, and this command writes none\n"
        "      hint: add --format=html, or --out-file=html=FILE\n",
    )


@pytest.mark.parametrize("flag", [("--max-bytes", "5000"), ("--whole", "the artifact")])
def test_the_flags_for_markdown_need_markdown(
    shop: Shell, server: RunningServer, flag: tuple[str, str]
) -> None:
    done = shop.run("plan", "shop", "--out-file", "html=plan.html", *flag)
    assert (done.returncode, done.stdout, done.stderr) == (
        64,
        "",
        f"{flag[0]} is for Markdown, and this command writes none\n"
        "      hint: add --format=markdown, or --out-file=markdown=FILE\n",
    )
    assert server.log == []
    for words in (("--format", "markdown"), ("--out-file", "markdown=plan.md")):
        assert shop.run("plan", "shop", *words, *flag).returncode == 0
    assert shop.run("plan", "shop", RECONCILER_MAX_BYTES="5000", RECONCILER_WHOLE="there").returncode == 0


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "GITLAB_CI", "FORGEJO_ACTIONS", "GITEA_ACTIONS"])
def test_the_log_of_a_ci_system_has_colour(shop: Shell, variable: str) -> None:
    assert "\x1b[" in shop.run("plan", "shop", **{variable: "true"}).stdout
    assert "\x1b[" not in shop.run("plan", "shop", **{variable: "true"}, NO_COLOR="1").stdout
    assert "\x1b[" not in shop.run("plan", "shop", "--no-color", **{variable: "true"}).stdout
    assert "\x1b[" not in shop.run("plan", "shop").stdout
    for form in ("json", "markdown", "html"):
        assert "\x1b[" not in shop.run("plan", "shop", f"--format={form}", **{variable: "true"}).stdout
