"""No message of the operator names a flag or a variable that a cluster does not have."""

from __future__ import annotations

import io

import pytest
import requests

from reconciler.address import check_address
from reconciler.api.answers import read_answer
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError
from reconciler.errors import UsageError
from reconciler.operator.wording import hinted, shown
from tests.support import CONTRACT


@pytest.mark.parametrize(
    "address", ["ftp://example.com", "example.com", "local", "https://me:secret@example.com"]
)
def test_an_address_that_can_not_be_used(address: str) -> None:
    with pytest.raises(UsageError) as failed:
        check_address(address)
    problem = failed.value.problems[0]
    told = shown(hinted(problem.message, problem.hint))
    assert "MINDCRAFT" not in told
    assert "or local" not in told
    assert "secret@" not in told


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "set `key` in the Secret of the account"), (402, "top up the account")]
)
def test_an_account_that_can_not_be_used(status: int, hint: str) -> None:
    answer = requests.Response()
    answer.status_code, answer.raw = status, io.BytesIO(b"{}")
    with pytest.raises(ApiError) as failed:
        read_answer(CONTRACT.operation("list_sessions"), answer, Endpoint("a test", "http://127.0.0.1:1"), "")
    problem = failed.value.problems[0]
    told = shown(hinted(problem.message, problem.hint))
    assert told.endswith(f"{hint})")
