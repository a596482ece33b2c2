"""Reports what is hard to see in a difference: white space, composition, hidden and look-alike characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.render.prompt_diff import TextDiff
from reconciler.text.characters import describe, find_misleading, may_mislead

_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")


def remarks(difference: TextDiff) -> list[str]:
    """What a reader of a difference might miss, as sentence parts without untrusted text.

    Whether only white space or only the composition of accents changes, and each hidden or look-alike character that is
    added or removed, with its name, its count, and the line of its first occurrence.
    """
    said: list[str] = []
    if difference.spaces_only:
        said.append("only white space changes")
    elif _composition_only(difference.before, difference.after):
        said.append("only the composition of accented letters changes: they look the same")
    if may_mislead(difference.after):
        said += describe("adds", find_misleading(_changed_text(difference, "+")))
    if may_mislead(difference.before):
        said += describe("removes", find_misleading(_changed_text(difference, "-")))
    return said


def _composition_only(before: str, after: str) -> bool:
    if before.isascii() or len(before) + len(after) > 1_000_000:
        return False
    from unicodedata import normalize

    return normalize("NFC", before) == normalize("NFC", after)


def _changed_text(difference: TextDiff, op: str) -> Iterator[tuple[int, str]]:
    rest = difference.rest[op == "+"].text
    for hunk in difference.hunks:
        number = hunk.after_start if op == "+" else hunk.before_start
        for line in hunk.lines:
            if line.op == op:
                for segment in line.segments:
                    if segment.skipped:  # what was not compared counts as changed
                        lines = _LINE.finditer(rest) if may_mislead(rest) else ()
                        yield from ((number + at, found.group()) for at, found in enumerate(lines))
                    elif segment.changed:
                        yield number, segment.text
            number += line.op in ("=", op)
