"""Tables: CSV with a header, or one JSON object a line. Rows come with the places of their cells.

A row that can't be read is a problem in place of the row; the others are read on. Blank rows are skipped.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from reconciler.catalog.files import FETCH, LFS_POINTER
from reconciler.disk import MAX_FILE
from reconciler.errors import Problem
from reconciler.strict_yaml.faults import MAX_DEPTH, TOO_DEEP
from reconciler.strict_yaml.places import Source
from reconciler.strict_yaml.scalars import MAX_DIGITS
from reconciler.text.nearest import nearest
from reconciler.text.truncate import truncate
from reconciler.values import JSON, nested_deeper

#: How many rows a table may have.
MAX_ROWS: Final = 100_000

_LINE_END = re.compile(r"\r\n|\r|\n")
_SPACE = re.compile(r"[ \t\r\n]*")
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its values by column, and the index of its first character."""

    table: Table
    start: int
    values: dict[str, JSON]

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.table.file}:{self.table.line(self.start)}"

    def problem(self, column: str | None, message: str, hint: str) -> Problem:
        """A problem with the cell in this column, or that a placeholder names; with the whole row if it has none."""
        if column is not None and column not in self.values:
            column = column.partition(".")[0]
        return self.table.problem(self.start, column, message, hint)


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the fields that a row fills in come from: ``columns`` has the column of each, by its path. It does not
    hold the row itself, which may be much larger."""

    table: Table
    start: int
    columns: Mapping[str, str]

    def place(self, path: str) -> Problem | None:
        """The place of a field's cell, as a problem; None if no cell fills it in."""
        column = self.columns.get(path)
        return None if column is None else self.table.problem(self.start, column, "", "")


