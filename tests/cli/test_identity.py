"""Unmistakable identity: truncated tags, copies, two teams. The table in docs/ownership.md is based on these."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml

from reconciler.ownership.catalog_id import CATALOG_ID_PATTERN, is_catalog_id, new_catalog_id
from reconciler.ownership.remark import compose_remark, parse_remark, remark_of_another_session
from reconciler.ownership.tag import Identity, make_tag, tag_from_json, tag_to_json
from reconciler.schemas import load_schema
from reconciler.server import Fault, RunningServer
from reconciler.values import MISSING
from tests.cli.conftest import Shell, writes
from tests.suggestions import suggested
from tests.support import learned_file

FIELDS = {
    "name": "Alice",
    "model": "deepseek-chat",
    "prompt": "Be kind.",
    "parameters.temperature": 0.2,
    "parameters.max_tokens": 4000,
    "parameters.history_length": 4,
    "data.style": "warm",
    "remark.team": 7,
}


def remark_of(server: RunningServer, number: int) -> str:
    row = server.store.session(number)
    assert row is not None
    return row.remark or ""


def live(server: RunningServer) -> list[int]:
    return sorted(row.session_id for row in server.store.sessions())


def applied(shop: Shell, *more: str, code: int = 0) -> str:
    done = shop.run("apply", "shop", "--auto-approve", "--settle", "0", *more)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def second_team(shop: Shell, name: str, **head: object) -> str:
    """Another catalog of the same name, in a folder of its own."""
    shop.write({"carol": {"name": "Carol", "prompt": "Be bold."}}, **head)
    shop.root.rename(shop.folder / name)
    return name


# The tag


@pytest.mark.parametrize(
    "text",
    [
        '{"catalog":"bookshop","key":"alice","base":"1nc_FS5g.tkjhks31eMwyWj"}',
        '{"catalog":"bookshop","environment":"staging","key":"alice","base":"1!nc_FS5g8aBw","was":"made by lery"}',
    ],
)
def test_a_tag_of_version_0_1_is_read_and_written_as_it_was(text: str) -> None:
    tag = tag_from_json(json.loads(text))
    assert (tag.catalog_id, tag.session_id) == (None, None)
    assert json.dumps(tag_to_json(tag), separators=(",", ":")) == text


def test_a_tag_of_version_0_1_is_renewed_with_the_next_real_write_only(
    shop: Shell, server: RunningServer
) -> None:
    old = (
        '{"team":7,"reconciler":{"catalog":"bookshop","key":"alice",'
        '"base":"1nc_FS5gmFKbMYNpurcMsa.KJqYCkILByi94X"}}'
    )
    number = server.store.insert_session(
        name="Alice", model="deepseek-chat", prompt="Be kind.", remark=old, parameters={}
    )
    alice = {"name": "Alice", "prompt": "Be kind.", "remark": {"team": 7}}
    shop.write({"alice": alice}, id="k3v9x2ab")
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0
    assert shop.run("drift", "shop").returncode == 0
    applied(shop)
    assert (remark_of(server, number), writes(server)) == (old, [])
    shop.write({"alice": {**alice, "prompt": "Be kinder."}}, id="k3v9x2ab")
    applied(shop)
    tag = parse_remark(remark_of(server, number)).tag
    assert tag is not None
    assert (tag.identity.key, tag.catalog_id, tag.session_id) == ("alice", "k3v9x2ab", number)
    assert (writes(server), live(server)) == (["update_session"], [number])


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("catalog_id", [None, "a0000000", "zzzzzzzz", "k3v9x2ab"])
@pytest.mark.parametrize("session_id", [None, 0, 17, 64**6 - 1])
@pytest.mark.parametrize(
    "stored", [{}, {"prompt": "Be"}, dict.fromkeys(FIELDS, MISSING)], ids=["", "form", "nothing"]
)
def test_a_tag_with_ids_is_read_back(
    protected: bool, catalog_id: str | None, session_id: int | None, stored: dict[str, object]
) -> None:
    tag = make_tag(
        Identity("c" * 20, "e" * 20, "k" * 20),
        FIELDS,
        stored=stored,
        protected=protected,
        catalog_id=catalog_id,
        session_id=session_id,
    )
    text = compose_remark(None, {}, tag)
    assert parse_remark(text).tag == tag
    assert len(json.dumps(tag_to_json(tag), separators=(",", ":")).encode()) <= 200
    assert stored or len(json.dumps(tag_to_json(tag)).encode()) <= 200  # spaced, as a remark beside it may be


def test_a_session_id_that_is_too_long_is_left_out() -> None:
    assert make_tag(Identity("c", None, "k"), {}, session_id=64**6).session_id is None


def test_an_id_is_the_same_rule_everywhere() -> None:
    assert load_schema("catalog")["properties"]["id"]["pattern"] == f"^{CATALOG_ID_PATTERN}$"
    assert all(is_catalog_id(new_catalog_id()) for _ in range(50))


# Unreadable tags


@pytest.mark.parametrize(
    "damage",
    [
        lambda remark: remark[:60],
        lambda remark: remark.replace('"', "&quot;"),
        lambda remark: remark.replace('"', '\\"'),
    ],
    ids=["cut", "escaped for HTML", "escaped as JSON"],
)
def test_a_damaged_tag_stands_in_the_way_until_it_is_adopted(
    shop: Shell,
    server: RunningServer,
    damage: object,
) -> None:
    applied(shop)
    (number,) = [row.session_id for row in server.store.sessions() if row.name == "Alice"]
    left = damage(remark_of(server, number))  # type: ignore[operator]
    server.store.update_session(number, remark=left)
    before = live(server)
    for _ in range(3):
        done = shop.run("apply", "shop", "--auto-approve")
        assert done.returncode == 3
        words = " ".join(done.stdout.split())
        assert f"[unreadable_tag] alice would be created, but #{number} may be it" in words
        assert f"to allow it: take it over: `reconciler adopt alice={number} --catalog=shop`" in words
    assert live(server) == before
    adopted = shop.run("adopt", f"alice={number}", "--catalog", "shop", "--auto-approve", "--settle", "0")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    tag = parse_remark(remark_of(server, number)).tag
    assert tag is not None
    assert (tag.identity.key, tag.session_id, tag.was) == ("alice", number, left)
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0


# Two teams


def test_another_team_with_the_same_name_is_refused(shop: Shell, server: RunningServer) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}}, id="k3v9x2ab")
    applied(shop)
    before = writes(server)
    for head, way_out in (
        ({"id": "zq81m0pd"}, 'moved: [{from: "id:k3v9x2ab", to: "id:zq81m0pd"}]'),
        ({}, 'add "id: k3v9x2ab" to catalog.yaml'),
    ):
        shop.root.rename(shop.folder / "first")
        other = second_team(shop, f"other{len(head)}", **head)
        (shop.folder / "first").rename(shop.root)
        done = shop.run("apply", other, "--auto-approve")
        assert done.returncode == 3
        words = " ".join(done.stdout.split())
        assert "[catalog_id] alice #1 is of another catalog called bookshop, with the id k3v9x2ab" in words
        assert way_out in words
    assert writes(server) == before


def test_an_id_is_changed_by_a_moved_entry(shop: Shell, server: RunningServer) -> None:
    sessions = {"alice": {"name": "Alice", "prompt": "Be kind."}}
    shop.write(sessions, id="k3v9x2ab")
    applied(shop)
    shop.write(sessions, id="zq81m0pd", moved=[{"from": "id:k3v9x2ab", "to": "id:zq81m0pd"}])
    applied(shop)
    tag = parse_remark(remark_of(server, 1)).tag
    assert tag is not None
    assert (tag.catalog_id, live(server)) == ("zq81m0pd", [1])
    shop.write(sessions, id="zq81m0pd")
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0


def test_apply_gives_the_catalog_an_id_when_asked(shop: Shell, server: RunningServer) -> None:
    applied(shop, "--write-id")
    head = (shop.root / "catalog.yaml").read_text().splitlines()
    assert head[1] == "catalog: bookshop"
    written = head[2].removeprefix("id: ")
    tags = [parse_remark(row.remark).tag for row in server.store.sessions()]
    assert [tag and tag.catalog_id for tag in tags] == [written] * 2


# Copies and doubles


def copy(server: RunningServer, number: int) -> int:
    """What a console's "duplicate" does: everything is copied, the remark too."""
    row = server.store.session(number)
    assert row is not None
    return server.store.insert_session(name=row.name, model=row.model, prompt=row.prompt, remark=row.remark)


