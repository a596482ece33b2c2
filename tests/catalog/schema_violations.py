"""Every constraint of the shipped schemas, violated, and what its author reads.

The schemas are walked from the root. At each value, a document that is valid but for one constraint is made from the
``examples`` in the schema. After a change, ``python -m tests.catalog.schema_violations`` writes the messages anew to
``schema_violations.txt``; review the diff.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.catalog.check import SchemaName, check
from reconciler.schemas import fits, load_schema
from reconciler.strict_yaml.places import Source

GOLDEN = Path(__file__).with_suffix(".txt")

_ONE_OF_EACH = {"null": None, "boolean": True, "number": 0.5, "string": "text", "array": [], "object": {}}

Wrap = Callable[[Any], Any]


class Violation(NamedTuple):
    """A document that violates one constraint of the schema at a place."""

    schema: SchemaName
    place: str
    constraint: str
    value: Any
    document: Any

    def said(self) -> list[str]:
        """What is said of the document, hints included."""
        problems = check(self.document, self.schema, Source("a.yaml", b"", "")).problems
        return [f"{problem.message}; {problem.hint}".replace("\n", "\\n") for problem in problems]


def violations() -> Iterator[Violation]:
    """One document for each constraint of both schemas. What several places share is violated at the first."""
    seen: set[str] = set()
    names: tuple[SchemaName, ...] = ("manifest", "catalog")
    for name in names:
        schema: Any = load_schema(name)
        yield from _walk(name, schema, schema, "", lambda value: value, seen)


def _walk(
    name: SchemaName, root: Any, schema: Any, place: str, wrap: Wrap, seen: set[str]
) -> Iterator[Violation]:
    while "$ref" in schema:
        if schema["$ref"] in seen:
            return
        seen.add(schema["$ref"])
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for constraint, value in _violated(schema):
        document = wrap(value)
        if not fits(document, name):
            yield Violation(name, place or "(the document)", constraint, value, document)
    example = _example(root, schema)
    for key, inner in schema.get("properties", {}).items():
        yield from _walk(
            name, root, inner, f"{place}.{key}".lstrip("."), _within(name, root, schema, wrap, key), seen
        )
    names, values = schema.get("propertyNames"), schema.get("additionalProperties")
    if names is not None:
        one = next(iter(example.values())) if isinstance(example, dict) and example else None
        rule = root["$defs"][names["$ref"].rpartition("/")[2]] if "$ref" in names else names
        for constraint, value in _violated({"type": "string", **rule}):
            if isinstance(value, str):
                document = wrap({value: one})
                if not fits(document, name):
                    yield Violation(name, f"{place}: a key", constraint, value, document)
    if isinstance(values, dict) and isinstance(example, dict):
        key = next(iter(example))
        yield from _walk(name, root, values, f"{place}.{key}", lambda value: wrap({key: value}), seen)
    if "items" in schema:
        yield from _walk(name, root, schema["items"], f"{place}[0]", lambda value: wrap([value]), seen)


def _within(name: SchemaName, root: Any, schema: Any, wrap: Wrap, key: str) -> Wrap:
    """Documents with a value below a key, with the other fields that the key needs."""
    example = _example(root, schema)
    valid = _example(root, schema["properties"][key])
    required = {one: _example(root, schema["properties"][one]) for one in schema.get("required", ())}
    bases: list[Any] = [{}, required]
    bases += [one for one in schema.get("examples", [example]) if isinstance(one, dict)]
    bases += [{"text": "t"}, {"file": "f.md"}, {"parts": [{"text": "t"}]}, {"version": 1, "catalog": "shop"}]
    base = next(one for one in bases if fits(wrap({**one, key: valid}), name))
    return lambda value: wrap({**base, key: value})


def _example(root: Any, schema: Any) -> Any:
    while "examples" not in schema and "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema["examples"][0] if "examples" in schema else {"version": 1, "catalog": "shop"}


def _violated(schema: Any) -> Iterator[tuple[str, Any]]:
    """Values that violate a constraint each, by the constraint's name."""
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types:
        wrong = [kind for kind in _ONE_OF_EACH if kind not in types]
        for kind in (*wrong[:2], *wrong[-1:]):
            yield f"type, given {kind}", _ONE_OF_EACH[kind]
    if "enum" in schema:
        yield "enum", "other"
        yield "enum", None
        yield "enum", 5
    if "const" in schema:
        yield "const", 99
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - 1
    if "maximum" in schema:
        yield "maximum", schema["maximum"] + 1
    if "minLength" in schema:
        yield "minLength", ""
    if "maxLength" in schema:
        yield "maxLength", "x" * (schema["maxLength"] + 1)
    if "pattern" in schema:
        for value in ("", " ", "A b!", "a" * 64):
            yield "pattern", value
    if "minItems" in schema:
        yield "minItems", []
    if "maxItems" in schema:
        yield (
            "maxItems",
            [_example({}, schema["items"]) if "examples" in schema["items"] else {"text": "t"}]
            * (schema["maxItems"] + 1),
        )
    if "minProperties" in schema:
        yield "minProperties", {}
    if "maxProperties" in schema:
        value = next(iter(schema["examples"][0].values()))
        yield "maxProperties", {f"a{number}": value for number in range(schema["maxProperties"] + 1)}
    if "not" in schema:
        text = next((one for one in schema.get("examples", ()) if isinstance(one, str)), "a")
        yield "not", schema["not"].get("const", f"{text}\n")
    yield from _violated_groups(schema)


def _violated_groups(schema: Any) -> Iterator[tuple[str, Any]]:
    for one in schema.get("required", ()):
        example = next(
            (e for e in schema.get("examples", ()) if isinstance(e, dict)), {"version": 1, "catalog": "shop"}
        )
        yield f"required, without {one}", {key: value for key, value in example.items() if key != one}
    if schema.get("additionalProperties") is False:
        example = next((e for e in schema.get("examples", ()) if isinstance(e, dict)), {})
        yield "additionalProperties", {**example, "nonsense": 1}
    if "anyOf" in schema:
        yield "anyOf", {}
    if "oneOf" in schema:
        yield "oneOf, none", {}
        alternatives = [one["required"][0] for one in schema["oneOf"] if "required" in one]
        first, second = alternatives[:2]
        yield "oneOf, two", {first: "a", second: "b"}


def listed() -> str:
    """All violations, each with what is said of it."""
    lines = []
    for one in violations():
        value = json.dumps(one.value, ensure_ascii=False)
        shown = value if len(value) <= 80 else f"{value[:60]}… ({len(value):,} characters)"
        lines.append(f"{one.schema} {one.place} | {one.constraint} | {shown}")
        lines += [f"    {line}" for line in one.said()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(listed(), encoding="utf-8", newline="\n")
