"""``reconciler doctor``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.approve import approve
from reconciler.cli.connect import Connection, connect, connection_for
from reconciler.cli.options import (
    OutPath,
    Seconds,
    approve_option,
    catalog_argument,
    connection_options,
    environment_option,
    state_option,
)
from reconciler.cli.output import format_option
from reconciler.cli.progress import telling
from reconciler.cli.suggestions import completed
from reconciler.disk import check_writable, write_out
from reconciler.errors import ExitCode, ReconcilerError, Refused
from reconciler.state import FOLDER
from reconciler.text.escape import terminal
from reconciler.text.timestamps import write_timestamp

if TYPE_CHECKING:
    from reconciler.api.client import Client
    from reconciler.contract import Contract
    from reconciler.doctor.learned import LearnedFacts
    from reconciler.doctor.report import Report
    from reconciler.doctor.survey import Survey
    from reconciler.domain import Snapshot


@click.command()
@catalog_argument
@environment_option
@connection_options
@state_option
@click.option("--probe", is_flag=True, help="Also create one session, learn by writing to it, and delete it.")
@approve_option
@click.option("--write", type=OutPath(), help="Write what was learned to this contract file.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, file_okay=False),
    help="Record every call in this new folder, without the key and the prompts.",
)
@click.option(
    "--settle",
    type=Seconds(0),
    default=30.0,
    show_default=True,
    help="How many seconds the list may lag behind a write.",
)
@format_option()
def command(
    catalog: Path,
    env: str | None,
    state_dir: Path | None,
    probe: bool,
    auto_approve: bool,
    write: Path | None,
    record: Path | None,
    settle: float,
    form: str,
    **flags: Any,
) -> int:
    """Find out which lines of the contract are true of a real account.

    Without --probe, every call is a GET. With --probe, one session is created, with a name that says what it is,
    written to and deleted. No other session is ever written to; the list is compared before and after to show it,
    also while others use the account. Run only one probe at a time on an account.

    The commands of a catalog use what --write wrote if catalog.yaml names the file: `contract: contract.yaml`.

    The exit code is 1 if something differs from the contract and was not written with --write, and if a probe may have
    changed another session.
    """
    from reconciler.doctor.baseline import find_leftovers
    from reconciler.doctor.learned import LearnedFacts, learned_contract
    from reconciler.doctor.record import Recorder
    from reconciler.doctor.report import Report

    state = state_dir or catalog / FOLDER
    if write is not None:
        _check_writable(write)
    connection = _connection(flags, catalog, env, write)
    with _signals() as signals, connect(connection, state) as client:
        if recorder := Recorder(record, client) if record is not None else None:
            client.observe(recorder)
        learned = LearnedFacts(client.contract, afresh=probe)
        surveyed = _survey(client, learned, probe=probe)
        snapshot = surveyed.snapshot
        report = Report(client.endpoint.name, client.contract, list(surveyed.checks))
        report.leftovers = () if snapshot is None else find_leftovers(snapshot)
        output = _Output(report, form)
        run = _Run(client, learned, report, output, state, settle, auto_approve, write)
        output.show_new_checks()
        why, complete = "the list of sessions can't be read", False
        if snapshot is not None:
            unknown = run.probe(snapshot, signals) if probe else run.offer_cleanup(snapshot)
            complete = not unknown
            at = _now()
            contract = learned_contract(learned.contract, at=at, endpoint=report.endpoint, unknown=unknown)
            why = _finish_contract(report, contract, write)
        elif probe:
            run.refuse_to_probe()
        if recorder is not None:
            report.recorded = str(record)
            if recorder.failed:
                click.echo(recorder.failed, err=True)
    output.finish()
    if write is not None:
        _tell_of_file(write, "" if report.written else why, catalog, env)
    return ExitCode.ERROR if write is not None and not report.written else _exit_code(report, complete)


def _in_catalog(folder: Path, file: Path | None) -> str:
    """The path of a file in a catalog's folder, as catalog.yaml writes it; empty if it is elsewhere, or hidden."""
    from reconciler.catalog.files import UnreadableError, check_path

    root = folder.resolve()
    if file is None or not (root / "catalog.yaml").exists() or not file.resolve().is_relative_to(root):
        return ""
    path = file.resolve().relative_to(root).as_posix()
    try:
        check_path(path)
    except UnreadableError:
        return ""
    return path


def _connection(flags: Mapping[str, Any], folder: Path, env: str | None, write: Path | None) -> Connection:
    """How to reach the service. The contract that catalog.yaml names may be the file that is yet to be written."""
    unwritten = "" if write is None or write.exists() else _in_catalog(folder, write)
    return connection_for(flags, folder, env, unwritten=unwritten)


