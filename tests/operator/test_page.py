"""``docs/operator.md`` and ``deploy/kubernetes`` against the code. Needs no control plane."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from reconciler.operator.conditions import REASONS
from reconciler.operator.reporting import EVENTS, NOT_STORED
from tests.operator.conftest import documents

PAGE = (Path(__file__).parents[2] / "docs" / "operator.md").read_text(encoding="utf-8")


def test_the_page_has_the_reasons() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert [(kind, reason, f"{status}: {when}") for kind, reason, status, when in rows] == [
        (kind, reason, text) for kind, reasons in REASONS.items() for reason, text in reasons.items()
    ]


def test_the_page_names_the_events() -> None:
    others = (NOT_STORED, "Removed", "Orphaned", "RemovalBlocked", "Forbidden")
    assert all(f"`{reason}`" in PAGE for reason in (*(reason for _, reason in EVENTS.values()), *others))


def test_the_page_lists_the_fields_of_the_spec() -> None:
    (version,) = documents("crd.yaml")[0]["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    table = PAGE[PAGE.index("| field of `spec` |") : PAGE.index("The API server refuses")]
    named = {
        name.partition(".")[0]
        for cell in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
        for name in re.findall(r"`([\w.]+)`", cell)
    }
    assert named - {"field"} == set(spec)


def test_the_page_lists_the_rights() -> None:
    rules = [rule for one in documents("rbac.yaml") for rule in one.get("rules", [])]
    table = PAGE[PAGE.index("| resource | verbs |") : PAGE.index("To restrict it")]
    for rule in rules:
        row = next(line for line in table.splitlines() if line.startswith(f"| `{rule['resources'][0]}`"))
        assert all(verb in row for verb in rule["verbs"])


def test_without_its_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "kopf.py").write_text("raise ModuleNotFoundError('kopf')\n")
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "operator"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "the operator needs the extra `operator`, which is not installed" in done.stderr
    assert "pip install 'persona-reconciler[operator]'" in done.stderr


def test_without_a_cluster_the_command_says_how_to_name_one(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "operator"],
        env={**env, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "there is no cluster to connect to" in done.stderr
    assert "Traceback" not in done.stderr
