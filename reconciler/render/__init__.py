"""Renders plans, reports, findings and problems. Plans: as text, JSON, Markdown, HTML and job annotations.

Renderers read the public JSON form (for plans, ``schemas/plan.schema.json``) and nothing else. Each is imported when
it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from reconciler.render.options import Detail as Detail
from reconciler.render.options import RenderOptions as RenderOptions

#: The forms of a plan, and the function that renders each.
FORMS = {
    "text": ("reconciler.render.text", "render_plan_text"),
    "json": ("reconciler.render.json", "render_plan_json"),
    "markdown": ("reconciler.render.markdown", "render_plan_markdown"),
    "html": ("reconciler.render.html", "render_plan_html"),
    "github": ("reconciler.render.github", "render_plan_github"),
}


def render_plan(document: Mapping[str, Any], form: str, *, options: RenderOptions) -> str:
    """A plan's public JSON in one of the :data:`FORMS`, ending in a line end.

    The result can always be encoded as UTF-8, whatever the plan holds.

    Raises:
        KeyError: the form is unknown, or the document is not a plan.
    """
    module, name = FORMS[form]
    function: Callable[[Mapping[str, Any], RenderOptions], str] = getattr(import_module(module), name)
    return function(document, options)
