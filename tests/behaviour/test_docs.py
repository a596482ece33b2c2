"""``docs/behaviour.md`` lists every check and refusal word, and its examples are catalogs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler import load_catalog
from reconciler.behaviour.checks import ASKED, CHECKS
from reconciler.schemas import load_schema

_PAGE = (Path(__file__).parents[2] / "docs" / "behaviour.md").read_text(encoding="utf-8")


def test_every_check_is_listed_and_has_a_schema() -> None:
    rows = _PAGE.partition("## Checks")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([a-z_]+): ", rows))
    assert listed == {*CHECKS, *ASKED}
    assert set(load_schema("manifest")["$defs"]["checks"]["properties"]) == listed


def test_the_first_example_is_a_catalog(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", _PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "catalog.yaml").write_text("version: 1\ncatalog: shop\ndefaults: {model: m}\n")
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "readers.yaml").write_text(example[1], encoding="utf-8")
    assert [case.name for case in load_catalog(tmp_path).tests["alice"]] == [
        "stays brief",
        "keeps the ending to herself",
    ]


@pytest.mark.parametrize("key", ["alice", "poetry", "stock", "orders"])
def test_the_bookshop_has_tests(key: str) -> None:
    catalog = load_catalog(Path(__file__).parents[2] / "examples" / "bookshop")
    assert catalog.tests[key]
