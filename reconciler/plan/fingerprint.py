"""The fingerprint of a live session: whether it moved since a plan was made against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reconciler.domain import LiveSession
from reconciler.values import short_hash

#: The path under which :func:`observed` shows the remark to the letter, our tag included.
WHOLE_REMARK = "session_remark"


def observed(live: LiveSession) -> dict[str, Any]:
    """All that people can change of a session, by path: its fields, further config of others, the whole remark.

    Counters and times of the server are left out: a chat moves them, and does not make a plan stale.
    """
    found = live.fields()
    for key, value in live.config.items():
        if key not in ("model", "prompt", "data") and key not in live.parameters:
            found[f"session_config.{key}"] = value
    found[WHOLE_REMARK] = live.raw_remark
    return found


def fingerprint(seen: Mapping[str, Any]) -> str:
    """A hash over what :func:`observed` gave."""
    return short_hash(json.dumps(seen, sort_keys=True, separators=(",", ":")), 22)
