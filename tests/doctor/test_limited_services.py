"""The commands on a service that can do less than the built-in contract assumes, also with failing calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.contract import Contract, load_contract
from reconciler.contract import Service as Facts
from reconciler.doctor.learned import contract_to_yaml
from reconciler.ownership.remark import parse_remark, remark_of_another_session
from reconciler.ownership.reserved import HALF_MADE_PROMPT
from reconciler.server import Fault, running_server
from reconciler.server.quirks import learned_quirks, parse_quirks
from tests.doctor.support import Doctor, checks, write_catalog

ALICE = {"name": "Alice", "prompt": "Be kind.", "parameters": {"max_tokens": 99}, "data": {"k": 1}}


def contract(
    *, without: tuple[str, ...] = (), calls: Mapping[str, Mapping[str, Any]] | None = None, **service: Any
) -> Contract:
    """The built-in contract, changed."""
    built_in = load_contract()
    operations = {name: one for name, one in built_in.operations.items() if name not in without}
    for name, changes in (calls or {}).items():
        operations[name] = replace(operations[name], **changes)
    return replace(built_in, operations=operations, service=Facts(**service))


@contextmanager
def service(
    stated: Contract, folder: Path, capture: pytest.CaptureFixture[str], *quirks: str
) -> Iterator[Doctor]:
    """A service as a contract says, and the commands, which are given that contract."""
    with running_server(None, contract=stated, quirks=parse_quirks(quirks, learned_quirks(stated))) as server:
        doctor = Doctor(server, folder, capture)
        doctor.written.write_text(contract_to_yaml(stated), encoding="utf-8")
        yield doctor


def run(doctor: Doctor, command: str, *arguments: str) -> tuple[int, str, str]:
    approve = ("--auto-approve",) if command == "apply" else ()
    return doctor(
        command, *arguments, *approve, "--contract", str(doctor.written), catalog=doctor.folder / "catalog"
    )


def put(doctor: Doctor, sessions: dict[str, Any], **top: Any) -> None:
    write_catalog(doctor.folder / "catalog", sessions, **top)


def asked(doctor: Doctor, operation: str) -> int:
    return [entry.operation for entry in doctor.server.log].count(operation)


UNTAGGED = contract(calls={"create_session": {"ignores": frozenset({"remark"})}})
BARE = contract(calls={"create_session": {"ignores": frozenset({"max_tokens", "data"})}})


# A create that takes less than everything


@pytest.mark.parametrize("stated", [UNTAGGED, BARE], ids=["no remark", "no max_tokens, no data"])
@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault("cut", operation="create_session", when="first", worked=True),
        Fault("cut", operation="update_session", when="first", worked=True),
        Fault("cut", operation="update_session", when="first"),
        Fault("status", operation="update_session", when="first", status=429, retry_after=0),
        Fault("empty", operation="create_session", when="first", worked=True),
    ],
    ids=lambda fault: f"{fault.kind} {fault.operation} {fault.worked}" if fault else "no fault",
)
def test_a_session_is_created_with_two_calls(
    stated: Contract, fault: Fault | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(stated, tmp_path, capsys) as doctor:
        if fault:
            doctor.server.faults.add(fault)
        put(doctor, {"alice": ALICE})
        code, out, err = run(doctor, "apply")
        assert (code, err) == (0, ""), out
        assert "  created alice #1\n" in out
        (row,) = doctor.server.store.sessions()
        assert (row.name, row.prompt, row.parameters["max_tokens"], row.data) == (
            "Alice",
            "Be kind.",
            99,
            {"k": 1},
        )
        assert asked(doctor, "create_session") == 1
        assert run(doctor, "plan", "--detailed-exitcode")[0] == 0


def test_the_state_between_the_two_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A session without its tag says whose it is to be; it counts as nobody's, and the next apply goes on with it."""
    with service(UNTAGGED, tmp_path, capsys) as doctor:
        doctor.server.faults.add(Fault("status", operation="update_session", status=400, message="不行"))
        put(doctor, {"alice": ALICE})
        code, out, _ = run(doctor, "apply")
        assert code == 1
        assert (
            "  FAILED create alice #1: it was created as #1, but not filled in: "
            "updating the session alice (#1): HTTP 400: 不行\n      apply again to resume\n"
        ) in out
        (row,) = doctor.server.store.sessions()
        assert (row.name, row.prompt, row.remark) == ("reconciler is making b/alice", HALF_MADE_PROMPT, "")
        code, out, _ = run(doctor, "plan", "--format", "json")
        summary = json.loads(out)["summary"]
        assert (summary["create"], summary["unmanaged"]) == (1, 0)
        code, out, _ = doctor("doctor", "--format", "json", "--contract", str(doctor.written))
        assert checks(out)["half-made"] == ("differs", "#1: an apply ended while it was creating them")
        doctor.server.faults.clear()
        assert run(doctor, "apply")[0] == 0
        assert [row.name for row in doctor.server.store.sessions()] == ["Alice"]
        assert asked(doctor, "create_session") == 1


