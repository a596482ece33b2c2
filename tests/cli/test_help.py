"""Help, the version, completion and schemas."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reconciler import __version__
from reconciler.cli import COMMANDS, GROUPS, cli
from reconciler.cli import commands as cli_commands
from reconciler.errors import ExitCode
from reconciler.schemas import schema_names, schema_text
from tests.cli.conftest import COMMAND, Shell

pytestmark = pytest.mark.usefixtures("installed")


def test_schemas_are_printed(shell: Shell) -> None:
    done = shell.run("schema")
    assert (done.returncode, done.stdout.split()) == (0, schema_names())
    for name in schema_names():
        assert shell.run("schema", name).stdout == schema_text(name)
    done = shell.run("schema", "nope")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"there is no schema 'nope'\n      hint: known are: {', '.join(schema_names())}\n"


@pytest.mark.parametrize(
    ("shell_name", "line"),
    [
        ("bash", "complete -o nosort -F _reconciler_completion reconciler"),
        ("zsh", "#compdef reconciler"),
        ("fish", "complete --no-files --command reconciler"),
    ],
)
def test_completion_can_be_set_up(shell: Shell, shell_name: str, line: str) -> None:
    done = shell.run("completion", shell_name)
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout


def test_completion_completes(shell: Shell) -> None:
    done = shell.run(_RECONCILER_COMPLETE="bash_complete", COMP_WORDS="reconciler va", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,validate"]
    done = shell.run(_RECONCILER_COMPLETE="bash_complete", COMP_WORDS="reconciler plan --det", COMP_CWORD="2")
    assert done.stdout.split() == ["plain,--detailed-exitcode"]


def test_the_version(shell: Shell) -> None:
    done = shell.run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"reconciler {__version__}\n", "")


def test_the_help_lists_every_command_by_what_it_is_for(shell: Shell) -> None:
    listed = shell.run("--help")
    assert listed.returncode == 0
    sections = [part.split("\n") for part in listed.stdout.split("\n\n")]
    for title, group in GROUPS.items():
        (lines,) = [lines[1:] for lines in sections if lines[0] == f"{title}:"]
        assert [tuple(line.split(maxsplit=1)) for line in lines] == list(group.items())
    (codes,) = [lines[1:] for lines in sections if lines[0] == "Exit codes:"]
    assert [int(line.split()[0]) for line in codes] == list(ExitCode)


@pytest.mark.parametrize("name", ["plan", "apply"])
def test_the_flags_that_people_use_first_come_first_and_none_is_lost(shell: Shell, name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = shell.run(name, "--help").stdout
    flags = {
        title: re.findall(r"^  (--[a-z-]+)", body, re.MULTILINE)
        for title, body in re.findall(r"^(\w[\w ]*):\n((?:  .*\n)+)", text, re.MULTILINE)
    }
    assert list(flags)[:3] == ["Options", "Connection and state", "Guards"]
    assert len(flags["Options"]) <= 10
    documented = [flag for section in flags.values() for flag in section]
    shown = [option.opts[0] for option in _options(command) if not option.hidden]
    assert sorted(documented) == sorted(shown)


def test_every_command_file_is_a_command_that_is_listed() -> None:
    """Each has a module of its name, and each module is a command."""
    folder = Path(str(cli_commands.__file__)).parent
    names = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}
    assert names == set(COMMANDS)
    assert all(isinstance(cli.get_command(click.Context(cli), name), click.Command) for name in names)


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["-h"]])
def test_to_say_the_version_nothing_heavy_is_imported(words: list[str]) -> None:
    heavy = ["requests", "yaml", "rich", "jsonschema", "jsonschema_rs", "deepdiff", "starlette", "uvicorn"]
    code = (
        "import sys\n"
        "from reconciler.cli import run\n"
        f"run({words!r})\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_error(shop: Shell) -> None:
    shop.write({f"k{number}": {"name": "n", "prompt": "line\n" * 50} for number in range(200)})
    done = subprocess.run(
        ["sh", "-c", f"'{COMMAND}' plan shop | head -n 1; exit 0"],
        cwd=shop.folder,
        env=shop.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"Plan for catalog bookshop, at {shop.environ['MINDCRAFT_ENDPOINT']}\n"
    assert done.stderr == ""


def _options(command: click.Command) -> Iterator[click.Option]:
    for param in command.params:
        if isinstance(param, click.Option):
            yield param
    for inner in getattr(command, "commands", {}).values():
        yield from _options(inner)


def test_ctrl_c_while_it_is_imported_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    for words in ([str(COMMAND)], [sys.executable, "-m", "reconciler"]):
        done = subprocess.run(
            [*words, "plan"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
