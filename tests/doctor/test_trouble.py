"""A probe in trouble stops in time, cleans up, and says what it could not do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError, Refused
from reconciler.server import Fault, LoggedRequest, RunningServer
from reconciler.server.faults import Kind
from tests.doctor.services import SERVICES, Service
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


def test_a_session_of_another_user_disappears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        _on_first(doctor.server, "update_session", lambda: doctor.server.store.delete_session(4))
        code, found = _probe(doctor)
        assert code == 1
        assert found["the probe ended early"] == ("differs", "#4 disappeared during the probe")
        # The delete call of this service names the session in its path: after an alarm that is still tried.
        assert found["clean-up"][0] == "ok"
        assert found["the other sessions"] == ("differs", "#4 disappeared")
        assert found["the list from before the probe"][1].startswith(f"is in {tmp_path}/state/before-")
        assert _not_learned(doctor) >= {"update_session", "delete_session"}
        assert [entry.operation for entry in doctor.server.log].count("update_session") == 1
        assert [row.session_id for row in doctor.server.store.sessions()] == [1, 2, 3, 5, 6, 7]


def test_a_session_of_another_user_disappears_and_a_body_names_the_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an alarm, a call that might reach another session is not tried."""
    with playing(BY_NAME["multipart everywhere"], tmp_path, capsys) as doctor:
        _on_first(doctor.server, "update_session", lambda: doctor.server.store.delete_session(4))
        code, found = _probe(doctor)
        assert code == 1
        assert found["clean-up"][0] == "differs"
        assert "left over: #8 deleted" in doctor("doctor", "--auto-approve")[1]
        assert [row.session_id for row in doctor.server.store.sessions()] == [1, 2, 3, 5, 6, 7]


def _not_learned(doctor: Doctor) -> set[str]:
    learned = doctor.learned().learned
    assert learned is not None
    return {*learned.partial}


def test_a_call_that_reaches_another_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that applies the probe's update to every session: nothing else is tried on it."""
    with playing(PLAIN, tmp_path, capsys) as doctor:
        store = doctor.server.store

        def overwrite() -> None:
            own = store.sessions()[-1]
            store.change_session(4, lambda row: replace(row, name=own.name, prompt=own.prompt))

        _on_first(doctor.server, "update_session", overwrite)
        code, found = _probe(doctor)
        assert code == 1
        seen = "#4 existed before the probe, and now has the probe's name or mark"
        assert found["the probe ended early"] == ("differs", seen)
        assert found["the other sessions"] == (
            "differs",
            "#4 changed in session_config, session_name, updated_at",
        )
        assert [row.session_id for row in store.sessions()] == [1, 2, 3, 4, 5, 6, 7]
        (before,) = (tmp_path / "state").glob("before-*.json")
        assert "  prose" in before.read_text()


def test_others_write_during_a_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        store = doctor.server.store
        _on_first(doctor.server, "update_session", lambda: store.update_session(6, api_use_count=4))
        code, found = _probe(doctor)
        assert code == 0
        seen = "all 7 are unchanged, field by field; 1 used meanwhile"
        assert found["the other sessions"] == ("ok", seen)
        _on_first(doctor.server, "update_session", lambda: store.update_session(1, prompt="new"))
        store.insert_session(name="new")
        code, found = _probe(doctor)
        assert found["the other sessions"] == ("differs", "#1 changed in session_config, updated_at")
        # All was learned and written down. That is no answer to what became of the others.
        assert code == 1
        assert doctor.learned().learned is not None


def test_the_others_can_not_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(client: object) -> None:
        raise ReconcilerError("the list is gone")

    with playing(PLAIN, tmp_path, capsys) as doctor:
        monkeypatch.setattr("reconciler.doctor.probe.list_sessions", fail)
        code, found = _probe(doctor)
        seen = "the list can't be read again: the list is gone"
        assert found["the other sessions"] == ("unknown", seen)
        assert code == 1


def test_a_delete_that_never_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        doctor.server.faults.add(Fault("status", operation="delete_session", status=500))
        code, found = _probe(doctor)
        assert code == 1
        assert found["delete"] == (
            "unknown",
            "2 of 48 calls may delete a session, but the list still shows it 1 s later: POST "
            "/v1/session/{session_id}/del/ and 1 more are answered HTTP 500, status 500 in the body: 服务器内部错误",
        )
        assert _not_learned(doctor) == {"delete_session"}
        assert doctor.learned().operation("update_session").known == "learned"
        verdict, seen = found["clean-up"]
        assert verdict == "differs"
        assert seen.startswith("#8, 'reconciler doctor probe ")
        assert seen.endswith(": safe to delete', could not be deleted")
        code, out, _ = doctor("doctor")
        assert code == 1
        assert "Left over from an earlier probe: #8, 'reconciler doctor probe " in out
        assert "`reconciler doctor --auto-approve` removes it, and nothing else.\n" in without_run(out)
        doctor.server.faults.clear()
        code, out, _ = doctor("doctor", "--auto-approve")
        assert code == 0
        assert "  ok       left over: #8 deleted\n" in out
        assert doctor.server.store.dump() == before


