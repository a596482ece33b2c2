"""drift, adopt, forget and mv, with the installed command."""

from __future__ import annotations

import pytest

from reconciler.server import RunningServer
from tests.cli.conftest import Shell, writes
from tests.support import session_of


def by_hand(server: RunningServer, name: str) -> int:
    """A session that somebody made in a console."""
    return server.store.insert_session(name=name, model="gpt-4o", prompt="Be somebody.", remark="by hand")


def test_drift_is_shown_alone_and_ends_with_2(shop: Shell, server: RunningServer) -> None:
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    assert shop.run("drift", "shop").returncode == 0
    server.store.update_session(1, name="By Hand")
    done = shop.run("drift", "shop")
    assert done.returncode == 2
    assert '~ name   "Alice" → "By Hand"\n' in done.stdout


def test_an_accepted_value_is_in_the_manifest_and_the_plan_is_empty(
    shop: Shell, server: RunningServer
) -> None:
    shop.run("apply", "shop", "--auto-approve")
    (row,) = [row for row in server.store.sessions() if '"alice"' in str(row.remark)]
    server.store.update_session(row.session_id, prompt="Be brief.\nBe kind.")
    done = shop.run("drift", "shop", "--accept", "alice.prompt")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "alice.prompt   1 line added, about +3 tokens (now about 5)   sessions/all.yaml:4\nWrote 1 value into 1 file.\n"
    )
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0


def test_what_did_not_drift_cannot_be_accepted(shop: Shell) -> None:
    shop.run("apply", "shop", "--auto-approve")
    done = shop.run("drift", "shop", "--accept", "alice.model")
    assert done.returncode == 3
    assert done.stderr == (
        "nothing was changed outside git in alice.model, or there is no such session or field\n"
        "      hint: `reconciler drift --catalog=shop` shows what was changed\n"
    )


