"""The remark belongs to others: what they wrote survives in any form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ownership.remark import (
    OUR_KEY,
    Remark,
    compose_lock,
    compose_remark,
    parse_remark,
    release_remark,
    was_before,
)
from reconciler.ownership.tag import CREATED, Identity, make_tag
from reconciler.values import DEEPEST, same

ALICE = Identity("bookshop", None, "alice")
TAG = make_tag(ALICE, {"name": "Alice"})

plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
others = st.dictionaries(st.text().filter(lambda key: key != OUR_KEY), values, max_size=4)

#: Remarks as others leave them, and whether they are JSON objects that we can write as they were written.
REMARKS = [
    ("", False),
    (None, False),
    ("made by lery", False),
    ("  ", False),
    ("{}", True),
    ('{"created_user":"lery","created_user_id":123}', True),
    ('{"created_user": "lery", "created_user_id": 123}', True),
    ('{"名":"爱丽丝"}', True),
    ('{"\\u540d":"\\u7231"}', True),
    ('{"a":1,"a":2}', False),
    ('{\n  "a": 1\n}', False),
    ('{"a":1.50}', False),
    ('{"a":1e2}', False),
    ('["a","b"]', False),
    ('"a text"', False),
    ("17", False),
    ("null", False),
    ("true", False),
    ('{"a":', False),
    ("{'a': 1}", False),
    ('{"a":NaN}', False),
    ('{"a":Infinity}', False),
    ('{"a":1e999}', False),
    ('{"a":-1e999}', False),
    ('{"a":' + "9" * 5000 + "}", False),
    ('{"a":' + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1) + "}", False),
    ("[" * 100_000, False),
    ('{"a":' * 100_000, False),
    ('\ufeff{"a":1}', False),
    ('{"a":"\\ud800"}', True),
    ('{"a":"\x00"}', False),
    ("\ud800", False),
]
TEXTS = [text for text, _ in REMARKS]


def short(text: str | None) -> str:
    return repr(text)[:30]


@pytest.mark.parametrize("raw", TEXTS, ids=short)
def test_a_remark_of_others_has_no_tag_and_is_never_an_error(raw: str | None) -> None:
    found = parse_remark(raw)
    assert (found.tag, found.unreadable, found.lock) == (None, "", None)


@pytest.mark.parametrize(("raw", "writable"), REMARKS, ids=short)
def test_adopted_and_released_it_is_what_it_was(raw: str | None, writable: bool) -> None:
    """The tag goes in beside what is there, and comes out again: byte for byte."""
    was = was_before(raw, parse_remark(raw), rewriting=False)
    assert was == (True if writable else raw)
    tag = make_tag(ALICE, {"name": "Alice"}, was=was)
    ours = compose_remark(raw, parse_remark(raw).keys, tag)
    found = parse_remark(ours)
    assert found.tag == tag
    assert found.keys == parse_remark(raw).keys
    assert release_remark(ours, found, frozenset()) == raw


@pytest.mark.parametrize(("raw", "writable"), REMARKS, ids=short)
def test_adopted_twice_it_is_what_it_was_at_first(raw: str | None, writable: bool) -> None:
    """A second write starts from the first, with whatever the tag remembers."""
    tag = make_tag(ALICE, {"name": "Alice"}, was=was_before(raw, parse_remark(raw), rewriting=False))
    once = compose_remark(raw, {**parse_remark(raw).keys, "mine": 1}, tag)
    twice = compose_remark(once, {**parse_remark(once).keys, "mine": 2}, tag)
    assert release_remark(twice, parse_remark(twice), frozenset({"mine"})) == raw or writable
    released = release_remark(twice, parse_remark(twice), frozenset({"mine"}))
    assert parse_remark(released).keys == (
        {**parse_remark(raw).keys, "mine": 2} if writable else parse_remark(raw).keys
    )


@given(others)
def test_keys_of_others_come_back_in_order_beside_any_tag(keys: dict[str, Any]) -> None:
    text = compose_remark(None, keys, TAG)
    found = parse_remark(text)
    assert found.tag == TAG
    assert list(found.keys) == list(keys)
    assert same(dict(found.keys), keys)


@given(others, st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans())
def test_the_style_of_writing_stays(
    keys: dict[str, Any], separators: tuple[str, str], ascii_only: bool
) -> None:
    def write(document: Any) -> str:
        return json.dumps(document, separators=separators, ensure_ascii=ascii_only)

    raw = write(keys)
    was = was_before(raw, parse_remark(raw), rewriting=False)
    ours = compose_remark(raw, parse_remark(raw).keys, make_tag(ALICE, {}, was=was))
    assert release_remark(ours, parse_remark(ours), frozenset()) == raw


@given(st.text())
def test_any_text_is_read_and_given_back(raw: str) -> None:
    tag = make_tag(ALICE, {}, was=was_before(raw, parse_remark(raw), rewriting=False))
    ours = compose_remark(raw, parse_remark(raw).keys, tag)
    assert parse_remark(ours).tag == tag
    assert release_remark(ours, parse_remark(ours), frozenset()) == raw


@given(st.text(alphabet='{}[]":,\\reconciler017eE.-nulltrue '))
def test_what_looks_like_json_is_read_without_harm(raw: str) -> None:
    found = parse_remark(raw)
    assert found.tag is None
    assert json.dumps(dict(found.keys), allow_nan=False)


@given(others)
def test_what_is_written_is_always_text_that_can_be_sent(keys: dict[str, Any]) -> None:
    text = compose_remark(None, keys, TAG)
    assert json.loads(text)[OUR_KEY]["key"] == "alice"
    text.encode()


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    assert compose_remark(None, {"a": "\ud800"}, TAG) == (
        '{"a":"\\ud800","reconciler":{"catalog":"bookshop","key":"alice","base":"1nc_FS5gylyf"}}'
    )


UNREADABLE = [
    ('{"reconciler":1}', "it is not an object"),
    ('{"reconciler":{"catalog":"bookshop"}}', "catalog, environment and key are not all texts"),
    (
        '{"reconciler":{"catalog":"bookshop","key":"alice","base":"1nc_FS',
        "the remark is no JSON any more, so it was cut off or altered",
    ),
    (
        '  {"reconciler":{"catalog":"bookshop","key":"alice"}} and a note',
        "the remark is no JSON any more, so it was cut off or altered",
    ),
    (
        '{"reconciler":{"catalog":"bookshop","key":"alice"},"note":NaN}',
        "the remark is no JSON any more, so it was cut off or altered",
    ),
    (
        '{"reconciler":{"catalog":"bookshop","key":"alice"},"note":1e999}',
        "the remark is no JSON any more, so it was cut off or altered",
    ),
]


@pytest.mark.parametrize(("raw", "why"), UNREADABLE, ids=short)
def test_a_tag_that_can_not_be_read_is_no_tag_and_says_why(raw: str, why: str) -> None:
    found = parse_remark(raw)
    assert (found.tag, found.unreadable) == (None, why)


@pytest.mark.parametrize(
    "raw", ["the reconciler made this", '["reconciler"]', '"reconciler"', "reconciler: {}"], ids=short
)
def test_a_text_about_a_reconciler_is_no_tag(raw: str) -> None:
    assert parse_remark(raw) == Remark()


def test_of_our_key_written_twice_the_last_one_counts() -> None:
    text = compose_remark(None, {}, TAG)
    twice = '{"reconciler":{"catalog":"other","key":"bob"},' + text[1:]
    assert parse_remark(twice).tag == TAG


def test_a_key_of_others_that_came_later_survives_a_release() -> None:
    tag = make_tag(ALICE, {}, was=was_before("made by lery", parse_remark("made by lery"), rewriting=False))
    ours = compose_remark("made by lery", {"owner": "ops"}, tag)
    assert release_remark(ours, parse_remark(ours), frozenset()) == "made by lery"
    tag = make_tag(ALICE, {}, was=was_before(None, parse_remark(None), rewriting=False))
    ours = compose_remark(None, {"owner": "ops"}, tag)
    assert release_remark(ours, parse_remark(ours), frozenset()) == '{"owner":"ops"}'


def test_a_session_that_we_made_is_released_with_the_keys_that_are_in_it() -> None:
    ours = compose_remark(None, {"owner": "ops", "created_user": "lery"}, TAG)
    assert parse_remark(ours).tag is not None
    assert parse_remark(ours).tag.was is CREATED
    assert release_remark(ours, parse_remark(ours), frozenset({"created_user"})) == (
        '{"owner":"ops","created_user":"lery"}'
    )
    bare = compose_remark(None, {}, TAG)
    assert release_remark(bare, parse_remark(bare), frozenset()) == ""


def test_a_lock_is_no_tag() -> None:
    text = compose_lock({"catalog": "bookshop", "holder": "ci"})
    assert text == '{"reconciler":{"lock":{"catalog":"bookshop","holder":"ci"}}}'
    assert parse_remark(text) == Remark(lock={"catalog": "bookshop", "holder": "ci"})
