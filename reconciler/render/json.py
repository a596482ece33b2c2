"""The plan's public JSON as text: the document itself, safe to print and always valid UTF-8."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from reconciler.render.options import RenderOptions
from reconciler.text.escape import HIDDEN

# Outside of texts JSON is printable ASCII but for the line ends that the indentation puts there.
_HIDDEN = re.compile(f"(?!\n)[{HIDDEN}]|#(?=#(?:\\[|vso\\[|teamcity\\[))", re.IGNORECASE)


def render_plan_json(document: Mapping[str, Any], options: RenderOptions) -> str:
    r"""The document, indented by two. Read back it is equal to what it was made from.

    Letters of all scripts stay as they are. Characters that can't be seen or that steer a terminal are
    written as ``\u202e``, lone surrogates among them, so that the text can be encoded; so is the first ``#``
    of ``##[``, which a CI runner would take for a workflow command.
    """
    return json_text(document)


def json_text(value: Any) -> str:
    """Any JSON value in the way of :func:`render_plan_json`."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    text = _HIDDEN.sub(lambda match: _escaped(match.group()), text)
    return text + "\n"


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if not char.isascii() else f"\\u{ord(char):04x}"
