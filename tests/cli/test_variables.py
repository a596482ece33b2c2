"""Every flag as a variable: each variable means one thing, and docs/command-line.md lists them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from reconciler.cli import COMMANDS, cli
from reconciler.server import RunningServer
from tests.cli.conftest import Shell

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


@dataclass(frozen=True)
class Use:
    """A flag of a command, and the variable that sets it."""

    command: str
    flag: str
    variable: str
    type: str
    meaning: str


def uses(command: click.Command, name: str) -> Iterator[Use]:
    for option in command.params:
        if isinstance(option, click.Option):
            assert isinstance(option.envvar, str)
            yield Use(name, max(option.opts, key=len), option.envvar, kind(option), meaning(option))
    for inner, one in getattr(command, "commands", {}).items():
        yield from uses(one, f"{name} {inner}")


def kind(option: click.Option) -> str:
    """What may stand in its variable."""
    name = f"a {option.type.name}"
    return f"{name}, one a line" if option.multiple else name


def meaning(option: click.Option) -> str:
    """Its help without its default, which is the command's own."""
    return re.split(r"(?<=[.;]) Default: ", option.help or "")[0]


def all_uses() -> list[Use]:
    found = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        found += list(uses(command, name))
    return found


def rows() -> list[str]:
    """The page's table, a row for each variable."""
    by_variable: dict[str, list[Use]] = {}
    for use in all_uses():
        if use.meaning:  # a hidden flag has none
            by_variable.setdefault(use.variable, []).append(use)
    return [
        f"| `{variable}` | `{found[0].flag}` | {', '.join(use.command for use in found)} | {found[0].meaning} |"
        for variable, found in sorted(by_variable.items())
    ]


def test_each_variable_means_one_thing() -> None:
    meanings: dict[str, set[tuple[str, str, str]]] = {}
    for use in all_uses():
        meanings.setdefault(use.variable, set()).add((use.flag, use.type, use.meaning))
    assert {variable: found for variable, found in meanings.items() if len(found) > 1} == {}


@pytest.mark.parametrize("use", all_uses(), ids=lambda use: f"{use.command} {use.flag}")
def test_a_variable_is_named_after_its_flag(use: Use) -> None:
    """With the command before it where the flag means something else in another command."""
    flag = use.flag.removeprefix("--").replace("-", "_").upper()
    own = f"RECONCILER_{use.command.replace(' ', '_').replace('-', '_').upper()}_{flag}"
    others = {one.meaning for one in all_uses() if one.flag == use.flag}
    assert use.variable in ({f"RECONCILER_{flag}", own} if len(others) > 1 else {f"RECONCILER_{flag}"})


def test_the_page_names_every_variable() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `RECONCILER_")]
    assert table == rows()


def test_a_variable_of_one_command_is_nothing_to_another(shop: Shell, server: RunningServer) -> None:
    """The folder of a catalog is no name of one, and a plan is not overwritten by a list of models."""
    assert shop.run("plan", "shop", RECONCILER_OUT="plan.json").returncode == 0
    saved = (shop.folder / "plan.json").read_bytes()
    assert shop.run("models", RECONCILER_OUT="plan.json").returncode == 0
    assert (shop.folder / "plan.json").read_bytes() == saved
    assert shop.run("models", RECONCILER_MODELS_OUT="models.json").returncode == 0
    assert json.loads((shop.folder / "models.json").read_text())["endpoint"] == server.url
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    done = shop.run("export", "copy", RECONCILER_CATALOG="shop", RECONCILER_CATALOG_NAME="bookshop")
    assert (done.returncode, done.stdout) == (0, "bookshop: 2 sessions exported to copy.\n")
    done = shop.run("explain", "alice", RECONCILER_CATALOG="shop", RECONCILER_CATALOG_NAME="nowhere")
    assert done.returncode == 0, done.stderr


def test_a_flag_as_a_variable(shop: Shell) -> None:
    document = json.loads(shop.run("plan", "shop", RECONCILER_FORMAT="json").stdout)
    assert document["summary"]["create"] == 2
    assert shop.run("apply", "shop", RECONCILER_AUTO_APPROVE="true").returncode == 0
    done = shop.run("apply", "shop", RECONCILER_AUTO_APPROVE="maybe")
    assert done.returncode == 64
    assert "'maybe' is not a valid boolean" in done.stderr


def test_a_flag_that_may_be_repeated_has_a_value_a_line_in_its_variable(shop: Shell) -> None:
    shop.write(
        {"alice": {"name": "Alice", "prompt": [{"text": "{{ greet }}, {{ who }}!", "template": "jinja"}]}}
    )
    environ = {
        "RECONCILER_VAR": "greet=hello world: a\r\nwho=x=y\n\n",
        "RECONCILER_OUT_FILE": "json=one plan.json\nhtml=another:plan.html\n",
    }
    assert shop.run("plan", "shop", **environ).returncode == 0
    document = json.loads((shop.folder / "one plan.json").read_text())
    (prompt,) = [one for one in document["actions"][0]["fields"] if one["path"] == "prompt"]
    assert prompt["after"] == "hello world: a, x=y!"
    assert (shop.folder / "another:plan.html").is_file()
