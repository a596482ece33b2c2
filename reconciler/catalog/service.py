"""What a catalog says of the service: the contract that describes it, and the address that it has to have.

The address is only ever compared. A catalog is untrusted, so no key is sent to an address from it. Its contract can
only name paths on the address that was given otherwise; and what reads has to be a GET, so that a plan of a pull
request changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from reconciler.address import check_address
from reconciler.catalog.documents import CATALOG_FILE, mapping
from reconciler.catalog.files import Root, UnreadableError
from reconciler.contract import check_contract_file
from reconciler.domain import ServiceFacts
from reconciler.errors import Problem, ReconcilerError
from reconciler.strict_yaml.document import Document, parse_document
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.text.truncate import truncate

_READING: Final = ("list_sessions", "get_session", "list_messages", "list_models")


def service_facts(
    head: Mapping[str, Any],
    environment: str | None,
    source: Source,
    root: Root,
    note: Callable[[Problem], None],
    unwritten: str = "",
) -> ServiceFacts:
    """What catalog.yaml says of the service in an environment; what is wrong with it is noted. A contract that is
    ``unwritten`` so far is left out."""
    expected, place = _given(head, environment, "expect_endpoint")
    if expected is not None:
        try:
            expected = check_address(expected)
        except ReconcilerError as error:
            problem = error.problems[0]
            note(source.at_value(place, f"`expect_endpoint`: {problem.message}", problem.hint))
            expected = None
    path, place = _given(head, environment, "contract")
    contract = None
    if path is not None and path != unwritten:
        try:
            document = parse_document(path, root.read(path))
            contract = check_contract_file(path, document)
        except UnreadableError as error:
            note(source.at_value(place, f"the contract `{truncate(path)}` {error.message}", error.hint))
        except ReconcilerError as error:
            for problem in error.problems:
                note(problem)
        else:
            for problem in _reads_that_write(document):
                note(problem)
    return ServiceFacts(environment, expected, contract)


def _given(head: Mapping[str, Any], environment: str | None, field: str) -> tuple[str | None, NodePath]:
    """A field of the environment, else of the catalog, and its place."""
    own = mapping(mapping(head.get("environments")).get(environment or "")).get(field)
    if isinstance(own, str):
        return own, ("environments", environment or "", field)
    of_all = head.get(field)
    return (of_all if isinstance(of_all, str) else None), (field,)


def _reads_that_write(document: Document) -> Iterator[Problem]:
    operations = mapping(mapping(document.value).get("operations"))
    for name in _READING:
        method = mapping(operations.get(name)).get("method", "GET")
        if method != "GET":
            yield document.source.at_value(
                ("operations", name, "method"),
                f"`operations.{name}.method` is {method}; a contract that {CATALOG_FILE} names may only read with GET",
                "if the service needs it, give this contract with --contract instead",
            )
