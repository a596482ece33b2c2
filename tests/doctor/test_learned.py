"""The file that a doctor writes: it reads back as what was learned, is stable, and the server can play it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.contract import (
    Contract,
    Learned,
    MessageShape,
    Operation,
    Service,
    SessionShape,
    Status,
    load_contract,
)
from reconciler.doctor.learned import contract_to_document, contract_to_yaml, learned_contract
from reconciler.errors import ReconcilerError
from reconciler.schemas import check_document, load_schema
from reconciler.server import Fault, running_server
from reconciler.server.quirks import learned_quirks, parse_quirks
from tests.doctor.services import SERVICES
from tests.doctor.services import Service as Played
from tests.doctor.support import Doctor, fill, playing

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
NAMES = st.sampled_from(
    ["session_id", "name", "prompt", "remark", "data", "no", "on", "null", "1", "a b", "é: #"]
)
PATHS = st.from_regex(r"/[a-z0-9._%~-]{1,10}(/[a-z0-9._-]{0,8}){0,3}", fullmatch=True)

STEPS = st.lists(st.text("abc_-é:", min_size=1, max_size=5), min_size=1, max_size=3).map(tuple)
OPTIONAL = (
    "update_session",
    "delete_session",
    "get_session",
    "list_messages",
    "create_message",
    "list_models",
)


def _operation(name: str) -> st.SearchStrategy[Operation]:
    return st.builds(
        Operation,
        name=st.just(name),
        method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        path=PATHS,
        encoding=st.sampled_from(["none", "json", "form", "multipart", "query"]),
        known=st.sampled_from(["documented", "seen", "assumed", "learned"]),
        fields=st.dictionaries(NAMES, WORDS, max_size=4).map(lambda found: {"session_id": "id", **found}),
        page_size=st.integers(1, 10_000) if name in ("list_sessions", "list_messages") else st.just(100),
        left_out=st.sampled_from(["kept", "reset", "refused"])
        if name == "update_session"
        else st.just("kept"),
        ignores=st.frozensets(WORDS, max_size=3),
        answer=st.sampled_from(["document", "empty"]),
        answer_in=st.just(()) | STEPS,
        pages=st.sampled_from(["page", "before", "none"]) if name == "list_messages" else st.just("page"),
        counts=st.sampled_from([None, "all", "page", "none"]),
        longest_query=st.none() | st.integers(200, 65_536),
    )


SHAPES = st.builds(
    SessionShape,
    session_id=STEPS,
    session_token=STEPS,
    name=STEPS,
    config=STEPS,
    model=STEPS,
    prompt=STEPS,
    data=STEPS,
    remark=STEPS,
    parameters=st.dictionaries(NAMES, STEPS, max_size=3),
)
MESSAGE = st.builds(
    MessageShape,
    id=STEPS,
    session_id=STEPS,
    session_token=STEPS,
    category=STEPS,
    content=STEPS,
    meta=STEPS,
)
SERVICE = st.builds(
    Service,
    remark_limit=st.none(),
    late_seconds=st.none() | st.integers(0, 1000).map(lambda tenths: tenths / 10),
    numbers=st.sampled_from([None, "number", "text"]),
    not_found=st.none() | st.builds(Status, st.integers(100, 599), st.integers(0, 599)),
)
CONTRACTS = st.builds(
    Contract,
    name=WORDS,
    operations=st.fixed_dictionaries(
        {name: _operation(name) for name in ("list_sessions", "create_session")},
        optional={name: _operation(name) for name in OPTIONAL},
    ),
    session=SHAPES,
    message=MESSAGE,
    service=SERVICE,
    learned=st.none() | st.builds(Learned, at=WORDS, endpoint=WORDS, by=WORDS),
)


@given(contract=CONTRACTS)
def test_any_contract_is_read_back_as_it_was(contract: Contract, tmp_path_factory: Any) -> None:
    text = contract_to_yaml(contract)
    assert check_document(yaml.safe_load(text), "contract") == []
    file = tmp_path_factory.mktemp("contract") / "contract.yaml"
    file.write_text(text, encoding="utf-8")
    assert load_contract(file) == contract
    assert yaml.safe_load(text) == contract_to_document(contract)
    assert all(ord(char) < 127 or char == "\n" for char in text)


def test_every_fact_of_behaviour_is_described() -> None:
    """The comments of the file, and the rows of the documentation, are there for all of them."""
    described = load_schema("contract")["properties"]["service"]["properties"]
    assert set(described) == {field.name for field in dataclasses.fields(Service)}
    page = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
    facts = {*described, *load_schema("contract")["$defs"]["operation"]["properties"]}
    assert [name for name in facts if f"`{name}`" not in page] == []


def test_the_built_in_contract_is_written_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "contract.yaml"
    file.write_text(contract_to_yaml(load_contract()), encoding="utf-8")
    assert load_contract(file) == load_contract()


def test_a_learned_one_says_when_and_where() -> None:
    contract = learned_contract(load_contract(), at="2024-05-13T10:15:30Z", endpoint="https://a.example.com")
    assert contract_to_yaml(contract).splitlines()[3:9] == [
        "contract: 2",
        "name: mindcraft",
        "",
        "learned:",
        '  at: "2024-05-13T10:15:30Z"',
        '  endpoint: "https://a.example.com"',
    ]


@pytest.mark.parametrize(
    "name",
    ["as the built-in contract says", "much at once", "no update", "a remark of 64 bytes, cut off"],
)
def test_what_was_learned_can_be_played_and_learned_again(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = next(one for one in SERVICES if one.name == name)
    with playing(service, tmp_path, capsys) as doctor:
        assert doctor.probe()[0] == 0
        first = doctor.learned()
    with running_server(
        None, contract=first, quirks=parse_quirks(["strict-encoding"], learned_quirks(first))
    ) as server:
        fill(server.store)
        again = Doctor(server, tmp_path, capsys)
        assert again.probe()[0] == 0
        second = again.learned()
        # And once more, with what was learned in hand: the calls that work are the first that are tried.
        again.server.log.clear()
        assert again.probe("--contract", str(again.written))[0] == 0
        third = again.learned()
        if "no update" not in name:
            writes = [entry for entry in server.log if entry.method != "GET"]
            assert not [entry for entry in writes if entry.operation == "" or entry.status == 405]
    for other in (second, third):
        assert _without_times(other) == _without_times(first)


@pytest.mark.parametrize(
    "facts",
    [
        {"name_filter": "none"},
        {"name_filter": "partial"},
        {"prompt_ends": "end"},
        {"prompt_ends": "both"},
        {"not_found": Status(200, 404)},
        {"not_found": Status(410)},
        {"not_found": Status(204)},
        {"bad_request": Status(422)},
        {"bad_request": Status(200, 422)},
        {"bad_request": Status(418, 7), "not_found": Status(400, 400), "name_filter": "none"},
    ],
    ids=str,
)
def test_what_the_file_says_is_played(
    facts: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A doctor with a contract in hand finds the server that plays it as it says; one without finds out."""
    builtin = load_contract()
    contract = dataclasses.replace(builtin, service=dataclasses.replace(builtin.service, **facts))
    with running_server(None, contract=contract) as server:
        fill(server.store)
        doctor = Doctor(server, tmp_path, capsys)
        assert doctor.probe()[0] == 0
        learned = doctor.learned().service
        assert {name: getattr(learned, name) for name in facts} == facts
        doctor.written.write_text(contract_to_yaml(contract))
        code, out, _ = doctor("doctor", "--probe", "--auto-approve", "--contract", str(doctor.written))
        differs = [line for line in out.splitlines() if line.startswith("  differs")]
        assert (code, differs) == (0, [])


