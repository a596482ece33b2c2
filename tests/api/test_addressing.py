"""A call names its session as the contract says: by id, by token, or by both."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reconciler.api.addressing import Address, address, names
from reconciler.contract import Operation
from reconciler.errors import Problem, ReconcilerError
from tests.support import CONTRACT

KNOWN, UNLISTED = Address(7, "t7"), Address(7)
BY_ID: dict[str, Any] = {"path": "/v1/session/{session_id}/", "fields": {"name": "session_name"}}
BY_TOKEN: dict[str, Any] = {"path": "/v1/session/{session_token}/", "fields": {}}
TOKEN_IN_BODY: dict[str, Any] = {"path": "/v1/session/", "fields": {"session_token": "token"}}
BOTH_IN_BODY: dict[str, Any] = {"path": "/v1/x/", "fields": {"session_id": "id", "session_token": "token"}}
TOKEN_AND_ID: dict[str, Any] = {"path": "/v1/session/{session_token}/", "fields": {"session_id": "id"}}


def operation(facts: dict[str, Any]) -> Operation:
    return dataclasses.replace(CONTRACT.operation("update_session"), **facts)


@pytest.mark.parametrize(
    ("facts", "fields"),
    [
        (BY_ID, {"session_id": 7}),
        (BY_TOKEN, {"session_token": "t7"}),
        (TOKEN_IN_BODY, {"session_token": "t7"}),
        (BOTH_IN_BODY, {"session_id": 7, "session_token": "t7"}),
        (TOKEN_AND_ID, {"session_id": 7, "session_token": "t7"}),
        ({"path": "/v1/models", "fields": {}}, {}),
    ],
)
def test_what_the_call_asks_for_is_sent(facts: dict[str, Any], fields: dict[str, Any]) -> None:
    assert names(operation(facts), KNOWN)
    assert address(operation(facts), KNOWN) == fields


@pytest.mark.parametrize("facts", [BY_ID, BOTH_IN_BODY])
def test_an_id_is_enough_where_the_call_takes_it(facts: dict[str, Any]) -> None:
    assert names(operation(facts), UNLISTED)
    assert address(operation(facts), UNLISTED) == {"session_id": 7}


@pytest.mark.parametrize("facts", [BY_TOKEN, TOKEN_IN_BODY, TOKEN_AND_ID])
def test_no_call_goes_out_that_names_no_session(facts: dict[str, Any]) -> None:
    assert not names(operation(facts), UNLISTED)
    with pytest.raises(ReconcilerError) as caught:
        address(operation(facts), UNLISTED)
    assert caught.value.problems == (
        Problem(
            "#7 has no session_token, and the contract's update_session names a session by it",
            "`reconciler doctor --probe` finds out how the service names sessions",
        ),
    )
