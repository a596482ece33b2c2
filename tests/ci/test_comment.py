"""The comment on a pull or merge request: run as the command, against a stand-in for the forge."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.ci.api import ForbiddenError, PassingError
from reconciler.ci.comment import comment_key, put_comment
from reconciler.ci.forge import this_request
from reconciler.ci.summary import SUMMARY, excerpt
from reconciler.errors import ReconcilerError
from reconciler.render.markdown import marker
from tests import warm
from tests.ci.forge import TOKEN, Fault, Forge

MARKER = marker("bookshop", None)
PLAN = f"{MARKER}\n### Plan for catalog `bookshop`\n\n**1 to create, 0 to update, 0 to delete.**\n"
FOOTER = (
    "\n\n---\n\nFor commit `0123456789ab`, made by "
    "[this job](https://github.example/bookshop/personas/actions/runs/42).\n"
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "a" * 40


def stamp(commit: str = COMMIT, run: str = "42.1", key: str = MARKER, plan: str = "") -> str:
    """A comment's first line."""
    return f"<!-- reconciler comment key={comment_key(key)} commit={commit} plan={plan or commit} run={run} -->\n"


BODY = stamp() + PLAN.rstrip("\n") + FOOTER


def github(forge: Forge, folder: Path, **changes: str) -> dict[str, str]:
    """The environment of a job for pull request 7."""
    event = {"number": 7, "pull_request": {"head": {"sha": "0123456789abcdef0123456789abcdef01234567"}}}
    (folder / "event.json").write_text(json.dumps(event))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": forge.url,
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": "bookshop/personas",
        "GITHUB_RUN_ID": "42",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_SHA": "f" * 40,
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_TOKEN": TOKEN,
        **changes,
    }


def gitlab(forge: Forge, **changes: str) -> dict[str, str]:
    """The environment of a job for merge request 7."""
    return {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{forge.url}/api/v4",
        "CI_PROJECT_ID": "99",
        "CI_MERGE_REQUEST_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_PROJECT_URL": "https://gitlab.example/bookshop/personas",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_COMMIT_SHA": "0123456789abcdef0123456789abcdef01234567",
        "CI_JOB_URL": "https://gitlab.example/bookshop/personas/-/jobs/42",
        "GITLAB_TOKEN": TOKEN,
        **changes,
    }


def comment(
    folder: Path, env: dict[str, str], plan: str = PLAN, *flags: str
) -> subprocess.CompletedProcess[str]:
    file = folder / "plan.md"
    file.write_text(plan)
    return warm.run(["comment", *flags, str(file)], cwd=folder, env={"PATH": os.environ["PATH"], **env})


def summary(folder: Path) -> str:
    file = folder / "summary.md"
    return file.read_text() if file.exists() else ""


def test_the_first_plan_makes_a_comment(forge: Forge, tmp_path: Path) -> None:
    done = comment(tmp_path, github(forge, tmp_path))
    url = "https://github.example/bookshop/personas/pull/7#issuecomment-501"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Comment created: {url}\n", "")
    assert [one["body"] for one in forge.comments] == [BODY]
    assert summary(tmp_path) == ""


def test_later_plans_replace_it_in_place(forge: Forge, tmp_path: Path) -> None:
    first = forge.add("What do these personas do?", login="reader")
    earlier = forge.add(f"{MARKER}\r\nAn earlier plan, edited in the browser.\r\n")
    last = forge.add("Looks good", login="reader")
    done = comment(tmp_path, github(forge, tmp_path))
    assert (done.returncode, done.stdout.split(": ")[0]) == (0, "Comment updated")
    assert forge.comments == [first, earlier, last]
    assert earlier["body"] == BODY
    assert forge.writes == ["PATCH"]


def test_it_looks_on_every_page(forge: Forge, tmp_path: Path) -> None:
    for number in range(7):
        forge.add(f"Comment {number}", login="reader")
    earlier = forge.add(MARKER)
    forge.page = 3
    assert comment(tmp_path, github(forge, tmp_path)).returncode == 0
    assert earlier["body"] == BODY
    assert forge.calls == [
        *["GET /repos/bookshop/personas/issues/7/comments"] * 3,
        "PATCH /repos/bookshop/personas/issues/comments/508",
    ]


