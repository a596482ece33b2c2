"""The rule for the key of a session. The names of catalogs and environments follow it too."""

from __future__ import annotations

import re
from typing import Final

from reconciler.ownership.tag import Identity

#: Means every key in an entry of `moved`.
EVERY_KEY: Final = "*"

#: The longest key, in characters.
LONGEST_KEY: Final = 63
#: The rule, as a hint.
KEY_RULE: Final = "use up to 63 of a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit"
#: The rule as a regular expression. The schemas repeat it, and a test compares them.
KEY_PATTERN: Final = r"[a-z0-9][a-z0-9._-]{0,62}"

_KEY = re.compile(KEY_PATTERN)
_IDENTITY = re.compile(rf"(?:({KEY_PATTERN})(?:@({KEY_PATTERN}))?/)?({KEY_PATTERN}|\*)")


def is_key(text: str) -> bool:
    """Whether a text is a valid key."""
    return _KEY.fullmatch(text) is not None


def is_identity(identity: Identity) -> bool:
    """Whether catalog, environment and key are all valid, which a tag that others wrote does not ensure."""
    environment = identity.environment
    return is_key(identity.catalog) and is_key(identity.key) and (environment is None or is_key(environment))


def suggest_key(text: str) -> str:
    """The valid key that is most like a text; empty if no valid character is left."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:LONGEST_KEY].strip("-._")


def parse_identity(text: str, catalog: str, environment: str | None) -> Identity | None:
    """The identity that ``key``, ``catalog/key`` or ``catalog@environment/key`` names; ``None`` for any other form.

    The key may be :data:`EVERY_KEY`.

    Args:
        catalog: the catalog of a key without one, together with ``environment``.
    """
    found = _IDENTITY.fullmatch(text)
    if found is None:
        return None
    name, other, key = found.groups()
    return Identity(catalog, environment, key) if name is None else Identity(name, other, key)
