"""What the same change in several texts has in common: it is shown once, with the context that all of them share.

Two changes are the same if they replace the same lines, wherever these stand. Most prompts are one long line, in which
a rule that many share stands among words that they do not. So changes of parts of long lines are the same if they
replace the same words, with the same two words on either side.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.render.changed_lines import between_words, last_two_words, two_words
from reconciler.render.prompt_diff import (
    TOKEN,
    Hunk,
    Line,
    Op,
    Segment,
    TextDiff,
    common_end,
    common_start,
    side,
    word_end,
    word_start,
)

#: Lines from this many characters on are compared by what changes in them, up to this many of both.
_LONG, _LONGEST = 160, 100_000
#: Characters of a line that are shown next to a change.
_CONTEXT = 40


def what_is_same(hunk: Hunk) -> tuple[object, ...]:
    """What two hunks have in common that are the same change."""
    change = hunk.change
    if len(change) != 2 or change[0][0] != "-" or change[1][0] != "+":
        return change
    (_, before), (_, after) = change
    if min(len(before), len(after)) < _LONG or len(before) + len(after) > _LONGEST:
        return change
    start = word_start(before, after, common_start(before, after))
    tail = word_end(before, after, common_end(before, after, min(len(before), len(after)) - start))
    if 2 * (start + tail) < max(len(before), len(after)):
        return change
    head, foot = before[:start], before[len(before) - tail :]
    words = head[last_two_words(head) :], foot[: two_words(foot)]
    return (*words, before[start : len(before) - tail], after[start : len(after) - tail])


def shared(diffs: Sequence[TextDiff]) -> TextDiff:
    """One difference for several with the same changes: the first one, with the context that all share."""
    first = diffs[0]
    hunks = []
    for same in zip(*(d.hunks for d in diffs), strict=True):
        hunk = same[0]
        heads, tails = zip(*map(_contexts, same), strict=True)
        head = _shared_length([h[::-1] for h in heads])
        tail = _shared_length(tails)
        drop, end = len(heads[0]) - head, len(hunk.lines) - (len(tails[0]) - tail)
        lines = (
            *hunk.lines[drop : len(heads[0])],
            *_changed(same),
            *hunk.lines[len(hunk.lines) - len(tails[0]) : end],
        )
        fewer = len(hunk.lines) - len(lines)
        places = {(h.before_start + len(c), h.after_start + len(c)) for h, c in zip(same, heads, strict=True)}
        moved = len(places) > 1
        hunks.append(
            Hunk(
                0 if moved else hunk.before_start + drop,
                hunk.before_count - fewer,
                0 if moved else hunk.after_start + drop,
                hunk.after_count - fewer,
                lines,
            )
        )
    return TextDiff(first.before, first.after, tuple(hunks), first.rest)


def _contexts(hunk: Hunk) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    changed = [at for at, line in enumerate(hunk.lines) if line.op != "="]
    return hunk.lines[: changed[0]], hunk.lines[changed[-1] + 1 :]


def _shared_length(contexts: Sequence[tuple[Line, ...]]) -> int:
    length = 0
    for rows in zip(*contexts, strict=False):
        if any(row != rows[0] for row in rows):
            break
        length += 1
    return length


def _changed(hunks: Sequence[Hunk]) -> tuple[Line, ...]:
    """The changed lines of hunks with the same change."""
    changed = []
    for hunk in hunks:
        above, below = _contexts(hunk)
        changed.append(hunk.lines[len(above) : len(hunk.lines) - len(below)])
    first = changed[0]
    if all(lines == first for lines in changed) or not all(lines[0].joined for lines in changed):
        return first
    joined = [lines[0].joined for lines in changed]
    head, inner, foot = _parted(joined[0])
    outer = [_parted(segments) for segments in joined]
    if head:
        inner = (*_shown([one[0] for one in outer], last=True), *inner)
    if foot:
        inner = (*inner, *_shown([one[2] for one in outer], last=False))
    spaces = first[0].spaces
    ops: tuple[Op, Op] = ("-", "+")
    return tuple(Line(op, side(inner, op), spaces, inner) for op in ops)


def _parted(segments: tuple[Segment, ...]) -> tuple[str, tuple[Segment, ...], str]:
    """What a line begins with on both sides, what follows, and what it ends with on both sides."""
    first, last = not segments[0].changed, not segments[-1].changed
    inner = segments[int(first) : len(segments) - int(last)]
    return segments[0].text if first else "", inner, segments[-1].text if last else ""


def _shown(texts: Sequence[str], *, last: bool) -> tuple[Segment, ...]:
    """The words that all texts end with (``last``) or begin with, and how many characters are beyond them."""
    length = _words_in_common([text[-400:] if last else text[:400] for text in texts], last=last)
    text = texts[0][len(texts[0]) - length :] if last else texts[0][:length]
    same = all(len(one) == length for one in texts)
    if length > (2 * _CONTEXT if same else _CONTEXT):
        if last:
            text = text[min(last_two_words(text), between_words(text, length - _CONTEXT, 1)) :]
        else:
            text = text[: max(two_words(text), between_words(text, _CONTEXT, -1))]
    left = [len(one) - len(text) for one in texts]
    beyond = Segment("", "=", max(left), 0, None if min(left) == max(left) else min(left))
    parts = (beyond, Segment(text)) if last else (Segment(text), beyond)
    return tuple(part for part in parts if part.text or part.skipped)


def _words_in_common(texts: Sequence[str], *, last: bool) -> int:
    lists = [[found.group() for found in TOKEN.finditer(text)][:: -1 if last else 1] for text in texts]
    length = 0
    for tokens in zip(*lists, strict=False):
        if any(token != tokens[0] for token in tokens):
            break
        length += len(tokens[0])
    return length
