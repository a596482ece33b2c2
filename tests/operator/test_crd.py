"""The resource definition on a real API server: accepted as it is, and of one mind with the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import ReconcilerError
from reconciler.operator.config_map import checked_items
from reconciler.watch_file import read_watch_file
from tests.operator.conftest import CATALOGS, documents, eventually
from tests.operator.plane import Plane
from tests.operator.table import PAGE, ROWS, Row, page
from tests.operator.test_config_map import RIGHT_PATHS, WRONG_PATHS

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.mark.parametrize("plural", ["personacatalogs", "personaplans"])
def test_the_definition_is_accepted_as_it_is(cluster: Plane, plural: str) -> None:
    def ready() -> bool:
        found = cluster.call("GET", f"{DEFINITIONS}/{plural}.reconciler.dev")["status"].get("conditions", [])
        states = {one["type"]: one["status"] for one in found}
        return states.get("Established") == "True" and "NonStructuralSchema" not in states

    eventually(ready)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.field)
def test_the_definition_and_the_command_line_refuse_the_same(
    row: Row, cluster: Plane, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """By the table, and by values that are derived from it."""
    judged = Judge(cluster, tmp_path, row)
    wrong: dict[str, str] = {}
    for value in row.accepted:
        wrong |= judged.differs(value, cluster=True, cli=True)
    for value in row.refused:
        wrong |= judged.differs(value, cluster=False, cli=False)
    for value in row.only_cli:
        wrong |= judged.differs(value, cluster=False, cli=True)
    for value in row.named:
        wrong |= judged.differs(value, cluster=True, cli=True)
    for value in row.generated(2_000 if pytestconfig.getoption("--full") else 60):
        wrong |= judged.agree(value)
    assert wrong == {}


def test_the_table_has_every_field() -> None:
    spec = documents("crd.yaml")[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert {row.field for row in ROWS} == set(leaves(spec))


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()  # else: python -m tests.operator.table


def leaves(schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """The fields that have a value, by their paths."""
    if schema["type"] == "object":
        for name, one in schema["properties"].items():
            yield from leaves(one, f"{at}.{name}".removeprefix("."))
    elif schema["type"] == "array":
        yield from leaves(schema["items"], f"{at}[]")
    else:
        yield at


class Judge:
    """Asks the API server and the command line about the values of a row."""

    def __init__(self, cluster: Plane, folder: Path, row: Row) -> None:
        self._cluster, self._file, self._row = cluster, folder / "watch.yaml", row

    def cluster(self, value: Any) -> bool:
        return accepted(self._cluster, "shop", self._row.spec(value))

    def counterpart(self, value: Any) -> bool | None:
        """What the command line says; for names and keys, what Kubernetes says of the Secret or the ConfigMap; None if
        there is nobody to ask."""
        document = self._row.watch(value)
        if document is not None:
            self._file.write_text(yaml.safe_dump(document))
            return accepted_by_cli(self._file)
        match self._row.field.rpartition(".")[2]:
            case "name":
                return self._takes({"metadata": {"name": value}})
            case "key":
                return self._takes({"metadata": {"name": "personas"}, "data": {value: "text"}})
            case "path":
                return accepted_as_item(value)
        return None

    def _takes(self, body: dict[str, Any]) -> bool:
        path = "/api/v1/namespaces/default/configmaps?dryRun=All"
        answer = self._cluster.send("POST", path, {"apiVersion": "v1", "kind": "ConfigMap", **body})
        assert answer.status_code in (201, 409, 422), answer.text
        return bool(answer.status_code != 422)

    def differs(self, value: Any, *, cluster: bool, cli: bool) -> dict[str, str]:
        """What is not as the table says."""
        found, other = self.cluster(value), self.counterpart(value)
        wrong = found is not cluster or (other is not None and other is not cli)
        return {repr(value): f"cluster: {found}, counterpart: {other}"} if wrong else {}

    def agree(self, value: str) -> dict[str, str]:
        found, other = self.cluster(value), self.counterpart(value)
        same = other is None or found is other or (self._row.strict and other)
        return {} if same else {repr(value): f"cluster: {found}, counterpart: {other}"}


def accepted_as_item(path: str) -> bool:
    try:
        checked_items(
            [{"key": "catalog.yaml", "path": "catalog.yaml"}, {"key": "sessions.yaml", "path": path}]
        )
    except ReconcilerError as error:
        return "hidden, or not below" not in str(error)
    return bool(path)


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"git": {"url": "https://git.example.com/a.git"}, "path": "a"},
        {"git": {"url": "/var/lib/reconciler"}},
        {"git": {"url": "file:///var/lib/reconciler"}},
        {"git": {"url": "https://token@git.example.com/a.git"}},
        {"git": {"url": "https://git.example.com/a.git", "ref": "--upload-pack=x"}},
        {"git": {"url": "https://git.example.com/a.git", "secretRef": {}}},
        {"git": {"url": "https://git.example.com/a.git", "secretRef": {"name": ""}}},
        {"path": "/etc"},
        {"path": "a", "configMapRef": {"name": "shop"}},
        {"configMapRef": {}},
        {"configMapRef": {"name": ""}},
        {"configMapRef": {"name": "shop", "items": []}},
        {"configMapRef": {"name": "shop", "items": [{"key": "all.yaml"}]}},
        {"configMapRef": {"name": "shop", "items": [{"key": "a/b", "path": "b"}]}},
        *({"configMapRef": {"name": "shop", "items": [{"key": "a", "path": path}]}} for path in WRONG_PATHS),
    ],
    ids=str,
)
def test_sources_that_are_refused(cluster: Plane, source: dict[str, Any]) -> None:
    assert not accepted(cluster, "shop", {"source": source})


@pytest.mark.parametrize(
    "source",
    [
        {"git": {"url": "ssh://git@git.example.com/a.git", "secretRef": {"name": "git"}}},
        {"configMapRef": {"name": "shop"}},
        {
            "configMapRef": {
                "name": "shop",
                "items": [{"key": "a.b_c-d", "path": path} for path in RIGHT_PATHS],
            }
        },
    ],
    ids=str,
)
def test_sources_that_are_accepted(cluster: Plane, source: dict[str, Any]) -> None:
    assert accepted(cluster, "shop", {"source": source})


def accepted(cluster: Plane, name: str, spec: dict[str, Any]) -> bool:
    body = {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "PersonaCatalog",
        "metadata": {"name": name},
        "spec": {"source": {"path": "shop"}, "accountRef": {"name": "account"}, **spec},
    }
    answer = cluster.send("POST", f"{CATALOGS}/default/personacatalogs?dryRun=All", body)
    assert answer.status_code in (201, 422), answer.text
    return bool(answer.status_code == 201)


def accepted_by_cli(file: Path) -> bool:
    try:
        read_watch_file(file, ".reconciler")
    except ReconcilerError as error:
        return "time zone" in str(error)  # which the schema can't know
    return True


def test_what_is_installed_is_accepted(cluster: Plane) -> None:
    for document in documents("deployment.yaml"):
        answer = cluster.create(document, "reconciler")
        assert answer.status_code == 201
        assert "Warning" not in answer.headers
