"""What a killed probe left behind is recognised, offered for deletion, and deleted; nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.ownership.reserved import half_made_name, probe_name, probe_prompt, probe_remark
from reconciler.ownership.tag import Identity
from reconciler.server import LoggedRequest, RunningServer
from tests.doctor.services import SERVICES
from tests.doctor.support import Doctor, checks, methods, playing
from tests.suggestions import without_run

BY_NAME = {service.name: service for service in SERVICES}

PLAIN = SERVICES[0]

ID = "1f2e3d4c5b6a"


def _probe(doctor: Doctor, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    code, out, _ = doctor.probe("--format", "json", "--settle", "1", *arguments)
    return code, checks(out)


def _on_first(server: RunningServer, operation: str, act: Callable[[], object]) -> None:
    """Act when the work of the first call of this operation is done."""
    met: list[int] = []

    def hook(entry: LoggedRequest) -> None:
        if entry.operation == operation and not met:
            met.append(entry.number)
            act()

    server.after.append(hook)


def test_each_heading_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        store = doctor.server.store
        _leave(doctor)
        _on_first(doctor.server, "update_session", lambda: store.update_session(1, prompt="new"))
        _, out, _ = doctor.probe()
        assert "the list from before the probe: is in" in out
        assert "left over: #8 deleted" in out
        headings = [line for line in out.splitlines() if line[:1].isupper() and ":" not in line]
        assert headings == [
            "Connection",
            "The list of sessions",
            "What is on the account",
            "By writing to one session",
            "What earlier probes left behind",
        ]


def test_how_several_are_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        _leave(doctor)
        _leave(doctor, remark="")
        _, out, _ = doctor("doctor")
        assert "`reconciler doctor --auto-approve` removes them, and nothing else.\n" in without_run(out)


def _leave(doctor: Doctor, **changes: object) -> int:
    """Put on the account what a killed probe leaves, changed in these."""
    fields = {"name": probe_name(ID), "prompt": probe_prompt(ID) + " Step 3.", "remark": probe_remark(ID)}
    return doctor.server.store.insert_session(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"remark": ""},
        {"remark": None, "prompt": ""},
        {"remark": probe_remark(ID, 20)},
        {"remark": probe_remark(ID, 60_000)},
        {"name": ""},
        {"name": "mine"},
        {"prompt": f"\n {probe_prompt(ID)}"},
    ],
    ids=str,
)
def test_what_is_known_as_a_probe(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        number = _leave(doctor, **changes)
        code, out, _ = doctor("doctor")
        assert code == 1
        assert f"Left over from an earlier probe: #{number}," in out
        assert "7 in all" not in out
        assert "sessions: 8 in all: 3 managed (2 by shop, 1 by x@y), 4 unmanaged\n" in out
        assert doctor("doctor", "--auto-approve")[0] == 0
        assert doctor.server.store.dump() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"name": probe_name(ID) + " ", "remark": ""},
        {"name": "reconciler doctor probe 1: safe to delete", "remark": ""},
        {"name": "", "remark": "", "prompt": ""},
        {"prompt": "You are a doctor."},
        {"remark": "mine"},
        {"remark": probe_remark("000000000000")},
        {"remark": probe_remark(ID)[:-1] + ',"mine":1}'},
        {"name": "mine", "prompt": "mine"},
        {"name": "mine", "remark": ""},
        {"remark": '{"reconciler":{"catalog":"shop","key":"k"}}'},
        {"name": half_made_name(Identity("shop", None, "k")), "remark": ""},
    ],
    ids=str,
)
def test_what_only_looks_like_a_probe(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        _leave(doctor, **changes)
        before = doctor.server.store.dump()
        _, out, _ = doctor("doctor", "--auto-approve")
        assert "Left over" not in out
        assert set(methods(doctor.server)) == {"GET"}
        assert _probe(doctor)[0] in (0, 1)
        assert doctor.server.store.dump() == before


def test_a_probe_removes_what_an_earlier_one_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = BY_NAME["the id in the path, PATCH and DELETE"]
    with playing(service, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        _leave(doctor)
        _leave(doctor, remark="")
        assert _probe(doctor)[0] == 0
        assert doctor.server.store.dump() == before


def test_a_left_over_is_removed_by_whatever_call_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The built-in contract's delete is not this service's: the candidates are tried, on what the probe made alone."""
    for name in ("the id in the path, POST", "forms everywhere", "much at once"):
        with playing(BY_NAME[name], tmp_path, capsys) as doctor:
            before = doctor.server.store.dump()
            number = _leave(doctor)
            token = doctor.server.store.sessions()[-1].session_token
            assert "left over: #8 deleted" in doctor("doctor", "--auto-approve")[1]
            assert doctor.server.store.dump() == before
            for entry in doctor.server.log:
                # By the id, or by the token, which no other session has.
                names = {*entry.path.split("/"), *(str(value) for value in (entry.body or {}).values())}
                assert entry.method == "GET" or names & {str(number), token}


def test_the_offer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("reconciler.cli.commands.doctor.approve", asked.append)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    with playing(PLAIN, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        _leave(doctor)
        code, out, err = doctor("doctor")
        assert (code, asked) == (0, ["Delete it?"])
        assert f"Left over from an earlier probe: #8, '{probe_name(ID)}', created 2" in err
        assert "left over: #8 deleted" in out
        assert doctor.server.store.dump() == before
