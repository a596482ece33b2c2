"""Commands that messages suggest are quoted and complete, and work as printed.

That all of them parse is checked wherever a test runs a command (:mod:`tests.suggestions`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from reconciler.server import RunningServer
from tests.cli.conftest import Shell
from tests.suggestions import check, problems, suggested
from tests.support import learned_file

#: The flags of every run here. They have to be repeated by what is suggested, and quoted.
ABOUT = ("--catalog=shop", "--state-dir=my state", "--env=staging")
ALICE = {"name": "Alice", "prompt": "Be kind."}
BOB = {"name": "Bob", "prompt": "Be brief."}


@pytest.fixture
def shop(shop: Shell) -> Shell:
    """A catalog with an environment that was applied, to a service whose calls are known."""
    shop.environ["RECONCILER_CONTRACT"] = str(learned_file(shop.folder))
    write(shop, alice=ALICE, bob=BOB)
    assert shop.run("apply", *ABOUT, "--auto-approve", "--settle=0").returncode == 0
    return shop


def write(shop: Shell, **sessions: object) -> None:
    shop.write(sessions, environments={"staging": {}})


def pasted(shop: Shell, done: CompletedProcess[str], *more: str) -> CompletedProcess[str]:
    """Run the one command that an output suggests, as it is printed, and see that it works."""
    (line,) = dict.fromkeys(suggested(done.stdout + done.stderr))
    again = shop.run(*shlex.split(line)[1:], *more)
    assert again.returncode == 0, f"{line}\n{again.stdout}{again.stderr}"
    return again


Situation = Callable[[Shell, RunningServer], tuple[CompletedProcess[str], tuple[str, ...]]]


def no_such_key(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    return shop.run("plan", *ABOUT, "--only=nobody"), ()


def nothing_drifted(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    return shop.run("drift", *ABOUT, "--accept=alice"), ()


def warnings(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    write(shop, alice=ALICE | {"prompt": ""}, bob=BOB)
    return shop.run("plan", *ABOUT), ()


def tag_removed(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    server.store.update_session(1, remark="")
    return shop.run("drift", *ABOUT), ("--auto-approve", "--settle=0")


def archived(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    server.store.insert_message(2, content="Hello")
    write(shop, alice=ALICE)
    assert shop.run("apply", *ABOUT, "--auto-approve", "--settle=0").returncode == 0
    write(shop, alice=ALICE, bob=BOB)
    return shop.run("plan", *ABOUT, "--contract=learned.yaml"), ("--auto-approve", "--settle=0")


def unknown_archive(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    return shop.run("archive", "show", "nothing", *ABOUT[:2]), ()


def applied_twice(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    write(shop, alice=ALICE)
    assert shop.run("plan", *ABOUT, "--out=plan.json").returncode == 0
    words = ("apply", "plan.json", *ABOUT[1:2], "--settle=0")
    assert shop.run(*words).returncode == 0
    return shop.run(*words), ()


def adopted_already(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    patch = {"sessions": {"alice": {"adopt": 1}}}
    shop.write({"alice": ALICE, "bob": BOB}, environments={"staging": patch})
    return shop.run("plan", *ABOUT), ()


def not_wanted(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    archived(shop, server)
    (row,) = json.loads(shop.run("archive", "list", *ABOUT[:2], "--format=json").stdout)
    write(shop, alice=ALICE)
    restored = shop.run("archive", "restore", row["id"], *ABOUT[:2], "--auto-approve", "--settle=0")
    return restored, ("--auto-approve", "--settle=0")


def doctor(shop: Shell, server: RunningServer) -> tuple[CompletedProcess[str], tuple[str, ...]]:
    del shop.environ["RECONCILER_CONTRACT"]
    return shop.run("doctor", *ABOUT), ("--auto-approve", "--settle=0.1")


@pytest.mark.parametrize(
    "situation",
    [
        no_such_key,
        nothing_drifted,
        warnings,
        tag_removed,
        archived,
        unknown_archive,
        applied_twice,
        adopted_already,
        not_wanted,
        doctor,
    ],
    ids=lambda one: one.__name__.replace("_", " "),
)
def test_a_suggested_command_works_as_printed(
    shop: Shell, server: RunningServer, situation: Situation
) -> None:
    done, more = situation(shop, server)
    pasted(shop, done, *more)


def test_after_init(shell: Shell) -> None:
    done = shell.run("init", "my shop")
    assert "Next: `reconciler plan 'my shop' --endpoint=local`\n" in done.stdout
    assert "1 to create" in pasted(shell, done).stdout


def test_after_a_refused_plan(shop: Shell, server: RunningServer) -> None:
    """A flag is no command: it is added to the one that was refused."""
    shop.write({"alice": ALICE}, environments={"staging": {}}, policy={"max_deletes": 0})
    refused = shop.run("apply", *ABOUT, "--auto-approve", "--settle=0")
    assert refused.returncode == 3
    flag = refused.stdout.partition("to allow it: ")[2].split()[0]
    assert flag == "--max-deletes=1"
    assert shop.run("apply", *ABOUT, "--auto-approve", "--settle=0", flag).returncode == 0


def test_a_renamed_catalog(shop: Shell, server: RunningServer) -> None:
    shop.write({"alice": ALICE, "bob": BOB}, catalog="library", environments={"staging": {}})
    done = shop.run("plan", *ABOUT)
    assert done.returncode == 3
    pasted(shop, done, "--auto-approve", "--settle=0")
    assert shop.run("plan", *ABOUT, "--detailed-exitcode").returncode == 0


def test_a_variable_is_not_repeated(shop: Shell) -> None:
    """It is set for the command that is pasted, too."""
    environ = {"RECONCILER_STATE_DIR": "my state", "RECONCILER_CATALOG": "shop", "RECONCILER_ENV": "staging"}
    done = shop.run("plan", "--only=nobody", **environ)
    assert suggested(done.stderr) == ["reconciler list --env=staging"]


def test_programs_read_the_same_command(shop: Shell) -> None:
    done = shop.run("plan", *ABOUT, "--only=nobody", "--format=json")
    (error,) = json.loads(done.stdout)["errors"]
    assert suggested(error["hint"]) == suggested(done.stderr)
    assert suggested(error["hint"]) == ["reconciler list --env=staging --catalog=shop '--state-dir=my state'"]


@pytest.mark.parametrize(
    "line",
    [
        "reconciler wipe",
        "reconciler plan --everything",
        "reconciler plan --max-deletes 3",
        "reconciler explain",
        "reconciler plan one two",
        "reconciler archive",
        "reconciler plan 'shop",
    ],
)
def test_the_check_finds_what_is_wrong(line: str) -> None:
    assert list(problems(line))
    with pytest.raises(AssertionError):
        check(f"      hint: `{line}` does it\n")


@pytest.mark.parametrize(
    "line", ["reconciler plan shop --max-deletes=3", "reconciler adopt KEY=ID", "reconciler plan"]
)
def test_the_check_accepts_what_works(line: str) -> None:
    check(f"      hint: `{line}` does it\n")
    with pytest.raises(AssertionError, match="backticks"):
        check(f"      hint: {line} does it\n")
