"""Who changed a field: the three-way comparison in every combination."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.payload import update_payload
from reconciler.contract import load_contract
from reconciler.domain import Lifecycle, LiveSession, Policy, Session
from reconciler.ownership.remark import compose_remark
from reconciler.ownership.tag import make_tag, without_base
from reconciler.plan import make_plan
from reconciler.plan.compare import compare, equal, explain
from reconciler.plan.types import PROTECTION, Detail, FieldChange, Note, Refusal
from reconciler.text.normalise import normalise_prompt
from reconciler.values import MISSING, same
from tests.plan.comparison_rows import NO_DIGESTS, NOT_THERE, ROWS, Row, as_markdown
from tests.support import catalog, identity, live, snapshot, tag_of, wanted, written

UPDATE = load_contract().operation("update_session")

CAUSES = {
    "changed in git": ("git", "changed in git"),
    "drift": ("drift", "changed outside git"),
    "conflict": ("conflict", "changed in git and outside of it"),
    "refused": ("conflict", "changed in git and outside of it"),
    "released": ("released", "fields no longer managed"),
    "differs": ("unknown", "differs from the catalog"),
}


def _wanted(row: Row) -> Session:
    fields: dict[str, Any] = {}
    group, _, name = row.path.partition(".")
    if row.wanted is not NOT_THERE:
        fields = {group: {name: row.wanted}} if name else {group: row.wanted}
    return wanted(**fields, lifecycle=Lifecycle(ignore_changes=(row.ignored,) if row.ignored else ()))


def _live(row: Row) -> LiveSession:
    """The session as it was last written, but for the field of the row."""
    base = {"name": "Alice", "model": "deepseek-chat", "prompt": "Be kind."}
    base.pop(row.path, None)
    if row.base is not NOT_THERE and row.base is not NO_DIGESTS:
        base[row.path] = row.base
    stored = {} if row.stored is NOT_THERE else {row.path: row.stored}
    tag = make_tag(identity(), base, stored=stored)
    if row.base is NO_DIGESTS:
        tag = without_base(tag)
    fields: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    group, _, name = row.path.partition(".")
    if row.live is not NOT_THERE:
        if group == "remark":
            keys = {name: row.live}
        elif group == "data":
            fields = {"data": {name: row.live}}
        else:
            fields = {name or group: row.live}
    return live(remark=compose_remark(None, keys, tag), **fields)


def _after(payload: dict[str, Any], before: LiveSession) -> LiveSession:
    """What is live when a service has worked this update."""
    fields = {**before.config, **{k: v for k, v in payload.items() if k not in ("session_id", "name")}}
    return live(**{"name": payload.get("name", before.name), **fields})


def _id(row: Row) -> str:
    words = [row.path, row.base, row.wanted, row.live, row.on_conflict, row.ignored]
    return " ".join(str(getattr(word, "value", word)) for word in words if word != "")


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_a_field_three_ways(row: Row) -> None:
    session, before = _wanted(row), _live(row)
    plan = make_plan(
        catalog(session, policy=Policy(on_conflict=row.on_conflict)),  # type: ignore[arg-type]
        snapshot(before),
    )
    notes: list[Note] = []
    if row.shown == "kept":
        message = f"{row.path} was changed in git and outside of it; the live value is kept by policy"
        notes = [Note("kept-live", message, "alice", 1)]
    if row.shown == "differs":
        notes = [Note("two-way", "its tag holds no digests, so it is unknown who changed what", "alice", 1)]
    assert list(plan.notes) == notes
    refused: list[Refusal] = []
    if row.shown == "refused":
        message = f"alice (#1): {row.path} was changed in git and outside of it"
        refused = [Refusal("on_conflict", message, "--on-conflict=overwrite", "alice")]
    assert list(plan.refusals) == refused

    if row.shown in ("nothing", "kept", "ignored"):
        assert plan.empty
        assert plan.counts.no_op == 1
        after = before
    else:
        cause, reason = CAUSES[row.shown]
        (action,) = plan.actions
        assert (action.kind, action.session_id, action.reason) == ("update", 1, reason)
        (change,) = action.fields
        found = before.fields()
        assert (change.path, change.cause) == (row.path, cause)
        assert change.before is MISSING if row.live is NOT_THERE else same(change.before, found[row.path])
        assert same(change.after, found[row.path] if row.wanted is NOT_THERE else row.wanted)
        after = before if refused else _after(update_payload(action, before, UPDATE), before)

    # What is live then, and what the tag says of it.
    found = after.fields()
    assert (row.path in found) == (row.after is not NOT_THERE)
    if row.after is not NOT_THERE:
        assert same(found[row.path], row.after)
    tag = after.remark.tag
    assert tag is not None
    if row.vouched is NO_DIGESTS:
        assert tag.base is None
    elif row.vouched is NOT_THERE:
        assert tag.base is not None
        assert not tag.base.knows(row.path)
    else:
        assert tag.base is not None
        assert tag.base.wrote(row.path, row.vouched)

    # Once is enough.
    if not refused:
        again = make_plan(catalog(session, policy=Policy(on_conflict=row.on_conflict)), snapshot(after))  # type: ignore[arg-type]
        assert again.empty


def test_the_table_holds_every_combination() -> None:
    assert len(ROWS) == len({_id(row) + repr(row.stored) for row in ROWS})
    for what in ("text", "number", "nested value"):
        cases = {
            (
                row.base.value if isinstance(row.base, type(NOT_THERE)) else "in base",
                row.wanted is not NOT_THERE,
                "missing"
                if row.live is NOT_THERE
                else "equal"
                if row.live == (row.base if row.wanted is NOT_THERE else row.wanted)
                else "different",
            )
            for row in ROWS
            if row.what == what
        }
        for in_base in ("in base", NOT_THERE.value, NO_DIGESTS.value):
            assert {(in_base, True, state) for state in ("missing", "equal", "different")} <= cases
            assert (in_base, False, "missing") in cases


def test_the_table_can_be_read() -> None:
    table = as_markdown().splitlines()
    assert len(table) == len(ROWS) + 2
    assert table[:3] == [
        "| field | last written | in the catalog | live | policy | the plan shows | live after an apply |",
        "|---|---|---|---|---|---|---|",
        '| `prompt` | `"Be kind."` | `"Be kind."` | `"Be kind."` |  | nothing | `"Be kind."` |',
    ]


def test_the_documentation_shows_the_same_rows() -> None:
    page = Path(__file__).parents[2] / "docs" / "comparison.md"
    assert as_markdown(ROWS).strip() in page.read_text(encoding="utf-8")


def test_every_cause_of_an_update_is_in_its_reason() -> None:
    was = wanted(prompt="A", parameters={"temperature": 0.2, "max_tokens": 1}, data={"a": 1})
    now = wanted(prompt="B", parameters={"temperature": 0.7, "max_tokens": 2})
    (action,) = make_plan(catalog(now), snapshot(written(was, temperature=0.7, max_tokens=3))).actions
    assert action.reason == "changed in git and outside of it; changed in git; fields no longer managed"
    assert action.fields == (
        FieldChange("prompt", "A", "B", "git"),
        FieldChange("parameters.max_tokens", 3, 2, "conflict"),
        FieldChange("data.a", 1, 1, "released"),
    )
    assert action.unchanged == 3


def test_protection_is_a_change_although_no_field_of_the_session_is() -> None:
    was = wanted()
    now = wanted(lifecycle=Lifecycle(prevent_destroy=True))
    (action,) = make_plan(catalog(now), snapshot(written(was))).actions
    assert action.kind == "update"
    assert action.fields == (FieldChange(PROTECTION, False, True, "git"),)
    after = _after(update_payload(action, written(was), UPDATE), written(was))
    assert after.remark.tag is not None
    assert after.remark.tag.protected
    assert make_plan(catalog(now), snapshot(after)).empty


def test_an_ignored_difference_is_not_written_with_another_field_either() -> None:
    was = wanted(prompt="A", parameters={"temperature": 0.2})
    now = wanted(
        prompt="B",
        parameters={"temperature": 0.7},
        lifecycle=Lifecycle(ignore_changes=("parameters.temperature",)),
    )
    before = written(was, temperature=1)
    (action,) = make_plan(catalog(now), snapshot(before)).actions
    payload = update_payload(action, before, UPDATE)
    assert sorted(payload) == ["prompt", "remark", "session_id"]
    after = _after(payload, before)
    assert after.parameters == {"temperature": 1}
    assert after.remark.tag is not None
    assert after.remark.tag.base is not None
    assert after.remark.tag.base.wrote("parameters.temperature", 0.2)


def test_keys_of_others_are_written_back_with_data_and_remark() -> None:
    was = wanted(data={"mine": 1}, remark={"created_user": "lery"})
    now = wanted(data={"mine": 2}, remark={"created_user": "mia"})
    tag = tag_of(was)
    before = live(
        data={"theirs": [1, {"x": None}], "mine": 1},
        remark=compose_remark('{"a": 1}', {"theirs": "é", "created_user": "lery"}, tag),
    )
    (action,) = make_plan(catalog(now), snapshot(before)).actions
    payload = update_payload(action, before, UPDATE)
    assert payload["data"] == {"theirs": [1, {"x": None}], "mine": 2}
    after = _after(payload, before)
    assert after.remark.keys == {"theirs": "é", "created_user": "mia"}


# The quick answer and the full one agree

KEYS = st.sampled_from(["a", "b", "a.b", ""])
VALUES = st.sampled_from([None, True, 1, 1.0, 0.2, "1", "x", [], [1], {}, {"a": [1.0]}])
GROUP = st.dictionaries(KEYS, VALUES, max_size=2)
PARAMETERS = st.fixed_dictionaries(
    {}, optional={"temperature": st.sampled_from([0, 0.2, 1]), "max_tokens": st.sampled_from([1, 4000])}
)
IGNORED = st.lists(st.sampled_from(["prompt", "data", "data.a", "remark.*", "parameters"]), max_size=2)
SESSIONS = st.builds(
    Session,
    key=st.just("alice"),
    name=st.sampled_from(["Alice", "Al"]),
    model=st.just("m"),
    prompt=st.sampled_from(["", "A", " A", "B"]),
    parameters=PARAMETERS,
    data=GROUP,
    remark=GROUP,
    lifecycle=st.builds(Lifecycle, st.booleans(), IGNORED.map(tuple)),
)


@given(SESSIONS, SESSIONS, SESSIONS, st.sampled_from(["full", "stored", "none"]))
def test_the_quick_answer_is_yes_only_where_a_full_comparison_finds_nothing(
    base: Session, now: Session, there: Session, digests: str
) -> None:
    stored = there.fields() if digests == "stored" else None
    tag = make_tag(identity(), base.fields(), stored=stored, protected=base.lifecycle.prevent_destroy)
    if digests == "none":
        tag = without_base(tag)
    session = written(there, remark=compose_remark(None, there.remark, tag))
    assert session.remark.tag == tag
    quick = equal(now, session, tag)
    full = compare(now, session, tag, "overwrite")
    assert not (quick and full.changes)
    # And where nothing is ignored and the server rewrites nothing, it is yes wherever it can be.
    gone = {path for path in base.fields() if path not in there.fields()}
    if not now.lifecycle.ignore_changes and digests != "stored" and not gone:
        assert quick == (not full.changes)


@given(SESSIONS)
def test_what_was_just_written_needs_no_action(session: Session) -> None:
    there = written(session)
    assert there.remark.tag is not None
    assert equal(session, there, there.remark.tag)
    assert not compare(session, there, there.remark.tag, "fail").changes


@given(st.text())
def test_a_prompt_is_normalised_once(text: str) -> None:
    once = normalise_prompt(text)
    assert normalise_prompt(once) == once
    assert normalise_prompt(once.replace("\n", "\r\n") + " \n\t") == once
    assert "\r" not in once


# Where in a nested value the difference lies


@pytest.mark.parametrize(
    ("before", "after", "details"),
    [
        ("a", "b", []),
        (1, [1], []),
        ({"a": 1}, [1], []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [Detail("a.b", 1, 2)]),
        ({"a": 1}, {"b": 1}, [Detail("a", 1), Detail("b", MISSING, 1)]),
        ([1, 2], [1, 3], [Detail("[1]", 2, 3)]),
        ([{"a": [1]}], [{"a": []}], [Detail("[0].a[0]", 1)]),
        ({"a": 1}, {"a": True}, [Detail("a", 1, True)]),
        ({"a": "1"}, {"a": 1}, [Detail("a", "1", 1)]),
        ({"a": None}, {"a": {}}, [Detail("a", None, {})]),
    ],
)
def test_a_nested_value_is_explained(before: Any, after: Any, details: list[Detail]) -> None:
    assert list(explain(before, after)) == details


def test_what_is_too_long_to_explain_is_shown_whole() -> None:
    assert explain([0] * 20_000, [1] * 20_000) == ()
