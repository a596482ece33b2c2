"""The doctor without a probe: what it reports, and that it sends nothing but GET."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.contract import load_contract
from reconciler.doctor import survey
from reconciler.doctor.learned import contract_to_yaml
from reconciler.ownership.remark import compose_lock, compose_remark
from reconciler.ownership.reserved import HALF_MADE_PROMPT, half_made_name
from reconciler.ownership.tag import Identity, make_tag
from reconciler.server import Fault, Quirks, Store, running_server
from tests.doctor.services import SERVICES
from tests.doctor.support import Doctor, checks, fill, methods, playing, write_catalog
from tests.suggestions import without_run
from tests.support import API_KEY, Answer, answering, listing, row

PLAIN = SERVICES[0]

MISFIT = "listing sessions: the answer does not fit the contract"


def look(doctor: Doctor, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    code, out, _ = doctor("doctor", "--format", "json", *arguments)
    return code, checks(out)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_survey_sends_only_get(service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(service, tmp_path, capsys) as doctor:
        before = doctor.server.store.dump()
        given = doctor.given(service)
        doctor("doctor", "--write", str(doctor.written), "--record", str(tmp_path / "record"), *given)
        assert set(methods(doctor.server)) == {"GET"}
        assert doctor.server.store.dump() == before
        # Nobody is there to be asked, so a probe is refused before it begins.
        code, _, err = doctor("doctor", "--probe", *given)
        assert (code, set(methods(doctor.server))) == (3, {"GET"})
        assert "this needs approval, and there is no terminal to ask on: nothing was written" in err


def test_the_whole_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        code, out, err = doctor("doctor")
        assert (code, err) == (0, "")
        assert (
            without_run(out)
            == f"""\
Connection
  ok       contract: mindcraft, not learned from a service
  unknown  writes: update_session and delete_session are only assumed: no GET can tell whether they work
           → `reconciler doctor --probe --write=contract.yaml` finds out, on a session of its own
  ok       address: {doctor.server.url} answers
  ok       TLS: not used, and not needed on this machine
  ok       clock: the same as ours
  ok       key: none was given, and none is required

The list of sessions
  ok       one page: 7 of 7 sessions
  ok       fields: all 11 are present and of the right type, in 7 rows
  ok       further fields: session_config.top_p
           → they are left unchanged
  unknown  page size: 100 were requested, and all 7 fit on one page
  ok       name filter: matches only whole names
  ok       ordering: by session_id, ascending and descending
  ok       a page past the end: HTTP 404, status 404 in the body: 页码超出范围
  ok       an invalid ordering: HTTP 400, status 400 in the body: 不支持的排序字段：no_such_field

What is on the account
  ok       messages: can be listed by session_token
  ok       models: 2 are listed
  ok       sessions: 7 in all: 3 managed (2 by shop, 1 by x@y), 4 unmanaged
  ok       tags: all can be read
  ok       duplicates: no identity is live twice
  ok       new sessions: too few to tell how many there are a minute

