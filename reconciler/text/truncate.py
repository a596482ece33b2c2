"""Cuts untrusted text to fit into a message."""

from __future__ import annotations


def truncate(text: str, length: int = 60) -> str:
    """The text, or its first ``length - 1`` characters and ``…`` if it is longer than ``length``."""
    return text if len(text) <= length else text[: length - 1] + "…"
