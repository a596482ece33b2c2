"""From a plan to a report, for every command that writes: lock, show, ask, write, report."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.client import Client
from reconciler.api.listing import list_sessions, whole
from reconciler.apply.beside import key_mark, with_key, with_message_counts, with_messages
from reconciler.apply.journal import Entry, last_account, new_run, written
from reconciler.apply.report import INTERRUPTED, report_to_document
from reconciler.apply.run import ApplyOptions, apply_plan
from reconciler.apply.waiting import hold_lock, lock_holder, wait_for_the_list
from reconciler.apply.who import who
from reconciler.cli.account import Expected, check_account, other_account_option
from reconciler.cli.approve import approve
from reconciler.cli.connect import Connection, connect, connection_for
from reconciler.cli.options import Seconds, approve_option, archive_option, split
from reconciler.cli.output import detail_options, format_option, no_color_option, render_options, show
from reconciler.cli.progress import progress
from reconciler.cli.sections import option_in
from reconciler.cli.streams import stdout_is_read
from reconciler.cli.suggestions import completed, completed_document
from reconciler.domain import Catalog, Keep, Policy, Snapshot
from reconciler.errors import ExitCode, ReconcilerError, Refused
from reconciler.ownership.account import Account
from reconciler.ownership.tag import Identity
from reconciler.plan.document import plan_to_document
from reconciler.plan.types import GONE, Plan
from reconciler.render.options import Detail, RenderOptions
from reconciler.render.report import render_report
from reconciler.state import make_salt, open_state
from reconciler.text.escape import terminal

if TYPE_CHECKING:
    from reconciler.api.lock import Ticket

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Writing:
    """The flags of a command that writes."""

    auto_approve: bool
    archive_dir: Path | None
    settle: float | None
    deadline: float | None
    lock: bool | None
    lock_timeout: float
    form: str
    detail: Detail
    no_color: bool
    other_account: bool


settle_option = option_in("Timing")(
    "--settle",
    type=Seconds(0),
    help="How many seconds the list may lag behind a write. "
    "Default: 10, or four times the lag that the contract states.",
)


def lock_options(function: F) -> F:
    """--lock and --lock-timeout."""
    function = option_in("Timing")(
        "--lock-timeout",
        type=Seconds(0),
        default=0.0,
        show_default=True,
        help="Seconds to wait for another run's lock.",
    )(function)
    return click.option(
        "--lock/--no-lock",
        default=None,
        help="Take the catalog's lock, so that no other run writes meanwhile. Default: the catalog's policy, else no.",
    )(function)


def writing_options(function: F) -> F:
    """The flags for writing: approval, archive, time limits, lock, output."""
    for option in reversed(
        [
            approve_option,
            archive_option,
            settle_option,
            click.option(
                "--deadline", type=Seconds(0.01), help="Start no new writes after this many seconds."
            ),
            lock_options,
            other_account_option,
            format_option(),
            detail_options,
            no_color_option,
        ]
    ):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: the catalog, the environment, and how to make the plan from the live list.

    A plan that was ``reviewed`` is applied without asking. ``made_from`` is what of a saved plan goes into the journal:
    its digest, the commit that it was made from, and whether the working tree was dirty; None if it is made now.
    ``keep`` is what the plan needs of the list. ``account`` is the mark of the account that a saved plan is for, None
    if there is none. ``former`` is the name under which all sessions were applied before, as ``moved`` says.
    """

    catalog: str
    environment: str | None
    policy: Policy
    plan: Callable[[Snapshot], Plan]
    reviewed: bool = False
    made_from: Mapping[str, str | bool] | None = None
    keep: Keep = whole
    account: Account | None = None
    former: Identity | None = None


def run_plan(job: Job, writing: Writing, connection: Connection, *, root: Path, state: Path) -> int:
    """Run the job, and return the exit code. ``root`` is the folder in git, ``state`` the state folder.

    Raises:
        ReconcilerError: nothing was written.
    """
    stop = Cancellation()
    try:
        with (
            _stopping(stop, writing.deadline) as begin,
            connect(connection, state, stop=stop) as client,
        ):
            return _run(job, writing, client, stop, begin, root, state)
    except Interrupted:
        error = ReconcilerError(f"stopped before anything was written: {stop.reason}")
        if stop.reason == INTERRUPTED:
            error.exit_code = ExitCode.INTERRUPTED
        raise error from None


