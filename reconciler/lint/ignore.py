"""Comments that suppress findings: ``# reconciler: ignore RULE -- reason``.

A comment applies to its own line or to the line below it; at a key, to everything under the key. Later readers need
to know why, so a comment without a reason does nothing. A prompt has no comments: what looks like one is part of
the prompt and goes to the model.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from reconciler.lint.read import Document, Mark, Spot

_COMMENT = re.compile(r"(?<![^ \t\r\n])#[ \t]*reconciler:[ \t]*ignore\b[ \t]*([^\r\n]*)")
_ASKED = re.compile(
    r"(?P<rules>[^ \t,-][^ \t,]*(?:[ \t]*,[ \t]*[^ \t,-][^ \t,]*)*)?[ \t]*(?:--[ \t]*(?P<reason>.*))?"
)


@dataclass(slots=True)
class Comment:
    """One such comment. ``line`` is the line that it applies to, ``used`` those of its rules that found something."""

    at: Mark
    line: int
    rules: tuple[str, ...]
    reason: str
    used: set[str] = field(default_factory=set)


class Comments:
    """All comments of a catalog's manifests that suppress findings."""

    def __init__(self, documents: Collection[Document]) -> None:
        self.all = [comment for document in documents for comment in _comments(document)]
        self._about: dict[tuple[str, int], list[Comment]] = defaultdict(list)
        for comment in self.all:
            if comment.reason:
                self._about[comment.at.file.name, comment.line].append(comment)

    def ignore(self, rule: str, spot: Spot) -> bool:
        """Whether a comment suppresses what a rule found there."""
        found = False
        for file, index in (spot.at, *spot.covers):
            for comment in self._about.get((file.name, file.line(index)), ()):
                if rule in comment.rules:
                    comment.used.add(rule)
                    found = True
        return found


def _comments(document: Document) -> Iterator[Comment]:
    text = document.text
    known: dict[int, int] = {}
    for match in _COMMENT.finditer(text):
        before = bisect_right(document.scalars, (match.start(), len(text)))
        if before and document.scalars[before - 1][1] > match.start():
            continue  # within a text
        asked = _ASKED.fullmatch(match[1].rstrip())
        rules = re.split(r"[ \t]*,[ \t]*", asked["rules"]) if asked and asked["rules"] else ()
        reason = (asked["reason"] or "").strip() if asked else ""
        yield Comment(
            Mark(document, match.start()), _about(document, match.start(), known), tuple(rules), reason
        )


def _about(document: Document, index: int, known: dict[int, int]) -> int:
    """The line that a comment applies to: its own, or the next line that is not only a comment.

    ``known`` holds the answers by the start of a line, so that of many comments in a row each is looked at once.
    """
    outline = document.outline
    start = outline.line_start(index)
    passed: list[int] = []
    while start < len(document.text) and start not in known:
        line = document.text[start : outline.line_end(start)].lstrip(" \t")
        if not line.startswith("#"):
            break
        passed.append(start)
        start = outline.next_line(start)
    found = known.get(start) or document.line(start)
    known.update(dict.fromkeys(passed, found))
    return found