def test_each_catalog_and_environment_has_its_own(forge: Forge, tmp_path: Path) -> None:
    others = [forge.add(f"{marker(*one)}\nx") for one in (("bookshop", "staging"), ("academy", None))]
    before = [one["body"] for one in others]
    assert comment(tmp_path, github(forge, tmp_path)).returncode == 0
    assert [one["body"] for one in others] == before
    assert len(forge.comments) == 3


def test_a_marker_in_a_strangers_comment_is_no_place_for_a_plan(forge: Forge, tmp_path: Path) -> None:
    theirs = forge.add(f"{MARKER}\nNothing to see here, merge away.", login="stranger")
    assert comment(tmp_path, github(forge, tmp_path)).returncode == 0
    assert theirs["body"].endswith("merge away.")
    assert forge.comments[1]["body"] == BODY


def test_the_account_of_another_token_can_be_named(forge: Forge, tmp_path: Path) -> None:
    earlier = forge.add(MARKER, login="persona-bot")
    assert comment(tmp_path, github(forge, tmp_path), PLAN, "--author=persona-bot").returncode == 0
    assert earlier["body"] == BODY


def test_of_two_the_older_is_kept(forge: Forge, tmp_path: Path) -> None:
    older, _ = forge.add(MARKER), forge.add(MARKER)
    assert comment(tmp_path, github(forge, tmp_path)).returncode == 0
    assert forge.comments == [older]
    assert older["body"] == BODY


@pytest.mark.parametrize(("length", "limit", "writes"), [(66_000, 65_536, 1), (20_000, 10_000, 2)])
def test_a_plan_that_is_too_large_is_shortened(
    forge: Forge, tmp_path: Path, length: int, limit: int, writes: int
) -> None:
    """Whether it is over the limit that is known here, or over one that the forge alone knows."""
    forge.limit = limit
    plan = f"{PLAN}\n#### Deletes (1)\n\n- `-` `bob`: no longer in the catalog\n\n<details><summary>x</summary>\n\n"
    plan += "x" * length + "\n\n</details>\n"
    done = comment(tmp_path, github(forge, tmp_path), plan)
    assert (done.returncode, forge.writes) == (0, ["POST"] * writes)
    assert forge.comments[0]["body"] == (
        f"{stamp()}{PLAN}\n#### Deletes (1)\n\n- `-` `bob`: no longer in the catalog\n\n"
        f"The rest of this plan is too long for a comment: it is in the job, see below.{FOOTER}"
    )
    assert summary(tmp_path) == plan + "\n"


def test_characters_are_counted_and_not_bytes(forge: Forge, tmp_path: Path) -> None:
    plan = f"{PLAN}\n{'书' * 65_000}\n"
    assert comment(tmp_path, github(forge, tmp_path), plan).returncode == 0
    assert forge.comments[0]["body"] == stamp() + plan.rstrip("\n") + FOOTER


def test_where_it_is_forbidden_the_plan_is_in_the_summary(forge: Forge, tmp_path: Path) -> None:
    forge.read_only = True
    done = comment(tmp_path, github(forge, tmp_path))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "No comment was posted (403, Resource not accessible by integration): give the job the permission to write "
        "comments (pull-requests: write); a fork's job can't have it. The plan is in the job's summary.\n"
    )
    assert summary(tmp_path).startswith(PLAN + "\nNo comment was posted")


def test_a_locked_conversation_is_no_failure_either(forge: Forge, tmp_path: Path) -> None:
    forge.faults = [Fault("POST", 403, "Unable to create comment because issue is locked.")]
    done = comment(tmp_path, github(forge, tmp_path))
    assert done.returncode == 0
    assert "unlock the conversation, and run the job again" in done.stderr
    assert summary(tmp_path).startswith(PLAN)


def test_without_a_token(forge: Forge, tmp_path: Path) -> None:
    done = comment(tmp_path, github(forge, tmp_path, GITHUB_TOKEN=""))
    assert (done.returncode, forge.calls) == (0, [])
    assert "GITHUB_TOKEN is empty" in done.stderr
    assert summary(tmp_path).startswith(PLAN)


def test_without_a_pull_request(forge: Forge, tmp_path: Path) -> None:
    env = github(forge, tmp_path)
    (tmp_path / "event.json").write_text('{"ref": "refs/heads/main", "number": 7}')
    done = comment(tmp_path, env)
    assert (done.returncode, done.stdout, forge.calls) == (0, "", [])
    assert (
        done.stderr
        == "This job does not run for a pull or merge request. The plan is in the job's summary.\n"
    )
    assert summary(tmp_path) == PLAN + "\n"


