"""No call that a probe may send can reach another session than its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.contract import Operation, load_contract
from reconciler.doctor import candidates as module
from reconciler.doctor.candidates import candidates, safe
from reconciler.doctor.context import Look
from reconciler.doctor.learned import Lessons
from reconciler.doctor.session import Subject
from reconciler.server import RunningServer, running_server
from tests.support import calling

CONTRACT = load_contract()
NAMES = ("create_session", "update_session", "delete_session")
ID = "1f2e3d4c5b6a"


def _calls(name: str, **facts: Any) -> list[str]:
    found = candidates(CONTRACT, name, **facts)
    return [f"{one.method} {one.path.removeprefix('/v1/session/')} {one.encoding}" for one in found]


def test_the_order() -> None:
    assert _calls("create_session") == ["POST  multipart", "POST  json", "POST  form"]
    encodings = ("json", "multipart", "form")
    assert _calls("update_session") == [
        f"{method} {path}{slash} {encoding}"
        for slash in ("/", "")
        for method, path in (
            ("PATCH", "{session_id}"),
            ("POST", "{session_id}"),
            ("PUT", "{session_id}"),
            ("POST", "{session_id}/update"),
            ("POST", "update"),
        )
        for encoding in encodings
    ]
    assert _calls("delete_session") == [
        f"{call}{slash} {encoding}"
        for slash in ("/", "")
        for call, encoding in (
            ("DELETE {session_id}", "none"),
            ("POST {session_id}/delete", "none"),
            ("POST delete", "json"),
            ("POST delete", "multipart"),
            ("POST delete", "form"),
        )
    ]
    # What the update was found to read goes before the others, of calls that name the session in their body.
    assert _calls("delete_session", encoding="form") == [
        f"{call}{slash} {encoding}"
        for slash in ("/", "")
        for call, encoding in (
            ("DELETE {session_id}", "none"),
            ("POST {session_id}/delete", "none"),
            ("POST delete", "form"),
            ("POST delete", "json"),
            ("POST delete", "multipart"),
        )
    ]


def test_paths_end_as_that_of_the_list_does() -> None:
    listing = replace(CONTRACT.operation("list_sessions"), path="/v1/session")
    create = replace(CONTRACT.operation("create_session"), path="/v1/session")
    contract = replace(CONTRACT, operations={"list_sessions": listing, "create_session": create})
    assert {one.path for one in candidates(contract, "create_session")} == {"/v1/session"}
    paths = list(dict.fromkeys(one.path for one in candidates(contract, "update_session")))
    ends = ("{session_id}", "{session_id}/update", "update")
    assert paths == [f"/v1/session/{end}{slash}" for slash in ("", "/") for end in ends]
    paths = list(dict.fromkeys(one.path for one in candidates(contract, "delete_session")))
    ends = ("{session_id}", "{session_id}/delete", "delete")
    assert paths == [f"/v1/session/{end}{slash}" for slash in ("", "/") for end in ends]


def test_the_documentation_has_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    for name in ("update_session", "delete_session"):
        for one in candidates(CONTRACT, name):
            path = (
                "…/" + one.path.removeprefix("/v1/session/").rstrip("/").replace("{session_id}", "{id}") + "/"
            )
            assert f"`{one.method} {path}`" in page


def test_a_call_that_is_better_known_comes_first() -> None:
    own = CONTRACT.operation("delete_session")
    for known, place in (("assumed", 2), ("seen", 0), ("documented", 0), ("learned", 0)):
        operations = {**CONTRACT.operations, "delete_session": replace(own, known=known)}
        found = candidates(replace(CONTRACT, operations=operations), "delete_session")
        assert len(found) == 10
        assert [one.path for one in found].index("/v1/session/delete/") == place
    # One of somebody's own is tried before guesses, if it says which session it means.
    mine = replace(own, path="/v1/away/")
    for other, tried in ((mine, True), (replace(mine, encoding="none"), False)):
        operations = {**CONTRACT.operations, "delete_session": other}
        found = candidates(replace(CONTRACT, operations=operations), "delete_session")
        assert (found[0] == other) is tried
        assert len(found) == 10 + tried


def test_every_candidate_names_its_session() -> None:
    for name in NAMES[1:]:
        for one in candidates(CONTRACT, name):
            assert "{session_id}" in one.path or (one.fields.get("session_id") and one.encoding != "none")
            assert one.path.startswith("/v1/session/")
            assert one.path != "/v1/session/"
            assert ("{session_id}" in one.path) is ("session_id" not in one.fields)


@pytest.mark.parametrize(
    "facts",
    [
        {"method": "DELETE", "path": "{sessions}", "encoding": "none"},
        {"method": "PUT", "path": "{sessions}", "encoding": "none"},
        {"method": "POST", "path": "{sessions}delete/", "encoding": "none"},
    ],
)
def test_a_data_file_that_could_hit_another_session_is_refused(
    facts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_file", lambda: {"delete_session": [facts]})
    with pytest.raises(ValueError, match="could hit another session"):
        candidates(CONTRACT, "delete_session")


@contextmanager
def _subject() -> Iterator[tuple[Subject, RunningServer]]:
    with running_server(None) as server, calling(server.url) as client:
        server.store.insert_session(name="other")
        yield Subject(client, ID, [1], settle=1), server


UPDATE = CONTRACT.operation("update_session")


def test_nothing_is_written_before_the_session_is_seen() -> None:
    with _subject() as (subject, server):
        with pytest.raises(ValueError, match="own session alone"):
            subject.write(UPDATE, {"name": "x"})
        for number in (1, 2):
            subject.id = number
            with pytest.raises(ValueError, match="own session alone"):
                subject.write(UPDATE, {"name": "x"})
        subject.ids.add(1)  # even so: it was there before
        subject.id = 1
        with pytest.raises(ValueError, match="own session alone"):
            subject.write(UPDATE, {"name": "x"})
        assert server.log == []


def test_nothing_is_made_under_another_name() -> None:
    with _subject() as (subject, server):
        for fields in ({}, {"name": "other"}, {"name": subject.name + " "}):
            with pytest.raises(ValueError, match="own name alone"):
                subject.create(CONTRACT.operation("create_session"), fields)
        assert server.log == []


def test_a_write_says_its_own_session_whatever_it_is_given() -> None:
    with _subject() as (subject, server):
        subject.create(CONTRACT.operation("create_session"), {"name": subject.name, "model": "m"})
        assert subject.appear() == 0.0
        subject.write(UPDATE, {"session_id": 1, "prompt": "x"})
        assert server.log[-1].body == {"session_id": 2, "prompt": "x"}
        unsafe = replace(UPDATE, fields={"prompt": "prompt"})
        with pytest.raises(ValueError, match="own session alone"):
            subject.write(unsafe, {"prompt": "x"})


def test_looking_can_not_be_made_to_write() -> None:
    with running_server(None) as server, calling(server.url) as client:
        look = Look(client, Lessons(CONTRACT))
        for name in ("create_session", "update_session", "delete_session", "create_message"):
            with pytest.raises(ValueError, match="is no GET"):
                look.get(CONTRACT.operation(name), {"session_id": 1})
        assert server.log == []


def test_what_counts_as_safe() -> None:
    def call(**facts: Any) -> Operation:
        return replace(UPDATE, **facts)

    assert safe(call())
    assert not safe(call(encoding="none"))
    assert not safe(call(fields={}))
    assert safe(call(fields={}, path="/v1/session/{session_id}/"))
    assert not safe(call(method="DELETE", path="/v1/session/", encoding="none", fields={}))
