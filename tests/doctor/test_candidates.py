"""No candidate call can reach another session than the probe's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.contract import Encoding, Operation, load_contract
from reconciler.doctor import candidates as module
from reconciler.doctor.candidates import candidates, is_safe

CONTRACT = load_contract()
NAMES = ("create_session", "update_session", "delete_session")
ID = "1f2e3d4c5b6a"


ENCODINGS = ("json", "multipart", "form")
ONE = ("{session_id}", "{session_token}")
WAYS = ("session_token", "session_id", "session_id+session_token")


def _calls(name: str, **facts: Any) -> list[str]:
    """Method, path, encoding, and what the body names the session by."""
    return [
        f"{one.method} {one.path.removeprefix('/v1/session/')} {one.encoding} "
        + "+".join(by for by in one.named_by if f"{{{by}}}" not in one.path)
        for one in candidates(CONTRACT, name, **facts)
    ]


def test_the_order() -> None:
    create = [f"POST  {encoding} " for encoding in ("multipart", "json", "form", "query")]
    assert _calls("create_session") == create
    in_path = [("POST", "{}"), ("POST", "{}/update"), ("PATCH", "{}"), ("PUT", "{}")]
    assert _calls("update_session") == [
        call
        for slash in ("/", "")
        for call in (
            *(
                f"{method} {path.format(one)}{slash} {encoding} "
                for method, path in in_path
                for one in ONE
                for encoding in ENCODINGS
            ),
            *(f"POST update{slash} {encoding} {by}" for by in WAYS for encoding in ENCODINGS),
        )
    ]


@pytest.mark.parametrize("first", [None, "form"])
def test_the_order_of_deletes(first: Encoding | None) -> None:
    """What the update was found to read goes before the others, of calls that name the session in their body."""
    in_path = [("POST", "{}/del"), ("POST", "{}/delete"), ("DELETE", "{}")]
    bodies = [(end, encoding, by) for end in ("del", "delete") for by in WAYS for encoding in ENCODINGS]
    bodies.sort(key=lambda one: first is not None and one[1] != first)
    assert _calls("delete_session", encoding=first) == [
        call
        for slash in ("/", "")
        for call in (
            *(f"{method} {path.format(one)}{slash} none " for method, path in in_path for one in ONE),
            *(f"POST {end}{slash} {encoding} {by}" for end, encoding, by in bodies),
        )
    ]


def test_paths_end_as_that_of_the_list_does() -> None:
    listing = replace(CONTRACT.operation("list_sessions"), path="/v1/session")
    create = replace(CONTRACT.operation("create_session"), path="/v1/session")
    contract = replace(CONTRACT, operations={"list_sessions": listing, "create_session": create})
    assert {one.path for one in candidates(contract, "create_session")} == {"/v1/session"}
    paths = list(dict.fromkeys(one.path for one in candidates(contract, "update_session")))
    ends = (*ONE, "{session_id}/update", "{session_token}/update", "update")
    assert paths == [f"/v1/session/{end}{slash}" for slash in ("", "/") for end in ends]
    paths = list(dict.fromkeys(one.path for one in candidates(contract, "delete_session")))
    ends = (*(f"{one}/{verb}" for verb in ("del", "delete") for one in ONE), *ONE, "del", "delete")
    assert paths == [f"/v1/session/{end}{slash}" for slash in ("", "/") for end in ends]


def test_the_documentation_has_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    for name in ("update_session", "delete_session"):
        for one in candidates(CONTRACT, name):
            path = one.path.removeprefix("/v1/session/").rstrip("/")
            path = "…/" + path.replace("session_", "") + "/"
            assert f"`{one.method} {path}`" in page


def test_a_call_that_is_better_known_comes_first() -> None:
    own = CONTRACT.operation("delete_session")
    own = replace(own, path="/v1/session/{session_id}/delete/")
    for known, place in (("assumed", 2), ("seen", 0), ("documented", 0), ("learned", 0)):
        operations = {**CONTRACT.operations, "delete_session": replace(own, known=known)}
        found = candidates(replace(CONTRACT, operations=operations), "delete_session")
        assert len(found) == 48
        assert [one.path for one in found].index("/v1/session/{session_id}/delete/") == place
    # One of somebody's own is tried before guesses, if it says which session it means.
    mine = replace(own, path="/v1/away/", encoding="json", fields={"session_id": "id"})
    for other, tried in ((mine, True), (replace(mine, encoding="none"), False)):
        operations = {**CONTRACT.operations, "delete_session": other}
        found = candidates(replace(CONTRACT, operations=operations), "delete_session")
        assert (found[0] == other) is tried
        assert len(found) == 48 + tried


def test_every_candidate_names_its_session() -> None:
    for name in NAMES[1:]:
        for one in candidates(CONTRACT, name):
            in_path = "{session_id}" in one.path or "{session_token}" in one.path
            in_body = bool({"session_id", "session_token"} & one.fields.keys())
            assert in_path is not in_body
            assert in_path or one.encoding in ENCODINGS
            assert one.path.startswith("/v1/session/")
            assert one.path != "/v1/session/"


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
    by_id = {"fields": {"session_id": "session_id"}, "path": "/v1/session/update/"}
    assert is_safe(call(**by_id))
    assert not is_safe(call(**by_id, encoding="none"))
    assert not is_safe(call(**by_id, encoding="query"))
    assert not is_safe(call(path="/v1/session/update/"))
    assert is_safe(call(fields={}, path=one))
    assert is_safe(call(fields={}, path=one, encoding="query"))
    assert is_safe(call(fields=by_token, path="/v1/session/update/"))
    assert is_safe(call(fields={}, path="/v1/session/{session_token}/"))
    assert not is_safe(call(method="DELETE", path="/v1/session/", encoding="none", fields={}))


def test_a_candidate_by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data file says what a call names a session by, in its path or its body."""
    lines = [
        {
            "method": "POST",
            "path": "{sessions}/{session_token}/del/",
            "encoding": "none",
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