@pytest.mark.parametrize("status", [403, 429])
def test_a_rate_limit_is_waited_for(forge: Forge, tmp_path: Path, status: int) -> None:
    message = "You have exceeded a secondary rate limit."
    forge.faults = [
        Fault("GET", status, message, {"Retry-After": "0"}),
        Fault("POST", status, message, {"Retry-After": "0"}),
    ]
    assert comment(tmp_path, github(forge, tmp_path)).returncode == 0
    assert [one["body"] for one in forge.comments] == [BODY]


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3600"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}]
)
def test_a_long_rate_limit_is_not(forge: Forge, tmp_path: Path, headers: dict[str, str]) -> None:
    forge.faults = [Fault("GET", 403, "API rate limit exceeded", headers)]
    done = comment(tmp_path, github(forge, tmp_path))
    assert (done.returncode, len(forge.calls)) == (0, 1)
    assert done.stderr == (
        "No comment was posted (403, API rate limit exceeded): run the job again later. "
        "The plan is in the job's summary.\n"
    )
    assert summary(tmp_path).startswith(PLAN)


def test_a_comment_whose_answer_was_lost_is_not_made_twice(forge: Forge, tmp_path: Path) -> None:
    forge.faults = [Fault("POST", 502, "Bad gateway", {"Retry-After": "0"}, worked=True)]
    done = comment(tmp_path, github(forge, tmp_path))
    assert (done.returncode, forge.writes) == (0, ["POST", "PATCH"])
    assert [one["body"] for one in forge.comments] == [BODY]


def test_a_comment_that_goes_meanwhile_is_made_again(forge: Forge, tmp_path: Path) -> None:
    forge.add(MARKER)
    forge.faults = [Fault("PATCH", 404, "Not Found", then=forge.comments.clear)]
    assert comment(tmp_path, github(forge, tmp_path)).returncode == 0
    assert (forge.writes, [one["body"] for one in forge.comments]) == (["PATCH", "POST"], [BODY])


@pytest.mark.parametrize(
    ("changes", "fault", "said"),
    [
        ({"GITHUB_TOKEN": "ghs_wr0ng"}, None, "401, Bad credentials"),
        ({"GITHUB_REPOSITORY": "bookshop/other"}, None, "404, Not Found"),
        ({"GITHUB_API_URL": "http://forge.example"}, None, "would send the token in clear over a network"),
        ({"GITHUB_REPOSITORY": "../../user"}, None, "GITHUB_REPOSITORY is '../../user'"),
        ({"GITHUB_EVENT_PATH": "/nowhere.json"}, None, "GITHUB_EVENT_PATH can't be read"),
    ],
)
def test_what_is_set_up_wrongly_is_an_error(
    forge: Forge, tmp_path: Path, changes: dict[str, str], fault: Fault | None, said: str
) -> None:
    forge.faults = [fault] if fault else []
    done = comment(tmp_path, github(forge, tmp_path, **changes))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert summary(tmp_path) == PLAN + "\n"
    assert forge.comments == []


def test_no_part_of_a_token_is_left_where_a_message_is_cut(forge: Forge, tmp_path: Path) -> None:
    forge.faults = [Fault("GET", 400, "x" * 295 + TOKEN)]
    assert TOKEN[:5] not in comment(tmp_path, github(forge, tmp_path)).stderr


def test_tokens_and_commands_of_the_forge_do_not_reach_the_log(forge: Forge, tmp_path: Path) -> None:
    forge.faults = [Fault("GET", 400, f"::error::{TOKEN}\n::set-output name=a::b\x1b[2J")]
    done = comment(tmp_path, github(forge, tmp_path))
    assert done.returncode == 1
    assert TOKEN not in done.stderr
    assert "\x1b" not in done.stderr
    assert not any(line.lstrip().startswith("::") for line in done.stderr.splitlines())


@pytest.mark.parametrize(
    "text", ["", "# A plan\n", " " + PLAN, "<!-- reconciler plan a --> <script>\n", "x" * 70_000]
)
def test_only_plans_are_shown(forge: Forge, tmp_path: Path, text: str) -> None:
    done = comment(tmp_path, github(forge, tmp_path), text)
    assert (done.returncode, forge.calls) == (1, [])
    assert "this is no plan in Markdown" in done.stderr


