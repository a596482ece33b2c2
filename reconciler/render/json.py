"""The plan's public JSON as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.render.options import RenderOptions
from reconciler.text.printable_json import json_text


def render_plan_json(document: Mapping[str, Any], options: RenderOptions) -> str:
    """The document itself, by :func:`~reconciler.text.printable_json.json_text`. No option changes it."""
    return json_text(document)
