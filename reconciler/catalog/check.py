"""The problems of a document that does not fit its schema: what is wrong, what is expected, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from reconciler.catalog.expected import example, shown, types, wanted
from reconciler.errors import REPORT, Problem
from reconciler.ownership.key import KEY_RULE, suggest_key
from reconciler.schemas import fits, load_schema
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Places
from reconciler.text.nearest import nearest
from reconciler.text.normalise import is_blank
from reconciler.text.truncate import truncate
from reconciler.values import JSON

SchemaName: TypeAlias = Literal["catalog", "manifest"]

#: The fields of a session.
SESSION_FIELDS: Final = frozenset(
    {
        "extends",
        "name",
        "model",
        "prompt",
        "parameters",
        "data",
        "remark",
        "lifecycle",
        "tests",
        "variables",
        "adopt",
    }
)

#: After this many problems, the rest of a document is not checked.
MAX_PROBLEMS: Final = 1000


class Checked(NamedTuple):
    """What is wrong with a document, and its invalid sessions, templates and fragments: ``("sessions", "alice")``."""

    problems: list[Problem]
    invalid: frozenset[NodePath]


_FITS: Final = Checked([], frozenset())


def check(document: JSON, schema: SchemaName, source: Places) -> Checked:
    """Check a document against the schema of this name."""
    if fits(document, schema):
        return _FITS
    from jsonschema import Draft202012Validator

    narrowed, invalid = _narrow(document)
    errors = _one_per_value(Draft202012Validator(load_schema(schema)).iter_errors(narrowed))
    stray = _stray_fields(narrowed)
    errors = (error for error in errors if not _is_stray(tuple(error.absolute_path), stray))
    found = chain(_describe_stray(stray, source), _describe(errors, schema, source))
    # A value that aliases or merge keys repeat is reported once.
    problems = list(dict.fromkeys(islice(found, MAX_PROBLEMS)))
    return Checked(problems or _unexplained(invalid, schema, source), invalid)


def _unexplained(invalid: Iterable[NodePath], schema: SchemaName, source: Places) -> list[Problem]:
    """The two validators disagree. A document that one of them rejects is never accepted."""
    message = f"does not fit the {schema} schema, and no reason was found"
    return [
        source.at_key(path, f"{_named(path, schema)} {message}", REPORT) for path in sorted(invalid, key=str)
    ] or [source.at_value((), f"this file {message}", REPORT)]


def _narrow(document: JSON) -> tuple[JSON, frozenset[NodePath]]:
    """The document with only those sessions, templates and fragments that are invalid, and their paths: jsonschema is
    slow, 120 times jsonschema-rs."""
    if not isinstance(document, dict):
        return document, frozenset()
    narrowed, paths = dict(document), set[NodePath]()
    for section in ("sessions", "templates", "fragments"):
        named = document.get(section)
        if isinstance(named, dict):
            invalid = {k: v for k, v in named.items() if not fits({section: {k: v}}, "manifest")}
            narrowed[section] = dict(islice(invalid.items(), MAX_PROBLEMS))
            paths.update((section, key) for key in invalid)
    return narrowed, frozenset(paths)


def _stray_fields(document: JSON) -> dict[str, list[str]]:
    """Fields that stand at the level of the keys, by the key of the empty session above them: they were meant to be
    indented below it."""
    stray: dict[str, list[str]] = {}
    sessions = document.get("sessions") if isinstance(document, dict) else None
    above = None
    for key, value in sessions.items() if isinstance(sessions, dict) else ():
        if above is not None and key in SESSION_FIELDS:
            stray.setdefault(above, []).append(key)
        else:
            above = key if value is None else None
    return stray


def _is_stray(path: NodePath, stray: Mapping[str, list[str]]) -> bool:
    """Whether an error follows from fields at the wrong level, which are reported on their own."""
    return path[:1] == ("sessions",) and any(
        path[1:2] == (key,) or path[1] in fields for key, fields in stray.items() if len(path) > 1
    )


def _describe_stray(stray: Mapping[str, list[str]], source: Places) -> Iterator[Problem]:
    for key, fields in stray.items():
        verb = "is a field" if len(fields) == 1 else "are fields"
        these = "this" if len(fields) == 1 else "these"
        yield source.at_key(
            ("sessions", fields[0]),
            f"{_listed(fields)} {verb} of a session, not a session",
            f"indent {these} below `{truncate(key)}:`",
        )


def _one_per_value(errors: Iterable[Any]) -> Iterator[Any]:
    """The errors, with only the type error of a value that has the wrong type."""
    mistyped: set[NodePath] = set()
    for error in errors:
        path = tuple(error.absolute_path)
        if path in mistyped:
            continue
        if error.validator == "type":
            mistyped.add(path)
        yield error


def _describe(errors: Iterable[Any], schema: SchemaName, source: Places) -> Iterator[Problem]:
    for error in errors:
        path: NodePath = tuple(error.absolute_path)
        what = _named(path, schema)
        if "propertyNames" in error.absolute_schema_path:
            yield source.at_key((*path, error.instance), *_bad_name(path, error))
        elif error.validator == "additionalProperties":
            for key in error.instance:
                if key not in error.schema["properties"]:
                    yield source.at_key((*path, key), *_unknown(path, key, error, schema, what))
        elif error.validator == "required":
            unknown = [key for key in error.instance if key not in error.schema["properties"]]
            for key in error.validator_value:
                if key not in error.instance and not _closest(
                    key, unknown
                ):  # otherwise it is there, but misspelt
                    yield source.at_value(path, f"{what} has no `{key}`", _add(key, error.schema))
        elif error.validator == "anyOf":
            yield source.at_value(path, f"{what} has no `sessions`", _ADD["sessions"])
        elif error.validator == "oneOf":
            if isinstance(error.instance, dict) and not error.instance.keys() - error.schema["properties"]:
                yield source.at_value(path, *_no_source(error, what))
        else:
            yield source.at_value(path, *_bad_value(path, error, what))


def _no_source(error: Any, what: str) -> tuple[str, str]:
    """A prompt, a part of one or a fragment with no source of text, or with several."""
    sources = [one["required"][0] for one in error.schema["oneOf"] if "required" in one]
    given = [name for name in sources if name in error.instance]
    if not given:
        add = _add(sources[0], error.schema) if sources[0] == "ask" else _ADD["file"]
        return f"{what} has no {_listed(sources, 'or')}", add
    return (
        f"{what} has {_listed(given)}, but only one of them is allowed",
        "keep one of them; to join several, write a list of parts"
        if "fragment" in sources
        else "keep one of them",
    )


_ADD: Final = {
    "version": "add `version: 1`, the version of this format",
    "catalog": "add the permanent name of the catalog, like `catalog: bookshop`",
    "sessions": "add `sessions:` with the sessions below it, by key",
    "from": "write both sides: `{from: alice, to: alice-en}`",
    "to": "write both sides: `{from: alice, to: alice-en}`",
    "file": "name the file, like `{file: prompts/alice.md}`, or write the text here",
}

_LINE_BREAK: Final = re.compile("[\n\r\x85\u2028\u2029]")

#: Fields that can't be left out, wherever they are.
_NEEDED: Final = ("version", "catalog", "from", "to", "axes", "key", "expect", "role", "content")


def _add(key: str, schema: Any) -> str:
    """The hint to add a required field."""
    if key in _ADD and key != "file":
        return _ADD[key]
    return f"add one, like `{key}: {example(schema['properties'][key])}`"


def _named(path: NodePath, schema: SchemaName) -> str:
    """The name of a value in a message."""
    if not path:
        return "catalog.yaml" if schema == "catalog" else "this manifest"
    if isinstance(path[-1], int):
        return f"this entry of `{path[-2]}`"
    name = f"`{truncate(path[-1])}`"
    kind = _KINDS.get(path[-2]) if len(path) in (2, 4) else None
    return f"the {kind} {name}" if kind else name


#: What the mappings of named things hold.
_KINDS: Final[Mapping[str | int, str]] = {
    "sessions": "session",
    "templates": "template",
    "fragments": "fragment",
    "environments": "environment",
}


# Keys ---------------------------------------------------------------------------------------------------------


#: What the keys of a mapping name, by the field that holds it.
_NAMES: Final = {
    "environments": "environment name",
    "fragments": "fragment name",
    "templates": "template name",
    "variables": "variable name",
    "axes": "axis name",
}
#: Fields that are mappings, each with one that a column of a table can fill in.
_GROUPS: Final = {"parameters": "parameters.temperature", "data": "data.place", "remark": "remark.owner"}
_WORD_RULE: Final = "use up to 63 of A-Z, a-z, 0-9, `.`, `_` and `-`, starting with a letter"


def _bad_name(path: NodePath, error: Any) -> tuple[str, str]:
    """A key that its mapping can't have."""
    key, field = error.instance, path[-1]
    if error.validator == "not" and "const" in error.validator_value:
        return "the key `reconciler` is reserved: it holds the session's identity", "rename the key"
    if field == "fields":
        if key in _GROUPS:
            return (
                f"a column can't fill in {_quoted(key)} as a whole",
                f"name one of its keys, like `{_GROUPS[key]}`",
            )
        close = _table_field(key)
        known = "write a field, like `name` or `parameters.temperature`, or a key of `data` or `remark`, like `data.x`"
        return f"{_quoted(key)} is not a field of a session", f"did you mean `{close}`?" if close else known
    kind = _NAMES.get(str(field), "session key")
    if error.schema["pattern"].startswith("^[A-Z"):
        return f"{_quoted(key)} is not a valid {kind}", _WORD_RULE
    return _bad_key(key, kind)


