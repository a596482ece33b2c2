"""``reconciler apply``: approval, results, interrupts, and the state folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from reconciler.server import Fault, RunningServer
from tests.cli.conftest import Shell, until, writes

pytestmark = pytest.mark.usefixtures("installed")

NOBODY = (
    "this needs approval, and there is no terminal to ask on: nothing was written\n"
    "      hint: run it in a terminal, or review it and add --auto-approve\n"
)


def test_without_a_terminal_and_without_approval_nothing_is_written(
    shop: Shell, server: RunningServer
) -> None:
    done = shop.run("apply", "shop")
    assert (done.returncode, done.stderr) == (3, NOBODY)
    assert "Plan: 2 to create" in done.stdout
    assert writes(server) == []


def test_an_apply_says_what_it_did(shop: Shell, server: RunningServer) -> None:
    done = shop.run("apply", "shop", "--auto-approve", "--parallelism", "1")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "  created alice #1\n",
        "  created bob #2\n",
        "Verified: the live list is what was written.",
    ):
        assert line in done.stdout
    assert [one.name for one in server.store.sessions()] == ["Alice", "Bob"]
    again = shop.run("apply", "shop", "--auto-approve")
    assert again.returncode == 0
    assert "No changes." in again.stdout
    assert len(writes(server)) == 2


def test_an_apply_as_json_is_one_document(shop: Shell) -> None:
    report = shop.json("apply", "shop", "--auto-approve")
    assert report["summary"] == {"applied": 2, "failed": 0, "unknown": 0, "not_tried": 0}
    assert [(one["key"], one["outcome"]) for one in report["results"]] == [
        ("alice", "applied"),
        ("bob", "applied"),
    ]


def test_what_failed_is_said_and_is_exit_code_4(shop: Shell, server: RunningServer) -> None:
    server.faults.add(
        Fault(
            "status",
            operation="create_session",
            status=422,
            message="名称不合法",
            where=lambda entry: (entry.body or {}).get("session_name") == "Bob",
        )
    )
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 4
    assert "creating the session bob: HTTP 422: 名称不合法" in done.stdout
    server.faults.clear()
    server.faults.add(Fault("status", operation="create_session", status=422))
    assert shop.run("apply", "shop", "--auto-approve").returncode == 1


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("y", 3), ("", 3), ("no", 3), ("YES", 3)])
def test_on_a_terminal_only_yes_is_a_yes(shop: Shell, server: RunningServer, answer: str, code: int) -> None:
    with shop.started("apply", "shop", "--settle", "0") as command:
        command.wait_for("Apply these 2 changes? Only 'yes' is accepted")
        assert "Plan: 2 to create" in command.out.read_text()
        command.answer(answer)
        ended, _, err = command.ended()
    assert ended == code
    assert len(writes(server)) == (2 if code == 0 else 0)
    assert err.endswith("not approved: nothing was written\n") == bool(code)


@pytest.mark.parametrize("command", [("apply", "shop"), ("doctor", "shop", "--probe")])
def test_the_end_of_the_input_is_no_yes(shop: Shell, server: RunningServer, command: tuple[str, ...]) -> None:
    with shop.started(*command) as started:
        started.wait_for("Only 'yes' is accepted: ")
        os.write(started.terminal, b"\x04")  # Ctrl-D
        code, _, err = started.ended()
    assert (code, writes(server)) == (3, [])
    assert err.endswith(" Only 'yes' is accepted: \nnot approved: nothing was written\n")
    with shop.started(*command) as started:
        started.wait_for("Only 'yes' is accepted: ")
        started.process.send_signal(signal.SIGINT)
        code, _, err = started.ended()
    assert (code, writes(server)) == (130, [])


def test_a_session_that_changed_while_one_was_asked_is_not_overwritten(
    shop: Shell, server: RunningServer
) -> None:
    """The list is read again after the yes."""
    shop.run("apply", "shop", "--auto-approve", "--parallelism", "1")
    shop.write({"alice": {"name": "Alice", "prompt": "Be bold."}})
    with shop.started("apply", "shop") as command:
        command.wait_for("Only 'yes' is accepted")
        server.store.update_session(1, prompt="edited meanwhile")
        command.answer("yes")
        code, _, err = command.ended()
    assert code == 3
    assert 'alice (#1): prompt was "Be kind." when planned, found "edited meanwhile"\n' in err
    assert len(writes(server)) == 2


def test_a_run_that_is_interrupted_ends_in_good_order(shop: Shell, server: RunningServer) -> None:
    """Ctrl-C while a create is under way: it finishes, no other starts, and both are said."""
    server.faults.add(Fault("hang", operation="create_session", when="first"))
    with shop.started("apply", "shop", "--auto-approve", "--parallelism", "1") as command:
        until(lambda: server.faults.hanging == 1)
        command.process.send_signal(signal.SIGINT)
        command.wait_for(
            "stopping: writes in flight finish, no new ones start (interrupt again to end at once)\n"
        )
        server.faults.release()
        code, out, _ = command.ended()
    assert code == 130
    assert "  created alice #1\n" in out
    assert "  not tried: create bob\n" in out
    assert len(server.store.sessions()) == 1


def test_a_second_interrupt_ends_it_at_once(shop: Shell, server: RunningServer) -> None:
    server.faults.add(Fault("hang", operation="create_session"))
    with shop.started("apply", "shop", "--auto-approve") as command:
        until(lambda: server.faults.hanging > 0)
        command.process.send_signal(signal.SIGTERM)
        command.wait_for("stopping: ")
        command.process.send_signal(signal.SIGTERM)
        code, _, _ = command.ended()
    assert code == 130
    journal = (shop.root / ".reconciler" / "journal.jsonl").read_text()
    assert '"event":"intent"' in journal
    assert '"event":"end"' not in journal


@pytest.mark.parametrize("name", [".", "archive", "local.db"])
def test_nothing_in_the_state_folder_may_be_a_link(shop: Shell, tmp_path: Path, name: str) -> None:
    """A catalog may be a stranger's: it does not choose where we write."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = shop.root / ".reconciler"
    link = folder if name == "." else folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    for words in (("apply", "shop", "--auto-approve"), ("plan", "shop", "--endpoint", "local")):
        done = shop.run(*words)
        assert (done.returncode, done.stdout.count("#")) == (1, 0)
        assert done.stderr == (
            f"{link.relative_to(tmp_path)} is a symbolic link\n"
            "      hint: remove it, or name a folder with --state-dir\n"
        )
    assert list(elsewhere.iterdir()) == []


def test_the_plan_of_an_apply_is_shown_as_that_of_a_plan(shop: Shell) -> None:
    shown = set()
    for flags in ([], ["--concise"], ["--full"]):
        planned = shop.run("plan", "shop", *flags).stdout
        assert shop.run("apply", "shop", *flags).stdout == planned
        shown.add(planned)
    assert len(shown) >= 2
