"""Completes the commands that a message suggests, so that they work as printed.

A message suggests ``reconciler adopt alice=17`` because of what it found. Which catalog, environment and service that
was about is known here: the flags that this run was given. A suggested command gets those that it has and that the
message did not give. Variables are set for the reader, too, so they are not repeated.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from reconciler.errors import Problem
from reconciler.text.paste import SUGGESTED

#: The context of the command that runs, in the object that all contexts of a run share.
RUNNING: Final = "running"
#: The folder of the catalog if one was typed, in the context's ``meta``.
FOLDER: Final = "reconciler.typed_folder"

#: The parameters that say what a run is about, in the order in which they are added.
_CARRIED: Final = ("env", "var", "endpoint", "api_key_file", "contract", "state_dir", "archive_dir")


class RunningContext(click.Context):
    """A context that can be found once its command has ended with an error."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if isinstance(self.obj, dict):
            self.obj[RUNNING] = self


def completed(text: str, running: click.Context | None = None) -> str:
    """The text, with the flags of this run in each command that it suggests.

    ``running`` is the context of the command; by default, that of the code that calls this.
    """
    if "`reconciler " not in text:
        return text
    context = running or click.get_current_context(silent=True)
    flags = dict(_typed(context)) if context else {}
    if context is None or not flags:
        return text
    root = context.find_root().command
    if not isinstance(root, click.Group):
        return text
    return SUGGESTED.sub(lambda found: f"`{_with(found[1], flags, root)}`", text)


def completed_problems(problems: Iterable[Problem], running: click.Context | None = None) -> list[Problem]:
    """The problems, with completed commands."""
    return [
        replace(one, message=completed(one.message, running), hint=completed(one.hint, running))
        for one in problems
    ]


def completed_document(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A public document, such as that of a plan, with completed commands in all of its messages."""
    context = click.get_current_context(silent=True)
    if context is None or not any(True for _ in _typed(context)):
        return document
    places = {"notes": ("message",), "refusals": ("message", "allow"), "actions": ("reason",)}
    return {
        **document,
        **{
            name: [
                {**one, **{key: completed(one[key]) for key in keys if key in one}} for one in document[name]
            ]
            for name, keys in places.items()
            if document.get(name)
        },
    }


def leaf(root: click.Group, words: list[str]) -> tuple[click.Command | None, list[str]]:
    """The command that the words name, and the words that follow its name."""
    context = click.Context(root)
    found: click.Command | None = root
    while isinstance(found, click.Group) and words:
        found = found.get_command(context, words[0])
        words = words[1:]
    return found, words


def _typed(context: click.Context) -> Iterator[tuple[str, list[str]]]:
    """The flags of this run that say what it is about, each with its words. Only those that were typed."""
    folder: Path | None = context.meta.get(FOLDER)
    if folder is not None:
        yield "catalog", [f"--catalog={folder}"]
    for name in _CARRIED:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag, value = f"--{name.replace('_', '-')}", context.params.get(name)
            if name == "var":
                yield name, [f"{flag}={key}={text}" for key, text in value or ()]
            elif value is not None:
                yield name, [f"{flag}={value}"]


def _with(line: str, flags: Mapping[str, list[str]], root: click.Group) -> str:
    """A command line with the flags that its command has, and that it does not give."""
    try:
        command, rest = leaf(root, shlex.split(line)[1:])
        if command is None or isinstance(command, click.Group):
            return line
        values, _, _ = command.make_parser(click.Context(command)).parse_args(list(rest))
    except (ValueError, click.UsageError):
        return line
    # An argument that was not given has a value that is none of these.
    given = {name for name, value in values.items() if isinstance(value, str | list | tuple) and value}
    has = {_name(one) for one in command.params}
    if "catalog_flag" in given:
        given.add("catalog")
    more = [word for name, words in flags.items() if name in has and name not in given for word in words]
    return f"{line} {shlex.join(more)}" if more else line


def _name(parameter: click.Parameter) -> str:
    """The name of a parameter among the flags: --catalog is kept under another one where CATALOG is an argument."""
    return "catalog" if parameter.name == "catalog_flag" else str(parameter.name)
