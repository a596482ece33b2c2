"""The fingerprint of a live session, which tells whether it changed since a plan was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reconciler.domain import LiveSession
from reconciler.values import short_hash

#: The path under which :func:`observed` has the remark as it is stored, with our tag.
WHOLE_REMARK = "session_remark"


def observed(live: LiveSession) -> dict[str, Any]:
    """Everything in a session that people can change, by path: its fields, unknown config keys, the whole remark.

    The server's counters and times are left out: a chat changes them, and does not make a plan stale.
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
