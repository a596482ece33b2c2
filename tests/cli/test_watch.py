"""`reconciler watch` and `reconciler approve`, as processes."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.server import Fault, RunningServer, SessionRow
from reconciler.text.timestamps import write_timestamp
from tests.cli.conftest import Shell, Started, until, writes
from tests.support import API_KEY, learned_file
from tests.webhook import listening_hook


@pytest.fixture
def learned(shop: Shell) -> str:
    """The flag for a contract whose calls need no trial."""
    return f"--contract={learned_file(shop.folder)}"


def rows(server: RunningServer) -> dict[str, SessionRow]:
    return {row.name: row for row in server.store.sessions()}


def stop(started: Started, number: int = signal.SIGTERM) -> tuple[int, str]:
    started.process.send_signal(number)
    code, _, err = started.ended()
    return code, err


def config(shop: Shell, document: Any) -> str:
    (shop.folder / "watch.yaml").write_text(
        document if isinstance(document, str) else yaml.safe_dump(document)
    )
    return "--config=watch.yaml"


def test_once_looks_at_each_catalog_and_ends(shop: Shell, server: RunningServer, learned: str) -> None:
    done = shop.run("watch", "shop", "--once", learned)
    assert done.returncode == 0, done.stderr
    first, second = done.stderr.splitlines()[-2:]
    assert " shop revision: revision " in first
    assert second.endswith(
        " shop plan_pending: 2 to create; waits for somebody who applies it: the mode `observe` writes nothing"
    )
    assert writes(server) == []
    assert shop.run("watch", "shop", "--once", "--mode=apply", learned).returncode == 0
    assert set(rows(server)) == {"Alice", "Bob"}


def test_the_exit_code_of_a_single_look(shop: Shell, learned: str) -> None:
    refused = shop.run("watch", "shop", "--once", "--mode=apply", "--max-changes=1", learned)
    assert (refused.returncode, " shop refused: 2 to create; waits for another plan" in refused.stderr) == (
        3,
        True,
    )
    assert (
        "is refused by max_changes; it would change 2 sessions, and the policy allows 1\n" in refused.stderr
    )
    failing = shop.run("watch", "shop", "--once", learned, MINDCRAFT_API_KEY="wrong")
    assert failing.returncode == 1 and " failing: listing sessions: " in failing.stderr
    (shop.root / "sessions" / "all.yaml").write_text("sessions: {alice: {nmae: Alice}}\n")
    invalid = shop.run("watch", "shop", "--once", learned)
    assert invalid.returncode == 1 and " failing: sessions/all.yaml:1:20: " in invalid.stderr
    assert "(hint: did you mean `name`?)" in invalid.stderr


def test_a_single_look_waits_for_a_list_that_may_lag(
    shop: Shell, server: RunningServer, learned: str
) -> None:
    """Else a job that runs now and then would leave its changes to the next one."""
    state = shop.root / ".reconciler"
    state.mkdir()
    run = {"run": "killed", "at": write_timestamp(datetime.now(UTC), "milliseconds")}
    scope = {"catalog": "bookshop", "environment": None, "endpoint": server.url}
    lines = [{"event": "start", **scope}, {"event": "intent", "action": "create", "key": "alice"}]
    (state / "journal.jsonl").write_text("".join(json.dumps(run | line) + "\n" for line in lines))
    done = shop.run("watch", "shop", "--once", "--mode=apply", "--settle=3", learned)
    assert done.returncode == 0, done.stderr
    assert set(rows(server)) == {"Alice", "Bob"}
    assert " interrupted: 1 unknown (run killed: killed, or still running: no end on record)" in done.stderr
    assert "on record" not in shop.run("watch", "shop", "--once", "--mode=apply", learned).stderr


def test_the_log_can_be_json_and_has_no_prompt(shop: Shell, learned: str) -> None:
    done = shop.run("watch", "shop", "--once", "--mode=apply", "--log-format=json", "--log-all", learned)
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [one["kind"] for one in lines if one["kind"] != "listed"] == ["revision", "applied", "looked"]
    assert lines[-1]["facts"]["outcome"] == "InSync"
    assert "Be kind" not in done.stderr and "Be brief" not in done.stderr


def test_every_line_of_a_json_log_is_json(shop: Shell, learned: str) -> None:
    """A collector reads them line by line."""
    flags = ("--log-format=json", "--listen=127.0.0.1:0", "--notify=http://127.0.0.1:1/T0KEN", learned)
    with shop.started("watch", "shop", *flags) as started:
        started.wait_for("plan_pending")
        assert stop(started)[0] == 0
    lines = [json.loads(line) for line in started.err.read_text().splitlines()]
    said = [one["message"].split(":")[0] for one in lines if one["kind"] == "process"]
    assert said[0] == "listening at http" and "stopping" in said


def test_a_changed_file_is_written_within_seconds_and_sigterm_ends_with_0(
    shop: Shell, server: RunningServer, learned: str
) -> None:
    with shop.started("watch", "shop", "--mode=apply", learned) as started:
        started.wait_for("applied")
        text = (shop.root / "sessions" / "all.yaml").read_text()
        (shop.root / "sessions" / "all.yaml").write_text(text.replace("Be kind.", "Be quick."))
        until(lambda: rows(server)["Alice"].prompt == "Be quick.")
        code, err = stop(started)
    assert (code, "stopping: writes in flight finish, no new ones start" in err) == (0, True)


def test_sighup_looks_now(shop: Shell, server: RunningServer, learned: str) -> None:
    assert shop.run("apply", "shop", "--auto-approve", learned).returncode == 0
    with shop.started("watch", "shop", "--mode=repair", "--interval=1h", learned, "--log-all") as started:
        started.wait_for("looked")
        server.store.update_session(rows(server)["Alice"].session_id, prompt="Be rude.")
        started.process.send_signal(signal.SIGHUP)
        until(lambda: rows(server)["Alice"].prompt == "Be kind.")
        started.wait_for("drift_found: 1 session changed outside git: alice\n")
        assert stop(started, signal.SIGINT)[0] == 0


def test_sigterm_drains_and_a_second_one_ends_at_once(
    shop: Shell, server: RunningServer, learned: str
) -> None:
    shop.write({f"key{number}": {"name": f"N{number}", "prompt": f"P{number}"} for number in range(30)})
    server.faults.add(Fault("latency", operation="create_session", seconds=0.3))
    flags = ("watch", "shop", "--mode=apply", "--parallelism=2", "--no-lock", "--settle=0", learned)
    with shop.started(*flags) as started:
        until(lambda: len(rows(server)) > 0)
        code, _ = stop(started)
        assert code == 0
        journal = (shop.root / ".reconciler" / "journal.jsonl").read_text()
        assert journal.count('"event":"applied"') == len(rows(server)) < 30  # what was in flight is on record
    before = len(server.log)
    server.faults.clear()
    server.faults.add(Fault("hang", operation="create_session"))
    with shop.started(*flags) as started:
        until(lambda: any(one.operation == "create_session" for one in server.log[before:]))
        started.process.send_signal(signal.SIGTERM)
        started.wait_for("stopping")
        assert stop(started)[0] == 130


def test_a_service_that_never_answers_does_not_keep_a_watcher_from_ending(
    shop: Shell, server: RunningServer, learned: str
) -> None:
    server.faults.add(Fault("hang"))
    with shop.started("watch", "shop", "--mode=apply", learned) as started:
        until(lambda: len(server.log) > 0)
        assert stop(started)[0] == 0


#: The requests at which a watcher is killed: with --full, all that it makes.
KILLED = [
    pytest.param(number, marks=() if number in (5, 12) else pytest.mark.full) for number in range(1, 21)
]


@pytest.mark.parametrize("number", KILLED)
def test_nothing_is_lost_or_doubled_when_it_is_killed(
    shop: Shell, server: RunningServer, learned: str, number: int
) -> None:
    shop.write({f"key{at}": {"name": f"N{at}", "prompt": f"P{at}"} for at in range(8)})
    flags = ("watch", "shop", "--mode=apply", "--no-lock", "--settle=0.2", learned)
    with shop.started(*flags) as started:
        killed = []

        def kill(entry: Any) -> None:
            if not killed and entry.number == number:
                killed.append(started.process.send_signal(signal.SIGKILL))

        server.done.append(kill)
        until(lambda: bool(killed) or "applied" in started.err.read_text())
        started.process.kill()
        started.process.wait(60)
    server.done.remove(kill)
    with shop.started(*flags, "--log-all") as started:
        started.wait_for("outcome=InSync")
        assert stop(started)[0] == 0
    assert len(server.store.sessions()) == 8
    done = shop.json("plan", "shop", learned)
    assert done["actions"] == []


def test_a_watch_file_names_accounts_and_never_a_key(
    shop: Shell, server: RunningServer, learned: str
) -> None:
    key = shop.folder / "key"
    key.write_text(API_KEY)
    accounts = {"main": {"endpoint": server.url, "key": {"file": "key"}, "contract": "learned.yaml"}}
    flag = config(
        shop,
        {"version": 1, "mode": "apply", "accounts": accounts, "catalogs": {"books": {"folder": "shop"}}},
    )
    done = shop.run("watch", flag, "--once")
    assert done.returncode == 0, done.stderr
    assert set(rows(server)) == {"Alice", "Bob"}
    assert " books applied: 2 applied" in done.stderr


def test_a_key_is_not_sent_to_an_address_that_only_the_file_names(shop: Shell, server: RunningServer) -> None:
    accounts = {"main": {"endpoint": server.url}}
    flag = config(shop, {"version": 1, "accounts": accounts, "catalogs": {"books": {"folder": "shop"}}})
    elsewhere = {"MINDCRAFT_ENDPOINT": "https://api.example.com"}
    refused = shop.run("watch", flag, "--once", **elsewhere)
    assert refused.returncode == 3
    assert f"if that is right, add --allow-endpoint={server.url}" in refused.stderr
    assert server.log == []
    assert shop.run("watch", flag, "--once", f"--allow-endpoint={server.url}", **elsewhere).returncode == 0


def test_a_watch_file_is_read_strictly(shop: Shell) -> None:
    flag = config(
        shop,
        "version: 1\n"
        "intervall: 5m\n"
        "window: Mon 25:00-26:00\n"
        "accounts:\n"
        "  main: {key: {env: A, file: b}}\n"
        "catalogs:\n"
        "  one: {folder: shop, mode: aply}\n"
        "  two: {interval: 5 minutes}\n"
        "  three: {folder: shop, limits: {max_deletes: many}}\n"
        "  Book Shop: {folder: shop}\n",
    )
    done = shop.run("watch", flag)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("watch.yaml")] == [
        "watch.yaml:2:1: `intervall` is not a field of the watch file",
        "watch.yaml:5:15: `accounts.main.key` needs either `env` or `file`",
        'watch.yaml:7:29: `catalogs.one.mode` is the string "aply", and can be `observe`, `repair`, `approve`, `apply`',
        "watch.yaml:8:8: `catalogs.two` needs either `folder` or `git`",
        'watch.yaml:8:19: `catalogs.two.interval` is the string "5 minutes", and not a duration',
        'watch.yaml:9:47: `catalogs.three.limits.max_deletes` is the string "many", and not a limit',
        """watch.yaml:10:3: "Book Shop" can't be a name in `catalogs`""",
    ]