def _table_field(key: str) -> str | None:
    """The field that a misspelt name of a table's column was probably meant to be."""
    group, _, rest = key.partition(".")
    group = _closest(group, ("data", "remark")) or ""
    if group:
        return f"{group}.{rest or 'x'}"
    single = [name for name in _FIELDS if name not in ("parameters", "data", "remark")]
    close = _closest(key, single)
    parameter = _closest(key, [name.partition(".")[2] for name in single if "." in name])
    return close or (parameter and f"parameters.{parameter}")


def _bad_key(key: str, kind: str) -> tuple[str, str]:
    suggested = suggest_key(key)
    hint = f"{KEY_RULE}, like `{suggested}`" if suggested else KEY_RULE
    return f"{_quoted(key)} is not a valid {kind}", hint


def _quoted(key: str) -> str:
    return f"`{truncate(key)}`" if not is_blank(key) else f'the string "{key}"'


def _unknown(path: NodePath, key: str, error: Any, schema: SchemaName, what: str) -> tuple[str, str]:
    known = list(error.schema["properties"])
    message = f"`{truncate(key)}` is not a field of {what}"
    if not path and schema == "manifest":
        value = error.instance[key]
        if isinstance(value, dict) and ("prompt" in value or "name" in value):
            return message, f"if it is a session, indent it below `sessions:`, as `{truncate(key)}:`"
        if key in load_schema("catalog")["properties"]:
            return message, "move it to catalog.yaml"
    home = _home(path, key, schema, known)
    if home:
        return message, home
    close = _closest(key, known)
    if close:
        return message, f"did you mean `{close}`?"
    if len(known) == 1:
        return message, f"the only field is `{known[0]}`"
    return message, f"the fields of {what} are {_listed(known)}"


