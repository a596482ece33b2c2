"""What a probe learns of ``updated_at``. Here, the clock of the service moves on when the probe waits for that."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.contract import Service as ServiceFacts
from reconciler.doctor import context, probe
from reconciler.doctor.create import create_session
from reconciler.doctor.delete import find_delete
from reconciler.doctor.times import moved_times, note_times
from reconciler.doctor.update import find_update, updated_fields
from reconciler.server import store
from tests.clock import Clock
from tests.doctor.services import Service
from tests.doctor.support import checks, playing


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    began = time.time() - clock.now()
    steps = (create_session, find_update, updated_fields, note_times, moved_times, find_delete)
    monkeypatch.setattr(probe, "_EXPERIMENTS", tuple((step, step.__name__) for step in steps))
    moving = SimpleNamespace(
        time=lambda: began + clock.now(),
        **{name: getattr(time, name) for name in ("monotonic", "sleep", "strftime", "gmtime")},
    )
    monkeypatch.setattr(store, "time", moving)
    monkeypatch.setattr(context, "time", moving)


EXACT = "exactness of updated_at"
ORDER = "ordering by updated_at"


def probed(
    tmp_path: Path, capture: pytest.CaptureFixture[str], *quirks: str
) -> tuple[ServiceFacts, dict[str, tuple[str, str]]]:
    """What a probe learns of a service with these quirks, and the lines of its report."""
    with playing(Service("one", quirks=quirks), tmp_path, capture) as doctor:
        doctor.server.store.change_session(1, lambda row: row, touch=90)  # or all were changed at once
        code, out, _ = doctor.probe("--format", "json")
        assert code == 0
        return doctor.learned().service, checks(out)


def test_the_plainest_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned, said = probed(tmp_path, capsys)
    assert (learned.updated_at, learned.updated_at_seconds, learned.updated_at_lag) == ("updates", 1, 0)
    assert learned.updated_at_order == "honoured"
    assert said[EXACT] == ("ok", "to 1 s")
    assert said[ORDER] == ("ok", "ascending and descending")


def test_two_machines_with_different_clocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned, said = probed(tmp_path, capsys, "second-clock=40")
    assert learned.updated_at_lag is not None
    assert 38 <= learned.updated_at_lag <= 60
    assert said[EXACT] == ("ok", f"to 1 s; listed up to {learned.updated_at_lag} s later than it says")


def test_an_order_that_is_not_honoured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned, said = probed(tmp_path, capsys, "change-order-ignored")
    assert learned.updated_at_order == "ignored"
    assert said[ORDER] == ("ok", "the list is not in the requested order")


def test_times_that_do_not_move(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned, said = probed(tmp_path, capsys, "updated-at=never")
    assert (learned.updated_at, learned.updated_at_seconds, learned.updated_at_order) == ("never", None, None)
    assert not {EXACT, ORDER} & set(said)
