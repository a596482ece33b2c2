"""A change that is taken back: what a plan says of the messages, and how they come back."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from reconciler.server import Fault, RunningServer
from tests.cli.conftest import Shell

ALICE = {"alice": {"name": "Alice", "prompt": "Be kind."}}
BOB = {"bob": {"name": "Bob", "prompt": "Be brief.\nBe clear.", "parameters": {"temperature": 0.5}}}


def say(server: RunningServer, number: int, *texts: str) -> None:
    for text in texts:
        server.store.insert_message(number, content=text)


def chat(server: RunningServer, number: int) -> list[str]:
    return [message.content for message in server.store.messages(number)]


def live(server: RunningServer) -> dict[str, int]:
    return {row.name: row.session_id for row in server.store.sessions()}


def apply(shop: Shell) -> str:
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def both(shop: Shell, server: RunningServer) -> Shell:
    """Alice is #1 and Bob #2, who has three messages."""
    shop.write(ALICE | BOB)
    apply(shop)
    say(server, live(server)["Bob"], "one", "two", "three")
    return shop


@pytest.fixture
def without_bob(both: Shell) -> Shell:
    """Bob was deleted with his messages, and Alice has another prompt."""
    both.write({"alice": {"name": "Alice", "prompt": "Be stern."}})
    apply(both)
    return both


@pytest.fixture
def reverted(without_bob: Shell) -> Shell:
    """The catalog is what it was before, and nothing is applied yet."""
    without_bob.write(ALICE | BOB)
    return without_bob


def last_run(shop: Shell) -> str:
    [run] = shop.json("history", "shop", "--limit", "1")
    return str(run[0]["run"])


def bobs_id(shop: Shell) -> str:
    [found] = [row["id"] for row in shop.json("archive", "list", "shop") if row["before"] == "delete"]
    return str(found)


# What a delete takes away


def test_a_delete_says_how_many_messages_it_takes_in_every_rendering(both: Shell) -> None:
    both.write(ALICE)
    for form, wanted in (
        ("text", "reason: not in the catalog any more; its 3 messages are deleted too"),
        ("markdown", "`#2`: not in the catalog any more; its 3 messages are deleted too"),
        ("html", "not in the catalog any more; its 3 messages are deleted too"),
        ("github", "bob #2: not in the catalog any more; its 3 messages are deleted too"),
    ):
        assert wanted in both.run("plan", "shop", "--format", form).stdout
    [action] = both.json("plan", "shop")["actions"]
    assert (action["action"], action["messages"]) == ("delete", 3)


def test_a_delete_shows_the_prompt_folded(both: Shell) -> None:
    both.write(ALICE)
    text = both.run("plan", "shop").stdout
    assert "      - prompt   2 lines, about 6 tokens\n        | - Be brief.\n        | - Be clear.\n" in text
    assert "temperature" not in text
    page = both.run("plan", "shop", "--format", "markdown").stdout
    fold = page[page.index("<details>") : page.index("</details>")]
    assert "<b><code>bob</code></b>" in fold and "-Be clear." in fold


def test_a_delete_of_a_session_without_messages_says_so(shop: Shell) -> None:
    shop.write(ALICE | BOB)
    apply(shop)
    shop.write(ALICE)
    assert "reason: not in the catalog any more; it has no messages" in shop.run("plan", "shop").stdout