def test_what_only_looks_half_made_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(UNTAGGED, tmp_path, capsys) as doctor:
        for fields in ({"prompt": "mine"}, {"prompt": HALF_MADE_PROMPT, "remark": "mine"}):
            doctor.server.store.insert_session(name="reconciler is making b/alice", **fields)  # type: ignore[arg-type]
        before = doctor.server.store.sessions()
        put(doctor, {"alice": ALICE})
        assert run(doctor, "apply")[0] == 0
        assert doctor.server.store.sessions()[:2] == before
        assert asked(doctor, "create_session") == 1


@pytest.mark.parametrize("stated", [UNTAGGED, BARE], ids=["no remark", "no max_tokens, no data"])
@pytest.mark.parametrize("cut_short", [False, True])
def test_a_restore_in_two_calls(
    stated: Contract, cut_short: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(stated, tmp_path, capsys) as doctor:
        bob = {"bob": {"name": "Bob", "prompt": "b"}}
        put(doctor, {"alice": ALICE, **bob})
        assert run(doctor, "apply")[0] == 0
        (before,) = (row for row in doctor.server.store.sessions() if row.name == "Alice")
        doctor.server.store.insert_message(before.session_id, content="hello")
        put(doctor, bob)
        assert run(doctor, "apply")[0] == 0
        archived = next(
            file.stem for file in (tmp_path / "state" / "archive").iterdir() if "-delete" in file.name
        )
        restore = ("archive", "restore", archived, "--auto-approve")
        if cut_short:
            doctor.server.faults.add(Fault("status", operation="update_session", status=400))
            assert run(doctor, *restore)[0] == 4
            doctor.server.faults.clear()
        code, _, err = run(doctor, *restore)
        assert (code, err) == (0, "")
        rows = doctor.server.store.sessions()
        assert len(rows) == 2
        (after,) = (row for row in rows if row.name == "Alice")
        kept = ("prompt", "parameters", "data")
        assert [getattr(after, one) for one in kept] == [getattr(before, one) for one in kept]
        # All but the tag's own session id, which would make it a copy of the one that is gone.
        assert after.remark == remark_of_another_session(before.remark, parse_remark(before.remark))
        assert [one.content for one in doctor.server.store.messages(after.session_id)] == ["hello"]


# A remark that is too short for digests, or for a tag


SHORT = contract(remark_limit=64, remark_over="cut")


def test_a_tag_without_digests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(SHORT, tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE, "bob": {"name": "Bob", "prompt": "b"}})
        _, out, _ = run(doctor, "plan", "--format", "json")
        (note,) = [one for one in json.loads(out)["notes"] if one["kind"] != "canary"]
        assert (note["kind"], note["message"]) == (
            "no-digests",
            "the service keeps 64 bytes of session_remark: 2 sessions will be tagged without digests, so that later "
            "plans can't tell who changed what; 1 of them without ids, too, so that plans can't tell a copy from its "
            "original, nor two catalogs of the same name",
        )
        assert run(doctor, "apply")[0] == 0
        remarks = {row.name: row.remark for row in doctor.server.store.sessions()}
        assert remarks["Alice"] == '{"reconciler":{"catalog":"b","key":"alice"}}'
        put(doctor, {"alice": {**ALICE, "prompt": "new"}, "bob": {"name": "Bob", "prompt": "b"}})
        _, out, _ = run(doctor, "plan", "--format", "json")
        (action,) = json.loads(out)["actions"]
        assert [one["cause"] for one in action["fields"]] == ["unknown"]
        # The remark is the same before and after: only the fields tell whether an update arrived.
        doctor.server.faults.add(Fault("cut", operation="update_session", when="first"))
        assert run(doctor, "apply")[0] == 0
        assert {row.prompt for row in doctor.server.store.sessions()} == {"new", "b"}
        assert asked(doctor, "update_session") == 2


