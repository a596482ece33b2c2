"""Shortened lists of keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.keylist import ROW, key_list

NUMBERED = [f"guide-{n}" for n in range(1, 8)]


@pytest.mark.parametrize(
    ("keys", "room", "text", "missing"),
    [
        ([], 0, "", 0),
        (["b", "a"], 10, "b a", 0),
        (NUMBERED, 60, "guide-1 guide-2 guide-3 guide-4 guide-5 guide-6 guide-7", 0),
        (NUMBERED, 50, "guide-1 guide-2 guide-3\n…and 4 more", 4),
        (NUMBERED, 20, "", 7),
        (["not a key", 'a"b', "c##[x"], 60, r'"not a key" "a\"b" "c\x23#[x"', 0),
    ],
)
def test_the_first_keys_and_how_many_more_there_are(
    keys: list[str], room: int, text: str, missing: int
) -> None:
    assert key_list(keys, room) == (text, missing)


@given(
    st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True), unique=True, max_size=60),
    st.integers(0, 400),
)
def test_never_more_than_the_room_and_every_key_counted(keys: list[str], room: int) -> None:
    text, missing = key_list(keys, room)
    assert len(text.encode()) <= room
    listed, _, more = text.partition("…and ")
    assert listed.split() == keys[: len(keys) - missing]
    assert more == (f"{missing} more" if missing and listed else "")
    assert all(len(row) <= ROW + 11 for row in text.split("\n"))
