"""JSON as text that is safe to print: nothing in it acts on a terminal or a CI runner, and it is always valid UTF-8."""

from __future__ import annotations

import json
import re
from typing import Any

from reconciler.text.escape import HIDDEN

# Outside of strings JSON is printable ASCII but for the line ends that the indentation puts there.
_HIDDEN = re.compile(f"(?!\n)[{HIDDEN}]|#(?=#(?:\\[|vso\\[|teamcity\\[))", re.IGNORECASE)


def json_text(value: Any) -> str:
    r"""A JSON value, indented by two, with a line end. Read back it is equal to ``value``.

    Letters of all scripts stay as they are. Characters that can't be seen or that steer a terminal are
    written as ``\u202e``, lone surrogates among them, so that the text can be encoded; so is the first ``#``
    of ``##[``, which a CI runner would take for a workflow command.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2)
    text = _HIDDEN.sub(lambda match: _escaped(match.group()), text)
    return text + "\n"


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if not char.isascii() else f"\\u{ord(char):04x}"