def lose_journal(shop: Shell) -> None:
    """What a CI job starts without: nothing says which session this catalog wrote."""
    (shop.root / ".reconciler" / "journal.jsonl").unlink()


def test_a_copy_is_left_alone_and_offered_when_the_original_is_gone(
    shop: Shell, server: RunningServer
) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    shop.write({"alice": {"name": "Alice", "prompt": "Be kinder."}})
    applied(shop)
    number = copy(server, 1)
    out = " ".join(applied(shop).split())
    assert f"#{number} a copy of #1, made outside git with that one's tag: left alone" in out
    assert "1 copy" in out
    assert live(server) == [1, number]
    server.store.delete_session(1)
    done = shop.run("plan", "shop")
    words = " ".join(done.stdout.split())
    assert f'To adopt it instead of creating alice, add "adopt: {number}" to its manifest' in words
    adopted = shop.run("adopt", f"alice={number}", "--catalog", "shop", "--auto-approve", "--settle", "0")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert live(server) == [number]
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0


@pytest.mark.parametrize("spoken", [False, True], ids=["original without messages", "both with messages"])
def test_a_copy_that_no_tag_tells_from_its_original_is_known_by_the_journal(
    shop: Shell, server: RunningServer, spoken: bool
) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    number = copy(server, 1)
    server.store.update_session(number, name="Alice (copy)")
    server.store.insert_message(number, content="hello")
    if spoken:
        server.store.insert_message(1, content="hi")
    before = server.store.session(number)
    shop.write({"alice": {"name": "Alice", "prompt": "Be kinder."}})
    for _ in range(2):  # the second time, the tag of the original names it
        assert shop.run("drift", "shop").returncode == 2
        out = " ".join(applied(shop, "--max-deletes", "0").split())
        assert (
            f"[copy] alice #{number} a copy of #1, made outside git with that one's tag (this machine's journal never "
            "wrote it): left alone" in out
        )
        assert "Left alone: 1 copy" in out
    row = server.store.session(1)
    assert row is not None
    assert (row.prompt, server.store.session(number)) == ("Be kinder.", before)
    assert len(server.store.messages(number)) == 1
    shop.write({"bob": {"name": "Bob", "prompt": "Be brief."}})
    for _ in range(2):  # the second time, the original is gone
        applied(shop)
        assert server.store.session(number) == before
    assert 1 not in live(server)