def run_part(
    catalog: Catalog,
    plan: Callable[[Snapshot], Plan],
    keep: Keep,
    flags: Mapping[str, Any],
    *,
    root: Path,
    state: Path,
) -> int:
    """Run a plan for some sessions of a catalog, with the ``flags`` of a command. As :func:`run_plan`."""
    job = Job(catalog.name, catalog.environment, catalog.policy, plan, keep=keep, former=catalog.moved_every)
    connection = connection_for(flags, root, catalog.environment)
    return run_plan(job, split(flags, Writing), connection, root=root, state=state)


def _run(
    job: Job,
    writing: Writing,
    client: Client,
    stop: Cancellation,
    begin: Callable[[], None],
    root: Path,
    state: Path,
) -> int:
    options = replace(render_options(no_color=writing.no_color), detail=writing.detail)
    settle = client.contract.settle if writing.settle is None else writing.settle
    run = new_run()
    by = _by(job, root)
    locking = job.policy.lock if writing.lock is None else writing.lock
    with hold_lock(
        client,
        job.catalog,
        job.environment,
        holder=lock_holder(by, run),
        timeout=writing.lock_timeout,
        settle=settle,
        wanted=locking,
        on_wait=say_holder,
    ) as holding:
        entries = wait_for_the_list(client, state, job.catalog, job.environment, settle, say_lag)
        snapshot = _listed(job, writing, client, state, entries)
        plan = _planned(job, writing, snapshot, client)
        if writing.form == "text" or plan.refusals:
            show(plan_to_document(plan), writing.form, options)
        if plan.refusals:
            return ExitCode.REFUSED
        ask = not (plan.empty or writing.auto_approve or job.reviewed)
        if ask:
            _ask(plan, writing, options)
        begin()
        with progress("applying") as step:
            report = apply_plan(
                plan,
                client,
                ApplyOptions(
                    state=open_state(state),
                    archive=writing.archive_dir,
                    parallelism=client.connections,
                    settle=settle,
                    recheck=ask,
                    who=by,
                    run=run,
                    holding=holding,
                    account=snapshot.account,
                ),
                snapshot=snapshot,
                stop=stop,
                on_result=_counter(step, len(plan.actions)),
            )
    text = render_report(report_to_document(report), writing.form, options)
    click.echo(completed(text) if writing.form == "text" else text, nl=False, color=options.color)
    return _with_what_is_left(plan, report.exit_code)


def _by(job: Job, root: Path) -> dict[str, str | bool]:
    """Who applies what, for the journal."""
    by = who(root)
    if job.made_from is not None:
        by.pop("dirty", None)  # the plan was not made from what lies here now
        by |= job.made_from
    return by


def _planned(job: Job, writing: Writing, snapshot: Snapshot, client: Client) -> Plan:
    """The plan, with how many messages each delete takes if somebody sees it."""
    plan = job.plan(snapshot)
    unseen = writing.form == "json" and writing.auto_approve and not plan.refusals
    if job.reviewed or unseen:
        return plan
    return with_message_counts(plan, snapshot, lambda: nullcontext(client))


def _with_what_is_left(plan: Plan, code: int) -> int:
    """Name the keys that nothing was done about: the session to adopt is gone, or it is not known which of several
    sessions stays. Returns the exit code that takes them into account."""
    for note in plan.undone:
        click.echo(f"not done: {note.key}{' ' if note.kind == GONE else ': '}{note.message}", err=True)
    return ExitCode.PARTIAL if plan.undone and code == ExitCode.OK else code


