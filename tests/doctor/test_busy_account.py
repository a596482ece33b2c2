"""An account that others use: their changes neither stop the doctor nor count against the probe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.server import LoggedRequest
from tests.doctor.services import SERVICES
from tests.doctor.support import Doctor, checks, methods, playing

PLAIN = SERVICES[0]
OTHERS = 500


@dataclass
class EndUsers:
    """At every request they create a session, edit one, and delete their oldest."""

    doctor: Doctor
    waiting: list[int] = field(default_factory=list)
    deleted: int = 0

    def __call__(self, entry: LoggedRequest) -> None:
        store = self.doctor.server.store
        self.waiting.append(store.insert_session(name=f"end user {entry.number}", prompt="Be kind."))
        store.update_session(self.waiting[-1 - entry.number % 50], prompt=f"Be kind, {entry.number} times.")
        store.delete_session(self.waiting.pop(0))
        self.deleted += 1


@contextmanager
def _busy(folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Doctor, EndUsers]]:
    with playing(PLAIN, folder, capsys) as doctor:
        users = EndUsers(doctor)
        for number in range(OTHERS):
            made = doctor.server.store.insert_session(name=f"end user {number}", prompt="Be kind.")
            users.waiting.append(made)
        # Never the neighbour of the probe's session.
        doctor.server.store.insert_session(name="stays", prompt="p")
        doctor.server.after.append(users)
        yield doctor, users


def _differing(out: str) -> dict[str, tuple[str, str]]:
    return {name: found for name, found in checks(out).items() if found[0] == "differs"}


def _ours(doctor: Doctor) -> list[Any]:
    return [row for row in doctor.server.store.sessions() if row.session_id <= 7]


def test_a_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _busy(tmp_path, capsys) as (doctor, users):
        before = _ours(doctor)
        code, out, err = doctor("doctor", "--format", "json")
        assert (code, err, _differing(out)) == (0, "", {})
        assert users.deleted > 0
        assert set(methods(doctor.server)) == {"GET"}
        assert _ours(doctor) == before


def test_a_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _busy(tmp_path, capsys) as (doctor, _):
        before = _ours(doctor)
        code, out, err = doctor.probe("--format", "json")
        assert (code, err, _differing(out)) == (0, "", {})
        assert checks(out)["clean-up"] == ("ok", "the session is deleted and no longer listed")
        verdict, seen = checks(out)["the other sessions"]
        assert verdict == "ok"
        assert re.fullmatch(
            r"\d+ of \d+ are unchanged, field by field; \d+ deleted by others meanwhile; "
            r"\d+ changed by others meanwhile, to nothing that the probe sent; "
            r"\d+ created by others meanwhile",
            seen,
        )
        learned = doctor.learned()
        assert learned.learned is not None
        assert learned.learned.partial == ()
        assert not [*(tmp_path / "state").glob("before-*.json")]
        assert _ours(doctor) == before
        assert not [row for row in doctor.server.store.sessions() if "doctor probe" in row.name]


@pytest.mark.parametrize("taken", ["the next one", "a managed one"])
@pytest.mark.parametrize("operation", ["update_session", "delete_session"])
def test_a_call_that_takes_another_session(
    operation: str,
    taken: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Others delete theirs all the time. The next session to ours, and a managed one, are nevertheless missed."""
    with _busy(tmp_path, capsys) as (doctor, _):
        store, gone = doctor.server.store, []

        def note(entry: LoggedRequest) -> None:
            if entry.operation == operation and not gone:
                own = next(row.session_id for row in store.sessions() if "doctor probe" in row.name)
                others = [row.session_id for row in store.sessions() if row.session_id < own]
                gone.append(max(others) if taken == "the next one" else 1)
                store.delete_session(gone[0])

        doctor.server.before.append(note)
        code, out, _ = doctor.probe("--format", "json")
        found = checks(out)
        assert code == 1
        verdict, seen = found["the probe ended early"]
        assert (verdict, f"#{gone[0]}" in seen, "disappeared during the probe" in seen) == (
            "differs",
            True,
            True,
        )
        assert f"#{gone[0]}" in json.dumps(found["the other sessions"])
        assert found["the other sessions"][0] == "differs"
        assert doctor.learned().operation(operation).known != "learned"


def test_a_call_that_takes_all_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _busy(tmp_path, capsys) as (doctor, users):
        store, done = doctor.server.store, []

        def take(entry: LoggedRequest) -> None:
            if entry.operation == "delete_session" and not done:
                done.append(entry.number)
                for row in store.sessions():
                    if row.name.startswith("end user"):
                        store.delete_session(row.session_id)
                users.waiting = [store.insert_session(name="end user", prompt="p") for _ in range(60)]

        doctor.server.before.append(take)
        code, out, _ = doctor.probe("--format", "json")
        assert (code, checks(out)["the other sessions"][0]) == (1, "differs")
        assert "disappeared during the probe" in checks(out)["the probe ended early"][1]


def test_a_stranger_that_looks_like_the_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What only the probe sends is a proof, whoever else writes."""
    with _busy(tmp_path, capsys) as (doctor, _):
        store, done = doctor.server.store, []

        def overwrite(entry: LoggedRequest) -> None:
            if entry.operation == "update_session" and not done:
                done.append(entry.number)
                own = next(row for row in store.sessions() if "doctor probe" in row.name)
                store.change_session(4, lambda row: replace(row, prompt=own.prompt))

        doctor.server.after.append(overwrite)
        code, out, _ = doctor.probe("--format", "json")
        assert code == 1
        seen = "#4 existed before the probe, and now has the probe's name or mark"
        assert checks(out)["the probe ended early"] == ("differs", seen)
        assert checks(out)["the other sessions"][0] == "differs"


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        (
            {"prompt": "new"},
            "ok",
            "6 of 7 are unchanged, field by field; 1 changed by others meanwhile, to nothing that the probe sent",
        ),
        ({"parameters": {"temperature": 0.75}}, "differs", "#4 changed in session_config"),
        ({"prompt": ""}, "differs", "#4 changed in session_config"),
    ],
    ids=["to something else", "to what the probe sends", "to nothing"],
)
def test_a_change_of_a_stranger(
    change: dict[str, Any], verdict: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call can't write what it does not carry, so a change to anything else was made by somebody else."""
    with playing(PLAIN, tmp_path, capsys) as doctor:
        done: list[int] = []

        def write(entry: LoggedRequest) -> None:
            if entry.operation == "update_session" and not done:
                done.append(entry.number)
                doctor.server.store.change_session(4, lambda row: replace(row, **change))

        doctor.server.after.append(write)
        code, out, _ = doctor.probe("--format", "json")
        found = checks(out)["the other sessions"]
        assert (code, found[0]) == (0 if verdict == "ok" else 1, verdict)
        assert found[1].startswith(said)