def test_adopt_by_name_takes_over_what_fits_once(shop: Shell, server: RunningServer) -> None:
    number = by_hand(server, "Alice")
    done = shop.run("adopt", "--match", "name", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert [(one.operation, session_of(one)) for one in server.log if one.method != "GET"] == [
        ("update_session", number)
    ]


def test_adopt_by_name_is_refused_where_it_fits_twice(shop: Shell, server: RunningServer) -> None:
    numbers = [by_hand(server, "Alice"), by_hand(server, "Alice")]
    done = shop.run("adopt", "--match", "name", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 3
    assert done.stderr == (
        f"not adopted, since the name 'Alice' is ambiguous: keys alice; sessions #{numbers[0]}, #{numbers[1]}\n"
        "      hint: name the pair that you mean: `reconciler adopt alice=1 --catalog=shop`\n"
        "nothing was adopted\n"
    )
    assert {one.method for one in server.log} == {"GET"}


def test_adopt_change_forget(shop: Shell, server: RunningServer) -> None:
    number = by_hand(server, "Alice")
    assert shop.run("adopt", f"alice={number}", "--catalog", "shop", "--auto-approve").returncode == 0
    done = shop.run("forget", "alice", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0
    assert (
        done.stderr == "Still in the catalog: alice. Remove it there, or the next apply creates it again.\n"
    )
    found = server.store.session(number)
    assert found is not None
    assert found.remark == "by hand"


def test_mv_keeps_the_session(shop: Shell, server: RunningServer) -> None:
    shop.run("apply", "shop", "--auto-approve")
    before = {row.session_id for row in server.store.sessions()}
    done = shop.run("mv", "alice", "alice-en", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Still in the catalog: alice. Rename it there too, before the next apply.\n"
    assert {row.session_id for row in server.store.sessions()} == before
    assert any('"key":"alice-en"' in str(row.remark) for row in server.store.sessions())


# Guards


def refused(guard: str, message: str, allow: str) -> str:
    """How a plan says that a guard refuses it."""
    return (
        "\nRefused: apply will not carry out this plan.\n"
        f"  [{guard}] {message}\n"
        f"      to allow it: {allow}\n\n"
    )


OVER = refused("max_updates", "it would update 3 sessions, and the policy allows 2", "--max-updates=3")


@pytest.fixture
def three(shop: Shell, server: RunningServer) -> Shell:
    """A catalog of three sessions that may change two at once; three sessions of their names are live."""
    for name in ("Ann", "Ben", "Cleo"):
        by_hand(server, name)
    write_three(shop)
    return shop


def write_three(shop: Shell, adopt: bool = False, **policy: object) -> None:
    names = {"ann": "Ann", "ben": "Ben", "cleo": "Cleo"}
    shop.write(
        {
            key: {"name": name, "prompt": "Be kind.", **({"adopt": number} if adopt else {})}
            for number, (key, name) in enumerate(names.items(), start=1)
        },
        policy=policy or {"max_updates": 2},
    )


def test_adopt_is_refused_where_the_plan_of_the_same_adoptions_is(
    three: Shell, server: RunningServer
) -> None:
    write_three(three, adopt=True)
    whole = three.run("plan", "shop")
    assert (whole.returncode, OVER in whole.stdout) == (3, True), whole.stdout
    write_three(three)
    for words in (["--match", "name"], ["ann=1", "ben=2", "cleo=3"]):
        done = three.run("adopt", *words, "--catalog", "shop", "--auto-approve")
        assert (done.returncode, done.stdout, done.stderr) == (3, whole.stdout, "")
    document = three.json("adopt", "--match", "name", "--catalog", "shop", "--auto-approve", code=3)
    assert document["refusals"] == [
        {
            "guard": "max_updates",
            "message": "it would update 3 sessions, and the policy allows 2",
            "allow": "--max-updates=3",
        }
    ]
    assert writes(server) == []
    done = three.run("adopt", "--match", "name", "--catalog", "shop", "--auto-approve", "--max-updates", "3")
    assert done.returncode == 0, done.stderr
    assert writes(server) == ["update_session"] * 3


@pytest.mark.parametrize("guard", ["max_updates", "max_changes"])
def test_forget_is_bound_by_the_limits(three: Shell, server: RunningServer, guard: str) -> None:
    write_three(three, adopt=True, max_deletes=0)
    assert three.run("apply", "shop", "--auto-approve").returncode == 0
    write_three(three, **{guard: 2})
    before = len(writes(server))
    done = three.run("forget", "ann", "ben", "cleo", "--catalog", "shop", "--auto-approve")
    flag = f"--{guard.replace('_', '-')}"
    verb = {"max_updates": "update", "max_changes": "change"}[guard]
    assert (done.returncode, done.stderr) == (3, "")
    message = f"it would {verb} 3 sessions, and the policy allows 2"
    assert refused(guard, message, f"{flag}=3") in done.stdout
    assert writes(server)[before:] == []
    assert three.run("forget", "ann", "ben", "--catalog", "shop", "--auto-approve").returncode == 0
    done = three.run("forget", "cleo", "--catalog", "shop", "--auto-approve", flag, "1")
    assert done.returncode == 0, done.stderr
    assert writes(server)[before:] == ["update_session"] * 3


@pytest.mark.parametrize(
    ("guard", "bound", "message", "flag"),
    [
        ("max_updates", 0, "it would update 1 session, and the policy allows 0", "--max-updates=1"),
        ("max_changes", 0, "it would change 1 session, and the policy allows 0", "--max-changes=1"),
        (
            "on_conflict",
            "fail",
            "anna (#1): prompt was changed in git and outside of it",
            "--on-conflict=overwrite",
        ),
    ],
)
def test_mv_is_bound_by_the_policy(
    shop: Shell, server: RunningServer, guard: str, bound: object, message: str, flag: str
) -> None:
    shop.write({"ann": {"name": "Ann", "prompt": "Be kind."}})
    assert shop.run("apply", "shop", "--auto-approve").returncode == 0
    server.store.update_session(1, prompt="Changed in a console.")
    shop.write({"anna": {"name": "Ann", "prompt": "Be bold."}}, policy={guard: bound})
    done = shop.run("mv", "ann", "anna", "--catalog", "shop", "--auto-approve")
    assert (done.returncode, done.stderr) == (3, "")
    assert refused(guard, message, flag) in done.stdout
    assert writes(server) == ["create_session"]
    done = shop.run("mv", "ann", "anna", "--catalog", "shop", "--auto-approve", *flag.split())
    assert done.returncode == 0, done.stderr
    assert writes(server) == ["create_session", "update_session"]


def test_what_is_not_live_can_be_neither_moved_nor_forgotten(shop: Shell) -> None:
    for words, message in (
        (("forget", "alice"), "no managed session is live as alice\n"),
        (("mv", "alice", "bob2"), "no live session is bookshop/alice\n"),
    ):
        done = shop.run(*words, "--catalog", "shop", "--auto-approve")
        assert (done.returncode, done.stderr) == (
            3,
            message + "      hint: `reconciler list --catalog=shop` shows what is live\n",
        )


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("explain", "alise"), "the catalog has no session 'alise'", "did you mean 'alice'?"),
        (("explain", "nobody"), "the catalog has no session 'nobody'", "check the key"),
        (("adopt", "alise=1"), "the catalog has no session alise", "did you mean 'alice'?"),
        (
            ("forget", "alise", "bob"),
            "neither the live list nor the catalog has alise",
            "did you mean 'alice'?",
        ),
        (
            ("forget", "nobody"),
            "neither the live list nor the catalog has nobody",
            "`reconciler list --catalog=shop` shows what is live",
        ),
        (("mv", "alise", "bob"), "no live session is bookshop/alise", "did you mean 'alice'?"),
        (
            ("mv", "other/x", "bob"),
            "no live session is other/x",
            "`reconciler list --catalog=shop` shows what is live",
        ),
    ],
)
def test_a_key_that_nobody_knows_is_wrong_usage(
    shop: Shell, server: RunningServer, words: tuple[str, ...], message: str, hint: str
) -> None:
    shop.run("apply", "shop", "--auto-approve")
    before = server.store.dump()
    approve = [] if words[0] == "explain" else ["--auto-approve"]
    done = shop.run(*words, "--catalog", "shop", *approve)
    assert (done.returncode, done.stderr) == (64, f"{message}\n      hint: {hint}\n")
    assert server.store.dump() == before


def test_a_key_whose_drift_nobody_knows_is_wrong_usage(shop: Shell) -> None:
    shop.run("apply", "shop", "--auto-approve")
    done = shop.run("drift", "shop", "--accept", "alise.prompt")
    assert (done.returncode, done.stderr) == (
        64,
        "the catalog has no session for 'alise.prompt'\n      hint: did you mean 'alice'?\n",
    )
    assert shop.run("drift", "shop", "--accept", "alice.prompt").returncode == 3


def test_a_key_that_may_be_destroyed_and_is_not(shop: Shell) -> None:
    shop.run("apply", "shop", "--auto-approve")
    shop.write({"bob": {"name": "Bob", "prompt": "Be brief.", "parameters": {"temperature": 0.5}}})
    flags = ("--allow-destroy", "alise", "--allow-destroy", "bob", "--allow-destroy", "alice")
    said = (
        "--allow-destroy=alise: the plan deletes no session with this key; did you mean 'alice'?\n"
        "--allow-destroy=bob: the plan deletes no session with this key; the flag has no effect here\n"
    )
    for words in (("plan", "shop"), ("apply", "shop", "--auto-approve")):
        done = shop.run(*words, *flags)
        assert (done.returncode, done.stderr) == (0, said)


def test_a_pair_that_is_none(shop: Shell) -> None:
    done = shop.run("adopt", "alice", "--catalog", "shop")
    assert done.returncode == 64
    assert done.stderr == "'alice' is not of the form KEY=SESSION_ID\n      hint: for example: alice=17\n"


def test_no_drift_does_not_say_that_all_is_well(shop: Shell) -> None:
    """What was changed in git is not drift, and an apply has something to do."""
    for form, found in (
        ("text", "No drift. Nothing was changed outside git.\n"),
        ("markdown", "**No drift.** Nothing was changed outside git."),
        ("html", "Nothing was changed outside git.</div>"),
        ("github", "::No drift. Nothing was changed outside git.\n"),
    ):
        done = shop.run("drift", "shop", "--format", form)
        assert done.returncode == 0, done.stderr
        assert found in done.stdout
        assert "matches the catalog" not in done.stdout
    assert shop.json("drift", "shop")["about"] == "drift"
    assert "about" not in shop.json("plan", "shop")


def test_a_part_of_a_plan_does_not_say_that_all_is_well(shop: Shell) -> None:
    done = shop.run("adopt", "--match", "name", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert "No changes. There is nothing to do." in done.stdout


def test_a_refused_move_does_not_say_that_all_is_well(shop: Shell) -> None:
    shop.run("apply", "shop", "--auto-approve")
    done = shop.run("mv", "alice", "bob", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 3
    assert "No changes. The plan is refused." in done.stdout


def test_a_session_that_is_not_there_is_not_somebody_elses(shop: Shell) -> None:
    shop.run("apply", "shop", "--auto-approve")
    done = shop.run("adopt", "alice=999", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 3
    assert done.stderr == (
        "alice can't adopt #999: there is no such session\n      hint: check the number, and --endpoint\n"
    )


def test_environments_are_compared_where_there_are_some(shop: Shell) -> None:
    done = shop.run("diff-env", "one", "other", "--catalog", "shop")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("this catalog has no environments\n")
    with (shop.root / "catalog.yaml").open("a") as file:
        file.write("environments: {one: {}, other: {}}\n")
    done = shop.run("diff-env", "one", "other", "--catalog", "shop")
    assert done.stdout == (
        "Plan for catalog bookshop, environment other, compared with one\n\n"
        "No changes. The two environments are the same.\n"
    )


def test_what_is_for_the_embedded_server_says_which_folder_it_needs(shop: Shell) -> None:
    """A snapshot of nothing, or a plan over an empty server, would look like an account that lost everything."""
    done = shop.run("snapshot", "live.json", "--endpoint", "local")
    assert (done.returncode, done.stderr) == (
        1,
        "the snapshot is for the embedded server, and .reconciler does not hold its data\n"
        "      hint: name the folder that does: --endpoint=local --state-dir=CATALOG/.reconciler\n",
    )
    assert shop.run("apply", "shop", "--endpoint", "local", "--auto-approve").returncode == 0
    assert shop.run("plan", "shop", "--endpoint", "local", "--out", "plan.json").returncode == 0
    done = shop.run("apply", "plan.json", MINDCRAFT_ENDPOINT="")
    assert done.returncode == 3
    assert "apply it with --endpoint=local --state-dir=CATALOG/.reconciler" in done.stderr
    for words in (("apply", "plan.json"), ("snapshot", "live.json")):
        assert shop.run(*words, "--endpoint", "local", "--state-dir", "shop/.reconciler").returncode == 0


def test_white_space_at_the_ends_of_a_name_keeps_no_session_from_being_adopted(
    shop: Shell, server: RunningServer
) -> None:
    server.store.insert_session(name="Alice ", prompt="Be kind.")
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    (note,) = [one for one in shop.json("plan", "shop")["notes"] if one["kind"] == "same-name"]
    assert note["message"].startswith("has the same name as #1, which is unmanaged")
    done = shop.run("adopt", "--match", "name", "--catalog", "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '~ name   "Alice " → "Alice"' in done.stdout
    assert [row.name for row in server.store.sessions()] == ["Alice"]


def test_the_note_on_a_session_of_the_same_name_can_be_followed_in_a_table(
    shop: Shell, server: RunningServer
) -> None:
    number = server.store.insert_session(name="Ada", prompt="Be kind.")
    shop.write(
        {
            "figure": {
                "from": {"file": "figures.csv", "key": "{id}", "fields": {"name": "name"}},
                "prompt": "?",
            }
        }
    )
    (shop.root / "figures.csv").write_text("id,name\nada,Ada\n", encoding="utf-8")
    (note,) = [one for one in shop.json("plan", "shop")["notes"] if one["kind"] == "same-name"]
    assert note["message"] == (
        "has the same name as #1, which is unmanaged: to adopt that session instead of creating one, run "
        "`reconciler adopt ada=1 --catalog=shop`"
    )
    done = shop.run("adopt", f"ada={number}", "--catalog=shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0
