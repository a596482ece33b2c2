"""What is wrong with a contract file, with the place of each problem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from reconciler.contract.types import SESSION_NAMES
from reconciler.errors import Problem
from reconciler.schemas import schema_errors
from reconciler.strict_yaml.document import Document
from reconciler.text.nearest import nearest
from reconciler.text.shown import listed, shown
from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: The most values of a contract file, aliases written out, and how deep they may nest. The built-in contract has some
#: 300 values, four levels deep.
MAX_VALUES: Final = 10_000
MAX_DEPTH: Final = 20
#: The operations that name no session.
_ABOUT_NO_SESSION: Final = ("list_sessions", "create_session", "list_models", "chat", "embed")
#: So many problems of one file are listed.
MAX_PROBLEMS: Final = 100


def check_contract(document: Document) -> list[Problem]:
    """Everything that keeps a document from being a contract, sorted by place; empty if it is one."""
    if document.broken:
        return list(document.problems)
    large = _too_large(document)
    if large:
        return [large]
    found = list(document.problems)
    places = {(problem.line, problem.column) for problem in found}
    others = [*dict.fromkeys(_misfits(document)), *_unaddressed(document), *_placeholders(document)]
    # A problem at the place of a fault in the YAML is most likely a consequence of it.
    found += [problem for problem in others if (problem.line, problem.column) not in places]
    return sorted(dict.fromkeys(found), key=lambda problem: problem.order)


def _too_large(document: Document) -> Problem | None:
    if document.values > MAX_VALUES:
        message = f"this file has more than {MAX_VALUES:,} values, with its aliases written out"
    elif _deeper_than(MAX_DEPTH, document.value):
        message = f"this file is nested more than {MAX_DEPTH} levels deep"
    else:
        return None
    return Problem(message, "`reconciler schema contract` prints what a contract holds", document.source.file)


def _deeper_than(depth: int, value: JSON) -> bool:
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_deeper_than(depth - 1, child) for child in children)


def _unaddressed(document: Document) -> Iterator[Problem]:
    """The calls that change a session without saying which one."""
    operations = _mapping(_mapping(document.value).get("operations"))
    for name in ("update_session", "delete_session"):
        facts = operations.get(name)
        if not isinstance(facts, dict) or not isinstance(facts.get("fields"), dict):
            continue
        path = str(facts.get("path"))
        if not any(f"{{{one}}}" in path or one in facts["fields"] for one in SESSION_NAMES):
            yield document.source.at_key(
                ("operations", name),
                f"`operations.{name}` does not say which session is meant",
                "put {session_id} or {session_token} into its path, or session_id or session_token among its fields",
            )


def _placeholders(document: Document) -> Iterator[Problem]:
    """The placeholders of a path that can't be filled in."""
    for name, facts in _mapping(_mapping(document.value).get("operations")).items():
        path = str(_mapping(facts).get("path"))
        found = re.findall(r"\{([^{}]*)\}", path)
        allowed = () if name in _ABOUT_NO_SESSION else SESSION_NAMES
        wrong = [one for one in found if one not in allowed or found.count(one) > 1]
        if wrong:
            hint = "a path may hold {session_id} and {session_token}, each once"
            if not allowed:
                hint = "this call is about no session: write its path without braces"
            yield document.source.at_value(
                ("operations", name, "path"),
                f"`operations.{name}.path` holds `{{{truncate(wrong[0])}}}`",
                hint,
            )


def _mapping(value: JSON) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _misfits(document: Document) -> Iterator[Problem]:
    """What does not fit the schema."""
    for error in islice(schema_errors(document.value, "contract"), MAX_PROBLEMS):
        path = tuple(error.absolute_path)
        name = ".".join(map(str, path))
        what = f"`{name}`" if name else "the contract"
        if error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            for key in error.instance:
                if key not in known:
                    yield document.source.at_key((*path, key), *_unknown(key, known, what, name))
        elif error.validator == "required":
            for key in error.validator_value:
                if key not in error.instance:
                    hint = "add it; `reconciler schema contract` describes each field"
                    yield document.source.at_value(path, f"{what} has no `{key}`", hint)
        else:
            yield document.source.at_value(path, *_misfit(error, what))


def _unknown(key: str, known: list[str], what: str, name: str) -> tuple[str, str]:
    close = nearest(key, known)
    hint = f"did you mean `{close}`?" if close else f"known are {listed(known)}"
    if name == "operations":
        return f"`{truncate(key)}` is not an operation of the API", hint
    return f"`{truncate(key)}` is not a field of {what}", hint


def _misfit(error: Any, what: str) -> tuple[str, str]:
    value, expected = error.instance, error.validator_value
    match error.validator:
        case "type":
            hint = "" if isinstance(value, dict | list) or expected != "string" else "put it in quotes"
            return f"{what} is {shown(value)}, and has to be {_TYPES[expected]}", hint
        case "enum" if error.absolute_path[-1] == "contract":
            hint = f"write `contract: {expected[-1]}`, or use a version that reads the other"
            return f"{what} is {shown(value)}, and this program reads versions {listed(expected)}", hint
        case "enum":
            close = nearest(str(value), expected)
            hint = f"did you mean `{close}`?" if close else "write one of these"
            return f"{what} is {shown(value)}, and can be {listed(expected)}", hint
        case "pattern" | "not":  # the `not` forbids line breaks
            return (
                f"{what} is {shown(value)}, and is not a path on the service",
                "start it with a single `/`; it never holds an address, a query or white space",
            )
        case "minimum":
            return f"{what} is {value}, and {expected} is the least", "write a larger number"
        case "maximum":
            return f"{what} is {value}, and {expected} is the most", "write a smaller number"
        case "minLength":
            return f"{what} is empty", "write it"
        case "uniqueItems":
            return f"{what} has the same entry twice", "keep one of them"
        case _:
            return f"{what}: {error.message}", ""


_TYPES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "array": "a list",
    "object": "a mapping",
}
