"""Where results go, and how they look there: stdout, coloured only on a terminal that wants it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import click

from reconciler.render.options import Detail, RenderOptions


def render_options(*, no_color: bool, detail: Detail = "normal") -> RenderOptions:
    """How to render for this run's stdout (https://no-color.org for NO_COLOR)."""
    terminal = sys.stdout.isatty()
    color = terminal and not no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((100, 24)).columns if terminal else 100
    return RenderOptions(color=color, width=width, detail=detail)


def show(document: Mapping[str, Any], form: str, options: RenderOptions) -> None:
    """Print a plan to stdout in one of its forms."""
    from reconciler.render import render

    click.echo(render(document, form, options=options), nl=False, color=options.color)