def _home(path: NodePath, key: str, schema: SchemaName, known: Sequence[str]) -> str:
    """Where a field on the wrong level belongs; empty if it belongs nowhere."""
    in_parameters = key in load_schema("manifest")["$defs"]["parameters"]["properties"]
    if not path and schema == "catalog":
        if in_parameters:
            return f"`{key}` belongs below `parameters`, below `defaults`"
        if key in load_schema("catalog")["$defs"]["policy"]["properties"]:
            return f"`{key}` belongs below `policy`"
        return f"`{key}` belongs below `defaults`" if key in SESSION_FIELDS else ""
    if not path:
        if in_parameters:
            return f"`{key}` belongs below `parameters` of a session"
        return (
            f"`{key}` belongs below the key of a session, below `sessions`" if key in SESSION_FIELDS else ""
        )
    if path[-1] in ("parameters", "lifecycle") and key in SESSION_FIELDS:
        return f"`{key}` belongs one level higher, beside `{path[-1]}`"
    if "parameters" not in known:  # neither a session nor what has its fields
        return ""
    if in_parameters:
        return f"`{key}` belongs below `parameters`"
    in_lifecycle = key in load_schema("manifest")["$defs"]["lifecycle"]["properties"]
    return f"`{key}` belongs below `lifecycle`" if in_lifecycle else ""


