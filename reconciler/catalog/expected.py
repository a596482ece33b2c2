"""What a schema expects of a value, and what was given instead, in words."""

from __future__ import annotations

import json
from typing import Any

from reconciler.schemas import load_schema
from reconciler.text.truncate import truncate
from reconciler.values import JSON


def example(schema: Any) -> str:
    """The first example of a schema, in one line of YAML."""
    if "$ref" in schema:
        schema = load_schema("manifest")["$defs"][schema["$ref"].rpartition("/")[2]]
    return json.dumps(schema["examples"][0], ensure_ascii=False)


def shown(value: JSON) -> str:
    """A value as a message shows it."""
    if isinstance(value, str):
        return f'the string "{truncate(value, 40)}"'
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else truncate(str(value).lower(), 40)


def types(schema: Any) -> list[str]:
    """The types that a value can have, without null, which only removes an inherited value."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else [one for one in types if one != "null"]


def wanted(schema: Any) -> str:
    """What a schema expects, as a phrase."""
    kinds = types(schema)
    low, high = schema.get("minimum"), schema.get("maximum")
    if "integer" in kinds and "string" in kinds:
        return 'an integer or a percentage, like 10 or "10%"'
    if "object" in kinds and "number" in kinds:
        return "a string, a number or a mapping"
    if "object" in kinds and "string" in kinds:
        return "a string or `{file: …}`"
    if "array" in kinds and "string" in kinds:
        return "a string or a list of strings"
    if "boolean" in kinds and "object" in kinds:
        return "true or a JSON Schema"
    kind = kinds[0]
    if kind in ("number", "integer"):
        words = "a number" if kind == "number" else "an integer"
        if low is None:
            return words
        return words + (f" from {low} to {high}" if high is not None else f" of at least {low}")
    return {"string": "a string", "boolean": "true or false", "array": "a list", "object": "a mapping"}[kind]
