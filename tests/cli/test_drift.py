"""What happens to whole sessions outside git is drift: the sentence for each, and exit code 2."""

from __future__ import annotations

import json
import re

import pytest

from reconciler.server import RunningServer
from tests.cli.conftest import Shell

TODAY = r"\d{4}-\d\d-\d\d"


@pytest.fixture
def applied(shop: Shell, server: RunningServer) -> Shell:
    """A shop whose two sessions are live: alice and bob."""
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    assert shop.run("drift", "shop").returncode == 0
    return shop


def number_of(server: RunningServer, key: str) -> int:
    """The session that was created for a key."""
    (row,) = [row for row in server.store.sessions() if f'"key":"{key}"' in str(row.remark)]
    return row.session_id


def drift(shop: Shell) -> str:
    """What `drift` prints when there is drift, with today's date replaced."""
    done = shop.run("drift", "shop")
    assert (done.returncode, done.stderr) == (2, "")
    return re.sub(TODAY, "TODAY", done.stdout.partition("\n")[2])


def test_a_session_that_was_deleted(applied: Shell, server: RunningServer) -> None:
    number = number_of(server, "alice")
    server.store.delete_session(number)
    assert drift(applied) == (
        "\n  - deleted\n\n"
        '  - alice  "Alice"\n'
        f"      reason: deleted outside git: it was #{number}, applied on TODAY\n\n"
        "Drift: 1 session deleted.\n"
    )
    document = applied.json("drift", "shop", code=2)
    (action,) = document["actions"]
    assert (action["action"], action["drift"], action["outside"]) == ("deleted", True, "deleted")
    assert (action["fields"], document["summary"]["drift"]) == ([], 1)
    for form in ("markdown", "html", "github"):
        done = applied.run("drift", "shop", "--format", form)
        assert (done.returncode, "deleted outside git: it was " in done.stdout) == (2, True), form
    plan = applied.run("plan", "shop")
    assert f"reason: deleted outside git: it was #{number}, applied on " in plan.stdout
    assert "Attention: 1 session changed outside git.\n" in plan.stdout


def test_a_key_that_was_never_applied_is_no_drift(applied: Shell) -> None:
    applied.write({"carl": {"name": "Carl", "prompt": "Be calm."}})
    done = applied.run("drift", "shop")
    assert (done.returncode, done.stdout.partition("\n")[2]) == (
        0,
        "\nNo drift. Nothing was changed outside git.\n",
    )
    (action,) = [one for one in applied.json("plan", "shop")["actions"] if one["action"] == "create"]
    assert (action["reason"], "drift" in action) == ("in the catalog, not live", False)


def test_without_a_journal_nobody_knows_that_it_was_live(applied: Shell, server: RunningServer) -> None:
    server.store.delete_session(number_of(server, "alice"))
    done = applied.run("drift", "shop", "--state-dir", "elsewhere")
    assert done.returncode == 0
    (action,) = applied.json("plan", "shop", "--state-dir", "elsewhere")["actions"]
    assert action["reason"] == "in the catalog, not live"


def test_what_an_apply_deleted_and_git_wants_again_is_no_drift(applied: Shell) -> None:
    both = {"alice": {"name": "Alice", "prompt": "Be kind."}, "bob": {"name": "Bob", "prompt": "Be brief."}}
    applied.write({"bob": both["bob"]})
    assert applied.run("apply", "shop", "--auto-approve").returncode == 0
    applied.write(both)
    assert applied.run("drift", "shop").returncode == 0


