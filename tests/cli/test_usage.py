"""Usage errors: exit code 64, as text and as JSON."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import COMMANDS, cli
from reconciler.cli.habits import CHANGING, HABITS, instead
from tests.cli.conftest import Shell
from tests.suggestions import check


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plann",), "Error: there is no command 'plann'. Did you mean `reconciler plan`?\n"),
        (("xyz",), "Error: there is no command 'xyz'.\n"),
        (("plan", "nowhere"), "Error: Invalid value for '[CATALOG]': Directory 'nowhere' does not exist.\n"),
        (("plan", "shop", "shop"), "Error: Got unexpected extra argument (shop)\n"),
        (("plan", "--format", "yaml"), "Error: Invalid value for '--format': 'yaml' is not one of "),
        (
            ("plan", "--max-deletes", "many"),
            "Error: Invalid value for '--max-deletes': 'many' is neither a count like 10 nor a percentage like 5%.\n",
        ),
        (
            ("plan", "--parallelism", "0"),
            "Error: Invalid value for '--parallelism': 0 is not in the range 1<=x<=64.\n",
        ),
        (
            ("apply", "--settle", "-1"),
            "Error: Invalid value for '--settle': -1.0 is not in the range x>=0.\n",
        ),
    ],
)
def test_wrong_usage_is_exit_code_64(shop: Shell, words: tuple[str, ...], said: str) -> None:
    done = shop.run(*words)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("Usage: reconciler ")
    assert said in done.stderr


def test_wrong_usage_as_json(shop: Shell) -> None:
    for words in (
        ("apply", "shop", "--settle", "-1"),
        ("plan", "nowhere"),
        ("explain", "alice", "shop", "bob"),
    ):
        document = shop.json(*words, code=64)
        assert document["exit_code"] == 64
        assert len(document["errors"]) == 1
    assert document["errors"][0]["message"] == "Got unexpected extra argument (bob)"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("get", "Did you mean `reconciler list`?"),
        ("ls", "Did you mean `reconciler list`?"),
        ("LIST", "Did you mean `reconciler list`?"),
        ("import", "Did you mean `reconciler adopt KEY=ID`?"),
        ("diff", "Did you mean `reconciler plan`?"),
        ("restore", "Did you mean `reconciler archive restore ID`?"),
        ("aplpy", "Did you mean `reconciler apply`?"),
        ("adpot", "Did you mean `reconciler adopt KEY=ID`?"),
        ("lock", ""),
        ("forge", "Did you mean `reconciler forget KEY`?"),
        ("banana", ""),
        (
            "destroy",
            "To delete sessions, remove them from the catalog and run `reconciler apply`. "
            "To keep them live and stop managing them, run `reconciler forget KEY`.",
        ),
    ],
)
def test_a_habit_of_another_tool_is_told_what_to_type_here(shell: Shell, word: str, said: str) -> None:
    done = shell.run(word)
    assert done.returncode == 64
    assert done.stderr.endswith(f"Error: there is no command '{word}'. {said}".rstrip() + "\n")


@pytest.mark.parametrize(
    "word", ["get", "ls", "diff", "describe", "status", "show-me", "view", "check", "log"]
)
def test_who_wants_to_look_is_never_told_to_change_something(word: str) -> None:
    assert not any(f"reconciler {name}" in instead(word, COMMANDS) for name in CHANGING)


@pytest.mark.parametrize("word", sorted({*HABITS, *(f"{name}x" for name in COMMANDS)}))
def test_what_is_typed_instead_is_accepted(word: str) -> None:
    check(instead(word, COMMANDS))


def test_every_habit_leads_to_a_command_that_is_there() -> None:
    assert set(COMMANDS).isdisjoint(HABITS)
    for meant in HABITS.values():
        name, _, inner = meant.partition(" ")
        if (inner and " `" in meant) or meant.startswith("--"):
            continue
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert not inner or (isinstance(command, click.Group) and inner in command.commands)


@given(st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12))
def test_a_changing_command_is_suggested_only_for_nearly_its_name(word: str) -> None:
    if word in HABITS or word in COMMANDS:
        return
    said = instead(word, COMMANDS)
    for name in CHANGING:
        if said.endswith(f" {name}'?"):
            assert word[0] == name[0]
            assert abs(len(word) - len(name)) <= 2