def test_messages_that_nobody_counted_are_not_called_none(both: Shell, server: RunningServer) -> None:
    both.write(ALICE)
    server.faults.add(Fault("status", operation="list_messages", status=500, when="every 1"))
    done = both.run("plan", "shop", "--retries", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "reason: not in the catalog any more; its messages were not counted" in done.stdout
    server.faults.clear()
    assert both.run("snapshot", "live.json").returncode == 0
    [action] = both.json("plan", "shop", "--against", "live.json")["actions"]
    assert action["messages"] is None


def test_messages_are_counted_within_a_bound(both: Shell, server: RunningServer) -> None:
    """Of 40 sessions, the first ones; the rest is said to be uncounted."""
    both.write({f"k{number:02}": {"name": f"K{number}", "prompt": "x"} for number in range(42)} | ALICE | BOB)
    apply(both)
    both.write(ALICE)
    server.log.clear()
    actions = both.json("plan", "shop", "--max-deletes", "99")["actions"]
    counts = [action["messages"] for action in actions]
    assert len(counts) == 43 and counts.count(None) == 3 and 3 in counts
    asked = {entry.query["session_token"] for entry in server.log if entry.operation == "list_messages"}
    assert len(asked) == 40


# What a create could get back


def test_a_create_says_what_is_in_the_archive_in_every_rendering(reverted: Shell) -> None:
    run, archive_id = last_run(reverted), bobs_id(reverted)
    command = f"reconciler archive restore {archive_id} --catalog=shop"
    for form in ("text", "markdown", "html", "github"):
        shown = " ".join(reverted.run("plan", "shop", "--format", form).stdout.split())
        assert f"by run {run}, 3 messages" in shown.replace("`", ""), form
        assert command in shown.replace("&#39;", "'"), form
    [note] = [one for one in reverted.json("plan", "shop")["notes"] if one["kind"] == "archived"]
    assert note["key"] == "bob"
    assert re.fullmatch(
        r"apply would create an empty session\. Deleted on \d{4}-\d\d-\d\d by run "
        rf"{run}, 3 messages: `{re.escape(command)}` brings them back",
        note["message"],
    )


def test_the_command_that_a_plan_prints_works_as_printed(reverted: Shell, server: RunningServer) -> None:
    [note] = [one for one in reverted.json("plan", "shop")["notes"] if one["kind"] == "archived"]
    _, *words = shlex.split(note["message"].split("`")[1])
    assert reverted.run(*words, "--auto-approve").returncode == 0
    assert chat(server, live(server)["Bob"]) == ["one", "two", "three"]
    assert "archived" not in [one["kind"] for one in reverted.json("plan", "shop")["notes"]]


def test_a_create_of_what_was_never_deleted_says_nothing(without_bob: Shell) -> None:
    without_bob.write(ALICE | {"bert": BOB["bob"]})
    assert [one["kind"] for one in without_bob.json("plan", "shop")["notes"]].count("archived") == 0


def test_an_archive_that_is_gone_or_damaged_is_not_promised(reverted: Shell) -> None:
    [file] = (reverted.root / ".reconciler" / "archive").glob("*-delete.json")
    file.write_text(file.read_text()[:50])
    document = reverted.json("plan", "shop")
    assert [one["kind"] for one in document["notes"]].count("archived") == 0


def test_the_messages_are_found_although_an_empty_successor_was_deleted_since(
    reverted: Shell, server: RunningServer
) -> None:
    archive_id = bobs_id(reverted)
    apply(reverted)
    reverted.write(ALICE)
    apply(reverted)
    reverted.write(ALICE | BOB)
    [note] = [one for one in reverted.json("plan", "shop")["notes"] if one["kind"] == "archived"]
    assert archive_id in note["message"]


# With a successor


def test_an_empty_successor_gets_the_messages(reverted: Shell, server: RunningServer) -> None:
    apply(reverted)
    number = live(server)["Bob"]
    refused = reverted.run("archive", "restore", bobs_id(reverted), "shop", "--auto-approve")
    assert refused.returncode == 3
    assert f"If an apply made #{number}, add --replace to put the messages into it" in refused.stderr
    words = ["archive", "restore", bobs_id(reverted), "shop", "--auto-approve"]
    done = reverted.run(*words, "--replace")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"Completed: #{number}, 3 messages added.\n")
    assert chat(server, number) == ["one", "two", "three"]
    assert len(server.store.sessions()) == 2
    assert reverted.run("plan", "shop", "--detailed-exitcode").returncode == 0
    again = reverted.run(*words)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, f"Already restored as #{number}.")
    assert chat(server, number) == ["one", "two", "three"]


