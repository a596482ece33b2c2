"""The resource definition on a real API server: accepted as it is, and of one mind with the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import ReconcilerError
from reconciler.watch_file import read_watch_file
from tests.operator.conftest import CATALOGS, documents, eventually
from tests.operator.plane import Plane
from tests.operator.test_config_map import RIGHT_PATHS, WRONG_PATHS

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/personacatalogs.reconciler.dev"

DURATIONS = (
    "5m",
    "1h30m",
    "90s",
    "1s",
    "0h0m1s",
    "999999h",
    "0s",
    "0m",
    "5",
    "1.5h",
    "-5m",
    "5m30",
    "1d",
    "1m1h",
    "5M",
)
WINDOWS = (
    "09:00-17:00",
    "Mon-Fri 09:00-17:00 Asia/Shanghai",
    "mon-fri 09:00-17:00",
    "Mon,Wed,Fri-Sun 22:00-06:00 UTC",
    "00:00-24:00",
    "Mon 09:00-17:00",
    "24:00-01:00",
    "25:00-26:00",
    "09:60-10:00",
    "9:00-17:00",
    "09:00",
    "Foo 09:00-17:00",
    "Mon- 09:00-17:00",
    "Mon-Fri09:00-17:00",
    "always",
)
LIMITS = (
    "0",
    "10",
    "999999999",
    "1000000000",
    "5%",
    "5.5%",
    "100%",
    "0.123%",
    "0.1234%",
    "1.5",
    "-1",
    "abc",
    "%",
)
MODES = ("Observe", "Repair", "Approve", "Apply", "Destroy", "observed")
ENVIRONMENTS = ("prod", "eu-1.prod_2", "Prod", "-prod", "a" * 63, "a" * 64, "pro d")
CONFLICTS = ("overwrite", "keep-live", "fail", "ignore")

TABLE = [
    *(({"interval": one}, {"interval": one}) for one in DURATIONS),
    *(({"window": one}, {"window": one}) for one in WINDOWS),
    *(
        ({"policy": {"maxDeletes": one}}, {"limits": {"max_deletes": int(one) if one.isdigit() else one}})
        for one in LIMITS
    ),
    *(({"mode": one}, {"mode": one.lower()}) for one in MODES),
    *(({"environment": one}, {"environment": one}) for one in ENVIRONMENTS),
    *(({"policy": {"onConflict": one}}, {"limits": {"on_conflict": one}}) for one in CONFLICTS),
]


def test_the_definition_is_accepted_as_it_is(cluster: Plane) -> None:
    def ready() -> bool:
        found = cluster.call("GET", DEFINITION)["status"].get("conditions", [])
        states = {one["type"]: one["status"] for one in found}
        return states.get("Established") == "True" and "NonStructuralSchema" not in states

    eventually(ready)


def test_the_definition_and_the_command_line_refuse_the_same(cluster: Plane, tmp_path: Path) -> None:
    file = tmp_path / "watch.yaml"
    verdicts = {}
    for number, (spec, entry) in enumerate(TABLE):
        file.write_text(yaml.safe_dump({"version": 1, "catalogs": {"shop": {"folder": ".", **entry}}}))
        verdicts[str(spec)] = accepted(cluster, f"shop-{number}", spec), accepted_by_cli(file)
    assert {spec: both for spec, both in verdicts.items() if both[0] != both[1]} == {}
    assert {both[0] for both in verdicts.values()} == {True, False}


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
    except ReconcilerError:
        return False
    return True


def test_what_is_installed_is_accepted(cluster: Plane) -> None:
    for document in documents("deployment.yaml"):
        answer = cluster.create(document, "reconciler")
        assert answer.status_code == 201
        assert "Warning" not in answer.headers
