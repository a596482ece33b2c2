"""Reading and checking a contract file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.contract.check import check_contract
from reconciler.contract.types import (
    Contract,
    Learned,
    MessageShape,
    Operation,
    Service,
    SessionShape,
    Status,
)
from reconciler.errors import ReconcilerError
from reconciler.strict_yaml.document import Document, parse_document, read_document
from reconciler.values import JSON


@dataclass(frozen=True, slots=True)
class ContractFile:
    """A contract, the file that it was read from, and what that holds."""

    file: str
    contract: Contract
    document: JSON


def load_contract(path: Path | None = None) -> Contract:
    """Read a contract file, or the one that ships with the program.

    Raises:
        ReconcilerError: the file can't be read, is not strict YAML, or does not fit ``schemas/contract.schema.json``.
            All problems in the file are reported at once, with their places.
    """
    if path is None:
        return _builtin()
    return read_contract(path).contract


def read_contract(path: Path) -> ContractFile:
    """Read a contract file.

    Raises:
        ReconcilerError: as :func:`load_contract` does.
    """
    return check_contract_file(str(path), read_document(path, "the contract"))


def contract_from_json(file: str, content: JSON) -> ContractFile:
    """The contract whose content was kept as JSON.

    Raises:
        ReconcilerError: this version can't use it.
    """
    text = json.dumps(content, ensure_ascii=False)
    return check_contract_file(file, parse_document(file, text.encode("utf-8", "surrogatepass")))


def check_contract_file(file: str, document: Document) -> ContractFile:
    """The contract that a document holds.

    Raises:
        ReconcilerError: it holds none. All problems are reported at once, with their places.
    """
    problems = check_contract(document)
    if problems:
        raise ReconcilerError(problems)
    return ContractFile(file, _build(document.value), document.value)


@cache
def _builtin() -> Contract:
    return _build(read_document(Path(__file__).parent / "mindcraft.yaml", "the contract").value)


def _build(value: Any) -> Contract:
    document = _whole(value)
    service = dict(document.get("service", {}))
    service |= {name: Status(**service[name]) for name in ("not_found", "bad_request") if name in service}
    limit = service.get("remark_limit")
    operations = {
        name: _operation(name, facts, limit)
        for name, facts in document["operations"].items()
        if facts is not None
    }
    shape = document["session"]
    learned = document.get("learned")
    return Contract(
        name=document["name"],
        operations=operations,
        session=SessionShape(
            **{name: _steps(path) for name, path in shape.items() if name != "parameters"},
            parameters={name: _steps(path) for name, path in shape["parameters"].items()},
        ),
        message=MessageShape(**{name: _steps(path) for name, path in document.get("message", {}).items()}),
        service=Service(**service),
        learned=Learned(**{**learned, "partial": tuple(learned.get("partial", ()))}) if learned else None,
    )


def _operation(name: str, facts: Mapping[str, Any], remark_limit: int | None) -> Operation:
    given = {fact: value for fact, value in facts.items() if value is not None}
    given["ignores"] = frozenset(given.get("ignores", ()))
    if "answer_in" in given:
        given["answer_in"] = _steps(given["answer_in"]) if given["answer_in"] else ()
    return Operation(name=name, remark_limit=remark_limit if "remark" in facts["fields"] else None, **given)


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _whole(value: Any) -> Any:
    """The document with ``100.0`` as ``100``: JSON Schema takes both for an integer, a query string does not."""
    if isinstance(value, dict):
        return {key: _whole(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_whole(child) for child in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
