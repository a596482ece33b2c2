"""The difference between two texts: hunks of lines, with the changed words marked.

The text, Markdown and HTML renderings share this structure. It holds raw text, which renderers escape. A *hunk* is a
stretch of changed lines with three unchanged lines around it; a *line* is a list of *segments*, each equal on both
sides or changed. Changes are marked by word; in Chinese, kana and emoji, which have no spaces, by character.

All of it is linear in the length, but for small stretches (see :mod:`reconciler.render.patience_diff`): what both texts
have in common at either end is cut off by comparing memory, before anything is looked at by line or by word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Literal, NamedTuple, TypeAlias

from reconciler.render.patience_diff import matches
from reconciler.text.tokens import CJK, estimate_tokens

Op: TypeAlias = Literal["=", "-", "+"]

#: Unchanged lines around a change.
CONTEXT = 3

#: If the texts differ over more characters than this, without common ends, only the first lines are compared: this many
#: lines, or fewer that hold this many characters.
LARGE = 1_000_000
FIRST_LINES = 2_000
FIRST_CHARACTERS = 100_000

#: Combining marks: they belong to the character before them.
COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
#: What belongs to the character before it: marks, selectors and skin tones.
EXTEND = f"[{COMBINING}\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]"
#: A unit of marking: a word, a stretch of white space, or another character with what extends it.
TOKEN = re.compile(f"(?:(?![{CJK}])[\\w{COMBINING}'’])+|\\s+|.(?:{EXTEND}|\u200d.)*", re.DOTALL)

# Bounds on the marking of words. Beyond them, whole lines count as replaced.
_PAIRED = 400  # pairs of lines in one replaced stretch that are compared
_MARKED_LINE = 100_000  # characters of one pair of lines, without common ends
_MARKED_TEXT = 400_000  # characters of all pairs of one text
_MARKED_PAIRS = 50  # pairs of lines of one text
_ALIKE = 0.35  # the share of two lines that must be equal for marks to help


class Segment(NamedTuple):
    """A part of a line, equal on both sides, removed or added; or a number of omitted characters and changes.

    Where one line stands for those of several texts, from ``fewest`` to ``skipped`` characters are omitted.
    """

    text: str
    op: Op = "="
    skipped: int = 0
    changes: int = 0
    fewest: int | None = None

    @property
    def changed(self) -> bool:
        """Whether only one side has it."""
        return self.op != "="


class Line(NamedTuple):
    """A line without its line end.

    ``spaces``: it differs from its counterpart in white space only. ``joined``: the segments of both, in one order;
    empty without a counterpart. A line of op ``~`` stands for both.
    """

    op: Op | Literal["~"]
    segments: tuple[Segment, ...]
    spaces: bool = False
    joined: tuple[Segment, ...] = ()

    @property
    def text(self) -> str:
        """The text of the line."""
        if len(self.segments) == 1:
            return self.segments[0].text
        return "".join(s.text for s in self.segments)


@dataclass(frozen=True, slots=True)
class Hunk:
    """A stretch of changes with its context. Starts count from 1, as in a unified diff.

    The starts are 0 if one hunk represents those of several texts at different lines.
    """

    before_start: int
    before_count: int
    after_start: int
    after_count: int
    lines: tuple[Line, ...]

    @property
    def header(self) -> str:
        """``@@ -1,4 +1,5 @@``"""
        if not self.before_start and not self.after_start:
            return "@@"
        return f"@@ -{self.before_start},{self.before_count} +{self.after_start},{self.after_count} @@"

    @property
    def change(self) -> tuple[tuple[str, str], ...]:
        """The change regardless of its position: the lines from the first changed one to the last."""
        changed = [at for at, line in enumerate(self.lines) if line.op != "="]
        return tuple((line.op, line.text) for line in self.lines[changed[0] : changed[-1] + 1])


class Rest(NamedTuple):
    """The part of a large text that was not compared, and how many lines it has."""

    text: str = ""
    lines: int = 0


@dataclass(frozen=True)
class TextDiff:
    """The difference between ``before`` and ``after``. ``rest`` is what was not compared of either, since they are
    large: both count as replaced, and the last lines of the last hunk stand for them."""

    before: str
    after: str
    hunks: tuple[Hunk, ...] = field(repr=False)
    rest: tuple[Rest, Rest] = field(default=(Rest(), Rest()), repr=False)

    @cached_property
    def removed(self) -> int:
        """How many lines were removed."""
        return self._number("-") + self.rest[0].lines

    @cached_property
    def added(self) -> int:
        """How many lines were added."""
        return self._number("+") + self.rest[1].lines

    def _number(self, op: Op) -> int:
        shown = (line for hunk in self.hunks for line in hunk.lines)
        # What was not compared is a line with nothing but a number of changed characters.
        return sum(
            line.op == op and not (line.segments[0].skipped and line.segments[0].changed) for line in shown
        )

    @cached_property
    def spaces_only(self) -> bool:
        """Whether only white space differs: spaces, tabs and line breaks."""
        if len(self.before) + len(self.after) > LARGE:  # a list of all words would take too much memory
            return self.before.translate(_spaces()) == self.after.translate(_spaces())
        return "".join(self.before.split()) == "".join(self.after.split())

    @cached_property
    def tokens(self) -> tuple[int, int]:
        """The approximate number of tokens on each side, by :func:`~reconciler.text.tokens.estimate_tokens`."""
        return estimate_tokens(self.before), estimate_tokens(self.after)


def diff(before: str, after: str, *, mark: bool = True) -> TextDiff:
    """Compare two texts by line and, with ``mark``, changed lines by word."""
    budget = _Budget() if mark else _Budget(pairs=0)
    if before == after:
        return TextDiff(before, after, ())
    span = start, end, end_after = _changed_span(before, after)
    if end - start + end_after - start <= LARGE:
        return TextDiff(before, after, tuple(_hunks(before, after, span, budget)))
    cut, cut_after = _first_lines(before, start, end), _first_lines(after, start, end_after)
    hunks = list(_hunks(before, after, (start, cut, cut_after), budget, context=False))
    rest = _rest(before, cut, end), _rest(after, cut_after, end_after)
    lines = [Line("-", (Segment("", "-", len(rest[0].text)),))] if rest[0].lines else []
    lines += [Line("+", (Segment("", "+", len(rest[1].text)),))] if rest[1].lines else []
    number = before.count("\n", 0, cut) + 1
    last = hunks.pop() if hunks else Hunk(number, 0, number, 0, ())
    last = replace(
        last,
        before_count=last.before_count + rest[0].lines,
        after_count=last.after_count + rest[1].lines,
        lines=(*last.lines, *lines),
    )
    return TextDiff(before, after, (*hunks, last), rest)


def _rest(text: str, start: int, end: int) -> Rest:
    if start == end:
        return Rest()
    return Rest(text[start:end], text.count("\n", start, end) + (end == len(text)))


def _first_lines(text: str, start: int, end: int) -> int:
    """The end of the first lines of a stretch, at the start of a line or at the end of the stretch."""
    at = start
    for _ in range(FIRST_LINES):
        if at >= min(end, start + FIRST_CHARACTERS):
            break
        line_end = text.find("\n", at, end)
        at = end if line_end < 0 else line_end + 1
    return at


@cache
def _spaces() -> dict[int, None]:
    return {code: None for code in range(0x3001) if chr(code).isspace()}


def changed_part(before: str, after: str) -> tuple[str, str]:
    """The lines of both texts from the first difference to the last: a cheap approximation of the difference."""
    start, end, end_after = _changed_span(before, after)
    return before[start:end], after[start:end_after]


# --- lines -----------------------------------------------------------------------------------------------


def common_start(a: str, b: str) -> int:
    """The length of the common prefix, found by bisection."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_end(a: str, b: str, limit: int) -> int:
    """The length of the common suffix, at most ``limit``."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _changed_span(before: str, after: str) -> tuple[int, int, int]:
    """Where the differing lines start in both texts, and where they end in each."""
    start = before.rfind("\n", 0, common_start(before, after)) + 1
    common = common_end(before, after, min(len(before), len(after)) - start)
    end, end_after = len(before) - common, len(after) - common

    def at_line_start(text: str, at: int) -> bool:
        return at == 0 or text[at - 1] == "\n"

    if not (at_line_start(before, end) and at_line_start(after, end_after)):
        line_end = before.find("\n", end)
        step = (line_end + 1 if line_end >= 0 else len(before)) - end
        end, end_after = end + step, end_after + step
    return start, end, end_after


def _lines(text: str, start: int, end: int) -> list[str]:
    """The lines of a stretch that starts at a line start and ends at one or at the end of the text.

    A final line end is followed by an empty line; an empty text has no lines.
    """
    if not text or start == end < len(text):
        return []
    return text[start : end if end == len(text) else end - 1].split("\n")


def _context_before(text: str, start: int) -> int:
    for _ in range(CONTEXT):
        if start <= 0:
            break
        start = text.rfind("\n", 0, start - 1) + 1
    return start


def _context_after(text: str, end: int) -> int:
    for _ in range(CONTEXT):
        if end >= len(text):
            break
        line_end = text.find("\n", end)
        end = len(text) if line_end < 0 else line_end + 1
    return end


@dataclass(slots=True)
class _Budget:
    """How much marking is left for one text."""

    pairs: int = _MARKED_PAIRS
    characters: int = _MARKED_TEXT


def _hunks(
    before: str, after: str, span: tuple[int, int, int], budget: _Budget, *, context: bool = True
) -> Iterator[Hunk]:
    """The hunks of a span; without ``context``, what follows it is not the same in both texts."""
    start, end, end_after = span
    first = _context_before(before, start)
    last = _context_after(before, end) if context else end
    last_after = end_after + (last - end)
    a, b = _lines(before, first, last), _lines(after, first, last_after)
    offset = before.count("\n", 0, first)
    for block in _blocks(matches(a, b), len(a), len(b)):
        lines: list[Line] = []
        for op, i, i_end, j, j_end in block:
            if op == "=":
                lines.extend(Line("=", (Segment(text),)) for text in a[i:i_end])
            else:
                lines.extend(_replaced(a[i:i_end], b[j:j_end], budget))
        i, i_end, j, j_end = block[0][1], block[-1][2], block[0][3], block[-1][4]
        yield Hunk(offset + i + (i_end > i), i_end - i, offset + j + (j_end > j), j_end - j, tuple(lines))


_Opcode: TypeAlias = tuple[Literal["=", "≠"], int, int, int, int]


def _blocks(runs: Sequence[tuple[int, int, int]], a_end: int, b_end: int) -> Iterator[list[_Opcode]]:
    """Equal and changed stretches, split into hunks where more than twice the context is equal."""
    block: list[_Opcode] = []
    i = j = 0
    for x, y, size in [*runs, (a_end, b_end, 0)]:
        if i < x or j < y:
            block.append(("≠", i, x, j, y))
        if size:
            last = x + size == a_end and y + size == b_end
            if not any(code[0] == "≠" for code in block):
                keep = min(size, CONTEXT)
                block = [("=", x + size - keep, x + size, y + size - keep, y + size)]
            elif last or size > 2 * CONTEXT:
                keep = min(size, CONTEXT)
                yield [*block, ("=", x, x + keep, y, y + keep)]
                block = [("=", x + size - keep, x + size, y + size - keep, y + size)]
            else:
                block.append(("=", x, x + size, y, y + size))
        i, j = x + size, y + size
    if any(code[0] == "≠" for code in block):
        yield block


# --- words -----------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """A line split into units of marking: words, stretches of white space, and other single characters."""
    return TOKEN.findall(text)


def _replaced(removed: Sequence[str], added: Sequence[str], budget: _Budget) -> Iterator[Line]:
    """Removed lines, then added lines, with the changed words marked in pairs of lines."""
    minus: list[Line] = [Line("-", (Segment(text, "-"),)) for text in removed]
    plus: list[Line] = [Line("+", (Segment(text, "+"),)) for text in added]
    for i, j in _partners(removed, added) if budget.pairs else ():
        size = len(removed[i]) + len(added[j])
        if size > budget.characters or not budget.pairs:
            break
        budget.characters -= size
        budget.pairs -= 1
        marked = _marked(removed[i], added[j])
        if marked is None:
            continue
        spaces = "".join(removed[i].split()) == "".join(added[j].split())
        minus[i] = Line("-", side(marked, "-"), spaces, marked)
        plus[j] = Line("+", side(marked, "+"), spaces, marked)
    yield from minus
    yield from plus


def _partners(removed: Sequence[str], added: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of removed and added lines: the most similar ones, in order."""
    if not removed or not added:
        return
    if len(removed) == len(added) == 1 or len(removed) * len(added) > _PAIRED:
        yield from zip(range(len(removed)), range(len(added)), strict=False)
        return
    left, right = [set(words(t[:2_000])) for t in removed], [set(words(t[:2_000])) for t in added]
    best = [[0.0] * (len(added) + 1) for _ in range(len(removed) + 1)]
    likeness = [[_likeness(x, y) for y in right] for x in left]
    for i in range(len(removed) - 1, -1, -1):
        for j in range(len(added) - 1, -1, -1):
            paired = best[i + 1][j + 1] + likeness[i][j] if likeness[i][j] > 0 else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    i = j = 0
    while i < len(removed) and j < len(added):
        if likeness[i][j] > 0 and best[i][j] == best[i + 1][j + 1] + likeness[i][j]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1


