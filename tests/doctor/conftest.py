"""Probes that do not wait for the clock of the service to move on. ``tests/services`` has those that do."""

from __future__ import annotations

import pytest

from reconciler.doctor import probe
from reconciler.doctor.times import moved_times, note_times


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tuple(one for one in probe._EXPERIMENTS if one[0] not in (moved_times, note_times))
    monkeypatch.setattr(probe, "_EXPERIMENTS", kept)
