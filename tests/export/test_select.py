"""Which live sessions are exported, and the messages about the others."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.domain import Lifecycle, LiveSession
from reconciler.errors import Problem, ReconcilerError, UsageError
from reconciler.export.select import select_sessions
from reconciler.ownership.remark import compose_lock, compose_remark
from reconciler.ownership.tag import make_tag
from tests.support import identity, live, snapshot, tag_of, wanted, written


def tagged(
    session_id: int,
    *,
    catalog: str = "bookshop",
    environment: str | None = None,
    key: str = "alice",
    **fields: Any,
) -> LiveSession:
    tag = make_tag(identity(key, catalog, environment), {})
    return live(session_id, remark=compose_remark(None, {}, tag), **fields)


def keys(selection: Any) -> list[tuple[str, int, bool]]:
    return [(one.session.key, one.session_id, one.adopt) for one in selection.sessions]


MIXED = snapshot(
    live(1, name="Alice"),
    written(wanted("alice"), 2),
    tagged(3, catalog="library", key="alice"),
    live(4, name="顾掌柜"),
    tagged(5, environment="staging"),
    live(6, remark=compose_lock({"by": "ci"})),
)


def test_managed_ones_keep_their_keys_and_the_others_get_one_and_are_adopted() -> None:
    selection = select_sessions(MIXED, catalog="bookshop")
    assert keys(selection) == [("alice-1", 1, True), ("alice", 2, False), ("gu-zhang-gui", 4, True)]
    assert selection.notes == (
        Problem("2 sessions of other catalogs are left out: bookshop@staging, library"),
    )
    assert selection.left_out == ()


def test_the_managed_alone() -> None:
    assert keys(select_sessions(MIXED, only="managed", catalog="bookshop")) == [("alice", 2, False)]
    assert keys(select_sessions(MIXED, only="managed", catalog="nobody")) == []


def test_the_managed_of_an_environment() -> None:
    selection = select_sessions(MIXED, only="managed", catalog="bookshop", environment="staging")
    assert keys(selection) == [("alice", 5, False)]


def test_the_unmanaged_alone_do_not_take_the_keys_of_the_catalog() -> None:
    selection = select_sessions(MIXED, only="unmanaged", catalog="bookshop")
    assert keys(selection) == [("alice-1", 1, True), ("gu-zhang-gui", 4, True)]
    assert selection.notes == (
        Problem(
            "the live session of `bookshop` is not in this export, and a plan of it by itself would delete it",
            "add the exported manifests to the folder of that catalog, or give the export another name",
        ),
    )


def test_a_session_is_taken_with_all_of_its_fields() -> None:
    one = live(
        7,
        name=" 顾 “掌柜” ",
        model="gpt-4o-mini",
        prompt="  Be kind.\r\n---\n\n",
        temperature="0.50",
        max_tokens=100,
        data={"a.b": [None, {"c": "x\0"[:1]}]},
        remark='{"owner": "mei", "n": 1}',
    )
    (found,) = select_sessions(snapshot(one), folder="shop").sessions
    assert found.session.fields() == {
        "name": " 顾 “掌柜” ",
        "model": "gpt-4o-mini",
        "prompt": "  Be kind.\n---",
        "parameters.temperature": 0.5,
        "parameters.max_tokens": 100,
        "data.a.b": [None, {"c": "x"}],
        "remark.owner": "mei",
        "remark.n": 1,
    }


def test_the_tag_says_whether_a_session_is_protected() -> None:
    guarded = wanted("vault", lifecycle=Lifecycle(prevent_destroy=True))
    (found,) = select_sessions(snapshot(written(guarded, 1))).sessions
    assert found.session.lifecycle == Lifecycle(prevent_destroy=True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "#1 is left out: it has no name"),
        ({"name": " \t"}, "#1 ` \t` is left out: it has no name"),
        ({"model": ""}, "#1 `Alice` is left out: it has no model"),
        ({"prompt": "a\0b"}, "#1 `Alice` is left out: its prompt holds a NUL character"),
        (
            {"name": "Al\ud83d"},
            "#1 `Al\ud83d` is left out: its name holds the lone surrogate U+D83D, half of a character",
        ),
        (
            {"temperature": 7, "prompt": ""},
            "#1 `Alice`: `parameters.temperature` is left out: a manifest does not accept 7",
        ),
        (
            {"max_tokens": "many"},
            "#1 `Alice`: `parameters.max_tokens` is left out: a manifest does not accept many",
        ),
        (
            {"data": {"n": float("inf")}},
            "#1 `Alice`: `data.n` is left out: it holds a number that is not finite",
        ),
        (
            {"remark": '{"a":["\\ud800"]}'},
            "#1 `Alice`: `remark.a` is left out: it holds the lone surrogate U+D800, half of a character",
        ),
    ],
)
def test_what_no_catalog_can_hold_is_left_out_and_named(fields: dict[str, Any], reason: str) -> None:
    selection = select_sessions(snapshot(live(1, **fields), live(2, name="Bob")), folder="shop")
    assert [problem.message for problem in selection.left_out] == [reason]
    # A field is left out by itself, a session where nothing can be done without the field.
    assert keys(selection) == [("alice", 1, True)] * ("`: `" in reason) + [("bob", 2, True)]


def test_a_field_of_a_managed_session_that_is_left_out_would_be_released() -> None:
    drifted = written(wanted("alice", parameters={"temperature": 1}), 1, temperature=7)
    assert select_sessions(snapshot(drifted)).left_out == (
        Problem(
            "#1 `Alice`: `parameters.temperature` is left out: a manifest does not accept 7",
            "a plan shows it as no longer managed; its value does not change",
        ),
    )


def test_a_managed_session_is_never_left_out_without_being_asked() -> None:
    drifted = written(wanted("alice"), 1, prompt="a\ud800")
    with pytest.raises(ReconcilerError) as caught:
        select_sessions(snapshot(drifted, live(2)))
    assert caught.value.problems == (
        Problem(
            "#1 `Alice` is managed, but can't be expressed in a catalog:"
            " its prompt holds the lone surrogate U+D800, half of a character",
            "a plan of an export without it would delete it: fix it first, or export with --only=unmanaged",
        ),
    )
    selection = select_sessions(snapshot(drifted, live(2)), only="unmanaged", folder="new")
    assert keys(selection) == [("alice", 2, True)]


def test_a_tag_that_can_not_be_read_leaves_its_session_out() -> None:
    remark = compose_remark(None, {}, tag_of(wanted()))
    selection = select_sessions(snapshot(live(1, remark=remark[:-4] + '"}}'), live(2)), folder="shop")
    assert keys(selection) == [("alice", 2, True)]
    (problem,) = selection.left_out
    assert problem.message.startswith("#1 `Alice` is left out: its tag can't be read (")
    assert problem.hint == "a plan leaves it alone as well"


def test_of_two_with_one_identity_the_first_is_exported() -> None:
    selection = select_sessions(snapshot(written(wanted(), 1), written(wanted(), 2)))
    assert keys(selection) == [("alice", 1, False)]
    assert selection.left_out == (
        Problem(
            "#2 `Alice` is left out: it has the identity of #1",
            "a plan would delete one of the two; to keep both, remove the tag of one in a console",
        ),
    )


def test_the_catalog_is_named_after_the_only_one_that_is_live_or_the_folder() -> None:
    ours = written(wanted(), 1)
    assert select_sessions(snapshot(ours, live(2)), folder="Elsewhere").catalog == "bookshop"
    assert (
        select_sessions(snapshot(ours, live(2)), folder="Elsewhere", only="unmanaged").catalog == "elsewhere"
    )
    assert select_sessions(snapshot(live(2)), folder="书店 2").catalog == "shu-dian-2"
    assert select_sessions(snapshot(live(2)), folder="/").catalog == "session"
    assert select_sessions(snapshot(live(2)), catalog="x.y").catalog == "x.y"


def test_a_name_has_to_be_given_where_it_is_not_clear() -> None:
    two = snapshot(written(wanted(), 1), tagged(2, catalog="library"))
    with pytest.raises(UsageError) as caught:
        select_sessions(two, folder="shop")
    assert caught.value.problems == (
        Problem(
            "the sessions of 2 catalogs are live: bookshop, library",
            "choose one with --catalog-name, or use --only=unmanaged for unmanaged sessions",
        ),
    )
    with pytest.raises(UsageError) as caught:
        select_sessions(two, only="unmanaged", folder="Bookshop")
    assert caught.value.problems == (
        Problem(
            "a catalog `bookshop` is live already, and a plan of an export with that name would delete its sessions",
            "give the export another name with --catalog-name",
        ),
    )
    with pytest.raises(UsageError, match="`Book Shop` is not a valid catalog name"):
        select_sessions(two, catalog="Book Shop")
    with pytest.raises(UsageError, match="`Staging!` is not a valid environment name"):
        select_sessions(two, catalog="x", environment="Staging!")
