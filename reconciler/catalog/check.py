"""What does not fit the schema, said as a colleague would: what it is, what it should be, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from reconciler.errors import Problem
from reconciler.ownership.key import KEY_RULE, suggest_key
from reconciler.schemas import fits, load_schema
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.text.nearest import nearest
from reconciler.text.truncate import truncate
from reconciler.values import JSON

SchemaName: TypeAlias = Literal["catalog", "manifest"]

#: After so many problems in one document the rest of it is not looked at.
MAX_PROBLEMS: Final = 1000


class Checked(NamedTuple):
    """What keeps a document from fitting its schema, and the keys of the sessions that do not fit."""

    problems: list[Problem]
    odd: frozenset[str]


_FITS: Final = Checked([], frozenset())


def check(document: JSON, schema: SchemaName, source: Source) -> Checked:
    """Check a document against the schema of this name."""
    if fits(document, schema):
        return _FITS
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    validator: Any = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    narrowed, odd = _narrow(document)
    errors = _one_a_place(validator(load_schema(schema)).iter_errors(narrowed))
    # What an alias or a merge key repeats is said once.
    problems = list(dict.fromkeys(islice(_worded(errors, schema, source), MAX_PROBLEMS)))
    if not problems:  # the two libraries disagree: what one refuses is never let through
        raise RuntimeError(f"{source.file} does not fit the {schema} schema, and nobody can say why")
    return Checked(problems, odd)


def _narrow(document: JSON) -> tuple[JSON, frozenset[str]]:
    """The document without the sessions that fit, since jsonschema takes 120 times as long for each; and the
    keys of the others."""
    sessions = document.get("sessions") if isinstance(document, dict) else None
    if not isinstance(sessions, dict):
        return document, frozenset()
    odd = {k: v for k, v in sessions.items() if not fits({"sessions": {k: v}}, "manifest")}
    return {**document, "sessions": dict(islice(odd.items(), MAX_PROBLEMS))}, frozenset(odd)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    # As JSON Schema has it, `$` is the very end; for Python, a last line end may follow.
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError("pattern")


def _one_a_place(errors: Iterable[Any]) -> Iterator[Any]:
    """The errors, without those about a value whose type is wrong to begin with."""
    mistyped: set[NodePath] = set()
    for error in errors:
        path = tuple(error.absolute_path)
        if path in mistyped:
            continue
        if error.validator == "type":
            mistyped.add(path)
        yield error


def _worded(errors: Iterable[Any], schema: SchemaName, source: Source) -> Iterator[Problem]:
    for error in errors:
        path: NodePath = tuple(error.absolute_path)
        what = _named(path, schema)
        if "propertyNames" in error.absolute_schema_path:
            yield source.at_key((*path, error.instance), *_bad_key(path, error.instance))
        elif error.validator == "additionalProperties":
            for key in error.instance:
                if key not in error.schema["properties"]:
                    yield source.at_key((*path, key), *_unknown(path, key, error, schema, what))
        elif error.validator == "required":
            unknown = [key for key in error.instance if key not in error.schema["properties"]]
            for key in error.validator_value:
                if key not in error.instance and not _closest(key, unknown):  # or else it is there, misspelt
                    yield source.at_value(path, f"{what} has no `{key}`", _ADD[key])
        elif error.validator == "anyOf":
            yield source.at_value(path, f"{what} has no `sessions`", _ADD["sessions"])
        elif error.validator == "oneOf":
            if isinstance(error.instance, dict) and not error.instance.keys() - error.schema["properties"]:
                yield source.at_value(path, *_no_text(error.instance, what))
        else:
            yield source.at_value(path, *_bad_value(path, error, what))


def _no_text(value: dict[str, JSON], what: str) -> tuple[str, str]:
    """A prompt, a part of one or a fragment that names no text, or more than one."""
    given = [name for name in ("file", "text", "fragment", "parts") if name in value]
    if not given:
        return f"{what} has no `file`", _ADD["file"]
    return f"{what} has {_listed(given)} at once", "keep one of them; a list of parts joins several"


_ADD: Final = {
    "version": "write `version: 1`, which is the version of this format",
    "catalog": "give the catalog a name that stays: `catalog: bookshop`",
    "sessions": "write its sessions below `sessions:`, by their keys",
    "from": "write both sides: `{from: alice, to: alice-en}`",
    "to": "write both sides: `{from: alice, to: alice-en}`",
    "file": "name the file, like `{file: prompts/alice.md}`, or write the text itself",
}


def _named(path: NodePath, schema: SchemaName) -> str:
    """What a value is called in a message."""
    if not path:
        return "catalog.yaml" if schema == "catalog" else "this manifest"
    if isinstance(path[-1], int):
        return f"this entry of `{path[-2]}`"
    name = f"`{truncate(path[-1])}`"
    return f"the session {name}" if path[0] == "sessions" and len(path) == 2 else name


# Keys ---------------------------------------------------------------------------------------------------------


def _bad_key(path: NodePath, key: str) -> tuple[str, str]:
    if path[-1] == "remark":
        return (
            "`reconciler` is no key for you: a session's identity is kept under it",
            "give the key another name",
        )
    suggested = suggest_key(key)
    hint = f"{KEY_RULE}, like `{suggested}`" if suggested else KEY_RULE
    return f"`{truncate(key)}` is not a valid session key", hint


def _unknown(path: NodePath, key: str, error: Any, schema: SchemaName, what: str) -> tuple[str, str]:
    known = list(error.schema["properties"])
    message = f"`{truncate(key)}` is not a field of {what}"
    if not path and schema == "manifest":
        value = error.instance[key]
        if isinstance(value, dict) and ("prompt" in value or "name" in value):
            return message, f"if it is a session, indent it below `sessions:`, as `{truncate(key)}:`"
        if key in load_schema("catalog")["properties"]:
            return message, "move it to catalog.yaml"
    close = _closest(key, known)
    if close:
        return message, f"did you mean `{close}`?"
    if len(known) == 1:
        return message, f"its only field is `{known[0]}`"
    return message, f"the fields of {what} are {_listed(known)}"


def _closest(word: str, known: Sequence[str]) -> str | None:
    """The known word that somebody meant, if there is one: spelt nearly so, or in camel case."""
    plain = {re.sub(r"[^a-z0-9]", "", one.lower()): one for one in known}
    close = nearest(re.sub(r"[^a-z0-9]", "", word.lower()[:100]), plain, 0.7)
    return plain[close] if close else None


def _listed(words: Sequence[str], last: str = "and") -> str:
    quoted = [f"`{word}`" for word in words]
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


# Values -------------------------------------------------------------------------------------------------------


def _bad_value(path: NodePath, error: Any, what: str) -> tuple[str, str]:
    value, schema = error.instance, error.schema
    match error.validator:
        case "type":
            return _bad_type(value, schema, what)
        case "enum":
            close = _closest(str(value), schema["enum"])
            return (
                f"{what} is {_shown(value)}, and can be {_listed(schema['enum'], 'or')}",
                f"did you mean `{close}`?" if close else "write one of these",
            )
        case "const":
            return (
                f"{what} is {_shown(value)}, and this program reads version {schema['const']}",
                f"write `version: {schema['const']}`, or use a program that reads the other",
            )
        case "minimum":
            return (
                f"{what} is {_shown(value)}, and {schema['minimum']} is the least",
                f"write {_wanted(schema)}",
            )
        case "maximum":
            return (
                f"{what} is {_shown(value)}, and {schema['maximum']} is the most",
                f"write {_wanted(schema)}",
            )
        case "maxItems":
            return (
                f"{what} has {len(value)} entries, and {schema['maxItems']} is the most",
                "use wider patterns",
            )
        case "minLength":
            return f"{what} is empty", "write it, or take the line out"
        case "maxLength":
            return (
                f"{what} has {len(value):,} characters, and {schema['maxLength']:,} is the most",
                "shorten it",
            )
        case _:
            return _bad_text(path, value, schema, what)


def _bad_text(path: NodePath, value: str, schema: Any, what: str) -> tuple[str, str]:
    """A text that does not match its pattern."""
    if "ignore_changes" in path:
        close = _closest(value, _FIELDS)
        hint = (
            f"did you mean `{close}`?"
            if close
            else "name one, like `parameters.temperature`, or a group, like `data`"
        )
        return f"{_shown(value)} is no field of a session", hint
    if path == ("catalog",):
        message, hint = _bad_key(path, value)
        return message.replace("session key", "catalog name"), hint
    if path[0] in ("moved", "forgotten"):
        message, hint = _bad_key(path, value)
        return message, hint if path[0] == "forgotten" else f"{hint}; or write `catalog/key`"
    if path[0] == "lint" and "allow" in path:
        return f"{_shown(value)} is no number of a character", "write it as `U+00A0`"
    if path[0] == "policy":
        return (
            f"{what} is {_shown(value)}, and has to be {_wanted(schema)}",
            'write a percentage without spaces, up to "100%"',
        )
    return f"{what} is blank", "write it, or take the line out"


_FIELDS: Final = (
    "name",
    "model",
    "prompt",
    "parameters",
    "parameters.temperature",
    "parameters.max_tokens",
    "parameters.history_length",
    "data",
    "remark",
)


def _bad_type(value: JSON, schema: Any, what: str) -> tuple[str, str]:
    wanted = _types(schema)
    if value is None:
        return _empty(schema, what)
    message = f"{what} is {_shown(value)}, and has to be {_wanted(schema)}"
    if "boolean" in wanted:
        return message, "write `true` or `false`; `yes`, `no`, `on` and `off` are texts"
    if "number" in wanted or "integer" in wanted:
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", value):
            return message, f"take the quotes away: {value}"
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+,[0-9]+", value):
            return message, f"write the comma as a point: {value.replace(',', '.')}"
        return message, "write it in digits, without quotes and words"
    if "string" in wanted and not isinstance(value, dict | list):
        return message, "put it in quotes, which makes it a text"
    if "string" in wanted:
        return message, "write the text itself; one of several lines starts below a `|`"
    if what == "`sessions`":
        return message, "write each session below a key of its own, like `alice:`"
    if "array" in wanted:
        return message, "write it in brackets, like `[one, other]`, or with a `- ` before each"
    return message, "write `key: value` in lines of their own"


def left_empty(parameter: str) -> tuple[str, str]:
    """Message and hint for a parameter that is null where there is nothing to remove."""
    return _empty(load_schema("manifest")["$defs"]["parameters"]["properties"][parameter], f"`{parameter}`")


def _empty(schema: Any, what: str) -> tuple[str, str]:
    if schema.get("title"):  # the whole document
        message = f"{what} holds nothing, or nothing but comments"
        if schema["title"] == "Catalog":
            return message, "start it with `version: 1` and, below it, `catalog: ` and a name"
        return message, "write `sessions: {}` if it is to hold none, or remove the file"
    if what == "`sessions`":
        return f"{what} is left empty", "write sessions below it, by their keys, or `sessions: {}` for none"
    if schema["type"] == "object":
        return f"{what} is left empty", "write its fields below it, indented, or take the line out"
    return f"{what} is left empty", f"write {_wanted(schema)}, or take the line out"


def _shown(value: JSON) -> str:
    """A value in a message."""
    if isinstance(value, str):
        return f'the text "{truncate(value, 40)}"'
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else truncate(str(value).lower(), 40)


def _types(schema: Any) -> list[str]:
    """The types that a value may have. Null is left out: where it may stand, it only removes something."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else [one for one in types if one != "null"]


def _wanted(schema: Any) -> str:
    """What a value has to be, from its schema."""
    types = _types(schema)
    low, high = schema.get("minimum"), schema.get("maximum")
    if "integer" in types and "string" in types:
        return 'a whole number or a percentage, like 10 or "10%"'
    if "object" in types and "number" in types:
        return "a text, a number or a mapping"
    if "object" in types and "string" in types:
        return "a text, or `{file: …}`"
    if "array" in types and "string" in types:
        return "a text or a list of texts"
    wanted = types[0]
    if wanted in ("number", "integer"):
        kind = "a number" if wanted == "number" else "a whole number"
        if low is None:
            return kind
        return kind + (f" from {low} to {high}" if high is not None else f" of at least {low}")
    return {"string": "a text", "boolean": "true or false", "array": "a list", "object": "a mapping"}[wanted]