def test_adopting_such_a_copy_beside_its_original_is_refused(shop: Shell, server: RunningServer) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    number = copy(server, 1)
    done = shop.run("adopt", f"alice={number}", "--catalog", "shop", "--auto-approve", "--settle", "0")
    assert (done.returncode, live(server)) == (3, [1, number]), done.stdout + done.stderr
    assert f"alice would be #1 and #{number} at once" in " ".join(done.stdout.split())


def test_a_session_without_its_tag_is_not_created_again(shop: Shell, server: RunningServer) -> None:
    sessions = {key: {"name": key.title(), "prompt": "Be kind."} for key in ("alice", "bob", "carol")}
    shop.write(sessions)
    applied(shop)
    (number,) = [row.session_id for row in server.store.sessions() if row.name == "Alice"]
    server.store.update_session(number, remark="")
    before = live(server)
    for words in (("plan", "shop"), ("apply", "shop", "--auto-approve")):
        done = shop.run(*words)
        assert done.returncode == 3
        assert (
            f"[allow_recreate] it would create alice a second time: #{number}, which was applied as alice, is live "
            f"without its tag. To take it over again: `reconciler adopt alice={number} --catalog=shop` to allow it: "
            "--allow-recreate" in " ".join(done.stdout.split())
        )
    assert live(server) == before
    adopted = shop.run("adopt", f"alice={number}", "--catalog", "shop", "--auto-approve", "--settle", "0")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert shop.run("plan", "shop", "--detailed-exitcode").returncode == 0
    assert live(server) == before