def test_facts_of_another_service_do_not_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a probe tries again, or can't try here, is not taken over from the contract that it is given."""
    short = Played("short", quirks=("remark-limit=64", "trim-prompts", "max-page-size=2"))
    with playing(short, tmp_path, capsys) as doctor:
        assert doctor.probe()[0] == 0
        first = doctor.learned().service
        assert (first.remark_limit, first.prompt_ends, first.largest_page) == (64, "both", 2)
    with playing(Played("bare", quirks=("no-update",)), tmp_path, capsys) as doctor:
        assert doctor.probe("--contract", str(doctor.written))[0] == 0
        learned = doctor.learned()
        second = learned.service
        assert (second.remark_limit, second.remark_over, second.largest_page) == (None, None, None)
        assert (second.prompt_ends, second.prompt_length, second.bad_request) == (
            None,
            None,
            Status(400, 400),
        )
        assert learned.operation("list_sessions").page_size == 100
        # Looking alone takes back nothing that it does not look at.
        assert doctor("doctor", "--contract", str(doctor.written), "--write", str(doctor.written))[0] == 0
        assert doctor.learned().service == second


def _without_times(contract: Contract) -> Contract:
    """A contract without what a clock has to do with."""
    service = dataclasses.replace(contract.service, late_seconds=None)
    return dataclasses.replace(contract, service=service, learned=None)


def test_a_second_file_differs_in_the_date_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(Played("plain"), tmp_path, capsys) as doctor:
        texts = []
        for _ in range(2):
            assert doctor.probe()[0] == 0
            texts.append(doctor.written.read_text().splitlines())
        differing = [left for left, right in zip(*texts, strict=True) if left != right]
        assert all(line.startswith("  at: ") for line in differing)


def test_the_file_is_for_everybody_to_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(Played("plain"), tmp_path, capsys) as doctor:
        doctor("doctor", "--write", str(doctor.written))
        assert doctor.written.stat().st_mode & 0o777 == 0o644