def test_what_the_schema_does_not_see_has_places_too(shop: Shell) -> None:
    flag = config(
        shop,
        "version: 1\n"
        "accounts: {main: {}, spare: {}}\n"
        "catalogs:\n"
        "  one: {folder: shop, account: mian}\n"
        "  two: {folder: shop, account: main, window: Mon 25:00-26:00}\n"
        "  three: {folder: shop}\n"
        '  four: {git: {url: "-u"}, account: main}\n',
    )
    done = shop.run("watch", flag)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("watch.yaml")] == [
        "watch.yaml:4:32: there is no account `mian`",
        "watch.yaml:5:46: 'Mon 25:00-26:00' names a time that no day has",
        "watch.yaml:6:3: `catalogs.three` names no account",
        "watch.yaml:7:15: '-u' can't be the address of a git source",
    ]


def test_flags_that_the_file_replaces_are_usage_errors(shop: Shell) -> None:
    flag = config(shop, {"version": 1, "catalogs": {"one": {"folder": "shop"}}})
    for words in (("shop",), ("--mode=apply",), ("--interval=1m",), ("--git=x",)):
        assert shop.run("watch", flag, *words).returncode == 64, words
    assert shop.run("watch", "shop", "--allow-endpoint=https://api.example.com").returncode == 64
    assert shop.run("watch", "shop", "--interval=5").returncode == 64
    assert shop.run("watch", "shop", "--window=Someday").returncode == 64