def test_sessions_without_their_tags_are_refused_together(shop: Shell, server: RunningServer) -> None:
    shop.write({f"k{number}": {"name": f"K{number}", "prompt": "Be kind."} for number in range(7)})
    applied(shop, "--parallelism", "1")
    for number in live(server):
        server.store.update_session(number, remark="")
    (refusal,) = shop.json("plan", "shop", code=3)["refusals"]
    assert refusal["message"] == (
        "it would create k0, k1, k2, k3, k4 and 2 more a second time: #1, #2, #3, #4, #5 and 2 more, which were "
        "applied from here, are live without their tags. To take them over again: "
        "`reconciler adopt k0=1 k1=2 k2=3 k3=4 k4=5 --catalog=shop` and 2 more"
    )
    applied(shop, "--allow-recreate")
    assert shop.json("plan", "shop")["actions"] == []


def test_a_double_with_messages_stays(shop: Shell, server: RunningServer) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    number = copy(server, 1)
    lose_journal(shop)
    server.store.insert_message(session_id=number, category="user", content="hello")
    out = " ".join(applied(shop).split())
    assert f"#1 (no messages), #{number} (1 message); #{number} stays" in out
    assert live(server) == [number]


def test_a_double_that_got_a_message_since_the_plan_is_not_deleted(
    shop: Shell, server: RunningServer
) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    number = copy(server, 1)
    lose_journal(shop)
    assert shop.run("plan", "shop", "--out", "plan.json").returncode == 0
    server.store.insert_message(number, content="hello")
    done = shop.run("apply", "plan.json", "--state-dir", "shop/.reconciler")
    assert (done.returncode, live(server)) == (1, [1, number])
    held = f"delete alice #{number}: it had no messages when the plan was made, and has 1 now plan again"
    assert held in " ".join(done.stdout.split())
    applied(shop)
    assert live(server) == [number]


def test_more_doubles_than_a_run_counts_are_settled_one_run_after_the_other(
    shop: Shell, server: RunningServer
) -> None:
    keys = [f"k{number:02}" for number in range(21)]
    shop.write({key: {"name": key, "prompt": "Be kind."} for key in keys}, policy={"max_deletes": 21})
    applied(shop)
    for number in live(server):
        row = server.store.session(number)
        assert row is not None
        unnumbered = remark_of_another_session(row.remark, parse_remark(row.remark))
        server.store.update_session(number, remark=unnumbered)
        copy(server, number)
    lose_journal(shop)
    out = " ".join(applied(shop, code=4).split())
    assert "20 to delete" in out
    note = (
        " 2 live sessions have this identity: #21, #42. A run counts the messages of 40 "
        "such sessions at most, and these come after them, so all are left alone: the next run goes on with them once "
        "the others are settled"
    )
    assert note in out
    lose_journal(shop)
    applied(shop)
    assert live(server) == list(range(1, 22))


# What a copy is not taken for


@pytest.fixture
def orphan(shop: Shell, server: RunningServer) -> int:
    """A copy of alice, whose original somebody deleted. Its id."""
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    shop.write({"alice": {"name": "Alice", "prompt": "Be kinder."}})
    applied(shop)
    number = copy(server, 1)
    server.store.delete_session(1)
    return number


