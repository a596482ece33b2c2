"""Checks the commands that messages suggest: each must be one that the command line accepts.

Tests that run the command do so through :mod:`tests.warm`, which hands each output over to :func:`check`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from reconciler.cli import COMMANDS, cli
from reconciler.cli.suggestions import leaf
from reconciler.text.paste import SUGGESTED

#: A suggestion that lacks the backticks: in a hint, or after the words that lead to one.
_BARE = re.compile(
    rf"(?:^ +hint: |^ +→ |Next: |\brun )(?:.* )?(?<!`)reconciler (?:{'|'.join(COMMANDS)})\b", re.MULTILINE
)


def suggested(text: str) -> list[str]:
    """The commands that an output suggests, in order."""
    return [found[1] for found in SUGGESTED.finditer(text)]


def without_run(text: str) -> str:
    """An output without the flags that suggested commands have from the run: for tests that are about other things."""
    flags = re.compile(r" --(?:catalog|endpoint|state-dir|archive-dir|api-key-file)=[^\s'`]+(?=[ `])")
    return SUGGESTED.sub(lambda found: flags.sub("", found[0]), text)


def check(text: str) -> None:
    """See that each suggested command parses, and that each value is written as ``--flag=value``."""
    for line in suggested(text):
        wrong = list(problems(line))
        assert not wrong, f"a message suggests `{line}`: {'; '.join(wrong)}"
    bare = _BARE.search(text)
    assert not bare, f"a suggested command is not between backticks: {bare[0]!r}"


def problems(line: str) -> Iterator[str]:
    """What is wrong with a suggested command line."""
    try:
        words = shlex.split(line)[1:]
    except ValueError as error:
        yield f"a shell can't read it: {error}"
        return
    if words in (["--help"], ["--version"]):
        return
    command, rest = leaf(cli, list(words))
    if isinstance(command, click.Group) or command is None:
        yield f"there is no such command: {words}"
        return
    context = click.Context(command)
    try:
        values, left, _ = command.make_parser(context).parse_args(list(rest))
    except click.UsageError as error:
        yield error.format_message()
        return
    if left:
        yield f"too many words: {left}"
    for parameter in command.params:
        value = values.get(parameter.name)
        if isinstance(parameter, click.Argument):
            if parameter.required and not (isinstance(value, str | tuple) and value):
                yield f"{parameter.human_readable_name} is missing"
        elif isinstance(parameter, click.Option) and not parameter.is_flag and not parameter.count:
            for flag in parameter.opts:
                # A value that may be left out, as that of `drift --accept`, is not the next word.
                if flag in rest and not optional(parameter):
                    yield f"the value of {flag} is a word of its own"


def optional(option: click.Option) -> bool:
    """Whether a flag may stand without a value."""
    return bool(getattr(option, "_flag_needs_value", False))