def _listed(job: Job, writing: Writing, client: Client, state: Path, entries: Sequence[Entry]) -> Snapshot:
    """The live list, checked to be of the right account. ``entries`` are those of the journal.

    Raises:
        Refused: it is of another account, and neither a flag nor the user allows that.
    """
    make_salt(state)
    with progress("listing") as step:
        snapshot = list_sessions(client, keep=job.keep, on_rows=step)
    snapshot = with_key(snapshot, key_mark(client, state))
    _check_account(job, writing, snapshot, entries)
    scope = {"catalog": job.catalog, "environment": job.environment, "endpoint": snapshot.endpoint}
    wrote = written(entries, scope)
    return with_messages(snapshot, job.catalog, job.environment, wrote, lambda: nullcontext(client))


def _check_account(job: Job, writing: Writing, snapshot: Snapshot, entries: Iterable[Entry]) -> None:
    """Check that the list is of the account of the saved plan, or else of the last apply from here.

    Raises:
        Refused: it is of another account, and neither a flag nor the user allows that.
    """
    if job.account is not None and job.account:
        hint = "use the key of that account, make the plan again with this key, or add --other-account to apply it here"
        check_account(
            Expected(job.account, "the plan was made", hint), snapshot, allowed=writing.other_account
        )
        return
    if job.reviewed:
        click.echo(
            "the plan does not say for which account it was made: an earlier version saved it", err=True
        )
    whole = f"{job.catalog}@{job.environment}" if job.environment else job.catalog
    scope = {"catalog": job.catalog, "environment": job.environment, "endpoint": snapshot.endpoint}
    last = last_account(entries, scope, job.former)
    if last is not None:
        hint = "use the key of that account, or add --other-account to apply to this one from now on"
        check_account(
            Expected(last, f"the last apply of {whole} from here was", hint),
            snapshot,
            allowed=writing.other_account,
            ask="" if writing.auto_approve or job.reviewed else "Apply to this account?",
        )


def _ask(plan: Plan, writing: Writing, options: RenderOptions) -> None:
    """Ask whether to apply the plan.

    Raises:
        Refused: the answer is no, or the plan could not be read.
    """
    if writing.form == "json":  # stdout is for programs; the person who approves sees the plan on stderr
        from reconciler.render import render_plan

        click.echo(
            render_plan(completed_document(plan_to_document(plan)), "text", options=options),
            err=True,
            nl=False,
        )
    elif not stdout_is_read():
        raise Refused(
            "the reader of the plan exited: nothing was written", "add --auto-approve to apply it unread"
        )
    count = len(plan.actions)
    approve("Apply this change?" if count == 1 else f"Apply these {count} changes?")


def say_lag(seconds: float) -> None:
    """Say that the run waits for a list that may lag."""
    click.echo(
        "a recent run created sessions and ended before the list showed them, or is still running: "
        f"waiting {seconds:.1f} s for the list",
        err=True,
    )


def say_holder(ticket: Ticket) -> None:
    """Say whose lock the run waits for."""
    click.echo(f"waiting for the lock of {terminal(ticket.holder)} (#{ticket.session_id})", err=True)


def _counter(step: Callable[[int, int], None], total: int) -> Callable[[object], None]:
    done = 0

    def count(_: object) -> None:
        nonlocal done
        done += 1
        step(done, total)

    return count


@contextmanager
def _stopping(stop: Cancellation, deadline: float | None) -> Iterator[Callable[[], None]]:
    """Handle Ctrl-C, SIGTERM and a deadline (in seconds). Yields a function to call before the first write.

    Before that call, a signal ends the run at once. After it, the first signal stops the run in an orderly way, and a
    second one ends it at once.
    """
    writing = False
    signals = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal signals
        if not writing:
            raise KeyboardInterrupt
        signals += 1
        if signals > 1:
            os._exit(ExitCode.INTERRUPTED)  # not sys.exit, which would wait for the workers
        stop.set(INTERRUPTED)
        click.echo(
            "\nstopping: writes in flight finish, no new ones start (interrupt again to end at once)",
            err=True,
        )

    def pass_deadline() -> None:
        first = not stop.is_set()
        stop.set("the deadline passed")
        if writing and first:
            click.echo("\nthe deadline passed: writes in flight finish, no new ones start", err=True)

    def begin() -> None:
        nonlocal writing
        writing = True

    timer = threading.Timer(deadline, pass_deadline) if deadline else None
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if timer:
            timer.daemon = True
            timer.start()
        yield begin
    finally:
        if timer:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
