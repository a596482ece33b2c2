"""Each constraint of the shipped schemas has a message of its own."""

from __future__ import annotations

from tests.catalog.schema_violations import GOLDEN, listed, violations


def test_every_violation_says_what_is_wrong() -> None:
    assert listed() == GOLDEN.read_text(encoding="utf-8")


def test_every_violation_names_the_field_or_the_value() -> None:
    for one in violations():
        assert one.said(), one
        for said in one.said():
            message, _, hint = said.partition("; ")
            assert message, one
            assert hint, one
            assert "``" not in said, one


def test_the_whole_schema_is_walked() -> None:
    constraints = {one.constraint.partition(",")[0] for one in violations()}
    assert constraints >= {
        "type",
        "enum",
        "const",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "not",
    }
    assert constraints >= {
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
        "oneOf",
        "anyOf",
    }
