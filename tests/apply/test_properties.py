"""What must always hold, for any catalog and whatever is live.

After an apply the plan is empty and a second apply writes nothing; what is not ours is the same to the byte; keys of
others inside what is ours survive every write; and what an update ignores, it does not touch.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.api.client import Client
from reconciler.api.listing import list_sessions
from reconciler.contract import Contract
from reconciler.domain import Catalog, Lifecycle, LiveSession, Policy, Session, Snapshot
from reconciler.ownership.remark import parse_remark, remark_of_another_session
from reconciler.ownership.tag import Identity
from reconciler.plan import make_plan
from reconciler.plan.document import plan_to_document
from reconciler.schemas import check_document
from reconciler.server import Quirks, SessionRow, Store, running_server
from reconciler.values import same
from tests.support import Direct, all_keys, calling, contract_with, reconcile


@pytest.fixture(autouse=True, scope="module")
def disk_that_is_not_waited_for() -> Iterator[None]:
    """What is written stays in memory: whether it survives a power cut is not asked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


KEYS = st.sampled_from(["alice", "bob", "carol", "dora", "emil"])
NAMES = st.sampled_from(["Alice", "Bob", "顾掌柜", "Al ice"])
PROMPTS = st.sampled_from(
    ["", "A", " A", "A\r\nB  \n", "\n\nA", "{{char}} ${x} ```", "爱丽丝 🐇\u2028", "A\x0bB"]
)
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, -0.5, 1e16, 2**60, "", "1", "x", "顾"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=4,
)
GROUPS = st.dictionaries(st.sampled_from(["a", "b", "a.b", "", "语"]), VALUES, max_size=3)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.2, 1, 1.0, 2.0]),
        "max_tokens": st.sampled_from([1, 4000]),
        "history_length": st.sampled_from([0, 4]),
    },
)
IGNORED = st.lists(
    st.sampled_from(
        ["name", "prompt", "parameters", "parameters.max_tokens", "data.*", "data.a", "remark.a"]
    ),
    max_size=2,
).map(tuple)
LIFECYCLES = st.builds(Lifecycle, st.booleans(), st.just(()) | IGNORED)


