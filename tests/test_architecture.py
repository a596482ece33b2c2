"""``docs/architecture.md`` against the code: the packages, the arrows between them, and the size of the parts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CODE: Final = ROOT / "reconciler"
PAGE: Final = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

#: What keeps a function or a file readable without scrolling back and forth.
LONGEST_FUNCTION: Final = 60
LONGEST_FILE: Final = 500

#: Files that may be longer, each with its reason. One that is short enough again has to leave the list.
LONG_FILES: Final[Mapping[str, str]] = {}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, Path]:
    """Every module of the program by its dotted name; a package by the name of its folder."""
    found = {}
    for path in sorted(CODE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path) -> Iterator[str]:
    """The program's modules that a module imports, anywhere in the file.

    An import under ``TYPE_CHECKING`` counts: whoever reads the module has to know what is behind it. The version,
    which the root package defines itself, does not count: it is a constant and hides no module.
    """
    known = modules()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.partition(".")[0] == "reconciler")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative path, in line {node.lineno}"
            module = node.module or ""
            if module.partition(".")[0] != "reconciler":
                continue
            for one in node.names:
                inner = f"{module}.{one.name}"
                if inner in known:
                    yield inner
                elif module != "reconciler":
                    yield module


def package(module: str) -> str:
    """The package or the module at the top of ``reconciler/`` that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def arrows() -> set[tuple[str, str]]:
    """Which package imports which."""
    found = {
        (package(name), package(target)) for name, path in modules().items() for target in imports(name, path)
    }
    return {(one, other) for one, other in found if one != other}


def table() -> dict[str, set[str]]:
    """The packages that the page names, and what each of them may import."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*)\|$", PAGE, re.MULTILINE)
    found = {name: set(re.findall(r"`(\w+)`", allowed)) for name, allowed in rows}
    assert len(found) == len(rows), "a package has two rows"
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (the strongly connected components of more than one)."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        ahead = list(graph[start])
        while ahead:
            node = ahead.pop()
            if node not in seen:
                seen.add(node)
                ahead += graph.get(node, ())
        reached[start] = seen
    inside = [node for node in graph if node in reached[node]]
    return [
        list(group)
        for _, group in groupby(
            sorted(inside, key=lambda node: (sorted(reached[node] & set(inside)), node)),
            key=lambda node: sorted(reached[node] & set(inside)),
        )
    ]


def test_the_page_names_every_package() -> None:
    there = {
        path.stem
        for path in CODE.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert set(table()) == there


def test_no_import_goes_against_the_arrows() -> None:
    allowed = {(one, other) for one, others in table().items() for other in others}
    against = sorted(f"{one} → {other}" for one, other in arrows() - allowed)
    assert not against, "docs/architecture.md does not allow these imports"


def test_no_arrow_is_stale() -> None:
    allowed = {(one, other) for one, others in table().items() for other in others}
    stale = sorted(f"{one} → {other}" for one, other in allowed - arrows())
    assert not stale, "docs/architecture.md allows these, and no module imports so"


def test_no_package_imports_one_above_it() -> None:
    order = list(table())
    up = [
        f"{one} → {other}"
        for one, others in table().items()
        for other in others
        if order.index(other) <= order.index(one)
    ]
    assert not up, "the rows of docs/architecture.md go from the top to the bottom"


def test_nothing_but_the_version_is_imported_from_the_public_package() -> None:
    for name, path in modules().items():
        taken = {
            one.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom) and node.module == "reconciler"
            for one in node.names
        }
        assert {one for one in taken if f"reconciler.{one}" not in modules()} <= {"__version__"}, name


def test_no_import_circle() -> None:
    graph = {name: set(imports(name, path)) for name, path in modules().items()}
    assert circles(graph) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == [["b", "c"], ["d"]]


def test_a_command_imports_no_other_command() -> None:
    for name, path in modules().items():
        if name.startswith("reconciler.cli.commands."):
            others = [one for one in imports(name, path) if one.startswith("reconciler.cli.commands")]
            assert not others, f"{name}: what commands share stands in reconciler/cli"


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(CODE)): path.read_text(encoding="utf-8").count("\n")
        for path in modules().values()
    }
    too_long = {name: length for name, length in lengths.items() if length > LONGEST_FILE}
    assert set(too_long) == set(LONG_FILES), f"of at most {LONGEST_FILE} lines; longer are {too_long}"


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{path.relative_to(CODE)}: {name}": length
        for path in modules().values()
        for name, length in functions(tree(path))
    }
    too_long = {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}
    assert not too_long, f"of at most {LONGEST_FUNCTION} lines"


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Every function below a node, with the number of its lines."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, (child.end_lineno or child.lineno) - child.lineno + 1
        inner = getattr(child, "name", None) if isinstance(child, ast.ClassDef) else None
        yield from functions(child, f"{prefix}{inner}." if inner else prefix)


def test_the_page_names_files_that_are_there() -> None:
    named = set(re.findall(r"`((?:reconciler|schemas|tests|docs)/[\w./-]+)`", PAGE))
    assert len(named) > 20
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]
