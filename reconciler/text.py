"""What is done to a prompt before it is compared or written."""

from __future__ import annotations


def normalise_prompt(text: str) -> str:
    """A prompt as it is compared and written: line endings are LF, and the white space at its end is gone.

    Nothing else is touched: neither leading white space, nor what stands at the end of a line within.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.rstrip()