def _tell_of_file(file: Path, failed: str, folder: Path, env: str | None) -> None:
    """Say on stderr why the contract was not written, or what makes every command of the catalog use it."""
    from reconciler.catalog import service_facts

    if failed:
        click.echo(f"{file} was not written: {failed}", err=True)
        return
    path = _in_catalog(folder, file)
    if not path:
        return
    try:
        said = service_facts(folder, env)
    except ReconcilerError:
        said = []
    if any(one.contract is not None and one.contract.file == path for one in said):
        click.echo(terminal(f"catalog.yaml names {path}: the commands of this catalog use it."), err=True)
        return
    where = f", below `environments: {env}:`" if env else ""
    click.echo(
        terminal(f"To use it without a flag, add to catalog.yaml{where}: `contract: {path}`"), err=True
    )


def _exit_code(report: Report, complete: bool) -> ExitCode:
    """``complete`` says whether every fact of a contract was found out."""
    if not complete or report.leftovers or report.left_behind or not report.untouched:
        return ExitCode.ERROR
    return ExitCode.ERROR if report.count("differs") and not report.written else ExitCode.OK


def _survey(client: Client, learned: LearnedFacts, *, probe: bool) -> Survey:
    """Run the checks that only send GETs, with a note on the terminal meanwhile."""
    from reconciler.doctor.survey import survey

    with telling() as tell:
        tell("reading the account")
        return survey(client, learned, probe=probe)


class _Output:
    """The report on stdout. As text, the checks so far are shown before each question."""

    def __init__(self, report: Report, form: str) -> None:
        self.report, self.form = report, form
        self._shown = 0

    def show_new_checks(self) -> None:
        """Show the checks that have not been shown yet."""
        from reconciler.doctor.report import report_to_document
        from reconciler.render.doctor import render_checks

        if self.form == "text" and len(self.report.checks) > self._shown:
            after = self.report.checks[self._shown - 1].part if self._shown else None
            checks = report_to_document(self.report)["checks"][self._shown :]
            click.echo(completed(render_checks(checks, after)), nl=False)
            self._shown = len(self.report.checks)

    def finish(self) -> None:
        """Show the rest, or the whole report as JSON."""
        from reconciler.doctor.report import report_to_document
        from reconciler.render.doctor import render_doctor, render_end

        self.show_new_checks()
        document = report_to_document(self.report)
        text = completed(render_end(document)) if self.form == "text" else render_doctor(document, self.form)
        click.echo(text, nl=False)


