"""Nobody waits: not for the clock of the service to move on (``tests/services`` does), and not by the own clock."""

from __future__ import annotations

import pytest

from reconciler.doctor import probe
from reconciler.doctor.times import moved_times, note_times
from tests.clock import Clock, put_in


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tuple(one for one in probe._EXPERIMENTS if one[0] not in (moved_times, note_times))
    monkeypatch.setattr(probe, "_EXPERIMENTS", kept)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the commands that run in this process, and of the server."""
    return put_in(monkeypatch)