REFUSED = (
    f"{MARKER}\n### Plan for catalog `bookshop`\n\n**0 to create, 0 to update, 900 to delete.**\n\n"
    "> [!CAUTION]\n> **Refused: apply will not carry out this plan.**\n>\n"
    "> - `max_deletes`: 900 deletes, and the policy allows 5. To allow it: `--max-deletes=900`\n"
)
FOLD = (
    "<details><summary>- <b><code>p%d</code></b></summary>\n\n- `prompt`: 1 line\n\n"
    "  ````diff\n  -```\n\n  -</details> %s\n  ````\n\n</details>\n"
)


@pytest.mark.parametrize("letter", ["x", "书"])
def test_a_summary_stays_in_what_github_takes_and_begins_with_the_result(
    forge: Forge, tmp_path: Path, letter: str
) -> None:
    forge.read_only = True
    folds = [FOLD % (n, letter * 40_000) for n in range(40)]
    done = comment(tmp_path, github(forge, tmp_path), "\n".join([REFUSED, "#### Deletes (900)\n", *folds]))
    assert done.returncode == 0
    text = summary(tmp_path)
    assert len(text.encode()) < 1 << 20
    # The result, then why there is no comment, then as many sessions as fit, each of them whole.
    before, after = text.split("\n#### Deletes (900)\n\n")
    head, said = before.split("\n\nNo comment was posted ")
    assert head + "\n" == REFUSED
    assert said.startswith("(403, Resource not accessible by integration): give the job the permission")
    *kept, left_out = after.removesuffix("\n\n").split("\n\n<details>")
    assert len(kept) == (24 if letter == "x" else 8) - 1
    assert left_out.endswith(
        "</details>\n\nThe rest of this plan is too long for this page: see the log of the job."
    )
    assert text.count("\n</details>\n") == len(kept) + 1


def test_a_summary_of_one_block_that_is_too_long_is_its_result(forge: Forge, tmp_path: Path) -> None:
    forge.read_only = True
    comment(tmp_path, github(forge, tmp_path), f"{PLAN}\n#### Updates (1)\n\n```\n{'x' * SUMMARY}\n```\n")
    why, heading, left_out = summary(tmp_path).removeprefix(PLAN + "\n").rstrip("\n").split("\n\n")
    assert why.startswith("No comment was posted")
    assert heading == "#### Updates (1)"
    assert left_out == "The rest of this plan is too long for this page: see the log of the job."


def test_a_job_that_wants_no_comment_has_the_plan_in_its_summary(forge: Forge, tmp_path: Path) -> None:
    env = github(forge, tmp_path)
    done = comment(tmp_path, env, PLAN, "--no-comment")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "The plan is in the job's summary.\n"
    assert summary(tmp_path) == PLAN + "\n"
    assert not_planned(tmp_path, env, WHY, "--no-comment").returncode == 0
    assert (
        summary(tmp_path)
        .removeprefix(PLAN + "\n")
        .startswith("### No plan for commit `0123456789ab`\n\n````text\nsessions/a.yaml:3:5: ")
    )
    assert forge.calls == []


@pytest.mark.parametrize("length", [10, 5_000, 80_000])
def test_a_shortened_plan_is_short_and_keeps_its_marker(length: int) -> None:
    short = excerpt(f"{MARKER}\n{'x' * length}\n\n{'y' * length}\n", 4_000, "The rest is elsewhere.")
    assert short.startswith(MARKER + "\n")
    assert len(short) < 4_100
    assert short.endswith("The rest is elsewhere.") == (length > 10)


# GitLab


def test_a_merge_request(forge: Forge, tmp_path: Path) -> None:
    forge.page = 2
    for number in range(5):
        forge.add(f"{MARKER}\nNote {number}", login="reader")
    done = comment(tmp_path, gitlab(forge))
    url = "https://gitlab.example/bookshop/personas/-/merge_requests/7#note_506"
    assert (done.returncode, done.stdout) == (0, f"Comment created: {url}\n")
    assert comment(tmp_path, gitlab(forge), PLAN.replace("1 to create", "2 to create")).stdout == (
        f"Comment updated: {url}\n"
    )
    assert len(forge.comments) == 6
    assert forge.comments[5]["body"] == (
        stamp(run="0.0")
        + PLAN.replace("1 to create", "2 to create").rstrip("\n")
        + "\n\n---\n\nFor commit `0123456789ab`, made by "
        "[this job](https://gitlab.example/bookshop/personas/-/jobs/42).\n"
    )
    assert forge.writes == ["POST", "PUT"]


