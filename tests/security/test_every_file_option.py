"""What a path that leads to a stranger's file could do, through any option that names a file to read: fill the memory,
wait for ever, or show another file. Each is given to the command itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from reconciler import cli
from tests import warm
from tests.support import learned_file

SECRET = "the key of another account"

#: Each option and argument that names a file to read, with a command that reads it. ``{}`` stands for the file.
READ: dict[str, tuple[str, ...]] = {
    "--models": ("lint", "--models", "{}"),
    "--api-key-file": ("list", "--endpoint", "https://203.0.113.1", "--api-key-file", "{}"),
    "--contract": ("plan", "--endpoint", "local", "--contract", "{}"),
    "--against": ("plan", "--against", "{}"),
    "what": ("apply", "{}"),
    "plan": ("show", "{}"),
    "comment plan": ("comment", "{}"),
    "--not-planned": ("comment", "--key", "x", "--not-planned", "{}"),
    "--db": ("server", "--host", "203.0.113.1", "--db", "{}"),
    "--require-key-file": ("server", "--host", "203.0.113.1", "--require-key-file", "{}"),
    "--faults": ("server", "--host", "203.0.113.1", "--faults", "{}"),
    "--replay": ("plan", "--against", "{}", "--with-tests", "--replay", "{}"),
    "test --replay": ("test", "--replay", "{}"),
    "--config": ("watch", "--config", "{}", "--once", "--endpoint", "local"),
    "--token-file": ("approve", "--token-file", "{}", "--address", "http://127.0.0.1:9", "a" * 64),
    "--notify-secret-file": (
        "watch",
        "--once",
        "--endpoint",
        "local",
        "--notify",
        "http://127.0.0.1:9",
        "--notify-secret-file",
        "{}",
    ),
    "--chat-script": ("server", "--host", "203.0.113.1", "--chat-script", "{}"),
    "new --file": ("new", "--file", "{}", "bob"),
    "new --prompt-file": ("new", "--prompt-file", "{}", "bob"),
}
#: Those that are written, and folders.
NOT_READ = {
    "--out", "--out-file", "--write", "--record", "file", "folder", "catalog", "--catalog", "--state-dir",
    "--archive-dir", "catalogs", "--promptfoo",
}  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / ".git").mkdir(parents=True)
    (tmp_path / "outside").write_text(SECRET)
    (root / "catalog.yaml").write_text(
        "version: 1\ncatalog: shop\nsessions:\n  alice: {name: Alice, model: m, prompt: Hello.}\n"
    )
    learned_file(root)
    return root


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 * 2**30)


MADE: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link out": lambda path: path.symlink_to("../outside"),
    "a link to itself": lambda path: path.symlink_to("file.json"),
    "a sparse file": sparse,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("option", READ)
def test_no_option_reads_what_is_no_file_or_leads_out(option: str, kind: str, checkout: Path) -> None:
    path = checkout / "file.json"
    MADE[kind](path)
    words = [word.replace("{}", path.name) for word in READ[option]]
    env = {"RECONCILER_PATIENCE": "600", "PATH": os.environ["PATH"]}
    done = warm.run(words, cwd=checkout, env=env, timeout=120)  # a command that waits for ever is ended
    assert done.returncode in cli.EXIT_CODES
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    if option == "--not-planned":  # there need not be such a file
        return
    assert done.returncode in (1, 64), done
    if (option, kind) != ("what", "a folder"):  # which is taken for a catalog
        assert "file.json" in done.stderr or "there is no API key" in done.stderr, done


@pytest.mark.parametrize("option", READ)
def test_no_option_reads_a_device(option: str, checkout: Path) -> None:
    words = [word.replace("{}", "/dev/zero") for word in READ[option]]
    env = {"RECONCILER_PATIENCE": "600", "PATH": os.environ["PATH"]}
    done = warm.run(words, cwd=checkout, env=env, timeout=120)
    assert done.returncode in (0, 1, 64)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_this_is_every_option() -> None:
    names = set()
    for command in _commands(cli.cli):
        for one in command.params:
            if isinstance(one.type, click.Path):
                names.add(one.opts[0])
    assert {name for name in names if name not in NOT_READ} <= READ.keys()


def _commands(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner)
    else:
        yield command
