"""The garbage collector is off while much is created, and always comes back."""

from __future__ import annotations

import gc
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from reconciler import bulk
from reconciler.bulk import LONGEST, no_garbage_collection


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(bulk, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_it_is_off_until_the_last_of_several_blocks_ends(clock: SimpleNamespace) -> None:
    with no_garbage_collection():
        with no_garbage_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_blocks_that_always_overlap_do_not_keep_it_off_for_long(clock: SimpleNamespace) -> None:
    on = []
    with ExitStack() as outer:
        outer.enter_context(no_garbage_collection())
        for _ in range(60):
            following = ExitStack()
            following.enter_context(no_garbage_collection())
            outer.close()
            clock.now += 1.0
            outer = following
            on.append(gc.isenabled())
        outer.close()
    assert on == [False] * (int(LONGEST) + 1) + [True] * (59 - int(LONGEST))
    with no_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_stays_off_if_it_was_off_before(clock: SimpleNamespace) -> None:
    gc.disable()
    try:
        with no_garbage_collection():
            clock.now += 2 * LONGEST
        assert not gc.isenabled()
    finally:
        gc.enable()