def test_no_line_of_a_note_is_a_quick_action(forge: Forge, tmp_path: Path) -> None:
    comment(tmp_path, gitlab(forge), f"{PLAN}\n/merge\n  /approve\na/b\n")
    assert "\n&#47;merge\n  &#47;approve\na/b\n" in forge.comments[0]["body"]


def test_a_merge_request_without_a_token(forge: Forge, tmp_path: Path) -> None:
    done = comment(tmp_path, gitlab(forge, GITLAB_TOKEN=""))
    assert (done.returncode, forge.calls) == (0, [])
    assert done.stderr == (
        "No comment was posted (GITLAB_TOKEN is empty, and without a token nobody may comment). "
        f"The plan is in {tmp_path}/plan.md.\n"
    )


def test_a_note_that_is_too_large_is_shortened(forge: Forge, tmp_path: Path) -> None:
    forge.limit = 5_000
    assert comment(tmp_path, gitlab(forge), f"{PLAN}\n{'x' * 6_000}\n").returncode == 0
    assert len(forge.comments[0]["body"]) < 1_000


# What would take long


def test_a_forge_that_stays_away_is_tried_four_times(tmp_path: Path, forge: Forge) -> None:
    env = github(forge, tmp_path, GITHUB_API_URL="http://127.0.0.1:9")
    request = this_request(env, author="github-actions[bot]")
    assert request is not None
    slept: list[float] = []
    with pytest.raises(PassingError, match=r"127\.0\.0\.1 does not answer: ConnectionError"):
        put_comment(request, PLAN, sleep=slept.append)
    assert slept == [1.0, 2.0, 4.0]


