"""No candidate call can reach another session than the probe's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.contract import Operation, load_contract
from reconciler.doctor import candidates as module
from reconciler.doctor.candidates import can_address, candidates, is_safe

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


def test_what_counts_as_safe() -> None:
    def call(**facts: Any) -> Operation:
        return replace(CONTRACT.operation("update_session"), **facts)

    one = "/v1/session/{session_id}/"
    by_token = {"session_token": "session_token"}
    assert is_safe(call())
    assert not is_safe(call(encoding="none"))
    assert not is_safe(call(encoding="query"))
    assert not is_safe(call(fields={}))
    assert is_safe(call(fields={}, path=one))
    assert is_safe(call(fields={}, path=one, encoding="query"))
    assert is_safe(call(fields=by_token))
    assert is_safe(call(fields={}, path="/v1/session/{session_token}/"))
    assert not is_safe(call(method="DELETE", path="/v1/session/", encoding="none", fields={}))


def test_a_call_that_needs_a_token_that_is_not_known() -> None:
    update = CONTRACT.operation("update_session")
    for path, fields, without_token in (
        ("/v1/session/update/", ("session_id", "session_token"), True),
        ("/v1/session/update/", ("session_token",), False),
        ("/v1/session/{session_token}/", ("session_id",), False),
    ):
        call = replace(update, path=path, fields={name: name for name in fields})
        assert can_address(call, token=True)
        assert can_address(call, token=False) is without_token


def test_a_candidate_by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data file says what a call names a session by, in its path or its body."""
    lines = [
        {
            "method": "POST",
            "path": "{sessions}/{session_token}/del/",
            "encoding": "none",
            "by": ["session_token"],
        },
        {"method": "POST", "path": "{sessions}/del/", "encoding": "json", "by": ["session_token"]},
        {
            "method": "POST",
            "path": "{sessions}/del/",
            "encoding": "json",
            "by": ["session_id", "session_token"],
        },
    ]
    monkeypatch.setattr(module, "_file", lambda: {"delete_session": lines})
    operations = {name: one for name, one in CONTRACT.operations.items() if name != "delete_session"}
    found = candidates(replace(CONTRACT, operations=operations), "delete_session")
    assert [(one.path, dict(one.fields)) for one in found[:3]] == [
        ("/v1/session/{session_token}/del/", {}),
        ("/v1/session/del/", {"session_token": "session_token"}),
        ("/v1/session/del/", {"session_id": "session_id", "session_token": "session_token"}),
    ]
