"""Drift reads as what was done: its own heading, values from git to live, and when the session was last updated."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from reconciler.schemas import schema_text
from reconciler.server import RunningServer
from tests.cli.conftest import Shell


@pytest.fixture
def drifted(shop: Shell, server: RunningServer) -> Shell:
    """A shop of which alice was changed by hand, and bob both by hand and in git."""
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    for row in server.store.sessions():
        if row.name == "Alice":
            server.store.update_session(row.session_id, prompt="Be brave.", model="gpt-5")
        else:
            server.store.update_session(row.session_id, parameters={"temperature": 1.5})
    shop.write(
        {
            "alice": {"name": "Alice", "prompt": "Be kind."},
            "bob": {"name": "Bob", "prompt": "Be brief.", "parameters": {"temperature": 0.7}},
        }
    )
    return shop


def live(server: RunningServer, name: str) -> Any:
    return next(row for row in server.store.sessions() if row.name == name)


def test_as_text(drifted: Shell, server: RunningServer) -> None:
    alice, bob = live(server, "Alice"), live(server, "Bob")
    done = drifted.run("drift", "shop")
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == (
        f"Drift: catalog bookshop, at {server.url} (git → live)\n\n"
        "  ~ changed\n\n"
        f'  ~ bob  "Bob"  #{bob.session_id}  last updated {bob.updated_at}  [conflict]\n'
        "      ~ parameters.temperature   0.7 → 1.5  [conflict: changed in git and outside of it]\n\n"
        f'  ~ alice  "Alice"  #{alice.session_id}  last updated {alice.updated_at}\n'
        '      ~ model    "deepseek-chat" → "gpt-5"\n'
        "      ~ prompt   1 line removed, 1 added, about +1 token (now about 3)\n"
        "        | @@ -1,1 +1,1 @@\n"
        "        | - Be [-kind-].\n"
        "        | + Be {+brave+}.\n\n"
        "Drift: 2 sessions changed.\n"
        "Attention: 1 session in conflict.\n"
    )
    done = drifted.run("drift", "shop", "--concise")
    assert (
        f'~ alice "Alice" #{alice.session_id} last updated {alice.updated_at} model: "deepseek-chat" → "'
        in " ".join(done.stdout.split())
    )


def test_as_json_it_fits_the_schema(drifted: Shell, server: RunningServer) -> None:
    document = drifted.json("drift", "shop", code=2)
    jsonschema.validate(document, json.loads(schema_text("plan")))
    summary = document["summary"]
    assert document["about"] == "drift"
    assert [summary[what] for what in ("create", "update", "delete", "drift", "conflict")] == [0, 0, 0, 1, 1]
    alice, bob = document["actions"]
    assert (alice["action"], alice["reason"], alice["updated_at"]) == (
        "changed",
        "changed outside git",
        live(server, "Alice").updated_at,
    )
    assert alice["fields"][0] == {
        "path": "model",
        "before": "deepseek-chat",
        "after": "gpt-5",
        "cause": "drift",
    }
    assert bob["fields"] == [
        {"path": "parameters.temperature", "before": 0.7, "after": 1.5, "cause": "conflict"}
    ]


def test_as_markdown_and_html_and_annotations(drifted: Shell, server: RunningServer) -> None:
    updated = live(server, "Alice").updated_at
    markdown = drifted.run("drift", "shop", "--format", "markdown").stdout
    assert markdown.startswith(
        "<!-- reconciler drift catalog=bookshop -->\n### Drift: catalog `bookshop`\n\n**2 sessions changed.**"
    )
    assert '`"deepseek-chat"` → `"gpt-5"`' in markdown
    assert f"Last updated {updated}" in markdown.replace("`", "")
    assert "#### Changed (2)" in markdown
    page = drifted.run("drift", "shop", "--format", "html").stdout
    assert "<title>Drift: bookshop</title>" in page
    assert f"last updated {updated}" in page
    assert '"b":"\\"deepseek-chat\\"","a":"\\"gpt-5\\""' in page.replace("\\u0022", '\\"')
    github = drifted.run("drift", "shop", "--format", "github").stdout
    assert github.splitlines()[-1] == "::notice title=Drift in bookshop::2 sessions changed."


def test_a_change_in_many_sessions_is_one(shop: Shell, server: RunningServer) -> None:
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    for row in server.store.sessions():
        server.store.update_session(row.session_id, model="gpt-5")
    alice, bob = live(server, "Alice"), live(server, "Bob")
    done = shop.run("drift", "shop")
    assert (
        "  ~ the same change in 2 sessions:\n"
        f"      alice #{alice.session_id} (last updated {alice.updated_at}), "
        f"bob #{bob.session_id} (last updated {bob.updated_at})\n"
        '      ~ model   "deepseek-chat" → "gpt-5"\n'
    ) in done.stdout


def test_adoptions_alike_are_one_and_say_what_they_change(shop: Shell, server: RunningServer) -> None:
    numbers = [
        server.store.insert_session(name=name, prompt=prompt, model=model, parameters={})
        for name, prompt, model in (
            ("Alice", "Be kind.", "gpt-4o"),
            ("Bob", "Be brief.", "gpt-4o"),
            ("Carl", "Be calm.", "deepseek-chat"),
            ("Dora", "Be dear.", "deepseek-chat"),
        )
    ]
    shop.write(
        {
            name.lower(): {"name": name, "prompt": prompt, "adopt": number}
            for (name, prompt), number in zip(
                (("Alice", "Be kind."), ("Bob", "Be brief."), ("Carl", "Be calm."), ("Dora", "Be dear.")),
                numbers,
                strict=True,
            )
        }
    )
    done = shop.run("plan", "shop")
    assert (
        "  = the same change in 2 sessions:\n"
        "      alice #1, bob #2\n"
        "      reason: adopted: it becomes managed, with its messages\n"
        '      ~ model   "gpt-4o" → "deepseek-chat"  [taken over: becomes what git says]\n'
    ) in done.stdout
    assert "  = 2 sessions adopted as they are:\n      carl #3, dora #4\n" in done.stdout
    assert "4 to adopt (2 changed by it)." in done.stdout
    concise = shop.run("plan", "shop", "--concise").stdout
    assert (
        '= alice  "Alice"  #1  adopted: it becomes managed, with its messages; changed by it: model'
        in concise
    )
    assert "4 to adopt (2 changed by it)." in concise