def test_a_forge_that_takes_a_minute_to_fail_is_not_tried_again(
    tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.faults = [Fault("GET", 503, "away")] * 9
    clock = itertools.count(step=61)
    monkeypatch.setattr("reconciler.ci.comment.time", SimpleNamespace(monotonic=lambda: next(clock)))
    request = this_request(github(forge, tmp_path))
    assert request is not None
    with pytest.raises(PassingError):
        put_comment(request, PLAN, sleep=lambda _: None)
    assert len(forge.calls) == 1


def test_a_text_that_stays_too_large_is_an_error(tmp_path: Path, forge: Forge) -> None:
    forge.limit = 10
    request = this_request(github(forge, tmp_path), author="github-actions[bot]")
    assert request is not None
    with pytest.raises(ReconcilerError, match="the forge does not take the comment: 422, Validation Failed"):
        put_comment(request, PLAN)


@pytest.mark.parametrize(
    "links", ["http://127.0.0.1:9", "https://FORGE.example", "http://forge.internal:3000"]
)
def test_the_next_page_is_looked_for_at_our_own_address(forge: Forge, tmp_path: Path, links: str) -> None:
    """A forge behind a proxy links to itself under another scheme, port or name. The token does not go there."""
    forge.page, forge.links = 1, links
    earlier = [forge.add("Looks good", login="reader"), forge.add(f"{MARKER}\nx")][1]
    assert comment(tmp_path, github(forge, tmp_path)).returncode == 0
    assert earlier["body"] == BODY


def test_a_job_with_neither_is_no_request() -> None:
    assert this_request({}, author="x") is None
    with pytest.raises(ForbiddenError):
        this_request({"CI_MERGE_REQUEST_IID": "7"}, author="x")


# One comment a plan


def test_each_key_has_its_own_comment(forge: Forge, tmp_path: Path) -> None:
    """Catalogs of one name in two folders, two endpoints, two values of a variable."""
    env = github(forge, tmp_path)
    for key in ("shops/a\n--var=city=上海", "shops/b", "shops/a\n--var=city=上海"):
        assert comment(tmp_path, env, PLAN, f"--key={key}").returncode == 0
    assert forge.writes == ["POST", "POST", "PATCH"]
    assert len({one["body"].split("\n")[0] for one in forge.comments}) == 2


def test_a_comment_of_an_earlier_version_is_taken_over_by_a_key(forge: Forge, tmp_path: Path) -> None:
    earlier = forge.add(f"{MARKER}\nAn earlier plan.")
    for _ in range(2):
        assert comment(tmp_path, github(forge, tmp_path), PLAN, "--key=shop").returncode == 0
    assert forge.comments == [earlier]
    assert earlier["body"].startswith(stamp(key="shop"))
    assert comment(tmp_path, github(forge, tmp_path), PLAN, "--key=other").returncode == 0
    assert len(forge.comments) == 2


@pytest.mark.parametrize(
    ("account", "author"),
    [("Persona-Bot", "persona-bot"), ("personas[bot]", "personas"), ("personas[bot]", "Personas[bot]")],
)
def test_an_account_is_known_in_any_spelling(forge: Forge, tmp_path: Path, account: str, author: str) -> None:
    forge.account = account
    for _ in range(2):
        assert comment(tmp_path, github(forge, tmp_path), PLAN, f"--author={author}").stderr == ""
    assert forge.writes == ["POST", "PATCH"]


def test_a_person_named_like_an_app_is_somebody_else(forge: Forge, tmp_path: Path) -> None:
    forge.add(f"{MARKER}\nmerge away", login="personas")
    forge.account = "personas[bot]"
    assert comment(tmp_path, github(forge, tmp_path), PLAN, "--author=personas[bot]").returncode == 0
    assert forge.writes == ["POST"]


def test_a_token_of_another_account_says_so_and_makes_no_pile(forge: Forge, tmp_path: Path) -> None:
    forge.account = "persona-bot"
    for _ in range(3):
        done = comment(tmp_path, github(forge, tmp_path))
        assert done.returncode == 0
        assert done.stderr == (
            "The token belongs to persona-bot, and its comments were not looked for: set comment-author, or "
            "reconciler comment --author, to persona-bot.\n"
        )
        assert len(forge.comments) == 1
    assert comment(tmp_path, github(forge, tmp_path), PLAN, "--author=persona-bot").stderr == ""


# Old plans do not stand as current


def test_a_job_for_an_older_commit_keeps_the_plan_of_a_newer_one(forge: Forge, tmp_path: Path) -> None:
    newer = forge.add(f"{stamp('b' * 40, run='50.1')}{PLAN}")
    body = newer["body"]
    forge.head = "b" * 40
    done = comment(tmp_path, github(forge, tmp_path))
    assert (done.returncode, done.stdout) == (0, f"Comment kept: {newer['html_url']} shows a newer commit.\n")
    assert newer["body"] == body
    assert summary(tmp_path) == PLAN + "\n"
    # The branch was reset to the older commit: its plan is the current one, although it is of an earlier run.
    forge.head = COMMIT
    assert comment(tmp_path, github(forge, tmp_path)).stdout.startswith("Comment updated: ")
    assert newer["body"] == BODY


def test_where_the_newest_commit_is_not_known_the_later_run_wins(forge: Forge, tmp_path: Path) -> None:
    there = forge.add(f"{stamp(OLDER, run='41.3')}{PLAN}")
    assert comment(tmp_path, github(forge, tmp_path)).stdout.startswith("Comment updated: ")
    there["body"] = f"{stamp(OLDER, run='43.1')}{PLAN}"
    assert comment(tmp_path, github(forge, tmp_path)).stdout.startswith("Comment kept: ")
    there["body"] = f"{stamp(run='42.2')}{PLAN}"
    assert comment(tmp_path, github(forge, tmp_path)).stdout.startswith("Comment kept: ")


def not_planned(folder: Path, env: dict[str, str], why: str, *flags: str) -> subprocess.CompletedProcess[str]:
    (folder / "why.txt").write_text(why)
    words = ["comment", f"--not-planned={folder / 'why.txt'}", *flags]
    return warm.run(words, cwd=folder, env={"PATH": os.environ["PATH"], **env})


WHY = "sessions/a.yaml:3:5: `max_tokens` must be a whole number\n```\n::error::x\x1b[2J\n"
BANNER = (
    "<!-- reconciler banner -->\n> [!WARNING]\n"
    "> **Commit `0123456789ab` could not be planned.** The plan below is for commit `aaaaaaaaaaaa`. "
    "[This job](https://github.example/bookshop/personas/actions/runs/42) says why.\n>\n"
    "> ````text\n> sessions/a.yaml:3:5: `max_tokens` must be a whole number\n> ```\n> \\x3a:error::x\\x1b[2J\n> ````\n"
    "<!-- end of banner -->\n\n"
)


def test_a_commit_that_can_not_be_planned_is_said_above_the_plan(forge: Forge, tmp_path: Path) -> None:
    old = f"{PLAN.rstrip()}\n\n---\n\nFor commit `aaaaaaaaaaaa`.\n"
    there = forge.add(stamp(OLDER, "41.1", "shop") + old)
    for _ in range(2):  # however often the job runs
        done = not_planned(tmp_path, github(forge, tmp_path), WHY, "--key=shop")
        assert (done.returncode, done.stderr) == (0, "")
        assert there["body"] == stamp(COMMIT, "42.1", "shop", OLDER) + BANNER + old
    assert summary(tmp_path).startswith(
        "### No plan for commit `0123456789ab`\n\n````text\nsessions/a.yaml:3:5: "
    )
    # A job that runs again for the commit whose plan is below.
    there["body"] = stamp(COMMIT, "41.1", "shop") + old
    not_planned(tmp_path, github(forge, tmp_path), WHY, "--key=shop")
    assert "The plan below is of an earlier run for the same commit. " in there["body"]
    # The next plan replaces all of it.
    env = github(forge, tmp_path, GITHUB_RUN_ID="43")
    assert comment(tmp_path, env, PLAN, "--key=shop").returncode == 0
    assert there["body"].startswith(f"{stamp(run='43.1', key='shop')}{PLAN}")
    assert "could not be planned" not in there["body"]


def test_a_job_that_was_cancelled_before_it_began(forge: Forge, tmp_path: Path) -> None:
    there = forge.add(stamp(OLDER, "41.1", "shop") + PLAN)
    done = not_planned(tmp_path, github(forge, tmp_path), "", "--key=shop")
    assert done.returncode == 0
    assert "could not be planned" in there["body"]
    assert "```" not in there["body"]
    assert "The job ended before there was one." in summary(tmp_path)


def test_nothing_is_said_where_no_plan_was_shown_or_a_newer_one_is(forge: Forge, tmp_path: Path) -> None:
    env = github(forge, tmp_path)
    assert not_planned(tmp_path, env, WHY, "--key=shop").stdout == "No comment is needed.\n"
    there = forge.add(stamp("b" * 40, "50.1", "shop") + PLAN)
    assert not_planned(tmp_path, env, WHY, "--key=shop").stdout.startswith("Comment kept: ")
    assert "could not be planned" not in there["body"]
    assert summary(tmp_path).count("### No plan") == 2


def test_a_comment_of_an_earlier_version_does_not_stand_as_current_either(
    forge: Forge, tmp_path: Path
) -> None:
    """Its legs can't be told apart before each has a plan: all say it, and each plan then replaces its own."""
    staging = marker("bookshop", "staging")
    one, two = (forge.add(f"{line}\nAn earlier plan.\n") for line in (MARKER, staging))
    stranger = forge.add(f"{MARKER}\nmerge away", login="reader")
    env = github(forge, tmp_path)
    for _ in range(2):
        done = not_planned(tmp_path, env, WHY, "--key=shop")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Comment updated: ")
    banner = BANNER.replace("is for commit `aaaaaaaaaaaa`", "is of an earlier commit")
    assert one["body"] == f"{MARKER}\n{banner}An earlier plan.\n"
    assert two["body"] == f"{staging}\n{banner}An earlier plan.\n"
    assert stranger["body"] == f"{MARKER}\nmerge away"
    assert comment(tmp_path, env, PLAN, "--key=shop").returncode == 0
    assert comment(tmp_path, env, PLAN.replace(MARKER, staging), "--key=shop staging").returncode == 0
    assert forge.comments == [one, two, stranger]
    assert one["body"] == BODY.replace(stamp(), stamp(key="shop"))
    assert "could not be planned" not in two["body"]
    # From now on each is found by its key alone.
    not_planned(tmp_path, github(forge, tmp_path, GITHUB_RUN_ID="43"), WHY, "--key=shop")
    assert "could not be planned" in one["body"]
    assert "could not be planned" not in two["body"]


def test_not_planned_needs_a_key_and_no_plan(forge: Forge, tmp_path: Path) -> None:
    env = github(forge, tmp_path)
    assert not_planned(tmp_path, env, WHY).returncode == 64
    assert not_planned(tmp_path, env, WHY, "--key=shop", str(tmp_path / "why.txt")).returncode == 64
    assert forge.calls == []


# Green means that there is a comment, or that it is said why not


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("PATCH", 403, "no"), "(403, no): give the job the permission to write comments"),
        (Fault("PATCH", 301, "Moved Permanently"), "the repository was renamed or moved: start a new run"),
        (Fault("PATCH", 410, "Issues are disabled"), "(410, Issues are disabled): turn on issues"),
        (
            Fault("PATCH", 429, "rate limit", {"Retry-After": "3600"}),
            "(429, rate limit): run the job again later",
        ),
    ],
)
def test_what_the_earlier_comment_still_shows_is_said(
    forge: Forge, tmp_path: Path, fault: Fault, said: str
) -> None:
    there = forge.add(stamp(OLDER, "41.1") + PLAN)
    forge.faults = [fault]
    done = comment(tmp_path, github(forge, tmp_path))
    assert done.returncode == 0
    assert done.stderr.startswith("No comment was posted ")
    assert said in done.stderr
    assert (
        f"The comment {there['html_url']} still shows the plan for commit aaaaaaaaaaaa."
        in done.stderr.replace("`", "")
    )
    assert summary(tmp_path).startswith(PLAN)
    assert "still shows" in summary(tmp_path)


