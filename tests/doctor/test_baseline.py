"""The list as it was before a probe: a killed probe leaves it on disk, and the next run compares and removes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.listing import list_sessions
from reconciler.contract import load_contract
from reconciler.doctor.baseline import save_baseline
from reconciler.errors import ReconcilerError
from reconciler.ownership.reserved import probe_name, probe_prompt, probe_remark
from tests.doctor.services import SERVICES
from tests.doctor.support import Doctor, checks, methods, playing

PLAIN = SERVICES[0]
ID = "1f2e3d4c5b6a"
SINCE = f"the other sessions since probe {ID}"
BEFORE = f"the list before probe {ID}"
AS_THEY_WERE = ("ok", "all 7 are unchanged, field by field")


def _killed(doctor: Doctor, *, session: bool = True, name: str = "") -> Path:
    """What a killed probe leaves: the list from before the probe, and its session."""
    with Client(Endpoint(name or doctor.server.url, doctor.server.url), load_contract()) as client:
        path = save_baseline(doctor.folder / "state", ID, list_sessions(client), taken="2024-09-12T15:13:22Z")
    if session:
        doctor.server.store.insert_session(
            name=probe_name(ID), prompt=probe_prompt(ID), remark=probe_remark(ID)
        )
    return path


def _look(doctor: Doctor, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    code, out, _ = doctor("doctor", "--format", "json", *arguments)
    return code, checks(out)


def test_it_is_deleted_with_the_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        path = _killed(doctor)
        code, found = _look(doctor)
        stays = f"kept in {path}: the probe's session #8 still exists"
        assert (code, found[BEFORE], path.exists()) == (1, ("unknown", stays), True)
        code, found = _look(doctor, "--auto-approve")
        assert (code, found["left over"], found[SINCE]) == (0, ("ok", "#8 deleted"), AS_THEY_WERE)
        assert not path.exists()


def test_it_is_deleted_by_the_next_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        _killed(doctor)
        code, out, _ = doctor.probe("--format", "json")
        assert (code, checks(out)[SINCE]) == (0, AS_THEY_WERE)
        assert [file.name for file in (tmp_path / "state").iterdir()] == [".gitignore"]


def test_a_probe_that_created_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its list is compared by looking alone."""
    with playing(PLAIN, tmp_path, capsys) as doctor:
        path = _killed(doctor, session=False)
        code, found = _look(doctor)
        assert (code, found[SINCE], path.exists()) == (0, AS_THEY_WERE, False)
        assert set(methods(doctor.server)) == {"GET"}
        assert SINCE not in _look(doctor)[1]


def test_it_stays_if_something_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        path = _killed(doctor)
        doctor.server.store.delete_session(4)
        doctor.server.store.update_session(1, prompt="new")
        code, out, _ = doctor("doctor", "--auto-approve", "--write", str(doctor.written))
        seen = "#4 disappeared; #1 changed in session_config, updated_at"
        assert code == 1  # writing a contract down does not answer this
        assert f"  differs  {SINCE}: {seen}\n" in out
        assert f"the list from before the probe is in {path}\n" in out
        # Later on nobody can tell whose change it was.
        code, found = _look(doctor)
        assert (code, found[BEFORE]) == (0, ("unknown", f"kept in {path}: {seen}"))
        assert path.exists()


def test_what_another_probe_left_may_be_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = "0a1b2c3d4e5f"
    with playing(PLAIN, tmp_path, capsys) as doctor:
        number = doctor.server.store.insert_session(name=probe_name(other), remark=probe_remark(other))
        path = _killed(doctor)
        doctor.server.store.delete_session(number)
        _, found = _look(doctor, "--auto-approve")
        assert (found[SINCE], path.exists()) == (AS_THEY_WERE, False)


@pytest.mark.parametrize("what", ["another address", "no snapshot", "a link"])
def test_what_is_left_alone(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        path = _killed(
            doctor, session=False, name="https://a.example.com" if what == "another address" else ""
        )
        if what == "no snapshot":
            path.write_text('{"half')
        elif what == "a link":
            path.rename(tmp_path / "mine")
            path.symlink_to(tmp_path / "mine")
        code, found = _look(doctor)
        assert (code, path.exists(), SINCE in found) == (0, True, False)
        if what == "a link":
            assert BEFORE not in found
        else:
            verdict, seen = found[BEFORE]
            why = "it is from https://a" if what == "another address" else f"{path} is not a snapshot"
            assert verdict == "unknown"
            assert seen.startswith(f"kept in {path}: {why}")


def test_what_was_learned_is_not_lost_with_a_left_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ReconcilerError("#4 disappeared during the probe", "run it again")

    monkeypatch.setattr("reconciler.doctor.baseline.delete_leftovers", fail)
    with playing(PLAIN, tmp_path, capsys) as doctor:
        path = _killed(doctor)
        code, out, _ = doctor.probe("--format", "json")
        found = checks(out)
        assert (code, found["left over"]) == (1, ("differs", "#4 disappeared during the probe"))
        assert found[BEFORE] == ("unknown", f"kept in {path}: the probe's session #8 still exists")
        assert doctor.learned().learned is not None
