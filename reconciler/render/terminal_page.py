"""The lines of a page for a terminal or a log: escaped, wrapped, coloured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from reconciler.render.options import RenderOptions
from reconciler.text.escape import guard, visible
from reconciler.text.paste import SUGGESTED
from reconciler.text.width import breaks, cells

#: A stretch of a line: a plain text, or a text and the name of its style.
Span: TypeAlias = "str | tuple[str, str]"

_STYLES = {
    "create": "green",
    "update": "yellow",
    "delete": "bold red",
    "adopt": "cyan",
    "move": "cyan",
    "forget": "magenta",
    "drift": "magenta",
    "conflict": "bold magenta",
    "strong": "bold",
    "dim": "dim",
    "left out": "dim",
    "hunk": "cyan",
    "-": "red",
    "+": "green",
    "--": "bold white on red",
    "++": "bold black on green",
    "refused": "bold red",
    "warning": "yellow",
}


class Page:
    """Lines of a given width."""

    def __init__(self, options: RenderOptions) -> None:
        self.width = max(40, min(200, options.width))
        self._wide = options.wide_signs
        self._paint = _Painter() if options.color else None
        self._lines: list[str] = []

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def cells(self, text: str) -> int:
        """How many cells a visible text takes."""
        return cells(text, wide_signs=self._wide)

    def put(
        self,
        indent: int,
        *spans: Span,
        hang: int = 2,
        gutter: str = "",
        mark: str = "",
        whole: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Add a line, wrapped if it does not fit. Continuation lines follow the gutter and the mark.

        ``whole`` are stretches of the visible text that are not wrapped if they fit into a row. A suggested command is
        never wrapped, so that it can be copied.
        """
        parts = [(span, "") if isinstance(span, str) else span for span in spans]
        plain = "".join([text for text, _ in parts])
        if visible(plain) is not plain:  # most lines need no escaping
            parts = [(visible(text), style) for text, style in parts]
            plain = "".join([text for text, _ in parts])
        room = self.width - indent - len(gutter)
        if self.cells(plain) <= room:
            if self._paint is None:
                self._lines.append(guard((" " * indent + gutter + plain).rstrip(" ")))
                return
            self._add([(" " * indent + gutter, "dim" if gutter else ""), *parts])
            return
        hang = min(hang, room // 2)
        lead = mark + " " * (hang - self.cells(mark))
        start = 0
        rest = room - self.cells(lead)
        whole = [(one, end) for one, end in whole if self.cells(plain[one:end]) <= rest]
        if not gutter:  # a prompt, which follows one, suggests nothing
            whole = [found.span() for found in SUGGESTED.finditer(plain)]
        for at, end in enumerate(breaks(plain, room, rest, whole, wide_signs=self._wide)):
            head = [(" " * indent + gutter, "dim" if gutter else "")]
            if at:
                head.append((lead, "dim"))
            self._add(head + _slice(parts, start, end))
            start = end

    def blank(self) -> None:
        self._lines.append("")

    def _add(self, parts: Sequence[tuple[str, str]]) -> None:
        plain = "".join([text for text, _ in parts]).rstrip(" ")
        safe = guard(plain)
        if self._paint is None or safe != plain:
            # A line that had to be guarded loses its colours, because the command may span two of its parts.
            self._lines.append(safe)
            return
        left = len(plain)
        painted = []
        for text, style in parts:
            text = text[:left]
            left -= len(text)
            painted.append(self._paint(text, style) if text and style else text)
        self._lines.append("".join(painted))


def _slice(parts: Sequence[tuple[str, str]], start: int, end: int) -> list[tuple[str, str]]:
    """A slice of a list of styled texts, by character."""
    found = []
    at = 0
    for text, style in parts:
        found.append((text[max(0, start - at) : max(0, end - at)], style))
        at += len(text)
    return [part for part in found if part[0]]


class _Painter:
    """Styles text with ANSI codes, in the 16 colours that follow the terminal's theme."""

    def __init__(self) -> None:
        from rich.color import ColorSystem
        from rich.style import Style

        self.system = ColorSystem.STANDARD
        self.styles = {name: Style.parse(definition) for name, definition in _STYLES.items()}

    def __call__(self, text: str, style: str) -> str:
        return self.styles[style].render(text, color_system=self.system)
