from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.catalog.bad_input import FILES, SCHEMA, YAML, Bad, Locked
from tests.catalog.support import complaint


@pytest.mark.parametrize("row", [*YAML, *SCHEMA, *FILES], ids=lambda row: row.name)
def test_bad_input(row: Bad, tmp_path: Path) -> None:
    if any(isinstance(content, Locked) for content in row.files.values()) and os.geteuid() == 0:
        pytest.skip("root may read everything")
    assert complaint(tmp_path, row.files) == row.said.strip("\n")


def test_there_are_rows_enough() -> None:
    names = [row.name for row in (*YAML, *SCHEMA, *FILES)]
    assert len(names) == len(set(names)) >= 100
