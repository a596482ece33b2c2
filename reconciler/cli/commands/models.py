"""``reconciler models``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.api.endpoint import endpoint_name
from reconciler.cli.connect import Connection, connect, connection_for
from reconciler.cli.options import (
    OutPath,
    catalog_argument,
    connection_options,
    environment_option,
    state_option,
)
from reconciler.cli.output import format_option
from reconciler.cli.sections import SectionedCommand
from reconciler.disk import write_out
from reconciler.errors import ReconcilerError
from reconciler.state import FOLDER
from reconciler.text.timestamps import write_timestamp

if TYPE_CHECKING:
    from reconciler.language_models import Models


def account_models(connection: Connection, state: Path) -> Models:
    """The models that the account offers, as of now.

    Raises:
        ReconcilerError: they can't be read.
    """
    from reconciler.language_models import offered

    with connect(connection, state) as client:
        taken = write_timestamp(datetime.now(UTC))
        return offered(client.read("list_models", {}), f"the models of {client.endpoint.name}", taken)


@click.command(cls=SectionedCommand)
@catalog_argument
@environment_option
@connection_options
@state_option
@click.option(
    "--known",
    is_flag=True,
    help="List the models known when this version was released. Needs no key and no service.",
)
@click.option(
    "--out",
    type=OutPath(),
    envvar="RECONCILER_MODELS_OUT",
    show_envvar=True,
    help="Also write the list to this file, for `reconciler lint --models=FILE`.",
)
@format_option("text", "json")
def command(
    catalog: Path,
    env: str | None,
    known: bool,
    out: Path | None,
    form: str,
    state_dir: Path | None,
    **flags: Any,
) -> None:
    """List the models that the account offers.

    The service does not state context lengths and temperature ranges; these are the ones known at release.
    """
    from reconciler.language_models import models_document, shipped
    from reconciler.text.escape import terminal
    from reconciler.text.printable_json import json_text

    if known:
        models, endpoint = shipped(), ""
    else:
        connection = connection_for(flags, catalog, env)
        models = account_models(connection, state_dir or catalog / FOLDER)
        endpoint = endpoint_name(connection.endpoint)
    document = models_document(models, endpoint)
    if out is not None:
        try:
            write_out(out, json.dumps(document, indent=1) + "\n", mode=0o644)
        except OSError as error:
            raise ReconcilerError(
                f"the list can't be written to {out}: {error.strerror}", "name another file with --out"
            ) from None
    if form == "json":
        click.echo(json_text(document), nl=False)
        return
    count = len(models.models)
    said = f"{count} model{'' if count == 1 else 's'}"
    where = (
        f"known at release, {models.date}: what the account offers may differ" if known else f"on {endpoint}"
    )
    lines = [f"{said} {where}"]
    width = max((len(terminal(name)) for name in models.models), default=0)
    for model in models.models.values():
        facts = []
        if model.context is not None:
            facts.append(f"reads {model.context:,} tokens")
        if model.temperature is not None:
            facts.append(f"temperature {model.temperature[0]:g} to {model.temperature[1]:g}")
        lines.append(f"  {terminal(model.name):<{width}}  {', '.join(facts)}".rstrip())
    if out is not None:
        lines.append(f"Written to {terminal(str(out))}.")
    click.echo("\n".join(lines))
