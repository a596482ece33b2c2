"""The JSON Schemas (2020-12) that ship with the program, and the check of a document against one of them.

``jsonschema-rs`` answers whether a document fits; only where it does not does ``jsonschema``, two orders of
magnitude slower, find out what to say.

The two must agree, and so should any other validator, such as an editor's. So a pattern has no ``\\s``, ``\\w`` or
``\\d``, which mean different characters to different validators. A pattern with ``$``, which some match before a line
break, stands beside a ``not`` that forbids line breaks. "Blank" is what any validator counts as white space.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from reconciler.errors import Problem, ReconcilerError
from reconciler.resources import folder

SUFFIX = ".schema.json"


def schema_names() -> list[str]:
    """The names that :func:`schema_text` knows, sorted."""
    return sorted(p.name.removesuffix(SUFFIX) for p in folder("schemas").glob("*" + SUFFIX))


def schema_text(name: str) -> str:
    """The text of one schema.

    Raises:
        ReconcilerError: there is no schema of this name.
    """
    if name not in schema_names():
        raise ReconcilerError(f"there is no schema {name!r}", "known are: " + ", ".join(schema_names()))
    return (folder("schemas") / (name + SUFFIX)).read_text(encoding="utf-8")


@cache
def load_schema(name: str) -> Any:
    """One schema as a document."""
    return json.loads(schema_text(name))


@cache
def _checker(name: str) -> Any:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(load_schema(name))


def fits(document: Any, name: str) -> bool:
    """Whether a document fits the schema."""
    return bool(_checker(name).is_valid(document))


def schema_errors(document: Any, name: str) -> Iterator[Any]:
    """What ``jsonschema`` says of a document that does not fit the schema, as its ``ValidationError`` objects."""
    if fits(document, name):
        return
    from jsonschema import Draft202012Validator

    yield from Draft202012Validator(load_schema(name)).iter_errors(document)


def check_document(document: Any, name: str) -> list[Problem]:
    """What keeps a document from fitting the schema, worded for people; empty when it fits."""
    found = sorted(schema_errors(document, name), key=lambda e: [str(p) for p in e.absolute_path])
    return [
        Problem(f"{'.'.join(str(p) for p in e.absolute_path) or 'the document'}: {_worded(e)}") for e in found
    ]


def _worded(error: Any) -> str:
    # Where a `$` in a pattern may mean the end of a line, its field forbids line breaks with a `not`.
    return f"{error.instance!r} contains a line break" if error.validator == "not" else str(error.message)
