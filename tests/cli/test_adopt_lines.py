"""A finished ``adopt`` line has no effect: with the installed command."""

from __future__ import annotations

import pytest

from reconciler.server import RunningServer
from tests.cli.conftest import Shell
from tests.cli.test_ownership import by_hand
from tests.cli.test_renamed import identities

HEAD = "version: 1\ncatalog: shop\ndefaults: {model: m}\n"


def write(shop: Shell, sessions: str, rest: str = "", name: str = "shop") -> None:
    for path in (shop.root / "sessions").glob("*"):
        path.unlink()
    (shop.root / "sessions").mkdir(exist_ok=True)
    (shop.root / "catalog.yaml").write_text(HEAD.replace("shop", name) + rest)
    (shop.root / "sessions" / "all.yaml").write_text("sessions:\n" + sessions)


def one_line(text: str) -> str:
    return " ".join(text.split())


ANN = "  ann: {name: Ann, prompt: Be Ann.}\n"
BEN = "  ben: {name: Ben, prompt: Be Ben.}\n"


def test_a_line_that_is_done_is_noted_and_removed_by_tidy(shop: Shell, server: RunningServer) -> None:
    number = by_hand(server, "Ann")
    ann = f"  # the first of all\n  ann:\n    adopt: {number}  # from the console\n    name: Ann\n    prompt: Be Ann.\n"
    write(shop, ann + BEN)
    assert shop.run("adopt", "--tidy", "--catalog", "shop").stdout == "No adopt line is done.\n"
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    done = shop.run("plan", "shop", "--detailed-exitcode")
    assert done.returncode == 0
    note = f"[adopted] `adopt: {number}` of ann is done: remove with `reconciler adopt --tidy --catalog=shop`"
    assert note in one_line(done.stdout)

    done = shop.run("adopt", "--tidy", "--catalog", "shop")
    assert (done.returncode, done.stdout, done.stderr) == (0, "changed sessions/all.yaml\n", "")
    text = (shop.root / "sessions" / "all.yaml").read_text()
    assert text == "sessions:\n  # the first of all\n  ann:\n    name: Ann\n    prompt: Be Ann.\n" + BEN
    assert "[adopted]" not in shop.run("plan", "shop").stdout


def test_what_is_gone_puts_its_key_in_question_and_not_the_catalog(
    shop: Shell, server: RunningServer
) -> None:
    write(shop, ANN.replace("{", "{adopt: 99, ") + BEN)
    done = shop.run("plan", "shop")
    assert done.returncode == 0
    gone = "is to adopt #99, which is not live, so nothing is done about ann: remove its adopt line to create it, "
    assert f"[adopt-gone] ann #99 {gone}or correct the number" in one_line(done.stdout)
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 4
    assert done.stderr == f"not done: ann {gone}or correct the number\n"
    assert [one[3] for one in identities(server)] == ["ben"]

    plan = shop.run("plan", "shop", "--detailed-exitcode")
    assert (plan.returncode, plan.stdout.splitlines()[-1]) == (
        2,
        "Nothing to apply. 1 session of the catalog is left undone: see the notes.",
    )
    tidy = shop.run("adopt", "--tidy", "--catalog", "shop")
    assert (tidy.returncode, tidy.stdout) == (0, "No adopt line is done.\n")
    assert tidy.stderr == f"left in place: ann {gone}or correct the number\n"


def test_a_stranger_is_refused_by_the_name_of_its_owner(shop: Shell, server: RunningServer) -> None:
    write(shop, ANN, name="toyshop")
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    write(shop, "  amy: {adopt: 1, name: Amy, prompt: Be Amy.}\n")
    done = shop.run("plan", "shop")
    assert done.returncode == 3
    assert "[adopt] amy is to adopt #1, which belongs to toyshop/ann" in done.stdout


def test_what_is_ours_under_another_key_is_a_move(shop: Shell, server: RunningServer) -> None:
    write(shop, ANN)
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    write(shop, "  amy: {adopt: 1, name: Amy, prompt: Be Amy.}\n")
    done = shop.run("plan", "shop")
    assert done.returncode == 3
    assert "[adopt] amy is to adopt #1, which is ann of this catalog already" in done.stdout
    assert "write moved: [{from: ann, to: amy}] instead of the adopt entry" in one_line(done.stdout)


def test_beside_environments_a_session_says_where_its_line_belongs(shop: Shell) -> None:
    write(shop, ANN.replace("{", "{adopt: 7, ") + BEN, "environments: {staging: {}, production: {}}\n")
    done = shop.run("validate", "shop", "--env", "staging")
    assert done.returncode == 1
    assert "every environment would adopt the same live session as `ann`\n" in done.stderr
    assert "move it to catalog.yaml: environments: {staging: {sessions: {ann: {adopt: 7}}}}" in done.stderr


@pytest.mark.parametrize("patch", ["ann: {adopt: 1}", "ann: {adopt: 1, model: other}"])
def test_a_line_of_an_environment_is_removed_by_tidy(shop: Shell, server: RunningServer, patch: str) -> None:
    by_hand(server, "Ann")
    rest = f"environments:\n  staging:\n    sessions:\n      {patch}\n  production: {{}}\n"
    write(shop, ANN + BEN, rest)
    done = shop.run("apply", "shop", "--env", "staging", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    done = shop.run("adopt", "--tidy", "--catalog", "shop", "--env", "staging")
    assert (done.returncode, done.stdout) == (0, "changed catalog.yaml\n"), done.stderr
    assert "adopt" not in (shop.root / "catalog.yaml").read_text()
    done = shop.run("plan", "shop", "--env", "staging", "--detailed-exitcode")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_export_for_an_environment_writes_the_lines_there(shop: Shell, server: RunningServer) -> None:
    by_hand(server, "Ann")
    done = shop.run("export", "out", "--catalog-name", "shop", "--env", "staging")
    assert done.returncode == 0, done.stderr
    done = shop.run("apply", "out", "--env", "staging", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert identities(server) == [(1, "shop", "staging", "ann")]
    assert shop.run("adopt", "--tidy", "--catalog", "out", "--env", "staging").returncode == 0
    assert shop.run("plan", "out", "--env", "staging", "--detailed-exitcode").returncode == 0


def test_a_line_beside_a_matrix_is_removed_by_tidy(shop: Shell, server: RunningServer) -> None:
    """It stands under the key of the matrix, and a session that is made by one has another."""
    number = by_hand(server, "Ann")
    lines = (
        f"  tutors:\n    adopt: {number}\n    name: Ann\n    prompt: Be Ann.\n"
        "    matrix: {axes: {lang: [en]}, key: 'tutor-{lang}'}\n"
    )
    write(shop, lines)
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    done = shop.run("adopt", "--tidy", "--catalog", "shop")
    assert (done.returncode, done.stdout) == (0, "changed sessions/all.yaml\n"), done.stderr
    text = (shop.root / "sessions" / "all.yaml").read_text()
    assert text == "sessions:\n" + lines.replace(f"    adopt: {number}\n", "")
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0
