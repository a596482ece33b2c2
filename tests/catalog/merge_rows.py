"""How two layers merge, row by row, for the tests and for the table in docs/composition.md."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """The earlier layer, the later one, the result, and why; all three in YAML's flow style."""

    earlier: str
    later: str
    merged: str
    rule: str


ROWS = [
    # Plain values
    Row("{model: a}", "{}", "{model: a}", "what the later layer does not say stays"),
    Row("{}", "{model: b}", "{model: b}", "what only the later layer says is there"),
    Row("{model: a}", "{model: b}", "{model: b}", "a later value replaces an earlier one"),
    Row("{name: A}", "{model: b}", "{name: A, model: b}", "each field is on its own"),
    Row("{prompt: one}", "{prompt: two}", "{prompt: two}", "a prompt is replaced whole"),
    Row(
        "{prompt: one}",
        "{prompt: {file: p.md}}",
        "{prompt: {file: p.md}}",
        "a prompt is replaced whole, whatever its form",
    ),
    Row(
        "{prompt: {file: p.md}}",
        "{prompt: two}",
        "{prompt: two}",
        "a prompt is replaced whole, whatever its form",
    ),
    Row(
        "{prompt: {file: p.md}}",
        "{prompt: {text: t}}",
        "{prompt: {text: t}}",
        "a prompt's own mapping is not merged",
    ),
    Row(
        "{prompt: [{text: a}]}",
        "{prompt: [{text: b}]}",
        "{prompt: [{text: b}]}",
        "parts are not added to parts",
    ),
    Row(
        "{prompt: [{text: a}]}",
        "{model: b}",
        "{prompt: [{text: a}], model: b}",
        "parts stay where nothing is said",
    ),
    # Mappings
    Row(
        "{parameters: {temperature: 1}}",
        "{}",
        "{parameters: {temperature: 1}}",
        "a mapping stays where nothing is said",
    ),
    Row("{}", "{parameters: {temperature: 1}}", "{parameters: {temperature: 1}}", "a mapping may come later"),
    Row(
        "{parameters: {temperature: 1}}",
        "{parameters: {max_tokens: 9}}",
        "{parameters: {temperature: 1, max_tokens: 9}}",
        "mappings are merged key by key",
    ),
    Row(
        "{parameters: {temperature: 1, max_tokens: 9}}",
        "{parameters: {temperature: 0}}",
        "{parameters: {temperature: 0, max_tokens: 9}}",
        "a key of a mapping is replaced",
    ),
    Row(
        "{parameters: {temperature: 1}}",
        "{parameters: {}}",
        "{parameters: {temperature: 1}}",
        "an empty mapping changes nothing",
    ),
    Row(
        "{data: {a: {b: 1}}}",
        "{data: {a: {c: 2}}}",
        "{data: {a: {b: 1, c: 2}}}",
        "mappings in mappings are merged, too",
    ),
    Row(
        "{data: {a: {b: {c: 1}}}}",
        "{data: {a: {b: {d: 2}}}}",
        "{data: {a: {b: {c: 1, d: 2}}}}",
        "at any depth",
    ),
    Row("{data: {a: {b: 1}}}", "{data: {a: {b: 2}}}", "{data: {a: {b: 2}}}", "a key deep down is replaced"),
    Row(
        "{data: {a: {b: 1}}}",
        "{data: {a: {}}}",
        "{data: {a: {b: 1}}}",
        "an empty mapping deep down changes nothing",
    ),
    Row("{data: {a: {b: 1}}}", "{data: {a: 5}}", "{data: {a: 5}}", "a mapping is replaced by anything else"),
    Row(
        "{data: {a: 5}}",
        "{data: {a: {b: 1}}}",
        "{data: {a: {b: 1}}}",
        "anything else is replaced by a mapping",
    ),
    Row("{data: {a: x}}", "{data: {a: [1]}}", "{data: {a: [1]}}", "a string is replaced by a list"),
    Row(
        "{remark: {team: a}}",
        "{remark: {owner: b}}",
        "{remark: {team: a, owner: b}}",
        "the remark is merged like data",
    ),
    Row(
        "{remark: {team: a}}", "{remark: {team: b}}", "{remark: {team: b}}", "a key of the remark is replaced"
    ),
    Row(
        "{lifecycle: {prevent_destroy: true}}",
        "{lifecycle: {ignore_changes: [name]}}",
        "{lifecycle: {prevent_destroy: true, ignore_changes: [name]}}",
        "the lifecycle is merged key by key",
    ),
    Row(
        "{lifecycle: {prevent_destroy: true}}",
        "{lifecycle: {prevent_destroy: false}}",
        "{lifecycle: {prevent_destroy: false}}",
        "protection is taken away by saying false",
    ),
    Row(
        "{variables: {a: 1}}",
        "{variables: {b: 2}}",
        "{variables: {a: 1, b: 2}}",
        "variables are merged by name",
    ),
    Row("{variables: {a: 1}}", "{variables: {a: 2}}", "{variables: {a: 2}}", "a later variable wins"),
    # Lists
    Row("{data: {a: [1, 2]}}", "{data: {a: [3]}}", "{data: {a: [3]}}", "lists are replaced whole"),
    Row("{data: {a: [1, 2]}}", "{data: {a: []}}", "{data: {a: []}}", "an empty list replaces, too"),
    Row(
        "{data: {a: [{b: 1}]}}",
        "{data: {a: [{c: 2}]}}",
        "{data: {a: [{c: 2}]}}",
        "mappings in lists are not merged",
    ),
    Row(
        "{lifecycle: {ignore_changes: [name]}}",
        "{lifecycle: {ignore_changes: [model]}}",
        "{lifecycle: {ignore_changes: [model]}}",
        "ignore_changes is a list: replaced whole",
    ),
    Row("{data: {a: [1]}}", "{data: {b: [2]}}", "{data: {a: [1], b: [2]}}", "another list stays"),
    # Null
    Row(
        "{parameters: {temperature: 1}}",
        "{parameters: {temperature: null}}",
        "{parameters: {}}",
        "null removes a key",
    ),
    Row("{data: {a: 1, b: 2}}", "{data: {a: null}}", "{data: {b: 2}}", "null removes a key, the others stay"),
    Row("{data: {a: {b: 1}}}", "{data: {a: null}}", "{data: {}}", "null removes a whole mapping"),
    Row(
        "{data: {a: {b: 1, c: 2}}}",
        "{data: {a: {b: null}}}",
        "{data: {a: {c: 2}}}",
        "null removes deep down, too",
    ),
    Row("{data: {a: [1]}}", "{data: {a: null}}", "{data: {}}", "null removes a list"),
    Row(
        "{data: {}}",
        "{data: {a: null}}",
        "{data: {a: null}}",
        "where there is nothing to remove, null is a value",
    ),
    Row("{}", "{data: {a: null}}", "{data: {a: null}}", "where there is nothing to remove, null is a value"),
    Row("{data: {a: null}}", "{}", "{data: {a: null}}", "an earlier null stays"),
    Row("{data: {a: null}}", "{data: {a: 1}}", "{data: {a: 1}}", "an earlier null is replaced"),
    Row("{data: {a: null}}", "{data: {a: null}}", "{data: {}}", "null removes an earlier null"),
    Row("{remark: {team: a}}", "{remark: {team: null}}", "{remark: {}}", "null removes a key of the remark"),
    Row(
        "{data: {a: 0}}", "{data: {a: false}}", "{data: {a: false}}", "false is a value, and removes nothing"
    ),
    Row(
        "{data: {a: x}}",
        '{data: {a: ""}}',
        '{data: {a: ""}}',
        "an empty string is a value, and removes nothing",
    ),
]


def parsed(text: str) -> Any:
    """A row's YAML as a document."""
    from reconciler.strict_yaml.read import parse

    result = parse(text.encode(), text)
    assert not result.faults
    return result.document


def table() -> str:
    """The rows as a table in Markdown."""
    lines = ["| earlier | later | result | rule |", "| --- | --- | --- | --- |"]
    lines += [f"| `{row.earlier}` | `{row.later}` | `{row.merged}` | {row.rule} |" for row in ROWS]
    return "\n".join(lines)
