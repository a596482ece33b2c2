"""``reconciler apply``."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from reconciler.api.client import Client
from reconciler.api.endpoint import LOCAL, endpoint_name
from reconciler.api.stop import Interrupted, Stop
from reconciler.apply.report import INTERRUPTED
from reconciler.cli.approve import approve
from reconciler.cli.connect import Connection, connect
from reconciler.cli.options import (
    PolicyFlags,
    connection_options,
    no_color_option,
    policy_options,
    split,
    state_option,
)
from reconciler.cli.output import render_options, show
from reconciler.cli.progress import progress
from reconciler.cli.who import who
from reconciler.errors import ExitCode, ReconcilerError, Refused, UsageError
from reconciler.plan.model import Plan
from reconciler.state import FOLDER, open_state


@click.command()
@click.argument("what", metavar="[CATALOG|PLAN]", type=click.Path(path_type=Path, exists=True), default=".")
@connection_options
@policy_options
@state_option
@click.option("--auto-approve", is_flag=True, help="Do not ask before writing. For CI.")
@click.option(
    "--archive-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep what is changed or deleted in this folder. Default: archive in the state folder.",
)
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds that the list may lag behind a write.",
)
@click.option("--deadline", type=click.FloatRange(0.01), help="Start no new writes after so many seconds.")
@click.option(
    "--lock/--no-lock", default=None, help="Keep other applies out. Default: the catalog's policy, else no."
)
@click.option(
    "--lock-timeout",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Seconds to wait for another apply's lock.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print.",
)
@no_color_option
def command(
    what: Path,
    state_dir: Path | None,
    auto_approve: bool,
    archive_dir: Path | None,
    settle: float,
    deadline: float | None,
    lock: bool | None,
    lock_timeout: float,
    form: str,
    no_color: bool,
    **flags: Any,
) -> int:
    """Make the live sessions what the catalog says, or do exactly what a saved PLAN says.

    Plans, shows the plan, asks, writes, and reads the list again to see that it came out right. What is deleted
    or overwritten is first kept in the archive. In CI, say --auto-approve; with neither it nor a terminal to ask
    on, nothing is written and the exit code is 3.

    A saved plan is applied without the catalog and without asking: it was reviewed. If a session that it touches
    has changed since, the whole plan is refused.
    """
    from reconciler.api.listing import list_sessions
    from reconciler.apply.report import report_to_document
    from reconciler.apply.run import ApplyOptions, apply_plan
    from reconciler.plan.document import plan_to_document
    from reconciler.render.report import render_report

    stop = Stop()
    options = render_options(no_color=no_color)
    saved = _saved(what, flags) if what.is_file() else None
    root = Path() if saved else what
    state = state_dir or root / FOLDER
    if saved and saved.endpoint == LOCAL and not (state / "local.db").exists():
        raise ReconcilerError(
            f"the plan is for the embedded server, and {state} does not hold its data",
            "name the folder that does: --state-dir CATALOG/.reconciler",
        )
    run = secrets.token_hex(4)
    by = who(root)
    with _stopping(stop) as begin, connect(split(flags, Connection), state, stop=stop) as client:
        if saved:
            plan, locking, snapshot = saved, bool(lock), None
        else:
            from reconciler.catalog import load_catalog

            loaded = load_catalog(what)
            locking = loaded.policy.lock if lock is None else lock
        timer = threading.Timer(deadline, stop.set, ("the deadline passed",)) if deadline else None
        try:
            if timer:
                timer.daemon = True
                timer.start()
            scope = (saved.catalog, saved.environment) if saved else (loaded.name, loaded.environment)
            with _lock(
                client, scope, f"{by.get('job') or by['user']} run {run}", lock_timeout, locking
            ) as holding:
                if not saved:
                    with progress("listing") as step:
                        snapshot = list_sessions(client, on_rows=step)
                    plan = split(flags, PolicyFlags).plan(loaded, snapshot)
                if form == "text" or plan.refusals:
                    show(plan_to_document(plan), form, options)
                if plan.refusals:
                    return ExitCode.REFUSED
                ask = not (plan.empty or auto_approve or saved)
                if ask:
                    count = len(plan.actions)
                    approve("Apply this change?" if count == 1 else f"Apply these {count} changes?")
                begin()
                with progress("applying") as step:
                    report = apply_plan(
                        plan,
                        client,
                        ApplyOptions(
                            state=open_state(state),
                            archive=archive_dir,
                            parallelism=client.connections,
                            settle=settle,
                            recheck=ask or saved is not None,
                            who=by,
                            run=run,
                            holding=holding,
                        ),
                        snapshot=snapshot,
                        stop=stop,
                        on_result=_counter(step, len(plan.actions)),
                    )
        except Interrupted:
            click.echo(f"stopped before anything was written: {stop.reason}", err=True)
            return ExitCode.INTERRUPTED if stop.reason == INTERRUPTED else ExitCode.ERROR
        finally:
            if timer:
                timer.cancel()
    click.echo(render_report(report_to_document(report), form, options), nl=False, color=options.color)
    return report.exit_code


def _saved(path: Path, flags: dict[str, Any]) -> Plan:
    """A saved plan, if it is for the endpoint that is meant."""
    from reconciler.cli.planfile import read_plan

    given = [name for name in PolicyFlags.__dataclass_fields__ if flags[name]]
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} does nothing with a saved plan",
            "the guards had their say when it was made: make it again with the flag",
        )
    plan, _ = read_plan(path)
    endpoint = endpoint_name(flags["endpoint"])
    if plan.endpoint != endpoint:
        raise Refused(
            f"the plan was made against {plan.endpoint}, and this is {endpoint}",
            f"apply it with --endpoint {plan.endpoint}, or make a plan against {endpoint}",
        )
    return plan


@contextmanager
def _lock(
    client: Client, scope: tuple[str, str | None], holder: str, timeout: float, wanted: bool
) -> Iterator[Callable[[], bool]]:
    if not wanted:
        yield lambda: True
        return
    from reconciler.api.lock import Ticket, locked
    from reconciler.render.escape import terminal

    def waiting(ticket: Ticket) -> None:
        click.echo(f"waiting for the lock of {terminal(ticket.holder)} (#{ticket.session_id})", err=True)

    with locked(client, *scope, holder=holder, timeout=timeout, on_wait=waiting) as holding:
        yield holding


def _counter(step: Callable[[int, int], None], total: int) -> Callable[[object], None]:
    done = 0

    def count(_: object) -> None:
        nonlocal done
        done += 1
        step(done, total)

    return count


@contextmanager
def _stopping(stop: Stop) -> Iterator[Callable[[], None]]:
    """What Ctrl-C and SIGTERM do. Gives a function to call before the first write.

    Before it, they end the run at once. After it, the first one stops the run in good order, and the second one
    ends it at once.
    """
    writing = False

    def handle(number: int, frame: FrameType | None) -> None:
        if not writing:
            raise KeyboardInterrupt
        if stop.is_set():
            os._exit(ExitCode.INTERRUPTED)  # not sys.exit, which would wait for the workers
        stop.set(INTERRUPTED)
        click.echo("\nstopping: writes under way finish, no new ones start (again to end at once)", err=True)

    def begin() -> None:
        nonlocal writing
        writing = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield begin
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
