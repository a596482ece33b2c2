"""Behaviour tests on the command line: the flags, who is asked, and the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.address import check_address
from reconciler.api.cancellation import Cancellation
from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint, endpoint_name
from reconciler.api.rate_limit import RateLimiter
from reconciler.cli.connect import Connection, connect
from reconciler.cli.keys import did_you_mean
from reconciler.cli.options import OutPath, split
from reconciler.cli.progress import progress
from reconciler.cli.sections import option_in
from reconciler.cli.stopping import orderly_stop
from reconciler.domain import Catalog, Snapshot
from reconciler.errors import ExitCode, ReconcilerError, UsageError
from reconciler.text.hosts import is_loopback

if TYPE_CHECKING:
    from reconciler.behaviour.results import Tested
    from reconciler.plan.types import Plan
    from reconciler.trials.questions import Cost, Trial

F = TypeVar("F", bound=Callable[..., Any])

#: The variable with the key of --chat-endpoint.
CHAT_KEY = "RECONCILER_CHAT_API_KEY"

_tests = option_in("Behaviour tests")


@dataclass(frozen=True, slots=True)
class TestFlags:
    """The flags of :func:`tests_options`."""

    max_calls: int
    max_tokens: int | None
    chat_endpoint: str | None
    judge_model: str | None
    embedding_model: str | None
    replay: Path | None
    fresh: bool


def tests_options(function: F) -> F:
    """How behaviour tests are run."""
    for option in reversed(
        [
            _tests(
                "--max-calls",
                type=click.IntRange(0),
                default=200,
                show_default=True,
                help="The most calls that tests may make. It is checked before the first one.",
            ),
            _tests(
                "--max-tokens",
                type=click.IntRange(1),
                help="The most tokens that tests may take, by estimate. An answer without max_tokens counts as 1,000.",
            ),
            _tests(
                "--chat-endpoint",
                metavar="URL",
                help="Ask this address instead, which has to be compatible with the OpenAI API. Its key comes from "
                f"${CHAT_KEY}.",
            ),
            _tests(
                "--judge-model",
                metavar="MODEL",
                help="The model that judges answers by a rubric. Default: each persona's own.",
            ),
            _tests("--embedding-model", metavar="MODEL", help="The model for the check `similar_to`."),
            _tests(
                "--replay",
                type=click.Path(path_type=Path, exists=True, dir_okay=False),
                help="Take the answers from this file, and ask nobody. Needs no key.",
            ),
            _tests("--fresh", is_flag=True, help="Ask everything again, also what was answered before."),
        ]
    ):
        function = option(function)
    return function


def record_option(function: F) -> F:
    """--record."""
    return _tests(
        "--record",
        type=OutPath(),
        envvar="RECONCILER_TEST_RECORD",
        show_envvar=True,
        help="Write all answers to this file, for --replay.",
    )(function)


def gate_options(function: F) -> F:
    """Whether a plan is made with tests, and which of them may regress."""
    function = tests_options(function)
    function = _tests(
        "--allow-regression",
        metavar="KEY.TEST",
        multiple=True,
        help="Allow this test to have regressed, or not to have been run, although the policy requires tests. "
        "Repeatable.",
    )(function)
    return _tests(
        "--with-tests",
        is_flag=True,
        help="Run the behaviour tests of what the plan changes, with the live session and with the planned one.",
    )(function)


def tested_plan(
    plan: Plan, catalog: Catalog, snapshot: Snapshot, flags: Mapping[str, Any], where: Where
) -> tuple[Plan, int]:
    """The plan with the results of its tests, if flags ask for them, and with the guard on them if the policy does.

    Returns the plan, and 130 if the tests were interrupted, else 0.

    Raises:
        ReconcilerError: as :func:`run_tests` does.
    """
    if not catalog.tests:
        return plan, 0
    from reconciler.plan.tested import with_tests
    from reconciler.trials.select import changed_trials

    trials = changed_trials(catalog, plan, snapshot)
    results, interrupted = run_tests(trials, flags, where) if flags["with_tests"] else (None, 0)
    allowed = flags["allow_regression"]
    known = {f"{trial.key}.{trial.case.name}" for trial in trials}
    for name in allowed:
        if name not in known:
            hint = did_you_mean(name, known, "the flag has no effect here")
            click.echo(f"--allow-regression={name}: the plan changes no such test; {hint}", err=True)
    keys = sorted({trial.key for trial in trials})
    required = catalog.policy.tests == "required"
    return with_tests(plan, results, concerned=keys, required=required, allowed=allowed), interrupted


@dataclass(frozen=True, slots=True)
class Where:
    """Who is asked: the service of the connection, unless a flag names another one. ``state`` is the state folder."""

    connection: Connection
    state: Path


def run_tests(
    trials: Sequence[Trial], flags: Mapping[str, Any], where: Where
) -> tuple[tuple[Tested, ...], int]:
    """Run tests. Returns the results, and 130 if the run was interrupted, else 0.

    Raises:
        Refused: it would take more calls or tokens than the flags allow.
        ReconcilerError: the service can't be asked at all, or a file can't be read or written.
    """
    from reconciler.disk import write_out
    from reconciler.trials.answers import Answers, read_recording, recording
    from reconciler.trials.run import Asking, Limits, run_trials
    from reconciler.trials.select import tested

    given = split(flags, TestFlags)
    if given.replay and given.chat_endpoint:
        raise UsageError("--replay asks nobody, so --chat-endpoint has no effect", "leave out one of the two")
    recorded = None if given.replay is None else read_recording(given.replay)
    service = given.chat_endpoint or endpoint_name(where.connection.endpoint)
    answers = Answers(None if given.replay else where.state, recorded, service, fresh=given.fresh)
    if not trials:
        return (), 0
    stop = Cancellation()

    def interrupt() -> None:
        stop.set("interrupted")
        click.echo("\nstopping: what is known so far is shown (interrupt again to end at once)", err=True)

    def announce(needed: Cost) -> None:
        if needed.calls and not given.replay:
            calls = "one call" if needed.calls == 1 else f"at most {needed.calls:,} calls"
            click.echo(f"{len(trials)} test{'' if len(trials) == 1 else 's'}: {calls}", err=True)

    with orderly_stop(interrupt), _asked(given, where, stop) as client, progress("asking") as step:
        asking = Asking(
            client,
            answers,
            Limits(given.max_calls, given.max_tokens),
            given.judge_model,
            given.embedding_model,
            where.connection.parallelism,
            step,
            announce,
        )
        outcomes = run_trials(trials, asking)
    record = flags.get("record")
    if record is not None:
        try:
            write_out(record, recording(answers.used.items()))
        except OSError as error:
            raise ReconcilerError(f"the answers can't be written to {record}: {error.strerror}") from None
    return tested(outcomes), ExitCode.INTERRUPTED if stop.is_set() else 0


@contextmanager
def _asked(given: TestFlags, where: Where, stop: Cancellation) -> Iterator[Client | None]:
    """The client of whoever is asked; None if nobody is."""
    if given.replay is not None:
        yield None
        return
    if given.chat_endpoint is None:
        with connect(where.connection, where.state, stop=stop) as client:
            if "chat" not in client.contract.operations:
                raise ReconcilerError(
                    f"the contract {client.contract.name!r} has no chat call",
                    "describe `chat` in the contract file, or name another service with --chat-endpoint",
                )
            yield client
        return
    from reconciler.api.chat import chat_contract
    from reconciler.contract import load_contract

    url = check_address(given.chat_endpoint)
    key = os.environ.get(CHAT_KEY, "").strip()
    if not key and not is_loopback(_host(url)):
        raise ReconcilerError(
            f"there is no key for {url}: {CHAT_KEY} is not set",
            f"set {CHAT_KEY}; the key of the session API is not sent there",
        )
    flags = where.connection
    with Client(
        Endpoint(url, url, key, CHAT_KEY),
        chat_contract(load_contract(), url),
        connections=flags.parallelism,
        connect_timeout=flags.connect_timeout,
        read_timeout=flags.read_timeout,
        tries=flags.retries + 1,
        limiter=RateLimiter(stop),
    ) as client:
        yield client


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""
