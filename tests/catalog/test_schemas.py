"""Editors show the schemas: each field has a description and a valid example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.schemas import fits, load_schema

NAMES = ["catalog", "manifest"]


def fields(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every schema of a field below this one, by its path; what a reference leads to is told once, at its home."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}/{name}", field
        yield from fields(field, f"{path}/{name}")
    for name in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(name), dict):
            yield f"{path}/{name}", schema[name]
            yield from fields(schema[name], f"{path}/{name}")
    for name, field in schema.get("$defs", {}).items():
        yield f"{path}/$defs/{name}", field
        yield from fields(field, f"{path}/$defs/{name}")


@pytest.mark.parametrize("name", NAMES)
def test_each_field_has_a_description_and_examples_that_fit(name: str) -> None:
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    found = list(fields(schema))
    assert len(found) > 15
    for path, field in found:
        field = {**schema["$defs"][field["$ref"].rpartition("/")[2]], **field} if "$ref" in field else field
        assert field.get("description"), path
        assert field.get("examples"), path
        validator = Draft202012Validator({**field, "$defs": schema["$defs"]})
        for example in field["examples"]:
            validator.validate(example)


@pytest.mark.parametrize("name", NAMES)
def test_each_mapping_says_what_it_takes(name: str) -> None:
    for path, field in fields(load_schema(name)):
        if "properties" in field:
            assert field.get("additionalProperties") is False, path


def test_what_the_two_schemas_share_is_the_same() -> None:
    shared = load_schema("manifest")["$defs"]
    assert {name: load_schema("catalog")["$defs"].get(name) for name in shared} == shared


def test_the_example_of_the_design_fits() -> None:
    assert fits(
        {
            "version": 1,
            "catalog": "bookshop",
            "include": ["sessions/**/*.yaml"],
            "defaults": {
                "model": "deepseek-chat",
                "parameters": {"max_tokens": 4000, "temperature": 0.2, "history_length": 4},
            },
            "policy": {"max_deletes": 10},
        },
        "catalog",
    )
    assert fits(
        {
            "sessions": {
                "alice": {
                    "name": "Alice",
                    "prompt": {"file": "prompts/alice.md"},
                    "parameters": {"temperature": 0.3},
                    "data": {},
                    "remark": {"created_user": "lery"},
                    "lifecycle": {"prevent_destroy": True, "ignore_changes": ["parameters.temperature"]},
                }
            }
        },
        "manifest",
    )