def holders(server: RunningServer) -> list[int]:
    """The sessions that have a tag of their own."""
    tags = {row.session_id: parse_remark(row.remark).tag for row in server.store.sessions()}
    return [number for number, tag in tags.items() if tag and tag.session_id in (None, number)]


@pytest.mark.parametrize("known", [False, True], ids=["tried first", "known to work"])
def test_a_session_is_created_beside_a_copy_of_the_one_that_is_gone(
    shop: Shell, server: RunningServer, orphan: int, known: bool
) -> None:
    before = server.store.session(orphan)
    contract = ("--contract", str(learned_file(shop.folder))) if known else ()
    out = applied(shop, "--allow-recreate", *contract)
    assert "created alice" in out
    (made,) = holders(server)
    assert (live(server), server.store.session(orphan)) == ([orphan, made], before)
    assert shop.json("plan", "shop", *contract)["actions"] == []


def test_a_create_whose_answer_is_lost_is_not_found_in_a_copy(
    shop: Shell, server: RunningServer, orphan: int
) -> None:
    """The connection is cut before the service creates anything, and the list shows the copy's tag."""
    server.faults.add(Fault("cut", operation="create_session", when="first"))
    contract = ("--contract", str(learned_file(shop.folder)))
    assert "UNKNOWN create alice" in applied(shop, "--allow-recreate", *contract, code=4)
    assert "created alice" in applied(shop, "--allow-recreate", *contract)
    (made,) = holders(server)
    assert made != orphan
    assert shop.json("plan", "shop")["actions"] == []


def test_a_copy_does_not_keep_its_original_from_being_restored(
    shop: Shell, server: RunningServer, orphan: int
) -> None:
    applied(shop, "--allow-recreate")
    shop.write({"bob": {"name": "Bob", "prompt": "Be brief."}})
    applied(shop)
    assert parse_remark(remark_of(server, orphan)).tag is not None
    (found,) = [one["id"] for one in shop.json("archive", "list", "shop") if one["before"] == "delete"]
    done = shop.run("archive", "restore", found, "shop", "--auto-approve", "--settle", "0")
    assert done.returncode == 0, done.stderr


def test_a_copy_does_not_keep_another_session_from_being_adopted_by_name(
    shop: Shell, server: RunningServer, orphan: int
) -> None:
    number = server.store.insert_session(name="Alice", prompt="By hand.")
    done = shop.run("adopt", "--match", "name", "--catalog", "shop", "--auto-approve", "--settle", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert holders(server) == [number]


def test_more_doubles_than_a_plan_asks_for_their_messages_are_resolved(
    shop: Shell, server: RunningServer
) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    for _ in range(50):
        copy(server, 1)
    lose_journal(shop)
    applied(shop, "--max-deletes", "50")
    assert live(server) == [1]


def test_an_apply_that_can_not_tell_which_double_stays_is_done_in_part(
    shop: Shell, server: RunningServer
) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    number = copy(server, 1)
    lose_journal(shop)
    server.faults.add(Fault("status", operation="list_messages", status=400))
    done = shop.run("apply", "shop", "--auto-approve", "--settle", "0")
    assert (done.returncode, done.stderr) == (
        4,
        f"not done: alice: 2 live sessions have this identity: #1, #{number}. It is not known how many messages each "
        "of them has, so all are left alone: plan again against the live list, or delete the ones that are not "
        "wanted\n",
    )
    assert live(server) == [1, number]


# What is advised in a catalog with environments


def test_what_is_advised_names_the_environment(shop: Shell, server: RunningServer) -> None:
    sessions = {"alice": {"name": "Alice", "prompt": "Be kind."}}
    shop.write(sessions, environments={"staging": {}})
    staging = ("--env", "staging")
    applied(shop, *staging)
    whole = remark_of(server, 1)
    server.store.update_session(1, remark=whole[:75])
    (refusal,) = shop.json("plan", "shop", *staging, code=3)["refusals"]
    assert refusal["allow"].startswith(
        "take it over: `reconciler adopt alice=1 --env=staging --catalog=shop`; "
    )
    server.store.update_session(1, remark="")
    planned = shop.json("plan", "shop", *staging, code=3)
    notes = {one["kind"]: one["message"] for one in planned["notes"]}
    assert (
        "`reconciler adopt alice=1 --env=staging --catalog=shop` takes it over again" in notes["tag-removed"]
    )
    assert planned["refusals"][0]["message"].endswith(
        "again: `reconciler adopt alice=1 --env=staging --catalog=shop`"
    )
    line = "environments: {staging: {sessions: {alice: {adopt: 1}}}}"
    shop.write(sessions, environments=yaml.safe_load(line)["environments"])
    applied(shop, *staging)
    notes = {one["kind"]: one["message"] for one in shop.json("plan", "shop", *staging)["notes"]}
    assert notes["adopted"].endswith("remove with `reconciler adopt --tidy --env=staging --catalog=shop`")
    (line,) = suggested(notes["adopted"])
    assert shop.run(*shlex.split(line)[1:]).returncode == 0
    assert shop.json("plan", "shop", *staging)["notes"] == []


def test_the_line_that_adopts_names_its_environment(shop: Shell, server: RunningServer) -> None:
    server.store.insert_session(name="Alice", prompt="By hand.")
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}}, environments={"staging": {}})
    (note,) = [n for n in shop.json("plan", "shop", "--env=staging")["notes"] if n["kind"] == "same-name"]
    line = "environments: {staging: {sessions: {alice: {adopt: 1}}}}"
    assert note["message"].endswith(f'add "{line}" to catalog.yaml')