def test_an_unwritable_file_is_noticed_before_any_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing(Played("plain"), tmp_path, capsys) as doctor:
        for folder, why in (("no", "No such file or directory"), ("contract.yaml", "Not a directory")):
            (tmp_path / "contract.yaml").touch()
            path, record = tmp_path / folder / "contract.yaml", tmp_path / "record"
            code, out, err = doctor(
                "doctor", "--probe", "--auto-approve", "--write", str(path), "--record", str(record)
            )
            assert (code, out) == (1, "")
            assert err == f"the contract can't be written to {path}: {why}\n"
            assert not record.exists()
        assert doctor.server.log == []
        code, _, _ = doctor("doctor", "--write", str(doctor.written))
        assert [file.name for file in tmp_path.iterdir()] == ["contract.yaml"]


def test_a_disk_that_fills_up_meanwhile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str, *, mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reconciler.cli.commands.doctor.write_out", full)
    with playing(Played("plain"), tmp_path, capsys) as doctor:
        code, out, err = doctor.probe("--format", "json")
        assert (code, json.loads(out)["written"]) == (1, "")
        assert json.loads(out)["learned"]["operations"]["update_session"]["known"] == "learned"
        why = "No space left on device; --format json also shows what was learned"
        assert err == f"{doctor.written} was not written: {why}\n"


def test_a_probe_that_ends_early_keeps_what_it_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing(Played("plain"), tmp_path, capsys) as doctor:
        doctor.server.faults.add(Fault("status", operation="create_session", status=400))
        code, out, err = doctor.probe()
        assert "the probe ended early" in out
        assert (code, err) == (1, "")
        learned = doctor.learned()
        assert learned.service.ordering == "honoured"
        assert learned.learned is not None
        assert {"create_session", "update_session", "delete_session"} <= {*learned.learned.partial}
        assert "  delete_session:  # not learned\n" in doctor.written.read_text()
        assert "Not learned: create_session, " in out
        _, out, _ = doctor("doctor", "--contract", str(doctor.written))
        assert "in part\n           → not learned: create_session, " in out
        doctor.server.faults.clear()
        assert doctor.probe()[0] == 0
        assert "partial" not in doctor.written.read_text()
        whole = doctor.written.read_text()
        doctor.server.faults.add(Fault("status", operation="update_session", status=401))
        code, _, err = doctor.probe()
        why = "it was learned as a whole, and this run learned only a part"
        assert (code, err) == (1, f"{doctor.written} was not written: {why}\n")
        assert doctor.written.read_text() == whole
        doctor.server.faults.add(Fault("status", operation="list_sessions", status=400))
        code, _, err = doctor("doctor", "--write", str(doctor.written))
        why = "the list of sessions can't be read"
        assert (code, err) == (1, f"{doctor.written} was not written: {why}\n")


def test_what_was_learned_by_looking_alone_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = "update_session and delete_session"
    with playing(Played("plain"), tmp_path, capsys) as doctor:
        _, out, _ = doctor("doctor", "--write", str(doctor.written))
        assert out.endswith(
            f"What was learned without a probe, {tried} not tried, is in {doctor.written}: "
            "commands read it with --contract.\n"
        )
        assert f"  # without a probe: {tried} were not tried\n" in doctor.written.read_text()
        with_it = ("--contract", str(doctor.written))
        _, out, _ = doctor("doctor", *with_it)
        line, writes = out.splitlines()[1:3]
        assert line.startswith("  ok       contract: mindcraft, learned from this address at 2")
        assert line.endswith("Z, without a probe")
        assert writes.startswith(f"  unknown  writes: {tried} are only assumed")
        _, out, _ = doctor.probe(*with_it)
        assert out.endswith(f"What was learned is in {doctor.written}: commands read it with --contract.\n")
        assert "without a probe" not in doctor.written.read_text()
        assert "without a probe" not in doctor("doctor", *with_it)[1]


def test_an_update_must_name_its_session(tmp_path: Path) -> None:
    text = contract_to_yaml(load_contract())
    file = tmp_path / "contract.yaml"
    file.write_text(text.replace("/{session_id}/del/", "/del/"))
    with pytest.raises(ReconcilerError) as caught:
        load_contract(file)
    (problem,) = caught.value.problems
    assert problem.message == "`operations.delete_session` does not say which session is meant"
    assert (problem.file, problem.source) == (str(file), "  delete_session:")
    assert problem.hint == (
        "put {session_id} or {session_token} into its path, or session_id or session_token among its fields"
    )


def test_what_was_learned_goes_into_a_device_and_not_in_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with playing(Played("plain"), tmp_path, capsys) as doctor, os.fdopen(reader, encoding="utf-8") as read:
        assert doctor("doctor", "--write", str(pipe))[0] == 0
        assert read.read().count("contract: 2") == 1
    assert pipe.is_fifo()
