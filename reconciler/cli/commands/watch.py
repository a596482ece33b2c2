"""``reconciler watch``."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
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
from reconciler.errors import ExitCode, UsageError
from reconciler.text.escape import terminal

if TYPE_CHECKING:
    from reconciler.api.client import Observer, Reply
    from reconciler.cli.watching import Watch
    from reconciler.contract import Operation
    from reconciler.controller.controller import Controller
    from reconciler.controller.events import OnEvent
    from reconciler.controller.git_source import GitPlace
    from reconciler.controller.settings import Limits
    from reconciler.controller.status import Mode, Status
    from reconciler.controller.window import Window
    from reconciler.telemetry import Tracing
    from reconciler.watch_file import CatalogEntry
    from reconciler.web import Feed, Metrics

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
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the log on stderr: one line an event.",
)
@option_in("Seen from outside")(
    "--listen",
    metavar="HOST:PORT",
    help="Serve a page, an API, health and metrics at this address, such as 127.0.0.1:9464.",
)
@option_in("Seen from outside")(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the token that the watcher asks for. It needs one if others can reach its address.",
)
@option_in("Seen from outside")(
    "--notify",
    metavar="URL",
    multiple=True,
    help="Announce at this webhook what happens: [FORM+]URL[#secret=SECRET], FORM being json, slack, feishu or "
    "dingtalk. Repeatable.",
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
    from reconciler.cli.watching import served

    if once and flags["listen"]:
        raise UsageError("--listen has no effect with --once", "leave out one of the two")
    if flags["token_file"] and not flags["listen"]:
        raise UsageError("--token-file is for --listen", "add --listen=HOST:PORT")
    watch = _watch(catalogs, config, gits, flags)
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


def _entries(flags: dict[str, Any]) -> Any:
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
    from reconciler.controller.controller import Controller

    with ExitStack() as stack:
        outside = _Outside.of(flags, stack)
        controller = Controller(
            watch.accounts,
            watch.catalogs,
            state=watch.state,
            on_event=outside.on_event,
            on_call=outside.observer,
        )
        stack.enter_context(_signals(controller))
        if once:
            controller.run_once()
            return _outcome(controller.status())
        outside.listen(controller, flags, stack)
        controller.run()
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Outside:
    """What sees the events and the calls of a controller."""

    metrics: Metrics
    feed: Feed
    on_event: Sequence[OnEvent]
    tracing: Tracing | None

    @staticmethod
    def of(flags: dict[str, Any], stack: ExitStack) -> _Outside:
        """What the flags and the environment ask for. It is closed with the ``stack``."""
        from reconciler.cli.event_log import event_log
        from reconciler.notify import Notifier
        from reconciler.telemetry import start_tracing
        from reconciler.web import Feed, Metrics

        metrics, feed = Metrics(), Feed()
        on_event: list[OnEvent] = [
            event_log(flags["log_format"], verbose=flags["log_all"]),
            metrics,
            feed,
        ]
        tracing = start_tracing(say=_tell)
        if tracing is not None:
            stack.callback(tracing.close)
            on_event.append(tracing)
        if flags["notify"]:
            notifier = Notifier(flags["notify"], say=_tell, on_outcome=metrics.notified)
            on_event.append(stack.enter_context(notifier))
        return _Outside(metrics, feed, on_event, tracing)

    def observer(self, account: str) -> Observer:
        """Sees the calls of an account."""
        count = self.metrics.observer(account)
        if self.tracing is None:
            return count
        trace = self.tracing.observer(account)

        def both(operation: Operation, fields: Mapping[str, Any], reply: Reply) -> None:
            count(operation, fields, reply)
            trace(operation, fields, reply)

        return both

    def listen(self, controller: Controller, flags: dict[str, Any], stack: ExitStack) -> None:
        """Serve the controller, if that is asked for."""
        from reconciler.web import read_token, serve

        if flags["listen"] is None:
            return
        token = None if flags["token_file"] is None else read_token(flags["token_file"])
        served = serve(
            controller,
            flags["listen"],
            token,
            metrics=self.metrics,
            feed=self.feed,
            on_bug=lambda error: _tell(f"a request was answered with 500: {type(error).__name__}"),
        )
        _tell(f"listening at {stack.enter_context(served)}")


def _tell(sentence: str) -> None:
    click.echo(terminal(sentence), err=True)


def _outcome(status: Status) -> int:
    """The exit code of a single look at each catalog."""
    states = {one.state for one in status.catalogs}
    runs = {run.exit_code for one in status.catalogs for run in one.runs}
    if int(ExitCode.PARTIAL) in runs:
        return ExitCode.PARTIAL
    if "Failing" in states:
        return ExitCode.ERROR
    return ExitCode.REFUSED if "Refused" in states else ExitCode.OK


@contextmanager
def _signals(controller: Controller) -> Iterator[None]:
    """Handle the signals of a service: SIGHUP looks now, and the first SIGTERM or SIGINT stops in an orderly way."""
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            os._exit(ExitCode.INTERRUPTED)  # not sys.exit, which would wait for the writes
        stopping = True
        click.echo("stopping: writes in flight finish, no new ones start", err=True)
        controller.stop()

    def look(number: int, frame: FrameType | None) -> None:
        controller.reconcile()

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: look}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