def _likeness(a: set[str], b: set[str]) -> float:
    shared = sum(not word.isspace() for word in a & b)
    return 2 * shared / (len(a) + len(b) or 1)


def _marked(a: str, b: str) -> tuple[Segment, ...] | None:
    """The segments of two lines, in one order, or nothing if they have too little in common for marks to help."""
    start = word_start(a, b, common_start(a, b))
    tail = word_end(a, b, common_end(a, b, min(len(a), len(b)) - start))
    middle_a, middle_b = a[start : len(a) - tail], b[start : len(b) - tail]
    if len(middle_a) + len(middle_b) > _MARKED_LINE:
        middle = [Segment(middle_a, "-"), Segment(middle_b, "+")]
    else:
        middle = _marked_words(words(middle_a), words(middle_b))
    equal = start + tail + sum(len(s.text) for s in middle if not s.changed)
    if 2 * equal < _ALIKE * (len(a) + len(b)) and a.split() != b.split():
        return None
    return _merged([Segment(a[:start]), *middle, Segment(a[len(a) - tail :])])


def _marked_words(a: list[str], b: list[str]) -> list[Segment]:
    runs = matches(a, b)
    # A space between two changed words is marked as well, so that the phrase reads as one change.
    runs = [r for r in runs if not all(word.isspace() for word in a[r[0] : r[0] + r[2]])]
    found: list[Segment] = []
    i = j = 0
    for x, y, size in [*runs, (len(a), len(b), 0)]:
        found += [
            Segment("".join(a[i:x]), "-"),
            Segment("".join(b[j:y]), "+"),
            Segment("".join(a[x : x + size])),
        ]
        i, j = x + size, y + size
    return found


