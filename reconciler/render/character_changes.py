"""What a prompt difference hides from the eye: white space, composition, hidden and look-alike characters."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.render.prompt_diff import TextDiff
from reconciler.text.characters import describe, look_for_characters, worth_a_look


def remarks(difference: TextDiff) -> list[str]:
    """What a reader of a difference might miss, in sentence parts. They hold no text of others.

    White space alone, the composition of accents alone, and each hidden or look-alike character that comes
    or goes, with its name, how often, and the line of its first occurrence.
    """
    said: list[str] = []
    if difference.spaces_only:
        said.append("only white space changes")
    elif _composition_only(difference.before, difference.after):
        said.append("only the composition of accented letters changes: they look the same")
    if worth_a_look(difference.after):
        said += describe("adds", look_for_characters(_changed_text(difference, "+")))
    if worth_a_look(difference.before):
        said += describe("removes", look_for_characters(_changed_text(difference, "-")))
    return said


def _composition_only(before: str, after: str) -> bool:
    if before.isascii() or len(before) + len(after) > 1_000_000:
        return False
    from unicodedata import normalize

    return normalize("NFC", before) == normalize("NFC", after)


def _changed_text(difference: TextDiff, op: str) -> Iterator[tuple[int, str]]:
    for hunk in difference.hunks:
        number = hunk.after_start if op == "+" else hunk.before_start
        for line in hunk.lines:
            if line.op == op:
                for segment in line.segments:
                    if segment.changed:
                        yield number, segment.text
            number += line.op in ("=", op)
