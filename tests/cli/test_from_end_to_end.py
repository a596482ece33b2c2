"""From a folder to the live list and back: real personas, one of each kind of change, and sessions of others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.apply.archive import read_archive
from reconciler.apply.journal import read_journal
from reconciler.ownership.remark import compose_remark
from reconciler.ownership.tag import Identity, make_tag
from reconciler.server import RunningServer, Store
from reconciler.text.normalise import normalise_prompt
from tests.cli.conftest import Shell
from tests.support import API_KEY, session_of

pytestmark = pytest.mark.usefixtures("installed")

PERSONAS = Path(__file__).parents[3] / "shared" / "data" / "personas.jsonl"


def writes(server: RunningServer, after: int = 0) -> list[tuple[str, Any]]:
    """Operation and session of each write since so many requests."""
    return sorted(
        (one.operation, session_of(one) or (one.body or {}).get("session_name"))
        for one in server.log[after:]
        if one.method != "GET"
    )


def strangers(store: Store) -> dict[int, Any]:
    """20 sessions without a tag and 5 of others, as they are in the database."""
    remarks = ["", None, "made by lery", '{"created_user": "lery", "created_user_id": 123}', '["a"]']
    ids = [
        store.insert_session(
            name=["Alice", "Bob", "顾掌柜", "same", " "][number % 5],
            prompt=["", " Be kind.\r\n", "{{char}}", "x" * 5000, "\x0b"][number // 4],
            remark=remarks[number % 5],
            data={"theirs": [number]},
            extra={"voice": "low"},
            created_at="2024-09-12 15:13:22",
        )
        for number in range(20)
    ]
    for number in range(5):
        identity = (
            Identity("library", None, "alice") if number < 3 else Identity("bookshop", "staging", "bob")
        )
        remark = compose_remark(None, {"n": number}, make_tag(identity, {"name": "Alice"}))
        ids.append(store.insert_session(name="Alice", prompt="theirs", remark=remark))
    for session_id in ids:
        store.insert_message(session_id, content=f"said in {session_id}")
    return {session_id: (store.session(session_id), store.messages(session_id)) for session_id in ids}


def test_one_changed_one_added_one_removed(shop: Shell, server: RunningServer) -> None:
    """The plan says exactly these three, apply writes exactly these three, and nobody else is touched."""
    theirs = strangers(server.store)
    keys = [f"k{number:02}" for number in range(12)]
    sessions = {key: {"name": f"Name {key}", "prompt": f"You are {key}."} for key in keys}
    shop.write(sessions)
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    assert len(writes(server)) == 12
    ids = {one.name: one.session_id for one in server.store.sessions()}

    sessions["k03"]["prompt"] = "You are somebody else."
    del sessions["k07"]
    sessions["new"] = {"name": "New", "prompt": "You are new."}
    shop.write(sessions)
    document = shop.json("plan", "shop", "--detailed-exitcode", code=2)
    assert {name: count for name, count in document["summary"].items() if count} == {
        "create": 1,
        "update": 1,
        "delete": 1,
        "no_op": 10,
        "managed": 12,
        "unmanaged": 20,
        "foreign": 5,
        "other_environments": 2,
    }
    assert [(one["action"], one["key"], one["session_id"]) for one in document["actions"]] == [
        ("delete", "k07", ids["Name k07"]),
        ("update", "k03", ids["Name k03"]),
        ("create", "new", None),
    ]
    assert document["actions"][1]["fields"] == [
        {
            "path": "prompt",
            "before": "You are k03.",
            "after": "You are somebody else.",
            "cause": "git",
        }
    ]
    text = shop.run("plan", "shop").stdout
    assert "Plan: 1 to create, 1 to update, 1 to delete." in text

    before = len(server.log)
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    assert writes(server, before) == [
        ("create_session", "New"),
        ("delete_session", ids["Name k07"]),
        ("update_session", ids["Name k03"]),
    ]
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0
    for session_id, was in theirs.items():
        assert (server.store.session(session_id), server.store.messages(session_id)) == was

    # What was changed and deleted is in the archive, and all of it in the journal.
    state = shop.root / ".reconciler"
    found, problems = read_archive(state / "archive")
    assert problems == []
    assert sorted((one.before, one.identity.key) for one in found) == [("delete", "k07"), ("update", "k03")]
    events = [one["event"] for one in read_journal(state / "journal.jsonl")]
    assert (events.count("intent"), events.count("applied")) == (15, 15)
    for path in state.rglob("*"):
        assert path.is_dir() or API_KEY.encode() not in path.read_bytes()


@pytest.mark.skipif(not PERSONAS.is_file(), reason=f"{PERSONAS} is not there")
def test_223_real_personas(shop: Shell, server: RunningServer) -> None:
    personas = [json.loads(line) for line in PERSONAS.read_text(encoding="utf-8").splitlines()]
    assert len(personas) == 223
    shop.write(
        {
            f"persona-{number:03}": {"name": one["name"], "prompt": one["prompt"]}
            for number, one in enumerate(personas)
        }
    )
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert "223 applied" in done.stdout
    done = shop.run("plan", "shop", "--detailed-exitcode")
    assert done.returncode == 0, done.stdout
    assert len(writes(server)) == 223

    there = {}
    for row in server.store.sessions():
        key = json.loads(row.remark or "")["reconciler"]["key"]
        there[key] = (row.name, normalise_prompt(row.prompt))
    assert there == {
        f"persona-{number:03}": (one["name"], normalise_prompt(one["prompt"]))
        for number, one in enumerate(personas)
    }


def test_a_catalog_in_files_with_everything_in_it(shop: Shell, server: RunningServer) -> None:
    """Defaults, prompts in files, data, remarks and a lifecycle: as written, so live, and so again."""
    shop.write(
        {
            "alice": {
                "name": "爱丽丝",
                "prompt": {"file": "prompts/alice.md"},
                "parameters": {"temperature": 0.3},
                "data": {"style": {"tone": ["warm", None]}, "a.b": 1.0},
                "remark": {"created_user": "lery"},
                "lifecycle": {"prevent_destroy": True, "ignore_changes": ["parameters.history_length"]},
            }
        },
        defaults={"model": "deepseek-chat", "parameters": {"max_tokens": 4000, "history_length": 4}},
    )
    (shop.root / "prompts").mkdir()
    (shop.root / "prompts" / "alice.md").write_bytes(
        "\ufeffYou are {{char}}.\r\n\r\n```\r\n${x}\r\n```\r\n \r\n".encode()
    )
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    (row,) = server.store.sessions()
    assert (row.name, row.prompt) == ("爱丽丝", "You are {{char}}.\n\n```\n${x}\n```")
    assert row.parameters == {"max_tokens": 4000, "temperature": 0.3, "history_length": 4}
    assert row.data == {"style": {"tone": ["warm", None]}, "a.b": 1}
    server.store.update_session(1, parameters={**row.parameters, "history_length": 9})
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0
    shop.write({"bob": {"name": "Bob", "prompt": "B"}})
    done = shop.run("plan", "shop")
    assert done.returncode == 3
    assert "--allow-destroy=alice" in done.stdout


# From Python


def test_the_public_functions_do_the_same(shop: Shell, server: RunningServer, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from reconciler import ApplyOptions, Client, Endpoint
from reconciler import apply_plan, list_sessions, load_catalog, load_contract, make_plan

catalog = load_catalog({str(shop.root)!r})
with Client(Endpoint("shop", {server.url!r}, {API_KEY!r}), load_contract()) as client:
    snapshot = list_sessions(client)
    plan = make_plan(catalog, snapshot)
    report = apply_plan(plan, client, ApplyOptions(state=Path({str(tmp_path)!r}), settle=0), snapshot=snapshot)
    print(plan.count("create"), report.count("applied"), report.verification)
    print(make_plan(catalog, list_sessions(client)).empty)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("2 2 verified\nTrue\n", "")