def test_no_comment_for_a_plan_without_changes_where_none_is_wanted(forge: Forge, tmp_path: Path) -> None:
    calm = (
        f"{MARKER}\n### Plan for catalog `bookshop`\n\n**No changes.** The live list matches the catalog.\n"
    )
    env = github(forge, tmp_path)
    assert comment(tmp_path, env, calm, "--only-if-changes").stdout == "No comment is needed.\n"
    assert summary(tmp_path) == calm + "\n"
    assert comment(tmp_path, env, PLAN, "--only-if-changes").returncode == 0
    assert comment(tmp_path, env, calm, "--only-if-changes").returncode == 0
    assert forge.writes == ["POST", "PATCH"]


# Other forges and events


@pytest.mark.parametrize("name", ["FORGEJO_ACTIONS", "GITEA_ACTIONS", ""])
def test_forgejo_and_gitea(forge: Forge, tmp_path: Path, name: str) -> None:
    forge.account = "forgejo-actions"
    forge.page = 2
    for number in range(3):
        forge.add(f"{MARKER}\n{number}", login="reader")
    env = github(forge, tmp_path, GITHUB_API_URL=f"{forge.url}/api/v1", GITHUB_RUN_NUMBER="9")
    env |= {name: "true"} if name else {}
    for _ in range(2):
        done = comment(tmp_path, env)
        assert (done.returncode, done.stderr) == (0, "")
    assert forge.writes == ["POST", "PATCH"]
    assert "(https://github.example/bookshop/personas/actions/runs/9)" in forge.comments[3]["body"]