def test_protection_needs_no_digests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bob = {"bob": {"name": "Bob", "prompt": "b"}}
    guarded = {"a": {"name": "A", "prompt": "a", "lifecycle": {"prevent_destroy": True}}}
    with service(contract(remark_limit=64), tmp_path, capsys) as doctor:
        put(doctor, {**guarded, **bob})
        assert run(doctor, "apply")[0] == 0
        assert run(doctor, "plan", "--detailed-exitcode")[0] == 0
        put(doctor, bob)
        code, out, _ = run(doctor, "apply")
        assert code == 3
        assert "[prevent_destroy] a (#" in out


def test_a_rewrite_that_no_tag_can_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stated, reason in (
        (SHORT, "the remark has no room for it"),
        (contract(without=("update_session",)), "there is no update call"),
    ):
        with service(stated, tmp_path, capsys, "trim-prompts") as doctor:
            put(doctor, {"alice": {"name": "Alice", "prompt": "  Be kind."}})
            code, out, _ = run(doctor, "apply")
            assert code == 4
            assert f"alice (#1): the tag does not record the form that the server stored: {reason}\n" in out


def test_a_tag_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for limit, kept, key, needed, allow in (
        (
            64,
            "keeps 64 bytes of session_remark",
            "a" * 63,
            102,
            "use shorter names for catalog, environment and keys",
        ),
        (
            20,
            "keeps 20 bytes of session_remark",
            "alice",
            44,
            "use shorter names for catalog, environment and keys",
        ),
        (
            0,
            "keeps no session_remark",
            "alice",
            44,
            "use a service that keeps one; on this one, sessions can only be read",
        ),
    ):
        with service(contract(remark_limit=limit), tmp_path, capsys) as doctor:
            put(doctor, {key: {"name": "A", "prompt": "a"}})
            for command in ("plan", "apply"):
                code, out, _ = run(doctor, command, "--format", "json")
                assert code == 3
                (refusal,) = json.loads(out)["refusals"]
                assert (refusal["guard"], refusal["message"]) == (
                    "remark_limit",
                    f"the service {kept}, and the tag that marks a session as managed takes up to {needed} here: "
                    f"{key} could not be recognised as managed",
                )
                assert refusal["allow"].startswith(allow)
            assert asked(doctor, "create_session") == 0


def test_keys_of_others_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(contract(remark_limit=255), tmp_path, capsys) as doctor:
        doctor.server.store.insert_session(name="A", prompt="a", remark=json.dumps({"note": "爱" * 70}))
        before = doctor.server.store.dump()
        put(doctor, {"a": {"name": "A", "prompt": "a", "adopt": 1}})
        code, out, _ = run(doctor, "apply")
        assert code == 3
        assert "[remark_limit]" in out
        assert doctor.server.store.dump() == before


# Calls that are not there


def test_no_update(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(contract(without=("update_session",)), tmp_path, capsys) as doctor:
        doctor.server.store.insert_session(name="live")
        put(doctor, {"alice": ALICE, "b": {"name": "B", "prompt": "b", "adopt": 1}})
        code, out, _ = run(doctor, "plan", "--format", "json")
        assert code == 3
        (refusal,) = json.loads(out)["refusals"]
        assert refusal == {
            "guard": "no_update",
            "message": "the service has no update call, and this would change b (#1)",
            "allow": "leave them as they are; or give them new keys, which creates new sessions without the messages",
        }


def test_no_update_to_fill_in_what_a_create_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = {"create_session": {"ignores": frozenset({"max_tokens", "data"})}}
    with service(contract(without=("update_session",), calls=calls), tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE, "b": {"name": "B", "prompt": "b"}})
        code, out, _ = run(doctor, "apply")
        assert code == 3
        assert (
            "[no_update] the service does not accept data and max_tokens when it creates a session, and has no update "
            in " ".join(out.split())
        )
        put(doctor, {"b": {"name": "B", "prompt": "b"}})
        assert run(doctor, "apply")[0] == 0


