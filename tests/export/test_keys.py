"""Keys derived from names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.export.keys import key_from_name, make_keys

VALID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Alice", "alice"),
        ("Marlowe, the Book Matchmaker", "marlowe-the-book-matchmaker"),
        ("  Don't Panic!  ", "dont-panic"),
        ("O’Brien", "obrien"),
        ("GPT-4.5 / v2_final", "gpt-4-5-v2-final"),
        ("顾掌柜", "gu-zhang-gui"),
        ("校对老周", "jiao-dui-lao-zhou"),
        ("双语编辑 · Bilingual Editor", "shuang-yu-bian-ji-bilingual-editor"),
        ("Night Shift · 打烊以后", "night-shift-da-yang-yi-hou"),
        # Words, not characters: 乐 and 行 are read in two ways each.
        ("音乐老师", "yin-yue-lao-shi"),
        ("银行经理", "yin-hang-jing-li"),
        ("旅行", "lv-xing"),
        ("Привет, мир", "privet-mir"),
        ("объект", "obekt"),
        ("Ärztin für Öffentlichkeit", "arztin-fur-offentlichkeit"),
        ("한국어", "hangugeo"),
        ("ひらがな先生", "hiragana-xian-sheng"),
        ("عربي", "rby"),
        ("👩‍💻 Coder", "woman-computer-coder"),
        ("①", "1"),
        ("no", "no"),
        ("", "session"),
        ("…", "session"),
        ("\u202e\x00", "session"),
        ("x" * 80, "x" * 63),
        ("a word " * 12, "a-word-" * 8 + "a-word"),
        ("y" + " x" * 40, "y" + "-x" * 31),
    ],
)
def test_a_name_in_any_script_gives_a_readable_key(name: str, key: str) -> None:
    assert key_from_name(name) == key
    assert VALID.fullmatch(key)


def test_of_the_same_key_the_lowest_id_has_it_and_the_others_their_ids_behind_it() -> None:
    names = [(9, "Alice"), (3, "alice!"), (12, "Алиса"), (7, "ALICE")]
    assert make_keys(names) == {3: "alice", 7: "alice-7", 9: "alice-9", 12: "alisa"}
    assert make_keys(reversed(names)) == make_keys(names)


def test_a_key_that_is_taken_is_not_given_again() -> None:
    assert make_keys([(3, "Alice")], taken=["alice"]) == {3: "alice-3"}
    assert make_keys([(3, "Alice")], taken=["alice", "alice-3"]) == {3: "alice-3-3"}
    assert make_keys([(1, "Alice 3"), (2, "Alice"), (3, "Alice")]) == {
        1: "alice-3",
        2: "alice",
        3: "alice-3-3",
    }


def test_a_long_key_makes_room_for_the_id() -> None:
    assert make_keys([(1, "z" * 70), (123456, "z" * 70)])[123456] == "z" * 56 + "-123456"


@given(
    st.lists(
        st.tuples(st.integers(1, 10**12), st.text(max_size=80)), unique_by=lambda one: one[0], max_size=8
    )
)
def test_any_names_give_valid_keys_each_its_own_in_any_order(names: list[tuple[int, str]]) -> None:
    keys = make_keys(names)
    assert keys.keys() == {session_id for session_id, _ in names}
    assert len(set(keys.values())) == len(names)
    assert all(VALID.fullmatch(key) for key in keys.values())
    assert make_keys(sorted(names, key=lambda one: one[1])) == keys
    # What came later changes no key of what was there before.
    if names:
        newest = max(names)
        assert make_keys(one for one in names if one != newest).items() <= keys.items()
