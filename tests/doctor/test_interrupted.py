"""A probe that gets a signal deletes its session before it ends; a second signal ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from reconciler.contract import Operation
from reconciler.doctor.session import ProbeSession
from reconciler.server import Fault
from tests.doctor.child import at_request, start
from tests.doctor.services import SERVICES
from tests.doctor.support import Doctor, methods, playing

BY_NAME = {service.name: service for service in SERVICES}

PLAIN = SERVICES[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["as the built-in contract says", "a create that takes no remark"])
def test_a_signal(
    name: str, number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = BY_NAME[name]
    with playing(service, tmp_path, capsys) as doctor:
        assert doctor.probe()[0] == 0
        writes = [n for n, method in enumerate(methods(doctor.server), start=1) if method != "GET"]
    with playing(service, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        # Before, at and after the create; here and there; the delete; and in the clean-up itself.
        for request in (writes[0] - 1, writes[0], writes[0] + 1, *writes[3:-3:8], writes[-2], writes[-1] + 1):
            process = start(_arguments(doctor))

            def send(process: object = process) -> None:
                os.kill(process.pid, number)  # type: ignore[attr-defined]

            with at_request(doctor.server, request, send) as met:
                process.join()
            assert met
            assert process.exitcode == 130
            assert doctor.server.store.dump() == before
            assert not [
                *(tmp_path / ".reconciler").glob("before-*")
            ]  # all others were seen to be as they were


def _arguments(doctor: Doctor) -> list[str]:
    folder = str(doctor.folder)
    return ["doctor", folder, "--probe", "--auto-approve", "--endpoint", doctor.server.url, "--settle", "3"]


def test_a_second_signal_ends_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        hang = doctor.server.faults.add(Fault("hang", operation="delete_session"))
        process = start(_arguments(doctor))
        assert process.pid is not None
        deadline_free_wait(lambda: doctor.server.faults.struck(hang) == 1)
        os.kill(process.pid, signal.SIGINT)
        # The clean-up begins, and hangs in the same way.
        deadline_free_wait(lambda: doctor.server.faults.struck(hang) == 2)
        os.kill(process.pid, signal.SIGINT)
        process.join()
        assert process.exitcode == 130
        doctor.server.faults.clear()
        assert len(doctor.server.store.sessions()) == 8
        assert doctor("doctor", "--auto-approve")[0] == 0
        assert doctor.server.store.dump() == before


@pytest.mark.parametrize("again", [False, True])
def test_what_is_reported_after_an_interruption(
    again: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    met = []

    def interrupted(self: ProbeSession, calls: Iterable[Operation]) -> object:
        met.append(1)
        if again or len(met) == 1:
            raise KeyboardInterrupt
        return delete(self, calls)

    delete = ProbeSession.delete
    monkeypatch.setattr(ProbeSession, "delete", interrupted)
    with playing(PLAIN, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        code, out, err = doctor.probe()
        assert code == 130
        said = (
            "interrupted: the session 'reconciler doctor probe "
            if again
            else "interrupted: what the probe created is deleted\n"
        )
        assert err.startswith(said)
        assert ("' may still exist\n" in err) is again
        assert (f"the list from before the probe is in {tmp_path}/state/before-" in err) is again
        assert bool([*(tmp_path / "state").glob("before-*")]) is again
        assert ("  ok       the other sessions: all 7 are unchanged" in out) is not again
        assert f"{doctor.written} was not written\n" in err
        assert "update: POST /v1/session/{session_id}/, json" in out
        assert (doctor.server.store.dump() == before) is not again


def deadline_free_wait(holds: Callable[[], bool]) -> None:
    """Wait for something that the server will see; a test that hangs is ended from outside."""
    while not holds():
        os.sched_yield()
