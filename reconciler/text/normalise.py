"""Prompts in the form in which they are compared and written."""

from __future__ import annotations


def normalise_prompt(text: str) -> str:
    """The prompt with LF line endings and no white space at its end.

    Nothing else changes: neither leading white space nor white space at the end of an inner line.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.rstrip()
