"""A field that a service does not store is reported once, and is not drift: with the installed command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.server import Quirks, RunningServer, running_server
from tests.cli.conftest import Shell
from tests.support import API_KEY, learned_file

NFD, NFC = "cafe\u0301", "caf\u00e9"


@contextmanager
def keeping(tmp_path: Path, quirks: Quirks, **fields: object) -> Iterator[tuple[Shell, RunningServer]]:
    """A catalog of one session with these fields, and a service with these quirks whose contract is proven."""
    with running_server(tmp_path / "service.db", quirks=quirks) as server:
        shell = Shell(tmp_path, {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": API_KEY})
        shell.environ["RECONCILER_CONTRACT"] = str(learned_file(tmp_path))
        (shell.root / "sessions").mkdir(parents=True)
        (shell.root / "catalog.yaml").write_text("version: 1\ncatalog: shop\ndefaults: {model: m}\n")
        want(shell, **fields)
        yield shell, server


def want(shell: Shell, **fields: object) -> None:
    session = {"name": "Ann", "prompt": "Be Ann.", **fields}
    text = json.dumps({"sessions": {"ann": session}}, ensure_ascii=False)
    (shell.root / "sessions" / "all.yaml").write_text(text, encoding="utf-8")


def apply(shell: Shell, *words: str) -> str:
    done = shell.run("apply", "shop", "--auto-approve", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def summary(shell: Shell) -> dict[str, int]:
    found: dict[str, int] = json.loads(shell.run("plan", "shop", "--format", "json").stdout)["summary"]
    return found


def quiet(shell: Shell) -> bool:
    return (
        shell.run("plan", "shop", "--detailed-exitcode").returncode == 0
        and shell.run("drift", "shop").returncode == 0
    )


@pytest.mark.parametrize("value", ["", None, [], {}])
@pytest.mark.parametrize("group", ["data", "remark"])
def test_an_empty_value_that_is_not_kept_is_said_once(tmp_path: Path, group: str, value: object) -> None:
    with keeping(tmp_path, Quirks(drops_empty=True), **{group: {"mood": value, "level": 2}}) as (shell, _):
        sent = json.dumps(value)
        out = apply(shell)
        assert (
            f"  not kept: ann (#1) {group}.mood: sent {sent}, stored nothing; the tag records this\n" in out
        )
        assert "Verified: the live list is what was written.\n" in out
        assert quiet(shell)
        assert "not kept" not in apply(shell)


def test_a_standing_line_says_how_much_is_kept_in_another_form(tmp_path: Path) -> None:
    quirks = Quirks(drops_keys=frozenset({"mood", "tone"}))
    with keeping(tmp_path, quirks, data={"mood": "calm", "tone": "low", "level": 2}) as (shell, _):
        apply(shell)
        full = shell.run("plan", "shop", "--full").stdout
        assert "2 fields are kept in another form: apply --renew sends them again.\n" in full
        assert "kept in another form" not in shell.run("plan", "shop").stdout
        assert summary(shell)["rewritten"] == 2
        for form in ("markdown", "html"):
            out = shell.run("plan", "shop", "--full", "--format", form).stdout
            assert "2 fields are kept in another form: apply --renew sends them again." in out, form
        out = shell.run("plan", "shop", "--format", "markdown").stdout
        assert "kept in another form" not in out


def test_a_change_of_another_field_does_not_bring_it_up_again(tmp_path: Path) -> None:
    with keeping(tmp_path, Quirks(drops_keys=frozenset({"mood"})), data={"mood": "calm"}) as (shell, _):
        apply(shell)
        want(shell, prompt="Be Ann, always.", data={"mood": "calm"})
        out = apply(shell)
        assert "data.mood" not in out
        assert quiet(shell)


def test_a_lifted_limit_is_found_by_a_write_of_the_field_and_by_renew(tmp_path: Path) -> None:
    with keeping(tmp_path, Quirks(drops_keys=frozenset({"mood"})), data={"mood": "calm"}) as (shell, _):
        apply(shell)
        assert quiet(shell)
        out = apply(shell, "--renew")
        assert "not kept: ann (#1) data.mood" in out  # it is tried, and said, since that was asked for
        assert quiet(shell)
        want(shell, data={"mood": "merry"})
        assert shell.run("plan", "shop", "--detailed-exitcode").returncode == 2
        assert shell.run("drift", "shop").returncode == 0
        with lifted(shell) as service:
            apply(shell)
            assert service.store.sessions()[0].data == {"mood": "merry"}
            assert summary(shell)["rewritten"] == 0


@contextmanager
def lifted(shell: Shell) -> Iterator[RunningServer]:
    """The same service, which keeps every key from now on."""
    with running_server(shell.folder / "service.db") as server:
        shell.environ["MINDCRAFT_ENDPOINT"] = server.url
        yield server


def test_renew_says_what_it_sends(tmp_path: Path) -> None:
    with keeping(tmp_path, Quirks(drops_keys=frozenset({"mood"})), data={"mood": "calm"}) as (shell, _):
        apply(shell)
        done = shell.run("plan", "shop", "--renew")
        assert '+ data.mood   "calm"  [kept in another form, sent again]' in done.stdout, done.stdout
        assert shell.run("drift", "shop").returncode == 0
        with lifted(shell) as service:
            apply(shell)
            assert service.store.sessions()[0].data == {}
            apply(shell, "--renew")
            assert service.store.sessions()[0].data == {"mood": "calm"}


def test_a_value_that_somebody_sets_where_nothing_was_kept_is_drift(tmp_path: Path) -> None:
    with keeping(tmp_path, Quirks(drops_keys=frozenset({"mood"})), data={"mood": "calm"}) as (shell, server):
        apply(shell)
        server.store.update_session(1, data={"mood": "wild"})
        assert shell.run("drift", "shop").returncode == 2


def test_a_key_in_another_normal_form_is_the_same_key(tmp_path: Path) -> None:
    with keeping(tmp_path, Quirks(normal_keys=True), data={NFD: "hot", "level": 2}) as (shell, server):
        out = apply(shell)
        said = (
            f"  stored differently: ann (#1) data.{NFD}: the key comes back in another Unicode normal form\n"
        )
        assert said in out, out
        assert quiet(shell)
        assert summary(shell)["rewritten"] == 1
        assert said not in apply(shell)
        want(shell, data={NFD: "iced", "level": 2})
        assert shell.run("drift", "shop").returncode == 0
        apply(shell)
        assert server.store.sessions()[0].data == {NFC: "iced", "level": 2}
        server.store.update_session(1, data={NFC: "cold", "level": 2})
        assert shell.run("drift", "shop").returncode == 2


def test_a_dropped_key_is_no_reason_to_stop_where_the_call_is_only_assumed(tmp_path: Path) -> None:
    """That another key of the same field came back shows that the call carries the field."""
    fields = {"data": {"mood": "calm", "style": "warm"}, "remark": {"note": "hi"}}
    with keeping(tmp_path, Quirks(drops_keys=frozenset({"mood", "note"})), **fields) as (shell, _):
        del shell.environ["RECONCILER_CONTRACT"]
        out = apply(shell)
        assert "tried first: create ann #1, and the list shows exactly that" in out
        assert "data.mood" in out
        assert "remark.note" in out
        assert quiet(shell)
        assert summary(shell)["rewritten"] == 2
