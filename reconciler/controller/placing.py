"""Whether a catalog belongs to its account: what it says of its service has to fit the account and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.address import same_address
from reconciler.api.endpoint import LOCAL
from reconciler.contract import Contract
from reconciler.controller.settings import WatchedAccount
from reconciler.controller.watched import Watched
from reconciler.errors import Problem, ReconcilerError, Refused


def why_misplaced(one: Watched, account: WatchedAccount) -> ReconcilerError | None:
    """Why the newest revision of a catalog is not for the account's address; None if it is."""
    expected = None if one.revision is None else one.revision.service.expected
    if expected is None or account.endpoint == LOCAL or same_address(expected, account.endpoint):
        return None
    return Refused(
        f"the catalog expects {expected}, and its account is at {account.endpoint}",
        "watch it with another account, or correct expect_endpoint in catalog.yaml",
    )


def named_contract(one: Watched) -> Contract | None:
    """The contract that the newest revision of a catalog names."""
    file = None if one.revision is None else one.revision.service.contract
    return None if file is None else file.contract


def why_contradicting(one: Watched, watched: Sequence[Watched]) -> ReconcilerError | None:
    """Why another contract than that of the account can't be taken from a catalog; None if no other one names one."""
    other = next((each for each in watched if each is not one and named_contract(each) is not None), None)
    if other is None:
        return None
    return ReconcilerError(
        Problem(
            f"it names another contract than {other.settings.name}, on the same account",
            "name one contract for the account: it describes one service",
        )
    )