def test_a_successor_with_messages_of_its_own_is_left_alone(reverted: Shell, server: RunningServer) -> None:
    apply(reverted)
    say(server, live(server)["Bob"], "hello")
    before = server.store.dump()
    done = reverted.run("archive", "restore", bobs_id(reverted), "shop", "--auto-approve", "--replace")
    assert done.returncode == 3
    assert "has messages of its own (1): nothing was restored" in done.stderr
    assert server.store.dump() == before


def test_a_fill_that_stops_midway_resumes(reverted: Shell, server: RunningServer) -> None:
    apply(reverted)
    words = ["archive", "restore", bobs_id(reverted), "shop", "--auto-approve", "--retries", "0"]
    server.faults.add(Fault("status", operation="create_message", status=400, when="nth 2"))
    done = reverted.run(*words, "--replace")
    assert done.returncode == 4
    assert chat(server, live(server)["Bob"]) == ["one"]
    server.faults.clear()
    assert reverted.run(*words).returncode == 0
    assert chat(server, live(server)["Bob"]) == ["one", "two", "three"]


# Exit codes


def test_a_restore_that_stops_midway_exits_with_4(reverted: Shell, server: RunningServer) -> None:
    words = ["archive", "restore", bobs_id(reverted), "shop", "--auto-approve", "--retries", "0"]
    server.faults.add(Fault("status", operation="create_session", status=400))
    assert reverted.run(*words).returncode == 1  # nothing was done
    server.faults.clear()
    server.faults.add(Fault("status", operation="create_message", status=400, when="nth 2"))
    assert reverted.run(*words).returncode == 4
    server.faults.clear()
    done = reverted.run(*words)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Completed: #3, 2 messages added.")
    done = reverted.run(*words)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Already restored as #3.")
    say(server, 3, "and more")
    assert reverted.run(*words).stdout.splitlines()[-1] == "Already restored as #3."


# A whole run


def test_a_run_is_restored_as_a_whole(reverted: Shell, server: RunningServer) -> None:
    run = last_run(reverted)
    done = reverted.run("archive", "restore", "--run", run, "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "This will restore alice as it was before the update.",
        "This will create again, with 3 messages, bob as it was before the delete.",
        "alice  Restored: #1 has its earlier values.",
        "bob  Created again: #3, 3 messages added.",
    ]
    assert chat(server, 3) == ["one", "two", "three"]
    assert reverted.run("plan", "shop", "--detailed-exitcode").returncode == 0
    before = server.store.dump()
    again = reverted.run("archive", "restore", "--run", run[:6], "shop", "--auto-approve")
    assert (again.returncode, again.stdout.splitlines()[-2:]) == (
        0,
        ["alice  Already restored: #1 has its earlier values.", "bob  Already restored as #3."],
    )
    assert server.store.dump() == before
    assert ", restoring 2 sessions, by " in reverted.run("history", "shop", "--limit", "1").stdout


def test_what_a_restored_run_did_is_there_for_programs(reverted: Shell) -> None:
    run = last_run(reverted)
    document = reverted.json("archive", "restore", "--run", run, "shop", "--auto-approve")
    rows: list[dict[str, Any]] = document["results"]
    assert document["run"] == run
    assert [(row["key"], row["outcome"], row["session_id"], row["messages"]) for row in rows] == [
        ("alice", "restored", 1, 0),
        ("bob", "restored", 3, 3),
    ]


def test_a_run_of_which_a_part_can_not_be_restored_exits_with_4(
    reverted: Shell, server: RunningServer
) -> None:
    run = last_run(reverted)
    apply(reverted)
    say(server, live(server)["Bob"], "hello")
    done = reverted.run("archive", "restore", "--run", run, "shop", "--auto-approve")
    assert done.returncode == 4
    assert done.stdout.splitlines()[-2:] == [
        "alice  Restored: #1 has its earlier values.",
        "bob  Not restored.",
    ]
    assert "is live as #3" in done.stderr
    assert "run the same command again to resume" in done.stderr