@dataclass(frozen=True, slots=True)
class _Run:
    """The parts of a run that write, after asking for approval."""

    client: Client
    learned: LearnedFacts
    report: Report
    output: _Output
    state: Path
    settle: float
    auto_approve: bool
    write: Path | None

    def refuse_to_probe(self) -> None:
        """Report that no probe is started, because its effect on other sessions could not be checked."""
        from reconciler.doctor.context import PROBE_PART
        from reconciler.doctor.report import Check

        why = "not started, because the list can't be read as a whole, to compare it afterwards"
        self.report.checks.append(Check(PROBE_PART, "the probe", "unknown", why))

    def probe(self, snapshot: Snapshot, signals: _Signals) -> Sequence[str]:
        """Run a probe. Returns what it could not find out, although a contract should say it."""
        from reconciler.api.listing import list_sessions
        from reconciler.doctor.baseline import delete_baseline, save_baseline
        from reconciler.doctor.context import PROBE_PART
        from reconciler.doctor.probe import Probe, new_probe
        from reconciler.doctor.report import Check
        from reconciler.ownership.reserved import probe_name

        report = self.report
        probe = new_probe()
        self._ask_to_probe(probe_name(probe))
        snapshot = list_sessions(self.client)  # the answer may have taken an hour
        baseline = save_baseline(self.state, probe, snapshot, taken=_now())
        probe_run = Probe(self.client, self.learned, snapshot, probe=probe, settle=self.settle)
        signals.probing = True
        try:
            with telling() as probe_run.context.progress:
                probe_run.run()
        except KeyboardInterrupt:
            click.echo(f"interrupted: {probe_run.leftover or 'what the probe created is deleted'}", err=True)
            if not probe_run.untouched:
                click.echo(f"the list from before the probe is in {baseline}", err=True)
            if self.write is not None:
                click.echo(f"{self.write} was not written", err=True)
            raise
        finally:
            signals.probing = False
            report.checks += probe_run.checks
            report.untouched = probe_run.untouched
            if not (probe_run.untouched and delete_baseline(baseline)):
                report.checks.append(
                    Check(PROBE_PART, "the list from before the probe", "ok", f"is in {baseline}")
                )
            self.output.show_new_checks()
        report.left_behind = probe_run.leftover
        if report.left_behind:
            return probe_run.unknown
        removed = self._remove(snapshot) if report.leftovers else frozenset()
        self._check_earlier(lambda: list_sessions(self.client), removed, skip=probe)
        return probe_run.unknown

    def _ask_to_probe(self, name: str) -> None:
        if self.auto_approve:
            return
        click.echo(
            f"\nThe probe creates one session, {name!r}, tries up to two hundred calls on it, adds three messages to "
            "it, and deletes it. No other session is written to. If the service turns out to have no call that deletes "
            "a session, this one stays until you delete it in the console.",
            err=True,
        )
        if self.report.leftovers:
            numbers = ", ".join(f"#{one.session_id}" for one in self.report.leftovers)
            click.echo(f"It also deletes what an earlier probe left behind: {numbers}.", err=True)
        approve("Go ahead?")

    def offer_cleanup(self, snapshot: Snapshot) -> Sequence[str]:
        """Delete what a killed probe left behind, if the user wants that, and compare the lists of earlier probes.

        Returns what is still unknown of a contract that was learned in part.
        """
        from reconciler.api.listing import list_sessions

        wanted = bool(self.report.leftovers) and self._approves_cleanup()
        removed = self._remove(snapshot) if wanted else frozenset()
        self._check_earlier(lambda: list_sessions(self.client) if removed else snapshot, removed)
        learned = self.client.contract.learned
        return learned.partial if learned is not None else ()

    def _approves_cleanup(self) -> bool:
        from reconciler.doctor.report import report_to_document
        from reconciler.render.doctor import render_leftover

        if self.auto_approve:
            return True
        if self.output.form != "text" or not sys.stdin.isatty():
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
        """Delete what killed probes left behind. Returns the ids of the probes that are cleaned up."""
        from reconciler.doctor.baseline import EARLIER, delete_leftovers
        from reconciler.doctor.probe import NO_DELETE
        from reconciler.doctor.report import Check

        report, found = self.report, self.report.leftovers
        contract = self.learned.contract
        try:
            with telling() as tell:
                tell("deleting what a killed probe left behind")
                left = delete_leftovers(self.client, contract, snapshot, found, self.settle)
        except ReconcilerError as error:
            problem = error.problems[0]
            report.checks.append(Check(EARLIER, "left over", "differs", problem.message, problem.hint))
            return frozenset()
        gone = ", ".join(f"#{one.session_id}" for one in found if one not in left)
        if gone:
            report.checks.append(Check(EARLIER, "left over", "ok", f"{gone} deleted"))
        for one, why in left.items():
            seen = f"#{one.session_id} can't be deleted: {why}"
            report.checks.append(Check(EARLIER, "left over", "differs", seen, NO_DELETE))
        report.leftovers, report.removal_failed = list(left), bool(left)
        return frozenset(one.probe for one in found) - {one.probe for one in left}

    def _check_earlier(
        self, read_list: Callable[[], Snapshot], removed: frozenset[str], skip: str = ""
    ) -> None:
        from reconciler.doctor.baseline import EARLIER, check_earlier_baselines
        from reconciler.doctor.report import Check

        try:
            checks = check_earlier_baselines(self.state, self.client.contract, read_list, removed, skip)
        except ReconcilerError as error:
            why = f"can't be compared: {error.problems[0].message}"
            checks = [Check(EARLIER, "the lists from before earlier probes", "unknown", why)]
        self.report.checks += checks
        if any(check.verdict == "differs" for check in checks):
            self.report.untouched = False


def _check_writable(path: Path) -> None:
    """Check that the contract can be written before the run, which would otherwise be wasted.

    Raises:
        ReconcilerError: it can't be written.
    """
    try:
        check_writable(path)
    except OSError as error:
        raise ReconcilerError(f"the contract can't be written to {path}: {error.strerror}") from None


def _finish_contract(report: Report, contract: Contract, path: Path | None) -> str:
    """Put the learned contract into the report, and into a file if the user named one.

    Returns why it could not be written, or an empty string. A contract that was learned in part does not replace one
    that was learned as a whole.
    """
    from reconciler.doctor.learned import contract_to_document, contract_to_yaml, not_tried

    report.learned = contract_to_document(contract)
    report.not_tried = not_tried(contract)
    if path is not None:
        if contract.learned is not None and contract.learned.partial and _is_whole(path):
            return "it was learned as a whole, and this run learned only a part"
        try:
            write_out(path, contract_to_yaml(contract), mode=0o644)
        except OSError as error:
            return f"{error.strerror}; --format json also shows what was learned"
        report.written = str(path)
    return ""


def _is_whole(path: Path) -> bool:
    """Whether a file is a contract that was learned as a whole."""
    from reconciler.contract import load_contract
    from reconciler.doctor.learned import not_tried

    try:
        contract = load_contract(path) if path.is_file() else None
    except ReconcilerError:
        return False
    return bool(contract and contract.learned and not contract.learned.partial and not not_tried(contract))


def _now() -> str:
    return write_timestamp(datetime.now(UTC))


class _Signals:
    """Ctrl-C and SIGTERM end the run. During a probe, the first one says that the probe cleans up first."""

    probing = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.probing:
            click.echo("\nending: the probe deletes what it created (a second signal ends at once)", err=True)
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
