"""Whatever the service, a probe finds the truth about it and leaves nothing, and the commands then work or refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reconciler.contract import load_contract
from tests.doctor.services import PLAIN, SERVICES, Service
from tests.doctor.support import Doctor, checks, playing, write_catalog

_TOKEN = 36  # characters of a UUID


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_truth_is_found_and_used(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing(service, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        code, out, err = doctor.probe(*doctor.given(service))
        assert (code, err) == (0, ""), out
        assert doctor.server.store.dump() == before
        _check_reached(doctor)
        _check_contract(doctor, service)
        _second_look(doctor)
        _second_probe(doctor)
        _cycle(doctor, service)


def _check_reached(doctor: Doctor) -> None:
    """Every write of the probe names its own session, in the path or in a body that could be read."""
    (created,) = {
        entry.number for entry in doctor.server.log if entry.operation == "create_session" and entry.worked
    }
    rows = doctor.server.store.sessions()
    own = str(max(row.session_id for row in rows) + 1)
    others = {str(name) for row in rows for name in (row.session_id, row.session_token)}
    writes = [entry for entry in doctor.server.log if entry.method != "GET"]
    assert len(writes) <= 200  # as the question before a probe says
    for entry in writes:
        body = entry.body or {}
        if entry.number <= created:
            assert entry.path.rstrip("/") == "/v1/session"
            assert str(body["session_name"]).startswith("reconciler doctor probe ")
        else:
            named = {*entry.path.split("/"), str(body.get("session_id")), str(body.get("session_token"))}
            assert not named & others, entry
            assert own in named or any(len(name) == _TOKEN for name in named), entry


def _second_look(doctor: Doctor) -> None:
    """With what was learned, nothing differs any more but what this program can't do with."""
    code, out, _ = doctor("doctor", "--contract", str(doctor.written), "--format", "json")
    differs = [name for name, (verdict, _) in checks(out).items() if verdict == "differs"]
    assert (code, differs) == (0, [])


def _second_probe(doctor: Doctor) -> None:
    """Nor for a probe, which learns the same again."""
    first = doctor.learned()
    code, out, _ = doctor.probe("--contract", str(doctor.written), "--format", "json")
    differs = [name for name, (verdict, _) in checks(out).items() if verdict == "differs"]
    assert (code, differs) == (0, [])
    second = doctor.learned()
    timeless = dataclasses.replace(second.service, late_seconds=first.service.late_seconds)
    assert dataclasses.replace(second, service=timeless, learned=first.learned) == first


def _check_contract(doctor: Doctor, service: Service) -> None:
    learned = doctor.learned()
    played = service.contract()
    for name in load_contract().operations:
        changes = service.found.get(name, {})
        no_update = name == "update_session" and "no-update" in service.quirks
        expected = None if changes is None or no_update else played.operations[name]
        found = learned.operations.get(name)
        if expected is None or changes is None:
            assert found is None
            continue
        expected = dataclasses.replace(expected, **changes)
        assert found is not None
        for fact in ("method", "path", "encoding", "fields", "left_out", "ignores", "answer", "page_size"):
            assert getattr(found, fact) == getattr(expected, fact), (name, fact)
    facts = dataclasses.asdict(learned.service)
    for name, value in {**PLAIN, **service.facts}.items():
        if value is ...:
            assert 0 < facts[name] < 10, name
        else:
            assert facts[name] == value, name
    assert learned.learned is not None
    assert learned.learned.endpoint == doctor.server.url


SESSIONS: dict[str, Any] = {
    "a": {
        "name": "A",
        "prompt": "  begins with white space\nand more",
        "parameters": {"max_tokens": 100, "temperature": 0.3, "history_length": 6},
        "data": {"k": [1]},
    },
    "c": {"name": "C", "prompt": "c 爱\u2028", "remark": {"r": 1}},
    "d": {"name": "D", "prompt": "d"},
}


def _cycle(doctor: Doctor, service: Service) -> None:
    """Apply a catalog, change it, apply it again; verified each time, with the others as they were."""
    others = doctor.server.store.sessions()
    folder = write_catalog(doctor.folder / "catalog", SESSIONS)
    contract = ("--contract", str(doctor.written))
    code, out, err = doctor("apply", "--auto-approve", *contract, catalog=folder)
    if service.cycle in ("remark_limit", "no_tag", "no_create"):
        assert code == 3
        assert f"[{service.cycle.replace('no_create', 'no_update')}]" in out
        assert doctor.server.store.sessions() == others
        return
    if service.cycle == "no_update" and code == 4:
        raise AssertionError(out)
    assert code == 0, out + err
    assert "Verified" in out
    assert doctor("plan", "--detailed-exitcode", *contract, catalog=folder)[0] == 0
    changed = {"a": {**SESSIONS["a"], "prompt": "new"}, "c": SESSIONS["c"], "e": {"name": "E", "prompt": "e"}}
    write_catalog(folder, changed)
    code, out, err = doctor("apply", "--auto-approve", *contract, catalog=folder)
    if service.cycle == "no_update":
        assert code == 3
        assert "[no_update] the service has no update call, and this would change a (#" in out
        write_catalog(folder, {**changed, "a": SESSIONS["a"]})
        code, out, err = doctor("apply", "--auto-approve", *contract, catalog=folder)
    assert code == 0, out + err
    assert "Verified" in out
    assert doctor("plan", "--detailed-exitcode", *contract, catalog=folder)[0] == 0
    assert doctor.server.store.sessions()[: len(others)] == others
    assert len(doctor.server.store.sessions()) == len(others) + 3