18 ok, 0 differ, 2 unknown.
"""
        )


def _stamp(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat(timespec="seconds")


def _lock(store: Store, **delta: float) -> None:
    lock = {"catalog": "shop", "environment": "eu", "holder": "ann", "expires": _stamp(**delta)}
    store.insert_session(name="lock", remark=compose_lock(lock))


@pytest.mark.parametrize(
    ("put", "name", "verdict", "seen"),
    [
        (
            lambda store: store.insert_session(
                remark='{"reconciler":{"catalog":"shop","key":"one","base":"1n'
            ),
            "tags",
            "differs",
            "can't be read: #8",
        ),
        (
            lambda store: store.insert_session(
                remark=compose_remark(None, {}, make_tag(Identity("shop", None, "one"), {}))
            ),
            "duplicates",
            "differs",
            "#1, #8 are all shop/one",
        ),
        (lambda store: _lock(store, minutes=1), "lock", "ok", "#8 locks shop@eu for ann, and is valid until"),
        (
            lambda store: _lock(store, minutes=-1),
            "lock",
            "differs",
            "#8 locks shop@eu for ann, and expired at",
        ),
        (
            lambda store: store.insert_session(
                name=half_made_name(Identity("shop", None, "k")), prompt=HALF_MADE_PROMPT
            ),
            "half-made",
            "differs",
            "#8: an apply ended while it was creating them",
        ),
        (lambda store: store.insert_session(model="gpt-x"), "models", "ok", "3 are listed"),
    ],
    ids=["cut tag", "duplicate", "lock", "dead lock", "half-made", "model"],
)
def test_what_is_on_the_account(
    put: Callable[[Store], Any],
    name: str,
    verdict: str,
    seen: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        put(doctor.server.store)
        code, found = look(doctor)
        assert found[name][0] == verdict
        assert found[name][1].startswith(seen)
        assert code == (1 if verdict == "differs" else 0)
        assert found["sessions"][1].startswith("8 in all")


@pytest.mark.parametrize(
    ("quirks", "name", "verdict", "seen"),
    [
        (Quirks(max_page_size=3), "page size", "differs", "3 rows were returned, 100 were requested"),
        (Quirks(name_filter="partial"), "name filter", "ok", "also matches part of a name"),
        (
            Quirks(ordering_ignored=True),
            "ordering",
            "differs",
            "the list is not in the requested order",
        ),
        (
            Quirks(ordering_ignored=True),
            "sessions",
            "differs",
            "the list of sessions can't be relied on: #7 came after #6, where ordering=-session_id was asked for",
        ),
        (Quirks(numbers_as_text=True), "field session_config.max_tokens", "ok", "a string in 7 of 7 rows"),
        (Quirks(messages_by_token=True), "messages", "ok", "can be listed by session_token"),
    ],
)
def test_services_that_differ(
    quirks: Quirks, name: str, verdict: str, seen: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_server(None, quirks=quirks) as server:
        fill(server.store)
        code, found = look(Doctor(server, tmp_path, capsys))
        assert found[name] == (verdict, seen)
        assert code == (1 if verdict == "differs" else 0)


def test_an_unordered_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan does what the line says."""
    with running_server(None, quirks=Quirks(ordering_ignored=True)) as server:
        fill(server.store)
        doctor = Doctor(server, tmp_path, capsys)
        _, out, _ = doctor("doctor")
        follows = "a plan ends with an error (exit 1)\n"
        assert f"→ a list that is out of order can't be known to be complete: {follows}" in out
        code, _, err = doctor("plan", catalog=write_catalog(tmp_path / "catalog", {}))
        assert code == 1
        assert "the list of sessions can't be relied on: " in err


def test_large_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for most, seen in (
        (None, "530 rows were returned, as many as requested"),
        (150, "at most 150 rows are returned; the contract requests 100"),
        (100, "at most 100 rows are returned; the contract requests 100"),
    ):
        with running_server(None, quirks=Quirks(max_page_size=most)) as server:
            for number in range(530):
                server.store.insert_session(name=f"s{number}")
            assert look(Doctor(server, tmp_path, capsys))[1]["page size"] == ("ok", seen)


def _document(capture: pytest.CaptureFixture[str], folder: Path, url: str, *arguments: str) -> dict[str, Any]:
    from reconciler.cli import run

    capture.readouterr()
    run(["doctor", str(folder), "--endpoint", url, "--retries", "0", "--format", "json", *arguments])
    document: dict[str, Any] = json.loads(capture.readouterr().out)
    return document


def _differing(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (one["name"], one["seen"], one["follows"])
        for one in document["checks"]
        if one["verdict"] == "differs"
    ]