def _closest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant: one with nearly the same letters, in any case."""
    plain = {re.sub(r"[^a-z0-9]", "", one.lower()): one for one in known}
    close = nearest(re.sub(r"[^a-z0-9]", "", word.lower()[:100]), plain, 0.7)
    return plain[close] if close else None


def _listed(words: Sequence[str], last: str = "and") -> str:
    quoted = [f"`{word}`" for word in words]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


# Values -------------------------------------------------------------------------------------------------------


def _bad_value(path: NodePath, error: Any, what: str) -> tuple[str, str]:
    value, schema = error.instance, error.schema
    match error.validator:
        case "type":
            return _bad_type(path, value, schema, what)
        case "enum":
            close = _closest(str(value), schema["enum"])
            write = (
                "write one of these values" if len(schema["enum"]) > 1 else "write it, or leave the field out"
            )
            return (
                f"{what} is {shown(value)}; expected {_listed(schema['enum'], 'or')}",
                f"did you mean `{close}`?" if close else write,
            )
        case "const":
            return (
                f"{what} is {shown(value)}, but this release reads version {schema['const']}",
                f"write `version: {schema['const']}`, or use a release that reads the other version",
            )
        case "minimum":
            return (
                f"{what} is {shown(value)}; the minimum is {schema['minimum']}",
                f"write {wanted(schema)}",
            )
        case "maximum":
            return (
                f"{what} is {shown(value)}; the maximum is {schema['maximum']}",
                f"write {wanted(schema)}",
            )
        case "maxItems" | "maxProperties":
            wider = path[-1] in ("include", "exclude")
            return (
                f"{what} has {len(value):,} entries; the maximum is {error.validator_value:,}",
                "use wider patterns" if wider else "remove some",
            )
        case "minItems" | "minProperties":
            return f"{what} has no entries", "add one" if path[-1] in _NEEDED else "add one, or leave it out"
        case "minLength":
            return f"{what} is empty", "write a value" if path[
                -1
            ] in _NEEDED else "write a value, or leave it out"
        case "maxLength":
            return (
                f"{what} has {len(value):,} characters; the maximum is {schema['maxLength']:,}",
                "shorten it",
            )
        case _:
            return _bad_text(path, value, schema, what)


def _bad_text(path: NodePath, value: str, schema: Any, what: str) -> tuple[str, str]:
    """A string that does not match its pattern."""
    if "ignore_changes" in path:
        close = _closest(value, _FIELDS)
        hint = (
            f"did you mean `{close}`?"
            if close
            else "write a field, like `parameters.temperature`, or a group, like `data`"
        )
        return f"{shown(value)} is not a field of a session", hint
    if path == ("catalog",):
        return _bad_key(value, "catalog name")
    if path[0] in ("moved", "forgotten"):
        message, hint = _bad_key(value, "session key")
        return message, hint if path[0] == "forgotten" else f"{hint}; or write `catalog/key`"
    if path[0] == "lint" and "allow" in path:
        return f"{shown(value)} is not a code point", "write it like `U+00A0`"
    if path[0] == "policy":
        return (
            f"{what} is {shown(value)}; expected {wanted(schema)}",
            'write a percentage without spaces, up to "100%"',
        )
    if path[-1] == "json":
        return (
            f"{what} is {shown(value)}; expected {wanted(schema)}",
            "to test that an answer is no JSON, use `not_matches`",
        )
    if not is_blank(value) and _LINE_BREAK.search(value) and schema["pattern"].startswith("[^"):
        return f"{what} contains a line break", "write it in one line"
    if schema["pattern"].startswith("[^"):  # it only asks for something that can be seen
        return f"{what} is blank", "write a value" if path[-1] == "name" else "write a value, or leave it out"
    if path[-1] == "file":
        return f"{what} is {shown(value)}; expected a path that ends in `.csv` or `.jsonl`", "name a table"
    return f"{what} is {shown(value)}, which is not valid", f"write it like `{example(schema)}`"


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


def _bad_type(path: NodePath, value: JSON, schema: Any, what: str) -> tuple[str, str]:
    kinds = types(schema)
    if value is None:
        message, hint = _empty(schema, what)
        if path[-1:] and path[-1] in _NEEDED:
            hint = hint.removesuffix(", or leave it out").removesuffix(", or remove the line")
        return message, hint
    message = f"{what} is {shown(value)}; expected {wanted(schema)}"
    if "boolean" in kinds and "object" in kinds:
        return message, "write `true`, or the schema below it, indented"
    if "boolean" in kinds:
        return message, "write `true` or `false`; `yes`, `no`, `on` and `off` are strings"
    if "object" in kinds and "number" in kinds:
        return message, "put it in quotes to make it a string"
    if "array" in kinds and "string" in kinds and isinstance(value, dict) and "object" not in kinds:
        return message, "write one name, or a list of names"
    if "number" in kinds or "integer" in kinds:
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", value):
            return message, f"remove the quotes: {value}"
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+,[0-9]+", value):
            return message, f"use a decimal point: {value.replace(',', '.')}"
        return message, "write digits, without quotes or words"
    if "string" in kinds and not isinstance(value, dict | list):
        return message, "put it in quotes to make it a string"
    if "string" in kinds:
        return message, "write the text itself; several lines go below a `|`"
    if what == "`sessions`":
        return message, "write each session below its key, like `alice:`"
    if "array" in kinds:
        return message, "write it in brackets, like `[one, other]`, or each item on a line after `- `"
    return message, "write `key: value` pairs, each on its own line"


def left_empty(parameter: str) -> tuple[str, str]:
    """Message and hint for a parameter that is null although there is no inherited value to remove."""
    return _empty(load_schema("manifest")["$defs"]["parameters"]["properties"][parameter], f"`{parameter}`")


def _empty(schema: Any, what: str) -> tuple[str, str]:
    if schema.get("title"):  # the whole document
        message = f"{what} is empty or holds only comments"
        if schema["title"] == "Catalog":
            return message, "start it with the lines `version: 1` and `catalog: NAME`"
        return message, "write `sessions: {}` if it has none, or remove the file"
    if what == "`sessions`":
        return f"{what} is empty", "write the sessions below it, by key, or `sessions: {}` if there are none"
    if schema["type"] == "object":
        return f"{what} is empty", "write its fields below it, indented, or remove the line"
    return f"{what} is empty", f"write {wanted(schema)}, or leave it out"
