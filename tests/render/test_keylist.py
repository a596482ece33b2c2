"""Many keys in little room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.keylist import key_list

NUMBERED = [f"guide-{n}" for n in range(1, 8)]


@pytest.mark.parametrize(
    ("keys", "room", "text", "missing"),
    [
        ([], 0, "", 0),
        (["b", "a"], 10, "b a", 0),
        (NUMBERED, 60, "guide-1 guide-2 guide-3 guide-4 guide-5 guide-6 guide-7", 0),
        (NUMBERED, 30, "guide-{1,2,3,4,5,6,7}", 0),
        (NUMBERED, 20, "guide-{1..7}", 0),
        (NUMBERED, 8, "guide-1", 6),
        ([*NUMBERED, "guide-anna", "guide-9", "x.y"], 28, "guide-{1..7,9,anna} x.y", 0),
        (["not a key", 'a"b', "c##[x"], 60, r'"not a key" "a\"b" "c\x23#[x"', 0),
        (["guide-01", "guide-02"], 20, "guide-01 guide-02", 0),
        (["guide-01", "guide-02"], 15, "guide-{01,02}", 0),
    ],
)
def test_the_first_way_that_fits(keys: list[str], room: int, text: str, missing: int) -> None:
    assert key_list(keys, room) == (text, missing)


@given(
    st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True), unique=True, max_size=60),
    st.integers(0, 400),
)
def test_never_more_than_the_room_and_every_key_counted(keys: list[str], room: int) -> None:
    text, missing = key_list(keys, room)
    assert len(text.encode()) <= room
    listed = 0
    for item in text.split():
        head, brace, tails = item.partition("{")
        if not brace:
            assert item in keys
            listed += 1
            continue
        for tail in tails.removesuffix("}").split(","):
            first, _, last = tail.partition("..")
            if last:
                numbers = range(int(first), int(last) + 1)
                assert all(f"{head}{n}" in keys for n in numbers)
                listed += len(numbers)
            else:
                assert head + tail in keys
                listed += 1
    assert listed + missing == len(keys)
