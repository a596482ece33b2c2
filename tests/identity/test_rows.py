"""Every row of the table of identities, with the installed command, on the embedded server and the second service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.cli import run
from reconciler.server import running_server
from tests.cli.conftest import Shell
from tests.identity.rows import ROWS, Row
from tests.identity.world import Command, DrfHands, EmbeddedHands, World, plan_messages
from tests.services.drf.running import KEYS, Service, needs_drf, running_drf
from tests.support import learned_file

PAGE = Path(__file__).parents[2] / "docs" / "ownership.md"


def environment(url: str, contract: Path, account: int) -> dict[str, str]:
    return {
        "MINDCRAFT_ENDPOINT": url,
        "MINDCRAFT_API_KEY": KEYS[account],
        "RECONCILER_CONTRACT": str(contract),
    }


@pytest.fixture
def in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Command]:
    """The command without a process of its own, for a service at this address."""
    monkeypatch.chdir(tmp_path)
    contract = learned_file(tmp_path)

    def at(url: str) -> Command:
        def command(words: list[str], account: int) -> tuple[int, str, str]:
            for name, value in environment(url, contract, account).items():
                monkeypatch.setenv(name, value)
            capsys.readouterr()
            code = run(words)
            return code, *capsys.readouterr()

        return command

    return at


def installed(folder: Path, url: str) -> Command:
    """The command as ``pip install`` left it, in a process of its own."""
    contract = learned_file(folder)

    def command(words: list[str], account: int) -> tuple[int, str, str]:
        done = Shell(folder, environment(url, contract, account)).run(*words)
        return done.returncode, done.stdout, done.stderr

    return command


def outcome(row: Row, world: World) -> tuple[tuple[str, ...], tuple[int, ...], str]:
    """What is said, the exit codes, and what is live at the end."""
    row.given(world)
    if row.command:
        code, _ = world.run(*(world.archive() if word == "ARCHIVE" else word for word in row.command.split()))
        return (world.said,), (code,), world.live()
    planned, out = world.run("plan", "shop", "--format", "json", *row.flags)
    drift, _ = world.run("drift", "shop", *(flag for flag in row.flags))
    applied, _ = world.run("apply", "shop", "--auto-approve", "--settle", "0", *row.flags)
    return plan_messages(out), (planned, drift, applied), world.live()


def check(row: Row, world: World) -> None:
    assert outcome(row, world) == (row.says, row.codes, row.live)


def by_what(row: Row) -> str:
    return row.what


SAMPLE = [row for row in ROWS if row.sample]


@pytest.mark.parametrize("row", ROWS, ids=by_what)
def test_a_row(row: Row, tmp_path: Path, in_process: Callable[[str], Command]) -> None:
    with running_server(None, require_key=KEYS) as server:
        check(row, World(tmp_path, EmbeddedHands(server), in_process(server.url)))


@pytest.mark.parametrize("row", SAMPLE[:3], ids=by_what)
def test_a_row_as_the_installed_command(row: Row, tmp_path: Path) -> None:
    with running_server(None, require_key=KEYS) as server:
        check(row, World(tmp_path, EmbeddedHands(server), installed(tmp_path, server.url)))


@pytest.fixture(scope="module")
def drf() -> Iterator[Service]:
    with running_drf() as service:
        yield service


@needs_drf
@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=() if row.sample else (pytest.mark.full,)) for row in ROWS], ids=by_what
)
def test_a_row_on_the_second_service(
    row: Row, tmp_path: Path, drf: Service, in_process: Callable[[str], Command]
) -> None:
    drf.empty()
    check(row, World(tmp_path, DrfHands(drf), in_process(drf.url)))
