"""First screens, as a reviewer sees them in Chromium: the comment, the log and the page of a plan.

``python -m tests.render.screens FOLDER`` writes them as pictures: those of the ten plans, and the two of the README.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from reconciler.render import RenderOptions, render_plan

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
COLUMNS, ROWS = 80, 40
#: Pixels of the first screen of each form.
SIZES = {"comment": (780, 900), "page": (1200, 900), "log": (760, 860)}
MADE = {
    "commit": "3f9c2ab81d07e6f5540c9a1be2d7f6a8c0b1d2e3",
    "time": "2026-03-04T09:12:00Z",
    "job": "https://ci.example.com/bookshop/personas/actions/runs/4711",
}


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    assert CHROMIUM or not os.environ.get("CI"), "CI needs Chromium: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def shown(browser: Any, form: str, document: Mapping[str, Any], folder: Path) -> Iterator[Any]:
    """The plan in one of the :data:`SIZES`, opened and not scrolled."""
    file = folder / f"{form}.html"
    file.write_text({"comment": comment, "log": log, "page": page}[form](document), encoding="utf-8")
    width, height = SIZES[form]
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(300_000)
    opened = context.new_page()
    opened.goto(file.as_uri())
    yield opened
    context.close()


def page(document: Mapping[str, Any]) -> str:
    """The HTML page."""
    return render_plan(document, "html", options=RenderOptions(**MADE))


def first_rows(document: Mapping[str, Any]) -> str:
    """The first screen of a log: what a runner prints, without colour."""
    text = render_plan(document, "text", options=RenderOptions(width=COLUMNS))
    return "\n".join(text.split("\n")[:ROWS])


IN_VIEW = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (["SCRIPT", "STYLE"].includes(node.parentElement.localName)) continue;
    if (!node.parentElement.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.height && box.bottom <= innerHeight && box.top >= 0) found.push(node.textContent);
    if (getComputedStyle(node.parentElement).display === "block") found.push(" ");
  }
  return found.join("");
}"""


def in_view(opened: Any) -> str:
    """The text on the screen, white space as single spaces."""
    return " ".join(str(opened.evaluate(IN_VIEW)).split())


# --- a comment, in the look of GitHub's ----------------------------------------------------------------------

_LOOK = """
body { margin: 0; background: #fff; color: #1f2328; font: 14px/1.5 "Noto Sans", Helvetica, Arial, sans-serif; }
.comment { margin: 0; padding: 16px; overflow-wrap: break-word; }
h1, h2, h3 { font-weight: 600; line-height: 1.25; margin: 24px 0 16px; } :first-child { margin-top: 0 !important; }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3em; } h3 { font-size: 1.25em; } h4 { font-size: 1em; }
p, ul, ol, pre, table, blockquote, details { margin: 0 0 16px; } ul, ol { padding-left: 2em; }
code { font: 85% ui-monospace, "Liberation Mono", "DejaVu Sans Mono", monospace;
  background: #818b981f; padding: .2em .4em;
  border-radius: 6px; white-space: break-spaces; }
pre { background: #f6f8fa; padding: 16px; border-radius: 6px; overflow: auto; font-size: 85%; line-height: 1.45; }
pre code { background: none; padding: 0; font-size: 100%; white-space: pre; }
blockquote { border-left: .25em solid #d1d9e0; padding: 0 1em; color: #59636e; }
blockquote.warning { border-color: #9a6700; color: inherit; }
blockquote.caution { border-color: #d1242f; color: inherit; }
blockquote b.alert { display: block; } .warning b.alert { color: #9a6700; } .caution b.alert { color: #d1242f; }
table { border-collapse: collapse; } td, th { border: 1px solid #d1d9e0; padding: 6px 13px; }
summary { cursor: pointer; }
.add { background: #dafbe1; color: #116329; } .remove { background: #ffebe9; color: #82071e; }
.at { color: #8250df; font-weight: 600; }
"""


