"""How long the tags of real personas are, on the service that adds most to them.

The personas are not part of the repository: ``RECONCILER_TEST_DATA`` names the folder that holds them
(``personas.jsonl``), ``../shared/data`` by default.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reconciler.ownership.remark import remark_size
from reconciler.ownership.tag import Identity, make_tag, tag_to_json
from reconciler.values import MISSING

#: The longest that a tag may be, in bytes, where names have ``NAMES`` characters and there are eight fields.
MOST = 200
NAMES = 20

_REPOSITORY = Path(__file__).parents[1]


def personas() -> list[dict[str, Any]]:
    """The personas, each with a ``name`` and a ``prompt``; none where they are not installed."""
    folder = Path(os.environ.get("RECONCILER_TEST_DATA", _REPOSITORY.parent / "shared" / "data"))
    file = folder / "personas.jsonl"
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def sizes(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The sizes (bytes) of the tags of these personas, by what the service keeps of the eight fields.

    Each tag has the catalog's id and the session's, and is that of a protected session.
    """
    found: dict[str, list[int]] = {"as written": [], "another form of the prompt": [], "nothing": []}
    for number, row in enumerate(rows, start=10**9):
        fields = {
            "name": row["name"],
            "model": "deepseek-chat",
            "prompt": row["prompt"],
            "parameters.temperature": 0.7,
            "parameters.max_tokens": 4000,
            "parameters.history_length": 8,
            "data.style": "warm",
            "remark.created_user": "lery",
        }
        kept: dict[str, Mapping[str, Any]] = {
            "as written": {},
            "another form of the prompt": {"prompt": row["prompt"].strip() + "!"},
            "nothing": dict.fromkeys(fields, MISSING),
        }
        for what, stored in kept.items():
            tag = make_tag(
                Identity("c" * NAMES, "e" * NAMES, f"p{number}".ljust(NAMES, "x")),
                fields,
                stored=stored,
                protected=True,
                catalog_id="zzzzzzzz",
                session_id=number,
            )
            assert tag.session_id == number
            found[what].append(remark_size(json.dumps(tag_to_json(tag), separators=(",", ":"))))
    return found


def row() -> dict[str, Any]:
    """The row of the results."""
    rows = personas()
    every = [size for those in sizes(rows).values() for size in those]
    most = max(every, default=None)
    return {
        "title": f"longest tag of {len(rows) or 223} personas, names of {NAMES} characters, eight fields, both ids, "
        "whatever the service keeps of them",
        "against": "–",
        "goal": f"≤ {MOST} bytes",
        "how": "bytes",
        "bound": MOST,
        "figure": most,
        "low": min(every, default=None),
        "high": most,
        "cpu": None,
        "miss": f"{most - MOST} bytes" if most is not None and most > MOST else "",
        "seconds": None,
        "against_seconds": None,
        "peak": None,
        "missing": None if rows else "the personas are not here",
    }
