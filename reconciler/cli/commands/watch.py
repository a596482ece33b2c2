"""``reconciler watch``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from reconciler.cli.connect import Connection
from reconciler.cli.options import (
    CatalogFlags,
    connection_options,
    environment_option,
    limit_options,
    split,
    state_option,
    variables_option,
)
from reconciler.cli.run_plan import settle_option
from reconciler.cli.sections import SectionedCommand, option_in
from reconciler.cli.service_options import listen_option, log_format_option, token_option
from reconciler.cli.stopping import orderly_stop
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.cli.watching import MakeEntry, Watch
    from reconciler.controller.controller import Controller
    from reconciler.controller.git_source import GitPlace
    from reconciler.controller.settings import Limits
    from reconciler.controller.status import Mode, Status
    from reconciler.controller.window import Window
    from reconciler.watch_file import CatalogEntry

#: What stands in a watch.yaml instead.
_IN_FILE: Final = (
    "mode",
    "interval",
    "full_interval",
    "window",
    "env",
    "var",
    "settle",
    "lock",
    "max_deletes",
    "max_updates",
    "max_changes",
    "on_conflict",
    "canary",
)


class Duration(click.ParamType[float]):
    """A duration like 5m, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        from reconciler.watch_file import parse_duration

        try:
            seconds = parse_duration(str(value))
        except UsageError as error:
            self.fail(f"{error.problems[0].message}: {error.problems[0].hint}.", param, ctx)
        if seconds < 1:
            self.fail(f"{value} is too short: write 1s or more.", param, ctx)
        return seconds


class WindowType(click.ParamType["Window"]):
    """A window of time."""

    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Window:
        from reconciler.controller.window import parse_window

        try:
            return parse_window(str(value))
        except UsageError as error:
            self.fail(f"{error.problems[0].message}: {error.problems[0].hint}.", param, ctx)


@click.command(cls=SectionedCommand)
@click.argument(
    "catalogs",
    metavar="[CATALOG]...",
    nargs=-1,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Watch what this watch.yaml names: several catalogs, environments and accounts.",
)
@click.option(
    "--git",
    "gits",
    metavar="URL[#REF[:PATH]]",
    multiple=True,
    help="Watch a catalog in a git ref, fetched with the `git` program. Repeatable.",
)
@environment_option
@variables_option
@click.option(
    "--mode",
    type=click.Choice(["observe", "repair", "approve", "apply"]),
    default="observe",
    show_default=True,
    help="What to write: nothing; only what drifted, back to the last applied revision; plans whose digest was "
    "approved; every plan that no guard refuses.",
)
@click.option(
    "--interval",
    type=Duration(),
    default="5m",
    show_default=True,
    help="How often each catalog is looked at, give or take a tenth. A change of its files is noticed within seconds.",
)
@click.option(
    "--full-interval",
    type=Duration(),
    default="1h",
    show_default=True,
    help="How often the account is listed page by page.",
)
@click.option(
    "--window",
    type=WindowType(),
    metavar="WINDOW",
    help='When changes may be written: "Mon-Fri 09:00-17:00 Asia/Shanghai". Default: always.',
)
@click.option("--once", is_flag=True, help="Look at each catalog once, and end.")
@log_format_option
@listen_option
@token_option
@option_in("Seen from outside")(
    "--notify",
    metavar="URL",
    multiple=True,
    help="Announce at this webhook what happens: JSON, or text for Slack, Feishu and DingTalk. Repeatable. Prefer the "
    "variable RECONCILER_NOTIFY, because other users of a machine can read command lines.",
)
@option_in("Seen from outside")(
    "--notify-secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the secret that signs notifications.",
)
@click.option("--log-all", is_flag=True, help="Log every look, even if it finds nothing new.")
@connection_options
@option_in("Connection and state")(
    "--allow-endpoint",
    metavar="URL",
    multiple=True,
    help="Allow an account in the watch.yaml to be at this address: its key is sent there. Repeatable.",
)
@limit_options
@option_in("Timing")(
    "--lock/--no-lock",
    default=True,
    help="Take the catalog's lock, so that no other run writes meanwhile. Default: yes.",
)
@settle_option
@state_option
def command(
    catalogs: tuple[Path, ...],
    config: Path | None,
    gits: tuple[str, ...],
    once: bool,
    **flags: Any,
) -> int:
    """Look at catalogs again and again: notice drift, report it, and repair it if asked to.

    Each CATALOG (default: the current folder) is looked at when its files change, every --interval, and on SIGHUP.
    While nothing changes, a look costs two calls for each account, whatever the number of catalogs. What a guard
    refuses stays pending, and is never forced.

    The first SIGTERM or Ctrl-C starts no new writes, finishes those in flight, and exits with 0. A second one ends at
    once.
    """
    from reconciler.cli.outside import check_flags
    from reconciler.cli.watching import served

    check_flags(flags, once=once)
    watch = _watch(catalogs, config, gits, flags)
    if (
        not once
        and not flags["listen"]
        and (unheard := [one.name for one in watch.catalogs if one.mode == "approve"])
    ):
        raise UsageError(
            f"nobody could approve a plan of {unheard[0]}: approvals come over --listen",
            "add --listen=127.0.0.1:9464",
        )
    with served(watch) as running:
        return _run(running, once=once, flags=flags)


