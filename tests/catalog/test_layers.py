"""How layers merge into one session."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.catalog.layers import merge, overlay
from tests.catalog.merge_rows import ROWS, Row, parsed, table

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "composition.md"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.earlier} + {row.later}")
def test_row(row: Row) -> None:
    earlier, later = parsed(row.earlier), parsed(row.later)
    before = copy.deepcopy((earlier, later))
    assert overlay(earlier, later) == parsed(row.merged)
    assert (earlier, later) == before, "merging changes neither of the two"


def test_there_are_enough_rows_and_none_twice() -> None:
    assert len(ROWS) >= 40
    assert len({(row.earlier, row.later) for row in ROWS}) == len(ROWS)


def test_the_table_in_the_documentation_is_made_of_these_rows() -> None:
    assert table() in DOCUMENTATION.read_text(encoding="utf-8")


VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
LAYERS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(LAYERS, LAYERS, LAYERS)
def test_without_null_it_does_not_matter_which_layers_are_merged_first(a: dict, b: dict, c: dict) -> None:
    # A mapping that something else replaced in between is gone, and does not come back.
    if merge(merge(a, b), c) != merge(a, merge(b, c)):
        assert any(_kinds_alternate(a.get(key), b.get(key), c.get(key)) for key in "abc")


def _kinds_alternate(a: object, b: object, c: object) -> bool:
    if isinstance(a, dict) and isinstance(c, dict) and b is not None and not isinstance(b, dict):
        return True
    if all(isinstance(one, dict) for one in (a, b, c)):
        return any(_kinds_alternate(a.get(key), b.get(key), c.get(key)) for key in "abc")  # type: ignore[attr-defined]
    return False


@given(LAYERS)
def test_merging_with_itself_or_with_nothing_changes_nothing(layer: dict) -> None:
    assert merge(layer, layer) == merge(layer, {}) == merge({}, layer) == layer
