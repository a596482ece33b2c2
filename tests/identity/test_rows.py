"""Every row of the table of identities, with the installed command, on the embedded server and the second service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import run
from reconciler.server import running_server
from tests.cli.conftest import Shell
from tests.identity.rows import ROWS, Row, as_markdown
from tests.identity.world import Command, DrfHands, EmbeddedHands, World, plan_messages
from tests.services.drf.running import KEYS, Service, needs_drf, running_drf
from tests.support import learned_file

PAGE = Path(__file__).parents[2] / "docs" / "ownership.md"

#: One write after the other, so that ids are given in the order of keys.
APPLY = ("--auto-approve", "--settle", "0", "--parallelism", "1")

#: Rows that run in a process of their own, too.
INSTALLED = 3


def environment(url: str, folder: Path, account: int, *, assumed: bool) -> dict[str, str]:
    variables = {"MINDCRAFT_ENDPOINT": url, "MINDCRAFT_API_KEY": KEYS[account]}
    return variables if assumed else {**variables, "RECONCILER_CONTRACT": str(learned_file(folder))}


@pytest.fixture
def in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, Row], Command]:
    """The command without a process of its own, for a service at this address."""
    monkeypatch.chdir(tmp_path)

    def at(url: str, row: Row) -> Command:
        def command(words: list[str], account: int) -> tuple[int, str, str]:
            for name, value in environment(url, tmp_path, account, assumed=row.assumed).items():
                monkeypatch.setenv(name, value)
            capsys.readouterr()
            code = run(words)
            return code, *capsys.readouterr()

        return command

    return at


def installed(folder: Path, url: str, row: Row) -> Command:
    """The command as ``pip install`` left it, in a process of its own."""

    def command(words: list[str], account: int) -> tuple[int, str, str]:
        variables = environment(url, folder, account, assumed=row.assumed)
        done = Shell(folder, variables).run(*words)
        return done.returncode, done.stdout, done.stderr

    return command


def outcome(row: Row, world: World) -> tuple[tuple[str, ...], tuple[int, ...], str]:
    """What is said, the exit codes, and what is live at the end."""
    row.given(world)
    if row.command:
        code, _ = world.run(*(world.archive() if word == "ARCHIVE" else word for word in row.command.split()))
        return (world.said,), (code,), world.live()
    planned, out = world.run("plan", "shop", "--format", "json", *row.flags)
    drift, _ = world.run("drift", "shop", *row.flags)
    applied, _ = world.run("apply", "shop", *APPLY, *row.flags)
    return plan_messages(out), (planned, drift, applied), world.live()


def check(row: Row, world: World) -> None:
    assert outcome(row, world) == (row.says, row.codes, row.live)


def ids(row: Row) -> str:
    return f"{row.about}: {row.what}"


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row(row: Row, tmp_path: Path, in_process: Callable[[str, Row], Command]) -> None:
    with running_server(None, require_key=KEYS, quirks=row.quirks) as server:
        check(row, World(tmp_path, EmbeddedHands(server), in_process(server.url, row)))


@pytest.mark.parametrize("row", [row for row in ROWS if row.sample][:INSTALLED], ids=ids)
def test_a_row_as_the_installed_command(row: Row, tmp_path: Path) -> None:
    with running_server(None, require_key=KEYS) as server:
        check(row, World(tmp_path, EmbeddedHands(server), installed(tmp_path, server.url, row)))


@pytest.fixture(scope="module")
def drf() -> Iterator[Service]:
    with running_drf() as service:
        yield service


def on_both() -> Iterator[Any]:
    for row in ROWS:
        if row.quirks is None:
            yield pytest.param(row, marks=() if row.sample else (pytest.mark.full,))


@needs_drf
@pytest.mark.parametrize("row", list(on_both()), ids=ids)
def test_a_row_on_the_second_service(
    row: Row, tmp_path: Path, drf: Service, in_process: Callable[[str, Row], Command]
) -> None:
    drf.empty()
    check(row, World(tmp_path, DrfHands(drf), in_process(drf.url, row)))


def table_of(page: str) -> str:
    """What the page says between the two marks."""
    start, end = "<!-- made by python -m tests.identity -->\n\n", "\n<!-- end of it -->"
    return page.partition(start)[2].partition(end)[0]


def test_the_page_has_these_rows() -> None:
    assert table_of(PAGE.read_text(encoding="utf-8")) == as_markdown(ROWS)