def _merged(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments that are not empty; adjacent ones of a kind are one."""
    found: list[Segment] = []
    for segment in segments:
        last = found[-1] if found else None
        if last and last.op == segment.op and not last.skipped and not segment.skipped:
            found[-1] = Segment(last.text + segment.text, segment.op)
        elif segment.text or segment.skipped:
            found.append(segment)
    return tuple(found)


def side(segments: Iterable[Segment], op: Op) -> tuple[Segment, ...]:
    """What one side has of joined segments."""
    return _merged(s for s in segments if s.op in ("=", op)) or (Segment(""),)


def word_start(a: str, b: str, at: int) -> int:
    """The start of the word in which two lines diverge, so that words are marked as a whole."""
    start = max(0, at - 64)
    found = start
    for text in (a, b):
        best = start
        for match in TOKEN.finditer(text, start, min(len(text), at + 64)):
            if match.start() > at:
                break
            best = match.start()
        found = best if text is a else min(found, best)
    return found


def word_end(a: str, b: str, tail: int) -> int:
    """The length of the whole words that two lines share at the end."""

    def whole(text: str) -> int:
        at = len(text) - tail
        for match in TOKEN.finditer(text, max(0, at - 64)):
            if match.end() >= at:
                return match.end() if match.start() < at < match.end() else at
        return len(text)

    return min(len(a) - whole(a), len(b) - whole(b))