# What was there before, after a tag was damaged


@pytest.mark.parametrize("original", ["plain text, not json", '{"created_user": "lery"}', ""])
@pytest.mark.parametrize("damage", ["altered", "truncated", "escaped"])
def test_a_session_whose_damaged_tag_was_adopted_again_can_be_forgotten(
    shop: Shell, server: RunningServer, original: str, damage: str
) -> None:
    number = server.store.insert_session(name="Fay", prompt="Be kind.", remark=original)
    shop.write({"fay": {"name": "Fay", "prompt": "Be kind."}})
    adopt = ("adopt", f"fay={number}", "--catalog", "shop", "--auto-approve", "--settle", "0")
    assert shop.run(*adopt).returncode == 0
    tagged = remark_of(server, number)
    damaged = {
        "altered": tagged.replace('"key":"fay"', '"key":"gus"').replace('"key": "fay"', '"key": "gus"'),
        "truncated": tagged[:60],
        "escaped": tagged.replace('"', "&quot;"),
    }[damage]
    assert damaged != tagged
    server.store.update_session(number, remark=damaged)
    assert shop.run(*adopt).returncode == 0
    done = shop.run("forget", "fay", "--catalog", "shop", "--auto-approve", "--settle", "0")
    assert (done.returncode, "FAILED" in done.stdout) == (0, False), done.stdout
    left = remark_of(server, number)
    assert "reconciler" not in left
    if damage == "altered" or original.startswith("{"):
        assert left == original or json.loads(left) == json.loads(original or "{}")


def test_a_key_whose_session_was_forgotten_is_created_beside_a_copy_that_only_the_journal_tells(
    shop: Shell, server: RunningServer
) -> None:
    shop.write({"alice": {"name": "Alice", "prompt": "Be kind."}})
    applied(shop)
    number = copy(server, 1)
    before = server.store.session(number)
    applied(shop)
    assert shop.run("forget", "alice", "--catalog", "shop", "--auto-approve", "--settle", "0").returncode == 0
    out = applied(shop, "--allow-recreate")
    assert "created alice" in out
    assert len(live(server)) == 3
    assert server.store.session(number) == before
    assert shop.json("plan", "shop")["actions"] == []
