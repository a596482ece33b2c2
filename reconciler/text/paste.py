"""Commands that a message tells the reader to run.

A message shows such a command between backticks, quoted for a shell and with every value as ``--flag=value``. Parts of
the program that know nothing of the command line name what they know; :mod:`reconciler.cli.suggestions` adds the flags
of the run before the message is printed. Words in capitals, such as ``FILE``, are for the reader to fill in.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

#: A command in a message. Its group is the command without the backticks.
SUGGESTED: Final = re.compile(r"`(reconciler [^`\n]+)`")


def flag(name: str, value: str) -> str:
    """``--name=value``, quoted for a shell: a value may come from the service, or from a stranger's file."""
    return shlex.quote(f"--{name}={value}")


def command(*words: str, environment: str | None = None) -> str:
    """The command ``reconciler WORDS`` between backticks, quoted for a shell.

    It ends in ``--env=NAME`` if the catalog has environments, since without that it would be an error, or be about
    another environment.
    """
    chosen = [f"--env={environment}"] if environment else []
    return f"`{shlex.join(['reconciler', *words, *chosen])}`"