def test_an_update_that_does_not_take_a_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = {"update_session": {"ignores": frozenset({"data", "max_tokens"})}}
    with service(contract(calls=calls), tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE})
        assert run(doctor, "apply")[0] == 0
        before = doctor.server.store.sessions()
        put(doctor, {"alice": {**ALICE, "data": {"k": 2}}, "bob": {"name": "Bob", "prompt": "b"}})
        for command in ("plan", "apply"):
            code, out, _ = run(doctor, command, "--format", "json")
            assert code == 3
            assert json.loads(out)["refusals"] == [
                {
                    "guard": "no_update",
                    "message": "the service's update does not accept data, and this would change it in alice (#1)",
                    "allow": "leave these fields as they are live, or name them under lifecycle.ignore_changes; or "
                    "give the sessions new keys, which creates new ones without the messages",
                }
            ]
        assert doctor.server.store.sessions() == before
        # What else it takes is changed, what is left alone or let go is no change, and a new session has everything.
        ignoring = {**ALICE, "prompt": "new", "data": {"k": 2}, "lifecycle": {"ignore_changes": ["data"]}}
        released = {"name": "Alice", "prompt": "newer"}
        for alice in (ignoring, released):
            put(doctor, {"alice": alice, "bob": {"name": "Bob", "prompt": "b", "data": {"b": 1}}})
            code, out, err = run(doctor, "apply")
            assert (code, err) == (0, ""), out
            rows = {row.name: row for row in doctor.server.store.sessions()}
            assert (rows["Alice"].prompt, rows["Alice"].data) == (alice["prompt"], {"k": 1})
            assert rows["Bob"].data == {"b": 1}
            assert run(doctor, "plan", "--detailed-exitcode")[0] == 0


def test_a_field_that_neither_call_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ignores = {"ignores": frozenset({"data"})}
    stated = contract(calls={"create_session": ignores, "update_session": ignores})
    with service(stated, tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE})
        code, out, _ = run(doctor, "apply", "--format", "json")
        assert code == 3
        (refusal,) = json.loads(out)["refusals"]
        assert refusal["message"] == (
            "the service takes data neither when it creates a session nor in an update: "
            "alice could not be created as declared"
        )
        put(doctor, {"alice": {"name": "Alice", "prompt": "a"}})
        assert run(doctor, "apply")[0] == 0


def test_an_update_that_does_not_take_the_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = {"update_session": {"ignores": frozenset({"remark"})}}
    with service(contract(calls=calls), tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE})
        assert run(doctor, "apply")[0] == 0
        put(doctor, {"alice": {**ALICE, "prompt": "new"}})
        code, out, _ = run(doctor, "apply")
        assert code == 3
        assert "[no_update] the service's update does not accept remark" in " ".join(out.split())


def test_an_update_sends_no_field_that_it_ignores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = {"update_session": {"ignores": frozenset({"data"}), "left_out": "reset"}}
    with service(contract(calls=calls), tmp_path, capsys) as doctor:
        put(doctor, {"alice": {"name": "Alice", "prompt": "a"}})
        assert run(doctor, "apply")[0] == 0
        put(doctor, {"alice": {"name": "Alice", "prompt": "b"}})
        run(doctor, "apply")
        (sent,) = [entry.body for entry in doctor.server.log if entry.operation == "update_session"]
        assert sent is not None
        assert ("data" in sent, sent["prompt"]) == (False, "b")


def test_no_delete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(contract(without=("delete_session",)), tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE, "b": {"name": "B", "prompt": "b"}})
        assert run(doctor, "apply")[0] == 0
        put(doctor, {"b": {"name": "B", "prompt": "b"}})
        code, out, _ = run(doctor, "apply")
        assert code == 3
        assert "[no_delete] the service has no delete call, and this would delete alice (#" in out


