"""Each constraint of the shipped schemas has a message of its own."""

from __future__ import annotations

from tests.catalog.schema_violations import GOLDEN, listed, violations


def test_every_violation_says_what_is_wrong() -> None:
    assert listed() == GOLDEN.read_text(encoding="utf-8")


def test_every_violation_names_what_is_wrong_and_what_to_do() -> None:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith("    "):
            assert following.startswith("    "), f"nothing is said of {line}"
            continue
        message, _, hint = line.strip().partition("; ")
        assert message, line
        assert hint, line
        assert "``" not in line


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