def test_a_review_is_an_event_of_its_request(forge: Forge, tmp_path: Path) -> None:
    env = github(forge, tmp_path)
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": COMMIT}}}))
    assert comment(tmp_path, env).returncode == 0
    assert [one["body"] for one in forge.comments] == [BODY]


@pytest.mark.parametrize(
    ("variable", "name"), [("BITBUCKET_BUILD_NUMBER", "Bitbucket Pipelines"), ("TF_BUILD", "Azure Pipelines")]
)
def test_where_there_are_no_comments(tmp_path: Path, variable: str, name: str) -> None:
    done = comment(tmp_path, {variable: "1"})
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        f"No comment was posted: there are none on {name}. The plan is in {tmp_path}/plan.md.\n"
    )


def test_a_pipeline_for_merged_results_is_of_the_branch(forge: Forge) -> None:
    env = gitlab(forge, CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=COMMIT, CI_COMMIT_SHA=OLDER)
    request = this_request(env)
    assert request is not None
    assert request.commit == COMMIT


def test_the_plan_of_a_renewed_token_is_named(forge: Forge, tmp_path: Path) -> None:
    """Each project access token has an account of its own, and may not change the notes of another."""
    forge.add(f"{stamp(OLDER)}{PLAN}", login="project_12_bot_0ld")
    done = comment(tmp_path, gitlab(forge))
    page = "https://gitlab.example/bookshop/personas/-/merge_requests/7"
    assert (done.returncode, done.stdout) == (0, f"Comment created: {page}#note_502\n")
    assert done.stderr == f"An earlier token's plan can't be updated: delete {page}#note_501.\n"
    assert comment(tmp_path, gitlab(forge)).stdout == f"Comment updated: {page}#note_502\n"
