"""Values and words in messages about a file of settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.text.truncate import truncate


def shown(value: Any) -> str:
    """A value of YAML as a message shows it."""
    match value:
        case str():
            return f'the string "{truncate(value)}"'
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case _:
            return truncate(str(value))


def listed(words: Iterable[object]) -> str:
    """Words as code, joined by commas."""
    return ", ".join(f"`{word}`" for word in words)
