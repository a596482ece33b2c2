"""The id of a catalog: eight random characters that distinguish it from other catalogs of the same name."""

from __future__ import annotations

import re
import secrets
import string
from typing import Final

#: The rule as a regular expression. The schema repeats it, and a test compares them. An id begins with a letter, so
#: that YAML reads it as a string and not as a number.
CATALOG_ID_PATTERN: Final = r"[a-z][a-z0-9]{7}"

_CATALOG_ID = re.compile(CATALOG_ID_PATTERN)


def is_catalog_id(text: str) -> bool:
    """Whether a text is a valid id."""
    return _CATALOG_ID.fullmatch(text) is not None


def new_catalog_id() -> str:
    """A new id, drawn at random."""
    others = string.ascii_lowercase + string.digits
    return secrets.choice(string.ascii_lowercase) + "".join(secrets.choice(others) for _ in range(7))
