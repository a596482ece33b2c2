"""Keys that differ in their Unicode normal form only: a service may keep ``é`` in another form than it was sent."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable


def key_as_kept(key: str, kept: Iterable[str], wanted: Collection[str]) -> str | None:
    """The form in which a service keeps a key that is not there to the letter; None if it is not there at all.

    ``kept`` are the keys that are there. One of the ``wanted`` keys is itself, and no form of another.
    """
    if key.isascii():
        return None
    form = unicodedata.normalize("NFC", key)
    for one in kept:
        if not one.isascii() and one not in wanted and unicodedata.normalize("NFC", one) == form:
            return one
    return None
