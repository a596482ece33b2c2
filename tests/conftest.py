"""What holds for all tests; ``--full``; and the one line at the end that says what the fault suite found."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

from tests import warm
from tests.faults.tally import Tally

# A deadline is a timing, and a busy machine would fail the test. Failures are found again by the same examples.
settings.register_profile("full", deadline=None, print_blob=True)
settings.register_profile("usual", settings.get_profile("full"), max_examples=40)

# What a run says when an answer takes long is a timing, too: tests/cli/test_slow_start.py asks for it.
os.environ["RECONCILER_PATIENCE"] = "600"

_TALLY = pytest.StashKey[Tally]()
_NAME = "faults"

#: The table of the busy account: row, what is wanted, what was seen.
_TABLE = pytest.StashKey[list[tuple[str, str, str]]]()
_BUSY = "busy"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="also run what is marked full, with more examples, and the installed command",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes long, and runs with --full alone")
    full = config.getoption("--full")
    settings.load_profile("full" if full else "usual")
    warm.enabled = not full
    config.stash[_TALLY] = Tally()
    config.stash[_TABLE] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are the installed one, started as a user starts it, and not forked (:mod:`tests.warm`)."""
    monkeypatch.setattr(warm, "enabled", False)


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """What this process counts for the line at the end."""
    return pytestconfig.stash[_TALLY]


@pytest.fixture(scope="session")
def busy_table(pytestconfig: pytest.Config) -> list[tuple[str, str, str]]:
    """The rows that this process adds to the table of the busy account."""
    return pytestconfig.stash[_TABLE]


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of xdist hands its counts over
        output[_NAME] = session.config.stash[_TALLY].counts()
        output[_BUSY] = session.config.stash[_TABLE]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    counts = getattr(node, "workeroutput", {}).get(_NAME)
    if counts:
        node.config.stash[_TALLY].add(counts)
    table: list[tuple[str, str, str]] = node.config.stash[_TABLE]
    table.extend(getattr(node, "workeroutput", {}).get(_BUSY, ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    tally = config.stash[_TALLY]
    if tally.scenarios:
        terminalreporter.write_line(str(tally))
    table = config.stash[_TABLE]
    for row, wanted, seen in sorted(table):
        terminalreporter.write_line(f"{row}: wanted {wanted}; seen {seen}")