def test_a_plan_made_by_another_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stated = contract(without=("update_session",))
    with service(stated, tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE})
        assert run(doctor, "apply")[0] == 0
        before = doctor.server.store.dump()
        put(doctor, {"alice": {**ALICE, "prompt": "new"}, "b": {"name": "B", "prompt": "b"}})
        saved = str(tmp_path / "plan.json")
        assert doctor("plan", "--out", saved, catalog=tmp_path / "catalog")[0] == 0
        code, _, err = doctor("apply", "--contract", str(doctor.written), catalog=Path(saved))
        assert code == 3
        assert err == (
            "the service has no update call, and this would change alice (#1)\n"
            "      hint: what would help: leave them as they are; or give them new keys, which creates new sessions "
            "without the messages\n"
        )
        assert doctor.server.store.dump() == before


def test_a_plan_against_a_snapshot_knows_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(contract(remark_limit=0), tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE})
        file = str(tmp_path / "live.json")
        assert doctor("snapshot", catalog=Path(file))[0] == 0
        code, out, _ = run(doctor, "plan", "--against", file)
        assert code == 3
        assert "[remark_limit]" in out


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (contract(without=("update_session",)), "has no call for update_session"),
        (contract(without=("delete_session",)), "has no call for delete_session"),
        (UNTAGGED, "does not store session_remark on create"),
        (contract(remark_limit=64), "keeps 64 bytes of session_remark, and a lock needs 1"),
    ],
)
def test_a_lock_that_can_not_be_had(
    stated: Contract, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(stated, tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE})
        code, _, err = run(doctor, "apply", "--lock")
        assert code == 3
        assert err.startswith(f"the lock can't be created: the service {reason}")
        assert "      hint: apply with --no-lock, and prevent concurrent applies in another way" in err
        assert doctor.server.store.sessions() == []
        assert run(doctor, "apply", "--no-lock")[0] == 0


def test_a_delete_with_an_empty_response(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stated = contract(calls={"delete_session": {"answer": "empty"}})
    with service(stated, tmp_path, capsys) as doctor:
        put(doctor, {"alice": ALICE, "b": {"name": "B", "prompt": "b"}})
        assert run(doctor, "apply")[0] == 0
        doctor.server.faults.add(Fault("empty", operation="delete_session", worked=True))  # 200, not 204
        put(doctor, {"b": {"name": "B", "prompt": "b"}})
        assert run(doctor, "apply")[0] == 0
        assert asked(doctor, "delete_session") == 1


def test_probes_are_no_sessions_to_plan_or_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reconciler.ownership.reserved import probe_name, probe_prompt, probe_remark

    probe = "1f2e3d4c5b6a"
    with service(contract(), tmp_path, capsys) as doctor:
        for remark in (probe_remark(probe), probe_remark(probe, 30), ""):
            doctor.server.store.insert_session(
                name=probe_name(probe), prompt=probe_prompt(probe), remark=remark
            )
        put(doctor, {"a": {"name": probe_name(probe), "prompt": "a"}})
        _, out, _ = run(doctor, "plan", "--format", "json")
        document = json.loads(out)
        assert (document["summary"]["unmanaged"], document["summary"]["unreadable"]) == (0, 0)
        assert [one["kind"] for one in document["notes"]] == ["canary"]
        assert [one["action"] for one in document["actions"]] == ["create"]
        doctor("adopt", "--match", "name", "--auto-approve", catalog=tmp_path / "catalog")
        assert asked(doctor, "update_session") == 0
        doctor.server.store.insert_session(name="mine", prompt="m")
        code, _, _ = doctor("export", "--force", catalog=tmp_path / "exported")
        text = "".join(file.read_text() for file in (tmp_path / "exported").rglob("*.yaml"))
        assert (code, text.count("adopt: ")) == (0, 1)


def test_prompts_that_are_trimmed_are_wanted_trimmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the tag has no room to remember what the server made of them: one apply is enough."""
    stated = contract(prompt_ends="both", remark_limit=64, remark_over="cut")
    with service(stated, tmp_path, capsys) as doctor:
        put(doctor, {"alice": {**ALICE, "prompt": "\n  Be kind.\n  Be brief.\n"}})
        code, out, err = run(doctor, "apply")
        assert (code, "stored differently" in out, "NOT AS WRITTEN" in out) == (0, False, False), out + err
        assert [row.prompt for row in doctor.server.store.sessions()] == ["Be kind.\n  Be brief."]
        code, out, _ = run(doctor, "plan", "--detailed-exitcode")
        assert (code, "No changes." in out) == (0, True), out
