"""The installed command: what it prints where, and with which code it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reconciler import __version__
from reconciler.cli import COMMANDS, GROUPS, cli
from reconciler.cli import commands as cli_commands
from reconciler.disk import write_out
from reconciler.domain import Listing
from reconciler.errors import ExitCode
from reconciler.plan.saved import saved_to_plan
from reconciler.schemas import check_document, schema_names, schema_text
from reconciler.server import Fault, RunningServer
from tests.cli.conftest import COMMAND, Shell, until
from tests.support import API_KEY

NOBODY = (
    "this needs approval, and there is no terminal to ask on: nothing was written\n"
    "      hint: run it in a terminal, or review it and add --auto-approve\n"
)


def writes(server: RunningServer) -> list[str]:
    return [one.operation for one in server.log if one.method != "GET"]


# Validate


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


# Plan


def test_a_plan_is_shown_and_nothing_is_written(shop: Shell, server: RunningServer) -> None:
    done = shop.run("plan", "shop")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "+ alice" in done.stdout
    assert "Plan: 2 to create, 0 to update, 0 to delete." in done.stdout
    assert "\x1b" not in done.stdout
    assert [one.operation for one in server.log] == ["list_sessions"]
    assert not (shop.root / ".reconciler").exists()


def test_a_plan_as_json_is_the_public_document(shop: Shell, server: RunningServer) -> None:
    document = shop.json("plan", "shop")
    assert check_document(document, "plan") == []
    assert document["endpoint"] == server.url
    assert [one["key"] for one in document["actions"]] == ["alice", "bob"]
    assert document["listing"] == {"calls": 1, "passes": 1, "way": "fast"}


def test_a_plan_says_what_its_listing_took(shop: Shell, server: RunningServer) -> None:
    """A session is deleted while the list is read. The saved plan says it, too; one against a file lists nothing."""
    for number in range(250):
        server.store.insert_session(name=f"chat {number}")
    server.before.append(lambda entry: server.store.delete_session(1) if entry.number == 3 else None)
    document = shop.json("plan", "shop", "--parallelism", "1", "--out", "plan.json")
    assert document["summary"]["unmanaged"] == 249
    assert document["listing"] == {"calls": 7, "passes": 2, "way": "fast"}
    plan, saved = saved_to_plan((shop.folder / "plan.json").read_bytes(), "plan.json")
    assert plan.listing == Listing(7, 2, "fast")
    assert saved["listing"] == document["listing"]
    shop.run("snapshot", "list.json")
    assert "listing" not in shop.json("plan", "shop", "--against", "list.json")


def test_a_name_that_many_sessions_have_is_told_in_one_line(shop: Shell, server: RunningServer) -> None:
    for _ in range(7):
        server.store.insert_session(name="Alice")
    (note,) = shop.json("plan", "shop")["notes"]
    assert "has the same name as #1, #2, #3, #4, #5 or one of 2 more, which is unmanaged" in note["message"]


def test_a_plan_is_written_into_what_is_no_file(shop: Shell) -> None:
    """A pipe, a device, and what the process has open: none of them is replaced by a file."""
    pipe, device = shop.folder / "pipe", shop.folder / "device"
    os.mkfifo(pipe)
    device.symlink_to("/dev/null")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    shop.run("plan", "shop", "--out", "plan.json")
    size = (shop.folder / "plan.json").stat().st_size
    try:
        assert size < 60_000  # it fits into the pipe
        assert shop.run("plan", "shop", "--out", "pipe", "--out-file", "html=device").returncode == 0
        assert json.loads(os.read(reader, 65536))["catalog"] == "bookshop"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and device.is_symlink()
    done = shop.run("plan", "shop", "--format", "json", "--out", "/dev/fd/1")
    saved, shown = (json.loads(text) for text in done.stdout.replace("}\n{", "}\n\0{").split("\0"))
    assert (done.returncode, "digest" in saved, "digest" in shown) == (0, True, False)
    with (shop.folder / "both").open("w") as both:
        both.write("before\n")
        both.flush()
        words = [COMMAND, "plan", "shop", "--out", "/dev/fd/1", "--concise"]
        subprocess.run(words, cwd=shop.folder, env=shop.environment(), stdout=both, check=True)
    text = (shop.folder / "both").read_text()
    assert text.startswith("before\n{") and text.endswith("0 to delete.\n")


def test_a_disk_is_not_written_to(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stat.S_ISBLK", lambda _: True)
    with pytest.raises(OSError, match="it is a disk"):
        write_out(Path("/dev/null"), "plan")


@pytest.mark.parametrize(
    "words", [("plan", "shop", "--out", "-"), ("plan", "shop", "--out-file", "json=-"), ("snapshot", "-")]
)
def test_a_dash_is_no_file(shop: Shell, server: RunningServer, words: tuple[str, ...]) -> None:
    done = shop.run(*words)
    assert (done.returncode, done.stdout, server.log) == (64, "", [])
    assert done.stderr.endswith(
        "'-' is not a file. Use /dev/stdout for stdout, or ./- for a file of that name.\n"
    )
    assert not (shop.folder / "-").exists()


def test_changes_are_an_exit_code_only_where_it_is_asked_for(shop: Shell) -> None:
    assert shop.run("plan", "shop").returncode == 0
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 2
    assert shop.run("plan", "shop", RECONCILER_DETAILED_EXITCODE="1").returncode == 2
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    done = shop.run("plan", "shop", "--detailed-exitcode")
    assert done.returncode == 0
    assert "No changes. The live list matches the catalog." in done.stdout


def test_a_plan_that_a_guard_refuses_is_shown_whole(shop: Shell, server: RunningServer) -> None:
    shop.run("apply", "shop", "--auto-approve")
    shop.write({})
    for words in (("plan", "shop", "--detailed-exitcode"), ("apply", "shop", "--auto-approve")):
        done = shop.run(*words)
        assert done.returncode == 3
        assert "- alice" in done.stdout
        assert "2 to delete" in done.stdout
        assert "--allow-empty" in done.stdout
    document = shop.json("apply", "shop", "--auto-approve", code=3)
    assert [one["guard"] for one in document["refusals"]] == ["allow_empty"]
    assert writes(server) == ["create_session"] * 2
    assert shop.run("apply", "shop", "--auto-approve", "--allow-empty").returncode == 0
    assert server.store.sessions() == []


@pytest.mark.parametrize("flag", [("--max-bytes", "5000"), ("--whole", "the artifact")])
def test_the_flags_for_markdown_need_markdown(
    shop: Shell, server: RunningServer, flag: tuple[str, str]
) -> None:
    done = shop.run("plan", "shop", "--out-file", "html=plan.html", *flag)
    assert (done.returncode, done.stdout, done.stderr) == (
        64,
        "",
        f"{flag[0]} is for Markdown, and this command writes none\n"
        "      hint: add --format markdown, or --out-file markdown=FILE\n",
    )
    assert server.log == []
    for words in (("--format", "markdown"), ("--out-file", "markdown=plan.md")):
        assert shop.run("plan", "shop", *words, *flag).returncode == 0
    assert shop.run("plan", "shop", RECONCILER_MAX_BYTES="5000", RECONCILER_WHOLE="there").returncode == 0


# Apply


def test_without_a_terminal_and_without_approval_nothing_is_written(
    shop: Shell, server: RunningServer
) -> None:
    done = shop.run("apply", "shop")
    assert (done.returncode, done.stderr) == (3, NOBODY)
    assert "Plan: 2 to create" in done.stdout
    assert writes(server) == []


def test_an_apply_says_what_it_did(shop: Shell, server: RunningServer) -> None:
    done = shop.run("apply", "shop", "--auto-approve", "--parallelism", "1")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "  created alice #1\n",
        "  created bob #2\n",
        "Verified: the live list is what was written.",
    ):
        assert line in done.stdout
    assert [one.name for one in server.store.sessions()] == ["Alice", "Bob"]
    again = shop.run("apply", "shop", "--auto-approve")
    assert again.returncode == 0
    assert "No changes." in again.stdout
    assert len(writes(server)) == 2


def test_an_apply_as_json_is_one_document(shop: Shell) -> None:
    report = shop.json("apply", "shop", "--auto-approve")
    assert report["summary"] == {"applied": 2, "failed": 0, "unknown": 0, "not_tried": 0}
    assert [(one["key"], one["outcome"]) for one in report["results"]] == [
        ("alice", "applied"),
        ("bob", "applied"),
    ]


def test_what_failed_is_said_and_is_exit_code_4(shop: Shell, server: RunningServer) -> None:
    server.faults.add(
        Fault(
            "status",
            operation="create_session",
            status=422,
            message="名称不合法",
            where=lambda entry: (entry.body or {}).get("session_name") == "Bob",
        )
    )
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 4
    assert "creating the session bob: HTTP 422: 名称不合法" in done.stdout
    server.faults.clear()
    server.faults.add(Fault("status", operation="create_session", status=422))
    assert shop.run("apply", "shop", "--auto-approve").returncode == 1


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("y", 3), ("", 3), ("no", 3), ("YES", 3)])
def test_on_a_terminal_only_yes_is_a_yes(shop: Shell, server: RunningServer, answer: str, code: int) -> None:
    with shop.started("apply", "shop", "--settle", "0") as command:
        command.wait_for("Apply these 2 changes? Only 'yes' is accepted")
        assert "Plan: 2 to create" in command.out.read_text()
        command.answer(answer)
        ended, _, err = command.ended()
    assert ended == code
    assert len(writes(server)) == (2 if code == 0 else 0)
    assert err.endswith("not approved: nothing was written\n") == bool(code)


@pytest.mark.parametrize("command", [("apply", "shop"), ("doctor", "shop", "--probe")])
def test_the_end_of_the_input_is_no_yes(shop: Shell, server: RunningServer, command: tuple[str, ...]) -> None:
    with shop.started(*command) as started:
        started.wait_for("Only 'yes' is accepted: ")
        os.write(started.terminal, b"\x04")  # Ctrl-D
        code, _, err = started.ended()
    assert (code, writes(server)) == (3, [])
    assert err.endswith(" Only 'yes' is accepted: \nnot approved: nothing was written\n")
    with shop.started(*command) as started:
        started.wait_for("Only 'yes' is accepted: ")
        started.process.send_signal(signal.SIGINT)
        code, _, err = started.ended()
    assert (code, writes(server)) == (130, [])


def test_a_session_that_changed_while_one_was_asked_is_not_overwritten(
    shop: Shell, server: RunningServer
) -> None:
    """The list is read again after the yes."""
    shop.run("apply", "shop", "--auto-approve", "--parallelism", "1")
    shop.write({"alice": {"name": "Alice", "prompt": "Be bold."}})
    with shop.started("apply", "shop") as command:
        command.wait_for("Only 'yes' is accepted")
        server.store.update_session(1, prompt="edited meanwhile")
        command.answer("yes")
        code, _, err = command.ended()
    assert code == 3
    assert 'alice (#1): prompt was "Be kind." when planned, found "edited meanwhile"\n' in err
    assert len(writes(server)) == 2


def test_a_run_that_is_interrupted_ends_in_good_order(shop: Shell, server: RunningServer) -> None:
    """Ctrl-C while a create is under way: it finishes, no other starts, and both are said."""
    server.faults.add(Fault("hang", operation="create_session", when="first"))
    with shop.started("apply", "shop", "--auto-approve", "--parallelism", "1") as command:
        until(lambda: server.faults.hanging == 1)
        command.process.send_signal(signal.SIGINT)
        command.wait_for(
            "stopping: writes in flight finish, no new ones start (interrupt again to end at once)\n"
        )
        server.faults.release()
        code, out, _ = command.ended()
    assert code == 130
    assert "  created alice #1\n" in out
    assert "  not tried: create bob\n" in out
    assert len(server.store.sessions()) == 1


def test_a_second_interrupt_ends_it_at_once(shop: Shell, server: RunningServer) -> None:
    server.faults.add(Fault("hang", operation="create_session"))
    with shop.started("apply", "shop", "--auto-approve") as command:
        until(lambda: server.faults.hanging > 0)
        command.process.send_signal(signal.SIGTERM)
        command.wait_for("stopping: ")
        command.process.send_signal(signal.SIGTERM)
        code, _, _ = command.ended()
    assert code == 130
    journal = (shop.root / ".reconciler" / "journal.jsonl").read_text()
    assert '"event":"intent"' in journal
    assert '"event":"end"' not in journal


# The service and the key


def test_a_key_that_is_wrong_names_its_variable_and_is_not_shown(shop: Shell) -> None:
    done = shop.run("plan", "shop", MINDCRAFT_API_KEY="sk-another-secret")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "listing sessions: HTTP 403 (the key is not allowed to do this): API Key 无效\n"
        f"      hint: the key came from MINDCRAFT_API_KEY; does it belong to {shop.environ['MINDCRAFT_ENDPOINT']}?\n"
    )
    assert "sk-another-secret" not in done.stderr


def test_a_key_from_a_file(shop: Shell) -> None:
    file = shop.folder / "key"
    file.write_text(f"{API_KEY}\n")
    done = shop.run("plan", "shop", "--api-key-file", "key", MINDCRAFT_API_KEY="wrong")
    assert done.returncode == 0
    file.write_text("wrong")
    done = shop.run("plan", "shop", "--api-key-file", "key")
    assert done.returncode == 1
    assert "the key came from key; does it belong to" in done.stderr


@pytest.mark.parametrize("key", [f"{API_KEY}\nX: y", "ключ"])
def test_a_key_that_no_header_can_carry(shop: Shell, server: RunningServer, key: str) -> None:
    done = shop.run("plan", "shop", MINDCRAFT_API_KEY=key)
    assert done.returncode == 1
    assert done.stderr == (
        "the API key from MINDCRAFT_API_KEY contains characters that no key has\n      hint: copy it again\n"
    )
    assert server.log == []


def test_without_a_key_nothing_is_asked_of_the_service(shell: Shell) -> None:
    shell.write({})
    done = shell.run("plan", "shop")
    assert done.returncode == 1
    assert done.stderr == (
        "there is no API key: MINDCRAFT_API_KEY is not set\n"
        "      hint: set MINDCRAFT_API_KEY, name a file with --api-key-file, or try it out with --endpoint local\n"
    )


def test_the_flag_overrules_its_variable_and_that_the_services(shop: Shell, server: RunningServer) -> None:
    good, dead = server.url, "http://127.0.0.1:9"
    assert shop.run("plan", "shop", "--endpoint", good, MINDCRAFT_ENDPOINT=dead).returncode == 0
    assert (
        shop.run(
            "plan", "shop", RECONCILER_ENDPOINT=good, MINDCRAFT_ENDPOINT=dead, RECONCILER_RETRIES="0"
        ).returncode
        == 0
    )
    done = shop.run("plan", "shop", "--endpoint", dead, "--retries", "0", RECONCILER_ENDPOINT=good)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "listing sessions: no connection to http://127.0.0.1:9\n"
        "      hint: check the address and the network, then run the command again\n"
    )


def test_an_address_that_would_send_the_key_in_clear(shop: Shell) -> None:
    done = shop.run("plan", "shop", "--endpoint", "http://example.com")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == (
        "'http://example.com' would send the API key in clear over a network\n"
        "      hint: use https; plain http is allowed for this machine only\n"
    )


def test_the_embedded_server_needs_no_key_and_keeps_what_was_applied(shell: Shell) -> None:
    shell.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    assert shell.run("apply", "shop", "--endpoint", "local", "--auto-approve").returncode == 0
    assert shell.run("plan", "shop", "--endpoint", "local", "--detailed-exitcode").returncode == 0
    folder = shell.root / ".reconciler"
    assert (folder / "local.db").is_file()
    assert (folder / ".gitignore").read_text() == "*\n"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_service_that_is_a_web_page(shop: Shell, server: RunningServer) -> None:
    server.faults.add(Fault("html", status=502))
    done = shop.run("plan", "shop", "--retries", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "listing sessions: HTTP 502 with a page that is not JSON\n"


# Wrong usage


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plann",), "Error: there is no command 'plann'. Did you mean 'plan'?\n"),
        (("xyz",), "Error: there is no command 'xyz'.\n"),
        (("plan", "nowhere"), "Error: Invalid value for '[CATALOG]': Directory 'nowhere' does not exist.\n"),
        (("plan", "shop", "shop"), "Error: Got unexpected extra argument (shop)\n"),
        (("plan", "--format", "yaml"), "Error: Invalid value for '--format': 'yaml' is not one of "),
        (
            ("plan", "--max-deletes", "many"),
            "Error: Invalid value for '--max-deletes': 'many' is neither a count like 10 nor a percentage like 5%.\n",
        ),
        (
            ("plan", "--parallelism", "0"),
            "Error: Invalid value for '--parallelism': 0 is not in the range 1<=x<=64.\n",
        ),
        (
            ("apply", "--settle", "-1"),
            "Error: Invalid value for '--settle': -1.0 is not in the range x>=0.\n",
        ),
    ],
)
def test_wrong_usage_is_exit_code_64(shop: Shell, words: tuple[str, ...], said: str) -> None:
    done = shop.run(*words)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("Usage: reconciler ")
    assert said in done.stderr


def test_wrong_usage_as_json(shop: Shell) -> None:
    for words in (("apply", "shop", "--settle", "-1"), ("plan", "nowhere"), ("explain", "alice", "bob")):
        document = shop.json(*words, code=64)
        assert document["exit_code"] == 64
        assert len(document["errors"]) == 1
    assert document["errors"][0]["message"] == "Got unexpected extra argument (bob)"


# The rest


def test_schemas_are_printed(shell: Shell) -> None:
    done = shell.run("schema")
    assert (done.returncode, done.stdout.split()) == (0, schema_names())
    for name in schema_names():
        assert shell.run("schema", name).stdout == schema_text(name)
    done = shell.run("schema", "nope")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"there is no schema 'nope'\n      hint: known are: {', '.join(schema_names())}\n"


@pytest.mark.parametrize(
    ("shell_name", "line"),
    [
        ("bash", "complete -o nosort -F _reconciler_completion reconciler"),
        ("zsh", "#compdef reconciler"),
        ("fish", "complete --no-files --command reconciler"),
    ],
)
def test_completion_can_be_set_up(shell: Shell, shell_name: str, line: str) -> None:
    done = shell.run("completion", shell_name)
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout


def test_completion_completes(shell: Shell) -> None:
    done = shell.run(_RECONCILER_COMPLETE="bash_complete", COMP_WORDS="reconciler va", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,validate"]
    done = shell.run(_RECONCILER_COMPLETE="bash_complete", COMP_WORDS="reconciler plan --det", COMP_CWORD="2")
    assert done.stdout.split() == ["plain,--detailed-exitcode"]


def test_the_version(shell: Shell) -> None:
    done = shell.run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"reconciler {__version__}\n", "")


def test_the_help_lists_every_command_by_what_it_is_for(shell: Shell) -> None:
    listed = shell.run("--help")
    assert listed.returncode == 0
    sections = [part.split("\n") for part in listed.stdout.split("\n\n")]
    for title, group in GROUPS.items():
        (lines,) = [lines[1:] for lines in sections if lines[0] == f"{title}:"]
        assert [tuple(line.split(maxsplit=1)) for line in lines] == list(group.items())
    (codes,) = [lines[1:] for lines in sections if lines[0] == "Exit codes:"]
    assert [int(line.split()[0]) for line in codes] == list(ExitCode)


@pytest.mark.parametrize("name", ["plan", "apply"])
def test_the_flags_that_people_use_first_come_first_and_none_is_lost(shell: Shell, name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = shell.run(name, "--help").stdout
    flags = {
        title: re.findall(r"^  (--[a-z-]+)", body, re.MULTILINE)
        for title, body in re.findall(r"^(\w[\w ]*):\n((?:  .*\n)+)", text, re.MULTILINE)
    }
    assert list(flags)[:3] == ["Options", "Connection and state", "Guards"]
    assert len(flags["Options"]) <= 10
    documented = [flag for section in flags.values() for flag in section]
    shown = [option.opts[0] for option in _options(command) if not option.hidden]
    assert sorted(documented) == sorted(shown)


def test_every_command_file_is_a_command_that_is_listed() -> None:
    """Each has a module of its name, and each module is a command."""
    folder = Path(str(cli_commands.__file__)).parent
    names = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}
    assert names == set(COMMANDS)
    assert all(isinstance(cli.get_command(click.Context(cli), name), click.Command) for name in names)


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["-h"]])
def test_to_say_the_version_nothing_heavy_is_imported(words: list[str]) -> None:
    heavy = ["requests", "yaml", "rich", "jsonschema", "jsonschema_rs", "deepdiff", "starlette", "uvicorn"]
    code = (
        "import sys\n"
        "from reconciler.cli import run\n"
        f"run({words!r})\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_error(shop: Shell) -> None:
    shop.write({f"k{number}": {"name": "n", "prompt": "line\n" * 50} for number in range(200)})
    done = subprocess.run(
        ["sh", "-c", f"'{COMMAND}' plan shop | head -n 1; exit 0"],
        cwd=shop.folder,
        env=shop.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"Plan for catalog bookshop, at {shop.environ['MINDCRAFT_ENDPOINT']}\n"
    assert done.stderr == ""


def _options(command: click.Command) -> Iterator[click.Option]:
    for param in command.params:
        if isinstance(param, click.Option):
            yield param
    for inner in getattr(command, "commands", {}).values():
        yield from _options(inner)


@pytest.mark.parametrize("name", [".", "archive", "local.db"])
def test_nothing_in_the_state_folder_may_be_a_link(shop: Shell, tmp_path: Path, name: str) -> None:
    """A catalog may be a stranger's: it does not choose where we write."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = shop.root / ".reconciler"
    link = folder if name == "." else folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    for words in (("apply", "shop", "--auto-approve"), ("plan", "shop", "--endpoint", "local")):
        done = shop.run(*words)
        assert (done.returncode, done.stdout.count("#")) == (1, 0)
        assert done.stderr == (
            f"{link.relative_to(tmp_path)} is a symbolic link\n"
            "      hint: remove it, or name a folder with --state-dir\n"
        )
    assert list(elsewhere.iterdir()) == []
