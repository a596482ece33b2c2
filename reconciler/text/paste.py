"""Commands that a message tells the reader to run."""

from __future__ import annotations

import shlex


def command(*words: str, environment: str | None = None) -> str:
    """The command ``reconciler WORDS``, quoted for a shell. It ends in ``--env=NAME`` if the catalog has environments,
    since without that it would be an error, or be about another environment."""
    flag = [f"--env={environment}"] if environment else []
    return shlex.join(["reconciler", *words, *flag])
