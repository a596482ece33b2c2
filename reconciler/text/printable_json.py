"""JSON that is safe to print: it has no effect on a terminal or a CI runner, and is always valid UTF-8."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from reconciler.text.escape import HIDDEN

# Outside of strings, JSON is printable ASCII, except for the line ends of the indentation.
_HIDDEN = re.compile(f"(?!\n)[{HIDDEN}]|#(?=#(?:\\[|vso\\[|teamcity\\[))", re.IGNORECASE)


def json_text(value: Any) -> str:
    r"""A JSON value, indented by two, with a final line end. Parsed, it equals ``value``.

    Letters of all scripts are unchanged. Invisible and control characters are escaped like ``\u202e``; so are lone
    surrogates, since they can't be encoded, and the first ``#`` of ``##[``, which a CI runner would interpret as a
    workflow command.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2)
    text = _HIDDEN.sub(lambda match: _escaped(match.group()), text)
    return text + "\n"


@cache  # a text of millions of such characters shares their escapes
def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if not char.isascii() else f"\\u{ord(char):04x}"
