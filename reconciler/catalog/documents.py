"""The files of one catalog: read, decoded, parsed and checked against their schema, one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from reconciler.catalog.budget import Budget, Excess
from reconciler.catalog.check import SchemaName, check
from reconciler.catalog.files import LFS_POINTER, Root, TooManyEntriesError, UnreadableError
from reconciler.catalog.problems import Problems
from reconciler.catalog.unread import unread_manifests
from reconciler.errors import CatalogError, Problem
from reconciler.schemas import load_schema
from reconciler.strict_yaml.document import parse_document
from reconciler.strict_yaml.encoding import decode
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Places, Source
from reconciler.text.truncate import truncate
from reconciler.values import JSON

CATALOG_FILE: Final = "catalog.yaml"
DEFAULT_INCLUDE: Final = (
    "sessions/**/*.yaml",
    "sessions/**/*.yml",
    "tests/**/*.yaml",
    "tests/**/*.yml",
)

_HASH: Final = re.compile(rb" #[^ \t#]")
_HASH_AFTER_TAB: Final = re.compile(rb"\t#[^ \t#]")


def _is_suspect(data: bytes) -> bool:
    """Whether a file may hold what :mod:`reconciler.lint.slips` looks for in the text of files. Takes no time to
    speak of; never false where there is something."""
    return (
        b"<<<<<<<" in data
        or b">>>>>>>" in data
        or _HASH.search(data) is not None
        or data.startswith(LFS_POINTER.encode())
        or _HASH_AFTER_TAB.search(data) is not None
        or any(f"{end}：".encode() in data for end in "eltsakdnh")  # the last letters of the fields
    )


class Document(NamedTuple):
    """What could be read of a file. ``invalid`` holds the paths of the sessions, templates and fragments that do not
    fit the schema: nothing is built from them. ``fits`` says whether all of it does."""

    fields: dict[str, Any]
    invalid: frozenset[NodePath]
    source: Source
    fits: bool


class Documents:
    """Reads a catalog's files. Adds problems to ``problems``, and reads on."""

    def __init__(self, root: Root, problems: Problems, budget: Budget) -> None:
        self.root = root
        self._problems = problems
        self._budget = budget
        self._prompts: dict[str, str | None] = {}  # None: a file with a problem
        #: Whether some file may hold a slip: see :class:`reconciler.catalog.loaded.Loaded`.
        self.suspect = False

    def read(self, file: str, schema: SchemaName) -> Document:
        """A document, checked against the schema of this name; an empty one if the file can't be parsed."""
        try:
            data = self.root.read(file)
        except UnreadableError as error:
            self._problems.note(self._unreadable(file, error))
            return _nothing(Source(file, b"", ""))
        self.suspect = self.suspect or _is_suspect(data)
        self._read(file, data)
        document = parse_document(file, data)
        for problem in document.problems:
            self._problems.note(problem)
        if document.broken:
            return _nothing(document.source)
        source = document.source
        text = document.text * (1 if data.isascii() else 4)
        self.count(lambda message, hint: Problem(message, hint, file), text=text, values=document.values)
        places = {(problem.line, problem.column) for problem in document.problems}
        problems, invalid = check(document.value, schema, source)
        for problem in problems:
            if (problem.line, problem.column) not in places:  # the parser has reported that place already
                self._problems.note(problem)
        return Document(mapping(document.value), invalid, source, not (document.problems or problems))

    def manifests(self, include: JSON, exclude: JSON, source: Source) -> list[str]:
        """The manifests that catalog.yaml includes, sorted. A pattern of ``include`` has to match a file; the default
        ones and those of ``exclude`` do not. A manifest that is neither included nor excluded is a problem."""
        before = len(self._problems.found)
        given = DEFAULT_INCLUDE if include is None else include
        found = self._matching("include", given, source, needed=include is not None)
        excluded = self._matching("exclude", exclude, source, needed=False)
        if len(self._problems.found) == before:  # a broken pattern leaves open what is included
            try:
                for problem in unread_manifests(self.root, found | excluded | {CATALOG_FILE}):
                    self._problems.note(problem)
            except TooManyEntriesError as error:
                self._problems.stop(Problem(f"the folder {error.message}", error.hint, CATALOG_FILE))
        return sorted(found - excluded - {CATALOG_FILE})

    def _matching(self, field: str, patterns: JSON, source: Source, *, needed: bool) -> set[str]:
        """The files that the patterns of a field match."""
        found: set[str] = set()
        limits = load_schema("catalog")["properties"][field]
        given = patterns if isinstance(patterns, list | tuple) else []
        for number, pattern in enumerate(given[: limits["maxItems"]]):
            if not isinstance(pattern, str) or not 0 < len(pattern) <= limits["items"]["maxLength"]:
                continue  # reported by the schema
            place = (field, number)
            try:
                matched = self.root.expand(pattern)
            except UnreadableError as error:
                message = f"the pattern `{truncate(pattern)}` {error.message}"
                problem = source.at_value(place, message, error.hint)
                if isinstance(error, TooManyEntriesError):
                    self._problems.stop(problem)
                self._problems.note(problem)
                continue
            if not matched and needed:
                self._problems.note(
                    source.at_value(
                        place,
                        f"the pattern `{truncate(pattern)}` matches no file",
                        "check the spelling or remove the pattern; paths are relative to the folder of catalog.yaml",
                    )
                )
            found.update(matched)
        return found

    def prompt(self, path: str, source: Places, place: NodePath) -> str | None:
        """The text of a prompt's or table's file, which is read only once; ``None`` if there is a problem with it.

        Args:
            source: the document that names the file, at ``place``.
        """
        if path in self._prompts:
            return self._prompts[path]
        self._prompts[path] = None
        try:
            data = self.root.read(path)
        except UnreadableError as error:
            what = "table" if place[-2:] == ("from", "file") else "prompt file"
            message = f"the {what} `{truncate(path)}` {error.message}"
            self._problems.note(source.at_value(place, message, error.hint))
            return None
        self.suspect = self.suspect or _is_suspect(data)
        self._read(path, data)
        text = decode(path, data)
        if isinstance(text, Problem):
            self._problems.note(text)
            return None
        if "\0" in text:
            self._problems.note(
                Source(path, data, text).at(
                    text.index("\0"),
                    "this is a NUL character",
                    "remove it; if the file is UTF-16, save it as UTF-8",
                )
            )
            return None
        self._prompts[path] = text
        return text

    def count(
        self,
        problem: Callable[[str, str], Problem],
        *,
        text: int = 0,
        values: int = 0,
        sessions: int = 0,
        steps: int = 0,
    ) -> None:
        """Count towards the budget of the catalog. ``problem`` makes a problem, with its place, of a message and a
        hint.

        Raises:
            StoppedError: the budget is exceeded.
        """
        self._stop_at(problem, self._budget.add(text=text, values=values, sessions=sessions, steps=steps))

    def _read(self, file: str, data: bytes) -> None:
        self._stop_at(lambda message, hint: Problem(message, hint, file), self._budget.read(file, len(data)))

    def _stop_at(self, problem: Callable[[str, str], Problem], excess: Excess | None) -> None:
        if excess:
            self._problems.stop(problem(*excess))

    def again(self, file: str) -> Source | None:
        """A file that was read before; ``None`` if it was changed or removed in the meantime."""
        try:
            data, text = read_text(self.root, file)
        except CatalogError:
            return None
        return Source(file, data, text)

    def _unreadable(self, file: str, error: UnreadableError) -> Problem:
        if file == CATALOG_FILE and error.message == "does not exist":
            for other in ("catalog.yml", "catalog.json"):
                if self.root.has(other):
                    return Problem("there is no catalog.yaml here", f"rename {other} to catalog.yaml", file)
            return Problem(
                "there is no catalog.yaml here",
                "a catalog is a folder that contains this file; check the path of the folder",
                file,
            )
        return Problem(f"this file {error.message}", error.hint, file)


def read_text(root: Root, file: str) -> tuple[bytes, str]:
    """The bytes of a file, and its text without a byte order mark.

    Raises:
        CatalogError: it can't be read, or is not UTF-8.
    """
    try:
        data = root.read(file)
    except UnreadableError as error:
        raise CatalogError(Problem(f"this file {error.message}", error.hint, file)) from None
    text = decode(file, data)
    if isinstance(text, Problem):
        raise CatalogError(text)
    return data, text


def mapping(value: JSON) -> dict[str, Any]:
    """The value if it is a mapping, otherwise an empty mapping."""
    return value if isinstance(value, dict) else {}


def _nothing(source: Source) -> Document:
    return Document({}, frozenset(), source, False)
