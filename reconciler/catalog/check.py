"""What does not fit the schema, said as a colleague would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from reconciler.catalog.places import Source
from reconciler.errors import Problem
from reconciler.model import JSON
from reconciler.schemas import fits, load_schema


def check(document: JSON, schema: str, source: Source) -> list[Problem]:
    """What keeps a document from fitting the schema of this name; empty when it fits."""
    if fits(document, schema):
        return []
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    validator = extend(Draft202012Validator, {"pattern": _pattern})
    narrowed = _narrow(document)
    return [
        p for error in validator(load_schema(schema)).iter_errors(narrowed) for p in _words(error, source)
    ]


def _narrow(document: JSON) -> JSON:
    """The document without the sessions that fit: jsonschema takes 120 times as long for each."""
    if not isinstance(document, dict) or not isinstance(document.get("sessions"), dict):
        return document
    odd = {k: v for k, v in document["sessions"].items() if not fits({"sessions": {k: v}}, "manifest")}
    return {**document, "sessions": odd}


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    # As JSON Schema means it, `$` is the very end; in Python it also matches before a last line end.
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _words(error: Any, source: Source) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = sorted(error.schema.get("properties", {}))
        for key in error.instance:
            if key not in known:
                close = get_close_matches(key, known, 1)
                hint = f"did you mean `{close[0]}`?" if close else "known are: " + ", ".join(known)
                yield source.at_key((*path, key), f"`{key}` is not a known field", hint)
        return
    yield source.at_value(path, error.message)