def comment(document: Mapping[str, Any]) -> str:
    """The Markdown, as about GitHub shows it: alerts, coloured differences, code that does not wrap."""
    markdown = MarkdownIt("commonmark", {"html": True, "highlight": _colored}).enable("table")
    body = markdown.render(render_plan(document, "markdown", options=RenderOptions()))
    body = re.sub(
        r"<blockquote>\n<p>\[!(WARNING|CAUTION|NOTE|IMPORTANT)\]\n?",
        lambda m: f'<blockquote class="{m[1].lower()}"><p><b class="alert">{m[1].capitalize()}</b>',
        body,
    )
    return _document(_LOOK, f'<div class="comment">{body}</div>')


def _colored(code: str, language: str, _: str) -> str:
    if language != "diff":
        return html.escape(code)
    kinds = {"+": "add", "-": "remove", "@": "at", "!": "at"}
    lines = []
    for line in code.rstrip("\n").split("\n"):
        kind = kinds.get(line[:1])
        text = html.escape(line)
        lines.append(f'<span class="{kind}">{text}</span>' if kind else text)
    return "\n".join(lines)


# --- a log, in a terminal of 80 columns ----------------------------------------------------------------------

_TERMINAL = """
body { margin: 0; background: #161b22; color: #e6edf3; }
pre { margin: 0; padding: 10px 16px; font: 15px/21px "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace; }
"""
_COLORS = ("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#d2a8ff", "#39c5cf", "#e6edf3")


def log(document: Mapping[str, Any], *, columns: int = COLUMNS, rows: int = ROWS) -> str:
    """The first rows of the text, coloured, as a page."""
    text = render_plan(document, "text", options=RenderOptions(width=columns, color=True))
    body = _painted("\n".join(text.split("\n")[:rows]))
    return _document(_TERMINAL, f"<pre>{body}</pre>")


def _painted(text: str) -> str:
    parts = []
    codes: list[int] = []
    for at, part in enumerate(re.split("\x1b\\[([0-9;]*)m", text)):
        if at % 2 == 0:
            style = _css(codes)
            parts.append(f'<span style="{style}">{html.escape(part)}</span>' if style else html.escape(part))
        else:
            codes = [int(code or 0) for code in part.split(";")]
    return "".join(parts)


def _css(codes: list[int]) -> str:
    ink, paper, found = "", "", []
    for code in codes:
        if 30 <= code <= 37 or 90 <= code <= 97:
            ink = _COLORS[code % 10]
        elif 40 <= code <= 47 or 100 <= code <= 107:
            paper = _COLORS[code % 10]
        elif code == 1:
            found.append("font-weight: bold")
        elif code == 2:
            found.append("opacity: .6")
        elif code == 7:
            ink, paper = "#161b22", ink or "#e6edf3"
    found += [f"color: {ink}"] if ink else []
    found += [f"background: {paper}"] if paper else []
    return "; ".join(found)


def _document(style: str, body: str) -> str:
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{style}</style><body>{body}</body></html>'


# --- pictures ------------------------------------------------------------------------------------------------


def write_pictures(folder: Path) -> None:
    """The first screens of the ten plans as ``NAME.FORM.png``."""
    from tests.render.ten_plans import TEN

    with chromium() as browser:
        for name, case in TEN.items():
            for form in SIZES:
                with shown(browser, form, case().document, folder) as opened:
                    opened.screenshot(path=folder / f"{name}.{form}.png")
        for form in SIZES:
            (folder / f"{form}.html").unlink()


def write_readme_pictures(folder: Path) -> None:
    """One plan in a terminal and as a page: the pictures of the README."""
    from tests.render.ten_plans import for_the_readme

    texts = {
        "plan-terminal": (log(for_the_readme(), columns=100, rows=44), (940, 940)),
        "plan-page": (page(for_the_readme()), (1200, 960)),
    }
    with chromium() as browser:
        for name, (text, (width, height)) in texts.items():
            opened = browser.new_page(viewport={"width": width, "height": height})
            opened.set_content(text)
            opened.screenshot(path=folder / f"{name}.png")


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    write_pictures(target)
    write_readme_pictures(Path(__file__).parents[2] / "docs" / "images")
