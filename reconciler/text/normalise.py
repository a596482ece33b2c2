"""The form in which prompts are compared and written."""

from __future__ import annotations


def normalise_prompt(text: str) -> str:
    """The prompt with LF line endings and without trailing white space.

    Leading white space and white space at the end of inner lines are kept.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.rstrip()


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: what the schemas call blank.

    ``str.strip`` does not take U+FEFF for white space, as JavaScript does.
    """
    return not text.replace("\ufeff", "").strip()
