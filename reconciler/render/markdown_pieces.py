"""What a Markdown rendering is put together from: bounded, escaped texts, lines of sessions, fenced differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.render.changed_lines import elide, left_out, marked, unbroken
from reconciler.render.prompt_diff import Line
from reconciler.render.view import Action, Field, last_updated, reason
from reconciler.text.escape import (
    code_point,
    fence,
    guard,
    html_text,
    markdown_code,
    markdown_text,
    quoted,
    visible,
)
from reconciler.text.width import breaks, cells

#: The longest single texts, in characters.
MAX_NAME, MAX_MESSAGE = 80, 400
_VALUE, _LINE = 200, 6_000
#: Columns of a row in a fenced block, beside its sign, and what the further rows of a line begin with.
_WIDTH, _WRAPPED = 90, "↳"


def as_block(lines: Iterable[str]) -> str:
    """Lines as a block, guarded: a job may print it to its log."""
    return guard("\n".join(lines))


def block_size(block: str) -> int:
    """The size of a block in bytes, with the empty line below it."""
    return len(block.encode()) + 2


def cut(text: str, limit: int) -> str:
    shown = visible(str(text)[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def short_key(key: str) -> str:
    """A key in a list of keys, cut if it is too long to be valid."""
    return key if len(key) <= MAX_NAME else f"{key[:MAX_NAME]}…"


def code(text: str, limit: int = MAX_NAME) -> str:
    """A code span. The mark of a cut text follows it: inside, it would be a part of the text."""
    shown = visible(str(text)[: limit + 1])
    return markdown_code(shown) if len(shown) <= limit else f"{markdown_code(shown[:limit])}…"


def html_code(text: str, limit: int = MAX_NAME) -> str:
    """The same in HTML, for the summary of a fold."""
    shown = visible(str(text)[: limit + 1])
    return f"<code>{html_text(shown[:limit])}</code>{'…' if len(shown) > limit else ''}"


def prose(text: str) -> str:
    return markdown_text(cut(text, MAX_MESSAGE)).rstrip(".")


def session_label(action: Action) -> str:
    number = f" `#{action['session_id']}`" if action["session_id"] is not None else ""
    return f"{code(str(action['key']))} {code(quoted(action['name']))}{number}"


def updated_at(sessions: Sequence[Action]) -> str:
    """When sessions were last updated; empty where it is not known."""
    known = [(str(one["key"]), at) for one in sessions if (at := last_updated(one))]
    if len(sessions) == 1:
        return "".join(prose(f"L{at[1:]}") for _, at in known)
    return "; ".join(f"{code(key)} {prose(at)}" for key, at in known)


def delete_line(action: Action, shared: str = "") -> str:
    """A session to delete, and why: what all of them share is said above them."""
    why = reason(action)
    why = why.removeprefix(shared).removeprefix("; ") if shared else why
    return f"- `-` {session_label(action)}{f': {prose(why)}' if why else ''}"


def short_delete_line(action: Action, _: str = "") -> str:
    return f"- {code(str(action['key']))}"


def before_and_after(field: Field, *, new: bool = False) -> str:
    """``before → after``; or ``added …`` or ``removed …``, unless everything is new."""
    shown = [code(quoted(field[s]), _VALUE) for s in ("before", "after") if s in field]
    if len(shown) == 1 and not new:
        return f"{'added' if 'after' in field else 'removed'} {shown[0]}"
    return " → ".join(shown)


def fenced(rows: Sequence[str], language: str = "") -> list[str]:
    ticks = fence("\n".join(rows))
    return [ticks + language, *rows, ticks]


def indented(lines: Iterable[str]) -> list[str]:
    """Lines as part of a list item."""
    return [f"  {line}" for line in lines]


def diff_rows(line: Line) -> list[str]:
    """A line of a difference in rows of limited width, as in a unified diff.

    A joined line begins with ``!``, which forges colour as a change. The further rows of a line begin with its sign and
    ``↳``.
    """
    sign = {"=": " ", "~": "!"}.get(line.op, line.op)
    text, whole = "", []
    for segment in marked(elide(line)):
        shown = left_out(segment) if segment.skipped else visible(segment.text)
        if not text and shown.startswith(_WRAPPED):
            shown = code_point(_WRAPPED) + shown[1:]
        if segment.skipped:
            whole.append((len(text), len(text) + len(shown)))
        elif segment.changed:
            whole += unbroken(shown, len(text))
        text += shown
    text = cut(text, _LINE)
    rows, start = [], 0
    for end in breaks(text, _WIDTH, _WIDTH - 2, whole):
        rows.append(
            f"{sign}{f'{_WRAPPED} ' if start else ''}{text[start:end]}".rstrip(" " if end < len(text) else "")
        )
        start = end
    return rows or [sign]


def fits(line: Line) -> bool:
    """Whether a changed line fits into one row of a difference, with marks."""
    return cells(visible("".join(s.text for s in marked(line)))) <= _WIDTH


def runs_of_lines(rows: Sequence[tuple[str | None, str]]) -> list[str]:
    """Folds for changes with details, and lists of the lines between them."""
    blocks: list[str] = []
    items: list[str] = []
    for detail, line in rows:
        if detail is None:
            items.append(line)
            continue
        if items:
            blocks.append("\n".join(items))
            items = []
        blocks.append(detail)
    if items:
        blocks.append("\n".join(items))
    return blocks
