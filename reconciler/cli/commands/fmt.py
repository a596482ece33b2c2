"""``reconciler fmt``."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import click

from reconciler.cli.options import catalog_argument, variables_option
from reconciler.errors import ExitCode


@click.command()
@catalog_argument
@variables_option
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when a file is not formatted.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def command(catalog: Path, check: bool, diff: bool, var: tuple[tuple[str, str], ...]) -> int:
    """Format a catalog's manifests: fields in order, prompts as blocks, no trailing white space.

    Comments, anchors and quoting stay, and the catalog's meaning never changes. Lists the files that were changed, or
    would be with --check.
    """
    from reconciler.catalog.format import formatted, write_formatted
    from reconciler.text.escape import terminal

    changed = formatted(catalog, dict(var))
    if not check and not diff:
        write_formatted(catalog, changed)
    for one in changed:
        if not diff:
            click.echo(terminal(one.name))
            continue
        before, after = one.before.splitlines(), one.after.splitlines()
        for line in unified_diff(before, after, f"a/{one.name}", f"b/{one.name}", lineterm=""):
            click.echo(terminal(line))
    return ExitCode.ERROR if check and changed else ExitCode.OK
