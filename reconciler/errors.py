"""Errors as values with a place, and the exit codes that they lead to.

A :class:`Problem` says what is wrong, where, and what to do now. Everything that goes wrong for a reason
outside this program ends in a :class:`ReconcilerError`, which carries one or more problems; the command
line prints them and exits with the error's code. Any other exception is a bug in this program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """The exit codes, the same for every command."""

    OK = 0
    ERROR = 1
    CHANGES = 2  # --detailed-exitcode and drift: there are changes. No other case returns 2.
    REFUSED = 3  # a guard said no: policy, stale plan, conflict, missing approval
    PARTIAL = 4  # done in part; the output says what was not done
    TESTS_FAILED = 5  # `reconciler test`: some test fails
    USAGE = 64
    INTERRUPTED = 130


#: The hint where this program can't say what is wrong.
REPORT: Final = "this is a bug in reconciler: please report it, with these lines and what they refer to"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    ``message`` says what, ``hint`` what to do now. ``file`` is relative to the catalog's root where it lies
    in it; ``line`` and ``column`` count from 1; ``source`` is the offending line without its line end.
    All texts are raw: whoever prints them escapes them for the place where they are printed.
    """

    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    source: str = ""

    @property
    def place(self) -> str:
        """``file:line:column`` with the parts that are known, or an empty text."""
        if not self.file:
            return ""
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column or 1}"

    @property
    def order(self) -> tuple[str, int, int, str]:
        """Sort key: by file, then line."""
        return (self.file, self.line, self.column, self.message)


class ReconcilerError(Exception):
    """Something went wrong for a reason outside this program. Never shown as a traceback."""

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, problems: str | Problem | Iterable[Problem], hint: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(problems, hint)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(p.message for p in self.problems))


class CatalogError(ReconcilerError):
    """The catalog can't be loaded. Carries all of its problems, sorted by file and line."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(sorted(found, key=lambda p: p.order))


class UsageError(ReconcilerError):
    """The command was called in a way that makes no sense."""

    exit_code = ExitCode.USAGE


class Refused(ReconcilerError):  # noqa: N818 - a refusal is no error of anybody's
    """A guard said no."""

    exit_code = ExitCode.REFUSED
