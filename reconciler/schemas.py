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
from itertools import islice
from typing import Any, Final

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
    try:
        return bool(_checker(name).is_valid(document))
    except UnicodeEncodeError:  # live texts may hold lone surrogates, which this validator can't take
        return bool(_checker(name).is_valid(_encodable(document)))


def _encodable(value: Any) -> Any:
    """A value with a private-use character in place of each lone surrogate. No pattern tells the two apart."""
    if isinstance(value, str):
        return value.translate(_PRIVATE)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(inner) for key, inner in value.items()}
    return [_encodable(inner) for inner in value] if isinstance(value, list) else value


_PRIVATE: Final = {code: code - 0xD800 + 0xF0000 for code in range(0xD800, 0xE000)}


def schema_errors(document: Any, name: str) -> Iterator[Any]:
    """What ``jsonschema`` says of a document that does not fit the schema, as its ``ValidationError`` objects."""
    if fits(document, name):
        return
    from jsonschema import Draft202012Validator

    yield from Draft202012Validator(load_schema(name)).iter_errors(document)


def check_document(document: Any, name: str) -> list[Problem]:
    """What keeps a document from fitting the schema, worded for people; empty when it fits."""
    errors = islice(schema_errors(document, name), _MOST_ERRORS)
    found = sorted(errors, key=lambda e: [str(p) for p in e.absolute_path])
    return [
        Problem(f"{'.'.join(str(p) for p in e.absolute_path) or 'the document'}: {_worded(e)}") for e in found
    ]


#: After this many errors, the rest of a document is not checked.
_MOST_ERRORS: Final = 100
#: The longest part of a message, in characters. It may quote a value of any length.
_LONGEST: Final = 300


def _worded(error: Any) -> str:
    # Where a `$` in a pattern may mean the end of a line, its field forbids line breaks with a `not`.
    if error.validator == "not":
        return f"{error.instance!r} contains a line break"
    message = str(error.message)
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
