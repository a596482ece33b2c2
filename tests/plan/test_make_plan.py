"""The contents of a plan: every live session has its place, and each action its reason."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reconciler import __version__
from reconciler.domain import Limit, LiveSession, Policy, Snapshot, Written
from reconciler.ownership.remark import compose_lock, compose_remark
from reconciler.ownership.tag import Tag, make_tag
from reconciler.plan import Plan, make_plan
from reconciler.plan.document import plan_to_document
from reconciler.plan.keep import keep_for_catalog
from reconciler.plan.types import Counts, FieldChange, Note
from reconciler.schemas import check_document
from reconciler.values import MISSING
from tests.support import catalog, identity, live, snapshot, tag_of, wanted, written

ALICE = wanted("alice")
BOB = wanted("bob", name="Bob", prompt="Be brief.")


def brief(plan: Plan) -> list[tuple[Any, ...]]:
    """Kind, key, session and reason of each action."""
    return [(one.kind, one.key, one.session_id, one.reason) for one in plan.actions]


def with_counts(there: Snapshot, messages: dict[int, int]) -> Snapshot:
    """A snapshot in which sessions were asked for their messages."""
    return dataclasses.replace(there, messages=messages)


def foreign(session_id: int, **where: Any) -> LiveSession:
    """A session of another catalog or environment."""
    return live(session_id, remark=compose_remark(None, {}, make_tag(identity(**where), {"name": "Alice"})))


def test_what_is_wanted_and_not_live_is_created_with_every_field() -> None:
    session = wanted(
        parameters={"temperature": 0.2}, data={"a": None, "b.c": [1]}, remark={"created_user": "lery"}
    )
    plan = make_plan(catalog(session), snapshot())
    assert brief(plan) == [("create", "alice", None, "in the catalog, not live")]
    assert plan.actions[0].fields == (
        FieldChange("name", MISSING, "Alice"),
        FieldChange("model", MISSING, "deepseek-chat"),
        FieldChange("prompt", MISSING, "Be kind."),
        FieldChange("parameters.temperature", MISSING, 0.2),
        FieldChange("data.a", MISSING, None),
        FieldChange("data.b.c", MISSING, [1]),
        FieldChange("remark.created_user", MISSING, "lery"),
    )
    assert plan.counts == Counts()


def test_a_session_as_wanted_needs_no_action() -> None:
    plan = make_plan(catalog(ALICE, BOB), snapshot(written(ALICE, 1), written(BOB, 2)))
    assert plan.empty
    assert plan.counts == Counts(no_op=2, managed=2)


def test_a_managed_session_that_is_not_wanted_is_deleted() -> None:
    gone = written(wanted(data={"mine": 1}), data={"mine": 1, "theirs": 2}, temperature=0.5)
    plan = make_plan(catalog(BOB), snapshot(gone, written(BOB, 2)))
    assert brief(plan) == [("delete", "alice", 1, "not in the catalog any more")]
    assert plan.actions[0].fields == (
        FieldChange("name", "Alice", MISSING),
        FieldChange("model", "deepseek-chat", MISSING),
        FieldChange("prompt", "Be kind.", MISSING),
        FieldChange("parameters.temperature", 0.5, MISSING),
        FieldChange("data.mine", 1, MISSING),
        FieldChange("data.theirs", 2, MISSING),
    )


@pytest.mark.parametrize("remark", ["", None, "made by lery", '{"created_user":"lery"}', '["a"]', '{"a":'])
def test_what_has_no_tag_is_left_alone_whatever_its_name(remark: str | None) -> None:
    plan = make_plan(catalog(), snapshot(live(1, remark=remark), live(2, name="alice", remark=remark)))
    assert plan.empty
    assert plan.counts == Counts(unmanaged=2)
    assert plan.notes == ()


@pytest.mark.parametrize(
    "where",
    [{"catalog": "library"}, {"environment": "staging"}, {"catalog": "Bookshop"}, {"environment": ""}],
)
def test_what_is_of_another_catalog_or_environment_is_left_alone(where: dict[str, str]) -> None:
    plan = make_plan(catalog(ALICE), snapshot(foreign(1, **where)))
    assert brief(plan) == [("create", "alice", None, "in the catalog, not live")]
    assert plan.counts == Counts(foreign=1, other_environments=int("environment" in where))


def test_an_environment_sees_only_its_own_sessions() -> None:
    staging = catalog(ALICE, environment="staging")
    there = foreign(2, environment="staging")
    plan = make_plan(staging, snapshot(written(ALICE, 1), there))
    assert plan.empty
    assert plan.counts == Counts(no_op=1, managed=1, foreign=1, other_environments=1)


def test_another_catalog_of_the_same_name_is_no_environment_of_this_one() -> None:
    theirs = live(
        1, remark=compose_remark(None, {}, Tag(identity("zoe", environment="staging"), catalog_id="abcdefgh"))
    )
    ours = live(
        2, remark=compose_remark(None, {}, Tag(identity("zoe", environment="staging"), catalog_id="ijklmnop"))
    )
    there = snapshot(theirs, ours)
    here = catalog(id="ijklmnop")
    assert make_plan(here, there).counts == Counts(foreign=2, other_environments=1)
    assert make_plan(here, there.reduced(keep_for_catalog(here))).counts == Counts(
        foreign=2, other_environments=1
    )


def test_a_tag_that_can_not_be_read_is_reported_and_left_alone() -> None:
    whole = written(ALICE, 7).raw_remark
    assert whole is not None
    cut = live(7, remark=whole[:-2])
    altered = live(8, remark=whole.replace('"alice"', '"malice"'))
    plan = make_plan(catalog(ALICE), snapshot(cut, altered))
    assert plan.counts == Counts(unreadable=2)
    assert [(one.guard, one.key) for one in plan.refusals] == [("unreadable_tag", "alice")] * 2
    assert plan.notes == (
        Note(
            "unreadable-tag",
            "the tag can't be read (the remark is no JSON any more, so it was cut off or altered): left alone",
            None,
            7,
        ),
        Note(
            "unreadable-tag",
            "the tag can't be read (its check does not hold, so it was cut off or altered): left alone",
            None,
            8,
        ),
    )


def test_of_two_sessions_with_one_identity_the_older_stays() -> None:
    twins = snapshot(written(ALICE, 3, prompt="Changed."), written(ALICE, 5), written(ALICE, 9))
    plan = make_plan(catalog(ALICE), with_counts(twins, {3: 0, 5: 0, 9: 0}))
    assert brief(plan) == [
        ("delete", "alice", 5, "a second session with this identity; #3 stays"),
        ("delete", "alice", 9, "a second session with this identity; #3 stays"),
        ("update", "alice", 3, "changed outside git"),
    ]
    assert plan.notes == (
        Note(
            "duplicate-identity",
            "3 live sessions have this identity: #3 (no messages), #5 (no messages), #9 (no messages); #3 stays",
            "alice",
        ),
    )
    assert plan.counts == Counts(managed=3)


@pytest.mark.parametrize(
    ("messages", "keeper", "gone"),
    [
        ({3: 0, 5: 2}, 5, 3),
        ({3: 1, 5: 2}, 3, 5),
        ({3: 1, 5: 0}, 3, 5),
    ],
)
def test_of_two_sessions_with_one_identity_the_one_with_messages_stays(
    messages: dict[int, int], keeper: int, gone: int
) -> None:
    plan = make_plan(catalog(ALICE), with_counts(snapshot(written(ALICE, 3), written(ALICE, 5)), messages))
    assert brief(plan) == [("delete", "alice", gone, f"a second session with this identity; #{keeper} stays")]
    assert [(one.keeper, one.messages) for one in plan.actions] == [(keeper, messages[gone])]


@pytest.mark.parametrize("messages", [{}, {3: 0}, {5: 4}])
def test_duplicates_are_left_alone_until_their_messages_are_counted(
    messages: dict[int, int],
) -> None:
    twins = snapshot(written(ALICE, 3, prompt="Changed."), written(ALICE, 5))
    plan = make_plan(catalog(ALICE), with_counts(twins, messages))
    assert plan.empty
    assert [note.kind for note in plan.undone] == ["undecided-duplicate"]
    assert plan.notes == (
        Note(
            "undecided-duplicate",
            "2 live sessions have this identity: #3, #5. It is not known how many messages each of them has, so all "
            "are left alone: plan again against the live list, or delete the ones that are not wanted",
            "alice",
        ),
    )


def test_an_empty_duplicate_of_our_own_journal_does_not_count_for_the_limits() -> None:
    now = catalog(ALICE, policy=Policy(max_deletes=Limit(count=0), max_changes=Limit(count=0)))
    there = with_counts(snapshot(written(ALICE, 3), written(ALICE, 5)), {3: 0, 5: 0})
    ours = make_plan(now, there, written=Written(made=frozenset({5}), wrote=frozenset({5})))
    assert brief(ours) == [
        ("delete", "alice", 5, "an empty double that this catalog's own run made; #3 stays")
    ]
    assert ours.refusals == ()
    assert plan_to_document(ours)["summary"]["own_doubles"] == 1
    theirs = make_plan(now, there, written=Written(made=frozenset({3}), wrote=frozenset({3})))
    assert [one.guard for one in theirs.refusals] == ["max_deletes", "max_changes"]
    spoken = make_plan(now, with_counts(there, {3: 1, 5: 1}), written=Written(made=frozenset({5})))
    assert [one.guard for one in spoken.refusals] == ["max_deletes", "max_changes"]


def test_what_the_journal_never_wrote_is_a_copy_of_what_it_wrote() -> None:
    there = snapshot(written(ALICE, 3), written(ALICE, 5), written(ALICE, 7))
    wrote = Written(wrote=frozenset({5}), keys={5: "alice"})
    plan = make_plan(catalog(ALICE), there, written=wrote)
    assert (plan.actions, plan.counts.copies, plan.undone) == ((), 2, ())
    assert [(note.kind, note.session_id) for note in plan.notes] == [("copy", 3), ("copy", 7)]
    gone = make_plan(catalog(BOB), there, written=wrote)
    assert [(one.kind, one.session_id) for one in gone.actions] == [("delete", 5), ("create", None)]


@pytest.mark.parametrize(
    "wrote",
    [
        Written(),
        Written(keys={5: "bob"}),
        Written(keys={3: "alice", 5: "alice"}),
        Written(keys={5: "alice"}, unsettled=frozenset({"alice"})),
    ],
    ids=["no journal", "as another key", "both", "a create with an unknown outcome"],
)
def test_of_doubles_that_the_journal_does_not_tell_apart_the_one_with_messages_stays(wrote: Written) -> None:
    there = with_counts(snapshot(written(ALICE, 3), written(ALICE, 5)), {3: 1, 5: 0})
    plan = make_plan(catalog(ALICE), there, written=wrote)
    assert [(one.kind, one.session_id, one.keeper) for one in plan.actions] == [("delete", 5, 3)]


def test_of_two_sessions_with_one_identity_that_left_the_catalog_both_go() -> None:
    plan = make_plan(catalog(BOB), snapshot(written(ALICE, 3), written(BOB, 4), written(ALICE, 5)))
    assert brief(plan) == [
        ("delete", "alice", 3, "not in the catalog any more"),
        ("delete", "alice", 5, "not in the catalog any more"),
    ]
    assert [action.keeper for action in plan.actions] == [None, None]


def test_what_a_plan_lets_go_is_not_adopted_by_it() -> None:
    """The next plan would find two sessions for one key, and refuse."""
    now = catalog(ALICE, adopt={"alice": 4}, forgotten=frozenset({"bob"}))
    plan = make_plan(now, snapshot(written(ALICE, 3), written(BOB, 4)))
    assert [(one.guard, one.message) for one in plan.refusals] == [
        ("adopt", "alice is to adopt #4, which this plan stops managing")
    ]


def test_two_sessions_may_have_one_name() -> None:
    bob = wanted("bob", name="Alice")
    plan = make_plan(catalog(ALICE, bob), snapshot(written(ALICE, 1)))
    assert brief(plan) == [("create", "bob", None, "in the catalog, not live")]


def test_a_lock_is_not_counted_as_a_session() -> None:
    plan = make_plan(catalog(), snapshot(live(1, remark=compose_lock({"catalog": "bookshop"}))))
    assert plan.empty
    assert plan.counts == Counts()


def test_a_create_with_the_name_of_an_unmanaged_session_says_so() -> None:
    plan = make_plan(catalog(ALICE), snapshot(live(4), live(6), live(7, name="Al")))
    assert brief(plan) == [("create", "alice", None, "in the catalog, not live")]
    assert plan.notes == (
        Note(
            "same-name",
            "has the same name as #4, #6, which is unmanaged: "
            'to adopt that session instead of creating one, add "adopt: 4" to its manifest',
            "alice",
        ),
    )


def test_the_order_is_by_kind_and_key() -> None:
    changed = wanted("carol", prompt="Be bold.")
    there = snapshot(
        written(wanted("zed"), 1), written(wanted("carol"), 2), written(wanted("anna"), 3), written(BOB, 4)
    )
    plan = make_plan(catalog(changed, wanted("dora", prompt="d"), BOB, wanted("ben", prompt="b")), there)
    assert [(one.kind, one.key) for one in plan.actions] == [
        ("delete", "anna"),
        ("delete", "zed"),
        ("update", "carol"),
        ("create", "ben"),
        ("create", "dora"),
    ]


# Invariant: what is not ours changes only where it is asked for by name.


@pytest.mark.parametrize("key", ["gone", "alice"])
def test_adopt_and_moved_entries_never_delete_what_was_not_ours(key: str) -> None:
    """Whether the catalog holds the key, or has it live already, or not."""
    theirs = foreign(3, catalog="library", key="carol")
    there = snapshot(written(ALICE, 1), live(2, remark="prose"), theirs)
    for more in ({"adopt": {key: 2}}, {"moved": {identity("carol", "library"): key}}):
        plan = make_plan(catalog(ALICE, **more), there)
        assert plan.empty
        assert bool(plan.refusals) == (key == "alice")


def test_a_session_is_adopted_by_its_number_with_its_remark_remembered() -> None:
    plan = make_plan(catalog(ALICE, adopt={"alice": 2}), snapshot(live(1), live(2, remark="by lery")))
    assert brief(plan) == [("adopt", "alice", 2, "adopted: it becomes managed, with its messages")]
    (action,) = plan.actions
    assert action.was == "by lery"
    assert action.fields == ()
    assert plan.counts == Counts(unmanaged=1)


# The whole as a document


def test_a_plan_as_a_document() -> None:
    there = snapshot(written(ALICE, 1, prompt="Be bold."), foreign(2, catalog="library"), live(3))
    now = catalog(dataclasses.replace(ALICE, parameters={"temperature": 0.2}), BOB)
    document = plan_to_document(make_plan(now, there))
    assert check_document(document, "plan") == []
    assert document == {
        "format_version": "1.2",
        "reconciler_version": __version__,
        "catalog": "bookshop",
        "environment": None,
        "endpoint": "local",
        "summary": {
            "create": 1,
            "update": 1,
            "delete": 0,
            "adopt": 0,
            "move": 0,
            "forget": 0,
            "no_op": 0,
            "drift": 1,
            "conflict": 0,
            "managed": 1,
            "unmanaged": 1,
            "foreign": 1,
            "unreadable": 0,
            "copies": 0,
            "own_doubles": 0,
            "rewritten": 0,
        },
        "actions": [
            {
                "action": "update",
                "key": "alice",
                "session_id": 1,
                "name": "Alice",
                "reason": "changed outside git; changed in git",
                "fields": [
                    {"path": "prompt", "before": "Be bold.", "after": "Be kind.", "cause": "drift"},
                    {"path": "parameters.temperature", "after": 0.2, "cause": "git"},
                ],
                "drift": True,
                "unchanged": 2,
            },
            {
                "action": "create",
                "key": "bob",
                "session_id": None,
                "name": "Bob",
                "reason": "in the catalog, not live",
                "fields": [
                    {"path": "name", "after": "Bob"},
                    {"path": "model", "after": "deepseek-chat"},
                    {"path": "prompt", "after": "Be brief."},
                ],
            },
        ],
        "notes": [],
        "refusals": [],
    }


def test_every_kind_of_action_note_and_refusal_fits_the_schema() -> None:
    cat = catalog(
        wanted("new"),
        wanted("changed", data={"a": {"b": [1]}}),
        wanted("adopted"),
        wanted("moved"),
        policy=Policy(max_deletes=None, on_conflict="fail"),
        adopt={"adopted": 10},
        moved={identity("old"): "moved"},
        forgotten=frozenset({"forgotten"}),
    )
    there = snapshot(
        written(wanted("changed", data={"a": {"b": [2]}}), 1, data={"a": {"b": [3]}}),
        written(wanted("old"), 2),
        written(wanted("forgotten"), 3),
        written(wanted("deleted", name="Del"), 4),
        written(wanted("changed"), 5),
        live(6, name="Six", remark='{"reconciler":1}'),
        live(10, remark=None),
    )
    plan = make_plan(cat, with_counts(there, {1: 0, 5: 0}))
    document = plan_to_document(plan)
    assert check_document(document, "plan") == []
    assert [one["action"] for one in document["actions"]] == [
        "delete",
        "delete",
        "forget",
        "move",
        "adopt",
        "update",
        "create",
    ]
    assert document["actions"][3]["from"] == "bookshop/old"
    assert document["actions"][5]["fields"] == [
        {
            "path": "data.a",
            "before": {"b": [3]},
            "after": {"b": [1]},
            "cause": "conflict",
            "detail": [{"path": "b[0]", "before": 3, "after": 1}],
        }
    ]
    assert {note["kind"] for note in document["notes"]} >= {"unreadable-tag", "duplicate-identity"}
    assert [one["guard"] for one in document["refusals"]] == ["on_conflict"]


def test_a_plan_depends_on_nothing_but_its_arguments() -> None:
    there = snapshot(*(written(wanted(f"k{i}"), i + 1, prompt=f"drift {i}") for i in range(20)))
    cat = catalog(*(wanted(f"k{i}") for i in range(10, 30)))
    assert plan_to_document(make_plan(cat, there)) == plan_to_document(make_plan(cat, there))


def test_what_was_written_by_an_earlier_run_is_in_the_tag_and_nowhere_else() -> None:
    """There is no state file: the snapshot alone tells drift from a change in git."""
    was, now = wanted(prompt="A"), wanted(prompt="B")
    reasons = {
        prompt: [one.reason for one in make_plan(catalog(now), snapshot(written(was, prompt=prompt))).actions]
        for prompt in ("A", "B", "C")
    }
    assert reasons == {"A": ["changed in git"], "B": [], "C": ["changed in git and outside of it"]}
    assert tag_of(was) != tag_of(now)
