"""Golden files: the renderings as somebody last reviewed them line by line.

They are made again only on purpose, with ``REGOLDEN=1``, and read before they are committed.
"""

from __future__ import annotations

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def check_golden(name: str, text: str) -> None:
    """Compare with a golden file, or write it when ``REGOLDEN=1`` is set."""
    path = GOLDEN / name
    if os.environ.get("REGOLDEN") == "1":
        path.write_bytes(text.encode("utf-8"))
    assert text == path.read_bytes().decode("utf-8")
