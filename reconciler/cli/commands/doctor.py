"""``reconciler doctor``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.approve import approve
from reconciler.cli.connect import Connection, connect
from reconciler.cli.options import (
    OutPath,
    Seconds,
    approve_option,
    catalog_argument,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.output import format_option
from reconciler.cli.progress import telling
from reconciler.disk import check_writable, write_out
from reconciler.errors import ExitCode, ReconcilerError, Refused
from reconciler.state import FOLDER
from reconciler.text.timestamps import write_timestamp

if TYPE_CHECKING:
    from reconciler.api.client import Client
    from reconciler.contract import Contract
    from reconciler.doctor.learned import Lessons
    from reconciler.doctor.report import Report
    from reconciler.domain import Snapshot


@click.command()
@catalog_argument
@connection_options
@state_option
@click.option("--probe", is_flag=True, help="Also make one session, learn by writing to it, and delete it.")
@approve_option
@click.option("--write", type=OutPath(), help="Write what was learned to this contract file.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, file_okay=False),
    help="Record every call in this new folder, key and prompts left out.",
)
@click.option(
    "--settle",
    type=Seconds(0),
    default=30.0,
    show_default=True,
    help="Seconds that the list may lag behind a write.",
)
@format_option()
def command(
    catalog: Path,
    state_dir: Path | None,
    probe: bool,
    auto_approve: bool,
    write: Path | None,
    record: Path | None,
    settle: float,
    form: str,
    **flags: Any,
) -> int:
    """Find out which lines of the contract hold on a real account.

    Without --probe it only looks: every call is a GET. With it, one session is made, named so that anybody sees
    what it is, written to and deleted; no other session is ever written to, which the list before and after shows.
    Only one probe should run on an account at a time.

    CATALOG is where the embedded server's data is, for --endpoint local. The exit code is 1 where something differs
    from the contract and was not written down with --write, and wherever another session changed during a probe.
    """
    from reconciler.doctor.baseline import find_leftovers
    from reconciler.doctor.learned import Lessons
    from reconciler.doctor.record import Recorder
    from reconciler.doctor.report import Report
    from reconciler.doctor.survey import survey

    state = state_dir or catalog / FOLDER
    if write is not None:
        _check_writable(write)
    with _signals() as signals, connect(split(flags, Connection), state) as client:
        recorder = client.observer = Recorder(record, client) if record is not None else None
        lessons = Lessons(client.contract, afresh=probe)
        with telling() as tell:
            tell("looking")
            looked = survey(client, lessons)
        report = Report(client.endpoint.name, client.contract, list(looked.checks))
        if looked.snapshot is not None:
            report.leftovers = find_leftovers(looked.snapshot)
        visit = _Visit(client, lessons, report, _Page(report, form), state, settle, auto_approve, write)
        visit.page.catch_up()
        complete = looked.snapshot is not None
        if probe:
            complete = visit.probe(looked.snapshot, signals)
        elif looked.snapshot is not None:
            visit.offer(looked.snapshot)
        why = "not all was learned"
        if complete:
            why = _learned(report, lessons.contract, write)
        if recorder is not None:
            report.recorded = str(record)
            if recorder.failed:
                click.echo(recorder.failed, err=True)
    visit.page.finish()
    if write is not None and not report.written:
        click.echo(f"{write} was not written: {why}", err=True)
        return ExitCode.ERROR
    if not complete or report.leftovers or not report.untouched:
        return ExitCode.ERROR
    return ExitCode.ERROR if report.count("differs") and not report.written else ExitCode.OK


class _Page:
    """The report on stdout: as text, what is known is shown before anything is asked."""

    def __init__(self, report: Report, form: str) -> None:
        self.report, self.form = report, form
        self._shown = 0

    def catch_up(self) -> None:
        """Show the checks that were not shown yet."""
        from reconciler.doctor.report import report_to_document
        from reconciler.render.doctor import render_checks

        if self.form == "text" and len(self.report.checks) > self._shown:
            after = self.report.checks[self._shown - 1].part if self._shown else None
            checks = report_to_document(self.report)["checks"][self._shown :]
            click.echo(render_checks(checks, after), nl=False)
            self._shown = len(self.report.checks)

    def finish(self) -> None:
        """Show the rest, or all of it as JSON."""
        from reconciler.doctor.report import report_to_document
        from reconciler.render.doctor import render_doctor, render_end

        self.catch_up()
        document = report_to_document(self.report)
        text = render_end(document) if self.form == "text" else render_doctor(document, self.form)
        click.echo(text, nl=False)


@dataclass(frozen=True, slots=True)
class _Visit:
    """What writes, and asks before."""

    client: Client
    lessons: Lessons
    report: Report
    page: _Page
    state: Path
    settle: float
    auto_approve: bool
    write: Path | None

    def probe(self, seen: Snapshot | None, signals: _Signals) -> bool:
        """Run a probe. Gives whether it learned all that there is to learn, and left nothing."""
        from reconciler.api.listing import list_sessions
        from reconciler.doctor.baseline import drop_before, keep_before
        from reconciler.doctor.context import PART
        from reconciler.doctor.probe import Probe, new_probe
        from reconciler.doctor.report import Check
        from reconciler.ownership.reserved import probe_name

        report = self.report
        if seen is None:
            why = "it was not begun, since the list can't be had whole, to compare it afterwards"
            report.checks.append(Check(PART, "the probe", "unknown", why))
            return False
        probe = new_probe()
        self._ask_to_probe(probe_name(probe))
        snapshot = list_sessions(self.client)  # whoever was asked may have taken an hour
        before = keep_before(self.state, probe, snapshot, taken=_now())
        run = Probe(self.client, self.lessons, snapshot, probe=probe, settle=self.settle)
        signals.probing = True
        try:
            with telling() as run.bench.tell:
                run.run()
        except KeyboardInterrupt:
            click.echo(f"interrupted: {run.leftover or 'what the probe made is deleted'}", err=True)
            if not run.untouched:
                click.echo(f"the list as it was before is in {before}", err=True)
            if self.write is not None:
                click.echo(f"{self.write} was not written", err=True)
            raise
        finally:
            signals.probing = False
            report.checks += run.checks
            report.untouched = run.untouched
            if not (run.untouched and drop_before(before)):
                report.checks.append(Check(PART, "the list as it was before", "ok", f"is in {before}"))
            self.page.catch_up()
        if run.leftover:
            return False
        removed = self._remove(snapshot) if report.leftovers else frozenset()
        self._settle(lambda: list_sessions(self.client), removed, but=probe)
        return run.complete

    def _ask_to_probe(self, name: str) -> None:
        if self.auto_approve:
            return
        click.echo(
            f"\nThe probe makes one session, {name!r}, tries up to a hundred calls on it, adds a message to it, and "
            "deletes it. No other session is written to.",
            err=True,
        )
        if self.report.leftovers:
            numbers = ", ".join(f"#{one.session_id}" for one in self.report.leftovers)
            click.echo(f"It also deletes what an earlier probe left: {numbers}.", err=True)
        approve("Go ahead?")

    def offer(self, snapshot: Snapshot) -> None:
        """Delete what a killed probe left, if that is wanted, and settle the lists that such probes kept."""
        from reconciler.api.listing import list_sessions

        removed = self._remove(snapshot) if self.report.leftovers and self._is_wanted() else frozenset()
        self._settle(lambda: list_sessions(self.client) if removed else snapshot, removed)

    def _is_wanted(self) -> bool:
        from reconciler.doctor.report import report_to_document
        from reconciler.render.doctor import render_leftover

        if self.auto_approve:
            return True
        if self.page.form != "text" or not sys.stdin.isatty():
            return False
        found = report_to_document(self.report)["leftovers"]
        for one in found:
            click.echo(render_leftover(one), err=True)
        try:
            approve("Delete it?" if len(found) == 1 else f"Delete these {len(found)}?")
        except Refused:
            return False
        return True

    def _remove(self, snapshot: Snapshot) -> frozenset[str]:
        """Delete what killed probes left. Gives the ids of those of which nothing is left."""
        from reconciler.doctor.baseline import EARLIER, remove_leftovers
        from reconciler.doctor.report import Check

        report, found = self.report, self.report.leftovers
        contract = self.lessons.contract
        try:
            with telling() as tell:
                tell("removing what a killed probe left")
                left = remove_leftovers(self.client, contract, snapshot, found, self.settle)
        except ReconcilerError as error:
            problem = error.problems[0]
            report.checks.append(Check(EARLIER, "left over", "differs", problem.message, problem.hint))
            return frozenset()
        gone = ", ".join(f"#{one.session_id}" for one in found if one not in left)
        if gone:
            report.checks.append(Check(EARLIER, "left over", "ok", f"{gone} deleted"))
        report.leftovers = left
        return frozenset(one.probe for one in found) - {one.probe for one in left}

    def _settle(self, now: Callable[[], Snapshot], removed: frozenset[str], but: str = "") -> None:
        from reconciler.doctor.baseline import EARLIER, settle_earlier
        from reconciler.doctor.report import Check

        try:
            checks = settle_earlier(self.state, self.client.contract, now, removed, but)
        except ReconcilerError as error:
            why = f"can't be compared: {error.problems[0].message}"
            checks = [Check(EARLIER, "the lists before earlier probes", "unknown", why)]
        self.report.checks += checks
        if any(check.verdict == "differs" for check in checks):
            self.report.untouched = False


def _check_writable(path: Path) -> None:
    """See that the contract can be written, before anything is asked: afterwards all would have been for nothing.

    Raises:
        ReconcilerError: it can't.
    """
    try:
        check_writable(path)
    except OSError as error:
        raise ReconcilerError(f"the contract can't be written to {path}: {error.strerror}") from None


def _learned(report: Report, contract: Contract, path: Path | None) -> str:
    """Put the contract that came out into the report, and into a file where one is asked for.

    Gives why it could not be written, empty where it was.
    """
    from reconciler.doctor.learned import contract_to_document, contract_to_yaml, learned_contract

    contract = learned_contract(contract, at=_now(), endpoint=report.endpoint)
    report.learned = contract_to_document(contract)
    if path is not None:
        try:
            write_out(path, contract_to_yaml(contract), mode=0o644)
        except OSError as error:
            return f"{error.strerror}; --format json shows what was learned, too"
        report.written = str(path)
    return ""


def _now() -> str:
    return write_timestamp(datetime.now(UTC))


class _Signals:
    """Ctrl-C and SIGTERM end the run. That a probe cleans up first is said, once."""

    probing = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.probing:
            click.echo("\nending: the probe deletes what it made (again to end at once)", err=True)
            self.probing = False
        raise KeyboardInterrupt


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    before = {number: signal.signal(number, signals.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