def test_a_tag_that_was_removed(applied: Shell, server: RunningServer) -> None:
    number = number_of(server, "alice")
    server.store.update_session(number, name="Alice, by hand", remark='{"created_user":"lery"}')
    assert drift(applied) == (
        "\n  / tag-removed\n\n"
        '  / alice  "Alice"\n'
        f"      reason: the tag of #{number} was removed outside git (applied on TODAY)\n\n"
        "Notes:\n"
        f"  [tag-removed] alice #{number} it is live without its tag, so apply would create a second one:\n"
        f"      `reconciler adopt alice={number} --catalog=shop` takes it over again, with its messages\n\n"
        "Drift: 1 session without its tag.\n"
        "Left alone: 1 unmanaged.\n"
    )
    done = applied.run("adopt", f"alice={number}", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert applied.run("drift", "shop").returncode == 0


def test_a_tag_that_was_removed_where_the_catalog_adopts_the_session(
    shop: Shell, server: RunningServer
) -> None:
    number = server.store.insert_session(name="Alice", prompt="Be kind.", remark="by hand")
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind.", "adopt": number}})
    assert shop.run("drift", "shop").returncode == 0
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    server.store.update_session(number, remark="by hand")
    assert "reason: its tag was removed outside git (applied on TODAY)\n" in drift(shop)


def test_a_session_that_was_deleted_where_the_catalog_adopts_it(shop: Shell, server: RunningServer) -> None:
    number = server.store.insert_session(name="Alice", prompt="Be kind.", remark="by hand")
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind.", "adopt": number}})
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    server.store.delete_session(number)
    document = shop.json("drift", "shop", code=2)
    assert [note["key"] for note in document["notes"] if note.get("drift")] == ["alice"]


def test_a_tag_that_was_altered(applied: Shell, server: RunningServer) -> None:
    number = number_of(server, "alice")
    row = server.store.session(number)
    assert row is not None
    server.store.update_session(number, remark=str(row.remark).replace('"base":"1', '"base":"1x'))
    document = applied.json("drift", "shop", code=2)
    (action,) = document["actions"]
    assert (action["key"], action["outside"]) == ("alice", "tag-altered")
    assert re.sub(TODAY, "TODAY", action["reason"]) == (
        f"the tag of #{number} was altered outside git (applied on TODAY)"
    )
    assert document["summary"]["drift"] == 1


def test_a_tag_that_now_says_something_else(applied: Shell, server: RunningServer) -> None:
    number = number_of(server, "alice")
    server.store.update_session(
        number, remark=json.dumps({"reconciler": {"catalog": "other", "key": "alice"}})
    )
    (action,) = applied.json("drift", "shop", code=2)["actions"]
    assert re.sub(TODAY, "TODAY", action["reason"]) == (
        f"the tag of #{number} was altered outside git: it says other/alice (applied on TODAY)"
    )


def test_an_unreadable_tag_that_names_this_catalog_is_drift_without_a_journal(
    applied: Shell, server: RunningServer
) -> None:
    server.store.insert_session(
        name="Somebody", remark='{"reconciler":{"catalog":"bookshop","key":"old","base":"1cut'
    )
    server.store.insert_session(
        name="Nobody", remark='{"reconciler":{"catalog":"elsewhere","key":"old","base":"1cut'
    )
    document = applied.json("drift", "shop", "--state-dir", "elsewhere", code=2)
    assert [note["session_id"] for note in document["notes"] if note.get("drift")] == [3]
    assert (document["actions"], document["summary"]["drift"]) == ([], 1)
    assert "Drift: 1 session with an altered tag. The notes say what was changed outside git.\n" in drift(
        applied
    )


def test_a_session_that_is_live_twice(applied: Shell, server: RunningServer) -> None:
    row = server.store.session(number_of(server, "alice"))
    assert row is not None
    twin = server.store.insert_session(
        name=row.name, model=row.model, prompt=row.prompt, remark=row.remark, parameters=row.parameters
    )
    document = applied.json("drift", "shop", code=2)
    assert [(note["kind"], note["session_id"]) for note in document["notes"] if note.get("drift")] == [
        ("copy", twin)
    ]
    document = applied.json("drift", "shop", "--state-dir", "elsewhere", code=2)
    assert document["summary"]["drift"] == 1
    assert twin in {action["session_id"] for action in document["actions"]}
    assert [action["outside"] for action in document["actions"]] == ["double"]


def test_a_copy_is_drift_and_tells_of_its_original(applied: Shell, server: RunningServer) -> None:
    """A tag names its session from the first update on."""
    number = number_of(server, "alice")
    server.store.update_session(number, name="By hand")
    assert applied.run("apply", "shop", "--auto-approve").returncode == 0
    row = server.store.session(number)
    assert row is not None
    copy = server.store.insert_session(name=row.name, prompt=row.prompt, remark=row.remark)
    document = applied.json("drift", "shop", code=2)
    assert [(note["kind"], note["session_id"]) for note in document["notes"] if note.get("drift")] == [
        ("copy", copy)
    ]
    server.store.delete_session(number)
    (action,) = applied.json("plan", "shop", "--state-dir", "elsewhere")["actions"]
    assert (action["outside"], action["reason"]) == (
        "deleted",
        f"deleted outside git: #{copy} is a copy of it, so it was live",
    )


def test_what_is_gone_can_not_be_accepted(applied: Shell, server: RunningServer) -> None:
    number = number_of(server, "alice")
    server.store.delete_session(number)
    done = applied.run("drift", "shop", "--accept", "alice")
    assert done.returncode == 3
    assert re.sub(TODAY, "TODAY", done.stderr) == (
        f"alice: there is no live value to accept: deleted outside git: it was #{number}, applied on TODAY\n"
        "      hint: to accept it, remove alice from the catalog; `reconciler apply --catalog=shop` creates it again\n"
    )


def test_a_session_that_another_catalog_took_over_is_followed_by_its_new_key(
    applied: Shell, server: RunningServer
) -> None:
    done = applied.run("mv", "alice", "alice-en", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr
    applied.write(
        {
            "alice-en": {"name": "Alice", "prompt": "Be kind."},
            "bob": {"name": "Bob", "prompt": "Be brief.", "parameters": {"temperature": 0.5}},
        }
    )
    assert applied.run("drift", "shop").returncode == 0
    number = number_of(server, "alice-en")
    server.store.delete_session(number)
    assert f"deleted outside git: it was #{number}, applied on TODAY" in drift(applied)