class _RowError(Exception):
    """A row can't be read. ``at`` is the index of a character in its line."""

    def __init__(self, at: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.at, self.message, self.hint = at, message, hint


class Table:
    """One table."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.is_csv = file.endswith(".csv")
        self.text = text
        self._source = Source(file, text.encode("utf-8", "surrogatepass"), text)
        self._header: Sequence[str] = ()

    def rows(self, needed: Collection[str]) -> Iterator[Row | Problem]:
        """All rows, in their order. ``needed`` are the columns that a header must have."""
        if self.text.startswith(LFS_POINTER):
            yield self._source.at(0, "this is a pointer of Git LFS, and not the table itself", FETCH)
            return
        count = 0
        before = 0
        for row in self._csv(needed) if self.is_csv else self._jsonl():
            before += 1
            if isinstance(row, Row):
                count += 1
                if count > MAX_ROWS:
                    yield row.problem(None, f"this table has more than {MAX_ROWS:,} rows", "split the table")
                    return
            yield row
        if not before:
            what = "has no rows below its header" if self._header else "is empty"
            yield self._source.at(0, f"this table {what}", "add a row, or remove the session that reads it")

    def line(self, index: int) -> int:
        """The number of a character's line, from 1."""
        return self._source.line(index)

    def problem(self, start: int, column: str | None, message: str, hint: str) -> Problem:
        """A problem with a cell of the row that begins at ``start``."""
        at = start
        if column is not None and self.is_csv and column in self._header:
            at = _cell_start(self.text, start, self._header.index(column))
        elif column is not None and not self.is_csv:
            at = _value_start(self.text, start, column)
        return self._source.at(at, message, hint)

    def _csv(self, needed: Collection[str]) -> Iterator[Row | Problem]:
        """The first row that is not blank names the columns."""
        csv.field_size_limit(MAX_FILE)  # a cell may hold a whole prompt; the default is 128 KiB
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        starts = [0, *(found.end() for found in _LINE_END.finditer(self.text))]
        self._header = ()
        begins = 0
        try:
            for cells in reader:
                begins, start = reader.line_num, starts[begins]
                if not any(cell.strip() for cell in cells):
                    continue  # spreadsheets write such rows below the last one
                if not self._header:
                    self._header = cells
                    problems = list(self._header_problems(start, needed))
                    yield from problems
                    if problems:
                        return
                elif len(cells) != len(self._header):
                    yield self._source.at(
                        start,
                        f"this row has {len(cells)} cell{'' if len(cells) == 1 else 's'},"
                        f" and the header {len(self._header)}",
                        "quote cells that contain a comma",
                    )
                else:
                    yield Row(self, start, dict(zip(self._header, cells, strict=True)))
        except csv.Error as error:
            yield self._source.at(
                starts[max(0, reader.line_num - 1)],
                f"this is not valid CSV: {error}",
                "quote cells that contain a comma, a quote or a line break",
            )

    def _header_problems(self, start: int, needed: Collection[str]) -> Iterator[Problem]:
        header = self._header
        for number, column in _repeated(header):
            if column:  # columns without a name are not used
                at = _cell_start(self.text, start, number)
                message = f"the column `{truncate(column)}` is there twice"
                yield self._source.at(at, message, "rename or remove one of the two")
        known = frozenset(header)
        missing = [column for column in dict.fromkeys(needed) if column not in known]
        if missing and len(header) == 1 and (";" in header[0] or "\t" in header[0]):
            mark = "semicolons" if ";" in header[0] else "tabs"
            yield self._source.at(
                start, f"this table is separated by {mark}", "save it with commas between the cells"
            )
            return
        for column in missing:
            close = nearest(column, header)
            yield self._source.at(
                start,
                f"there is no column `{truncate(column)}`",
                f"did you mean `{close}`?"
                if close
                else f"the columns are {truncate(', '.join(filter(None, header)), 200)}",
            )

    def _jsonl(self) -> Iterator[Row | Problem]:
        start = 0
        for line in self.text.split("\n"):
            if line.strip():
                try:
                    yield Row(self, start, _read_object(line))
                except _RowError as error:
                    yield self._source.at(start + error.at, error.message, error.hint)
            start += len(line) + 1


def _cell_start(text: str, start: int, cell: int) -> int:
    """Where a cell of the row that begins at ``start`` begins in the text of a CSV table."""
    quoted = False
    for at in range(start, len(text) if cell else start):
        if text[at] == '"':
            quoted = not quoted
        elif text[at] == "," and not quoted:
            cell -= 1
            if not cell:
                return at + 1
    return start


def _value_start(text: str, start: int, column: str) -> int:
    """Where the value of a key of the JSON object that begins at ``start`` begins; ``start`` if it has no such key."""
    read = json.JSONDecoder().raw_decode
    at = _skip(text, _skip(text, start) + 1)
    while text[at] != "}":
        key, at = read(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == column:
            return at
        at = _skip(text, read(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
    return start


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _read_object(line: str) -> dict[str, JSON]:
    """The JSON object in a line, by the rules of the strict YAML reader.

    Raises:
        _RowError: there is none, or something in it has more than one meaning, or is no JSON.
    """

    def constant(name: str) -> NoReturn:
        raise _RowError(line.find(name), f"`{name}` is not a number in JSON", "write a number or null")

    def number(text: str) -> float:
        value = float(text)
        if value - value != 0:
            raise _RowError(
                line.find(text), "this number is too large for a 64-bit float", "write a smaller one"
            )
        return value

    def integer(text: str) -> int:
        if len(text) > MAX_DIGITS:
            message = f"this integer has {len(text.lstrip('-')):,} digits; the maximum is {MAX_DIGITS:,}"
            raise _RowError(line.find(text), message, "put it in quotes if it is a string")
        return int(text)

    try:
        row = json.loads(
            line,
            object_pairs_hook=lambda found: _mapping(line, found),
            parse_constant=constant,
            parse_float=number,
            parse_int=integer,
        )
    except json.JSONDecodeError as error:
        at = min(error.pos, len(line.rstrip()))
        raise _RowError(at, "from here, this is not valid JSON", "write one object per line") from None
    except RecursionError:
        raise _RowError(0, *TOO_DEEP) from None
    if not isinstance(row, dict):
        raise _RowError(0, "this line is not a JSON object", "write one object per line")
    if nested_deeper(row, MAX_DEPTH):
        raise _RowError(0, *TOO_DEEP)
    if "\\u" in line:  # only an escape can make what the file itself can't contain
        for column, value in row.items():
            for text in (column, *_strings(value)):
                found = _NO_CHARACTER.search(text)
                if found:
                    nul = found.group() == "\0"
                    what = "a NUL character" if nul else "a lone surrogate, half of a character"
                    raise _RowError(
                        _value_start(line, 0, column), f"this contains {what}", "remove its escape"
                    )
    return row


def _repeated(names: Sequence[str]) -> list[tuple[int, str]]:
    """The names that were there before, with their indexes."""
    seen: set[str] = set()
    found = []
    for number, name in enumerate(names):
        if name in seen:
            found.append((number, name))
        seen.add(name)
    return found


def _mapping(line: str, found: list[tuple[str, JSON]]) -> dict[str, JSON]:
    """A JSON object of these pairs, each key once."""
    made = dict(found)
    if len(made) == len(found):
        return made
    again = _repeated([key for key, _ in found])[0][1]
    places = [one.start() for one in re.finditer(re.escape(json.dumps(again, ensure_ascii=False)), line)]
    raise _RowError(
        places[1] if len(places) > 1 else 0,
        f"the key `{truncate(again)}` is used twice in this object",
        "rename or remove one of the two",
    )


def _strings(value: JSON) -> Iterator[str]:
    """All strings in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
