"""``reconciler server``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import catalog_argument, contract_option
from reconciler.cli.sections import SectionedCommand, option_in
from reconciler.server.quirks import learned_quirks, parse_quirks, quirk_help

if TYPE_CHECKING:
    from reconciler.server.log import LoggedRequest

_testing = option_in("For testing")


class _Command(SectionedCommand):
    """A command whose help ends with the quirks."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Quirks"):
            formatter.write_dl(quirk_help())


def _quirks(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    try:
        parse_quirks(values)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None
    return values


@click.command(cls=_Command)
@catalog_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8421,
    show_default=True,
    help="The port to listen on; 0 picks a free one.",
)
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The database file. Default: CATALOG/.reconciler/local.db, which `--endpoint local` uses, too.",
)
@contract_option
@click.option(
    "--require-key",
    "require_keys",
    multiple=True,
    metavar="KEY",
    help="Answer 401 or 403 to requests without this API key. Repeatable: each key has an account of its own. On "
    "the command line, other users of the machine can read it: prefer --require-key-file.",
)
@click.option(
    "--require-key-file",
    "require_key_files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file that holds the key of --require-key. Repeatable.",
)
@_testing(
    "--latency",
    type=click.FloatRange(0, 3_600_000),
    default=0.0,
    metavar="MS",
    help="Delay every response by this many milliseconds.",
)
@_testing(
    "--quirk",
    "quirks",
    multiple=True,
    metavar="NAME[=VALUE]",
    callback=_quirks,
    help="Behave as some services do: see the list below. Repeatable.",
)
@_testing(
    "--faults",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A YAML file of faults to inject: see docs/server.md.",
)
@_testing(
    "--chat-script",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A YAML file of answers to chat calls: see docs/server.md. Default: an echo of the question.",
)
@click.option("--verbose", is_flag=True, help="Print a line to stderr for each request.")
def command(
    catalog: Path,
    db: Path | None,
    require_keys: Sequence[str],
    require_key_files: Sequence[Path],
    **flags: Any,
) -> None:
    """Run the embedded server over CATALOG until Ctrl-C.

    It serves the session API, keeps its data in an SQLite file, and shows the sessions on a page for the browser.
    """
    from reconciler.api.endpoint import api_key
    from reconciler.state import FOLDER, open_state

    keys = [*require_keys, *(api_key(file)[0] for file in require_key_files)]
    serve(db if db is not None else open_state(catalog / FOLDER) / "local.db", require_keys=keys, **flags)


def serve(
    db: Path,
    *,
    host: str,
    port: int,
    contract: Path | None,
    require_keys: Sequence[str],
    latency: float,
    quirks: Sequence[str],
    faults: Path | None,
    chat_script: Path | None,
    verbose: bool,
) -> None:
    """Serve a database file until SIGINT or SIGTERM. ``latency`` is in milliseconds.

    Raises:
        ReconcilerError: the database, the address, the contract or the faults can't be used.
    """
    from reconciler.contract import load_contract
    from reconciler.server.chat import read_script
    from reconciler.server.faults import load_faults
    from reconciler.server.operations import served_operations
    from reconciler.server.run import running_server
    from reconciler.text.hosts import is_loopback

    api = load_contract(contract)
    played = parse_quirks(quirks, learned_quirks(api))
    script = read_script(chat_script) if chat_script is not None else ()
    rules = load_faults(faults, served_operations(api, played)) if faults is not None else []
    with running_server(
        db,
        contract=api,
        quirks=played,
        host=host,
        port=port,
        require_key=require_keys,
        latency=latency / 1000,
        keep_log=False,
        script=script,
    ) as server:
        for rule in rules:
            server.faults.add(rule)
        if verbose:
            server.done.append(_tell)
        if not is_loopback(host) and not require_keys:
            click.echo(
                f"warning: everyone who can reach {host} can read and change these sessions; "
                "--require-key-file FILE protects them",
                err=True,
            )
        with _signals() as wait:
            click.echo(f"Serving {db} at {server.url} (Ctrl-C ends it)")
            wait()


@contextmanager
def _signals() -> Iterator[Callable[[], object]]:
    """Handle the signals that end a server. Yields a function that waits for one. A second signal ends at once."""
    ended = threading.Event()
    previous: dict[signal.Signals, Any] = {}

    def end(number: int, frame: object) -> None:
        ended.set()
        for one, handler in previous.items():
            signal.signal(one, handler)

    for one in (signal.SIGINT, signal.SIGTERM):
        previous[one] = signal.signal(one, end)
    try:
        yield ended.wait
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


def _tell(entry: LoggedRequest) -> None:
    from reconciler.text.escape import terminal

    outcome = entry.fate if entry.status is None else str(entry.status)
    fault = f" ({entry.fault})" if entry.fault else ""
    click.echo(terminal(f"{entry.method} {entry.path} {entry.operation or '-'} {outcome}{fault}"), err=True)
