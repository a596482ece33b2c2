"""The documentation of the rules matches their table."""

from __future__ import annotations

from pathlib import Path

from reconciler.lint import RULES
from reconciler.schemas import load_schema

TEXT = (Path(__file__).parents[2] / "docs" / "lint.md").read_text(encoding="utf-8")


def test_the_table() -> None:
    rows = "".join(
        f"| `{rule.name}` | {rule.severity} | {rule.finds} | {rule.fix} |\n" for rule in RULES.values()
    )
    assert f"| rule | severity | finds | what to do |\n|---|---|---|---|\n{rows}\n" in TEXT


def test_the_schema() -> None:
    block = load_schema("catalog")["properties"]["lint"]["properties"]
    options = block["options"]["properties"]
    assert {name: one["description"] for name, one in block.items() if name != "options"} == {
        rule.name: rule.finds for rule in RULES.values()
    }
    assert {name: set(one["properties"]) for name, one in options.items()} == {
        rule.name: set(rule.options) for rule in RULES.values() if rule.options
    }
    for name, one in options.items():
        for option, schema in one["properties"].items():
            assert schema.get("default", RULES[name].options[option]) == RULES[name].options[option]
            assert f"`{option}`" in TEXT or f"{option}:" in TEXT