def test_a_git_ref_is_watched(shop: Shell, server: RunningServer, learned: str) -> None:
    for words in (("init", "-qb", "main"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(
            ["git", "-C", str(shop.root), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True
        )
    done = shop.run("watch", f"--git={shop.root}#main", "--mode=apply", "--once", learned)
    assert done.returncode == 0, done.stderr
    assert set(rows(server)) == {"Alice", "Bob"}
    assert list(Path(shop.folder, ".reconciler").glob("*/*.git/objects"))  # all that git keeps is there
    commit = (shop.root / ".git" / "refs" / "heads" / "main").read_text().strip()
    start = json.loads(Path(shop.folder, ".reconciler", "journal.jsonl").read_text().splitlines()[0])
    assert (start["commit"], start["mode"]) == (commit, "apply")
    history = shop.run("history", "--state-dir=.reconciler").stdout
    assert f", by root, a watcher in the mode apply, commit {commit[:12]}\n" in history.replace(
        start["user"], "root"
    )


def test_approve_without_a_watcher_says_so(shell: Shell) -> None:
    done = shell.run("approve", "0" * 64, "--address=http://127.0.0.1:9")
    assert (done.returncode, "no watcher answers at http://127.0.0.1:9" in done.stderr) == (1, True)
    done = shell.run("approve", "0" * 64, "--address=http://watcher.example.com")
    assert done.returncode == 64


def test_an_approval_from_the_command_line(shop: Shell, server: RunningServer, learned: str) -> None:
    with shop.started("watch", "shop", "--mode=approve", "--listen=127.0.0.1:0", learned) as started:
        started.wait_for("listening at ")
        started.wait_for("plan_pending")
        err = started.err.read_text()
        address = err.partition("listening at ")[2].split()[0]
        digest = err.partition("reconciler approve ")[2].split()[0]
        wrong = shop.run("approve", "0" * 64, f"--address={address}")
        assert wrong.returncode == 3
        assert "no pending plan has the digest 000" in wrong.stderr and digest in wrong.stderr
        assert rows(server) == {}
        done = shop.run("approve", digest, f"--address={address}")
        assert (done.returncode, done.stdout) == (0, f"approved: {digest}\n")
        until(lambda: set(rows(server)) == {"Alice", "Bob"})
        assert stop(started)[0] == 0


def test_the_token_of_a_watcher(shop: Shell, learned: str) -> None:
    token = shop.folder / "token"
    token.write_text("a-token-of-some-length\n")
    flags = ("--mode=approve", "--listen=127.0.0.1:0", "--token-file=token", learned)
    with shop.started("watch", "shop", *flags) as started:
        started.wait_for("plan_pending")
        err = started.err.read_text()
        address = err.partition("listening at ")[2].split()[0]
        digest = err.partition("reconciler approve ")[2].split()[0]
        assert shop.run("approve", digest, f"--address={address}").returncode == 1
        done = shop.run("approve", digest, f"--address={address}", "--token-file=token")
        assert done.returncode == 0, done.stderr
        assert stop(started)[0] == 0
    assert shop.run("watch", "shop", "--token-file=token").returncode == 64
    assert shop.run("watch", "shop", "--once", "--listen=127.0.0.1:0").returncode == 64
    nobody = shop.run("watch", "shop", "--mode=approve", learned)
    assert nobody.returncode == 64 and "add --listen=127.0.0.1:9464" in nobody.stderr
    flag = config(shop, {"version": 1, "catalogs": {"one": {"folder": "shop", "mode": "approve"}}})
    assert "nobody could approve a plan of one" in shop.run("watch", flag).stderr
    assert shop.run("watch", "shop", "--listen=0.0.0.0:0", learned).returncode == 64


def test_what_happens_is_announced(shop: Shell, learned: str) -> None:
    secret = shop.folder / "secret"
    secret.write_text("a secret\n")
    with listening_hook() as hook:
        flags = ("--once", f"--notify={hook.url}/T0KEN", "--notify-secret-file=secret", learned)
        done = shop.run("watch", "shop", *flags)
        assert done.returncode == 0, done.stderr
    assert [one["kind"] for one in hook.bodies()] == ["plan_pending"]
    assert "X-Reconciler-Signature" in hook.requests[0][1]
    done = shop.run("watch", "shop", "--once", "--notify=http://127.0.0.1:1/T0KEN", learned)
    assert done.returncode == 0
    assert "notifications can't be delivered (json at 127.0.0.1)" in done.stderr
    assert "T0KEN" not in done.stdout + done.stderr
    assert shop.run("watch", "shop", "--notify=http://example.com/T0KEN", learned).returncode == 64
    assert shop.run("watch", "shop", "--notify-secret-file=secret", learned).returncode == 64
    secret.write_text("")
    done = shop.run("watch", "shop", f"--notify={hook.url}", "--notify-secret-file=secret", learned)
    assert (done.returncode, "secret is empty" in done.stderr) == (1, True)


def test_traces_that_cannot_be_sent_are_no_failure(shop: Shell, learned: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    done = shop.run("watch", "shop", "--once", learned, **environ)
    assert done.returncode == 0
    assert "no traces are sent: only OTLP over HTTP is supported" in done.stderr
