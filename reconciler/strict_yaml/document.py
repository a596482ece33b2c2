"""From the bytes of one YAML file to its document, and the problems in it with their places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.disk import MAX_FILE, read_named
from reconciler.errors import Problem, ReconcilerError
from reconciler.strict_yaml.encoding import decode
from reconciler.strict_yaml.faults import Fault
from reconciler.strict_yaml.places import Source
from reconciler.strict_yaml.read import parse
from reconciler.values import JSON


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says.

    ``value`` is what could be parsed despite ``problems``. A ``broken`` file is not YAML, and has no value.
    ``values`` counts mappings, lists, keys and scalars, with every alias expanded; ``text`` counts the characters that
    expanding the aliases adds.
    """

    value: JSON
    source: Source
    problems: tuple[Problem, ...] = ()
    broken: bool = False
    values: int = 0
    text: int = 0


def read_document(path: Path, what: str) -> Document:
    """Read one YAML file by the strict rules. ``what`` names it in the error: ``the contract``.

    Raises:
        ReconcilerError: the file can't be read. What is wrong with its contents is in ``problems``.
    """
    try:
        data = read_named(path, MAX_FILE)
    except OSError as error:
        raise ReconcilerError(f"{what} {path} can't be read: {error.strerror}") from None
    return parse_document(str(path), data)


def parse_document(file: str, data: bytes) -> Document:
    """Read the contents of a YAML file by the strict rules. ``file`` names it in problems."""
    text = decode(file, data)
    if isinstance(text, Problem):
        return Document(None, Source(file, b"", ""), (text,), broken=True)
    source = Source(file, data, text)
    parsed = parse(data, text)
    problems = tuple(_problem(source, fault) for fault in parsed.faults)
    return Document(parsed.document, source, problems, parsed.broken, parsed.values, parsed.text)


def _problem(source: Source, fault: Fault) -> Problem:
    message = fault.message
    if fault.repeated and (line := source.first(fault.at)):
        message += f", first in line {line}"
    return source.at(fault.at, message, fault.hint)
