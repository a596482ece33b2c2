"""Many sessions from one declaration: the combinations of a matrix or the rows of a table.

``{axis}``, ``{axis.field}`` and ``{column}`` are replaced in the key and the name, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Final, Protocol

from reconciler.catalog.tables import MAX_ROWS, Cells, Row, Table
from reconciler.errors import Problem
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.strict_yaml.scalars import read_number
from reconciler.text.nearest import nearest
from reconciler.text.normalise import is_blank
from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: How many sessions one declaration may make.
MAX_SESSIONS: Final = MAX_ROWS

_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_IN_KEYS: Final = re.compile(r"[a-z0-9._-]+")


class Origin(Protocol):
    """Where the values of one of the sessions come from."""

    def problem(self, name: str | None, message: str, hint: str) -> Problem:
        """A problem with the value of this placeholder or column; None stands for all of them."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """One of the sessions: its key, its fields besides the declaration's, and its variables.

    ``names`` are the placeholders or columns that a field, or the key as ``key``, is made of.
    """

    key: str
    fields: Mapping[str, Any]
    variables: Mapping[str, JSON]
    origin: Origin | None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def problem(self, path: str, message: str, hint: str) -> Problem | None:
        """A problem with the field at a path, at the value that it comes from; None if it does not come from here."""
        names = self.names.get(path)
        if self.origin is None or not names:
            return None
        if path != "key" and not self._fills(path):
            return None  # an empty cell
        unfit = [one for one in names if not _IN_KEYS.fullmatch(str(_value(one, self.variables)))]
        return self.origin.problem(unfit[0] if unfit else names[0], message, hint)

    def cells(self, declared: Mapping[str, Any]) -> Cells | None:
        """Where the fields that a row fills in come from; None if this is not of a table."""
        if not isinstance(self.origin, Row):
            return None
        columns: Mapping[str, str] = declared["from"].get("fields", {})
        if not all(map(self._fills, columns)):  # else, all rows share the declared mapping
            columns = {path: column for path, column in columns.items() if self._fills(path)}
        return Cells(self.origin.table, self.origin.start, columns)

    def _fills(self, path: str) -> bool:
        group, _, name = path.partition(".")
        return group in self.fields and (not name or name in self.fields[group])


class _FillError(Exception):
    """A pattern can't be filled in. ``name`` is the placeholder or column that is the cause."""

    def __init__(self, name: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.name, self.message, self.hint = name, message, hint


# Matrices


@dataclass(frozen=True, slots=True)
class _Combination:
    """The origin of a combination. ``indexes`` are those of the values by axis; ``path`` is that of the matrix."""

    source: Source
    path: NodePath
    indexes: Mapping[str, int]

    def problem(self, name: str | None, message: str, hint: str) -> Problem:
        if name is None:
            return self.source.at_key(self.path, message, hint)
        axis = _axis(name, self.indexes)
        field = (name[len(axis) + 1 :],) if name != axis else ()
        return self.source.at_value((*self.path, "axes", axis, self.indexes[axis], *field), message, hint)


def combinations(
    matrix: Mapping[str, Any], name: str | None, source: Source, path: NodePath
) -> Iterator[Expansion | Problem]:
    """The sessions of a matrix, in the order of its axes; a problem in place of one that can't be made.

    ``source`` and ``path`` are the place of the session that has it; ``name`` is its pattern of names.
    """
    axes: Mapping[str, list[Any]] = matrix["axes"]
    place = (*path, "matrix")
    count = 1
    for values in axes.values():
        count *= len(values)
    problems = [*_unknown_axes(matrix, name, source, path)]
    if count > MAX_SESSIONS:
        message = f"this makes {count:,} sessions; the maximum is {MAX_SESSIONS:,}"
        problems.append(source.at_key(place, message, "use fewer values"))
    if problems:
        yield from problems
        return
    patterns = {"key": matrix["key"], **({} if name is None else {"name": name})}
    names = {field: _placeholders(text) for field, text in patterns.items()}
    for indexes in product(*(range(len(values)) for values in axes.values())):
        chosen = {axis: axes[axis][index] for axis, index in zip(axes, indexes, strict=True)}
        if any(_matches(chosen, one) for one in matrix.get("exclude", ())):
            continue
        origin = _Combination(source, place, dict(zip(axes, indexes, strict=True)))
        try:
            filled = {field: _fill(text, chosen, is_key=field == "key") for field, text in patterns.items()}
        except _FillError as error:
            yield origin.problem(error.name, error.message, error.hint)
        else:
            yield Expansion(filled.pop("key"), filled, chosen, origin, names)


def comparisons(matrix: Mapping[str, Any]) -> int:
    """How many values are chosen and compared to expand a matrix; none if it makes too many sessions."""
    axes = matrix["axes"].values()
    count = prod(map(len, axes))
    return 0 if count > MAX_SESSIONS else count * (len(axes) + sum(map(len, matrix.get("exclude", ()))))


def cells(declared: Mapping[str, Any], text: str) -> int:
    """At least as many cells as are read and written to expand a table. A cell of 20 characters counts once more."""
    return len(text) // 20 + text.count(",") + (text.count("\n") + 1) * (1 + len(declared.get("fields", {})))


def _unknown_axes(
    matrix: Mapping[str, Any], name: str | None, source: Source, path: NodePath
) -> Iterator[Problem]:
    axes = matrix["axes"]
    used: list[tuple[NodePath, str]] = [
        ((*path, "matrix", "key"), one) for one in _placeholders(matrix["key"])
    ]
    used += [((*path, "name"), one) for one in _placeholders(name or "")]
    for place, one in used:
        if _axis(one, axes) not in axes:
            yield source.at_value(place, f"there is no axis `{truncate(one)}`", _did_you_mean(one, axes))
    for number, excluded in enumerate(matrix.get("exclude", ())):
        for axis in excluded:
            if axis not in axes:
                at = (*path, "matrix", "exclude", number, axis)
                message = f"`exclude` names `{truncate(axis)}`, which is not an axis"
                yield source.at_key(at, message, _did_you_mean(axis, axes))


def _did_you_mean(word: str, axes: Mapping[str, Any]) -> str:
    close = nearest(word, axes)
    return f"did you mean `{close}`?" if close else f"the axes are {', '.join(f'`{one}`' for one in axes)}"


def _axis(placeholder: str, axes: Collection[str]) -> str:
    """The axis that a placeholder names, perhaps with a field."""
    return placeholder if placeholder in axes else placeholder.partition(".")[0]


def _matches(chosen: Mapping[str, Any], excluded: Mapping[str, Any]) -> bool:
    for axis, value in excluded.items():
        own = chosen[axis]
        if own != value and not (isinstance(own, dict) and own.get("id") == value):
            return False
    return True


# Tables


def rows(declared: Mapping[str, Any], table: Table, name: str | None) -> Iterator[Expansion | Problem]:
    """The sessions of a table, in the order of its rows; a problem in place of one that can't be made.

    ``declared`` is what ``from`` says; ``name`` is the pattern of names.
    """
    columns: Mapping[str, str] = declared.get("fields", {})
    patterns = {"key": declared["key"], **({} if name is None else {"name": name})}
    names = {field: _placeholders(text) for field, text in patterns.items()}
    names |= {field: [column] for field, column in columns.items()}
    for row in table.rows([column for found in names.values() for column in found]):
        if isinstance(row, Problem):
            yield row
            continue
        try:
            filled = {
                field: _fill(text, row.values, is_key=field == "key") for field, text in patterns.items()
            }
            key = filled.pop("key")
            fields: dict[str, Any] = {**filled, **_fields(columns, row)}
        except _FillError as error:
            yield row.problem(error.name, error.message, error.hint)
        else:
            yield Expansion(key, fields, {k: v for k, v in row.values.items() if k}, row, names)


def _fields(columns: Mapping[str, str], row: Row) -> dict[str, Any]:
    """The fields that a row gives. An empty cell of a CSV table gives none."""
    fields: dict[str, Any] = {}
    for path, column in columns.items():
        value = row.values.get(column, _NOTHING)
        if value is _NOTHING or (row.table.is_csv and value == ""):
            continue
        if row.table.is_csv and path.startswith("parameters."):
            value = _number(path, column, value)
        group, _, name = path.partition(".")
        if name:
            fields.setdefault(group, {})[name] = value
        else:
            fields[path] = value
    return fields


def _number(path: str, column: str, cell: str) -> float:
    """The number in a cell of a CSV table, by the rules of YAML.

    Raises:
        _FillError: it holds something else.
    """
    text = cell.strip(" ")
    value = read_number(text) if text else text
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        message = f'"{truncate(cell, 40)}" is not a number, but `{path}` requires one'
        raise _FillError(column, message, "write it in digits")
    raise _FillError(column, value.message, f"write a number that `{path}` can have")


# Patterns


def _placeholders(pattern: str) -> list[str]:
    return _PLACEHOLDER.findall(pattern)


def _fill(pattern: str, values: Mapping[str, JSON], *, is_key: bool) -> str:
    """A pattern with its placeholders filled in.

    Raises:
        _FillError: there is no such value, or it is not a string or a number, or is blank in a key.
    """

    def one(found: re.Match[str]) -> str:
        name = found[1]
        value = _value(name, values)
        what = f"`{{{truncate(name)}}}`"
        if value is _NOTHING:
            known = ", ".join(f"`{{{column}}}`" for column in values)
            raise _FillError(name, f"there is no value for {what} here", f"available: {truncate(known, 200)}")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _FillError(name, f"{what} is not a string or a number", "write one, or change the pattern")
        if is_key and isinstance(value, str) and is_blank(value):
            raise _FillError(name, f"the key needs a value for {what}, and this is empty", "write one")
        return str(value)

    return _PLACEHOLDER.sub(one, pattern)


def _value(placeholder: str, values: Mapping[str, JSON]) -> Any:
    """The value that a placeholder stands for, :data:`_NOTHING` if there is none."""
    value: Any = values.get(placeholder, _NOTHING)
    if value is not _NOTHING:
        return value
    name, _, field = placeholder.partition(".")
    value = values.get(name, _NOTHING)
    return value.get(field, _NOTHING) if field and isinstance(value, dict) else value


_NOTHING: Final = object()
