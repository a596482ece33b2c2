"""The results of the three-way comparison of one field: the whole table, row by row.

The test of the comparison runs over these rows, and the documentation's table is made from them
(:func:`as_markdown`), so that neither can say anything that the other does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple


class Mark(Enum):
    """What stands where there is no value."""

    NOT_THERE = "–"
    NO_DIGESTS = "the tag holds no digests"


#: In ``base``: we never wrote the field, or let go of it. In ``wanted``: the catalog does not hold it.
NOT_THERE = Mark.NOT_THERE

#: In ``base``: nothing is known of any field.
NO_DIGESTS = Mark.NO_DIGESTS


class Row(NamedTuple):
    """One case.

    ``base`` is what was last written, ``wanted`` what the catalog says, ``live`` what is there. ``shown`` is what
    a plan says of the field; ``after`` what is live after an apply, ``vouched`` what the tag then says was last
    written. What is ``shown`` as nothing, kept or ignored is not written, and leaves the tag as it is.
    """

    what: str
    path: str
    base: Any
    wanted: Any
    live: Any
    shown: str
    after: Any
    vouched: Any
    #: ``policy.on_conflict`` and ``lifecycle.ignore_changes``.
    on_conflict: str = "overwrite"
    ignored: str = ""
    #: What the server is known to have made of ``base`` when it was written.
    stored: Any = NOT_THERE


ROWS = [
    Row(
        "text that is always there",
        "prompt",
        "Be kind.",
        "Be kind.",
        "Be kind.",
        "nothing",
        "Be kind.",
        "Be kind.",
    ),
    Row(
        "text that is always there",
        "prompt",
        "Be kind.",
        "Be kind.",
        "Be brief.",
        "drift",
        "Be kind.",
        "Be kind.",
    ),
    Row(
        "text that is always there",
        "prompt",
        "Be kind.",
        "Be brief.",
        "Be kind.",
        "changed in git",
        "Be brief.",
        "Be brief.",
    ),
    Row(
        "text that is always there",
        "prompt",
        "Be kind.",
        "Be brief.",
        "Be brief.",
        "nothing",
        "Be brief.",
        "Be kind.",
    ),
    Row(
        "text that is always there",
        "prompt",
        "Be kind.",
        "Be brief.",
        "Be bold.",
        "conflict",
        "Be brief.",
        "Be brief.",
    ),
    Row(
        "text that is always there",
        "prompt",
        NOT_THERE,
        "Be kind.",
        "Be kind.",
        "nothing",
        "Be kind.",
        NOT_THERE,
    ),
    Row(
        "text that is always there",
        "prompt",
        NOT_THERE,
        "Be kind.",
        "Be brief.",
        "changed in git",
        "Be kind.",
        "Be kind.",
    ),
    Row(
        "text that is always there",
        "prompt",
        NO_DIGESTS,
        "Be kind.",
        "Be kind.",
        "nothing",
        "Be kind.",
        NO_DIGESTS,
    ),
    Row(
        "text that is always there",
        "prompt",
        NO_DIGESTS,
        "Be kind.",
        "Be brief.",
        "differs",
        "Be kind.",
        "Be kind.",
    ),
    Row("text", "remark.owner", "lery", "lery", "lery", "nothing", "lery", "lery"),
    Row("text", "remark.owner", "lery", "lery", "ops", "drift", "lery", "lery"),
    Row("text", "remark.owner", "lery", "lery", NOT_THERE, "drift", "lery", "lery"),
    Row("text", "remark.owner", "lery", "ops", "lery", "changed in git", "ops", "ops"),
    Row("text", "remark.owner", "lery", "ops", "ops", "nothing", "ops", "lery"),
    Row("text", "remark.owner", "lery", "ops", "mia", "conflict", "ops", "ops"),
    Row("text", "remark.owner", "lery", "ops", NOT_THERE, "conflict", "ops", "ops"),
    Row("text", "remark.owner", "lery", NOT_THERE, "lery", "released", "lery", NOT_THERE),
    Row("text", "remark.owner", "lery", NOT_THERE, "ops", "released", "ops", NOT_THERE),
    Row("text", "remark.owner", "lery", NOT_THERE, NOT_THERE, "nothing", NOT_THERE, "lery"),
    Row("text", "remark.owner", NOT_THERE, "lery", "lery", "nothing", "lery", NOT_THERE),
    Row("text", "remark.owner", NOT_THERE, "lery", "ops", "changed in git", "lery", "lery"),
    Row("text", "remark.owner", NOT_THERE, "lery", NOT_THERE, "changed in git", "lery", "lery"),
    Row("text", "remark.owner", NOT_THERE, NOT_THERE, "lery", "nothing", "lery", NOT_THERE),
    Row("text", "remark.owner", NOT_THERE, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NOT_THERE),
    Row("text", "remark.owner", NO_DIGESTS, "lery", "lery", "nothing", "lery", NO_DIGESTS),
    Row("text", "remark.owner", NO_DIGESTS, "lery", "ops", "differs", "lery", "lery"),
    Row("text", "remark.owner", NO_DIGESTS, "lery", NOT_THERE, "differs", "lery", "lery"),
    Row("text", "remark.owner", NO_DIGESTS, NOT_THERE, "lery", "nothing", "lery", NO_DIGESTS),
    Row("text", "remark.owner", NO_DIGESTS, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NO_DIGESTS),
    Row("number", "parameters.temperature", 0.2, 0.2, 0.2, "nothing", 0.2, 0.2),
    Row("number", "parameters.temperature", 0.2, 0.2, 0.7, "drift", 0.2, 0.2),
    Row("number", "parameters.temperature", 0.2, 0.2, NOT_THERE, "drift", 0.2, 0.2),
    Row("number", "parameters.temperature", 0.2, 0.7, 0.2, "changed in git", 0.7, 0.7),
    Row("number", "parameters.temperature", 0.2, 0.7, 0.7, "nothing", 0.7, 0.2),
    Row("number", "parameters.temperature", 0.2, 0.7, 1, "conflict", 0.7, 0.7),
    Row("number", "parameters.temperature", 0.2, 0.7, NOT_THERE, "conflict", 0.7, 0.7),
    Row("number", "parameters.temperature", 0.2, NOT_THERE, 0.2, "released", 0.2, NOT_THERE),
    Row("number", "parameters.temperature", 0.2, NOT_THERE, 0.7, "released", 0.7, NOT_THERE),
    Row("number", "parameters.temperature", 0.2, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, 0.2),
    Row("number", "parameters.temperature", NOT_THERE, 0.2, 0.2, "nothing", 0.2, NOT_THERE),
    Row("number", "parameters.temperature", NOT_THERE, 0.2, 0.7, "changed in git", 0.2, 0.2),
    Row("number", "parameters.temperature", NOT_THERE, 0.2, NOT_THERE, "changed in git", 0.2, 0.2),
    Row("number", "parameters.temperature", NOT_THERE, NOT_THERE, 0.2, "nothing", 0.2, NOT_THERE),
    Row("number", "parameters.temperature", NOT_THERE, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NOT_THERE),
    Row("number", "parameters.temperature", NO_DIGESTS, 0.2, 0.2, "nothing", 0.2, NO_DIGESTS),
    Row("number", "parameters.temperature", NO_DIGESTS, 0.2, 0.7, "differs", 0.2, 0.2),
    Row("number", "parameters.temperature", NO_DIGESTS, 0.2, NOT_THERE, "differs", 0.2, 0.2),
    Row("number", "parameters.temperature", NO_DIGESTS, NOT_THERE, 0.2, "nothing", 0.2, NO_DIGESTS),
    Row(
        "number", "parameters.temperature", NO_DIGESTS, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NO_DIGESTS
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
        {"tone": ["warm"]},
        "nothing",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
        {"tone": ["dry"]},
        "drift",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
        NOT_THERE,
        "drift",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        {"tone": ["dry"]},
        {"tone": ["warm"]},
        "changed in git",
        {"tone": ["dry"]},
        {"tone": ["dry"]},
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        {"tone": ["dry"]},
        {"tone": ["dry"]},
        "nothing",
        {"tone": ["dry"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        {"tone": ["dry"]},
        {"tone": []},
        "conflict",
        {"tone": ["dry"]},
        {"tone": ["dry"]},
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        {"tone": ["dry"]},
        NOT_THERE,
        "conflict",
        {"tone": ["dry"]},
        {"tone": ["dry"]},
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        NOT_THERE,
        {"tone": ["warm"]},
        "released",
        {"tone": ["warm"]},
        NOT_THERE,
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        NOT_THERE,
        {"tone": ["dry"]},
        "released",
        {"tone": ["dry"]},
        NOT_THERE,
    ),
    Row(
        "nested value",
        "data.style",
        {"tone": ["warm"]},
        NOT_THERE,
        NOT_THERE,
        "nothing",
        NOT_THERE,
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        NOT_THERE,
        {"tone": ["warm"]},
        {"tone": ["warm"]},
        "nothing",
        {"tone": ["warm"]},
        NOT_THERE,
    ),
    Row(
        "nested value",
        "data.style",
        NOT_THERE,
        {"tone": ["warm"]},
        {"tone": ["dry"]},
        "changed in git",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        NOT_THERE,
        {"tone": ["warm"]},
        NOT_THERE,
        "changed in git",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        NOT_THERE,
        NOT_THERE,
        {"tone": ["warm"]},
        "nothing",
        {"tone": ["warm"]},
        NOT_THERE,
    ),
    Row("nested value", "data.style", NOT_THERE, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NOT_THERE),
    Row(
        "nested value",
        "data.style",
        NO_DIGESTS,
        {"tone": ["warm"]},
        {"tone": ["warm"]},
        "nothing",
        {"tone": ["warm"]},
        NO_DIGESTS,
    ),
    Row(
        "nested value",
        "data.style",
        NO_DIGESTS,
        {"tone": ["warm"]},
        {"tone": ["dry"]},
        "differs",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        NO_DIGESTS,
        {"tone": ["warm"]},
        NOT_THERE,
        "differs",
        {"tone": ["warm"]},
        {"tone": ["warm"]},
    ),
    Row(
        "nested value",
        "data.style",
        NO_DIGESTS,
        NOT_THERE,
        {"tone": ["warm"]},
        "nothing",
        {"tone": ["warm"]},
        NO_DIGESTS,
    ),
    Row("nested value", "data.style", NO_DIGESTS, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NO_DIGESTS),
    Row("list", "data.topics", ["a", "b"], ["a", "b"], ["a", "b"], "nothing", ["a", "b"], ["a", "b"]),
    Row("list", "data.topics", ["a", "b"], ["a", "b"], ["b", "a"], "drift", ["a", "b"], ["a", "b"]),
    Row("list", "data.topics", ["a", "b"], ["b", "a"], ["a", "b"], "changed in git", ["b", "a"], ["b", "a"]),
    Row("list", "data.topics", ["a", "b"], ["b", "a"], ["b", "a"], "nothing", ["b", "a"], ["a", "b"]),
    Row("list", "data.topics", ["a", "b"], ["b", "a"], ["a"], "conflict", ["b", "a"], ["b", "a"]),
    Row("null", "data.mood", None, None, None, "nothing", None, None),
    Row("null", "data.mood", None, None, "calm", "drift", None, None),
    Row("null", "data.mood", None, None, NOT_THERE, "drift", None, None),
    Row("null", "data.mood", None, "calm", None, "changed in git", "calm", "calm"),
    Row("null", "data.mood", None, "calm", "calm", "nothing", "calm", None),
    Row("null", "data.mood", None, "calm", 0, "conflict", "calm", "calm"),
    Row("null", "data.mood", None, "calm", NOT_THERE, "conflict", "calm", "calm"),
    Row("null", "data.mood", None, NOT_THERE, None, "released", None, NOT_THERE),
    Row("null", "data.mood", None, NOT_THERE, "calm", "released", "calm", NOT_THERE),
    Row("null", "data.mood", None, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, None),
    Row("null", "data.mood", NOT_THERE, None, None, "nothing", None, NOT_THERE),
    Row("null", "data.mood", NOT_THERE, None, "calm", "changed in git", None, None),
    Row("null", "data.mood", NOT_THERE, None, NOT_THERE, "changed in git", None, None),
    Row("null", "data.mood", NOT_THERE, NOT_THERE, None, "nothing", None, NOT_THERE),
    Row("null", "data.mood", NOT_THERE, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NOT_THERE),
    Row("null", "data.mood", NO_DIGESTS, None, None, "nothing", None, NO_DIGESTS),
    Row("null", "data.mood", NO_DIGESTS, None, "calm", "differs", None, None),
    Row("null", "data.mood", NO_DIGESTS, None, NOT_THERE, "differs", None, None),
    Row("null", "data.mood", NO_DIGESTS, NOT_THERE, None, "nothing", None, NO_DIGESTS),
    Row("null", "data.mood", NO_DIGESTS, NOT_THERE, NOT_THERE, "nothing", NOT_THERE, NO_DIGESTS),
    # A conflict, by policy.
    Row("text", "prompt", "A", "B", "C", "kept", "C", "A", "keep-live"),
    Row("number", "parameters.temperature", 0.2, 0.7, 1, "kept", 1, 0.2, "keep-live"),
    Row("number", "parameters.temperature", 0.2, 0.7, NOT_THERE, "kept", NOT_THERE, 0.2, "keep-live"),
    Row("nested value", "data.style", {"a": 1}, {"a": 2}, {"a": 3}, "kept", {"a": 3}, {"a": 1}, "keep-live"),
    Row("text", "prompt", "A", "B", "C", "refused", "C", "A", "fail"),
    Row("number", "parameters.temperature", 0.2, 0.7, 1, "refused", 1, 0.2, "fail"),
    Row("nested value", "data.style", {"a": 1}, {"a": 2}, {"a": 3}, "refused", {"a": 3}, {"a": 1}, "fail"),
    # What is no conflict is the same under every policy.
    Row("text", "prompt", "A", "B", "A", "changed in git", "B", "B", "keep-live"),
    Row("text", "prompt", "A", "A", "B", "drift", "A", "A", "keep-live"),
    Row("text", "prompt", "A", "B", "A", "changed in git", "B", "B", "fail"),
    Row("text", "prompt", "A", "A", "B", "drift", "A", "A", "fail"),
    Row("number", "parameters.temperature", NO_DIGESTS, 0.2, 0.7, "differs", 0.2, 0.2, "fail"),
    # Ignored, as a field or with its group.
    Row("text", "prompt", "A", "B", "A", "ignored", "A", "A", ignored="prompt"),
    Row("text", "prompt", "A", "A", "B", "ignored", "B", "A", ignored="prompt"),
    Row("text", "prompt", "A", "B", "C", "ignored", "C", "A", ignored="prompt"),
    Row("text", "prompt", "A", "B", "C", "ignored", "C", "A", "fail", ignored="prompt"),
    Row("number", "parameters.temperature", 0.2, 0.7, 1, "ignored", 1, 0.2, ignored="parameters"),
    Row(
        "number", "parameters.temperature", NOT_THERE, 0.7, 1, "ignored", 1, NOT_THERE, ignored="parameters.*"
    ),
    Row(
        "number", "parameters.temperature", 0.2, NOT_THERE, 1, "released", 1, NOT_THERE, ignored="parameters"
    ),
    Row("number", "parameters.temperature", 0.2, 0.7, 0.2, "changed in git", 0.7, 0.7, ignored="data"),
    Row(
        "nested value",
        "data.style",
        {"a": 1},
        {"a": 2},
        {"a": 1},
        "ignored",
        {"a": 1},
        {"a": 1},
        ignored="data.*",
    ),
    Row(
        "nested value",
        "data.style",
        {"a": 1},
        {"a": 2},
        NOT_THERE,
        "ignored",
        NOT_THERE,
        {"a": 1},
        ignored="data.style",
    ),
    # The server is known to keep the field in another form than it was sent.
    Row("text", "prompt", " A", " A", "A", "nothing", "A", " A", stored="A"),
    Row("text", "prompt", " A", " B", "A", "changed in git", " B", " B", stored="A"),
    Row("text", "prompt", " A", " A", "C", "drift", " A", " A", stored="A"),
    Row("text", "prompt", " A", " B", "C", "conflict", " B", " B", stored="A"),
    Row("text", "prompt", " A", "A", "A", "nothing", "A", " A", stored="A"),
    # What differs in writing alone is the same.
    Row("number", "parameters.temperature", 1, 1, 1.0, "nothing", 1.0, 1),
    Row("number", "parameters.temperature", 0.2, 0.2, "0.20", "nothing", 0.2, 0.2),
    Row("number", "parameters.max_tokens", 4000, 4000, "4000", "nothing", 4000, 4000),
    Row("text", "prompt", "A", "A", "A \r\n", "nothing", "A", "A"),
    Row(
        "nested value",
        "data.style",
        {"a": 1, "b": 2},
        {"a": 1, "b": 2},
        {"b": 2.0, "a": 1},
        "nothing",
        {"b": 2.0, "a": 1},
        {"a": 1, "b": 2},
    ),
    # And what looks alike is not.
    Row("truth value", "data.loud", True, True, 1, "drift", True, True),
    Row("truth value", "data.loud", False, False, None, "drift", False, False),
    Row("text", "data.year", "1865", "1865", 1865, "drift", "1865", "1865"),
    Row("nested value", "data.style", {}, {}, [], "drift", {}, {}),
    Row("text", "name", "Alice", "alice", "Alice", "changed in git", "alice", "alice"),
    Row("text", "model", "m", "m", "n", "drift", "m", "m"),
]


def as_markdown(rows: Iterable[Row] = ROWS) -> str:
    """The rows as a table for the documentation."""
    lines = [
        "| field | last written | in the catalog | live | policy | the plan shows | live after an apply |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        policy = one.on_conflict if one.on_conflict != "overwrite" else ""
        policy = f"ignore_changes: [{one.ignored}]" if one.ignored else policy
        cells = [f"`{one.path}`", *map(_cell, (one.base, one.wanted, one.live)), policy, one.shown]
        lines.append("| " + " | ".join([*cells, _cell(one.after)]) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return value.value if isinstance(value, Mark) else f"`{json.dumps(value, ensure_ascii=False)}`"
