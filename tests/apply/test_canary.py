"""Canaries: a call that is only assumed is tried on one session first, and its effect is checked."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.listing import list_sessions
from reconciler.apply.run import apply_plan
from reconciler.domain import Policy
from reconciler.plan import make_plan
from reconciler.server import Fault, Quirks, RunningServer, running_server
from reconciler.server.log import LoggedRequest
from tests.cli.conftest import Shell
from tests.suggestions import without_run
from tests.support import CONTRACT, LEARNED, calling, catalog, learned_file, options, reconcile, wanted

SESSIONS: dict[str, dict[str, Any]] = {
    "alice": {"name": "Alice", "prompt": "Be kind.", "data": {"shelf": 3}},
    "bob": {"name": "Bob", "prompt": "Be brief."},
    "carol": {"name": "Carol", "prompt": "Be calm."},
}
EDITED = {key: {**one, "prompt": "Be quick."} for key, one in SESSIONS.items()}
LEFT = {"carol": SESSIONS["carol"]}
HINT = (
    "      the contract only assumes this call: `reconciler doctor --probe --write=contract.yaml` finds out which one "
    "the service has; then plan again and apply with --contract=contract.yaml\n"
)
UPDATE = (
    "      sent: POST /v1/session/2/ with prompt, session_remark\n      answered: status 200, session 2\n"
)
DELETE = "      sent: POST /v1/session/2/del/\n      answered: status 200, session 2\n"
CREATE = (
    "      sent: POST /v1/session/ with session_name, model, prompt, config_data, session_remark\n"
    "      answered: status 201, session 1\n"
)
END = "Not verified: the list was not read again. Plan again to see what is live.\n"


@pytest.fixture
def shop(tmp_path: Path) -> Shell:
    return Shell(
        tmp_path, {"MINDCRAFT_API_KEY": "sk-any", "RECONCILER_SETTLE": "0", "RECONCILER_PARALLELISM": "1"}
    )


@pytest.fixture
def serve(shop: Shell) -> Iterator[Callable[..., RunningServer]]:
    """Serves the same sessions again and again, each time with other quirks."""
    open_ones = []

    def again(**quirks: Any) -> RunningServer:
        while open_ones:
            open_ones.pop().__exit__(None, None, None)
        port = int(shop.environ.get("MINDCRAFT_ENDPOINT", ":0").rpartition(":")[2])
        context = running_server(shop.folder / "sessions.db", quirks=Quirks(**quirks), port=port)
        server = context.__enter__()
        open_ones.append(context)
        shop.environ["MINDCRAFT_ENDPOINT"] = server.url
        return server

    yield again
    while open_ones:
        open_ones.pop().__exit__(None, None, None)


def seed(shop: Shell, serve: Callable[..., RunningServer]) -> None:
    """Three sessions of ours, between two of somebody else."""
    store = serve().store
    store.insert_session(name="somebody's chat")
    shop.write(SESSIONS)
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    store.insert_session(name="somebody's other chat")


def applied(shop: Shell, sessions: dict[str, Any], *flags: str) -> tuple[int, str]:
    """The exit code of an apply, and its report."""
    shop.write(sessions)
    done = shop.run("apply", "shop", "--auto-approve", *flags)
    return done.returncode, re.split(r"\nPlan: .*\n(?:Left alone: .*\n)?\n", without_run(done.stdout))[1]


def writes(server: RunningServer) -> list[str]:
    return [one.operation for one in server.log if one.method != "GET"]


def archive(shop: Shell) -> dict[int, str]:
    """What the newest run archived because a canary touched it: ids of the archives by session."""
    found = (shop.root / ".reconciler" / "archive").glob("*-canary.json")
    return {json.loads(one.read_text())["session_id"]: one.stem for one in found}


def as_it_was(archived: str) -> str:
    return (
        f"      archived as it was: {archived}. Put it back before the next apply, once the contract is\n"
        f"      right: `reconciler archive restore {archived} --contract=contract.yaml`\n"
    )


# Writes that do what they should


def test_the_first_write_of_each_kind_is_tried_alone(
    shop: Shell, serve: Callable[..., RunningServer]
) -> None:
    seed(shop, serve)
    server = serve()
    now = {"alice": EDITED["alice"], "bob": EDITED["bob"], "dora": SESSIONS["carol"], "eve": SESSIONS["bob"]}
    code, report = applied(shop, now)
    assert (code, report) == (
        0,
        "  created dora #6\n"
        "  created eve #7\n"
        "  updated alice #2\n"
        "  updated bob #3\n"
        "  deleted carol #4\n"
        "  tried first: create dora #6, and the list shows exactly that\n"
        "  tried first: update alice #2, and the list shows exactly that\n"
        "  tried first: delete carol #4, and the list shows exactly that\n"
        "\n"
        "Ended: 5 applied.\n"
        "Verified: the live list is what was written.\n",
    )
    calls = [one.operation for one in server.log]
    assert calls[calls.index("create_session") :] == [
        "create_session", "list_sessions", "create_session",
        "list_sessions", "update_session", "list_sessions", "update_session",
        "list_sessions", "list_messages", "delete_session", "list_sessions", "list_sessions",
    ]  # fmt: skip
    history = shop.run("history", "shop").stdout
    assert "    tried first, update alice #2: passed\n" in history
    assert shop.json("plan", "shop")["notes"] == []


def test_the_plan_says_what_is_tried(shop: Shell, serve: Callable[..., RunningServer]) -> None:
    seed(shop, serve)
    shop.write({"alice": EDITED["alice"], "bob": EDITED["bob"]})
    (note,) = shop.json("plan", "shop")["notes"]
    note["message"] = without_run(note["message"])
    assert note == {
        "kind": "canary",
        "key": None,
        "session_id": None,
        "message": "the contract's update and delete calls are not proven: the first of each is tried on one session, "
        "and the apply stops if the list shows anything else than it should. "
        "`reconciler doctor --probe --write=contract.yaml` proves them",
    }
    learned = str(learned_file(shop.folder))
    assert shop.json("plan", "shop", "--contract", learned)["notes"] == []
    assert shop.json("plan", "shop", "--contract", learned, "--canary", "2")["notes"] == []


def test_a_learned_contract_needs_no_call_more(shop: Shell, serve: Callable[..., RunningServer]) -> None:
    seed(shop, serve)
    server = serve()
    shop.write({"alice": EDITED["alice"], "bob": EDITED["bob"], "dora": SESSIONS["carol"]})
    report = shop.json("apply", "shop", "--auto-approve", "--contract", str(learned_file(shop.folder)))
    assert report["canaries"] == []
    assert sorted(one.operation for one in server.log if one.operation != "list_sessions") == [
        "create_session", "delete_session", "list_messages", "update_session", "update_session",
    ]  # fmt: skip
    assert len([one for one in server.log if one.operation == "list_sessions"]) == 3  # plan, create, verify


def test_five_hundred_creates_take_a_few_calls_more(tmp_path: Path) -> None:
    now = catalog(*(wanted(f"s{number}", name=f"S {number}") for number in range(500)))
    taken = []
    for name, contract in (("shipped", CONTRACT), ("learned", LEARNED)):
        with running_server(None) as server, calling(server.url, contract=contract) as client:
            _, report = reconcile(client, now, tmp_path / name, recheck=True)
            assert report.count("applied") == 500
            taken.append(len(server.log))
    assert taken[0] - taken[1] == 1


@pytest.mark.parametrize("way", ["flag", "policy", "saved"])
def test_as_many_as_the_policy_says(shop: Shell, serve: Callable[..., RunningServer], way: str) -> None:
    """Also where the contract proves the calls; a saved plan keeps the number."""
    serve()
    learned = ["--contract", str(learned_file(shop.folder))]
    flag = [] if way == "policy" else ["--canary", "2"]
    shop.write(SESSIONS, **({"policy": {"canary": 2}} if way == "policy" else {}))
    what = ["shop", *flag]
    if way == "saved":
        assert shop.run("plan", "shop", "--out", "plan.json", *flag, *learned).returncode == 0
        what = ["plan.json"]
    report = shop.json("apply", *what, "--auto-approve", *learned)
    tried = [(one["action"], one["key"], one["outcome"]) for one in report["canaries"]]
    assert tried == [("create", "alice", "passed"), ("create", "bob", "passed")]
    assert report["summary"]["applied"] == 3


def test_no_policy_turns_off_what_the_contract_calls_for(tmp_path: Path, shop: Shell) -> None:
    shop.write(SESSIONS, policy={"canary": 0})
    done = shop.run("validate", "shop")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        "catalog.yaml:6:11: `canary` is 0; the minimum is 1",
    )


def test_the_embedded_server_is_the_contract(shop: Shell) -> None:
    shop.write(SESSIONS)
    report = shop.json("apply", "shop", "--auto-approve", "--endpoint", "local")
    assert (report["canaries"], report["summary"]["applied"]) == ([], 3)


# Updates and deletes that lie


@pytest.mark.parametrize(
    ("hits", "seen", "touched"),
    [
        ("other", "#2 is as it was; #3 (bob) changed: prompt, remark", [3]),
        ("both", "#3 (bob) changed: prompt, remark", [3]),
        ("none", "#2 is as it was", []),
    ],
)
def test_an_update_that_changes_another_session(
    shop: Shell, serve: Callable[..., RunningServer], hits: str, seen: str, touched: list[int]
) -> None:
    seed(shop, serve)
    bob = serve().store.sessions()[2]
    server = serve(update_hits=hits)
    code, report = applied(shop, EDITED)
    archived = archive(shop)
    assert list(archived) == touched
    assert (code, report) == (
        4,
        f"  FAILED update alice #2: {seen}\n{HINT}"
        "  not tried: update bob #3\n"
        "  not tried: update carol #4\n"
        f"  tried first: update alice #2, which went wrong\n{UPDATE}"
        f"      seen: {seen}\n"
        + "".join(map(as_it_was, archived.values()))
        + f"\nStopped (the first update did not do what it should): 0 applied, 1 failed, 2 not tried.\n{END}",
    )
    assert writes(server) == ["update_session"]
    if touched:
        server = serve()
        done = shop.run("archive", "restore", archived[3], "shop", "--auto-approve")
        assert done.returncode == 0, done.stderr
        now = server.store.sessions()[2]
        assert (now.prompt, now.remark) == (bob.prompt, bob.remark)


@pytest.mark.parametrize(
    ("hits", "seen", "touched"),
    [
        ("other", "#2 is still listed; #3 (bob) is gone", [3]),
        ("both", "#3 (bob) is gone", [3]),
        ("none", "#2 is still listed", []),
    ],
)
def test_a_delete_that_takes_its_neighbour(
    shop: Shell, serve: Callable[..., RunningServer], hits: str, seen: str, touched: list[int]
) -> None:
    seed(shop, serve)
    bob = serve().store.sessions()[2]
    server = serve(delete_hits=hits)
    code, report = applied(shop, {"bob": SESSIONS["bob"]} | LEFT)
    archived = archive(shop)
    assert list(archived) == touched
    assert (code, report) == (
        4,
        f"  FAILED delete alice #2: {seen}\n{HINT}"
        f"  tried first: delete alice #2, which went wrong\n{DELETE}"
        f"      seen: {seen}\n"
        + "".join(map(as_it_was, archived.values()))
        + f"\nStopped (the first delete did not do what it should): 0 applied, 1 failed.\n{END}",
    )
    assert writes(server) == ["delete_session"]
    (before,) = (shop.root / ".reconciler" / "archive").glob("*-2-delete.json")
    assert json.loads(before.read_text())["session"]["session_name"] == "Alice"
    if touched:
        server = serve()
        done = shop.run("archive", "restore", archived[3], "shop", "--auto-approve")
        assert done.returncode == 0, done.stderr
        now = server.store.sessions()[-1]
        assert (now.name, now.prompt, now.remark) == (bob.name, bob.prompt, bob.remark)


@pytest.mark.parametrize(
    ("quirks", "seen"),
    [
        ({"update_resets": True}, "#2 changed in data, which the call did not carry"),
        ({"update_ignores": frozenset({"prompt"})}, "#2 did not keep prompt"),
        (
            {"update_ignores": frozenset({"remark"})},
            "the tag of #2 did not come back as sent: its remark is "
            '{"reconciler":{"catalog":"bookshop","key":"alice","base":"1nc_FS5gmFKbMYNpurcMsa…',
        ),
    ],
)
def test_an_update_that_is_not_the_contracts(
    shop: Shell, serve: Callable[..., RunningServer], quirks: dict[str, Any], seen: str
) -> None:
    seed(shop, serve)
    server = serve(**quirks)
    code, report = applied(shop, EDITED)
    assert (code, report.splitlines()[0]) == (4, f"  FAILED update alice #2: {seen}")
    assert writes(server) == ["update_session"]


# Creates that lose something


@pytest.mark.parametrize(
    ("quirks", "seen"),
    [
        (
            {"remark_characters": 60, "remark_over": "cut"},
            "the tag of #1 did not come back as sent: its remark is "
            '{"reconciler":{"catalog":"bookshop","key":"alice","base":"1n',
        ),
        (
            {"remark_escaped": True},
            "the tag of #1 did not come back as sent: its remark is "
            "{&quot;reconciler&quot;:{&quot;catalog&quot;:&quot;bookshop&quot;,&quot;key&quot…",
        ),
        ({"create_ignores": frozenset({"remark"})}, "the tag of #1 did not come back: its remark is empty"),
        ({"data_field": "somewhere_else"}, "#1 did not keep data"),
        ({"create_ignores": frozenset({"prompt"})}, "#1 did not keep prompt"),
    ],
)
def test_a_create_that_loses_something_stops_before_the_others(
    shop: Shell, serve: Callable[..., RunningServer], quirks: dict[str, Any], seen: str
) -> None:
    server = serve(**quirks)
    code, report = applied(shop, SESSIONS)
    assert (code, report) == (
        4,
        f"  FAILED create alice #1: {seen}\n{HINT}"
        "  not tried: create bob\n"
        "  not tried: create carol\n"
        f"  tried first: create alice #1, which went wrong\n{CREATE}"
        f"      seen: {seen}\n"
        f"\nStopped (the first create did not do what it should): 0 applied, 1 failed, 2 not tried.\n{END}",
    )
    assert writes(server) == ["create_session"]


def test_what_a_canary_lost_is_never_called_drift(shop: Shell, serve: Callable[..., RunningServer]) -> None:
    """Nobody changed it. Once the contract is right, the field is written, and drift is drift again."""
    serve(data_field="somewhere_else")
    code, _ = applied(shop, SESSIONS)
    assert code == 4
    server = serve()
    learned = ["--contract", str(learned_file(shop.folder))]
    assert shop.run("drift", "shop", *learned).returncode == 0
    (change,) = [
        change
        for action in shop.json("plan", "shop", *learned)["actions"]
        for change in action["fields"]
        if action["key"] == "alice"
    ]
    assert (change["path"], change["cause"]) == ("data.shelf", "unknown")
    assert shop.run("apply", "shop", "--auto-approve", *learned).returncode == 0
    assert shop.run("plan", "shop", "--detailed-exitcode", *learned).returncode == 0
    server.store.update_session(1, data={})
    assert shop.run("drift", "shop", *learned).returncode == 2


@pytest.mark.parametrize("answer", ["both", "token", "none"])
def test_what_is_left_of_a_tag_is_found_without_an_id(
    shop: Shell, serve: Callable[..., RunningServer], answer: str
) -> None:
    server = serve(remark_characters=60, remark_over="cut", create_answer=answer)
    code, report = applied(shop, SESSIONS)
    assert code == 4 and "the tag of #1 did not come back as sent" in report
    assert writes(server) == ["create_session"]


def test_another_form_is_no_reason_to_stop(shop: Shell, serve: Callable[..., RunningServer]) -> None:
    """Prompts are trimmed, numbers are texts. The tags remember it, which is an update: that is tried on one, too."""
    serve(trim_prompts=True, numbers_as_text=True)
    spaced = {
        key: {**one, "prompt": f"  {one['prompt']}", "parameters": {"temperature": 0.5}}
        for key, one in SESSIONS.items()
    }
    shop.write(spaced)
    report = shop.json("apply", "shop", "--auto-approve")
    assert [(one["action"], one["key"], one["outcome"]) for one in report["canaries"]] == [
        ("create", "alice", "passed"),
        ("update", "alice", "passed"),
    ]
    assert (report["verification"], len(report["rewritten"])) == ("verified", 3)
    assert shop.json("plan", "shop")["actions"] == []


def test_a_tag_that_can_not_be_renewed_is_tried_on_one_session(
    shop: Shell, serve: Callable[..., RunningServer]
) -> None:
    server = serve(trim_prompts=True, update_hits="other")
    shop.write({key: {**one, "prompt": f"  {one['prompt']}"} for key, one in SESSIONS.items()})
    report = shop.json("apply", "shop", "--auto-approve", code=4)
    assert [(one["action"], one["key"], one["outcome"]) for one in report["canaries"]] == [
        ("create", "alice", "passed"),
        ("update", "alice", "failed"),
    ]
    assert report["stopped"] == "the first update did not do what it should"
    assert writes(server) == ["create_session"] * 3 + ["update_session"]


# Refusals, lost answers, lists that lag


def test_a_call_that_is_not_there_ends_the_run(shop: Shell, serve: Callable[..., RunningServer]) -> None:
    seed(shop, serve)
    server = serve(no_update=True)
    code, report = applied(shop, EDITED)
    assert code == 1
    assert "Stopped (the first update was refused): 0 applied, 1 failed, 2 not tried." in report
    assert HINT in report
    assert len(writes(server)) == 1


def test_what_one_session_is_refused_for_is_tried_on_the_next(
    shop: Shell, serve: Callable[..., RunningServer]
) -> None:
    server = serve(prompt_limit=20)
    long = {**SESSIONS["alice"], "prompt": "Be kind to everybody who asks."}
    code, report = applied(shop, {**SESSIONS, "alice": long})
    assert (code, writes(server)) == (4, ["create_session"] * 3)
    assert "  tried first: create alice, which was refused\n" in report
    assert "  tried first: create bob #1, and the list shows exactly that\n" in report
    server = serve(prompt_limit=1)
    code, report = applied(shop, {f"x{n}": {"name": f"X{n}", "prompt": "Be kind."} for n in range(9)} | LEFT)
    assert "Stopped (the first create was refused): 0 applied, 3 failed, " in report
    assert writes(server) == ["create_session"] * 3


def test_an_answer_that_was_lost_is_no_lie(tmp_path: Path) -> None:
    with running_server(None) as server, calling(server.url, contract=CONTRACT, tries=1) as client:
        server.faults.add(Fault("cut", operation="create_session", when="first", worked=True))
        _, report = reconcile(client, catalog(wanted("alice"), wanted("bob", name="Bob")), tmp_path)
    assert [(one.key, one.outcome) for one in report.canaries] == [("alice", "passed")]
    assert (report.count("applied"), report.verification) == (2, "verified")


def test_a_list_that_lags_is_waited_for(tmp_path: Path) -> None:
    lags = Quirks(late_calls=4)
    with running_server(None, quirks=lags) as server, calling(server.url, contract=CONTRACT) as client:
        now = catalog(wanted("alice"), wanted("bob", name="Bob"))
        _, report = reconcile(client, now, tmp_path, settle=60)
    assert [(one.key, one.outcome) for one in report.canaries] == [("alice", "passed")]
    assert report.verification == "verified"


# Other people


def test_what_others_do_meanwhile_is_not_held_against_a_write(tmp_path: Path) -> None:
    """They edit, create and delete their sessions, and edit ours, in the moment of each write."""
    with running_server(None) as server, calling(server.url, contract=CONTRACT) as client:
        before = catalog(wanted("alice"), wanted("bob", name="Bob"))
        reconcile(client, before, tmp_path)
        theirs = [server.store.insert_session(name=f"chat {number}") for number in range(4)]

        def meddle(entry: LoggedRequest) -> None:
            if entry.operation == "update_session":
                server.store.update_session(theirs[0], prompt="Ours now.", remark="")
                server.store.delete_session(theirs[1])
                server.store.insert_session(name="a new chat")
            if entry.operation == "delete_session":
                server.store.update_session(theirs[2], prompt="Another text.")

        server.after.append(meddle)
        now = catalog(dataclasses.replace(before.sessions["alice"], prompt="Be quick."))
        _, report = reconcile(client, now, tmp_path)
    assert [(one.kind, one.outcome) for one in report.canaries] == [
        ("update", "passed"),
        ("delete", "passed"),
    ]


@pytest.mark.parametrize("settle", [0, 60])
@pytest.mark.parametrize("once", [True, False])
def test_a_session_of_others_that_is_gone_after_a_delete_is_doubted(
    tmp_path: Path, settle: int, once: bool
) -> None:
    """The call may have taken it. Where others go on vanishing while nothing is sent, it was not the call.

    That is looked at however short a list lags: to read a long one may take longer.
    """
    with running_server(None) as server, calling(server.url, contract=CONTRACT) as client:
        reconcile(client, catalog(wanted("alice")), tmp_path)
        theirs = [server.store.insert_session(name=f"chat {number}") for number in range(9)]
        deleted: list[int] = []

        def vanish(entry: LoggedRequest) -> None:
            if theirs and (entry.operation == "delete_session" or (deleted and not once)):
                server.store.delete_session(theirs[0])
                deleted.append(theirs.pop(0))

        server.after.append(vanish)
        _, report = reconcile(client, catalog(), tmp_path, settle=settle)
    (canary,) = report.canaries
    if not once:
        assert canary.outcome == "passed"
    else:
        assert canary.message == (
            "#2 (unmanaged) is gone; somebody else may have deleted sessions that are not ours at the same moment"
        )
        assert len(canary.archived) == 1


def test_sessions_of_others_are_known_whole(tmp_path: Path) -> None:
    """A snapshot that leaves them out is not enough to tell what a canary did to one of them."""
    with running_server(None) as server, calling(server.url, contract=CONTRACT) as client:
        reconcile(client, catalog(wanted("alice")), tmp_path)
        chat = server.store.insert_session(name="chat", prompt="Theirs.")
        there = list_sessions(client, keep=lambda live: live if live.remark.tag else "unmanaged")
        plan = make_plan(catalog(wanted("alice", prompt="Be quick.")), there)

        def hit_the_other(entry: LoggedRequest) -> None:
            if entry.operation == "update_session":
                ours = server.store.sessions()[0]
                server.store.update_session(chat, prompt=ours.prompt, remark=ours.remark)

        server.after.append(hit_the_other)
        report = apply_plan(plan, client, options(tmp_path, recheck=False), snapshot=there)
    (canary,) = report.canaries
    assert canary.message == f"#{chat} (unmanaged) changed: prompt, remark"
    (archived,) = canary.archived
    row = json.loads((tmp_path / "archive" / f"{archived}.json").read_text())
    assert row["session"]["session_config"]["prompt"] == "Theirs."


def test_the_policy_of_a_plan(tmp_path: Path) -> None:
    with running_server(None) as server, calling(server.url) as client:
        now = catalog(wanted("alice"), wanted("bob", name="Bob"), policy=Policy(canary=5))
        plan, report = reconcile(client, now, tmp_path)
    assert plan.canary == 5
    assert [one.outcome for one in report.canaries] == ["passed", "passed"]
