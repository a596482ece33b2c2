"""Many sessions from one declaration: the combinations of a matrix or the rows of a table.

``{axis}``, ``{axis.field}`` and ``{column}`` are replaced in the key and the name, and nowhere else.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from reconciler.values import JSON

#: How many sessions one declaration may make.
MAX_SESSIONS: Final = 100_000

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z][A-Za-z0-9._-]*)\}")


class ExpandError(Exception):
    """A declaration can't be expanded. ``line`` is that of the table, from 1; 0 where it is none of the table's."""

    def __init__(self, message: str, hint: str, line: int = 0) -> None:
        super().__init__(message)
        self.message, self.hint, self.line = message, hint, line


@dataclass(frozen=True, slots=True)
class Expansion:
    """One of the sessions: its key, what it says beside the declaration, and its variables. ``line`` is the row's."""

    key: str
    fields: Mapping[str, Any]
    variables: Mapping[str, JSON]
    line: int = 0


def combinations(matrix: Mapping[str, Any], name: str | None) -> Iterator[Expansion]:
    """The sessions of a matrix, in the order of its axes.

    Raises:
        ExpandError: there are too many, or a pattern asks for what is not there.
    """
    axes: Mapping[str, list[Any]] = matrix["axes"]
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MAX_SESSIONS:
        raise ExpandError(
            f"this makes {count:,} sessions; the maximum is {MAX_SESSIONS:,}", "use fewer values"
        )
    for combination in product(*axes.values()):
        chosen = dict(zip(axes, combination, strict=True))
        if not any(_matches(chosen, one) for one in matrix.get("exclude", ())):
            fields = {} if name is None else {"name": fill(name, chosen)}
            yield Expansion(fill(matrix["key"], chosen), fields, chosen)


def _matches(chosen: Mapping[str, Any], excluded: Mapping[str, Any]) -> bool:
    for axis, value in excluded.items():
        if axis not in chosen:
            raise ExpandError(
                f"`exclude` names `{axis}`, which is not an axis", f"the axes are {', '.join(chosen)}"
            )
        own = chosen[axis]
        if own != value and not (isinstance(own, dict) and own.get("id") == value):
            return False
    return True


def rows(declared: Mapping[str, Any], text: str, name: str | None) -> Iterator[Expansion]:
    """The sessions of a table, in the order of its rows.

    Raises:
        ExpandError: a row can't be read, or a column is not there.
    """
    read = _csv if declared["file"].endswith(".csv") else _jsonl
    for count, (line, row) in enumerate(read(text), 1):
        if count > MAX_SESSIONS:
            raise ExpandError(f"this table has more than {MAX_SESSIONS:,} rows", "split the table", line)
        try:
            fields: dict[str, Any] = {} if name is None else {"name": fill(name, row)}
            for path, column in declared.get("fields", {}).items():
                if column not in row:
                    if read is _csv:
                        raise ExpandError(
                            f"there is no column `{column}`", f"the columns are {', '.join(row)}"
                        )
                    continue
                value = row[column]
                if value == "" and read is _csv:
                    continue
                _put(fields, path, _typed(path, value) if read is _csv else value)
            yield Expansion(fill(declared["key"], row), fields, {k: v for k, v in row.items() if k}, line)
        except ExpandError as error:
            raise ExpandError(error.message, error.hint, error.line or line) from None


def fill(pattern: str, values: Mapping[str, JSON]) -> str:
    """A pattern with its placeholders filled in.

    Raises:
        ExpandError: there is no such value, or it is not a text or a number.
    """

    def one(found: re.Match[str]) -> str:
        steps = found[1]
        value: Any = values.get(steps, _NOTHING)
        if value is _NOTHING:
            axis, _, field = steps.partition(".")
            value = values.get(axis, _NOTHING)
            value = value.get(field, _NOTHING) if field and isinstance(value, dict) else _NOTHING
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ExpandError(
                f"`{{{steps}}}` is not a string or a number",
                f"available: {', '.join(f'`{{{name}}}`' for name in values)}",
            )
        return str(value)

    return _PLACEHOLDER.sub(one, pattern)


_NOTHING: Final = object()


def _csv(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or any(value is None for value in row.values()):
                raise ExpandError(
                    "this row has a different number of cells than the header",
                    "quote cells that contain a comma",
                    reader.line_num,
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise ExpandError(
            f"this is not valid CSV: {error}",
            "quote cells that contain a comma, a quote or a line break",
            reader.line_num,
        ) from None


def _jsonl(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ExpandError("this line is not valid JSON", "write one object per line", number) from None
        if not isinstance(row, dict):
            raise ExpandError("this line is not a JSON object", "write one object per line", number)
        yield number, row


def _typed(path: str, value: str) -> Any:
    """A cell as the type of its field: a number for parameters, a string for the rest."""
    if not path.startswith("parameters."):
        return value
    try:
        number = float(value)
    except ValueError:
        raise ExpandError(
            f'"{value}" is not a number, but `{path}` requires one', "write it in digits"
        ) from None
    return int(number) if number.is_integer() else number


def _put(fields: dict[str, Any], path: str, value: Any) -> None:
    group, _, name = path.partition(".")
    if name:
        fields.setdefault(group, {})[name] = value
    else:
        fields[path] = value
