"""``reconciler lint``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from reconciler.cli.options import CatalogFlags, catalog_argument, catalog_options, split
from reconciler.cli.output import format_option
from reconciler.errors import ExitCode


@click.command()
@catalog_argument
@catalog_options
@click.option(
    "--models",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Check models against this list, which `reconciler models --out=FILE` wrote. Default: the list at release.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["info", "warning", "error"]),
    default="error",
    show_default=True,
    help="Exit with 1 when a finding has at least this severity.",
)
@click.option(
    "--prefix",
    default="",
    metavar="FOLDER",
    help="With sarif: the catalog's folder, relative to the top of the repository.",
)
@click.option("--rules", is_flag=True, help="List the rules and their default severities.")
@format_option("text", "json", "sarif")
def command(
    catalog: Path,
    models: Path | None,
    fail_on: Literal["info", "warning", "error"],
    prefix: str,
    rules: bool,
    form: str,
    **flags: Any,
) -> int:
    """Report what is valid in a catalog and probably a mistake. Does not contact the service.

    The block `lint:` in catalog.yaml sets the severity of a rule, and a comment `# reconciler: ignore RULE -- reason`
    suppresses a finding. Without --env, every environment that the catalog declares is checked.
    """
    from reconciler.language_models import read_models
    from reconciler.lint import RULES, lint, report_to_document
    from reconciler.render.findings import findings_as_sarif, findings_as_text
    from reconciler.text.printable_json import json_text

    if rules:
        width = max(map(len, RULES))
        for rule in RULES.values():
            click.echo(f"{rule.name:<{width}}  {rule.severity:<7}  {rule.finds}")
        return ExitCode.OK
    which = split(flags, CatalogFlags)
    report = lint(catalog, which.env, dict(which.var), read_models(models) if models else None)
    document = report_to_document(report)
    if form == "json":
        text = json_text(document)
    elif form == "sarif":
        text = json_text(findings_as_sarif(document, f"{prefix.rstrip('/')}/" if prefix else ""))
    else:
        text = findings_as_text(document)
    click.echo(text, nl=False)
    return ExitCode.ERROR if report.reaches(fail_on) else ExitCode.OK
