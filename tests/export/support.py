"""Shared by the tests of export: values that are hard to write, and shortcuts to the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.commands.apply import command as apply_command
from reconciler.cli.commands.export import command as export_command
from reconciler.cli.commands.plan import command as plan_command

#: Names and prompts that are hard to carry through a text file.
HARD_TEXTS = (
    "plain",
    "顾掌柜",
    "👩‍💻 Coder",
    "\"double\" and 'single'",
    "a: b",
    "# no comment",
    "- item",
    "no",
    "1e3",
    "2024-13-45",
    "{{char}} meets {{user}}",
    "${name} and $(name) and `name`",
    "*alias &anchor !tag %directive @at",
    "back\\slash \\n \\u0041",
    "tab\there",
    "bell\x07 escape\x1b[31m delete\x7f",
    "next line\x85separator\u2028paragraph\u2029",
    "no-break\xa0space ideographic\u3000space",
    "\ufeffmark",
    "rtl \u202e override",
    "  outer white space  ",
    "\u3000outer wide space\u3000",
    "noncharacter \ufffe \U0001ffff private \ue000",
)
HARD_PROMPTS = (
    *HARD_TEXTS,
    "",
    "one line",
    "two\nlines",
    "ends in line ends\n\n\n",
    "ends in white space \t \n",
    "\n\nstarts with line ends",
    "   indented\nless",
    "\tstarts with a tab\n  two",
    "white space only within\n   \nas a line",
    "trailing   \nwhite space\t\nin lines",
    "```yaml\nkey: value\n```",
    "---\nfront: matter\n---\n\n# Title\n...\n%YAML 1.1",
    "Windows\r\nold Mac\rUnix\n",
    "{% if x %}{{ y }}{% endif %}",
    "a" * 5000,
    "x: |\n  nested\n\n\n  block",
)


def run(command: click.Command, *args: object) -> Any:
    """Call a command; gives its exit code."""
    return command.main([str(one) for one in args], prog_name="reconciler", standalone_mode=False) or 0


def export(folder: Path, url: str, *args: object) -> Any:
    return run(export_command, folder, "--endpoint", url, *args)


def plan(folder: Path, url: str, *args: object) -> Any:
    return run(plan_command, folder, "--endpoint", url, "--detailed-exitcode", *args)


def apply(folder: Path, url: str, *args: object) -> Any:
    return run(apply_command, folder, "--endpoint", url, "--auto-approve", "--settle", 0, *args)


def files(folder: Path) -> dict[str, str]:
    """The files below a folder, but for those that a run leaves there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".reconciler" not in path.parts
    }
