"""``reconciler apply``."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from reconciler.api.pace import Pace
from reconciler.cli.connect import Connection, connect
from reconciler.cli.options import (
    catalog_argument,
    connection_options,
    no_color_option,
    policy_options,
    with_policy,
)
from reconciler.cli.output import render_options, show
from reconciler.cli.progress import progress
from reconciler.errors import ExitCode, Refused
from reconciler.model import Limit


@click.command()
@catalog_argument
@connection_options
@policy_options
@click.option("--auto-approve", is_flag=True, help="Do not ask before writing. For CI.")
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds that the list may lag behind a write.",
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
    catalog: Path,
    auto_approve: bool,
    settle: float,
    form: str,
    no_color: bool,
    max_deletes: Limit | None,
    allow_empty: bool,
    **connection: object,
) -> int:
    """Make the live sessions what the catalog says.

    Plans, shows the plan, asks, writes, and reads the list again to see that it came out right. What is deleted
    or overwritten is first kept under CATALOG/.reconciler/archive. In CI, say --auto-approve; with neither it
    nor a terminal to ask on, nothing is written and the exit code is 3.
    """
    from reconciler.api.listing import list_sessions
    from reconciler.apply.report import report_to_document
    from reconciler.apply.run import ApplyOptions, apply_plan
    from reconciler.apply.state import open_state
    from reconciler.catalog import load_catalog
    from reconciler.plan import make_plan
    from reconciler.plan.document import plan_to_document
    from reconciler.render.report import render_report

    stop = threading.Event()
    options = render_options(no_color=no_color)
    loaded = with_policy(load_catalog(catalog), max_deletes=max_deletes)
    with connect(Connection(**connection), catalog, pace=Pace(stop)) as client:  # type: ignore[arg-type]
        with progress("listing") as step:
            snapshot = list_sessions(client, on_rows=step)
        plan = make_plan(loaded, snapshot, allow_empty=allow_empty)
        document = plan_to_document(plan)
        if form == "text":
            show(document, form, options)
        if plan.refusals:
            if form == "json":
                show(document, form, options)
            return ExitCode.REFUSED
        if not plan.empty and not auto_approve:
            _ask(len(plan.actions))
        state = open_state(catalog)
        done = 0
        with progress("applying") as step, _stopping(stop):

            def count(_: object) -> None:
                nonlocal done
                done += 1
                step(done, len(plan.actions))

            report = apply_plan(
                plan,
                client,
                ApplyOptions(
                    state=state,
                    parallelism=client.connections,
                    settle=settle,
                    recheck=not auto_approve,
                ),
                snapshot=snapshot,
                stop=stop,
                on_result=count,
            )
    click.echo(render_report(report_to_document(report), form, options), nl=False, color=options.color)
    return report.exit_code


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        raise Refused(
            "nobody is there to approve the plan",
            "review it, and call apply with --auto-approve, or from a terminal",
        )
    what = "this change" if count == 1 else f"these {count} changes"
    answer = click.prompt(
        f"Apply {what}? Only 'yes' is taken for one", default="", show_default=False, err=True
    )
    if answer.strip() != "yes":
        raise Refused("not approved: nothing was written")


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops the run in good order, the second one ends it at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            # Not sys.exit: the workers would be waited for.
            import os

            os._exit(ExitCode.INTERRUPTED)
        stop.set()
        click.echo("\nstopping: writes under way finish, no new ones start (again to end at once)", err=True)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
