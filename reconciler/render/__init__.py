"""Plans as people and programs read them: text, JSON, Markdown, HTML and job annotations.

Every renderer reads the plan's public JSON (``schemas/plan.schema.json``) and nothing else, and is imported when it
is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from reconciler.render.options import Detail as Detail
from reconciler.render.options import RenderOptions as RenderOptions

#: The forms of a plan, and where each is made.
FORMS = {
    "text": ("reconciler.render.text", "render_plan_text"),
    "json": ("reconciler.render.json", "render_plan_json"),
    "markdown": ("reconciler.render.markdown", "render_plan_markdown"),
    "html": ("reconciler.render.html", "render_plan_html"),
    "github": ("reconciler.render.github", "render_plan_github"),
}


def render_plan(document: Mapping[str, Any], form: str, *, options: RenderOptions) -> str:
    """A plan's public JSON in one of the :data:`FORMS`, ending in a line end.

    The result is always valid UTF-8 when encoded, whatever texts the plan holds.

    Raises:
        KeyError: there is no such form, or the document is no plan.
    """
    module, name = FORMS[form]
    function: Callable[[Mapping[str, Any], RenderOptions], str] = getattr(import_module(module), name)
    return function(document, options)
