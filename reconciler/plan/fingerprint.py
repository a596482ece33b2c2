"""The fingerprint of a live session: whether it moved since a plan was made against it."""

from __future__ import annotations

import json

from reconciler.model import LiveSession
from reconciler.values import short_hash


def fingerprint(live: LiveSession) -> str:
    """A hash over all that people can change of a session: its name, its whole config, its remark.

    Counters and times of the server are left out: a chat moves them, and does not make a plan stale.
    """
    content = [live.name, live.config, live.raw_remark]
    return short_hash(json.dumps(content, sort_keys=True, separators=(",", ":")), 22)
