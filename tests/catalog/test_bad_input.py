from __future__ import annotations

from pathlib import Path

import pytest

from tests.catalog.bad_input_cases import Case, cases
from tests.catalog.support import complaint


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_bad_input(case: Case, tmp_path: Path) -> None:
    if not case.can_be_set_up:
        pytest.skip("root may read everything")
    assert complaint(tmp_path, case.files) + "\n" == case.expected


def test_there_are_enough_cases() -> None:
    assert len(cases()) >= 100