def test_a_run_that_is_not_in_the_archive(reverted: Shell) -> None:
    done = reverted.run("archive", "restore", "--run", "nope", "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (
        1,
        "the archive holds nothing of a run 'nope'\n"
        "      hint: `reconciler history --catalog=shop` shows the runs of this machine\n",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "what to restore is missing: an ID, or --run=RUN"),
        (["abc", "--run", "1"], "give an ID or --run=RUN, not both"),
        (["abc", "shop", "--run", "1"], "give an ID or --run=RUN, not both"),
    ],
)
def test_what_to_restore_has_to_be_clear(reverted: Shell, words: list[str], said: str) -> None:
    done = reverted.run("archive", "restore", *words)
    assert done.returncode == 64
    assert said in done.stderr


# The record


def git(shop: Shell, *words: str) -> None:
    import subprocess

    names = ["-c", "user.name=lery", "-c", "user.email=lery@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *names, "-C", str(shop.root), *words], check=True, capture_output=True)


def test_history_marks_a_dirty_working_tree(shop: Shell) -> None:
    shop.write(ALICE)
    for words in (["init"], ["add", "."], ["commit", "-m", "one"]):
        git(shop, *words)
    apply(shop)
    assert "uncommitted" not in shop.run("history", "shop").stdout
    [run] = shop.json("history", "shop")
    assert "dirty" not in run[0]
    shop.write(ALICE | BOB)
    apply(shop)
    head = shop.run("history", "shop", "--limit", "1").stdout.splitlines()[0]
    assert re.search(r", by \S+, commit [0-9a-f]{12} with uncommitted changes$", head)
    [run] = shop.json("history", "shop", "--limit", "1")
    assert run[0]["dirty"] is True


def test_a_saved_plan_takes_the_mark_along(shop: Shell) -> None:
    """It is about the tree that the plan was made from, and not the one that it is applied in."""
    shop.write(ALICE)
    for words in (["init"], ["add", "."], ["commit", "-m", "one"]):
        git(shop, *words)
    shop.write(ALICE | BOB)
    assert shop.run("plan", "shop", "--out", "plan.json").returncode == 0
    git(shop, "add", ".")
    git(shop, "commit", "-m", "two")
    assert json.loads((shop.folder / "plan.json").read_text())["made_by"]["dirty"] is True
    assert shop.run("apply", "plan.json", "--state-dir", "shop/.reconciler").returncode == 0
    assert "with uncommitted changes" in shop.run("history", "shop").stdout


def test_a_plan_is_applied_once_and_the_run_is_named(shop: Shell, server: RunningServer) -> None:
    """Although it would not be stale: what it created was deleted since."""
    assert shop.run("plan", "shop", "--out", "plan.json").returncode == 0
    words = ["apply", "plan.json", "--state-dir", "shop/.reconciler"]
    assert shop.run(*words).returncode == 0
    for number in live(server).values():
        server.store.delete_session(number)
    done = shop.run(*words)
    assert done.returncode == 3
    assert re.fullmatch(
        rf"the plan was already applied in run {last_run(shop)}, on \d{{4}}-\d\d-\d\d \d\d:\d\d UTC: it is stale\n"
        r"      hint: plan again; `reconciler history --state-dir=shop/\.reconciler` shows what that run did\n",
        done.stderr,
    )
    assert not live(server)


def test_a_plan_that_was_applied_in_part_says_so(shop: Shell, server: RunningServer) -> None:
    assert shop.run("plan", "shop", "--out", "plan.json").returncode == 0
    words = ["apply", "plan.json", "--state-dir", "shop/.reconciler"]
    server.faults.add(Fault("status", operation="create_session", status=400, when="nth 2"))
    assert shop.run(*words, "--retries", "0").returncode == 4
    done = shop.run(*words)
    assert done.returncode == 3
    assert done.stderr.startswith(f"the plan was already applied in part in run {last_run(shop)}, on ")