def _rows(**changes: Any) -> Any:
    first = row(1, temperature=0.2, max_tokens=1, history_length=1)
    first["session_token"] = "t"
    for path, value in changes.items():
        target = first
        *outer, last = path.split("__")
        for step in outer:
            target = target[step]
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return listing(first)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            Answer({"message": "bad key", "status": 401}, 401),
            [
                (
                    "key",
                    "HTTP 401, status 401 in the body: bad key",
                    "the key came from MINDCRAFT_API_KEY; does",
                )
            ],
        ),
        (
            Answer({"message": "", "status": 403}, 200),
            [("key", "HTTP 200, status 403 in the body", "the key came from")],
        ),
        (
            Answer(b"<html>", 404),
            [("list", "HTTP 404, no JSON in the body", "if the address and the key are right, the")],
        ),
        (
            Answer(b"<html>", 200, headers={"Content-Type": "text/html"}),
            [("list", "HTTP 200, no JSON in the body", "nothing works without the list")],
        ),
        (
            # A charset that might be guessed: the client does not, so the doctor must not either.
            Answer(json.dumps({"status": 200, "x": "患者"}, ensure_ascii=False).encode("gbk"), 200),
            [("list", "HTTP 200, no JSON in the body", "nothing works without the list")],
        ),
        (
            Answer([1]),
            [("list", "HTTP 200, no JSON object in the body", "nothing works without the list")],
        ),
        (
            Answer({"ok": 1}),
            [("one page", "the answer has no valid count, max_pages, results; its members: ok", "is this")],
        ),
        (
            Answer(listing(1, 2)),
            [("one page", "2 of 2 rows are not objects", "this list can't be read")],
        ),
        (
            Answer(_rows(session_config__prompt=...)),
            [("field session_config.prompt", "missing in 1 of 1 row", "it is read as empty")],
        ),
        (
            Answer(_rows(session_config__max_tokens=...)),
            [
                (
                    "field session_config.max_tokens",
                    "missing",
                    "what a catalog says about it would not be kept",
                )
            ],
        ),
        (
            Answer(_rows(session_name=7)),
            [
                ("field session_name", "integer, not string, in 1 of 1 row", "this list can't be read"),
                ("sessions", f"{MISFIT}: #1 has no text at session_name", ""),
            ],
        ),
        (
            Answer(_rows(session_remark=[1])),
            [
                ("field session_remark", "array, not string, in 1 of 1 row", "this list can't be read"),
                ("sessions", f"{MISFIT}: #1 has no text at session_remark", ""),
            ],
        ),
    ],
    ids=[
        "401",
        "403 in the body",
        "404",
        "HTML",
        "no UTF-8",
        "a list alone",
        "another document",
        "no objects",
        "no prompt",
        "no number",
        "name",
        "remark",
    ],
)
def test_answers_that_do_not_fit(
    answer: Answer,
    expected: list[tuple[str, str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MINDCRAFT_API_KEY", API_KEY)
    with answering(answer) as stub:
        document = _document(capsys, tmp_path, stub.url)
        assert API_KEY not in json.dumps(document)
        found = _differing(document)
        # The stub gives one answer to all questions: what it says to others than the list is not looked at.
        found = [
            one for one in found if one[0] not in ("messages", "models", "a page past the end", "name filter")
        ]
        assert [one[:2] for one in found] == [one[:2] for one in expected]
        for (_, _, follows), (_, _, begin) in zip(found, expected, strict=True):
            assert follows.startswith(begin)


def test_a_field_in_another_form_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _rows(session_token=..., session_config__data='{"a": 1}', session_remark={"a": 1}, new={"x": 1})
    with answering(Answer(rows)) as stub:
        document = _document(capsys, tmp_path, stub.url)
        seen = {one["name"]: (one["verdict"], one["seen"], one["follows"]) for one in document["checks"]}
        assert seen["field session_token"] == ("ok", "missing", "sessions are addressed by their id")
        assert seen["field session_config.data"] == ("ok", "a string in 1 of 1 row", "it is read as JSON")
        assert seen["field session_remark"] == (
            "ok",
            "an object in 1 of 1 row",
            "its JSON text is read as the remark",
        )
        assert seen["further fields"] == ("ok", "new", "they are left unchanged")


def test_no_key_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_server(None, require_key=API_KEY) as server:
        ((name, seen, follows),) = _differing(_document(capsys, tmp_path, server.url))
    assert (name, seen) == ("key", "HTTP 401, status 401 in the body: 未提供 API Key")
    assert follows == "none was given: set MINDCRAFT_API_KEY, or name a file with --api-key-file"


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_server(None) as server, server.refuse():
        document = _document(capsys, tmp_path, server.url)
    ((name, seen, follows),) = _differing(document)
    assert (name, seen) == ("address", f"{server.url}: listing sessions: no connection to {server.url}")
    assert follows == "check the address and the network, then run the command again"
    assert document["learned"] is None


def test_a_clock_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for wrong, seen in ((-7.0, "ok"), (3600.0, "differs"), (-3600.0, "differs")):
        monkeypatch.setattr(survey, "time", SimpleNamespace(time=lambda wrong=wrong: now + wrong))
        with playing(PLAIN, tmp_path, capsys) as doctor:
            code, found = look(doctor)
            assert found["clock"][0] == seen
            assert found["clock"][1].endswith(" s from ours")
            assert code == (seen == "differs")


def test_a_clock_that_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(Answer(listing(), headers={"Date": "yesterday"})) as stub:
        checks = _document(capsys, tmp_path, stub.url)["checks"]
        (clock,) = (one for one in checks if one["name"] == "clock")
        assert (clock["verdict"], clock["seen"]) == ("unknown", "the server does not send its time")


def test_trouble_that_passes_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        doctor.server.faults.add(Fault("status", when="first 2", status=503))
        assert look(doctor)[0] == 0


def test_a_contract_that_lists_by_post(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        doctor("doctor", "--write", str(doctor.written))
        sent = len(doctor.server.log)
        text = doctor.written.read_text().replace("method: GET", "method: POST", 1)
        doctor.written.write_text(text)
        code, _, err = doctor("doctor", "--contract", str(doctor.written))
        assert code == 3
        assert "the contract lists sessions by POST, but without --probe the doctor sends only GET" in err
        assert len(doctor.server.log) == sent


def test_a_contract_that_was_learned_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(PLAIN, tmp_path, capsys) as doctor:
        doctor("doctor", "--write", str(doctor.written))
        text = doctor.written.read_text()
        doctor.written.write_text(text.replace(doctor.server.url, "https://other.example.com"))
        code, found = look(doctor, "--contract", str(doctor.written))
        assert code == 1
        verdict, seen = found["contract"]
        assert verdict == "differs"
        assert seen.startswith("mindcraft, learned from https://other.example.com at 2")


def test_hostile_texts_have_no_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\u202e\n::error::x\r##[group]"
    tag = compose_remark(None, {}, make_tag(Identity(evil, evil, evil), {}))
    with playing(PLAIN, tmp_path, capsys) as doctor:
        for _ in range(2):
            doctor.server.store.insert_session(name=evil, model=evil, remark=tag, extra={evil: 1})
        lock = {"catalog": evil, "environment": evil, "holder": evil, "expires": evil}
        doctor.server.store.insert_session(name=evil, remark=compose_lock(lock))
        _, out, _ = doctor("doctor")
        assert not set(out) & set("\x1b\u202e\r")
        assert not [line for line in out.splitlines() if line.lstrip().startswith("::") or "##[" in line]
        _, out, _ = doctor("doctor", "--format", "json")
        assert not set(out) & set("\x1b\u202e\r")
        assert "##[" not in out


def test_an_ordering_that_is_known_to_be_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(replace(SERVICES[0], quirks=("ordering-ignored",)), tmp_path, capsys) as doctor:
        built_in = load_contract()
        for ordering, verdict in ((None, "differs"), ("honoured", "differs"), ("ignored", "ok")):
            stated = replace(built_in, service=replace(built_in.service, ordering=ordering))  # type: ignore[arg-type]
            doctor.written.write_text(contract_to_yaml(stated), encoding="utf-8")
            _, out, _ = doctor("doctor", "--contract", str(doctor.written), "--format", "json")
            assert checks(out)["ordering"][0] == verdict