def _watch(
    catalogs: Sequence[Path], config: Path | None, gits: Sequence[str], flags: dict[str, Any]
) -> Watch:
    """What to watch, as the flags or the file say."""
    from reconciler.cli.watching import Chosen, from_file, from_flags, parse_git

    connection = split(flags, Connection)
    if config is None:
        if flags["allow_endpoint"]:
            raise UsageError(
                "--allow-endpoint is for accounts in a watch.yaml", "name the address with --endpoint"
            )
        chosen = Chosen(_entries(flags), flags["state_dir"], flags["full_interval"])
        return from_flags(catalogs, [*map(parse_git, gits)], chosen, connection, flags["env"])
    if catalogs or gits:
        raise UsageError(
            "a watch.yaml names the catalogs", "leave out CATALOG and --git, or leave out --config"
        )
    source = click.get_current_context().get_parameter_source
    for name in _IN_FILE:
        if source(name) is ParameterSource.COMMANDLINE:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} has no effect with --config", f"write it into {config}")
    return from_file(config, connection, flags["allow_endpoint"], flags["state_dir"])


def _entries(flags: dict[str, Any]) -> MakeEntry:
    """Makes what is watched of a folder or a git ref, by the flags."""
    from reconciler.controller.settings import Limits
    from reconciler.watch_file import DEFAULT_ACCOUNT, CatalogEntry

    which = split(flags, CatalogFlags)
    limits: Limits = Limits(**{name: flags[name] for name in Limits.__dataclass_fields__})

    def entry(name: str, folder: Path | None, place: GitPlace | None, state: Path) -> CatalogEntry:
        mode: Mode = flags["mode"]
        return CatalogEntry(
            name,
            DEFAULT_ACCOUNT,
            state,
            folder,
            place,
            which.env,
            dict(which.var),
            mode,
            flags["interval"],
            flags["window"],
            limits,
            lock=flags["lock"],
            settle=flags["settle"],
        )

    return entry


def _run(watch: Watch, *, once: bool, flags: dict[str, Any]) -> int:
    from reconciler.cli.outside import outside
    from reconciler.controller.controller import Controller

    with outside(flags) as seen:
        controller = Controller(
            watch.accounts, watch.catalogs, state=watch.state, on_event=seen.on_event, on_call=seen.on_call
        )
        with _signals(controller, seen.say), seen.serving(controller):
            if once:
                controller.run_once()
                return _outcome(controller.status())
            controller.run()
    return ExitCode.OK


def _outcome(status: Status) -> int:
    """The exit code of a single look at each catalog."""
    states = {one.state for one in status.catalogs}
    # A run that was killed earlier is shown, too, and is no result of this look: it has no digest.
    runs = {run.exit_code for one in status.catalogs for run in one.runs if run.digest}
    if int(ExitCode.PARTIAL) in runs:
        return ExitCode.PARTIAL
    if "Failing" in states:
        return ExitCode.ERROR
    return ExitCode.REFUSED if "Refused" in states else ExitCode.OK


@contextmanager
def _signals(controller: Controller, say: Callable[[str], None]) -> Iterator[None]:
    """Handle the signals of a service: SIGHUP looks now, and the first SIGTERM or SIGINT stops in an orderly way."""

    def stop() -> None:
        say("stopping: writes in flight finish, no new ones start")
        controller.stop()

    before = signal.signal(signal.SIGHUP, lambda number, frame: controller.reconcile())
    try:
        with orderly_stop(stop):
            yield
    finally:
        signal.signal(signal.SIGHUP, before)
