"""``docs/python-api.md`` names the whole public API, and its examples run."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "python-api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def imported(code: str) -> dict[str, set[str]]:
    """The modules that a piece of code imports from, and what from each."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            found.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, set())
    return found


def test_the_page_names_all_that_is_public_and_nothing_else() -> None:
    named = set(re.findall(r"^\| `(\w+)", PAGE, re.MULTILINE))
    assert named | {"__version__"} == set(reconciler.__all__)


def test_all_that_the_page_shows_is_imported_from_the_package_itself() -> None:
    shown: set[str] = set()
    for block in BLOCKS:
        for module, names in imported(block).items():
            assert not module.startswith("reconciler."), f"{module} is internal"
            if module == "reconciler":
                shown |= names
    assert shown <= set(reconciler.__all__)
    assert {"load_catalog", "make_plan", "apply_plan"} <= shown


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(REPOSITORY / "examples" / "bookshop", tmp_path / "examples" / "bookshop")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"docs/python-api.md, example {number}", "exec"), names)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_no_page_imports_what_is_internal(page: Path) -> None:
    for block in re.findall(
        r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        assert [module for module in imported(block) if module.startswith("reconciler.")] == []


def test_every_public_name_is_there() -> None:
    assert sorted(reconciler.__all__) == dir(reconciler)
    homes = {getattr(reconciler, name).__module__ for name in reconciler.__all__ if name != "__version__"}
    assert all(home.startswith("reconciler.") for home in homes)
    with pytest.raises(AttributeError, match=r"^module 'reconciler' has no attribute 'nothing'$"):
        _ = reconciler.nothing


def test_type_checkers_see_what_is_exported() -> None:
    source = Path(reconciler.__file__ or "").read_text(encoding="utf-8")
    declared = {
        alias.asname
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert declared | {"__version__"} == set(reconciler.__all__)


def test_nothing_is_imported_before_it_is_used() -> None:
    code = """
import sys
import reconciler
print([name for name in sys.modules if name.startswith("reconciler.") or name in ("yaml", "requests")])
reconciler.Problem
print([name for name in sys.modules if name.startswith("reconciler.") or name in ("yaml", "requests")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n['reconciler.errors']\n", "")