def normal(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip()


SESSIONS = st.builds(
    Session,
    key=KEYS,
    name=NAMES,
    model=st.sampled_from(["m", "n"]),
    prompt=PROMPTS.map(normal),
    parameters=PARAMETERS,
    data=GROUPS,
    remark=GROUPS,
    lifecycle=LIFECYCLES,
)
CATALOGS = st.builds(
    lambda sessions, on_conflict: Catalog(
        "bookshop",
        None,
        {one.key: one for one in sessions},
        Policy(max_deletes=None, on_conflict=on_conflict),
    ),
    st.lists(SESSIONS, max_size=4),
    st.sampled_from(["overwrite", "keep-live"]),
)


def changing_hands(
    now: Catalog, adopt: dict[int, str], moved: dict[Identity, str], forgotten: set[str]
) -> Catalog:
    """The catalog with those of these entries that a catalog may hold."""
    keys = now.sessions.keys()
    moved = {
        source: key
        for source, key in moved.items()
        if key in keys and not (source.catalog == now.name and source.key in keys)
    }
    away = {source.key for source in moved if source.catalog == now.name}
    return dataclasses.replace(
        now,
        adopt={key: number for number, key in adopt.items() if key in keys},
        moved=moved,
        forgotten=frozenset(forgotten - keys - away),
    )


#: A catalog that also takes sessions over, renames them and lets them go.
HANDS = st.builds(
    changing_hands,
    CATALOGS,
    st.dictionaries(st.integers(1, 6), KEYS, max_size=2),
    st.dictionaries(
        st.builds(Identity, st.sampled_from(["bookshop", "library"]), st.none(), KEYS), KEYS, max_size=2
    ),
    st.sets(KEYS, max_size=2),
)

#: What is written by others in place of a remark that may be ours.
REMARKS = st.sampled_from(
    [
        "",
        None,
        "made by lery",
        '{"created_user": "lery"}',
        '["a"]',
        '{"a":',
        '{"reconciler":{"catalog":"bookshop","key":"alice"',
        '{"reconciler":1}',
        '{"a":1,"a":2}',
        '{"a":1e999}',
        '{"reconciler":{"catalog":"library","key":"alice"}}',
        '{"reconciler":{"catalog":"bookshop","environment":"staging","key":"alice"}}',
        '{"reconciler":{"catalog":"bookshop","key":"alice"}}',
        '{"x":[1],"reconciler":{"catalog":"bookshop","key":"bob"},"a":"theirs"}',
        '{"reconciler":{"catalog":"bookshop","key":"zoe"}}',
    ]
)
STRANGERS = st.fixed_dictionaries(
    {"name": NAMES, "prompt": PROMPTS, "remark": REMARKS, "data": GROUPS, "extra": GROUPS}
)

#: What others do to a session that may be ours.
EDITS = st.one_of(
    st.tuples(st.just("name"), NAMES),
    st.tuples(st.just("prompt"), PROMPTS),
    st.tuples(st.just("parameters"), PARAMETERS),
    st.tuples(st.just("data"), GROUPS),
    st.tuples(st.just("data+"), GROUPS),
    st.tuples(st.just("extra"), GROUPS),
    st.tuples(st.just("remark"), REMARKS),
    st.tuples(st.just("remark+"), GROUPS),
    st.tuples(st.just("copy"), st.none()),
    st.tuples(st.just("cut"), st.integers(1, 30)),
)
QUIRKS = st.builds(
    Quirks,
    trim_prompts=st.booleans(),
    numbers_as_text=st.booleans(),
    line_endings=st.sampled_from(["kept", "lf", "crlf"]),
    max_page_size=st.sampled_from([None, 2]),
    name_filter=st.sampled_from(["exact", "partial"]),
)


def edit(store: Store, position: int, what: str, value: Any) -> None:
    """Do to a session what somebody in a console does."""
    rows = store.sessions()
    if not rows:
        return
    one = rows[position % len(rows)]
    if what == "copy":
        columns = dataclasses.asdict(one)
        for column in ("session_id", "session_token"):
            columns.pop(column)
        # With a tag that says whose it is, it would be no double, but a copy that nobody touches.
        columns["remark"] = remark_of_another_session(one.remark, parse_remark(one.remark))
        store.insert_session(**columns)
    elif what == "cut":
        store.update_session(one.session_id, remark=one.remark and one.remark[:-value])
    elif what == "data+":
        store.update_session(one.session_id, data={**one.data, **value})
    elif what == "remark+":
        try:
            document = json.loads(one.remark or "{}")
        except ValueError:
            return
        if isinstance(document, dict):
            text = json.dumps({**document, **value}, ensure_ascii=False, separators=(",", ":"))
            store.update_session(one.session_id, remark=text)
    else:
        store.update_session(one.session_id, **{what: value})


def by_id(store: Store) -> dict[int, SessionRow]:
    return {one.session_id: one for one in store.sessions()}


def ours(there: Snapshot, now: Catalog) -> set[int]:
    """The sessions that an apply may touch."""
    adopted, moved = set(now.adopt.values()), set(now.moved)
    return {
        one.session_id
        for one in there
        if (
            (tag := one.remark.tag)
            and (tag.identity == now.identity(tag.identity.key) or tag.identity in moved)
        )
        or one.session_id in adopted
    }


def others(one: LiveSession, wanted: Session | None) -> Mapping[str, Any]:
    """What in a session of ours is not ours: neither wanted now nor written by us before."""
    base = one.remark.tag.base if one.remark.tag else None
    keys = wanted.fields() if wanted else {}
    return {
        path: value
        for path, value in one.fields().items()
        if path.startswith(("data.", "remark.")) and path not in keys and not (base and base.knows(path))
    }


def converges(client: Client, store: Store, now: Catalog, state: Path) -> None:
    """Apply a catalog to whatever is live, and see that all holds."""
    before, rows = list_sessions(client), by_id(store)
    if any(number > max(rows, default=0) for number in now.adopt.values()):
        return  # a create of the same apply may get this number
    if make_plan(now, before, allow_empty=True, allow_destroy=all_keys(before)).refusals:
        return
    plan, report = reconcile(client, now, state)
    assert check_document(plan_to_document(plan), "plan") == []
    if report.verification != "verified":
        pytest.fail(f"{report.verification}: {report.differences} {report.results}")
    assert report.exit_code == 0

    # What is not ours is the same to the byte.
    after, touched = by_id(store), ours(before, now)
    for session_id, one in rows.items():
        if session_id not in touched:
            assert after.get(session_id) == one

    # Keys of others survive, and so does everything that is ignored.
    still = {one.session_id: one for one in list_sessions(client)}
    for one in before:
        if one.session_id not in touched or one.session_id not in still:
            continue
        assert after[one.session_id].extra == rows[one.session_id].extra
        wanted = next(
            (
                now.sessions.get(action.key)
                for action in plan.actions
                if action.session_id == one.session_id and action.kind != "delete"
            ),
            None,
        )
        found = still[one.session_id].fields()
        for path, value in others(one, wanted).items():
            assert path in found and same(found[path], value)
        for path, value in one.fields().items():
            if wanted and wanted.lifecycle.ignores(path):
                assert same(found[path], value)

    # Every key is live once, and as wanted.
    tags = [one.remark.tag for one in still.values()]
    keys = [tag.identity.key for tag in tags if tag and tag.identity == now.identity(tag.identity.key)]
    gone = {key for key, number in now.adopt.items() if number not in rows} - set(keys)
    assert sorted(keys) == sorted(now.sessions.keys() - gone)
    if any(now.adopt[key] in still for key in gone):
        return  # this apply gave the number to another session, so the next plan is refused

    # Once is enough.
    calls = len(store.sessions()), client_writes(client)
    plan, report = reconcile(client, now, state)
    assert plan.empty, plan_to_document(plan)
    assert (len(store.sessions()), client_writes(client)) == calls
    assert by_id(store) == after


def client_writes(client: Client) -> int:
    return len(client.writes) if isinstance(client, Direct) else 0


@dataclass(frozen=True)
class World:
    """What is live before a catalog is applied, what others do then, and the catalog that is applied after."""

    strangers: list[dict[str, Any]]
    first: Catalog
    edits: list[tuple[int, tuple[str, Any]]]
    second: Catalog

    def runs_through(self, client: Client, store: Store) -> None:
        with tempfile.TemporaryDirectory() as state:
            for stranger in self.strangers:
                store.insert_session(**stranger)
            converges(client, store, self.first, Path(state))
            for position, (what, value) in self.edits:
                edit(store, position, what, value)
            converges(client, store, self.second, Path(state))


def worlds(second: st.SearchStrategy[Catalog]) -> st.SearchStrategy[World]:
    return st.builds(
        World,
        st.lists(STRANGERS, max_size=4),
        CATALOGS,
        st.lists(st.tuples(st.integers(0, 9), EDITS), max_size=6),
        second,
    )


def in_any(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@in_any(80)
@given(worlds(CATALOGS), QUIRKS)
def test_an_apply_converges_and_leaves_others_alone(world: World, quirks: Quirks) -> None:
    with closing(Store()) as store, Direct(store, quirks) as client:
        world.runs_through(client, store)


@in_any(60)
@given(worlds(HANDS), QUIRKS)
def test_so_does_one_that_changes_hands(world: World, quirks: Quirks) -> None:
    with closing(Store()) as store, Direct(store, quirks) as client:
        world.runs_through(client, store)


#: Services that do less: an update that resets what it leaves out, a create that does not take everything in.
LESSER = [
    (contract_with("update_session", left_out="reset"), Quirks(update_resets=True)),
    *(
        (contract_with("create_session", ignores=ignored), Quirks(create_ignores=ignored))
        for ignored in map(frozenset, [["remark"], ["data", "temperature"], ["prompt", "remark"]])
    ),
]


@in_any(60)
@given(worlds(CATALOGS), st.sampled_from(LESSER))
def test_so_does_one_on_a_service_that_does_less(world: World, service: tuple[Contract, Quirks]) -> None:
    contract, quirks = service
    with closing(Store()) as store, Direct(store, quirks, contract) as client:
        world.runs_through(client, store)


@in_any(8)
@given(worlds(CATALOGS), QUIRKS)
def test_over_http_too(world: World, quirks: Quirks) -> None:
    with running_server(None, quirks=quirks) as server, calling(server.url) as client:
        world.runs_through(client, server.store)
        rows, calls = server.store.dump(), len(server.log)
        there = list_sessions(client)
        if not make_plan(world.second, there, allow_empty=True, allow_destroy=all_keys(there)).refusals:
            with tempfile.TemporaryDirectory() as state:
                reconcile(client, world.second, Path(state))
        assert server.store.dump() == rows
        assert {one.method for one in server.log[calls:]} == {"GET"}
