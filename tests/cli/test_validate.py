"""``reconciler validate``, and what every command says about a catalog that is not valid."""

from __future__ import annotations

import subprocess

from reconciler.server import RunningServer
from tests.cli.conftest import COMMAND, Shell


def test_a_valid_catalog_needs_no_key_and_no_service(shop: Shell, server: RunningServer) -> None:
    done = shop.run("validate", "shop", MINDCRAFT_API_KEY="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "bookshop: 2 sessions, all valid.\n", "")
    assert server.log == []


def test_the_catalog_is_the_folder_that_one_is_in(shop: Shell) -> None:
    done = subprocess.run(
        [COMMAND, "validate"],
        cwd=shop.root,
        env=shop.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "bookshop: 2 sessions, all valid.\n")


def test_a_catalog_that_is_not_valid(shop: Shell, server: RunningServer) -> None:
    """Every command that reads it says the same, on stderr. A plan asks for the list meanwhile; no other speaks."""
    (shop.root / "sessions" / "more.yaml").write_text("sessions:\n  Eve: {name: Eve, prompt: x}\n")
    (shop.root / "sessions" / "none.yaml").write_text("sessions:\n  dora: {name: Dora}\n")
    said = {
        (done.returncode, done.stdout, done.stderr)
        for done in (
            shop.run("validate", "shop"),
            shop.run("plan", "shop"),
            shop.run("apply", "shop", "--auto-approve"),
        )
    }
    ((code, out, err),) = said
    assert (code, out) == (1, "")
    assert err.startswith("sessions/more.yaml:2:3: ")
    assert "sessions/none.yaml:2:" in err
    assert [one.operation for one in server.log] in ([], ["list_sessions"])


def test_a_catalog_does_not_choose_the_address_or_the_key(shop: Shell, server: RunningServer) -> None:
    for name in ("endpoint", "api_key", "contract"):
        shop.write({}, **{name: "https://evil.example"})
        done = shop.run("plan", "shop")
        assert done.returncode == 1
        assert done.stderr.startswith(f"catalog.yaml:5:1: `{name}` is not a field of")
    assert {one.operation for one in server.log} <= {"list_sessions"}  # at the address that the user gave
