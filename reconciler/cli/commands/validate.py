"""``reconciler validate``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import CatalogFlags, catalog_argument, catalog_options, split
from reconciler.cli.output import format_option
from reconciler.cli.problems import print_problems
from reconciler.errors import CatalogError, ExitCode, Problem
from reconciler.text.printable_json import json_text

if TYPE_CHECKING:
    from reconciler.lint import Finding


@click.command()
@catalog_argument
@catalog_options
@click.option("--strict", is_flag=True, help="Exit with 1 when there are warnings.")
@format_option()
def command(catalog: Path, strict: bool, form: str, **flags: Any) -> int:
    """Check a catalog without contacting the service.

    Prints every error with its file, line and column, and exits with 1; or prints the number of sessions. Without
    --env, every environment that the catalog declares is checked. What is valid and nearly always a mistake, like an
    empty prompt, is a warning; `reconciler lint` has more rules, and says how to turn one off.
    """
    from reconciler.catalog import environments
    from reconciler.catalog.budget import ONE_BY_ONE, Budget
    from reconciler.catalog.load import open_root
    from reconciler.catalog.problems import MAX_PROBLEMS
    from reconciler.lint import MISTAKES, lint

    which = split(flags, CatalogFlags)
    names: list[str | None] = [which.env] if which.env else [*environments(catalog)] or [None]
    problems: dict[Problem, None] = {}  # an error in several environments is printed once
    found = []
    folder, budget = open_root(catalog), Budget(ONE_BY_ONE if len(names) > 1 else "")
    for name in names:
        if budget.is_spent or len(problems) >= MAX_PROBLEMS:
            break
        try:
            loaded = CatalogFlags(name, which.var).load(folder, budget)
        except CatalogError as error:
            problems |= dict.fromkeys(error.problems)
        else:
            tests = sum(map(len, loaded.tests.values()))
            found.append((loaded.name, name, len(loaded.sessions), tests))
    if problems:
        raise CatalogError(problems)
    findings = lint(catalog, which.env, dict(which.var), rules=MISTAKES).findings
    _show(found, findings, strict, form)
    return ExitCode.ERROR if strict and findings else ExitCode.OK


def _show(
    found: list[tuple[str, str | None, int, int]], findings: tuple[Finding, ...], strict: bool, form: str
) -> None:
    if form == "json":
        document = {
            "format_version": "1.2",
            "valid": [
                {"catalog": one, "environment": name, "sessions": count, "tests": tests}
                for one, name, count, tests in found
            ],
            "warnings": [
                {
                    "rule": finding.rule,
                    "message": finding.problem.message,
                    "hint": finding.problem.hint,
                    "file": finding.problem.file,
                    "line": finding.problem.line,
                    "column": finding.problem.column,
                }
                for finding in findings
            ],
        }
        click.echo(json_text(document), nl=False)
        return
    word = "error" if strict else "warning"
    print_problems(
        dataclasses.replace(one.problem, message=f"{word}: {one.problem.message} [{one.rule}]")
        for one in findings
    )
    warned = f", {len(findings)} {word}{'' if len(findings) == 1 else 's'}" if findings else ""
    for one, name, count, tests in found:
        scope = f"{one}@{name}" if name else one
        tested = f" and {tests} test{'' if tests == 1 else 's'}" if tests else ""
        click.echo(f"{scope}: {count} session{'' if count == 1 else 's'}{tested}, all valid{warned}.")
