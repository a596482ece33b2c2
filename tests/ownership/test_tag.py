"""The tag is small, reads back as written, and is never mistaken for another's when damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ownership.remark import OUR_KEY, compose_remark, parse_remark
from reconciler.ownership.tag import (
    CREATED,
    Base,
    Identity,
    Tag,
    TagUnreadableError,
    field_code,
    make_tag,
    tag_from_json,
    tag_to_json,
    without_base,
)
from reconciler.values import MISSING

ALICE = Identity("bookshop", "staging", "alice")
FIELDS: dict[str, Any] = {
    "name": "Alice",
    "model": "deepseek-chat",
    "prompt": "Be kind.",
    "parameters.temperature": 0.2,
    "parameters.max_tokens": 4000,
    "parameters.history_length": 4,
    "data.style": {"tone": "warm"},
    "remark.created_user": "lery",
}

keys = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
identities = st.builds(Identity, keys, st.none() | keys, keys)
formers = st.just(CREATED) | st.just(True) | st.none() | st.text(max_size=20)
paths = st.sampled_from(list(FIELDS)) | st.text(max_size=5).map(lambda key: f"data.{key}")
written = st.dictionaries(paths, st.integers() | st.text(max_size=5), max_size=8)


def compact(tag: Tag) -> str:
    return json.dumps(tag_to_json(tag), separators=(",", ":"), ensure_ascii=False)


def test_a_tag_as_it_stands_in_the_remark() -> None:
    tag = make_tag(Identity("bookshop", None, "alice"), {"name": "Alice", "data.style": 1})
    assert compact(tag) == '{"catalog":"bookshop","key":"alice","base":"1nc_FS5g.tkjhks31eMwyWj"}'


def test_a_tag_with_an_environment_that_is_protected_and_was_adopted() -> None:
    tag = make_tag(ALICE, {"name": "Alice"}, protected=True, was="made by lery")
    assert compact(tag) == (
        '{"catalog":"bookshop","environment":"staging","key":"alice","base":"1!nc_FS5g8aBw","was":"made by lery"}'
    )


@pytest.mark.parametrize("protected", [False, True])
def test_with_names_of_20_characters_and_8_fields_it_is_at_most_200_bytes(protected: bool) -> None:
    """However the remark is written, and with one field that the server keeps in another form."""
    identity = Identity("c" * 20, "e" * 20, "k" * 20)
    tag = make_tag(identity, FIELDS, stored={"prompt": "Be kind"}, protected=protected)
    assert len(compact(tag).encode()) <= 200
    assert len(json.dumps(tag_to_json(tag)).encode()) <= 200


@given(identities, written, written, st.booleans(), formers)
def test_a_tag_is_read_back_as_it_was_written(
    identity: Identity, fields: dict[str, Any], stored: dict[str, Any], protected: bool, was: Any
) -> None:
    tag = make_tag(identity, fields, stored=stored, protected=protected, was=was)
    assert tag_from_json(json.loads(compact(tag))) == tag
    assert (tag.base is None) == (not fields and not stored)
    if tag.base is None:
        return
    for path, value in fields.items():
        assert tag.base.knows(path)
        assert tag.base.wrote(path, value)
    for path, value in stored.items():
        assert tag.base.left(path, value)
        assert tag.base.known_rewrite(path, fields.get(path, ""), value) == (path in fields)


@pytest.mark.parametrize("protected", [False, True])
def test_a_tag_has_room_for_fields_of_which_nothing_is_stored(protected: bool) -> None:
    identity = Identity("c" * 20, "e" * 20, "k" * 20)
    nothing = {path: MISSING for path in FIELDS if path.startswith(("data.", "remark."))}
    tag = make_tag(identity, FIELDS, stored={"prompt": "Be kind", **nothing}, protected=protected)
    assert nothing
    assert len(compact(tag).encode()) <= 200
    assert tag_from_json(json.loads(compact(tag))) == tag


@given(identities, written, st.data())
def test_a_tag_tells_of_which_fields_nothing_is_stored(
    identity: Identity, fields: dict[str, Any], data: st.DataObject
) -> None:
    dropped = data.draw(st.sets(st.sampled_from(sorted(fields)))) if fields else set()
    tag = make_tag(identity, fields, stored=dict.fromkeys(dropped, MISSING))
    again = tag_from_json(json.loads(compact(tag)))
    kept = make_tag(identity, {}, keep=fields, base=again.base)  # as the next write has it
    for one in (again, kept):
        assert one.base is not None or not fields
        for path, value in fields.items():
            assert one.base is not None
            assert one.base.wrote(path, value)
            assert one.base.known_rewrite(path, value, MISSING) == (path in dropped)
            assert one.base.left(path, MISSING) == (path in dropped)
            assert one.base.left(path, value) == (path not in dropped)


@given(identities, st.booleans(), formers)
def test_a_tag_with_no_digests_is_a_tag(identity: Identity, protected: bool, was: Any) -> None:
    tag = without_base(make_tag(identity, FIELDS, protected=protected, was=was))
    assert tag_from_json(json.loads(compact(tag))) == tag
    assert tag.base is None


def test_a_tag_that_a_person_wrote_is_a_tag() -> None:
    document = {"catalog": "bookshop", "environment": None, "key": "alice"}
    assert tag_from_json(document) == Tag(Identity("bookshop", None, "alice"))


def _remark(tag: Tag) -> str:
    return compose_remark('{"created_user": "lery"}', {"created_user": "lery"}, tag)


DAMAGED = [
    make_tag(ALICE, FIELDS),
    make_tag(Identity("bookshop", None, "alice"), {}, protected=True, was="prose"),
]


@pytest.mark.parametrize("tag", DAMAGED)
def test_cut_off_anywhere_it_is_unreadable_or_no_tag(tag: Tag) -> None:
    remark = _remark(tag)
    for end in range(len(remark)):
        found = parse_remark(remark[:end])
        assert found.tag is None, remark[:end]
        # Once our key is there, the loss is seen.
        assert bool(found.unreadable) == (f'"{OUR_KEY}"' in remark[:end])


@pytest.mark.parametrize("tag", DAMAGED)
def test_altered_anywhere_it_never_becomes_another_identity(tag: Tag) -> None:
    """Every byte becomes every other printable one."""
    remark = _remark(tag)
    for at in range(len(remark)):
        for code in range(32, 127):
            altered = remark[:at] + chr(code) + remark[at + 1 :]
            found = parse_remark(altered).tag
            assert found is None or found.identity == tag.identity, altered


@given(st.data())
def test_a_digest_that_was_altered_is_found_out(data: st.DataObject) -> None:
    document = tag_to_json(make_tag(ALICE, FIELDS, protected=True))
    base = document["base"]
    at = data.draw(st.integers(0, len(base) - 1))
    instead = data.draw(st.characters(codec="ascii").filter(lambda char: char != base[at]))
    with pytest.raises(TagUnreadableError):
        tag_from_json({**document, "base": base[:at] + instead + base[at + 1 :]})


UNREADABLE = [
    ("a text", "it is not an object"),
    (None, "it is not an object"),
    ([], "it is not an object"),
    ({}, "catalog, environment and key are not all texts"),
    ({"catalog": "bookshop"}, "catalog, environment and key are not all texts"),
    ({"catalog": "bookshop", "key": 1}, "catalog, environment and key are not all texts"),
    (
        {"catalog": "bookshop", "environment": [], "key": "alice"},
        "catalog, environment and key are not all texts",
    ),
    (
        {"catalog": "bookshop", "key": "alice", "was": False},
        "what it says of the former remark makes no sense",
    ),
    (
        {"catalog": "bookshop", "key": "alice", "was": {}},
        "what it says of the former remark makes no sense",
    ),
    ({"catalog": "bookshop", "key": "alice", "base": ""}, "its digests were cut off"),
    ({"catalog": "bookshop", "key": "alice", "base": "1abc"}, "its digests were cut off"),
    ({"catalog": "bookshop", "key": "alice", "base": 1}, "its digests were cut off"),
    (
        {"catalog": "bookshop", "key": "alice", "base": "1nc_FS5gxxxx"},
        "its check does not hold, so it was cut off or altered",
    ),
]


@pytest.mark.parametrize(("document", "message"), UNREADABLE)
def test_what_can_not_be_read_says_why(document: Any, message: str) -> None:
    with pytest.raises(TagUnreadableError) as caught:
        tag_from_json(document)
    assert str(caught.value) == message


def test_a_tag_of_a_form_to_come_is_unreadable_and_not_guessed_at() -> None:
    import reconciler.ownership.tag as module

    newer = "2" + "something else"
    document = {
        "catalog": "bookshop",
        "key": "alice",
        "base": newer + module._check(Identity("bookshop", None, "alice"), newer, CREATED),
    }
    with pytest.raises(TagUnreadableError) as caught:
        tag_from_json(document)
    assert str(caught.value) == "its digests are of a form that this version does not know"


def test_a_tag_that_was_moved_to_another_session_by_hand_is_that_sessions_identity() -> None:
    """Copying a whole remark copies the identity: then two sessions have it, which is resolved by rule."""
    remark = _remark(make_tag(ALICE, FIELDS))
    assert parse_remark(remark).tag == make_tag(ALICE, FIELDS)


def test_what_the_digests_tell() -> None:
    base = make_tag(ALICE, {"prompt": " Be kind."}, stored={"prompt": "Be kind."}).base
    assert base is not None
    assert base.knows("prompt")
    assert not base.knows("name")
    assert base.wrote("prompt", " Be kind.")
    assert not base.wrote("prompt", "Be kind.")
    assert base.left("prompt", "Be kind.")
    assert not base.left("prompt", " Be kind.")
    assert base.known_rewrite("prompt", " Be kind.", "Be kind.")
    assert not base.known_rewrite("prompt", "Be kind.", "Be kind.")
    assert not Base().left("prompt", "Be kind.")


def test_kept_digests_are_those_of_the_former_base() -> None:
    former = make_tag(ALICE, {"name": "Al", "prompt": " x", "model": "m"}, stored={"prompt": "x"}).base
    kept = make_tag(ALICE, {"name": "Alice"}, keep=["prompt", "data.never"], base=former).base
    assert kept is not None
    assert kept.wrote("name", "Alice")
    assert kept.known_rewrite("prompt", " x", "x")
    assert not kept.knows("model")
    assert not kept.knows("data.never")


def test_each_field_has_a_code_of_its_own() -> None:
    assert {path: field_code(path) for path in FIELDS} == {
        "name": "n",
        "model": "m",
        "prompt": "p",
        "parameters.temperature": "t",
        "parameters.max_tokens": "x",
        "parameters.history_length": "h",
        "data.style": ".tkjh",
        "remark.created_user": ".5ONV",
    }


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Identity("bookshop", None, "alice"), "bookshop/alice"),
        (Identity("bookshop", "staging", "alice"), "bookshop@staging/alice"),
    ],
)
def test_an_identity_as_people_read_it(one: Identity, text: str) -> None:
    assert str(one) == text
