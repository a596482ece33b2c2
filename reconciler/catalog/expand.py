"""Many sessions from one declaration: the combinations of a matrix or the rows of a table.

``{axis}``, ``{axis.field}`` and ``{column}`` are replaced in the key and the name, and nowhere else.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Final, TypeAlias

from reconciler.values import JSON

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z][A-Za-z0-9._-]*)\}")


class ExpandError(Exception):
    """A declaration can't be expanded. ``line`` is that of the table, from 1; 0 if the table is not the cause.
    ``cell`` is the index of the cell in its row; 0 for the whole row."""

    def __init__(self, message: str, hint: str, line: int = 0, cell: int = 0) -> None:
        super().__init__(message)
        self.message, self.hint, self.line, self.cell = message, hint, line, cell


@dataclass(frozen=True, slots=True)
class Expansion:
    """One of the sessions: its key, its fields besides the declaration's, and its variables. ``line`` is the row's;
    ``cell`` is that of the first column in the pattern of the key."""

    key: str
    fields: Mapping[str, Any]
    variables: Mapping[str, JSON]
    line: int = 0
    cell: int = 0


def comparisons(matrix: Mapping[str, Any]) -> int:
    """How many values are chosen and compared to expand a matrix."""
    axes = matrix["axes"].values()
    return prod(map(len, axes)) * (len(axes) + sum(map(len, matrix.get("exclude", ()))))


def cells(declared: Mapping[str, Any], text: str) -> int:
    """At least as many cells as are read and written to expand a table. A cell of 20 characters counts once more."""
    return len(text) // 20 + text.count(",") + (text.count("\n") + 1) * (1 + len(declared.get("fields", {})))


def combinations(matrix: Mapping[str, Any], name: str | None) -> Iterator[Expansion]:
    """The sessions of a matrix, in the order of its axes.

    Raises:
        ExpandError: a pattern names a missing value.
    """
    axes: Mapping[str, list[Any]] = matrix["axes"]
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


def rows(declared: Mapping[str, Any], text: str, name: str | None) -> Iterator[Expansion | ExpandError]:
    """The sessions of a table, in the order of its rows; an error for each row that can't be read. Blank rows are
    skipped."""
    is_csv = declared["file"].endswith(".csv")
    read = _csv(text, _columns(declared, name)) if is_csv else _jsonl(text)
    for row in read:
        if isinstance(row, ExpandError):
            yield row
            continue
        line, values = row
        try:
            yield _expanded(declared, name, values, line, is_csv=is_csv)
        except ExpandError as error:
            yield ExpandError(error.message, error.hint, error.line or line, error.cell)


def _columns(declared: Mapping[str, Any], name: str | None) -> list[str]:
    """The columns that a declaration needs. In patterns, a possible field of a column is left out."""
    patterns = [declared["key"], *([] if name is None else [name])]
    return [
        *declared.get("fields", {}).values(),
        *(one for text in patterns for one in _PLACEHOLDER.findall(text)),
    ]


def _expanded(
    declared: Mapping[str, Any], name: str | None, row: Mapping[str, Any], line: int, *, is_csv: bool
) -> Expansion:
    """The session of one row.

    Raises:
        ExpandError: a value does not fit.
    """
    fields: dict[str, Any] = {} if name is None else {"name": fill(name, row)}
    cells = {column: number for number, column in enumerate(row)}
    for path, column in declared.get("fields", {}).items():
        value = row.get(column, _NOTHING)
        if value is _NOTHING or (is_csv and value == ""):
            continue
        try:
            _put(fields, path, _typed(path, value) if is_csv else value)
        except ExpandError as error:
            raise ExpandError(error.message, error.hint, line, cells[column] if is_csv else 0) from None
    first = next((cells[one] for one in _PLACEHOLDER.findall(declared["key"]) if one in cells), 0)
    variables = {k: v for k, v in row.items() if k}
    return Expansion(fill(declared["key"], row), fields, variables, line, first if is_csv else 0)


def cell_start(text: str, start: int, cell: int) -> int:
    """Where a cell of the row that begins at ``start`` begins in a table's text."""
    quoted = False
    for at in range(start, len(text) if cell else start):
        if text[at] == '"':
            quoted = not quoted
        elif text[at] == "," and not quoted:
            cell -= 1
            if not cell:
                return at + 1
    return start


def fill(pattern: str, values: Mapping[str, JSON]) -> str:
    """A pattern with its placeholders filled in.

    Raises:
        ExpandError: there is no such value, or it is not a string or a number.
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


_Row: TypeAlias = tuple[int, dict[str, Any]]


def _csv(text: str, needed: Iterable[str]) -> Iterator[_Row | ExpandError]:
    """The rows of a CSV table by column, each with the line in which it begins; an error in place of one that can't be
    read. The first row that is not blank names the columns."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            begins, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue  # spreadsheets write such rows below the last one
            if not header:
                header = cells
                missing = [column for column in dict.fromkeys(needed) if column not in header]
                for column in missing:
                    yield ExpandError(
                        f"there is no column `{column}`", f"the columns are {', '.join(header)}", begins
                    )
                if missing:
                    return
            elif len(cells) != len(header):
                yield ExpandError(
                    f"this row has {len(cells)} cell{'' if len(cells) == 1 else 's'}, and the header {len(header)}",
                    "quote cells that contain a comma",
                    begins,
                )
            else:
                yield begins, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        yield ExpandError(
            f"this is not valid CSV: {error}",
            "quote cells that contain a comma, a quote or a line break",
            reader.line_num,
        )


def _jsonl(text: str) -> Iterator[_Row | ExpandError]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield ExpandError("this line is not valid JSON", "write one object per line", number)
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            yield ExpandError("this line is not a JSON object", "write one object per line", number)


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
