"""How the changed lines of a text are shown: shortened, joined and marked so that no change is out of sight.

A line and the line that replaced it are shortened at the same places, so that both rows show the words around every
change of either. Where the two do not fit side by side into a row each, they are *joined*: one line that holds what was
removed, what was added, and what stays. Where there may be no colour, marks say which words changed, as GNU wdiff does:
``Do [-not-] reveal prices``. The marks grow where a text has such marks itself: ``[--not--]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from reconciler.render.prompt_diff import COMBINING, EXTEND, TOKEN, Line, Segment, side
from reconciler.text.tokens import CJK

# Characters of a marked change that is not wrapped.
_SHORT = 24
#: Characters of one shown line. The changes beyond them are counted.
LONGEST = 4_000

_EXTENDING = re.compile(f"{EXTEND}|\u200d")
_IN_WORD = re.compile(f"(?![{CJK}])[\\w{COMBINING}'’]")
_ALIKE_MARKS = re.compile(r"\[(-+)|(-+)\]|\{(\++)|(\++)\}")


# --- shortening ------------------------------------------------------------------------------------------


def elide(line: Line, *, equal: int = 80, changed: int = 400, longest: int = LONGEST) -> Line:
    """The line with long segments shortened, at the same places as its counterpart.

    Equal segments keep up to half of ``equal`` characters next to a change, cut between words, and never less than two
    words. Changed segments, and lines without a counterpart, keep their first ``changed`` characters. What is beyond
    ``longest`` characters is left out with the changes in it.
    """
    segments = line.joined or line.segments
    if sum(len(s.text) for s in segments) <= 2 * equal:
        return line
    if len(segments) == 1:
        (segment,) = segments
        kept = tuple(_start(segment, changed if line.op != "=" else 2 * equal))
        return line._replace(segments=kept)
    short: list[Segment] = []
    for at, segment in enumerate(segments):
        if segment.changed:
            short += _start(segment, changed)
        else:
            short += _around(segment, equal // 2, at > 0, at + 1 < len(segments))
    short = _first(short, longest)
    if line.op == "-" or line.op == "+":
        return line._replace(segments=side(short, line.op), joined=tuple(short))
    return line._replace(segments=tuple(short))


def _start(segment: Segment, length: int) -> list[Segment]:
    text = segment.text
    if len(text) <= length + 20:
        return [segment]
    end = between_words(text, length, -1)
    return [Segment(text[:end], segment.op), Segment("", segment.op, len(text) - end)]


def _around(segment: Segment, length: int, before: bool, after: bool) -> list[Segment]:
    """The parts of an equal segment next to the changes before and after it."""
    text = segment.text
    head = max(two_words(text), between_words(text, length, -1)) if before else 0
    foot = min(last_two_words(text), between_words(text, len(text) - length, 1)) if after else len(text)
    if after and foot and text[foot - 1] == " ":
        foot -= 1
    if foot - head <= 40:
        return [segment]
    parts = [Segment(text[:head]), Segment("", "=", foot - head), Segment(text[foot:])]
    return [part for part in parts if part.text or part.skipped]


def between_words(text: str, at: int, step: int) -> int:
    """The nearest position in the direction of ``step`` that is inside no word, emoji sequence or accented letter."""
    start = at = max(0, min(len(text), at))
    while (
        0 < at < len(text)
        and abs(at - start) < 40
        and _IN_WORD.match(text[at])
        and _IN_WORD.match(text[at - 1])
    ):
        at += step
    while 0 < at < len(text) and (_EXTENDING.match(text[at]) or text[at - 1] == "\u200d"):
        at += step
    return at


def two_words(text: str) -> int:
    """The end of the second word, within the first 400 characters. A sign of punctuation is no word."""
    ends = [match.end() for match in TOKEN.finditer(text[:400]) if match.group()[0].isalnum()]
    return ends[min(1, len(ends) - 1)] if ends else 0


def last_two_words(text: str) -> int:
    offset = max(0, len(text) - 400)
    starts = [offset + match.start() for match in TOKEN.finditer(text[offset:]) if match.group()[0].isalnum()]
    return starts[max(-2, -len(starts))] if starts else len(text)


def _first(segments: list[Segment], longest: int) -> list[Segment]:
    """The first segments, of at most this many characters, and a count of what follows."""
    used = 0
    for at, segment in enumerate(segments):
        used += len(segment.text)
        if used > longest and at:
            rest = segments[at:]
            skipped = sum(len(s.text) + s.skipped for s in rest)
            changes = sum(changed for changed, _ in groupby(rest, lambda s: s.changed))
            return [*segments[:at], Segment("", "=", skipped, changes)]
    return segments


# --- joining ---------------------------------------------------------------------------------------------


def joined(lines: Sequence[Line], fits: Callable[[Line], bool]) -> Iterator[Line]:
    """The lines of a hunk, with each pair of which one line does not fit into a row joined into one, of op ``~``."""
    long = {
        id(one.joined)
        for one in lines
        if any(s.skipped for s in one.joined) or (one.joined and not fits(one))
    }
    stretch: list[Line] = []
    for line in lines:
        if line.op == "=":
            yield from _stretch(stretch, long)
            stretch = []
            yield line
        else:
            stretch.append(line)
    yield from _stretch(stretch, long)


def _stretch(lines: Sequence[Line], long: set[int]) -> Iterator[Line]:
    """Removed and added lines, in the order of the texts where pairs are joined."""
    added = [line for line in lines if line.op == "+"]
    for line in lines:
        if line.op != "-":
            continue
        if id(line.joined) not in long or not line.joined:
            yield line
            continue
        while added:
            other = added.pop(0)
            if other.joined is line.joined:
                break
            yield other
        yield Line("~", line.joined, line.spaces)
    yield from added


# --- marking ---------------------------------------------------------------------------------------------


def marked(line: Line) -> list[Segment]:
    """The segments of a line, with marks in the texts of the changed ones: for where there may be no colour.

    A line that changes as a whole has no marks, since its sign says so. A space that changes is shown as ``·``. Spaces
    at the end of a changed segment follow its mark, as a segment that is not changed.
    """
    if line.op == "=":
        return list(line.segments)
    marks = line.op == "~" or any(not s.changed and s.text for s in line.segments)
    depth = _depth(line.joined or line.segments) if marks else 0
    return [one for segment in line.segments for one in _marked_segment(segment, line.spaces, depth)]


def _marked_segment(segment: Segment, spaces: bool, depth: int) -> Iterator[Segment]:
    if segment.skipped or not segment.changed:
        yield segment
        return
    text = segment.text
    if spaces or text.isspace():
        text = text.replace(" ", "·")
    if not depth:
        yield Segment(text, segment.op)
        return
    sign = segment.op * depth
    word = text.rstrip(" ")
    yield Segment(f"[{sign}{word}{sign}]" if segment.op == "-" else f"{{{sign}{word}{sign}}}", segment.op)
    if len(word) < len(text):
        yield Segment(text[len(word) :])


def unbroken(text: str, at: int) -> list[tuple[int, int]]:
    """The stretches of a changed segment with marks, which begins at ``at``, within which no row ends.

    That is all of a short one, and of a longer one both marks with a character of what is marked.
    """
    mark = _ALIKE_MARKS.match(text)
    if mark is None:
        return []
    end = at + len(text)
    if len(text) <= _SHORT:
        return [(at, end)]
    return [(at, at + mark.end() + 1), (end - mark.end() - 1, end)]


def _depth(segments: Sequence[Segment]) -> int:
    """How many signs a mark needs, so that nothing in the text looks like one."""
    found = 0
    for segment in segments:
        found = max(found, *(len(max(m.groups(""))) for m in _ALIKE_MARKS.finditer(segment.text)), 0)
        if segment.changed:
            text = segment.text
            found = max(
                found, len(text) - len(text.lstrip(segment.op)), len(text) - len(text.rstrip(segment.op))
            )
    return found + 1


def left_out(segment: Segment) -> str:
    """Says how many characters are not shown, and how many changes are among them."""
    changes = (
        f" with {segment.changes:,} change{'' if segment.changes == 1 else 's'}" if segment.changes else ""
    )
    few = segment.fewest
    number = f"{segment.skipped:,}" if few is None else f"{few:,} to {segment.skipped:,}"
    return f"[… {number} character{'' if number == '1' else 's'}{changes} …]"