def _is_write(entry: LoggedRequest) -> bool:
    return entry.method != "GET" and entry.operation != "create_session"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=500, where=_is_write),
        Fault("html", status=502, where=_is_write),
        Fault("wrong-type", where=_is_write),
        Fault("empty", where=_is_write),
    ],
    ids=lambda fault: fault.kind,
)
def test_inconclusive_answers(fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gateway that answers instead of the service does not mean that the service has no update."""
    with playing(PLAIN, tmp_path, capsys) as doctor:
        doctor.server.faults.add(fault)
        code, found = _probe(doctor, "--retries", "0")
        assert code == 1
        for name, number in (
            ("update", "66 of 66 calls may change"),
            ("delete", "48 of 48 calls may delete"),
        ):
            verdict, seen = found[name]
            assert verdict == "unknown"
            assert seen.startswith(f"{number} a session, but the list ")
        assert _not_learned(doctor) >= {"update_session", "delete_session"}


def test_success_without_an_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quirks = ("update-ignores=prompt,remark,data,temperature,max_tokens,history_length", "strict-encoding")
    with playing(replace(PLAIN, quirks=quirks), tmp_path, capsys) as doctor:
        code, found = _probe(doctor)
        assert (code, found["update"]) == (
            1,
            (
                "unknown",
                "1 of 66 calls may change a session, but the list shows no change within 1 s: POST "
                "/v1/session/{session_id}/, json is answered HTTP 200, status 200 in the body",
            ),
        )
        assert _not_learned(doctor) >= {"update_session"}


@pytest.mark.parametrize("kind", ["wrong-type", "empty", "html"])
def test_work_that_is_done_without_a_valid_answer(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the list shows counts for more than the answer."""
    with playing(PLAIN, tmp_path, capsys) as doctor:
        for operation in ("update_session", "delete_session"):
            doctor.server.faults.add(Fault(kind, operation=operation, worked=True))
        code, found = _probe(doctor)
        assert found["update"] == ("ok", "POST /v1/session/{session_id}/, json")
        assert found["fields left out of an update"] == ("ok", "keep their values")
        # A success without a body is a fact of the call.
        assert found["delete"][0] == ("differs" if kind == "empty" else "ok")
        assert code == 0


@pytest.mark.parametrize("name", ["prompt", "session_name"])
def test_an_update_without_a_field_that_fails(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacks_it(entry: LoggedRequest) -> bool:
        return entry.operation == "update_session" and name not in (entry.body or {})

    for fault, code, said in (
        (Fault("status", status=500, where=lacks_it), 1, ("unknown", "the answers are not conclusive")),
        (Fault("wrong-type", where=lacks_it), 1, ("unknown", "the answers are not conclusive")),
        (Fault("wrong-type", where=lacks_it, worked=True), 0, ("ok", "keep their values")),
        (Fault("status", status=400, where=lacks_it), 0, ("differs", "are reset: ")),
    ):
        with playing(PLAIN, tmp_path, capsys) as doctor:
            doctor.written.unlink(missing_ok=True)
            doctor.server.faults.add(fault)
            ended, found = _probe(doctor)
            verdict, seen = found["fields left out of an update"]
            assert (ended, verdict) == (code, said[0])
            assert seen.startswith(said[1])
            assert ("left_out of update_session" in _not_learned(doctor)) is (code == 1)


def test_a_delete_that_is_listed_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(replace(PLAIN, quirks=("late-changes=0.3",)), tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        doctor.server.faults.add(Fault("status", operation="delete_session", status=500, worked=True))
        code, found = _probe(doctor)
        assert (code, found["delete"]) == (
            0,
            (
                "ok",
                "POST /v1/session/{session_id}/del/; answered HTTP 500, status 500 in the body: 服务器内部错误",
            ),
        )
        assert doctor.server.store.dump() == before


def test_an_id_that_is_reused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second delete would reach whichever session has the id by then."""
    with playing(PLAIN, tmp_path, capsys) as doctor:
        store = doctor.server.store

        def reuse() -> None:
            number = store.insert_session(name="somebody's")
            store._connection.execute("UPDATE session SET session_id = 8 WHERE session_id = ?", (number,))

        _on_first(doctor.server, "delete_session", reuse)
        _, found = _probe(doctor)
        seen = "#8 is another session now: no second delete was sent"
        assert found["a session that is gone"] == ("unknown", seen)
        assert [row.name for row in store.sessions() if row.session_id == 8] == ["somebody's"]


def _with_message_fields(**fields: str) -> Service:
    others = {"category": "message_category", "content": "message_content"}
    return replace(
        PLAIN, calls={"create_message": {"fields": {**others, **fields}}}, given=("create_message",)
    )


@pytest.mark.parametrize("said", [{"session_token": "session_token"}, {}], ids=["said", "not said"])
def test_messages_that_are_added_by_token(
    said: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the contract's ``create_message`` does not say how it names the session."""
    given = _with_message_fields(**said)
    with playing(_with_message_fields(session_token="session_token"), tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        code, out, err = doctor.probe("--format", "json", *doctor.given(given))
        assert (code, err) == (0, "")
        assert doctor.learned().operation("create_message").named_by == ("session_token",)
        found = [
            (one["verdict"], one["seen"]) for one in json.loads(out)["checks"] if one["name"] == "messages"
        ]
        assert found[-1] == ("ok", "are addressed by session_token")
        assert doctor.server.store.dump() == before


@pytest.mark.parametrize(
    ("stored", "seen"), [("{}", "is not returned"), ('{"n": 1}', "is returned, but not as it was sent")]
)
def test_messages_without_their_meta(
    stored: str, seen: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:

        def lose(entry: LoggedRequest) -> None:
            if entry.operation == "create_message":
                doctor.server.store._connection.execute("UPDATE message SET meta = ?", (stored,))

        doctor.server.after.append(lose)
        code, found = _probe(doctor)
        assert (code, found["meta of messages"]) == (0, ("differs", seen))
        assert found["messages"] == ("ok", "are addressed by session_token")


def test_the_answer_of_the_create_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        doctor.server.faults.add(Fault("cut", operation="create_session", worked=True))
        assert _probe(doctor)[0] == 0
        assert doctor.server.store.dump() == before
        assert [entry.operation for entry in doctor.server.log].count("create_session") == 1
        doctor.server.faults.clear()
        doctor.server.faults.add(Fault("cut", operation="create_session"))
        code, found = _probe(doctor)
        assert code == 1
        assert found["the probe ended early"][1].startswith("creating the session: ")
        seen = found["clean-up"][1]
        assert seen.endswith("may exist that the list does not show yet")
        assert doctor.server.store.dump() == before


def test_a_list_that_lags_too_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(replace(PLAIN, quirks=("late-seconds=86400",)), tmp_path, capsys) as doctor:
        code, found = _probe(doctor, "--settle", "0.2")
        assert code == 1
        seen = "a session was created, but the list did not show it within 0.2 s"
        assert found["the probe ended early"] == ("differs", seen)
        assert found["clean-up"][1].endswith("may exist that the list does not show yet")


def test_the_list_fails_while_cleaning_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()

        def break_lists() -> None:
            doctor.server.faults.add(Fault("status", operation="list_sessions", status=500))

        _on_first(doctor.server, "update_session", break_lists)
        code, found = _probe(doctor, "--retries", "0")
        assert code == 1
        verdict, seen = found["clean-up"]
        assert verdict == "differs"
        assert seen.startswith("#8, 'reconciler doctor probe ")
        assert seen.endswith("could not be deleted: listing sessions: HTTP 500: 服务器内部错误")
        assert found["the other sessions"][0] == "unknown"
        doctor.server.faults.clear()
        assert doctor("doctor", "--auto-approve")[0] == 0
        assert doctor.server.store.dump() == before


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("rate-limit", rate=25, retry_after=1), marks=pytest.mark.full),
        pytest.param(Fault("status", when="every 40", status=503), marks=pytest.mark.full),
        Fault("status", operation="delete_session", when="first", status=429, retry_after=0),
        Fault("status", operation="update_session", when="every 3", status=500),
        Fault("cut", operation="update_session", when="every 4", worked=True),
        Fault("cut", operation="delete_session", when="first", worked=True),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status or ''} {fault.operation or ''} {fault.when}",
)
def test_trouble_that_passes(fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = BY_NAME["a remark of 255 bytes"]
    with playing(service, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        doctor.server.faults.add(fault)
        code, found = _probe(doctor)
        assert (code, found["remark"]) == (0, ("ok", "255 bytes are kept; longer remarks are refused"))
        assert doctor.server.store.dump() == before
        learned = doctor.learned().operation("update_session")
        assert (learned.path, learned.encoding, learned.left_out) == (
            "/v1/session/{session_id}/",
            "json",
            "kept",
        )


def test_a_probe_that_is_not_approved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(question: str) -> None:
        asked.append(question)
        raise Refused("not approved: nothing was written")

    monkeypatch.setattr("reconciler.cli.commands.doctor.approve", refuse)
    with playing(PLAIN, tmp_path, capsys) as doctor:
        code, out, err = doctor("doctor", "--probe", "--write", str(doctor.written))
        assert (code, asked) == (3, ["Go ahead?"])
        assert "No other session is written to." in err
        assert "ordering: by session_id" in out
        assert set(methods(doctor.server)) == {"GET"}
        assert not doctor.written.exists()
