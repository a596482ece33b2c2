"""From a row of the list to a live session: what is read, kept and ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.api.decode import decode_session
from reconciler.ownership.remark import parse_remark
from tests.support import CONTRACT, live, row

SHAPE = CONTRACT.session

#: The example of the vendor's documentation.
DOCUMENTED: dict[str, Any] = {
    "session_id": 1,
    "api_id": 70,
    "device_id": None,
    "session_name": "test",
    "session_config": {
        "data": {},
        "model": "deepseek-chat",
        "prompt": "…",
        "max_tokens": 4000,
        "temperature": 0.2,
        "history_length": 4,
    },
    "session_remark": '{"created_user":"lery","created_user_id":123}',
    "created_at": "2024-09-12 15:13:22",
    "updated_at": "2024-09-12 15:13:22",
}


def test_the_documented_row() -> None:
    found = decode_session(DOCUMENTED, SHAPE)
    assert found.session_id == 1
    assert found.fields() == {
        "name": "test",
        "model": "deepseek-chat",
        "prompt": "…",
        "parameters.temperature": 0.2,
        "parameters.max_tokens": 4000,
        "parameters.history_length": 4,
        "remark.created_user": "lery",
        "remark.created_user_id": 123,
    }
    assert found.row is DOCUMENTED
    assert found.session_token is None


def test_what_is_not_known_is_kept_in_the_row() -> None:
    document = {**DOCUMENTED, "session_token": "70-token", "new": [1]}
    found = decode_session(document, SHAPE)
    assert found.session_token == "70-token"
    assert found.row["new"] == [1]


@pytest.mark.parametrize("name", ["session_name", "session_remark"])
def test_null_and_nothing_are_the_same(name: str) -> None:
    for document in (
        {**DOCUMENTED, name: None},
        {key: value for key, value in DOCUMENTED.items() if key != name},
    ):
        found = decode_session(document, SHAPE)
        assert (found.name if name == "session_name" else found.remark) == (
            "" if name == "session_name" else parse_remark(None)
        )


def test_a_parameter_that_is_null_is_not_there() -> None:
    assert live(temperature=None, max_tokens=None).parameters == {}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"a": [1]}, {"a": [1]}),
        ('{"a":[1]}', {"a": [1]}),
        (None, {}),
        ("", {}),
        ("prose", {}),
        ("[1]", {}),
        ([1], {}),
        (7, {}),
        ("[" * 100_000, {}),
        (json.dumps({"a": json.loads("[" * 300 + "]" * 300)}), {}),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_data_may_come_as_an_object_or_as_its_text(given: Any, found: Any) -> None:
    assert live(data=given).data == found


def test_a_remark_may_come_as_an_object() -> None:
    found = live(remark={"created_user": "顾", "n": 1})
    assert found.raw_remark == '{"created_user":"顾","n":1}'
    assert found.remark.keys == {"created_user": "顾", "n": 1}


def test_a_prompt_is_normalised_and_the_row_is_not() -> None:
    found = live(prompt="  a\r\nb \n\n")
    assert found.prompt == "  a\nb"
    assert found.config["prompt"] == "  a\r\nb \n\n"


@pytest.mark.parametrize(
    ("given", "found"),
    [("0.20", 0.2), ("4000", 4000), (0.2, 0.2), (True, True), ("high", "high"), ([1], [1])],
)
def test_a_parameter_is_a_number_where_it_can_be(given: Any, found: Any) -> None:
    value = live(temperature=given).parameters["temperature"]
    assert value == found
    assert type(value) is type(found)


def test_a_row_is_read_in_any_shape_that_a_contract_tells() -> None:
    import dataclasses

    flat = dataclasses.replace(
        SHAPE, name=("meta", "title"), config=("settings",), prompt=("settings", "system"), remark=("note",)
    )
    document = {**row(), "meta": {"title": "A"}, "settings": {"system": "B"}, "note": '{"a":1}'}
    found = decode_session(document, flat)
    assert (found.name, found.prompt, found.remark.keys) == ("A", "B", {"a": 1})
