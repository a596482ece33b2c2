"""Problems as text: the place, what is wrong, the source line with a caret below it, and what to do."""

from __future__ import annotations

from reconciler.errors import Problem
from reconciler.text.escape import guard, visible
from reconciler.text.width import cells

#: The longest source line, in terminal cells; of a longer one, the part around the caret is shown.
WIDTH = 120
_BEFORE = 60
_CUT = "…"


def format_problem(problem: Problem) -> str:
    """A problem in one to four lines, without a final line end. Control characters are escaped.

    ::

        sessions/readers.yaml:12:5: `temprature` is not a field of `parameters`
           12 |     temprature: 0.3
              |     ^
              hint: did you mean `temperature`?
    """
    place = f"{problem.place}: " if problem.place else ""
    lines = [guard(visible(place + problem.message))]
    if problem.source.strip():
        before, after = _around(problem.source, max(problem.column, 1) - 1)
        lines.append(guard(f"{problem.line:>5} | {before}{after}"))
        lines.append(f"      | {' ' * cells(before)}^")
    if problem.hint:
        lines.append(guard(visible(f"      hint: {problem.hint}")))
    return "\n".join(lines)


def _around(source: str, at: int) -> tuple[str, str]:
    """The parts of a line before and after a position that are shown, escaped."""
    if len(source) <= WIDTH and cells(whole := guard(visible(source))) <= WIDTH:
        before = guard(visible(source[:at]))
        return before, whole.removeprefix(before)
    before = guard(visible(source[max(at - WIDTH, 0) : at]))
    if at > _BEFORE or cells(before) > _BEFORE:
        # Whole characters are dropped, so that no escape is cut in half.
        kept = source[max(at - _BEFORE, 0) : at]
        while cells(before := guard(visible(kept))) > _BEFORE:
            kept = kept[1:]
        before = _CUT + before
    room = WIDTH - cells(before)
    kept = source[at : at + room]
    cut = len(source) > at + room
    while cells(after := guard(visible(kept))) + cut > room:
        kept, cut = kept[:-1], True
    return before, after + _CUT * cut
