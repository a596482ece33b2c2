"""``docs/limits.md`` states the numbers that are in force."""

from __future__ import annotations

from pathlib import Path

from reconciler import bounded_http, disk
from reconciler.catalog import problems, template_worker, templating
from reconciler.lint import report
from reconciler.render import html, options, prompt_diff
from reconciler.server import app, body

PAGE = (Path(__file__).parents[1] / "docs" / "limits.md").read_text(encoding="utf-8")
MIB = 2**20


def test_the_figures() -> None:
    for figure in (
        f"{templating.TIME:g} s, {template_worker.MEMORY // MIB} MiB, {template_worker.SIZE:,} characters",
        f"problems of a catalog | the first {problems.MAX_PROBLEMS:,}",
        f"findings of a lint rule | the first {report.MAX_FINDINGS:,}",
        f"archives that are named | {disk.MAX_DOCUMENT // MIB} MiB",
        f"fault files that are named | {disk.MAX_FILE // MIB} MiB",
        f"code host | {bounded_http.LARGEST // MIB} MiB",
        f"an HTML page | {html.ROWS:,} changes",
        f"{prompt_diff.LARGE:,} characters; of more, the first {prompt_diff.FIRST_LINES:,} lines",
        f"{body.LARGEST // MIB} MiB, {app.MAX_HELD // MIB} MiB",
        f"{options.RenderOptions().max_bytes:,} bytes",
    ):
        assert figure in PAGE, figure
